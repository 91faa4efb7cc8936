//! Server-side apply.

use kube::api::{Patch, PatchParams, PostParams};
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, PROMETHEUS, baseline};
use plimsoll_testkit::server::{Effect, ResourceType};
use serde_json::{Value, json};

use crate::{baselines, config_map, config_maps, refusal};

fn as_manager(name: &str) -> PatchParams {
    PatchParams::apply(name)
}

fn applied(data: Value) -> Patch<Value> {
    Patch::Apply(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "milk", "namespace": NAMESPACE}, "data": data,
    }))
}

fn applied_status(status: Value) -> Patch<Value> {
    Patch::Apply(
        json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline", "status": status}),
    )
}

fn condition(kind: &str, status: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": "Because", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-02-05T06:00:00Z",
    })
}

fn data(server: &FakeApiServer) -> Value {
    server.objects().into_values().find(|object| object["metadata"]["name"] == "milk").unwrap()["data"]
        .clone()
}

#[tokio::test]
async fn an_apply_makes_the_object_and_the_same_apply_changes_nothing() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    let made = api.patch("milk", &as_manager("one"), &applied(json!({"a": "1"}))).await.unwrap();
    let again = api.patch("milk", &as_manager("one"), &applied(json!({"a": "1"}))).await.unwrap();
    assert_eq!(again, made);
    let writes = server.writes();
    assert_eq!((writes[0].effect, writes[0].code), (Effect::Created, Some(201)));
    assert_eq!((writes[1].effect, writes[1].code), (Effect::None, Some(200)));
    assert_eq!(writes[0].field_manager, "one");
}

#[tokio::test]
async fn what_a_manager_no_longer_applies_goes_and_what_others_own_stays() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    api.patch("milk", &as_manager("one"), &applied(json!({"a": "1", "b": "2"}))).await.unwrap();
    api.patch("milk", &as_manager("two"), &applied(json!({"b": "2", "c": "3"}))).await.unwrap();
    api.patch("milk", &as_manager("one"), &applied(json!({"a": "1"}))).await.unwrap();
    assert_eq!(data(&server), json!({"a": "1", "b": "2", "c": "3"}), "b is still two's");
    api.patch("milk", &as_manager("two"), &applied(json!({"c": "3"}))).await.unwrap();
    assert_eq!(data(&server), json!({"a": "1", "c": "3"}), "b was nobody's any more");
    api.patch("milk", &as_manager("one"), &applied(json!({}))).await.unwrap();
    assert_eq!(data(&server), json!({"c": "3"}));
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict_until_forced() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    api.patch("milk", &as_manager("one"), &applied(json!({"a": "1"}))).await.unwrap();
    let status = refusal(api.patch("milk", &as_manager("two"), &applied(json!({"a": "2"}))).await);
    assert!(status.is_conflict());
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(status.details.unwrap().causes[0].reason, "FieldManagerConflict");
    api.patch("milk", &as_manager("two").force(), &applied(json!({"a": "2"}))).await.unwrap();
    api.patch("milk", &as_manager("one").force(), &applied(json!({}))).await.unwrap();
    assert_eq!(data(&server), json!({"a": "2"}), "the field had changed hands");
}

#[tokio::test]
async fn fields_that_were_written_otherwise_are_owned_too() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    let params = PostParams { field_manager: Some("kubectl-create".to_owned()), ..PostParams::default() };
    api.create(&params, &config_map("milk", json!({"a": "1"}))).await.unwrap();
    let status = refusal(api.patch("milk", &as_manager("one"), &applied(json!({"a": "2"}))).await);
    assert!(status.message.contains("conflict with \"kubectl-create\""), "{}", status.message);
    api.patch("milk", &as_manager("one"), &applied(json!({"a": "1"}))).await.unwrap();
    api.patch("milk", &as_manager("one"), &applied(json!({}))).await.unwrap();
    assert_eq!(data(&server), json!({"a": "1"}), "the creator still owns it");
    let patch = Patch::Merge(json!({"data": {"b": "9"}}));
    api.patch(
        "milk",
        &PatchParams { field_manager: Some("editor".to_owned()), ..PatchParams::default() },
        &patch,
    )
    .await
    .unwrap();
    let status = refusal(api.patch("milk", &as_manager("one"), &applied(json!({"b": "8"}))).await);
    assert!(status.message.contains("conflict with \"editor\": .data.b"), "{}", status.message);
}

#[tokio::test]
async fn conditions_are_merged_by_type_and_owned_one_by_one() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy").prometheus(PROMETHEUS));
    let api = baselines(&server);
    let ready =
        applied_status(json!({"conditions": [condition("Ready", "True"), condition("Stalled", "False")]}));
    api.patch_status("dairy", &as_manager("one"), &ready).await.unwrap();
    let other = applied_status(json!({"conditions": [condition("Audited", "True")]}));
    let both = api.patch_status("dairy", &as_manager("two"), &other).await.unwrap();
    let types = |baseline: &plimsoll_api::PerformanceBaseline| -> Vec<String> {
        let conditions = &baseline.status.as_ref().unwrap().conditions;
        conditions.iter().map(|condition| format!("{}={}", condition.type_, condition.status)).collect()
    };
    assert_eq!(types(&both), ["Ready=True", "Stalled=False", "Audited=True"]);
    let fewer = applied_status(json!({"conditions": [condition("Ready", "False")]}));
    let after = api.patch_status("dairy", &as_manager("one"), &fewer).await.unwrap();
    assert_eq!(types(&after), ["Ready=False", "Audited=True"]);
    assert_eq!(after.metadata.generation, Some(1));
}

