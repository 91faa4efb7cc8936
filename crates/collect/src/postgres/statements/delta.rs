//! What statements did between two snapshots of this run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_analysis::record::StatementCounter;

/// Counters of all statements of a database at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// By the server's clock.
    pub(crate) at: Timestamp,
    /// `stats_reset` of pg_stat_statements_info; absent before its version 1.9.
    pub(crate) reset: Option<Timestamp>,
    /// `dealloc` of pg_stat_statements_info.
    pub(crate) dealloc: Option<u64>,
    pub(crate) statements: BTreeMap<i64, Statement>,
    /// All beyond the most that are read one by one.
    pub(crate) others: Option<StatementCounter>,
    /// Executions of statements that the role may not see one by one.
    pub(crate) hidden: Option<StatementCounter>,
}

/// Counters of one statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) counter: StatementCounter,
    /// `stats_since` (PostgreSQL 17): when counting began.
    pub(crate) since: Option<Timestamp>,
}

/// What was counted between two snapshots.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Delta {
    pub(crate) statements: Vec<StatementCounter>,
    /// Executions that cannot be told apart by statement.
    pub(crate) rest: Vec<StatementCounter>,
    /// When counting began: the first snapshot, or a reset after it.
    pub(crate) from: Timestamp,
    /// Whether all counters were reset, or some thrown out, between the snapshots.
    pub(crate) is_reset: bool,
    pub(crate) thrown_out: u64,
}

/// The differences of two snapshots. A statement that the first lacks, or whose counting began anew, counts from there:
/// its whole counters lie between the two.
pub(crate) fn delta(before: &Snapshot, after: &Snapshot) -> Delta {
    let is_reset = before.reset != after.reset;
    let nothing = Snapshot::default();
    let known = if is_reset { &nothing } else { before };
    let statements = after.statements.iter().filter_map(|(id, now)| {
        let earlier = known.statements.get(id).filter(|earlier| is_continued(earlier, now));
        difference(earlier.map(|earlier| &earlier.counter), &now.counter)
    });
    let rest = [(&known.others, &after.others), (&known.hidden, &after.hidden)];
    let rest = rest.into_iter().filter_map(|(earlier, now)| {
        let now = now.as_ref()?;
        // Fewer than before: some were thrown out, and what the rest did is not known.
        let earlier = earlier.as_ref();
        if earlier.is_some_and(|earlier| earlier.calls > now.calls) { None } else { difference(earlier, now) }
    });
    Delta {
        statements: statements.collect(),
        rest: rest.collect(),
        from: after.reset.filter(|reset| is_reset && *reset > before.at).unwrap_or(before.at),
        is_reset,
        thrown_out: after.dealloc.unwrap_or(0).saturating_sub(before.dealloc.unwrap_or(0)),
    }
}

fn is_continued(before: &Statement, now: &Statement) -> bool {
    before.since == now.since && now.counter.calls >= before.counter.calls
}

fn difference(before: Option<&StatementCounter>, now: &StatementCounter) -> Option<StatementCounter> {
    match before {
        Some(before) => now.since(before),
        None => Some(now.clone()).filter(|now| now.calls > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn counter(id: i64, calls: u64, each_ms: f64) -> StatementCounter {
        let count = calls as f64;
        StatementCounter {
            query_id: id.to_string(),
            calls,
            total_ms: count * each_ms,
            squares_ms2: count * each_ms * each_ms,
            rows: calls * 2,
            query: None,
        }
    }

    fn snapshot(second: i64, statements: &[(i64, u64, f64)]) -> Snapshot {
        let statements = statements
            .iter()
            .map(|&(id, calls, each)| (id, Statement { counter: counter(id, calls, each), since: None }));
        Snapshot {
            at: at(second),
            reset: Some(at(0)),
            dealloc: Some(0),
            statements: statements.collect(),
            ..Snapshot::default()
        }
    }

    fn calls(delta: &Delta) -> Vec<(String, u64)> {
        delta.statements.iter().map(|one| (one.query_id.clone(), one.calls)).collect()
    }

    #[test]
    fn only_what_ran_between_the_snapshots_is_there() {
        let before = snapshot(100, &[(-5, 10, 2.0), (7, 3, 1.0)]);
        let after = snapshot(160, &[(-5, 14, 2.0), (7, 3, 1.0), (9, 2, 50.0)]);
        let found = delta(&before, &after);
        assert_eq!(calls(&found), [("-5".to_owned(), 4), ("9".to_owned(), 2)]);
        assert_eq!((found.statements[0].total_ms, found.statements[0].rows), (8.0, 8));
        assert!((found.statements[0].squares_ms2 - 16.0).abs() < 1e-9);
        assert_eq!((found.from, found.is_reset), (at(100), false));
    }

    #[test]
    fn a_statement_that_was_thrown_out_and_came_back_counts_from_there() {
        let before = snapshot(100, &[(1, 1000, 2.0)]);
        let mut after = snapshot(160, &[(1, 5, 2.0)]);
        after.dealloc = Some(3);
        let found = delta(&before, &after);
        assert_eq!((calls(&found), found.thrown_out), (vec![("1".to_owned(), 5)], 3));
    }

    #[test]
    fn from_postgresql_17_on_a_new_beginning_is_known_even_with_more_calls() {
        let before = snapshot(100, &[(1, 5, 2.0)]);
        let mut after = snapshot(160, &[(1, 8, 2.0)]);
        after.statements.get_mut(&1).unwrap().since = Some(at(130));
        assert_eq!(calls(&delta(&before, &after)), [("1".to_owned(), 8)]);
    }

    #[test]
    fn after_a_reset_all_counts_from_it() {
        let before = snapshot(100, &[(1, 5, 2.0)]);
        let mut after = snapshot(160, &[(1, 8, 2.0)]);
        after.reset = Some(at(120));
        let found = delta(&before, &after);
        assert_eq!(calls(&found), [("1".to_owned(), 8)]);
        assert_eq!((found.from, found.is_reset), (at(120), true));
    }

    #[test]
    fn the_rest_counts_too_unless_some_of_it_was_thrown_out() {
        let mut before = snapshot(100, &[]);
        let mut after = snapshot(160, &[]);
        before.others = Some(counter(0, 100, 1.0));
        after.others = Some(counter(0, 150, 1.0));
        before.hidden = Some(counter(0, 100, 1.0));
        after.hidden = Some(counter(0, 90, 1.0));
        let found = delta(&before, &after);
        assert_eq!(found.rest.iter().map(|one| one.calls).collect::<Vec<_>>(), [50]);
    }

    #[test]
    fn rounding_never_makes_the_squares_less_than_possible() {
        let before = snapshot(100, &[(1, 1_000_000_000, 1234.567)]);
        let after = snapshot(160, &[(1, 1_000_000_001, 1234.567)]);
        let found = &delta(&before, &after).statements[0];
        assert!(found.squares_ms2 >= found.total_ms * found.total_ms);
    }
}
