use super::*;
use crate::record_map::{RECORD_GZ, RecordOwner, read, to_config_map};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::record::{
    BaselineRecord, CacheAnalysis, Counters, DatabaseAnalysis, DatabaseCounters, DatabaseMetrics,
    HistogramSeries, Keyspace, NumberSeries, PrefixEstimate, RatioSeries, Series, SlowStatement,
    StatementCounter, TableSize, UnusedIndex,
};
use plimsoll_testkit::fixtures::record;
use std::collections::BTreeMap;

fn owner() -> RecordOwner {
    RecordOwner {
        run: "dairy-0123456789".to_owned(),
        namespace: "pasture".to_owned(),
        owner: OwnerReference::default(),
        labels: BTreeMap::new(),
        run_key: "sha256:key".to_owned(),
        request_hash: None,
    }
}

/// Text that does not compress: a run of a hash.
fn noise(seed: usize, length: usize) -> String {
    let mut text = String::new();
    let mut next = seed.to_string();
    while text.len() < length {
        next = sha256_hex(next.as_bytes());
        text.push_str(&next);
    }
    text.truncate(length);
    text
}

/// Slots of a week with counts as extrapolated ones are: no two alike, three decimals.
fn week(buckets: usize) -> Series {
    let mut state = 7u64;
    let mut next = |most: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as f64 / (1u64 << 31) as f64 * most * 1000.0).round() / 1000.0
    };
    let slots: Vec<u32> = (0..336).collect();
    let mut series = Series { step_seconds: 1_800, slots: 336, ..Series::default() };
    for key in ["web.latency", "api.latency", "database.queryTime"] {
        let bounds_ms = (1..buckets).map(|index| 5.0 * index as f64).collect();
        let counts = slots.iter().map(|_| (0..buckets).map(|_| next(5_000.0)).collect()).collect();
        series.histograms.insert(key.to_owned(), HistogramSeries { bounds_ms, slots: slots.clone(), counts });
    }
    for key in ["web.errorRatio", "api.errorRatio"] {
        let part = slots.iter().map(|_| next(50.0)).collect();
        let whole = slots.iter().map(|_| next(5_000.0)).collect();
        series.ratios.insert(key.to_owned(), RatioSeries { slots: slots.clone(), part, whole });
    }
    for key in ["infrastructure.cpu", "infrastructure.memory"] {
        let values = slots.iter().map(|_| next(100.0)).collect();
        series.numbers.insert(key.to_owned(), NumberSeries { slots: slots.clone(), values });
    }
    series
}

fn database_counters() -> DatabaseCounters {
    let statement =
        |index: usize| StatementCounter { query_id: index.to_string(), ..StatementCounter::default() };
    DatabaseCounters {
        at: record().window.to,
        database: 1,
        started: None,
        database_reset: None,
        statements_reset: None,
        dealloc: None,
        blks_hit: 1,
        blks_read: 1,
        statements: (0..300).map(statement).collect(),
        others: None,
        tables: Vec::new(),
    }
}

#[test]
fn ten_thousand_statements_and_long_names_fit_and_it_is_said_what_was_cut() {
    let mut record = record();
    let statement = |index: usize| SlowStatement {
        calls: 1,
        avg_ms: 1.0,
        total_ms: 1.0,
        rows: 1,
        query: Some(noise(index, 200)),
        query_id: index.to_string(),
        label: None,
    };
    let index = |index: usize| UnusedIndex {
        schema: noise(index, 63),
        table: noise(index + 1, 63),
        index: noise(index + 2, 63),
        size_bytes: 1,
        size: String::new(),
        index_scans: 0,
    };
    let table = |index: usize| TableSize {
        schema: None,
        table: noise(index, 63),
        size: String::new(),
        size_bytes: 1,
        rows: 1,
    };
    let slow: Vec<SlowStatement> = (0..10_000).map(statement).collect();
    record.database_analysis = Some(DatabaseAnalysis {
        slow_queries: Some(slow.clone()),
        top_statements: Some(slow[..10].to_vec()),
        unused_indexes: Some((0..2_000).map(index).collect()),
        ..DatabaseAnalysis::default()
    });
    record.database_metrics = Some(DatabaseMetrics {
        top_tables: Some((0..2_000).map(table).collect()),
        ..DatabaseMetrics::default()
    });
    record.series = Some(week(15));
    let map = to_config_map(&record, &owner()).unwrap();
    assert!(map.binary_data.as_ref().unwrap()[RECORD_GZ].0.len() <= 900 * 1024);
    let (cut, _) = read(&map).unwrap();
    let found = cut.database_analysis.as_ref().unwrap();
    let kept = found.slow_queries.as_ref().unwrap();
    assert_eq!(kept[..], slow[..kept.len()], "the first ones stay");
    assert_eq!(cut.truncated["database_analysis.slow_queries"] as usize + kept.len(), 10_000);
    assert!(kept.len() > 1_000, "no more than needed: {}", kept.len());
    assert_eq!(found.top_statements.as_ref().unwrap().len(), 10);
    let lists = [
        ("database_analysis.unused_indexes", found.unused_indexes.as_ref().unwrap().len()),
        (
            "database_metrics.top_tables",
            cut.database_metrics.as_ref().unwrap().top_tables.as_ref().unwrap().len(),
        ),
    ];
    for (name, kept) in lists {
        assert_eq!(cut.truncated.get(name).copied().unwrap_or_default() as usize + kept, 2_000, "{name}");
    }
    assert_eq!((cut.series, cut.web_metrics), (record.series, record.web_metrics));
}

