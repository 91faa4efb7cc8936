//! Crash tests find what crashes bring out, and nothing else.

use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use plimsoll_testkit::fixtures::{NAMESPACE, baseline};
use plimsoll_testkit::server::{Effect, FaultKind};
use plimsoll_testkit::{CrashTest, FakeApiServer, every_crash_point};
use serde_json::json;

use crate::{baselines, config_map, config_maps};

/// Calls a reconciler until it says that nothing is left to do, as a controller does, and restarts it after a crash.
async fn settle<Fut>(server: &FakeApiServer, reconcile: impl Fn(kube::Client) -> Fut) -> Result<(), String>
where
    Fut: Future<Output = kube::Result<()>>,
{
    for _ in 0..10 {
        match reconcile(server.client()).await {
            Ok(()) if !server.is_down() => return Ok(()),
            Ok(()) | Err(_) => server.restart(),
        }
    }
    Err("it fails again and again".to_owned())
}

/// A sound reconciler: a ConfigMap by a fixed name, adopted if it is there, then the status.
async fn sound(client: kube::Client) -> kube::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let baselines: Api<plimsoll_api::PerformanceBaseline> = Api::namespaced(client, NAMESPACE);
    if maps.get_opt("milk").await?.is_none() {
        let mut map = config_map("milk", json!({"record.json": "{}"}));
        map.metadata.annotations = Some(
            [(
                "plimsoll.dev/nonce".to_owned(),
                // Differs from run to run, as a real nonce does.
                format!("nonce-{:p}", std::ptr::from_ref(&map)),
            )]
            .into(),
        );
        maps.create(&PostParams::default(), &map).await?;
    }
    let status = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline", "status": {"lastRequestHandled": "one"},
    });
    baselines.patch_status("dairy", &PatchParams::apply("plimsoll").force(), &Patch::Apply(status)).await?;
    Ok(())
}

#[tokio::test]
async fn a_sound_reconciler_ends_the_same_wherever_it_crashes() {
    let report = every_crash_point(|server| async move {
        server.put(baseline("dairy"));
        settle(&server, sound).await
    })
    .await;
    report.assert_clean();
    assert_eq!((report.writes.len(), report.runs.len()), (2, 6));
    assert!(report.to_string().starts_with("2 writes x 3 faults: 0 runs end otherwise\n"), "{report}");
    let faults: Vec<FaultKind> = report.runs.iter().map(|run| run.fault.kind).collect();
    assert_eq!(faults[..3], FaultKind::ALL);
}