#[tokio::test]
async fn lists_without_keys_are_replaced_as_a_whole() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy"));
    let api = baselines(&server);
    let run = |name: &str| {
        json!({
            "name": name, "key": "sha256:0", "specHash": "sha256:1", "complete": true,
            "finishedAt": "2026-02-05T06:00:00Z", "recordSha256": "2",
        })
    };
    let three = applied_status(json!({"history": [run("c"), run("b"), run("a")]}));
    api.patch_status("dairy", &as_manager("one"), &three).await.unwrap();
    let two = applied_status(json!({"history": [run("d"), run("c")]}));
    let after = api.patch_status("dairy", &as_manager("one"), &two).await.unwrap();
    let names: Vec<String> = after.status.unwrap().history.into_iter().map(|run| run.name).collect();
    assert_eq!(names, ["d", "c"], "history has names and is no list-map");
}

#[tokio::test]
async fn an_emptied_branch_goes_and_one_that_is_applied_empty_stays() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy"));
    let api = baselines(&server);
    let full = applied_status(json!({"summary": {"pageP95": "1.2s"}, "observedGeneration": 1}));
    api.patch_status("dairy", &as_manager("one"), &full).await.unwrap();
    let empty = applied_status(json!({"summary": {}, "observedGeneration": 1}));
    let after = api.patch_status("dairy", &as_manager("one"), &empty).await.unwrap();
    assert_eq!(after.status.unwrap().summary, Some(Default::default()));
    let gone = applied_status(json!({"observedGeneration": 1}));
    let after = api.patch_status("dairy", &as_manager("one"), &gone).await.unwrap();
    assert_eq!(after.status.unwrap().summary, None);
}

#[tokio::test]
async fn a_null_claims_that_a_field_is_absent() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy"));
    let api = baselines(&server);
    let set = applied_status(json!({"lastRequestHandled": "one"}));
    api.patch_status("dairy", &as_manager("one"), &set).await.unwrap();
    let null = applied_status(json!({"lastRequestHandled": null}));
    let after = api.patch_status("dairy", &as_manager("one"), &null).await.unwrap();
    assert_eq!(after.status.and_then(|status| status.last_request_handled), None);
}

#[tokio::test]
async fn a_status_is_applied_to_what_is_there_and_to_the_version_that_it_names() {
    let server = FakeApiServer::new();
    let api = baselines(&server);
    let status = applied_status(json!({"lastRequestHandled": "one"}));
    assert_eq!(refusal(api.patch_status("dairy", &as_manager("one"), &status).await).code, 404);
    let stored = server.put(baseline("dairy"));
    let versioned = |version: Option<&str>| {
        Patch::Apply(json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
            "metadata": {"resourceVersion": version}, "status": {"lastRequestHandled": version},
        }))
    };
    let version = stored.metadata.resource_version.as_deref();
    api.patch_status("dairy", &as_manager("one"), &versioned(version)).await.unwrap();
    assert!(refusal(api.patch_status("dairy", &as_manager("one"), &versioned(version)).await).is_conflict());
}

#[tokio::test]
async fn an_apply_needs_its_kind_and_refuses_managed_fields_and_a_lost_uid() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    let bodies = [
        (json!({"data": {}}), 400),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"managedFields": []}}), 400),
        (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"uid": "gone"}}), 409),
    ];
    for (body, code) in bodies {
        let result = api.patch("milk", &as_manager("one"), &Patch::Apply(body.clone())).await;
        assert_eq!(refusal(result).code, code, "{body}");
    }
    assert!(server.objects().is_empty());
}

#[tokio::test]
async fn owners_are_merged_by_uid_finalizers_by_value_and_containers_by_name() {
    let server = FakeApiServer::new();
    let client = server.client();
    let api: kube::Api<k8s_openapi::api::batch::v1::Job> = kube::Api::namespaced(client, NAMESPACE);
    let body = |image: &str, owner: &str, finalizer: &str| {
        Patch::Apply(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"finalizers": [finalizer], "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner},
            ]},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "plimsoll", "image": image}],
            }}},
        }))
    };
    api.patch("dairy-1", &as_manager("one"), &body("plimsoll:1", "a", "x.dev/a")).await.unwrap();
    let after = api.patch("dairy-1", &as_manager("two"), &body("plimsoll:1", "b", "x.dev/b")).await.unwrap();
    assert_eq!(after.metadata.finalizers.unwrap(), ["x.dev/a", "x.dev/b"]);
    let owners = after.metadata.owner_references.unwrap();
    assert_eq!(owners.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let again = api.patch("dairy-1", &as_manager("one"), &body("plimsoll:1", "a", "x.dev/a")).await.unwrap();
    assert_eq!(
        again.metadata.resource_version, after.metadata.resource_version,
        "defaults are not taken away"
    );
    let status =
        refusal(api.patch("dairy-1", &as_manager("one").force(), &body("plimsoll:2", "a", "x.dev/a")).await);
    assert_eq!(status.code, 422, "the template of a Job is immutable");
    assert_eq!(ResourceType::of::<k8s_openapi::api::batch::v1::Job>().qualified(), "jobs.batch");
}