#[test]
fn every_list_is_cut_in_half_and_named() {
    for path in HALVED {
        let mut value = json!({});
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let mut place = &mut value;
        for part in &parts {
            place[*part] = json!({});
            place = &mut place[*part];
        }
        *place = (0..41).map(|index| json!({"name": index})).collect();
        assert!(cut_longest(&mut value), "{path}");
        assert_eq!(value.pointer(path).unwrap().as_array().unwrap().len(), 20, "{path}");
        assert_eq!(value["truncated"], json!({parts.join("."): 21}), "{path}");
        assert!(cut_longest(&mut value), "{path}");
        assert_eq!(value["truncated"], json!({parts.join("."): 31}), "{path}");
    }
}

#[test]
fn the_slots_of_a_figure_are_left_out_whole_the_longest_first_and_never_silently() {
    let mut record = record();
    record.basis.clear();
    let mut series = week(5);
    series.histograms["api.latency"] = week(12).histograms["api.latency"].clone();
    record.series = Some(series.clone());
    let mut value = serde_json::to_value(&record).unwrap();
    let total = series.histograms.len() + series.ratios.len() + series.numbers.len();
    for cut in 1..=total {
        assert!(cut_longest(&mut value));
        let read: BaselineRecord = serde_json::from_value(value.clone()).unwrap();
        let left = read.series.unwrap();
        assert_eq!(left.histograms.len() + left.ratios.len() + left.numbers.len(), total - cut);
        assert_eq!(read.truncated.len(), cut, "{:?}", read.truncated);
        assert!(read.truncated.values().all(|slots| *slots == 336), "{:?}", read.truncated);
        if cut == 1 {
            assert_eq!(read.truncated.keys().collect::<Vec<_>>(), ["series.histograms.api.latency"]);
        }
        for (key, histogram) in &left.histograms {
            assert_eq!(histogram, &series.histograms[key], "what is left is whole");
        }
    }
}

#[test]
fn the_counters_of_a_database_are_left_out_whole_so_that_some_are_not_taken_for_all() {
    let mut record = record();
    record.basis.clear();
    record.counters = Some(Counters { database: Some(database_counters()), cache: None });
    let mut value = serde_json::to_value(&record).unwrap();
    assert!(cut_longest(&mut value));
    let read: BaselineRecord = serde_json::from_value(value).unwrap();
    assert_eq!(read.counters, Some(Counters::default()));
    assert_eq!(read.truncated["counters.database"], 300);
}

#[test]
fn prefixes_of_a_cache_are_cut_from_the_end() {
    let mut record = record();
    let estimate =
        PrefixEstimate { count: 1, size_mb: 1.0, low_mb: 1.0, high_mb: 1.0, without_ttl_percent: 0.0 };
    let names: Vec<String> = (0..100).map(|index| format!("{index:03}{}", noise(index, 900))).collect();
    let keyspace = Keyspace {
        sampled_keys: 1,
        total_keys: 1,
        complete: false,
        estimates: names.iter().map(|name| (name.clone(), estimate)).collect(),
        giants: Vec::new(),
    };
    record.cache_analysis = Some(CacheAnalysis { keyspace: Some(keyspace), ..CacheAnalysis::default() });
    let mut value = serde_json::to_value(&record).unwrap();
    assert!(cut_longest(&mut value));
    let read: BaselineRecord = serde_json::from_value(value).unwrap();
    let kept = read.cache_analysis.unwrap().keyspace.unwrap().estimates;
    assert!(kept.keys().eq(names.iter().take(50)));
    assert_eq!(read.truncated["cache_analysis.keyspace.estimates"], 50);
}

#[test]
fn where_nothing_can_be_cut_it_is_said() {
    let mut value = json!({"name": "x".repeat(1_000), "basis": {"only": {}}, "series": {"histograms": {}}});
    let before = value.clone();
    assert!(!cut_longest(&mut value));
    assert_eq!(value, before);
}

/// A week of half hours with three histograms of fifteen buckets is a quarter of what a ConfigMap takes.
#[test]
fn the_slots_of_a_week_are_small() {
    let mut record = record();
    let without = to_config_map(&record, &owner()).unwrap().data.unwrap()["record.json"].len();
    record.series = Some(week(15));
    let with = to_config_map(&record, &owner()).unwrap().data.unwrap()["record.json"].len();
    assert!(with - without < 256 * 1024, "{} KiB", (with - without) / 1024);
}
