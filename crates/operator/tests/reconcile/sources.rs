//! Runs that measure PostgreSQL and Redis: their Job, and figures since the previous run.

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Volume};
use plimsoll_analysis::record::{BaselineRecord, BasisKind};
use plimsoll_api::PerformanceBaseline;
use plimsoll_operator::context::Settings;
use plimsoll_operator::record_map;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, baseline};
use serde_json::json;

use crate::stage::{DAIRY, Stage};

const HIT_RATE: &str = "cache_metrics.hit_rate_window";
const SLOW: &str = "database_metrics.slow_queries";

fn measured() -> PerformanceBaseline {
    baseline(DAIRY).postgres().redis().window("5m")
}

fn stage(baseline: PerformanceBaseline) -> Stage {
    let mut stage = Stage::new();
    let settings = Settings { allow_secrets_without_policy: true, ..(*stage.context.settings).clone() };
    stage.context.settings = settings.into();
    stage.server.put(baseline);
    stage
}

/// The record of the last run.
fn record(stage: &Stage) -> BaselineRecord {
    let name = stage.status().last_run.expect("a run has finished").name;
    let map: ConfigMap = stage.server.get(NAMESPACE, &name).expect("its record is kept");
    record_map::read(&map).expect("it is a record").0
}

/// Another run, some hours later.
async fn run_after(stage: &Stage, hours: i64) {
    stage.advance(hours * 3_600);
    ask(stage);
    stage.run().await.unwrap();
}

fn ask(stage: &Stage) {
    let value = stage.now().to_string();
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        dairy.metadata.annotations.get_or_insert_default().insert("plimsoll.dev/run".to_owned(), value);
    });
}

#[tokio::test]
async fn the_job_mounts_exactly_the_keys_of_each_source() {
    let mut dairy = measured();
    let postgres = dairy.spec.sources.postgres.as_mut().unwrap();
    postgres.tls = Some(
        serde_json::from_value(json!({"ca": {"configMapKeyRef": {"name": "pg-ca", "key": "ca.crt"}}}))
            .unwrap(),
    );
    let redis = dairy.spec.sources.redis.as_mut().unwrap();
    redis.topology = plimsoll_api::common::RedisTopology::Sentinel;
    redis.sentinel = Some(
        serde_json::from_value(
            json!({"masterName": "cows", "credentials": {"secretRef": {"name": "sentinels"}}}),
        )
        .unwrap(),
    );
    let stage = stage(dairy);
    stage.settle().await.unwrap();
    let job = stage.jobs().remove(0);
    let volumes = job.spec.unwrap().template.spec.unwrap().volumes.unwrap();
    let mounted = |volume: &Volume| {
        let (name, items, optional) = match (&volume.secret, &volume.config_map) {
            (Some(secret), _) => (secret.secret_name.clone(), secret.items.clone(), secret.optional),
            (None, Some(map)) => (Some(map.name.clone()), map.items.clone(), map.optional),
            (None, None) => (None, None, None),
        };
        assert_eq!(optional, Some(true), "the process itself says what is missing");
        let mut keys: Vec<String> = items.unwrap().into_iter().map(|item| item.key).collect();
        keys.sort();
        (name.unwrap(), keys.join(" "))
    };
    let mut found: Vec<(String, String)> = volumes.iter().map(mounted).collect();
    found.sort();
    let expected = [
        ("cache", "password username"),
        ("pg", "password username"),
        ("pg-ca", "ca.crt"),
        ("sentinels", "password username"),
    ];
    assert_eq!(found, expected.map(|(name, keys)| (name.to_owned(), keys.to_owned())));
    assert!(stage.server.list::<Secret>(NAMESPACE).is_empty(), "nothing was read of them");
}

#[tokio::test]
async fn a_run_without_prometheus_is_complete_and_fills_its_columns() {
    let stage = stage(measured());
    stage.run().await.unwrap();
    assert_eq!(stage.says("Ready"), "True: Recorded");
    let status = stage.status();
    let names: Vec<_> = status.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["postgres", "redis"]);
    let summary = status.summary.unwrap();
    assert_eq!((summary.db_p95.as_deref(), summary.cache_hit.as_deref()), (Some("60-240ms"), Some("94.2%")));
    assert_eq!(record(&stage).basis[HIT_RATE].kind, BasisKind::Sampled, "there is no previous run");
}

