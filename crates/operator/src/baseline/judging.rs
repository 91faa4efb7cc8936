//! `observe` of a judgement: the records that it needs, and which one that is.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use plimsoll_api::PerformanceBaseline;

use super::judge::{
    self, Material, NOTHING_TO_COMPARE, Need, RECORD_MISMATCH, RECORD_MISSING, RECORD_UNREADABLE, Subject,
    Target, Unavailable,
};
use super::validate::CompareWith;
use super::view::{StoredRecord, View};
use crate::context::Context;
use crate::error::{Error, reading};
use crate::record_map::{self, RECORD_SHA256_ANNOTATION};

/// What the judgement of the last record is made from, where it is to be judged while no run is under way.
///
/// # Errors
/// [`Error::Read`].
pub(crate) async fn of_last_run(view: &View, context: &Context) -> Result<Option<Material>, Error> {
    let need = judge::need(view);
    let Some(subject) = judge::subject(&view.status).filter(|_| need != Need::No) else { return Ok(None) };
    let target = target(view, &subject, context).await?;
    let hash = judge::hash(view, &target);
    let is_same = view.status.judgement.as_ref().is_some_and(|judged| judged.hash == hash);
    if need == Need::Asks && is_same {
        return Ok(None);
    }
    let record = kept(view, &subject.run, &subject.sha256, context).await?;
    material(view, subject, record, target, context).await.map(Some)
}

/// What the judgement of a record that was just made is made from.
///
/// # Errors
/// [`Error::Read`].
pub(crate) async fn of_new_record(
    view: &View,
    subject: Subject,
    stored: &StoredRecord,
    context: &Context,
) -> Result<Material, Error> {
    let target = target(view, &subject, context).await?;
    material(view, subject, Ok(stored.clone()), target, context).await
}

async fn material(
    view: &View,
    subject: Subject,
    record: Result<StoredRecord, Unavailable>,
    target: Target,
    context: &Context,
) -> Result<Material, Error> {
    let hash = judge::hash(view, &target);
    let mut older: Vec<StoredRecord> = Vec::new();
    if record.is_ok() {
        let history = view.status.history.iter();
        let before: Vec<_> = history.rev().take_while(|kept| kept.name != subject.run).collect();
        for run in before {
            // A record that is gone is a gap in the trend, and no more.
            older.extend(kept(view, &run.name, &run.record_sha256, context).await?.ok());
        }
    }
    let before = match target {
        Target::NotAsked => None,
        Target::Missing(why) => Some(Err(why)),
        Target::Exported(stored) => Some(Ok(*stored)),
        Target::Run { run, sha256 } => match older.iter().find(|stored| stored.sha256 == sha256) {
            Some(stored) => Some(Ok(stored.clone())),
            None => Some(kept(view, &run, &sha256, context).await?),
        },
    };
    let older = older.into_iter().map(|stored| stored.record).collect();
    Ok(Material { subject, hash, record, older, before })
}

/// Which record the spec compares with.
async fn target(view: &View, subject: &Subject, context: &Context) -> Result<Target, Error> {
    let comparison = view.valid.as_ref().ok().and_then(|valid| valid.comparison.as_ref());
    let Some(comparison) = comparison else { return Ok(Target::NotAsked) };
    match &comparison.with {
        CompareWith::PreviousRun => Ok(judge::previous_run(&view.status.history, subject)),
        CompareWith::Baseline { name, run } if *name == view.name => {
            Ok(judge::run_of(name, &view.status.history, run.as_deref(), subject))
        }
        CompareWith::Baseline { name, run } => {
            of_baseline(view, name, run.as_deref(), subject, context).await
        }
        CompareWith::Record { config_map } => of_config_map(view, config_map, subject, context).await,
    }
}

async fn of_baseline(
    view: &View,
    name: &str,
    run: Option<&str>,
    subject: &Subject,
    context: &Context,
) -> Result<Target, Error> {
    let baselines = Api::<PerformanceBaseline>::namespaced(context.client.clone(), &view.namespace);
    let missing = |message: String| Target::Missing(Unavailable { reason: NOTHING_TO_COMPARE, message });
    let other = match baselines.get_opt(name).await {
        Ok(other) => other,
        // An object that another version has written stops no other.
        Err(kube::Error::SerdeError(_)) => {
            return Ok(missing(format!("PerformanceBaseline {name} cannot be read by this version.")));
        }
        Err(source) => return Err(reading("the baseline compared with")(source)),
    };
    let Some(other) = other else {
        return Ok(missing(format!(
            "There is no PerformanceBaseline {name} in this namespace; create it, or name another in spec.compareTo.baseline."
        )));
    };
    let history = other.status.unwrap_or_default().history;
    Ok(judge::run_of(name, &history, run, subject))
}

async fn of_config_map(
    view: &View,
    name: &str,
    subject: &Subject,
    context: &Context,
) -> Result<Target, Error> {
    let Some(map) = config_map(view, name, context).await? else {
        return Ok(Target::Missing(Unavailable::nothing(format!(
            "There is no ConfigMap {name} in this namespace; apply what \"kubectl plimsoll export\" wrote, or name another in spec.compareTo.record."
        ))));
    };
    let stored = match record_map::read(&map) {
        Ok((record, sha256)) => StoredRecord { record, sha256 },
        Err(error) => return Ok(Target::Missing(unreadable(name, &error.to_string()))),
    };
    // An exported record says what it was; one that was written by hand says nothing.
    let annotations = map.metadata.annotations.as_ref();
    let was = annotations.and_then(|annotations| annotations.get(RECORD_SHA256_ANNOTATION));
    Ok(match was {
        Some(was) if *was != stored.sha256 => Target::Missing(mismatch(name, &stored.sha256, was)),
        _ => judge::exported(stored, name, subject),
    })
}

/// The record of a run of this namespace, if it is the one that status says.
async fn kept(
    view: &View,
    run: &str,
    sha256: &str,
    context: &Context,
) -> Result<Result<StoredRecord, Unavailable>, Error> {
    let Some(map) = config_map(view, run, context).await? else {
        let message = format!(
            "The ConfigMap {run} with the record of run {run} is gone; record it again with a new run."
        );
        return Ok(Err(Unavailable { reason: RECORD_MISSING, message }));
    };
    Ok(match record_map::read(&map) {
        Err(error) => Err(unreadable(run, &error.to_string())),
        Ok((_, is)) if is != sha256 => Err(mismatch(run, &is, sha256)),
        Ok((record, sha256)) => judge::readable(StoredRecord { record, sha256 }, run),
    })
}

fn unreadable(name: &str, why: &str) -> Unavailable {
    Unavailable {
        reason: RECORD_UNREADABLE,
        message: format!(
            "The ConfigMap {name} is of no use: {why}; apply one with record.json that this version reads."
        ),
    }
}

fn mismatch(name: &str, is: &str, was: &str) -> Unavailable {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    Unavailable {
        reason: RECORD_MISMATCH,
        message: format!(
            "The record in ConfigMap {name} is not the one that was written: its SHA-256 begins with {}, and was {}; look who may edit ConfigMaps here, and record it again.",
            short(is),
            short(was)
        ),
    }
}

async fn config_map(view: &View, name: &str, context: &Context) -> Result<Option<ConfigMap>, Error> {
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &view.namespace);
    maps.get_opt(name).await.map_err(reading("a record"))
}
