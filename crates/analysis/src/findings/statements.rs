//! The rule on statements of the database.

use jiff::Timestamp;

use super::{Rule, behind_requests, effect, finding};
use crate::format::{count, milliseconds, percent};
use crate::judgement::{Finding, Impact};
use crate::record::{BaselineRecord, SlowStatement};

/// Part of the database's execution time from which on a statement is worth a look, percent.
const TIME_SHARE_PERCENT: f64 = 10.0;
/// Part of it from which on users feel it, where the database has work to do.
const HIGH_SHARE_PERCENT: f64 = 25.0;
/// Part of the time covered for which the statement must have kept one connection busy for that, percent.
const HIGH_BUSY_PERCENT: f64 = 1.0;
/// Part of the time covered for which a statement that is not slow by itself must have kept one connection busy, percent:
/// a database that idles has a longest statement, too.
const BUSY_PERCENT: f64 = 10.0;

const SLOW: &str = "database_analysis.slow_queries";
const TOP: &str = "database_analysis.top_statements";

/// Statements by their share of the database's time.
pub(super) const STATEMENT_TIME: Rule = Rule {
    id: "statement-time",
    fires: || {
        format!(
            "a statement takes at least {TIME_SHARE_PERCENT}% of the database's execution time, and its mean is above `slowQueryThreshold` or it kept a connection busy for {BUSY_PERCENT}% of the time; High from {HIGH_SHARE_PERCENT}%, and {HIGH_BUSY_PERCENT}% of the time"
        )
    },
    find: statement_time,
};

fn statement_time(record: &BaselineRecord) -> Vec<Finding> {
    let Some(analysis) = record.database_analysis.as_ref() else { return Vec::new() };
    let slow = analysis.slow_queries.iter().flatten().map(|one| (one, true));
    // The same statement may be in both lists.
    let is_slow = |one: &SlowStatement| {
        analysis.slow_queries.iter().flatten().any(|slow| slow.query_id == one.query_id)
    };
    let top = analysis.top_statements.iter().flatten().filter(|one| !is_slow(one)).map(|one| (one, false));
    let all = analysis.execution_time_ms.filter(|all| *all > 0.0);
    let elapsed = record.basis_of(SLOW).and_then(|basis| elapsed_ms(basis.from, basis.to));
    let judged = |(one, is_slow)| judged(one, is_slow, (all, elapsed));
    let mut found: Vec<Finding> = slow.chain(top).filter_map(judged).collect();
    let share = |finding: &Finding| finding.effect_percent.unwrap_or(0.0);
    found.sort_by(|a, b| share(b).total_cmp(&share(a)));
    found
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> Option<f64> {
    Some(to.duration_since(from).as_secs_f64() * 1_000.0).filter(|elapsed| *elapsed > 0.0)
}

/// The finding of one statement, by the execution time of all statements and the time that went by, milliseconds each.
fn judged(
    statement: &SlowStatement,
    is_slow: bool,
    (all, elapsed): (Option<f64>, Option<f64>),
) -> Option<Finding> {
    let busy = elapsed.map(|elapsed| statement.total_ms / elapsed * 100.0);
    let is_busy = busy.is_some_and(|busy| busy >= BUSY_PERCENT);
    let share = all.and_then(|all| effect(statement.total_ms / all * 100.0));
    match share {
        Some(share) if share >= TIME_SHARE_PERCENT && (is_slow || is_busy) => {}
        None if is_busy => {}
        _ => return None,
    }
    let mut evidence = match (share, busy) {
        (Some(share), _) => format!("{} of the database's execution time", percent(share)),
        (None, Some(busy)) => format!("one connection busy for {} of the time", percent(busy)),
        (None, None) => String::new(),
    };
    evidence.push_str(&format!(
        ": {} calls of {} on average, {} in all",
        count(statement.calls),
        milliseconds(statement.avg_ms),
        milliseconds(statement.total_ms)
    ));
    let subject = statement.label.clone().unwrap_or_else(|| format!("queryid {}", statement.query_id));
    if statement.label.is_some() {
        evidence.push_str(&format!("; queryid {}", statement.query_id));
    }
    if let Some(query) = &statement.query {
        evidence.push_str(&format!("; {query}"));
    }
    let is_high = share.is_some_and(|share| share >= HIGH_SHARE_PERCENT)
        && busy.is_some_and(|busy| busy >= HIGH_BUSY_PERCENT);
    Some(Finding {
        effect_percent: share,
        evidence,
        action: "Run EXPLAIN (ANALYZE, BUFFERS) on it with real values: index what it filters and joins by, read fewer rows, run it less often, or keep its result (cache, materialised view)".to_owned(),
        paths: vec![if is_slow { SLOW } else { TOP }.to_owned()],
        explains: behind_requests(&["database.queryTime.p95"]),
        ..finding(&STATEMENT_TIME, if is_high { Impact::High } else { Impact::Medium }, subject)
    })
}
