//! Cuts the lists of a record until it fits its ConfigMap, the longest first, and says so under `truncated` (pure).

use serde_json::{Value, json};

/// Lists and maps whose length the measured world decides, and of which a half is worth something: the first half, since
/// they are in the order of what matters most.
const HALVED: [&str; 22] = [
    "/kubernetes/workloads",
    "/kubernetes/unknown",
    "/api_metrics/top_endpoints",
    "/api_metrics/time_share_percent",
    "/database_metrics/top_tables",
    "/database_metrics/slow_queries",
    "/database_analysis/slow_queries",
    "/database_analysis/top_statements",
    "/database_analysis/missing_indexes",
    "/database_analysis/unused_indexes",
    "/database_analysis/duplicate_indexes",
    "/database_analysis/invalid_indexes",
    "/database_analysis/stale_statistics",
    "/database_analysis/dead_tuples",
    "/cache_analysis/key_patterns",
    "/cache_analysis/keyspace/estimates",
    "/cache_analysis/keyspace/giants",
    "/infrastructure_metrics/cpu_usage_by_pod",
    "/infrastructure_metrics/cpu_throttled_percent_by_pod",
    "/infrastructure_metrics/memory_mb_by_pod",
    "/custom_metrics",
    "/basis",
];

/// What is left out whole or not at all: the counters of some statements would be taken for those of all.
const WHOLE: [&str; 1] = ["/counters/database"];

/// Maps of the slots: a figure's slots are left out whole, since a comparison would take the rest for a gap.
const SLOTS: [&str; 3] = ["/series/histograms", "/series/ratios", "/series/numbers"];

/// One thing that can be cut.
enum Cut {
    Half(&'static str),
    Whole(&'static str),
    Slots(&'static str, String),
}

/// Cuts what takes most bytes, and says so under `truncated`; false where nothing is left to cut.
pub(crate) fn cut_longest(record: &mut Value) -> bool {
    let Some((_, cut)) =
        candidates(record).into_iter().filter(|(size, _)| *size > 0).max_by_key(|(size, _)| *size)
    else {
        return false;
    };
    let (name, dropped) = match cut {
        Cut::Half(path) => (dotted(path), halve(record, path)),
        Cut::Whole(path) => (dotted(path), drop_entry(record, path)),
        Cut::Slots(path, key) => {
            let dropped = record
                .pointer_mut(path)
                .and_then(Value::as_object_mut)
                .and_then(|map| map.shift_remove(&key));
            let slots = dropped.as_ref().and_then(|entry| entry.get("slots"));
            (format!("{}.{key}", dotted(path)), slots.map_or(1, entries))
        }
    };
    if record.get("truncated").is_none() {
        record["truncated"] = json!({});
    }
    let before = record["truncated"].get(&name).and_then(Value::as_u64).unwrap_or(0);
    record["truncated"][&name] = json!(before + dropped as u64);
    true
}

/// Everything that can be cut, with the bytes that it takes; 0 where there is nothing to take away.
fn candidates(record: &Value) -> Vec<(usize, Cut)> {
    let size = |value: &Value| value.to_string().len();
    let halves = HALVED.into_iter().filter_map(|path| {
        let list = record.pointer(path).filter(|list| entries(list) > 1)?;
        Some((size(list), Cut::Half(path)))
    });
    let whole = WHOLE.into_iter().filter_map(|path| Some((size(record.pointer(path)?), Cut::Whole(path))));
    let slots = SLOTS.into_iter().filter_map(|path| Some((path, record.pointer(path)?.as_object()?)));
    let slots = slots.flat_map(|(path, map)| {
        map.iter().map(move |(key, entry)| (size(entry), Cut::Slots(path, key.clone())))
    });
    halves.chain(whole).chain(slots).collect()
}

/// Keeps the first half; how many entries are gone.
fn halve(record: &mut Value, path: &str) -> usize {
    let Some(list) = record.pointer_mut(path) else { return 0 };
    let keep = entries(list) / 2;
    let dropped = entries(list) - keep;
    match list {
        Value::Array(items) => items.truncate(keep),
        Value::Object(map) => {
            let names: Vec<String> = map.keys().skip(keep).cloned().collect();
            for name in names {
                map.shift_remove(&name);
            }
        }
        _ => {}
    }
    dropped
}

/// Takes an entry out of its object; how many entries its own lists had.
fn drop_entry(record: &mut Value, path: &str) -> usize {
    let Some((parent, key)) = path.rsplit_once('/') else { return 0 };
    let parent = record.pointer_mut(parent).and_then(Value::as_object_mut);
    let dropped = parent.and_then(|parent| parent.shift_remove(key));
    let lists = dropped.iter().filter_map(Value::as_object).flat_map(|entry| entry.values());
    lists.filter(|value| value.is_array()).map(entries).sum::<usize>().max(1)
}

fn entries(list: &Value) -> usize {
    match list {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

fn dotted(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
#[path = "record_cut_tests.rs"]
mod tests;
