//! The hash of what a spec measures (pure): when it changes, a run starts.

use plimsoll_analysis::duration;
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_api::PerformanceBaselineSpec;
use plimsoll_api::baseline::{
    ApiMetricsSpec, CacheSpec, CustomMetricSpec, DatabaseSpec, KeyspaceSpec, WebMetricsSpec,
};
use plimsoll_api::common::{PostgresSource, RedisSource};
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
    let (postgres, redis) = (&spec.sources.postgres, &spec.sources.redis);
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            measured.insert(name.to_owned(), value);
        }
    };
    let counts = postgres.is_some() || redis.is_some();
    insert("sample", milliseconds(&spec.sample_duration).filter(|sample| counts && *sample != json!(60_000)));
    insert("postgres", postgres.as_ref().map(self::postgres));
    insert("redis", redis.as_ref().map(self::redis));
    insert("workloads", spec.sources.workloads.as_ref().map(|workloads| json!(workloads.selector)));
    insert(
        "web",
        spec.web.as_ref().map(|web| without_defaults(json!(web), json!(default_of::<WebMetricsSpec>()))),
    );
    insert(
        "api",
        spec.api.as_ref().map(|api| without_defaults(json!(api), json!(default_of::<ApiMetricsSpec>()))),
    );
    insert("database", spec.database.as_ref().map(database));
    insert("cache", spec.cache.as_ref().map(cache));
    insert("metrics", metrics(spec));
    // Maps of serde_json keep insertion order here; a BTreeMap makes the text the same whatever the order.
    let canonical = canonical(&Value::Object(measured));
    format!("v1:{}", &sha256_hex(canonical.as_bytes())[..16])
}

/// The user's own queries. An objective's is one of them, by the objective's name; what is judged by it is not measured,
/// and neither is which direction is better.
fn metrics(spec: &PerformanceBaselineSpec) -> Option<Value> {
    let own = spec.metrics.iter().map(|metric| json!(CustomMetricSpec { better: None, ..metric.clone() }));
    let of_objectives = spec.objectives.iter().filter_map(|objective| {
        let (query, unit) = (objective.query.as_ref()?, objective.unit?);
        Some(json!({"name": objective.name, "query": query, "unit": unit}))
    });
    let all: Vec<Value> = own.chain(of_objectives).collect();
    (!all.is_empty()).then(|| json!(all))
}

/// Where it is, as far as the spec says so: the rest is in a Secret, whose name is a credential's.
fn postgres(source: &PostgresSource) -> Value {
    without_defaults(
        json!({"host": source.host, "port": source.port, "database": source.database}),
        json!({"host": null, "port": 5432, "database": null}),
    )
}

fn redis(source: &RedisSource) -> Value {
    let master = source.sentinel.as_ref().map(|sentinel| &sentinel.master_name);
    without_defaults(
        json!({"host": source.host, "port": source.port, "master": master}),
        json!({"host": null, "port": 6379, "master": null}),
    )
}

fn database(spec: &DatabaseSpec) -> Value {
    let of = |spec: &DatabaseSpec| {
        let mut section = json!(spec);
        section["slowQueryThreshold"] = json!(milliseconds(&spec.slow_query_threshold));
        section
    };
    without_defaults(of(spec), of(&default_of::<DatabaseSpec>()))
}

fn cache(spec: &CacheSpec) -> Value {
    let keys = |keyspace: &KeyspaceSpec| {
        let mut keys = json!(keyspace);
        keys["maxDuration"] = json!(milliseconds(&keyspace.max_duration));
        keys
    };
    let keyspace = keys(&spec.keyspace.clone().unwrap_or_default());
    let mut section = json!(spec);
    section["keyspace"] = without_defaults(keyspace, keys(&KeyspaceSpec::default()));
    let mut defaults = json!(default_of::<CacheSpec>());
    defaults["keyspace"] = json!({});
    without_defaults(section, defaults)
}

/// A duration as one number, whatever units it is written in.
fn milliseconds(text: &str) -> Option<Value> {
    duration::parse(text).ok().map(|length| json!(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}

fn default_of<T: serde::de::DeserializeOwned>() -> T {
    serde_json::from_value(json!({})).expect("every field of a section has a default")
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
