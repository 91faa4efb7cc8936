//! A run whose record the cluster keeps, with what the operator said of it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use plimsoll_analysis::judgement::{self, Judgement};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus};
use plimsoll_operator::record_map;

use super::{Place, one_line};
use crate::failure::Failure;

/// A run and what its record must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Name of the run: also of its ConfigMap.
    pub(super) run: String,
    /// SHA-256 that status says of its record.
    pub(super) sha256: String,
    /// What to say beside the record.
    pub(super) note: Option<String>,
}

/// The run that was asked for, or the newest whose record is kept.
///
/// # Errors
/// No such record is kept; the message says which are, or why there is none.
pub(super) fn choose(baseline: &PerformanceBaseline, run: Option<&str>) -> Result<Chosen, Failure> {
    let none = PerformanceBaselineStatus::default();
    let status = baseline.status.as_ref().unwrap_or(&none);
    let last = status.last_run.as_ref();
    // The last run may be so new that it is in the history by the next write only.
    let newest = last.and_then(|last| Some((last.name.as_str(), last.record_sha256.as_deref()?)));
    let kept = status.history.iter().map(|kept| (kept.name.as_str(), kept.record_sha256.as_str()));
    let mut all = newest.into_iter().chain(kept);
    let chosen = match run {
        Some(run) => all.find(|(name, _)| *name == run),
        None => all.next(),
    };
    let failed = last.filter(|last| last.record_sha256.is_none());
    let why = failed.map(|last| {
        let reason = last.reason.as_deref().unwrap_or("Incomplete");
        let message = last.message.as_deref().unwrap_or_default();
        one_line(&format!("the last run, {}, has no record ({reason}): {message}", last.name))
    });
    match (chosen, run) {
        (Some((name, sha256)), _) => {
            let note = why
                .filter(|_| run.is_none())
                .map(|why| format!("{why}\nThis is the record of the run before it, {name}."));
            Ok(Chosen { run: name.to_owned(), sha256: sha256.to_owned(), note })
        }
        (None, Some(run)) => {
            let known: Vec<&str> = status.history.iter().map(|kept| kept.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Failure::failed(format_args!("no record of a run {run:?} is kept; kept are: {known}")))
        }
        (None, None) => Err(Failure::failed(why.unwrap_or_else(|| {
            "no run has finished yet; `kubectl plimsoll status` says what is under way".to_owned()
        }))),
    }
}

/// The ConfigMap of a run and the record in it.
///
/// # Errors
/// It is gone, may not be read, holds no record, or another one than status says.
pub(super) async fn record(place: &Place, chosen: &Chosen) -> Result<(ConfigMap, BaselineRecord), Failure> {
    let run = &chosen.run;
    let map = config_map(place, run).await?.ok_or_else(|| {
        Failure::failed(format_args!(
            "the record of run {run} is gone: ConfigMap {run} was deleted from namespace {}; request a new run",
            place.namespace
        ))
    })?;
    let (record, sha256) = record_map::read(&map)
        .map_err(|error| Failure::failed(format_args!("ConfigMap {run}: {error}; request a new run")))?;
    if sha256 != chosen.sha256 {
        return Err(Failure::failed(format_args!(
            "ConfigMap {run} was changed after its record was written: its SHA-256 is {sha256} and status says {}; \
             it is not shown, request a new run",
            one_line(&chosen.sha256)
        )));
    }
    Ok((map, record))
}

/// What the operator said of a record, or why that is not shown.
///
/// # Errors
/// The ConfigMap may not be read.
pub(super) async fn judgement(place: &Place, chosen: &Chosen) -> Result<Result<Judgement, String>, Failure> {
    let name = format!("{}-report", chosen.run);
    let Some(map) = config_map(place, &name).await? else {
        return Ok(Err(format!(
            "ConfigMap {name} is gone: objectives, findings and comparison are not shown; the operator writes it again \
             when it next judges the baseline"
        )));
    };
    let text = map.data.as_ref().and_then(|data| data.get(record_map::JUDGEMENT));
    let said = text.and_then(|text| serde_json::from_str::<Judgement>(text).ok());
    let said = said.filter(|said| said.schema == judgement::SCHEMA);
    Ok(match said {
        None => Err(format!(
            "ConfigMap {name} holds no judgement that this version of plimsoll reads: objectives, findings and \
             comparison are not shown"
        )),
        Some(said) if said.record_sha256.as_deref() != Some(chosen.sha256.as_str()) => Err(format!(
            "the judgement in ConfigMap {name} is of another record: objectives, findings and comparison are not shown"
        )),
        Some(said) => Ok(said),
    })
}

/// A ConfigMap of the namespace, if it is there.
///
/// # Errors
/// It may not be read.
pub(super) async fn config_map(place: &Place, name: &str) -> Result<Option<ConfigMap>, Failure> {
    let maps: Api<ConfigMap> = Api::namespaced(place.client.clone(), &place.namespace);
    let found = maps.get_opt(name).await;
    found.map_err(|error| place.explain(&error, &format!("read ConfigMap {name}")))
}
