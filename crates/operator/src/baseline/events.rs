//! Which Events a change of status is worth (pure): transitions only.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use plimsoll_api::baseline::ObjectiveStatus;
use plimsoll_api::condition::{self, types};
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus};

use super::view::View;
use crate::events::Happened;

/// What happened between two statuses.
#[must_use]
pub fn happened(old: &PerformanceBaselineStatus, new: &PerformanceBaselineStatus) -> Vec<Happened> {
    let mut happened = Vec::new();
    if let Some(run) = &new.current_run
        && old.current_run.as_ref().is_none_or(|before| before.name != run.name)
    {
        happened.push(Happened {
            warning: false,
            reason: "RunStarted".to_owned(),
            action: "Collect",
            note: format!("Run {} started for {}.", run.name, run.trigger),
        });
    }
    if let Some(last) = &new.last_run
        && old.last_run.as_ref().is_none_or(|before| before.name != last.name)
    {
        happened.push(Happened {
            warning: !last.complete,
            reason: last.reason.clone().unwrap_or_else(|| "Recorded".to_owned()),
            action: "Collect",
            note: match &last.message {
                Some(message) => format!("Run {}: {message}", last.name),
                None => format!("Run {} recorded every source.", last.name),
            },
        });
    } else if let Some(problem) = new_problem(old, new) {
        happened.push(problem);
    }
    happened.extend(missed(old, new));
    happened.extend(changed(old, new));
    happened
}

/// Objectives that are missed and were not before.
fn missed(old: &PerformanceBaselineStatus, new: &PerformanceBaselineStatus) -> Option<Happened> {
    let is_missed = |told: &ObjectiveStatus| told.result == "Missed";
    let was_missed = |name: &str| old.objectives.iter().any(|told| told.name == name && is_missed(told));
    let is_new = new.objectives.iter().any(|told| is_missed(told) && !was_missed(&told.name));
    let condition = condition::get(&new.conditions, types::OBJECTIVES_MET).filter(|_| is_new)?;
    Some(Happened {
        warning: true,
        reason: condition.reason.clone(),
        action: "Judge",
        note: condition.message.clone(),
    })
}

/// A run that is worse or better than another, where that is not what was said of it and the same one before.
fn changed(old: &PerformanceBaselineStatus, new: &PerformanceBaselineStatus) -> Option<Happened> {
    let said = |status: &PerformanceBaselineStatus| {
        let comparison = status.comparison.as_ref()?;
        Some((comparison.verdict.clone(), comparison.against.clone()))
    };
    let now = said(new).filter(|now| said(old).as_ref() != Some(now))?;
    let warning = match now.0.as_str() {
        "Regressed" => true,
        "Improved" => false,
        _ => return None,
    };
    let condition = condition::get(&new.conditions, types::REGRESSED)?;
    Some(Happened { warning, reason: now.0, action: "Compare", note: condition.message.clone() })
}

/// A problem that was not there before, without a run having ended.
fn new_problem(old: &PerformanceBaselineStatus, new: &PerformanceBaselineStatus) -> Option<Happened> {
    let stalled = condition::get(&new.conditions, types::STALLED).filter(|stalled| stalled.status == "True");
    let waiting = condition::get(&new.conditions, types::RECONCILING)
        .filter(|reconciling| reconciling.status == "True" && reconciling.reason != "Collecting");
    let problem = waiting.or(stalled)?;
    let before = condition::get(&old.conditions, &problem.type_);
    let is_new =
        before.is_none_or(|before| before.reason != problem.reason || before.status != problem.status);
    is_new.then(|| Happened {
        warning: true,
        reason: problem.reason.clone(),
        action: "Collect",
        note: problem.message.clone(),
    })
}

/// The resource, as Events refer to it.
#[must_use]
pub fn regarding(view: &View) -> ObjectReference {
    ObjectReference {
        api_version: Some(PerformanceBaseline::api_version(&()).into_owned()),
        kind: Some(PerformanceBaseline::kind(&()).into_owned()),
        name: Some(view.name.clone()),
        namespace: Some(view.namespace.clone()),
        uid: Some(view.uid.clone()),
        ..ObjectReference::default()
    }
}
