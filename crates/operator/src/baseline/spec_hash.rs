//! The hash of what a spec measures (pure): when it changes, a run starts.

use plimsoll_analysis::hash::sha256_hex;
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::baseline::{ApiMetricsSpec, WebMetricsSpec};
use serde_json::{Map, Value, json};

/// Hash of what is measured: without credentials, trust and run keeping, and without fields at their defaults, so
/// that neither a rotated Secret nor a field that a new version adds starts a run.
#[must_use]
pub fn spec_hash(spec: &PerformanceBaselineSpec, window_seconds: u64) -> String {
    let mut measured = Map::new();
    measured.insert("window".to_owned(), json!(window_seconds));
    if let Some(source) = &spec.sources.prometheus {
        let headers: Vec<Value> =
            source.headers.iter().map(|header| json!([header.name, header.value])).collect();
        let mut prometheus = json!({"url": source.url.trim_end_matches('/')});
        if !headers.is_empty() {
            prometheus["headers"] = json!(headers);
        }
        measured.insert("prometheus".to_owned(), prometheus);
    }
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            measured.insert(name.to_owned(), value);
        }
    };
    insert("workloads", spec.sources.workloads.as_ref().map(|workloads| json!(workloads.selector)));
    insert("web", spec.web.as_ref().map(|web| without_defaults(json!(web), default_of::<WebMetricsSpec>())));
    insert("api", spec.api.as_ref().map(|api| without_defaults(json!(api), default_of::<ApiMetricsSpec>())));
    insert("metrics", (!spec.metrics.is_empty()).then(|| json!(spec.metrics)));
    // Maps of serde_json keep insertion order here; a BTreeMap makes the text the same whatever the order.
    let canonical = canonical(&Value::Object(measured));
    format!("v1:{}", &sha256_hex(canonical.as_bytes())[..16])
}

fn default_of<T: serde::de::DeserializeOwned + serde::Serialize>() -> Value {
    let empty: T = serde_json::from_value(json!({})).expect("every field of a section has a default");
    json!(empty)
}

fn without_defaults(section: Value, defaults: Value) -> Value {
    match (section, defaults) {
        (Value::Object(section), Value::Object(defaults)) => Value::Object(
            section.into_iter().filter(|(name, value)| defaults.get(name) != Some(value)).collect(),
        ),
        (section, _) => section,
    }
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = entries
                .into_iter()
                .map(|(name, value)| format!("{}:{}", json!(name), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
