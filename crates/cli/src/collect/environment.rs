//! The seed's way: without files, where to read comes from environment variables.

use std::collections::BTreeMap;

use plimsoll_analysis::request::KeyKind;
use serde_json::{Value, json};

use super::input::{Baseline, Object, Objects};
use crate::failure::{EXIT_BAD_INPUT, Failure};
use crate::manifest;

/// Base URL of Prometheus.
pub(crate) const PROMETHEUS_URL: &str = "PROMETHEUS_URL";
/// Name or address of PostgreSQL; set, it is read.
pub(crate) const DB_HOST: &str = "DB_HOST";
/// Its port.
pub(crate) const DB_PORT: &str = "DB_PORT";
/// Its user.
pub(crate) const DB_USER: &str = "DB_USER";
/// Its database.
pub(crate) const DB_NAME: &str = "DB_NAME";
/// The user's password.
pub(crate) const DB_PASSWORD: &str = "DB_PASSWORD";
/// Name or address of Redis; set, it is read.
pub(crate) const REDIS_HOST: &str = "REDIS_HOST";
/// Its port.
pub(crate) const REDIS_PORT: &str = "REDIS_PORT";
/// Its password; none is sent when it is not set.
pub(crate) const REDIS_PASSWORD: &str = "REDIS_PASSWORD";

const DEFAULT_URL: &str = "http://prometheus:9090";
const DEFAULT_USER: &str = "admin";
const DEFAULT_DATABASE: &str = "smartdairy";
/// Name of the record, after the file that the seed's script writes.
const NAME: &str = "performance-baseline";
const DEFAULT_NAMESPACE: &str = "smart-dairy";
/// Names under which the passwords go the way of every Secret.
const DB_SECRET: &str = "environment-db";
const REDIS_SECRET: &str = "environment-redis";

/// Which variable a field of the spec comes from.
const VARIABLES: [(&str, &str); 6] = [
    ("spec.sources.prometheus.url", PROMETHEUS_URL),
    ("spec.sources.postgres.host", DB_HOST),
    ("spec.sources.postgres.port", DB_PORT),
    ("spec.sources.postgres.database", DB_NAME),
    ("spec.sources.redis.host", REDIS_HOST),
    ("spec.sources.redis.port", REDIS_PORT),
];

/// The baseline of the seed's script, and the passwords that it names: the sources that variables name, with the seed's
/// metrics and limits over seven days, and the infrastructure of `namespace`.
///
/// # Errors
/// A variable that is missing or means nothing. No message holds a password.
pub(crate) fn baseline(
    variable: impl Fn(&str) -> Option<String>,
    namespace: Option<&str>,
) -> Result<(Baseline, Objects), Failure> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (db, redis) = (set(DB_HOST), set(REDIS_HOST));
    let url =
        set(PROMETHEUS_URL).or_else(|| (db.is_none() && redis.is_none()).then(|| DEFAULT_URL.to_owned()));
    let (mut spec, mut objects) = (json!({"sources": {}}), Objects::new());
    if let Some(url) = url {
        spec["sources"]["prometheus"] = json!({"url": url});
        spec["web"] = json!({});
        spec["api"] = json!({});
    }
    if let Some(host) = db {
        let password = set(DB_PASSWORD).ok_or_else(|| {
            Failure::bad_input(format_args!(
                "the environment variable {DB_PASSWORD} is missing beside {DB_HOST}"
            ))
        })?;
        let mut source = json!({
            "host": host, "database": set(DB_NAME).as_deref().unwrap_or(DEFAULT_DATABASE),
            "credentials": {"secretRef": {"name": DB_SECRET}}, "sslMode": "Prefer",
        });
        put_port(&mut source, DB_PORT, set(DB_PORT))?;
        spec["sources"]["postgres"] = source;
        spec["database"] = json!({});
        let user = set(DB_USER).unwrap_or_else(|| DEFAULT_USER.to_owned());
        secret(&mut objects, DB_SECRET, [("username", user), ("password", password)]);
    }
    if let Some(host) = redis {
        let mut source = json!({"host": host});
        put_port(&mut source, REDIS_PORT, set(REDIS_PORT))?;
        if let Some(password) = set(REDIS_PASSWORD) {
            source["credentials"] = json!({"secretRef": {"name": REDIS_SECRET}});
            secret(&mut objects, REDIS_SECRET, [("password", password)]);
        }
        spec["sources"]["redis"] = source;
        spec["cache"] = json!({});
    }
    Ok((checked(&spec, namespace.unwrap_or(DEFAULT_NAMESPACE))?, objects))
}

/// The baseline of a spec, checked like one of a file.
fn checked(spec: &Value, namespace: &str) -> Result<Baseline, Failure> {
    let object = json!({
        "apiVersion": format!("{}/{}", plimsoll_api::GROUP, plimsoll_api::VERSION),
        "kind": "PerformanceBaseline",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": spec,
    });
    let mut documents = manifest::parse("environment", &object.to_string()).map_err(Failure::bad_input)?;
    let document = documents.pop().ok_or_else(|| Failure::bad_input("the environment describes nothing"))?;
    Baseline::from_document(document).map_err(|mut failure| {
        for line in &mut failure.lines {
            let of = |(path, name): (&str, &str)| {
                let (_, why) = line.split_once(&format!("{path}: "))?;
                Some(format!("the environment variable {name} {why}"))
            };
            *line = VARIABLES.into_iter().find_map(of).unwrap_or_else(|| line.clone());
        }
        failure.code = EXIT_BAD_INPUT;
        failure
    })
}

fn put_port(source: &mut Value, name: &str, text: Option<String>) -> Result<(), Failure> {
    let Some(text) = text else { return Ok(()) };
    let port: u16 = text.parse().map_err(|_| {
        Failure::bad_input(format_args!("the environment variable {name} is no port from 1 to 65535"))
    })?;
    source["port"] = json!(port);
    Ok(())
}

