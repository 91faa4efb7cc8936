use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::baseline::KeptRun;
use plimsoll_operator::record_map::{RecordOwner, read, to_config_map};
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::{self, BaselineFixture as _, NAMESPACE};

use crate::record_file;

const RUN: &str = "dairy-0123456789";
const UID: &str = "c0c0a000-0000-4000-8000-00000000c0c0";

/// The ConfigMap of a run as the operator writes it.
fn kept_map(record: &BaselineRecord) -> ConfigMap {
    let owner = OwnerReference {
        api_version: "plimsoll.dev/v1alpha1".to_owned(),
        kind: "PerformanceBaseline".to_owned(),
        name: "dairy".to_owned(),
        uid: UID.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let names = RecordOwner {
        run: RUN.to_owned(),
        namespace: NAMESPACE.to_owned(),
        owner,
        labels: plimsoll_operator::job::build::run_labels("performancebaseline", "dairy", RUN),
        run_key: "sha256:key".to_owned(),
        request_hash: Some("sha256:request".to_owned()),
    };
    to_config_map(record, &names).unwrap()
}

/// A server that keeps a record; its SHA-256.
fn server(record: &BaselineRecord) -> (FakeApiServer, String) {
    let server = FakeApiServer::new();
    let map = server.put(kept_map(record));
    let sha256 = read(&map).unwrap().1;
    let mut baseline = fixtures::baseline("dairy").web();
    let kept = KeptRun {
        name: RUN.to_owned(),
        finished_at: Time("2026-11-23T02:00:00Z".parse().unwrap()),
        complete: true,
        record_sha256: sha256.clone(),
        spec_hash: None,
    };
    baseline.status =
        Some(PerformanceBaselineStatus { history: vec![kept], ..PerformanceBaselineStatus::default() });
    server.put(baseline);
    (server, sha256)
}

async fn export(server: &FakeApiServer, name: Option<&str>) -> (Result<u8, String>, String, String) {
    let args = ExportArgs {
        object: ObjectRef { name: "dairy".to_owned() },
        run: None,
        name: name.map(str::to_owned),
        target: Target::default(),
    };
    let place = Place { client: server.client(), namespace: NAMESPACE.to_owned() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = run(&args, &place, &mut out, &mut err).await.map_err(|failure| failure.lines.join("\n"));
    (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn an_exported_record_comes_back_with_the_same_hash() {
    let mut large = fixtures::record();
    for index in 0..40_000 {
        large.truncated.insert(format!("entry-{index:020}"), index);
    }
    for record in [fixtures::record(), large] {
        let (kept, sha256) = server(&record);
        let (result, yaml, err) = export(&kept, None).await;
        assert_eq!((result, err.as_str()), (Ok(0), ""));
        let place = |key: &str| yaml.find(key).unwrap();
        assert!(
            place("\nmetadata:") < yaml.find("\ndata:").unwrap_or_else(|| place("\nbinaryData:")),
            "names first"
        );
        let found = record_file::parse("exported.yaml", &yaml).unwrap();
        assert_eq!((&found.record, found.sha256.as_ref()), (&record, Some(&sha256)));
        // Applied to a cluster, it is what compareTo {type: Record} reads.
        let applied: ConfigMap = serde_saphyr::from_str(&yaml).unwrap();
        let other = FakeApiServer::new();
        let applied = other.put(applied);
        assert_eq!(applied.metadata.name.as_deref(), Some("dairy-record"));
        assert_eq!(read(&applied).unwrap(), (record, sha256));
    }
}

#[tokio::test]
async fn an_exported_record_belongs_to_nobody() {
    let (server, sha256) = server(&fixtures::record());
    let (_, yaml, _) = export(&server, Some("dairy-2026-11")).await;
    assert!(
        !yaml.contains(UID) && !yaml.contains("managed-by") && !yaml.contains("ownerReferences"),
        "{yaml}"
    );
    let map: ConfigMap = serde_saphyr::from_str(&yaml).unwrap();
    let metadata = &map.metadata;
    assert_eq!(
        (metadata.name.as_deref(), metadata.namespace.as_deref()),
        (Some("dairy-2026-11"), Some(NAMESPACE))
    );
    let labels = metadata.labels.as_ref().unwrap();
    // By these labels the operator finds what is its own.
    for ours in plimsoll_operator::job::build::run_labels("performancebaseline", "dairy", RUN).keys() {
        assert!(!labels.contains_key(ours), "{ours}");
    }
    assert!(labels.keys().all(|label| !label.contains(plimsoll_api::GROUP)), "{labels:?}");
    assert!(!plimsoll_operator::record_map::is_owned(metadata, UID));
    assert!(plimsoll_operator::record_map::adopt(&map, UID, "sha256:key", Some("sha256:request")).is_err());
    let annotations = metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[RECORD_SHA256_ANNOTATION], sha256);
    assert_eq!(annotations.len(), 2, "{annotations:?}");
    assert_eq!(server.writes().len(), 0);
}

#[tokio::test]
async fn a_record_that_was_changed_is_not_exported() {
    let (server, _) = server(&fixtures::record());
    let mut map = kept_map(&fixtures::record());
    let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
    *text = text.replace("1230.0", "12.0");
    server.put(map);
    let (result, out, _) = export(&server, None).await;
    assert!(result.unwrap_err().contains("was changed after its record was written"));
    assert_eq!(out, "");
}

#[tokio::test]
async fn an_incomplete_record_is_exported_with_a_note() {
    let mut record = fixtures::record();
    fixtures::fail_source(&mut record, plimsoll_analysis::record::SourceReason::Timeout, "no answer");
    let (server, _) = server(&record);
    let (result, _, err) = export(&server, None).await;
    assert_eq!(result, Ok(0));
    assert!(err.contains("is not complete"), "{err}");
}

#[test]
fn names_are_those_of_objects() {
    assert_eq!(default_name("dairy"), "dairy-record");
    assert_eq!(default_name(&"a".repeat(253)).len(), 253);
    assert_eq!(
        default_name(&format!("{}-{}", "a".repeat(245), "b".repeat(7))),
        format!("{}-record", "a".repeat(245))
    );
    for good in ["a", "a.b-c", "0"] {
        assert!(object_name(good).is_ok(), "{good}");
    }
    for bad in ["", "A", "a_b", "-a", "a.", "a..b", "a/b", &"a".repeat(254)] {
        assert!(object_name(bad).is_err(), "{bad}");
    }
}
