//! The rule on statements of the database.

use jiff::Timestamp;

use super::{Rule, behind_requests, effect, finding};
use crate::format::{count, milliseconds, percent};
use crate::judgement::{Finding, Impact};
use crate::record::{BaselineRecord, BasisKind, SlowStatement};

/// Part of the database's execution time from which on a statement is worth a look, percent.
const TIME_SHARE_PERCENT: f64 = 10.0;
/// Part of it from which on users feel it.
const HIGH_SHARE_PERCENT: f64 = 25.0;
/// Part of the time covered for which a statement that is not slow by itself must have kept one connection busy, percent:
/// a database that idles has a longest statement, too.
const BUSY_PERCENT: f64 = 10.0;

const SLOW: &str = "database_analysis.slow_queries";
const COUNTERS: &str = "counters.database.statements";

/// Statements by their share of the database's time.
pub(super) const STATEMENT_TIME: Rule = Rule {
    id: "statement-time",
    fires: || {
        format!(
            "a statement takes at least {TIME_SHARE_PERCENT}% of the database's execution time, and its mean is above `slowQueryThreshold` or it kept a connection busy for {BUSY_PERCENT}% of the time; High from {HIGH_SHARE_PERCENT}%"
        )
    },
    find: statement_time,
};

/// One statement over the basis of the slow statements.
struct Statement<'a> {
    query_id: &'a str,
    label: Option<&'a str>,
    query: Option<&'a str>,
    calls: u64,
    total_ms: f64,
    is_slow: bool,
    path: &'static str,
}

impl<'a> From<&'a SlowStatement> for Statement<'a> {
    fn from(one: &'a SlowStatement) -> Self {
        Self {
            query_id: &one.query_id,
            label: one.label.as_deref(),
            query: one.query.as_deref(),
            calls: one.calls,
            total_ms: one.total_ms,
            is_slow: true,
            path: SLOW,
        }
    }
}

fn statement_time(record: &BaselineRecord) -> Vec<Finding> {
    let slow = record.database_analysis.iter().flat_map(|analysis| analysis.slow_queries.iter().flatten());
    let mut statements: Vec<Statement<'_>> = slow.map(Statement::from).collect();
    let Some(basis) = record.basis_of(SLOW) else { return Vec::new() };
    let mut all = None;
    if basis.kind == BasisKind::Lifetime {
        // The counters are since the same reset: they have the statements that are quick and run often, too.
        let database = record.counters.iter().find_map(|counters| counters.database.as_ref());
        let counted = database.into_iter().flat_map(|database| &database.statements);
        for one in counted.clone() {
            if statements.iter().all(|known| known.query_id != one.query_id) {
                statements.push(Statement {
                    query_id: &one.query_id,
                    label: None,
                    query: one.query.as_deref(),
                    calls: one.calls,
                    total_ms: one.total_ms,
                    is_slow: false,
                    path: COUNTERS,
                });
            }
        }
        let others = database.iter().filter_map(|database| database.others.as_ref());
        let sum: f64 = counted.chain(others).map(|one| one.total_ms).sum();
        all = Some(sum).filter(|sum| *sum > 0.0);
    }
    let elapsed = elapsed_ms(basis.from, basis.to);
    let mut found: Vec<Finding> =
        statements.iter().filter_map(|statement| judged(statement, all, elapsed)).collect();
    found.sort_by(|a, b| b.effect_percent.unwrap_or(0.0).total_cmp(&a.effect_percent.unwrap_or(0.0)));
    found
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> Option<f64> {
    Some(to.duration_since(from).as_secs_f64() * 1_000.0).filter(|elapsed| *elapsed > 0.0)
}

/// The finding of one statement, of `all` the execution time of the database over `elapsed` milliseconds.
fn judged(statement: &Statement<'_>, all: Option<f64>, elapsed: Option<f64>) -> Option<Finding> {
    let busy = elapsed.map(|elapsed| statement.total_ms / elapsed * 100.0);
    let is_busy = busy.is_some_and(|busy| busy >= BUSY_PERCENT);
    let share = all.and_then(|all| effect(statement.total_ms / all * 100.0));
    match share {
        Some(share) if share >= TIME_SHARE_PERCENT && (statement.is_slow || is_busy) => {}
        None if is_busy => {}
        _ => return None,
    }
    let mut evidence = match (share, busy) {
        (Some(share), _) => format!("{} of the database's execution time", percent(share)),
        (None, Some(busy)) => format!("one connection busy for {} of the time", percent(busy)),
        (None, None) => String::new(),
    };
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let mean = statement.total_ms / statement.calls.max(1) as f64;
    evidence.push_str(&format!(
        ": {} calls of {} on average, {} in all",
        count(statement.calls),
        milliseconds(mean),
        milliseconds(statement.total_ms)
    ));
    let subject = statement.label.map_or_else(|| format!("queryid {}", statement.query_id), str::to_owned);
    if statement.label.is_some() {
        evidence.push_str(&format!("; queryid {}", statement.query_id));
    }
    if let Some(query) = statement.query {
        evidence.push_str(&format!("; {query}"));
    }
    let is_high = share.is_some_and(|share| share >= HIGH_SHARE_PERCENT);
    Some(Finding {
        effect_percent: share,
        evidence,
        action: "Run EXPLAIN (ANALYZE, BUFFERS) on it with real values: index what it filters and joins by, read fewer rows, run it less often, or keep its result (cache, materialised view)".to_owned(),
        paths: vec![statement.path.to_owned()],
        explains: behind_requests(&["database.queryTime.p95"]),
        ..finding(&STATEMENT_TIME, if is_high { Impact::High } else { Impact::Medium }, subject)
    })
}
