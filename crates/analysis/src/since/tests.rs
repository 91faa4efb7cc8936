use proptest::prelude::*;

use super::*;
use crate::record::{CacheMetrics, DatabaseAnalysis, DatabaseMetrics, RecordNames};
use crate::request::StatementLabel;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn counter(id: &str, calls: u64, each_ms: f64) -> StatementCounter {
    let count = calls as f64;
    StatementCounter {
        query_id: id.to_owned(),
        calls,
        total_ms: count * each_ms,
        squares_ms2: count * each_ms * each_ms,
        rows: calls * 2,
        query: Some(format!("SELECT {id}")),
    }
}

fn database(second: i64, statements: Vec<StatementCounter>) -> DatabaseCounters {
    DatabaseCounters {
        at: at(second),
        database: 5,
        started: Some(at(1)),
        database_reset: Some(at(2)),
        statements_reset: Some(at(3)),
        dealloc: Some(0),
        blks_hit: 1_000,
        blks_read: 100,
        statements,
        others: None,
        tables: Vec::new(),
    }
}

fn redis(second: i64, hits: u64, misses: u64) -> CacheCounters {
    CacheCounters {
        at: at(second),
        run_id: "a".to_owned(),
        started: Some(at(1)),
        hits,
        misses,
        evicted: 3,
        expired: 4,
        own_hits: 0,
        own_misses: 0,
    }
}

fn asked() -> DatabaseRequest {
    DatabaseRequest {
        top_tables: 10,
        top_queries: 2,
        slow_query_threshold_ms: 100,
        latency_histogram: None,
        matchers: String::new(),
        statements: vec![StatementLabel { query_id: "2".to_owned(), label: "Daily summary".to_owned() }],
    }
}

/// A record with sampled figures of both, whose counters are these.
fn record(counters: Counters) -> BaselineRecord {
    let names = RecordNames { name: "dairy", namespace: "pasture", run: "dairy-1", run_key: "k" };
    let mut record = BaselineRecord::empty(names, 300, at(1_000));
    record.cache_metrics =
        Some(CacheMetrics { hit_rate: Some(50.0), hit_rate_window: Some(10.0), ..CacheMetrics::default() });
    record.database_metrics =
        Some(DatabaseMetrics { slow_queries: Some(Vec::new()), ..DatabaseMetrics::default() });
    record.database_analysis = Some(DatabaseAnalysis {
        slow_queries: Some(Vec::new()),
        cache_hit_ratio: Some(0.5),
        ..DatabaseAnalysis::default()
    });
    for path in [HIT_RATE, BLOCKS].iter().chain(&STATEMENTS) {
        let sampled = Basis { kind: BasisKind::Sampled, ..basis(at(900), at(960), None) };
        record.basis.insert((*path).to_owned(), sampled);
    }
    record.counters = Some(counters);
    record
}

fn of_cache(before: CacheCounters, now: CacheCounters) -> BaselineRecord {
    let mut record = record(Counters { cache: Some(now), database: None });
    since_previous(&mut record, &Counters { cache: Some(before), database: None }, None);
    record
}

fn of_database(before: DatabaseCounters, now: DatabaseCounters, asked: &DatabaseRequest) -> BaselineRecord {
    let mut record = record(Counters { database: Some(now), cache: None });
    since_previous(&mut record, &Counters { database: Some(before), cache: None }, Some(asked));
    record
}

#[test]
fn a_hit_rate_since_the_previous_run_replaces_the_sampled_one() {
    let record = of_cache(redis(100, 1_000, 1_000), redis(900, 1_090, 1_010));
    assert_eq!(record.cache_metrics.unwrap().hit_rate_window, Some(90.0));
    let basis = &record.basis[HIT_RATE];
    assert_eq!((basis.kind, basis.samples), (BasisKind::SincePreviousRun, Some(100)));
    assert_eq!((basis.from, basis.to), (at(100), at(900)));
}