#[tokio::test]
async fn a_reconciler_that_fails_on_what_it_made_itself_is_found() {
    let report = every_crash_point(|server| async move {
        server.put(baseline("dairy"));
        settle(&server, |client| async move {
            let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
            let made = maps.create(&PostParams::default(), &config_map("milk", json!({}))).await?;
            let patch = Patch::Merge(json!({"data": {"of": made.metadata.name}}));
            maps.patch("milk", &PatchParams::default(), &patch).await?;
            Ok(())
        })
        .await
    })
    .await;
    assert!(!report.is_clean());
    let stuck = |kind| report.runs.iter().find(|run| run.fault.at == 1 && run.fault.kind == kind).unwrap();
    assert!(stuck(FaultKind::CrashBefore).differences.is_empty(), "before the first write nothing is lost");
    for kind in [FaultKind::CrashAfter, FaultKind::InDoubt] {
        assert!(stuck(kind).differences[0].contains("it fails again and again"), "{report}");
    }
    let text = report.to_string();
    assert!(text.contains("InDoubt at write 1:"), "{text}");
    assert!(
        text.contains("configmaps pasture/milk: .data.of is absent, in the reference \"milk\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_reconciler_that_makes_things_twice_is_found_by_the_counts_alone() {
    let report = every_crash_point(|server| async move {
        server.put(baseline("dairy"));
        settle(&server, |client| async move {
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
            let dairy =
                Api::<plimsoll_api::PerformanceBaseline>::namespaced(client, NAMESPACE).get("dairy").await?;
            if dairy.status.is_some() {
                return Ok(());
            }
            if maps.get_opt("milk").await?.is_some() {
                maps.delete("milk", &DeleteParams::default()).await?;
            }
            maps.create(&PostParams::default(), &config_map("milk", json!({}))).await?;
            Ok(())
        })
        .await?;
        Ok::<(), String>(())
    })
    .await;
    let doubled = report.runs.iter().find(|run| run.fault.kind == FaultKind::InDoubt).unwrap();
    assert_eq!(
        doubled.differences,
        ["configmaps pasture/milk: made 2 and removed 1 times, in the reference 1 and 0"]
    );
}

#[tokio::test]
async fn a_scenario_that_panics_hangs_or_fails_without_a_fault_is_told() {
    let test = CrashTest::new().deadline(Duration::from_millis(50));
    let hangs = test.run(|_| std::future::pending::<Result<(), Infallible>>()).await;
    assert!(hangs.to_string().contains("did not settle within 50ms"), "{hangs}");
    let panics = test.run(|server| async move {
        assert!(server.is_down(), "no way");
        Ok::<(), Infallible>(())
    });
    assert!(panics.await.to_string().contains("the scenario panicked: no way"));
    let fails = test.run(|_| async { Err("no luck") }).await;
    assert!(!fails.is_clean() && fails.runs.is_empty());
    let idle = test.run(|_| async { Ok::<(), Infallible>(()) }).await;
    assert!(!idle.is_clean(), "a scenario without writes proves nothing");
}

#[tokio::test]
async fn masks_cover_what_differs_by_nature_and_only_that() {
    let scenario = |server: FakeApiServer| async move {
        server.put(baseline("dairy"));
        settle(&server, |client| async move {
            let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
            if maps.get_opt("milk").await?.is_none() {
                maps.create(&PostParams::default(), &config_map("milk", json!({}))).await?;
            }
            if maps.get("milk").await?.data.is_none() {
                let attempt = Patch::Merge(json!({"data": {"attempt": format!("{:p}", &raw const maps)}}));
                maps.patch("milk", &PatchParams::default(), &attempt).await?;
            }
            Ok(())
        })
        .await?;
        let attempts = server.writes().len();
        let note = json!({"data": {"attempt": attempts.to_string()}});
        server.put_value(
            &plimsoll_testkit::server::ResourceType::new("", "v1", "configmaps"),
            &json!({"metadata": {"name": "note", "namespace": NAMESPACE}, "data": note["data"]}),
        );
        Ok::<(), String>(())
    };
    let bare = CrashTest::new().run(scenario).await;
    assert!(!bare.is_clean());
    let masked = CrashTest::new().mask_pointer("/data/attempt").run(scenario).await;
    masked.assert_clean();
    assert!(masked.writes.iter().all(|write| write.effect != Effect::None));
    let ignored = CrashTest::new().ignore_resource("configmaps").run(scenario).await;
    ignored.assert_clean();
}

#[tokio::test]
async fn a_crash_ends_the_watches_and_a_restart_lets_the_client_go_on() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy"));
    let version = server.get::<plimsoll_api::PerformanceBaseline>(NAMESPACE, "dairy").unwrap();
    let version = version.metadata.resource_version.unwrap();
    let watch = config_maps(&server).watch(&WatchParams::default(), &version).await.unwrap();
    server.inject(plimsoll_testkit::server::Fault { at: 1, kind: FaultKind::CrashAfter });
    config_maps(&server).create(&PostParams::default(), &config_map("milk", json!({}))).await.unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(10), watch.collect::<Vec<_>>()).await.unwrap();
    assert!(matches!(seen.as_slice(), [Ok(WatchEvent::Added(_))]), "{seen:?}");
    assert!(baselines(&server).get("dairy").await.is_err());
    server.restart();
    assert!(baselines(&server).get("dairy").await.is_ok());
}
