//! Figures `SincePreviousRun`: the differences of two runs' cumulative counters, where nothing was reset between.
//!
//! They replace those that were sampled within the run, in the same places, since they cover more time; the basis says
//! which a figure is. Where no difference can be told the figure stays, and its basis says why.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::query_time::{Moments, P95, quantile_bounds};
use crate::record::{
    BaselineRecord, Basis, BasisKind, CacheCounters, Counters, DatabaseCounters, MAX_TOP_STATEMENTS,
    QueryTime, QueryTimeMethod, SlowStatement, StatementCounter, StatementMean,
};
use crate::request::DatabaseRequest;

/// Most statements that a run's counters list by themselves: a list of as many may lack some.
pub const MAX_STATEMENTS: usize = 300;
/// Most statements above the threshold that a record lists, as in the seed.
pub const MAX_SLOW: usize = 20;

const HIT_RATE: &str = "cache_metrics.hit_rate_window";
const BLOCKS: &str = "database_analysis.cache_hit_ratio";
const MEANS: &str = "database_metrics.slow_queries";
const SLOW: &str = "database_analysis.slow_queries";
const TOP: &str = "database_analysis.top_statements";
const EXECUTION_TIME: &str = "database_analysis.execution_time_ms";
const QUERY_TIME: &str = "database_metrics.query_time_p95_ms";

/// Figures of statements.
const STATEMENTS: [&str; 5] = [MEANS, SLOW, TOP, EXECUTION_TIME, QUERY_TIME];

const OTHER_SERVER: &str = "the server was started anew, or is another one";
const OTHER_DATABASE: &str = "it was another database of the server";
const RESET: &str = "its statistics were reset";
const CLOCK: &str = "its clock was set back";

/// Puts the figures since the `previous` run's counters into the record of this run. `asked` is what the run was asked of
/// the database; without it nothing of the database changes.
pub fn since_previous(record: &mut BaselineRecord, previous: &Counters, asked: Option<&DatabaseRequest>) {
    let Some(counters) = record.counters.take() else { return };
    if let (Some(before), Some(now)) = (&previous.cache, &counters.cache) {
        cache(record, before, now);
    }
    if let (Some(before), Some(now), Some(asked)) = (&previous.database, &counters.database, asked) {
        match same_server(before, now) {
            Ok(()) => {
                blocks(record, before, now);
                statements(record, before, now, asked);
            }
            Err(why) => [BLOCKS].iter().chain(&STATEMENTS).for_each(|path| say(record, path, why)),
        }
    }
    record.counters = Some(counters);
}

/// Notes why a figure is not one since the previous run.
fn say(record: &mut BaselineRecord, path: &str, why: &str) {
    if let Some(basis) = record.basis.get_mut(path).filter(|basis| basis.kind != BasisKind::Window) {
        add_note(basis, &format!("not since the previous run: {why}"));
    }
}

fn add_note(basis: &mut Basis, more: &str) {
    basis.note = Some(match basis.note.take() {
        Some(note) => format!("{note}; {more}"),
        None => more.to_owned(),
    });
}

fn basis(from: Timestamp, to: Timestamp, samples: Option<u64>) -> Basis {
    Basis {
        kind: BasisKind::SincePreviousRun,
        from,
        to,
        coverage_percent: None,
        samples,
        resolution_ms: None,
        note: None,
    }
}

fn cache(record: &mut BaselineRecord, before: &CacheCounters, now: &CacheCounters) {
    let lookups = match lookups(before, now) {
        Ok(lookups) => lookups,
        Err(why) => return say(record, HIT_RATE, why),
    };
    let (hits, misses) = lookups;
    let (Some(metrics), Some(rate)) = (&mut record.cache_metrics, part(hits, misses)) else { return };
    metrics.hit_rate_window = Some(rate * 100.0);
    let samples = hits.saturating_add(misses);
    record.basis.insert(HIT_RATE.to_owned(), basis(before.at, now.at, Some(samples)));
}

/// Hits and misses between two runs.
fn lookups(before: &CacheCounters, now: &CacheCounters) -> Result<(u64, u64), &'static str> {
    if before.run_id != now.run_id {
        return Err(OTHER_SERVER);
    }
    if now.at <= before.at {
        return Err(CLOCK);
    }
    if now.evicted < before.evicted || now.expired < before.expired {
        return Err(RESET);
    }
    // What the earlier run itself looked up after its counters were read is nobody's traffic.
    let (hits, misses) =
        (before.hits.saturating_add(before.own_hits), before.misses.saturating_add(before.own_misses));
    now.hits.checked_sub(hits).zip(now.misses.checked_sub(misses)).ok_or(RESET)
}