#[test]
fn a_cache_that_was_reset_or_replaced_keeps_its_sampled_figure_and_says_why() {
    let before = redis(100, 1_000, 1_000);
    let other = CacheCounters { run_id: "b".to_owned(), ..redis(900, 2_000, 2_000) };
    let fewer_evicted = CacheCounters { evicted: 2, ..redis(900, 2_000, 2_000) };
    for (now, why) in [
        (other, OTHER_SERVER),
        (redis(900, 999, 2_000), RESET),
        (redis(900, 2_000, 999), RESET),
        (fewer_evicted, RESET),
        (redis(100, 2_000, 2_000), CLOCK),
    ] {
        let record = of_cache(before.clone(), now);
        assert_eq!(record.cache_metrics.as_ref().unwrap().hit_rate_window, Some(10.0));
        let basis = &record.basis[HIT_RATE];
        assert_eq!(basis.kind, BasisKind::Sampled);
        assert!(basis.note.as_ref().unwrap().ends_with(why), "{basis:?}");
    }
}

#[test]
fn without_a_lookup_since_the_previous_run_the_sampled_figure_stays() {
    let record = of_cache(redis(100, 5, 5), redis(900, 5, 5));
    assert_eq!(record.basis[HIT_RATE].kind, BasisKind::Sampled);
}

#[test]
fn statements_since_the_previous_run_replace_the_sampled_ones() {
    let before = database(100, vec![counter("1", 10, 5.0), counter("2", 10, 5.0), counter("3", 7, 1.0)]);
    let second = StatementCounter { total_ms: 50.0 + 4.0 * 200.0, ..counter("2", 14, 5.0) };
    let mut now =
        database(900, vec![counter("1", 30, 5.0), second, counter("3", 7, 1.0), counter("4", 3, 150.0)]);
    now.blks_hit += 90;
    now.blks_read += 10;
    let record = of_database(before, now, &asked());
    let metrics = record.database_metrics.as_ref().unwrap();
    let listed: Vec<_> = metrics
        .slow_queries
        .iter()
        .flatten()
        .map(|one| (one.query_id.as_str(), one.calls, one.avg_time_ms))
        .collect();
    assert_eq!(listed, [("2", 4, 200.0), ("4", 3, 150.0)], "two at most, the third was not called");
    let analysis = record.database_analysis.as_ref().unwrap();
    let slow = analysis.slow_queries.as_ref().unwrap();
    assert_eq!(slow.len(), 2);
    assert_eq!((slow[0].label.as_deref(), slow[0].total_ms, slow[0].rows), (Some("Daily summary"), 800.0, 8));
    assert_eq!(slow[1].query.as_deref(), Some("SELECT 4"));
    let top: Vec<(&str, f64)> =
        analysis.top_statements.iter().flatten().map(|one| (one.query_id.as_str(), one.total_ms)).collect();
    assert_eq!(top, [("2", 800.0), ("4", 450.0), ("1", 100.0)]);
    assert_eq!(analysis.execution_time_ms, Some(1_350.0));
    assert_eq!(analysis.cache_hit_ratio, Some(0.9));
    // 20 of 5 ms, 3 of 150 ms, 4 of 200 ms: the 95th percentile is one of the 200.
    let time = metrics.query_time_p95_ms.unwrap();
    assert!(time.low > 150.0 && time.high.unwrap() >= 200.0, "{time:?}");
    for path in [BLOCKS, MEANS, SLOW, TOP, EXECUTION_TIME, QUERY_TIME] {
        assert_eq!(record.basis[path].kind, BasisKind::SincePreviousRun, "{path}");
    }
    assert_eq!(record.basis[QUERY_TIME].samples, Some(27));
}