fn secret<const N: usize>(objects: &mut Objects, name: &str, values: [(&str, String); N]) {
    let values = values.map(|(key, value)| (key.to_owned(), value.into_bytes()));
    let object = Object { place: "environment".to_owned(), namespace: None, values: BTreeMap::from(values) };
    objects.insert((KeyKind::Secret, name.to_owned()), vec![object]);
}

#[cfg(test)]
mod tests {
    use plimsoll_analysis::request::{PostgresAccess, RedisAccess, SslMode};

    use super::*;
    use crate::collect::input::{Input, Overrides, without_files};

    fn input(variables: &[(&str, &str)]) -> Result<Input, Failure> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let (baseline, objects) = baseline(variable, None)?;
        without_files(baseline, &objects, &Overrides::default(), "2026-11-24T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn each_source_is_read_where_its_host_is_set() {
        for (variables, prometheus, postgres, redis) in [
            (&[] as &[(&str, &str)], Some(DEFAULT_URL), false, false),
            (&[(PROMETHEUS_URL, "http://prom:1")], Some("http://prom:1"), false, false),
            (&[(DB_HOST, "db"), (DB_PASSWORD, "x")], None, true, false),
            (&[(REDIS_HOST, "redis"), (DB_HOST, "")], None, false, true),
            (&[(REDIS_HOST, "redis"), (PROMETHEUS_URL, "http://prom:1")], Some("http://prom:1"), false, true),
        ] {
            let request = input(variables).unwrap_or_else(|failure| panic!("{failure:?}")).request;
            assert_eq!(request.prometheus.map(|source| source.url).as_deref(), prometheus, "{variables:?}");
            assert_eq!((request.postgres.is_some(), request.redis.is_some()), (postgres, redis));
            assert_eq!((request.database.is_some(), request.cache.is_some()), (postgres, redis));
            assert_eq!(request.web.is_some(), prometheus.is_some());
        }
    }

    #[test]
    fn the_seeds_defaults_stand_for_what_is_not_set() {
        let input = input(&[(DB_HOST, "db"), (DB_PASSWORD, "canary"), (REDIS_HOST, "cache")])
            .unwrap_or_else(|failure| panic!("{failure:?}"));
        let postgres = input.request.postgres.as_ref().unwrap();
        assert_eq!(postgres.ssl_mode, SslMode::Prefer);
        let PostgresAccess::Parts { host, port, database, username, password } = &postgres.access else {
            panic!("{postgres:?}")
        };
        assert_eq!((host.as_str(), *port, database.as_str()), ("db", 5432, "smartdairy"));
        assert_eq!(input.keys.get(username).unwrap(), b"admin");
        assert_eq!(input.keys.get(password).unwrap(), b"canary");
        let RedisAccess::Parts { port, credentials, .. } = &input.request.redis.as_ref().unwrap().access
        else {
            panic!("parts")
        };
        assert_eq!((*port, credentials), (6379, &None));
        assert_eq!(input.request.sample_seconds, 60);
    }

    #[test]
    fn every_variable_goes_where_it_belongs() {
        let input = input(&[
            (DB_HOST, "db"),
            (DB_PORT, "5433"),
            (DB_USER, "reader"),
            (DB_NAME, "herd"),
            (DB_PASSWORD, "canary-db"),
            (REDIS_HOST, "cache"),
            (REDIS_PORT, "6380"),
            (REDIS_PASSWORD, "canary-redis"),
        ])
        .unwrap_or_else(|failure| panic!("{failure:?}"));
        let postgres = &input.request.postgres.as_ref().unwrap().access;
        let PostgresAccess::Parts { port, database, username, .. } = postgres else { panic!("{postgres:?}") };
        assert_eq!((*port, database.as_str()), (5433, "herd"));
        assert_eq!(input.keys.get(username).unwrap(), b"reader");
        let RedisAccess::Parts { port, credentials, .. } = &input.request.redis.as_ref().unwrap().access
        else {
            panic!("parts")
        };
        let credentials = credentials.as_ref().unwrap();
        assert_eq!(*port, 6380);
        assert_eq!(input.keys.get(&credentials.password).unwrap(), b"canary-redis");
        assert!(input.keys.get(&credentials.username).is_none(), "the user is default");
        let text = serde_json::to_string(&input.request).unwrap();
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn a_variable_that_means_nothing_is_named_and_a_password_never_shown() {
        let base = [(DB_PASSWORD, "canary-db"), (REDIS_PASSWORD, "canary-redis")];
        for (variables, starts) in [
            (vec![(DB_HOST, "db\n")], "the environment variable DB_HOST "),
            (vec![(DB_HOST, "db"), (DB_PORT, "0")], "the environment variable DB_PORT "),
            (vec![(DB_HOST, "db"), (DB_PORT, "canary")], "the environment variable DB_PORT is no port"),
            (vec![(DB_HOST, "db"), (DB_NAME, "a\u{1}")], "the environment variable DB_NAME "),
            (vec![(REDIS_HOST, "a b")], "the environment variable REDIS_HOST "),
            (vec![(REDIS_HOST, "a"), (REDIS_PORT, "65536")], "the environment variable REDIS_PORT "),
        ] {
            let failure = input(&[&base[..], &variables].concat()).err().unwrap();
            assert_eq!(failure.code, 2);
            assert!(failure.lines[0].starts_with(starts), "{failure:?}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
        let failure = input(&[(DB_HOST, "db")]).err().unwrap();
        assert_eq!(failure.lines, ["the environment variable DB_PASSWORD is missing beside DB_HOST"]);
    }
}
