//! Findings: what somebody should look at, the largest expected effect first.
//!
//! Each rule is a small function of a record; its thresholds are constants beside it, and `docs/findings.md` lists them
//! all. A rule is silent where the record does not have its figures: no finding is not a clean bill of health, which is
//! what objectives are for.

mod autoscaler;
mod cache;
mod database;
mod pods;
mod requests;
mod statements;
#[cfg(test)]
mod tests;

use crate::judgement::{Finding, Impact};
use crate::record::BaselineRecord;

/// Most findings of a record; the least important ones are left out.
pub const MAX_FINDINGS: usize = 50;
/// Longest subject, characters.
pub const MAX_SUBJECT: usize = 120;
/// Longest evidence and longest action, characters.
pub const MAX_TEXT: usize = 300;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The `id` of its findings.
    pub id: &'static str,
    /// What fires it, with its thresholds, as `docs/findings.md` has it.
    pub fires: fn() -> String,
    find: fn(&BaselineRecord) -> Vec<Finding>,
}

/// Every rule, tier by tier.
pub const RULES: [Rule; 23] = [
    requests::ENDPOINT_TIME,
    requests::ERROR_RATIO,
    statements::STATEMENT_TIME,
    database::SEQUENTIAL_SCAN,
    database::UNUSED_INDEX,
    database::DUPLICATE_INDEX,
    database::INVALID_INDEX,
    database::CONNECTION_SATURATION,
    database::BUFFER_MISSES,
    database::STALE_STATISTICS,
    database::DEAD_ROWS,
    cache::EVICTION_LOSS,
    cache::MISSES,
    cache::KEYS_WITHOUT_TTL,
    cache::FULL,
    cache::EVICTION_POLICY,
    cache::FRAGMENTATION,
    pods::CPU_THROTTLING,
    pods::MEMORY_NEAR_LIMIT,
    pods::RESTARTS,
    autoscaler::AT_MAXIMUM,
    autoscaler::BEHIND,
    autoscaler::PROBLEM,
];

/// Everything that the rules find in a record, by impact, then by effect (the unknown last), then by the rule's name; the
/// findings of one rule that are equal in these keep the record's order. At most [`MAX_FINDINGS`], each text bounded.
#[must_use]
pub fn findings(record: &BaselineRecord) -> Vec<Finding> {
    let mut found: Vec<Finding> = RULES.iter().flat_map(|rule| (rule.find)(record)).collect();
    let effect = |finding: &Finding| finding.effect_percent.unwrap_or(-1.0);
    found.sort_by(|a, b| {
        a.impact.cmp(&b.impact).then_with(|| effect(b).total_cmp(&effect(a))).then_with(|| a.id.cmp(&b.id))
    });
    found.truncate(MAX_FINDINGS);
    for finding in &mut found {
        cut(&mut finding.subject, MAX_SUBJECT);
        cut(&mut finding.evidence, MAX_TEXT);
        cut(&mut finding.action, MAX_TEXT);
    }
    found
}

/// A finding without an effect that could be told, paths and explanations; rules add these.
fn finding(rule: &Rule, impact: Impact, subject: impl Into<String>) -> Finding {
    Finding {
        id: rule.id.to_owned(),
        subject: subject.into(),
        impact,
        effect_percent: None,
        evidence: String::new(),
        action: String::new(),
        paths: Vec::new(),
        explains: Vec::new(),
    }
}

/// Cuts a text to a number of characters, the last one an ellipsis where something is missing.
fn cut(text: &mut String, most: usize) {
    if text.char_indices().nth(most).is_some() {
        *text = text.chars().take(most - 1).chain(['…']).collect();
    }
}

/// Path of one entry of a map; of the map where the key is so long that it is cut elsewhere.
fn entry(map: &str, key: &str) -> String {
    if key.chars().count() > MAX_SUBJECT { map.to_owned() } else { format!("{map}.{key}") }
}

/// A part in percent that is a number between 0 and 100.
fn effect(percent: f64) -> Option<f64> {
    percent.is_finite().then(|| percent.clamp(0.0, 100.0))
}

fn names(indicators: &[&str]) -> Vec<String> {
    indicators.iter().map(|name| (*name).to_owned()).collect()
}

/// Latencies of requests.
const API_LATENCY: [&str; 4] = ["api.latency.p50", "api.latency.p90", "api.latency.p95", "api.latency.p99"];
const WEB_LATENCY: [&str; 4] = ["web.latency.p50", "web.latency.p90", "web.latency.p95", "web.latency.p99"];

/// What whatever is slow behind the requests can explain, and the indicator of the tier itself.
fn behind_requests(own: &[&str]) -> Vec<String> {
    names(&[own, &API_LATENCY, &WEB_LATENCY].concat())
}