/// `a / (a + b)`; `None` where both are 0.
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn part(a: u64, b: u64) -> Option<f64> {
    let all = a as f64 + b as f64;
    (all > 0.0).then(|| a as f64 / all)
}

fn same_server(before: &DatabaseCounters, now: &DatabaseCounters) -> Result<(), &'static str> {
    if before.started != now.started {
        Err(OTHER_SERVER)
    } else if before.database != now.database {
        Err(OTHER_DATABASE)
    } else if now.at <= before.at {
        Err(CLOCK)
    } else {
        Ok(())
    }
}

fn blocks(record: &mut BaselineRecord, before: &DatabaseCounters, now: &DatabaseCounters) {
    let hit = now.blks_hit.checked_sub(before.blks_hit);
    let read = now.blks_read.checked_sub(before.blks_read);
    let (Some(hit), Some(read), true) = (hit, read, before.database_reset == now.database_reset) else {
        return say(record, BLOCKS, RESET);
    };
    let (Some(analysis), Some(ratio)) = (&mut record.database_analysis, part(hit, read)) else { return };
    analysis.cache_hit_ratio = Some(ratio);
    let samples = hit.saturating_add(read);
    record.basis.insert(BLOCKS.to_owned(), basis(before.at, now.at, Some(samples)));
}

fn statements(
    record: &mut BaselineRecord,
    before: &DatabaseCounters,
    now: &DatabaseCounters,
    asked: &DatabaseRequest,
) {
    let delta = match delta(before, now, MAX_STATEMENTS) {
        Ok(delta) => delta,
        Err(why) => return STATEMENTS.iter().for_each(|path| say(record, path, why)),
    };
    let mut basis = basis(before.at, now.at, None);
    for note in &delta.notes {
        add_note(&mut basis, note);
    }
    let mut slowest: Vec<&StatementCounter> = delta.statements.iter().collect();
    slowest.sort_by(|a, b| a.slower(b));
    if let Some(metrics) = &mut record.database_metrics
        && metrics.slow_queries.is_some()
    {
        metrics.slow_queries =
            Some(slowest.iter().take(asked.top_queries as usize).map(|one| by_mean(one)).collect());
        record.basis.insert(MEANS.to_owned(), basis.clone());
    }
    if let Some(analysis) = &mut record.database_analysis
        && analysis.slow_queries.is_some()
    {
        analysis.slow_queries = Some(above_threshold(&slowest, asked));
        let mut longest: Vec<&StatementCounter> = delta.statements.iter().collect();
        longest.sort_by(|a, b| a.longer(b));
        analysis.top_statements =
            Some(longest.iter().take(MAX_TOP_STATEMENTS).map(|one| named(one, asked)).collect());
        analysis.execution_time_ms =
            Some(delta.statements.iter().chain(&delta.rest).map(|one| one.total_ms).sum());
        for path in [SLOW, TOP, EXECUTION_TIME] {
            record.basis.insert(path.to_owned(), basis.clone());
        }
    }
    query_time(record, &delta, basis, asked);
}

/// The query time, where it comes from the statements and all of them are known.
fn query_time(record: &mut BaselineRecord, delta: &Delta, mut basis: Basis, asked: &DatabaseRequest) {
    let Some(metrics) = &mut record.database_metrics else { return };
    let measured = metrics.query_time_p95_ms.is_some_and(|time| time.method == QueryTimeMethod::Histogram);
    if asked.latency_histogram.is_some() || measured {
        return;
    }
    if !delta.is_whole {
        return say(record, QUERY_TIME, "counters of some statements were thrown out");
    }
    let mix: Vec<Moments> = delta.statements.iter().chain(&delta.rest).map(Moments::from).collect();
    let Some((low, high)) = quantile_bounds(&mix, P95) else { return };
    metrics.query_time_p95_ms =
        Some(QueryTime { low, high: Some(high), method: QueryTimeMethod::StatementBounds });
    basis.samples = Some(mix.iter().fold(0, |sum: u64, part| sum.saturating_add(part.calls)));
    record.basis.insert(QUERY_TIME.to_owned(), basis);
}

fn by_mean(one: &StatementCounter) -> StatementMean {
    StatementMean {
        calls: one.calls,
        avg_time_ms: one.mean_ms(),
        query: one.query.clone(),
        query_id: one.query_id.clone(),
    }
}