#[tokio::test]
async fn a_record_that_is_silent_on_one_source_is_not_taken() {
    let stage = stage(measured());
    stage.settle().await.unwrap();
    let job = stage.job();
    job.start();
    job.delivers(|record| record.sources.retain(|source| source.name != "redis")).completes();
    stage.settle().await.unwrap();
    assert_eq!(stage.says("Ready"), "False: ResultInvalid");
    assert!(stage.condition("Ready").message.contains("the source redis"));
}

#[tokio::test]
async fn the_second_run_has_figures_since_the_first() {
    let stage = stage(measured());
    stage.run().await.unwrap();
    let first = record(&stage);
    run_after(&stage, 3).await;
    let second = record(&stage);
    assert_eq!(second.cache_metrics.as_ref().unwrap().hit_rate_window, Some(80.0));
    let basis = &second.basis[HIT_RATE];
    assert_eq!((basis.kind, basis.samples), (BasisKind::SincePreviousRun, Some(300)));
    assert_eq!(basis.from, first.counters.unwrap().cache.unwrap().at);
    let slow = second.database_metrics.as_ref().unwrap().slow_queries.as_ref().unwrap();
    assert_eq!((slow[0].calls, slow[0].avg_time_ms), (300, 5.0));
    assert_eq!(second.basis[SLOW].kind, BasisKind::SincePreviousRun);
    assert_eq!(second.database_analysis.unwrap().cache_hit_ratio, Some(0.9));
    let summary = stage.status().summary.unwrap();
    assert_eq!((summary.db_p95.as_deref(), summary.cache_hit.as_deref()), (Some("5ms"), Some("80%")));
}

#[tokio::test]
async fn a_previous_record_that_is_gone_garbled_or_not_what_status_says_is_not_compared_with() {
    type Spoil = fn(&Stage, &str);
    let gone: Spoil = |stage, name| assert!(stage.server.delete::<ConfigMap>(NAMESPACE, name));
    let garbled: Spoil = |stage, name| {
        stage.server.edit::<ConfigMap>(NAMESPACE, name, |map| {
            map.data = Some([("record.json".to_owned(), "{".to_owned())].into());
        });
    };
    let altered: Spoil = |stage, name| {
        stage.server.edit::<ConfigMap>(NAMESPACE, name, |map| {
            let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
            *text = text.replace("\"hits\": ", "\"hits\": 1");
        });
    };
    let foreign: Spoil = |stage, name| {
        stage.server.edit::<ConfigMap>(NAMESPACE, name, |map| {
            (map.metadata.owner_references, map.metadata.labels) = (None, None);
        });
    };
    for (what, spoil) in [("gone", gone), ("garbled", garbled), ("altered", altered), ("foreign", foreign)] {
        let stage = stage(measured());
        stage.run().await.unwrap();
        let name = stage.status().history[0].name.clone();
        spoil(&stage, &name);
        run_after(&stage, 3).await;
        assert_eq!(stage.says("Ready"), "True: Recorded", "{what}");
        assert_eq!(record(&stage).basis[HIT_RATE].kind, BasisKind::Sampled, "{what}");
    }
}

#[tokio::test]
async fn a_run_of_another_spec_is_not_compared_with_and_the_run_after_it_is() {
    let stage = stage(measured());
    stage.run().await.unwrap();
    stage.advance(3_600);
    stage.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
        dairy.spec.sources.redis.as_mut().unwrap().host = Some("other".to_owned());
    });
    stage.run().await.unwrap();
    assert_eq!(record(&stage).basis[HIT_RATE].kind, BasisKind::Sampled);
    run_after(&stage, 1).await;
    assert_eq!(record(&stage).basis[HIT_RATE].kind, BasisKind::SincePreviousRun);
}
