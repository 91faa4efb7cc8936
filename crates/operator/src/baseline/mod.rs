//! PerformanceBaseline: validate -> observe -> decide -> act -> status, until there is nothing to do.

pub mod act;
pub mod advance;
pub mod alerts;
pub mod assemble;
pub mod bounds;
pub mod conditions;
pub mod decide;
pub mod events;
pub mod figures;
pub mod judge;
pub(crate) mod judging;
pub mod observe;
pub mod retention;
pub mod slots;
pub mod spec_hash;
pub mod status;
pub mod validate;
pub(crate) mod verdicts;
pub mod view;

use std::time::Duration;

use kube::{Api, ResourceExt as _};
use plimsoll_api::PerformanceBaseline;

use crate::apply::apply_status;
use crate::context::Context;
use crate::error::{Error, reading, writing};
use crate::metrics::RunLabels;
use act::Acted;
use decide::{Step, due};
use view::{KIND, View};

/// Most steps of one reconcile; a run takes about ten from its intent to its end.
const MAX_STEPS: usize = 24;

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// When to look again.
    pub wake: Duration,
    /// Whether anything was written.
    pub changed: bool,
}

/// Brings a resource forward until there is nothing to do but wait.
///
/// The cached object only tells whether there is anything to do: every step works on what the API server says now, so
/// that a cache that lags behind our own writes never leads to a second run.
///
/// # Errors
/// [`Error`] where the API server fails; the caller repeats.
pub async fn reconcile(cached: &PerformanceBaseline, context: &Context) -> Result<Rest, Error> {
    let view = View::new(cached, context.now());
    context.metrics.gauges.set(view.key(), figures::figures(&view, &view.status));
    if let Some(wake) = at_rest(&view, context) {
        return Ok(Rest { wake, changed: false });
    }
    let api = Api::<PerformanceBaseline>::namespaced(context.client.clone(), &view.namespace);
    let mut live = api.get_opt(&cached.name_any()).await.map_err(reading("the baseline"))?;
    let mut changed = false;
    for _ in 0..MAX_STEPS {
        let Some(baseline) = live.filter(|live| live.metadata.uid == cached.metadata.uid) else {
            // Deleted, or another object of the same name: its own event comes.
            return Ok(Rest { wake: Duration::from_secs(3600), changed });
        };
        let now = context.now();
        let view = View::new(&baseline, now);
        let observed = observe::observe(&view, context, now).await?;
        let step = decide::decide(&view, &observed, now);
        tracing::debug!(?step, namespace = view.namespace, name = view.name, "step");
        let step = match act::act(&view, &step, context).await? {
            Acted::Done => step,
            Acted::Ruled(rules) => Step::RulesWritten(rules),
            Acted::Refused(problem) => decide::refused(&step, problem),
        };
        let status = status::next_status(&view, &step, now);
        let wrote_status = !view.deleting && status != view.status;
        changed |= wrote_status || matches!(step, Step::CreateJob { .. } | Step::Record(_) | Step::Judge(_));
        live = if wrote_status { Some(write_status(&view, &status, context).await?) } else { Some(baseline) };
        if let Some(wake) = step.wake() {
            return Ok(Rest { wake, changed });
        }
    }
    Err(Error::Restless(MAX_STEPS))
}

/// How long a cached object that needs nothing may be left alone.
fn at_rest(view: &View, context: &Context) -> Option<Duration> {
    let now = context.now();
    if view.run().is_some() || due(view, now).is_some() || judge::need(view) != judge::Need::No {
        return None;
    }
    let step = decide::decide(view, &view::Observed::default(), now);
    let wake = step.wake()?;
    (view.deleting || status::next_status(view, &step, now) == view.status).then_some(wake)
}

async fn write_status(
    view: &View,
    status: &plimsoll_api::PerformanceBaselineStatus,
    context: &Context,
) -> Result<PerformanceBaseline, Error> {
    let version = view.resource_version.as_deref();
    let written: PerformanceBaseline =
        apply_status(&context.client, &view.namespace, &view.name, &view.uid, version, status)
            .await
            .map_err(writing("the baseline's status"))?;
    context.metrics.gauges.set(view.key(), figures::figures(view, status));
    let happened = events::happened(&view.status, status);
    context.events.publish(&happened, &events::regarding(view)).await;
    if let (Some(last), true) = (&status.last_run, status.last_run != view.status.last_run) {
        let reason = last.reason.clone().unwrap_or_else(|| "Recorded".to_owned());
        context.metrics.runs.get_or_create(&RunLabels { kind: KIND, reason }).inc();
    }
    Ok(written)
}

#[cfg(test)]
mod world;
#[cfg(test)]
mod world_tests;
