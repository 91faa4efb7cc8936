//! Statements: which are slow, and how long queries take, from pg_stat_statements.

pub(crate) mod delta;
pub(crate) mod read;
pub(crate) mod text;

use plimsoll_analysis::query_time::{Moments, P95, quantile_bounds};
use plimsoll_analysis::record::{
    MAX_TOP_STATEMENTS, QueryTime, QueryTimeMethod, SlowStatement, StatementCounter, StatementMean,
};
use plimsoll_analysis::request::DatabaseRequest;
use plimsoll_analysis::since::{MAX_SLOW, MAX_STATEMENTS};

use self::delta::Snapshot;
use self::read::Texts;

/// Texts are asked for this many times as many statements as are shown: utility statements among them are dropped.
const SPARE: usize = 3;
/// Of how many statements with the most total time the texts are read: some are dropped.
const LONGEST: usize = MAX_STATEMENTS + 100;

/// Statements over some time, and what of their texts is known.
pub(crate) struct Statements<'a> {
    /// Those that can be told apart.
    pub(crate) known: &'a [StatementCounter],
    /// Sums of those that cannot.
    pub(crate) rest: &'a [StatementCounter],
    /// `None` where the texts could not be read: then no statement can be dropped for what it is, and none is shown.
    pub(crate) texts: Option<&'a Texts>,
}

/// What is recorded of statements.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) by_mean: Vec<StatementMean>,
    pub(crate) slow: Vec<SlowStatement>,
    /// Those with the most execution time.
    pub(crate) top: Vec<SlowStatement>,
    /// Execution time of all, milliseconds.
    pub(crate) total_ms: f64,
    pub(crate) query_time: Option<QueryTime>,
    /// Executions behind the query time.
    pub(crate) calls: u64,
}

fn number(counter: &StatementCounter) -> Option<i64> {
    counter.query_id.parse().ok()
}

/// Which statements' texts are worth asking for: the slowest and the longest of the time covered, and those whose counters
/// are kept.
pub(crate) fn wanted(known: &[StatementCounter], lifetime: &Snapshot, request: &DatabaseRequest) -> Vec<i64> {
    let shown = (request.top_queries as usize).max(MAX_SLOW);
    let mut slowest: Vec<&StatementCounter> = known.iter().collect();
    slowest.sort_by(|a, b| a.slower(b));
    let slowest = slowest.into_iter().take(shown.saturating_mul(SPARE)).filter_map(number);
    let mut top: Vec<&StatementCounter> = known.iter().collect();
    top.sort_by(|a, b| a.longer(b));
    let top = top.into_iter().take(MAX_TOP_STATEMENTS * SPARE).filter_map(number);
    let kept = longest(lifetime).into_iter().filter_map(number);
    let mut wanted: Vec<i64> = slowest.chain(top).chain(kept).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Statements by total time, highest first, as many as may be kept.
fn longest(snapshot: &Snapshot) -> Vec<&StatementCounter> {
    let mut all: Vec<&StatementCounter> = snapshot.statements.values().map(|one| &one.counter).collect();
    all.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    all.truncate(LONGEST);
    all
}

impl Statements<'_> {
    /// The text to show: `Err` where the row is dropped, `Ok(None)` where the text is not known.
    fn text(&self, counter: &StatementCounter) -> Result<Option<String>, Dropped> {
        let (Some(id), Some(texts)) = (number(counter), self.texts) else { return Ok(None) };
        if texts.left_out.contains(&id) {
            return Err(Dropped);
        }
        match texts.texts.get(&id) {
            None => Ok(None),
            Some(text) => text::shown(text).map(Some).ok_or(Dropped),
        }
    }

    fn is_left_out(&self, counter: &StatementCounter) -> bool {
        number(counter).zip(self.texts).is_some_and(|(id, texts)| texts.left_out.contains(&id))
    }

    /// The figures of a record.
    pub(crate) fn figures(&self, request: &DatabaseRequest) -> Figures {
        let mut sorted: Vec<&StatementCounter> = self.known.iter().filter(|one| one.calls > 0).collect();
        sorted.sort_by(|a, b| a.slower(b));
        let shown = sorted.iter().filter_map(|one| Some((*one, self.text(one).ok()?)));
        let by_mean = shown.clone().take(request.top_queries as usize).map(|(one, query)| StatementMean {
            calls: one.calls,
            avg_time_ms: one.mean_ms(),
            query,
            query_id: one.query_id.clone(),
        });
        #[expect(clippy::cast_precision_loss, reason = "a threshold of milliseconds")]
        let threshold = request.slow_query_threshold_ms as f64;
        let named = |(one, query)| SlowStatement::new(one, query, &request.statements);
        let slow = shown.filter(|(one, _)| one.mean_ms() > threshold).take(MAX_SLOW).map(named);
        let mut longest = sorted.clone();
        longest.sort_by(|a, b| a.longer(b));
        let top = longest.iter().filter_map(|one| Some((*one, self.text(one).ok()?)));
        let counted = self.known.iter().filter(|one| !self.is_left_out(one)).chain(self.rest);
        let total_ms = counted.clone().map(|one| one.total_ms).sum();
        let mix: Vec<Moments> = counted.map(Moments::from).collect();
        let query_time = quantile_bounds(&mix, P95).map(|(low, high)| QueryTime {
            low,
            high: Some(high),
            method: QueryTimeMethod::StatementBounds,
        });
        Figures {
            by_mean: by_mean.collect(),
            slow: slow.collect(),
            top: top.take(MAX_TOP_STATEMENTS).map(named).collect(),
            total_ms,
            query_time,
            calls: mix.iter().map(|part| part.calls).sum(),
        }
    }

    /// Counters for the next run: the statements with the most total time by themselves, the others summed. Those that
    /// are left out of every figure are in neither.
    pub(crate) fn counters(&self, snapshot: &Snapshot) -> (Vec<StatementCounter>, Option<StatementCounter>) {
        let mut kept = Vec::new();
        let mut others: Option<StatementCounter> = None;
        let mut all: Vec<&StatementCounter> = snapshot
            .statements
            .values()
            .map(|one| &one.counter)
            .filter(|one| one.calls > 0 && !self.is_left_out(one))
            .collect();
        all.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
        for one in all {
            match self.text(one) {
                Ok(query) if kept.len() < MAX_STATEMENTS => {
                    kept.push(StatementCounter { query, ..one.clone() });
                }
                _ => others.get_or_insert_default().add(one),
            }
        }
        for one in snapshot.others.iter().chain(&snapshot.hidden) {
            others.get_or_insert_default().add(one);
        }
        (kept, others)
    }
}