#[test]
fn a_database_that_was_reset_or_replaced_keeps_its_sampled_figures_and_says_why() {
    let before = database(100, vec![counter("1", 10, 5.0)]);
    let now = || database(900, vec![counter("1", 30, 5.0)]);
    let no_info = |counters: DatabaseCounters| DatabaseCounters { statements_reset: None, ..counters };
    let statements = STATEMENTS.as_slice();
    let all = [BLOCKS, MEANS, SLOW, TOP, EXECUTION_TIME, QUERY_TIME].as_slice();
    let mut without_texts = now();
    without_texts.statements[0].query = None;
    for (before, now, why, paths) in [
        (before.clone(), DatabaseCounters { started: Some(at(50)), ..now() }, OTHER_SERVER, all),
        (before.clone(), DatabaseCounters { started: None, ..now() }, OTHER_SERVER, all),
        (before.clone(), DatabaseCounters { database: 6, ..now() }, OTHER_DATABASE, all),
        (before.clone(), DatabaseCounters { at: at(99), ..now() }, CLOCK, all),
        (before.clone(), DatabaseCounters { blks_hit: 1, ..now() }, RESET, &[BLOCKS]),
        (before.clone(), DatabaseCounters { database_reset: Some(at(500)), ..now() }, RESET, &[BLOCKS]),
        (before.clone(), DatabaseCounters { statements_reset: Some(at(500)), ..now() }, RESET, statements),
        (no_info(before.clone()), no_info(database(900, vec![counter("1", 9, 5.0)])), RESET, statements),
        (before.clone(), without_texts, "in only one of the two runs", statements),
    ] {
        let record = of_database(before, now, &asked());
        for path in paths {
            let basis = &record.basis[*path];
            assert_eq!(basis.kind, BasisKind::Sampled, "{path}: {why}");
            assert!(basis.note.as_ref().unwrap().ends_with(why), "{path}: {basis:?}");
        }
    }
}

#[test]
fn entries_that_were_thrown_out_leave_the_query_time_as_it_was() {
    let before = database(100, vec![counter("1", 10, 5.0), counter("2", 10, 5.0)]);
    let thrown = DatabaseCounters { dealloc: Some(1), ..database(900, vec![counter("1", 4, 5.0)]) };
    let record = of_database(before, thrown, &asked());
    let metrics = record.database_metrics.unwrap();
    assert_eq!(metrics.slow_queries.unwrap()[0].calls, 4, "counted anew since it was thrown out");
    assert!(record.basis[MEANS].note.as_ref().unwrap().contains("pg_stat_statements.max"));
    assert_eq!(record.basis[QUERY_TIME].kind, BasisKind::Sampled);
}

#[test]
fn a_query_time_from_a_histogram_stays() {
    let with_histogram = DatabaseRequest { latency_histogram: Some("h".to_owned()), ..asked() };
    let before = database(100, vec![counter("1", 10, 5.0)]);
    let record = of_database(before, database(900, vec![counter("1", 30, 5.0)]), &with_histogram);
    assert_eq!(record.database_metrics.unwrap().query_time_p95_ms, None);
    assert_eq!(record.basis[MEANS].kind, BasisKind::SincePreviousRun);
}

#[test]
fn a_run_without_counters_or_after_one_without_them_stays_as_it_is() {
    let whole = Counters {
        cache: Some(redis(100, 5, 5)),
        database: Some(database(100, vec![counter("1", 10, 5.0)])),
    };
    for (before, now) in [(Counters::default(), whole.clone()), (whole, Counters::default())] {
        let mut after = record(now.clone());
        since_previous(&mut after, &before, Some(&asked()));
        assert_eq!(after, record(now));
    }
}

/// Counters of all statements as a run keeps them: `cap` by themselves, by total time, the others summed.
fn kept(second: i64, all: &[StatementCounter], cap: usize) -> DatabaseCounters {
    let mut sorted: Vec<StatementCounter> = all.iter().filter(|one| one.calls > 0).cloned().collect();
    sorted.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
    let mut counters = database(second, Vec::new());
    for (index, one) in sorted.into_iter().enumerate() {
        if index < cap {
            counters.statements.push(one);
        } else {
            counters.others.get_or_insert_default().add(&one);
        }
    }
    counters
}

