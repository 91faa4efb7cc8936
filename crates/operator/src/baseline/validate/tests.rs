use super::*;
use serde_json::{Value, json};

fn spec(json: Value) -> PerformanceBaselineSpec {
    serde_json::from_value(json).unwrap()
}

/// Name of every baseline here.
const OWN: &str = "dairy";

fn now() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

fn base() -> Value {
    json!({"sources": {"prometheus": {"url": "http://prom:9090"}}, "web": {}, "api": {}})
}

fn with(changes: &Value) -> PerformanceBaselineSpec {
    let mut object = base();
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
    spec(object)
}

fn hash(changes: &Value) -> String {
    validate(OWN, &with(changes), now()).unwrap().spec_hash
}

#[test]
fn the_seeds_names_are_the_defaults() {
    let valid = validate(OWN, &spec(base()), now()).unwrap();
    assert_eq!(valid.window_seconds, 7 * 86_400);
    assert_eq!(valid.web.as_ref().unwrap().matchers, "job=\"odoo\"");
    assert_eq!(valid.api.as_ref().unwrap().top, 10);
    assert!(!valid.names_a_secret());
}

#[test]
fn every_wrong_field_is_named_with_its_path() {
    let errors = validate(
        OWN,
        &with(&json!({
            "window": "30s", "schedule": "0 2 * *", "web": {"matchers": "job=\"a\"} or vector(1)"},
            "api": {"errorMatchers": "status"}, "metrics": [{"name": "a", "query": "sum(", "unit": "Count"}],
        })),
        now(),
    )
    .unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.window",
            "spec.schedule",
            "spec.web.matchers",
            "spec.api.errorMatchers",
            "spec.metrics[0].query"
        ]
    );
    let errors =
        validate(OWN, &with(&json!({"schedule": "0 2 * * 1", "timeZone": "Mars/Base"})), now()).unwrap_err();
    assert_eq!(errors[0].path, "spec.timeZone");
}

#[test]
fn what_does_not_change_the_measurement_does_not_change_the_hash() {
    let reference = hash(&json!({}));
    let bearer = json!({"prometheus": {"url": "http://prom:9090/", "auth": {"type": "Bearer",
        "bearer": {"secretKeyRef": {"name": "a", "key": "b"}}}, "tls": {"serverName": "x"}}});
    for change in [
        json!({"window": "1w"}),
        json!({"schedule": "0 2 * * 1", "timeZone": "Asia/Dhaka"}),
        json!({"suspend": true, "historyLimit": 9, "activeDeadlineSeconds": 99}),
        json!({"web": {"matchers": "job=\"odoo\""}}),
        json!({"sources": bearer}),
    ] {
        assert_eq!(hash(&change), reference, "{change}");
    }
}

#[test]
fn what_changes_the_measurement_changes_the_hash() {
    let reference = hash(&json!({}));
    for change in [
        json!({"window": "6d"}),
        json!({"web": {"matchers": "job=\"shop\""}}),
        json!({"api": {"top": 9}}),
        json!({"metrics": [{"name": "a", "query": "up", "unit": "Count"}]}),
        json!({"sources": {"prometheus": {"url": "http://other:9090"}}}),
        json!({"sources": {"prometheus": {"url": "http://prom:9090", "headers": [{"name": "X-Scope-OrgID", "value": "a"}]}}}),
        json!({"sources": {"prometheus": {"url": "http://prom:9090"}, "workloads": {"selector": {}}}}),
    ] {
        assert_ne!(hash(&change), reference, "{change}");
    }
}

#[test]
fn the_hash_of_a_version_never_changes() {
    assert_eq!(hash(&json!({})), "v1:b1505c543e971512", "an upgrade must not start runs");
}