/// A statement's row that is not shown.
#[derive(Debug)]
struct Dropped;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plimsoll_analysis::request::StatementLabel;

    use super::*;

    fn request(top: u32) -> DatabaseRequest {
        DatabaseRequest {
            top_tables: 10,
            top_queries: top,
            slow_query_threshold_ms: 100,
            latency_histogram: None,
            matchers: String::new(),
            statements: vec![StatementLabel { query_id: "-2".to_owned(), label: "Daily summary".to_owned() }],
        }
    }

    fn counter(id: i64, calls: u64, each: f64) -> StatementCounter {
        StatementCounter {
            query_id: id.to_string(),
            calls,
            total_ms: calls as f64 * each,
            squares_ms2: calls as f64 * each * each,
            rows: 1,
            query: None,
        }
    }

    fn texts() -> Texts {
        let texts = [(-2, "SELECT $1"), (3, "CREATE ROLE x PASSWORD 'canary'"), (4, "SELECT b")];
        Texts { texts: texts.map(|(id, text)| (id, text.to_owned())).into(), left_out: BTreeSet::from([9]) }
    }

    #[test]
    fn slow_statements_are_listed_with_labels_and_without_what_may_hold_a_literal() {
        let known =
            [counter(4, 5, 20.0), counter(-2, 3, 150.0), counter(3, 1, 900.0), counter(9, 100, 300.0)];
        let texts = texts();
        let figures = Statements { known: &known, rest: &[], texts: Some(&texts) }.figures(&request(10));
        let by_mean: Vec<_> = figures.by_mean.iter().map(|one| one.query_id.as_str()).collect();
        assert_eq!(by_mean, ["-2", "4"]);
        assert_eq!(figures.slow.len(), 1);
        assert_eq!(figures.slow[0].label.as_deref(), Some("Daily summary"));
        assert_eq!((figures.slow[0].avg_ms, figures.slow[0].total_ms), (150.0, 450.0));
        let top: Vec<_> = figures.top.iter().map(|one| (one.query_id.as_str(), one.total_ms)).collect();
        assert_eq!(top, [("-2", 450.0), ("4", 100.0)]);
        // The utility statement took its time all the same; ours did not happen.
        assert_eq!((figures.calls, figures.total_ms), (9, 1_450.0));
    }

    #[test]
    fn a_limit_keeps_the_slowest() {
        let known = [counter(4, 5, 20.0), counter(-2, 3, 150.0)];
        let figures = Statements { known: &known, rest: &[], texts: None }.figures(&request(1));
        assert_eq!(figures.by_mean.len(), 1);
        assert_eq!((figures.by_mean[0].query_id.as_str(), figures.by_mean[0].query.as_deref()), ("-2", None));
    }

    #[test]
    fn what_cannot_be_told_apart_still_bounds_the_query_time() {
        let known = [counter(4, 5, 20.0)];
        let rest = [counter(0, 95, 1000.0)];
        let figures = Statements { known: &known, rest: &rest, texts: None }.figures(&request(1));
        assert!((figures.query_time.unwrap().low - 1000.0).abs() < 1e-3);
        assert_eq!((figures.calls, figures.total_ms), (100, 95_100.0));
    }
}