#[test]
fn counters_that_do_not_say_of_which_database_they_are_make_no_difference() {
    let now = database(900, vec![counter("1", 14, 5.0)]);
    let mut old = serde_json::to_value(&now).unwrap();
    old.as_object_mut().unwrap().remove("database");
    let old: DatabaseCounters = serde_json::from_value(old).unwrap();
    assert_eq!(same_server(&DatabaseCounters { at: at(100), ..old }, &now), Err(OTHER_DATABASE));
    assert_eq!(same_server(&DatabaseCounters { at: at(100), ..now.clone() }, &now), Ok(()));
}

proptest! {
    #[test]
    fn deltas_sum_up_to_what_was_executed(
        runs in prop::collection::vec((0_u64..50, 0_u64..50, 0.01_f64..500.0), 0..20),
        cap in 1_usize..12,
    ) {
        let of = |calls: &dyn Fn(&(u64, u64, f64)) -> u64| -> Vec<StatementCounter> {
            let one = |(index, run): (usize, &(u64, u64, f64))| counter(&index.to_string(), calls(run), run.2);
            runs.iter().enumerate().map(one).collect()
        };
        let before = kept(100, &of(&|run| run.0), cap);
        let now = kept(900, &of(&|run| run.0 + run.1), cap);
        let delta = delta(&before, &now, cap).unwrap();
        let all = || delta.statements.iter().chain(&delta.rest);
        prop_assert!(delta.is_whole);
        prop_assert_eq!(all().map(|one| one.calls).sum::<u64>(), runs.iter().map(|run| run.1).sum::<u64>());
        let total: f64 = all().map(|one| one.total_ms).sum();
        let expected: f64 = runs.iter().map(|run| run.1 as f64 * run.2).sum();
        prop_assert!((total - expected).abs() <= 1e-6 * expected.max(1.0), "{} {}", total, expected);
        // Whoever is listed has exactly its own calls.
        for one in &delta.statements {
            let index: usize = one.query_id.parse().unwrap();
            prop_assert_eq!(one.calls, runs[index].1);
        }
        // What is known bounds the percentile of what was executed.
        let mut times: Vec<f64> =
            runs.iter().flat_map(|run| std::iter::repeat_n(run.2, usize::try_from(run.1).unwrap())).collect();
        times.sort_by(f64::total_cmp);
        let mix: Vec<Moments> = all().map(Moments::from).collect();
        match quantile_bounds(&mix, P95) {
            None => prop_assert!(times.is_empty()),
            Some((low, high)) => {
                let exact = times[(times.len() * 95).div_ceil(100) - 1];
                let slack = 1e-6 * exact.max(1.0);
                prop_assert!(low <= exact + slack && exact <= high + slack, "{} {} {}", low, exact, high);
            }
        }
    }

    #[test]
    fn a_difference_of_whatever_counters_is_never_more_than_they_are_now(
        before in prop::collection::vec((0_u64..9, 0_u64..100, 0.0_f64..1e6), 0..9),
        now in prop::collection::vec((0_u64..9, 0_u64..100, 0.0_f64..1e6), 0..9),
        dealloc in 0_u64..2,
    ) {
        let of = |second: i64, all: &[(u64, u64, f64)]| {
            let mut all = all.to_vec();
            all.sort_by_key(|one| one.0);
            all.dedup_by_key(|one| one.0);
            let one = |one: &(u64, u64, f64)| counter(&one.0.to_string(), one.1, one.2);
            kept(second, &all.iter().map(one).collect::<Vec<_>>(), 4)
        };
        let before = of(100, &before);
        let now = DatabaseCounters { dealloc: Some(dealloc), ..of(900, &now) };
        if let Ok(delta) = delta(&before, &now, 4) {
            for one in &delta.statements {
                let whole = now.statements.iter().find(|other| other.query_id == one.query_id).unwrap();
                prop_assert!(one.calls > 0 && one.calls <= whole.calls);
                prop_assert!(one.total_ms >= 0.0 && one.total_ms <= whole.total_ms);
            }
            let sum: u64 = delta.statements.iter().chain(&delta.rest).map(|one| one.calls).sum();
            let whole: u64 = now.statements.iter().chain(&now.others).map(|one| one.calls).sum();
            prop_assert!(sum <= whole);
        }
    }
}
