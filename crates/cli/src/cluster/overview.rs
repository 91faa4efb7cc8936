//! `kubectl plimsoll report --all`: what the baselines of a namespace say together.

use kube::api::ListParams;
use plimsoll_analysis::judgement::Comparison;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::record_map;
use plimsoll_report::{BaselineOverview, Overview};

use super::{Place, kept, status};
use crate::failure::Failure;

/// Reads every baseline of the namespace with its newest record, what was said of it, and what it was compared with.
///
/// A record or judgement that is missing is told in its place and stops nothing.
///
/// # Errors
/// Baselines or ConfigMaps may not be read, or there is no baseline.
pub(super) async fn read(place: &Place) -> Result<Overview, Failure> {
    let listed = place.baselines().list(&ListParams::default()).await;
    let listed = listed.map_err(|error| place.explain(&error, "list the baselines"))?;
    let mut overview = Overview { namespace: place.namespace.clone(), baselines: Vec::new() };
    for baseline in listed.items {
        overview.baselines.push(one(place, &baseline).await?);
    }
    Ok(overview)
}

async fn one(place: &Place, baseline: &PerformanceBaseline) -> Result<BaselineOverview, Failure> {
    let spec = &baseline.spec;
    let mut overview = BaselineOverview {
        name: baseline.metadata.name.clone().unwrap_or_default(),
        is_ready: status::is_ready(baseline),
        is_scheduled: spec.schedule.is_some() && !spec.suspend,
        has_alerts: spec.prometheus_rule.as_ref().is_some_and(|rule| rule.enabled),
        ..BaselineOverview::default()
    };
    let chosen = match kept::choose(baseline, None) {
        Ok(chosen) => chosen,
        Err(failure) => {
            overview.missing = Some(failure.lines.join("; "));
            return Ok(overview);
        }
    };
    match kept::record(place, &chosen).await {
        Ok((_, record)) => overview.record = Some(record),
        Err(failure) => overview.missing = Some(failure.lines.join("; ")),
    }
    match kept::judgement(place, &chosen).await? {
        Ok(judgement) => {
            if let Some(comparison) = &judgement.comparison {
                overview.before = before(place, baseline, comparison).await?;
            }
            overview.judgement = Some(judgement);
        }
        Err(why) if overview.missing.is_none() => overview.missing = Some(why),
        Err(_) => {}
    }
    Ok(overview)
}

/// The earlier record of a comparison, where the ConfigMap still holds the very one: that of the run, or the exported one
/// that the spec names.
async fn before(
    place: &Place,
    baseline: &PerformanceBaseline,
    comparison: &Comparison,
) -> Result<Option<BaselineRecord>, Failure> {
    let exported = baseline.spec.compare_to.as_ref().and_then(|compare| compare.record.as_ref());
    let name = exported.map_or(&comparison.against.run, |record| &record.config_map_ref.name);
    let map = kept::config_map(place, name).await?;
    let found = map.and_then(|map| record_map::read(&map).ok());
    Ok(found
        .filter(|(_, sha256)| Some(sha256) == comparison.against.record_sha256.as_ref())
        .map(|(record, _)| record))
}