#[test]
fn a_secret_is_seen_wherever_it_is_named() {
    for source in [
        json!({"auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "a", "key": "b"}}}}),
        json!({"auth": {"type": "Basic", "basic": {"secretRef": {"name": "a"}}}}),
        json!({"tls": {"ca": {"secretKeyRef": {"name": "a", "key": "b"}}}}),
        json!({"headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}),
    ] {
        let mut source = source;
        source["url"] = json!("https://prom");
        let valid = validate(OWN, &with(&json!({"sources": {"prometheus": source.clone()}})), now()).unwrap();
        assert!(valid.names_a_secret(), "{source}");
    }
}

#[test]
fn a_spec_that_asks_nothing_or_of_nobody_is_refused() {
    for (object, path) in [
        (json!({"sources": {}}), "spec.sources"),
        (json!({"sources": {"workloads": {"selector": {}}}, "web": {}}), "spec.web"),
        (json!({"sources": {"workloads": {"selector": {}}}, "api": {}}), "spec.api"),
    ] {
        let errors = validate(OWN, &spec(object), now()).unwrap_err();
        assert_eq!(errors.last().unwrap().path, path);
    }
}

#[test]
fn a_spec_that_no_environment_holds_is_refused() {
    let metric = |index: usize| {
        let query = format!("sum(up{{a=~\"{}\"}})", "é$".repeat(700));
        json!({"name": format!("m{index}"), "query": query, "unit": "Count"})
    };
    let few = json!({"metrics": (0..5).map(metric).collect::<Vec<_>>()});
    assert!(validate(OWN, &with(&few), now()).is_ok());
    let many = json!({"metrics": (0..30).map(metric).collect::<Vec<_>>()});
    let errors = validate(OWN, &with(&many), now()).unwrap_err();
    assert!(errors[0].message.contains("shorten"), "{}", errors[0]);
}

/// A spec of PostgreSQL and Redis alone, with changes to its sources.
fn of_sources(changes: &[(&str, Value)]) -> Value {
    let mut object = json!({
        "sources": {
            "postgres": {"host": "pg", "database": "herd", "credentials": {"secretRef": {"name": "a"}}},
            "redis": {"host": "redis"},
        },
        "database": {}, "cache": {},
    });
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        match value {
            Value::Null => drop(parent.as_object_mut().unwrap().shift_remove(name)),
            value => parent[name] = value.clone(),
        }
    }
    object
}

fn valid(changes: &[(&str, Value)]) -> ValidBaseline {
    validate(OWN, &spec(of_sources(changes)), now()).unwrap()
}

fn wrong(changes: &[(&str, Value)]) -> Vec<String> {
    let errors = validate(OWN, &spec(of_sources(changes)), now()).unwrap_err();
    errors.into_iter().map(|error| error.path).collect()
}

fn named(name: &str, key: &str) -> KeyRef {
    KeyRef { kind: KeyKind::Secret, name: name.to_owned(), key: key.to_owned() }
}

#[test]
fn the_seeds_limits_are_the_defaults_of_database_and_cache() {
    let valid = valid(&[]);
    assert_eq!(valid.sample_seconds, 60);
    let database = valid.database.as_ref().unwrap();
    assert_eq!((database.top_tables, database.top_queries, database.slow_query_threshold_ms), (10, 10, 100));
    let cache = valid.cache.as_ref().unwrap();
    assert_eq!((cache.sample_keys, cache.max_duration_ms), (1_000, 10_000));
    assert_eq!((cache.delimiter.as_str(), cache.session_prefix.as_str()), (":", "session:"));
    assert_eq!(valid.postgres.as_ref().unwrap().ssl_mode, request::SslMode::VerifyFull);
    assert!(valid.needs_a_job());
    assert_eq!(valid.keys(), [named("a", "username"), named("a", "password")]);
}

#[test]
fn without_a_host_the_key_uri_says_everything() {
    let valid = valid(&[
        ("/sources/postgres/host", Value::Null),
        ("/sources/postgres/database", Value::Null),
        ("/sources/redis", json!({"credentials": {"secretRef": {"name": "b"}}})),
    ]);
    assert_eq!(valid.keys(), [named("a", "uri"), named("b", "uri")]);
}

#[test]
fn the_name_of_a_redis_user_may_be_absent() {
    let sentinel = json!({"masterName": "cows", "credentials": {"secretRef": {"name": "c"}}});
    let valid = valid(&[
        ("/sources/redis/credentials", json!({"secretRef": {"name": "b"}})),
        ("/sources/redis/topology", json!("Sentinel")),
        ("/sources/redis/sentinel", sentinel),
        ("/sources/redis/tls", json!({})),
    ]);
    let request = valid.request(NO_NAMES, &[]);
    let optional: Vec<&KeyRef> = request.optional_keys();
    assert_eq!(optional, [&named("b", "username"), &named("c", "username")]);
    let redis = request.redis.as_ref().unwrap();
    assert_eq!(redis.tls, Some(request::RedisTls::default()));
    assert_eq!(redis.sentinel.as_ref().unwrap().master_name, "cows");
}

#[test]
fn what_contradicts_itself_in_sources_and_sections_is_named() {
    let label = |id: &str| json!([{"queryId": id, "label": "a"}]);
    for (changes, path) in [
        (vec![("/sources/postgres/database", Value::Null)], "spec.sources.postgres.database"),
        (vec![("/sources/postgres/host", Value::Null)], "spec.sources.postgres.database"),
        (vec![("/sources/postgres/host", json!("abc:5432"))], "spec.sources.postgres.host"),
        (vec![("/sources/postgres/port", json!(0))], "spec.sources.postgres.port"),
        (
            vec![("/sources/postgres/sslMode", json!("Require")), ("/sources/postgres/tls", json!({}))],
            "spec.sources.postgres.tls",
        ),
        (vec![("/sources/redis/host", Value::Null)], "spec.sources.redis.credentials"),
        (vec![("/sources/redis/topology", json!("Sentinel"))], "spec.sources.redis.sentinel"),
        (vec![("/sources/redis/sentinel", json!({"masterName": "a"}))], "spec.sources.redis.sentinel"),
        (vec![("/database", Value::Null)], "spec.database"),
        (vec![("/sources/postgres", Value::Null)], "spec.database"),
        (vec![("/cache", Value::Null)], "spec.cache"),
        (vec![("/sources/redis", Value::Null)], "spec.cache"),
        (vec![("/database/latencyHistogram", json!("h"))], "spec.database.latencyHistogram"),
        (vec![("/database/matchers", json!("a=\"b\""))], "spec.database.matchers"),
        (vec![("/database/slowQueryThreshold", json!("61m"))], "spec.database.slowQueryThreshold"),
        (vec![("/database/slowQueryThreshold", json!("soon"))], "spec.database.slowQueryThreshold"),
        (vec![("/database/statements", label("9223372036854775808"))], "spec.database.statements[0].queryId"),
        (vec![("/database/statements", label("-0"))], "spec.database.statements[0].queryId"),
        (vec![("/database/statements", label("007"))], "spec.database.statements[0].queryId"),
        (vec![("/cache/keyspace", json!({"maxDuration": "99ms"}))], "spec.cache.keyspace.maxDuration"),
        (vec![("/cache/keyspace", json!({"delimiter": ""}))], "spec.cache.keyspace.delimiter"),
        (vec![("/sampleDuration", json!("11m"))], "spec.sampleDuration"),
        (vec![("/activeDeadlineSeconds", json!(119))], "spec.sampleDuration"),
    ] {
        assert_eq!(wrong(&changes), [path], "{changes:?}");
    }
}

#[test]
fn numbers_at_their_bounds_mean_something() {
    let ids = json!([
        {"queryId": "9223372036854775807", "label": "a"}, {"queryId": "-9223372036854775808", "label": "b"},
        {"queryId": "0", "label": "c"},
    ]);
    let at_bounds = valid(&[
        ("/database/statements", ids),
        ("/database/slowQueryThreshold", json!("0s")),
        ("/cache/keyspace", json!({"sampleKeys": 0, "maxDuration": "5m"})),
        ("/sampleDuration", json!("0s")),
        ("/activeDeadlineSeconds", json!(60)),
        ("/sources/postgres/host", json!("2001:db8::7")),
    ]);
    assert_eq!((at_bounds.sample_seconds, at_bounds.cache.unwrap().sample_keys), (0, 0));
    assert_eq!(valid(&[("/activeDeadlineSeconds", json!(120))]).sample_seconds, 60);
    // Prometheus has no counters to look at twice: nothing is left of the deadline for.
    let other = validate(OWN, &with(&json!({"activeDeadlineSeconds": 60})), now()).unwrap();
    assert_eq!(other.sample_seconds, 0);
}

#[test]
fn a_query_time_needs_no_database_where_a_histogram_is_named() {
    let changes = json!({"database": {"latencyHistogram": "h", "matchers": "db=\"a\""}});
    let valid = validate(OWN, &with(&changes), now()).unwrap();
    assert_eq!(valid.database.unwrap().latency_histogram.as_deref(), Some("h"));
}

#[test]
fn a_name_that_no_label_has_is_an_error_wherever_it_stands() {
    for (selector, path) in [
        (json!({"matchLabels": {"a b": "c"}}), "spec.sources.workloads.selector.matchLabels[\"a b\"]"),
        (
            json!({"matchExpressions": [{"key": "a/b/c", "operator": "Exists"}]}),
            "spec.sources.workloads.selector.matchExpressions[0].key",
        ),
    ] {
        let object = json!({"sources": {"workloads": {"selector": selector}}});
        assert_eq!(validate(OWN, &spec(object), now()).unwrap_err()[0].path, path);
    }
    let good =
        json!({"sources": {"workloads": {"selector": {"matchLabels": {"app.kubernetes.io/name": "a"}}}}});
    assert!(validate(OWN, &spec(good), now()).is_ok());
}

#[test]
fn credentials_trust_and_defaults_of_the_new_sources_change_no_hash() {
    let hash = |changes: &[(&str, Value)]| valid(changes).spec_hash;
    let reference = hash(&[]);
    assert_eq!(reference, "v1:b61e8682a476152e", "an upgrade must not start runs");
    for same in [
        vec![("/sources/postgres/credentials/secretRef/name", json!("other"))],
        vec![("/sources/postgres/sslMode", json!("Disable"))],
        vec![("/sources/postgres/tls", json!({"serverName": "x"}))],
        vec![("/sources/postgres/port", json!(5432))],
        vec![("/sources/redis/credentials", json!({"secretRef": {"name": "b"}}))],
        vec![("/sources/redis/tls", json!({}))],
        vec![("/database/slowQueryThreshold", json!("0s100ms")), ("/database/topTables", json!(10))],
        vec![("/cache/keyspace", json!({"maxDuration": "10000ms", "delimiter": ":"}))],
        vec![("/cache/sessionPrefix", json!("session:"))],
        vec![("/sampleDuration", json!("1m"))],
    ] {
        assert_eq!(hash(&same), reference, "{same:?}");
    }
    let mut seen = std::collections::BTreeSet::from([reference]);
    for other in [
        vec![("/sources/postgres/host", json!("other"))],
        vec![("/sources/postgres/port", json!(5433))],
        vec![("/sources/postgres/database", json!("other"))],
        vec![("/sources/redis/host", json!("other"))],
        vec![("/sources/redis/port", json!(6380))],
        vec![("/database/slowQueryThreshold", json!("101ms"))],
        vec![("/database/statements", json!([{"queryId": "1", "label": "a"}]))],
        vec![("/cache/keyspace", json!({"sampleKeys": 9}))],
        vec![("/cache/sessionPrefix", json!(""))],
        vec![("/sampleDuration", json!("0s"))],
        vec![("/sources/redis", Value::Null), ("/cache", Value::Null)],
    ] {
        assert!(seen.insert(hash(&other)), "{other:?}");
    }
}
