//! Why a figure is not in a record, and what to do.

use crate::indicator::{METRICS, Reading};
use crate::record::{BaselineRecord, Source, SourceState};

/// Longest part of a message that a source or a note gives, characters.
const QUOTED: usize = 240;

/// Where figures come from: the beginning of their path, the source, and the field that asks for them.
const ORIGINS: [(&str, &str, &str); 7] = [
    ("web_metrics.", "prometheus", "spec.web"),
    ("api_metrics.", "prometheus", "spec.api"),
    ("infrastructure_metrics.", "prometheus", "spec.sources.prometheus"),
    ("custom_metrics.", "prometheus", "spec.metrics"),
    ("database_metrics.", "postgres", "spec.database"),
    ("database_analysis.", "postgres", "spec.database"),
    ("cache_metrics.", "redis", "spec.cache"),
];

/// Why the record has no figure of this indicator.
pub(super) fn why(record: &BaselineRecord, reading: &Reading<'_>) -> String {
    if let Some(note) = reading.basis.and_then(|basis| basis.note.as_deref()) {
        return format!("there is no figure: {}", super::message::shorten(note, QUOTED));
    }
    let Some((_, source, field)) = ORIGINS.iter().find(|(prefix, ..)| reading.path.starts_with(prefix))
    else {
        return "there is no figure".to_owned();
    };
    match record.sources.iter().find(|found| found.name == *source) {
        None => format!("this run did not read {source}; set spec.sources.{source} and {field}"),
        Some(found) if found.state != SourceState::Collected => failed(found),
        Some(_) => not_in_the_answer(record, reading, field),
    }
}

fn failed(source: &Source) -> String {
    let reason = source.reason.map(|reason| format!(" ({reason:?})")).unwrap_or_default();
    let message = source
        .message
        .as_deref()
        .map_or_else(|| "see status.sources".to_owned(), |message| super::message::shorten(message, QUOTED));
    let how = if source.state == SourceState::Failed { "could not be read" } else { "was read in part" };
    format!("{} {how}{reason}: {message}", source.name)
}

/// The source answered: the figure was not asked for, or there was nothing to measure.
fn not_in_the_answer(record: &BaselineRecord, reading: &Reading<'_>, field: &str) -> String {
    if let Some(metric) = reading.name.strip_prefix(METRICS) {
        return format!(
            "this run did not ask the query of {metric}; a run after the last edit of the spec has it"
        );
    }
    let there = match reading.path.split('.').next() {
        Some("web_metrics") => record.web_metrics.is_some(),
        Some("api_metrics") => record.api_metrics.is_some(),
        Some("database_metrics") => record.database_metrics.is_some(),
        Some("database_analysis") => record.database_analysis.is_some(),
        Some("cache_metrics") => record.cache_metrics.is_some(),
        _ => true,
    };
    if !there {
        return format!("this run did not collect it; set {field}");
    }
    match reading.name.as_str() {
        "cache.hitRatio" => {
            let lifetime = record.cache_metrics.as_ref().and_then(|metrics| metrics.hit_rate);
            let only = lifetime.map(|percent| {
                format!(" ({} since the server started is not judged)", crate::format::percent(percent))
            });
            format!(
                "nobody looked anything up between two looks of this run{}; give spec.sampleDuration more time, or let a second run follow",
                only.unwrap_or_default()
            )
        }
        "database.queryTime.p95" => "no statement ran between two looks of this run, or pg_stat_statements could not be read; give spec.sampleDuration more time, or name a histogram in spec.database.latencyHistogram".to_owned(),
        "database.cacheHitRatio" => "no block was read; wait for traffic".to_owned(),
        "web.errorRatio" | "api.errorRatio" => "there were no requests in the window; check the counter's name and matchers, or wait for traffic".to_owned(),
        _ => "there is no figure; status.sources and the record's basis say what was read".to_owned(),
    }
}