fn above_threshold(slowest: &[&StatementCounter], asked: &DatabaseRequest) -> Vec<SlowStatement> {
    #[expect(clippy::cast_precision_loss, reason = "a threshold of milliseconds")]
    let threshold = asked.slow_query_threshold_ms as f64;
    let above = slowest.iter().take_while(|one| one.mean_ms() > threshold).take(MAX_SLOW);
    above.map(|one| named(one, asked)).collect()
}

fn named(one: &StatementCounter, asked: &DatabaseRequest) -> SlowStatement {
    SlowStatement::new(one, one.query.clone(), &asked.statements)
}

/// What statements did between two runs.
#[derive(Debug, Clone, Default, PartialEq)]
struct Delta {
    /// Those that can be told apart, with at least one call each.
    statements: Vec<StatementCounter>,
    /// The sum of those that cannot.
    rest: Option<StatementCounter>,
    /// Whether every execution between the two is in one of these.
    is_whole: bool,
    notes: Vec<&'static str>,
}

/// The differences of two runs' counters, whose lists hold at most `cap` statements.
///
/// A statement that only one of the two lists may be among the others' sum in the other, where that list is full: then it
/// is part of the rest, whose sums are compared as a whole. Where the earlier list was not full, a statement that it
/// lacks is new, and all of its counters lie between the two.
fn delta(before: &DatabaseCounters, now: &DatabaseCounters, cap: usize) -> Result<Delta, &'static str> {
    if before.statements_reset != now.statements_reset {
        return Err(RESET);
    }
    let has_texts = |counters: &DatabaseCounters| counters.statements.iter().any(|one| one.query.is_some());
    if !before.statements.is_empty() && !now.statements.is_empty() && has_texts(before) != has_texts(now) {
        // Our own statements and utility statements are known by their texts, and left out where these are.
        return Err("the texts of the statements could be read in only one of the two runs");
    }
    let earlier: BTreeMap<&str, &StatementCounter> =
        before.statements.iter().map(|one| (one.query_id.as_str(), one)).collect();
    let (before_is_full, now_is_full) = (before.statements.len() >= cap, now.statements.len() >= cap);
    let (mut rest_before, mut rest_now) = (before.others.clone(), now.others.clone());
    let mut delta = Delta { is_whole: true, ..Delta::default() };
    let mut is_lower = false;
    for one in &now.statements {
        match earlier.get(one.query_id.as_str()) {
            Some(before) if one.calls < before.calls || one.total_ms < before.total_ms => {
                // Thrown out and counted anew: what it did before it was thrown out is lost.
                is_lower = true;
                delta.is_whole = false;
                delta.statements.push(one.clone());
            }
            Some(before) => delta.statements.extend(one.since(before)),
            None if before_is_full => rest_now.get_or_insert_default().add(one),
            None => delta.statements.push(one.clone()),
        }
    }
    if is_lower && now.statements_reset.is_none() {
        // Before PostgreSQL 14 nothing else tells of a reset.
        return Err(RESET);
    }
    let listed: BTreeMap<&str, ()> = now.statements.iter().map(|one| (one.query_id.as_str(), ())).collect();
    for one in before.statements.iter().filter(|one| !listed.contains_key(one.query_id.as_str())) {
        if now_is_full {
            rest_before.get_or_insert_default().add(one);
        } else {
            delta.is_whole = false;
        }
    }
    delta.statements.retain(|one| one.calls > 0);
    match rest(rest_before.as_ref(), rest_now.as_ref()) {
        Ok(rest) => delta.rest = rest,
        Err(()) => delta.is_whole = false,
    }
    if now.dealloc > before.dealloc {
        delta.is_whole = false;
        delta.notes.push("pg_stat_statements is full and threw entries out; raise pg_stat_statements.max");
    }
    Ok(delta)
}

/// The difference of the sums of the rest; an error where some of it was thrown out.
fn rest(
    before: Option<&StatementCounter>,
    now: Option<&StatementCounter>,
) -> Result<Option<StatementCounter>, ()> {
    match (before, now) {
        (None, now) => Ok(now.filter(|now| now.calls > 0).cloned()),
        (Some(_), None) => Err(()),
        (Some(before), Some(now)) if now.calls < before.calls || now.total_ms < before.total_ms => Err(()),
        (Some(before), Some(now)) => Ok(now.since(before)),
    }
}

#[cfg(test)]
mod tests;
