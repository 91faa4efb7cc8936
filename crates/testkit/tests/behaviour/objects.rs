//! Objects: create, read, list, replace, patch, delete, ownership.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use kube::api::{
    Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::fixtures::{BaselineFixture as _, NAMESPACE, PROMETHEUS, baseline};
use plimsoll_testkit::server::{Effect, ObjectKey, ResourceType, Verb};
use plimsoll_testkit::{FakeApiServer, FixedClock};
use serde_json::json;

use crate::{baselines, config_map, config_maps, object, refusal};

fn job(name: &str, owner: Option<&PerformanceBaseline>) -> Job {
    let owners = owner.map(|owner| {
        json!([{
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline", "controller": true,
            "name": owner.metadata.name, "uid": owner.metadata.uid,
        }])
    });
    object(json!({
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": owners},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "plimsoll", "image": "plimsoll:1"}],
        }}},
    }))
}

fn pod_of(job: &Job, name: &str) -> Pod {
    object(json!({
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid},
        ]},
        "spec": {"containers": [{"name": "plimsoll"}]},
    }))
}

#[tokio::test]
async fn a_created_object_gets_what_the_server_gives() {
    let clock = FixedClock::at("2026-03-01T10:00:00Z");
    let server = FakeApiServer::with_clock(clock);
    let api = config_maps(&server);
    let created = api.create(&PostParams::default(), &config_map("milk", json!({"a": "1"}))).await.unwrap();
    assert!(created.metadata.uid.as_ref().is_some_and(|uid| !uid.is_empty()));
    assert!(created.metadata.resource_version.is_some());
    let time = created.metadata.creation_timestamp.clone().unwrap().0;
    assert_eq!(time.to_string(), "2026-03-01T10:00:00Z");
    assert_eq!(created.metadata.generation, None, "ConfigMaps have no generation");
    assert_eq!(api.get("milk").await.unwrap(), created);
    assert_eq!(api.get_opt("cream").await.unwrap(), None);
    let status = refusal(api.get("cream").await);
    assert_eq!((status.code, status.message.as_str()), (404, "configmaps \"cream\" not found"));
}

#[tokio::test]
async fn a_second_create_is_already_exists_and_names_are_generated() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    api.create(&PostParams::default(), &config_map("milk", json!({}))).await.unwrap();
    let status = refusal(api.create(&PostParams::default(), &config_map("milk", json!({}))).await);
    assert!(status.is_already_exists());
    assert_eq!((status.code, status.message.as_str()), (409, "configmaps \"milk\" already exists"));
    let unnamed: ConfigMap = object(json!({"metadata": {"generateName": "milk-"}}));
    let first = api.create(&PostParams::default(), &unnamed).await.unwrap();
    let second = api.create(&PostParams::default(), &unnamed).await.unwrap();
    assert!(first.metadata.name.as_ref().unwrap().starts_with("milk-"));
    assert_ne!(first.metadata.name, second.metadata.name);
    let nameless: ConfigMap = object(json!({"metadata": {}}));
    assert_eq!(refusal(api.create(&PostParams::default(), &nameless).await).code, 422);
    let writes = server.writes();
    assert_eq!(
        writes.iter().map(|write| write.code).collect::<Vec<_>>(),
        [Some(201), Some(409), Some(201), Some(201), Some(422)]
    );
    assert_eq!(writes[2].object.name, first.metadata.name.unwrap(), "the log has the name that was given");
}

#[tokio::test]
async fn a_dry_run_is_answered_and_not_kept() {
    let server = FakeApiServer::new();
    let api = config_maps(&server);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&params, &config_map("milk", json!({}))).await.unwrap();
    assert_eq!(api.get_opt("milk").await.unwrap(), None);
    assert_eq!(server.writes()[0].effect, Effect::None);
}

#[tokio::test]
async fn a_list_selects_by_labels_fields_and_namespace_and_comes_in_pages() {
    let server = FakeApiServer::new();
    for (namespace, name, app) in [("pasture", "a", "odoo"), ("pasture", "b", "api"), ("barn", "c", "odoo")] {
        server.put::<ConfigMap>(object(json!({
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        })));
    }
    let all: Api<ConfigMap> = Api::all(server.client());
    let names = |list: kube::core::ObjectList<ConfigMap>| -> Vec<String> {
        list.items.into_iter().map(|item| item.metadata.name.unwrap()).collect()
    };
    let cases = [
        (ListParams::default(), vec!["c", "a", "b"]),
        (ListParams::default().labels("app=odoo"), vec!["c", "a"]),
        (ListParams::default().labels("app in (api,web)"), vec!["b"]),
        (ListParams::default().fields("metadata.name=a"), vec!["a"]),
    ];
    for (params, expected) in cases {
        assert_eq!(names(all.list(&params).await.unwrap()), expected, "{params:?}");
    }
    assert_eq!(names(config_maps(&server).list(&ListParams::default()).await.unwrap()), ["a", "b"]);
    let page = all.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(page.metadata.remaining_item_count, Some(1));
    let rest = ListParams::default().limit(2).continue_token(page.metadata.continue_.as_deref().unwrap());
    assert_eq!(names(all.list(&rest).await.unwrap()), ["b"]);
    assert_eq!(refusal(all.list(&ListParams::default().labels("app within (a)")).await).code, 400);
    assert!(server.writes().is_empty());
    assert_eq!(server.reads().iter().filter(|read| read.verb == Verb::List).count(), server.reads().len());
}

#[tokio::test]
async fn events_are_found_by_what_they_are_about() {
    let server = FakeApiServer::new();
    for (name, about) in [("one", "dairy-1"), ("two", "dairy-2")] {
        server.put::<Event>(object(json!({
            "metadata": {"name": name, "namespace": NAMESPACE}, "involvedObject": {"name": about},
        })));
    }
    let api: Api<Event> = Api::namespaced(server.client(), NAMESPACE);
    let found = api.list(&ListParams::default().fields("involvedObject.name=dairy-2")).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].metadata.name.as_deref(), Some("two"));
}

#[tokio::test]
async fn metadata_alone_is_given_when_asked_for() {
    let server = FakeApiServer::new();
    let stored = server.put(config_map("milk", json!({"a": "1"})));
    let api = config_maps(&server);
    let one = api.get_metadata("milk").await.unwrap();
    assert_eq!(one.metadata.uid, stored.metadata.uid);
    assert_eq!(one.types.unwrap().kind, "PartialObjectMetadata");
    let list = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
}

#[tokio::test]
async fn a_replace_of_an_older_version_is_a_conflict() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy").prometheus(PROMETHEUS));
    let api = baselines(&server);
    let old = api.get("dairy").await.unwrap();
    let mut edited = old.clone();
    edited.spec.suspend = true;
    let stored = api.replace("dairy", &PostParams::default(), &edited).await.unwrap();
    assert_eq!(stored.metadata.generation, Some(2));
    let status = refusal(api.replace("dairy", &PostParams::default(), &old).await);
    assert!(status.is_conflict());
    assert_eq!(
        status.message,
        "Operation cannot be fulfilled on performancebaselines.plimsoll.dev \"dairy\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let mut unversioned = stored.clone();
    unversioned.metadata.resource_version = None;
    assert_eq!(refusal(api.replace("dairy", &PostParams::default(), &unversioned).await).code, 422);
    let mut other = stored;
    other.metadata.uid = Some("another".to_owned());
    assert_eq!(refusal(api.replace("dairy", &PostParams::default(), &other).await).code, 409);
}

#[tokio::test]
async fn a_merge_patch_merges_and_null_removes() {
    let server = FakeApiServer::new();
    server.put(config_map("milk", json!({"a": "1", "b": "2"})));
    let api = config_maps(&server);
    let patch = Patch::Merge(json!({"data": {"a": null, "c": "3"}}));
    let patched = api.patch("milk", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(
        patched.data,
        Some([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())].into())
    );
    let stale = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}, "data": {"a": "4"}}));
    assert_eq!(refusal(api.patch("milk", &PatchParams::default(), &stale).await).code, 409);
    assert_eq!(refusal(api.patch("cream", &PatchParams::default(), &patch).await).code, 404);
}

#[tokio::test]
async fn a_write_that_changes_nothing_makes_no_version() {
    let server = FakeApiServer::new();
    let stored = server.put(config_map("milk", json!({"a": "1"})));
    let api = config_maps(&server);
    let patched =
        api.patch("milk", &PatchParams::default(), &Patch::Merge(json!({"data": {"a": "1"}}))).await.unwrap();
    assert_eq!(patched, stored);
    let replaced = api.replace("milk", &PostParams::default(), &stored).await.unwrap();
    assert_eq!(replaced, stored);
    let writes = server.writes();
    assert!(writes.iter().all(|write| !write.changed() && write.code == Some(200)), "{writes:?}");
}

#[tokio::test]
async fn main_and_status_writes_leave_each_other_alone() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy").prometheus(PROMETHEUS));
    let api = baselines(&server);
    let both = Patch::Merge(json!({
        "metadata": {"labels": {"herd": "north"}},
        "spec": {"window": "5m"}, "status": {"lastRequestHandled": "one"},
    }));
    let after_main = api.patch("dairy", &PatchParams::default(), &both).await.unwrap();
    assert_eq!(after_main.spec.window, "5m");
    assert_eq!(after_main.status, None, "a main write ignores the status");
    assert_eq!(after_main.metadata.generation, Some(2));
    let both = Patch::Merge(json!({
        "metadata": {"labels": {"herd": "south"}},
        "spec": {"window": "9m"}, "status": {"lastRequestHandled": "two"},
    }));
    let after_status = api.patch_status("dairy", &PatchParams::default(), &both).await.unwrap();
    assert_eq!(after_status.spec.window, "5m", "a status write ignores the spec");
    assert_eq!(after_status.metadata.labels.as_ref().unwrap()["herd"], "north", "and the metadata");
    assert_eq!(after_status.status.as_ref().unwrap().last_request_handled.as_deref(), Some("two"));
    assert_eq!(after_status.metadata.generation, Some(2), "a status makes no generation");
    let mut stale = after_main;
    stale.status = after_status.status;
    assert_eq!(refusal(api.replace_status("dairy", &PostParams::default(), &stale).await).code, 409);
    assert_eq!(server.writes()[1].subresource, "status");
    server.put(config_map("milk", json!({})));
    let patch = Patch::Merge(json!({"status": {}}));
    assert_eq!(
        refusal(config_maps(&server).patch_status("milk", &PatchParams::default(), &patch).await).code,
        404
    );
}

#[tokio::test]
async fn a_delete_honours_its_preconditions() {
    let server = FakeApiServer::new();
    let stored = server.put(config_map("milk", json!({})));
    let api = config_maps(&server);
    let wrong = Preconditions { uid: Some("another".to_owned()), resource_version: None };
    let status = refusal(api.delete("milk", &DeleteParams::default().preconditions(wrong)).await);
    assert!(
        status.message.contains("Precondition failed: UID in precondition: another"),
        "{}",
        status.message
    );
    let right =
        Preconditions { uid: stored.metadata.uid, resource_version: stored.metadata.resource_version };
    api.delete("milk", &DeleteParams::default().preconditions(right)).await.unwrap().unwrap_right();
    assert_eq!(refusal(api.delete("milk", &DeleteParams::default()).await).code, 404);
}

#[tokio::test]
async fn what_an_object_owns_goes_with_it_and_down_the_line() {
    let server = FakeApiServer::new();
    let owner = server.put(baseline("dairy"));
    let run = server.put(job("dairy-1", Some(&owner)));
    server.put(pod_of(&run, "dairy-1-x"));
    let stranger = server.put(job("stranger", None));
    baselines(&server).delete("dairy", &DeleteParams::default()).await.unwrap();
    assert!(server.get::<Job>(NAMESPACE, "dairy-1").is_none());
    assert!(server.get::<Pod>(NAMESPACE, "dairy-1-x").is_none());
    assert_eq!(server.list::<Job>(NAMESPACE), [stranger]);
    let orphan = server.put(job("late", Some(&owner)));
    assert_eq!(server.collect_garbage().len(), 1, "the owner of {:?} is gone", orphan.metadata.name);
    let late = ObjectKey {
        resource: ResourceType::of::<Job>(),
        namespace: NAMESPACE.to_owned(),
        name: "late".to_owned(),
    };
    let lifecycle = server.lifecycles()[&late];
    assert_eq!((lifecycle.creates, lifecycle.deletes), (1, 1));
}

#[tokio::test]
async fn an_owner_of_the_same_name_and_another_uid_is_no_owner() {
    let server = FakeApiServer::new();
    let old = server.put(baseline("dairy"));
    server.put(job("dairy-1", Some(&old)));
    server.put(config_map("bystander", json!({})));
    server.delete::<PerformanceBaseline>(NAMESPACE, "dairy");
    let new = server.put(baseline("dairy").uid("c0c0a000-0000-4000-8000-00000000beef"));
    server.put(job("dairy-2", Some(&old)));
    server.put(job("dairy-3", Some(&new)));
    server.collect_garbage();
    let left: Vec<_> =
        server.list::<Job>(NAMESPACE).into_iter().map(|job| job.metadata.name.unwrap()).collect();
    assert_eq!(left, ["dairy-3"]);
}

#[tokio::test]
async fn deleting_a_job_leaves_its_pods_unless_told_otherwise() {
    let server = FakeApiServer::new();
    let api: Api<Job> = Api::namespaced(server.client(), NAMESPACE);
    for (policy, pods_left) in [
        (None, 1),
        (Some(PropagationPolicy::Orphan), 1),
        (Some(PropagationPolicy::Background), 0),
        (Some(PropagationPolicy::Foreground), 0),
    ] {
        let run = server.put(job("dairy-1", None));
        server.put(pod_of(&run, "dairy-1-x"));
        let params = DeleteParams { propagation_policy: policy.clone(), ..DeleteParams::default() };
        api.delete("dairy-1", &params).await.unwrap();
        assert_eq!(server.list::<Pod>(NAMESPACE).len(), pods_left, "{policy:?}");
        server.delete::<Pod>(NAMESPACE, "dairy-1-x");
    }
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_taken_off() {
    let server = FakeApiServer::new();
    let mut held = baseline("dairy");
    held.metadata.finalizers = Some(vec!["plimsoll.dev/tidy".to_owned()]);
    server.put(held);
    let api = baselines(&server);
    let answer = api.delete("dairy", &DeleteParams::default()).await.unwrap();
    assert!(answer.left().unwrap().metadata.deletion_timestamp.is_some());
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("dairy", &PatchParams::default(), &patch).await.unwrap();
    assert!(server.get::<PerformanceBaseline>(NAMESPACE, "dairy").is_none());
    assert_eq!(server.writes()[1].effect, Effect::Deleted);
}

#[tokio::test]
async fn a_collection_is_deleted_by_its_labels() {
    let server = FakeApiServer::new();
    for (name, keep) in [("a", "yes"), ("b", "no"), ("c", "no")] {
        server.put::<ConfigMap>(object(json!({
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"keep": keep}},
        })));
    }
    let api = config_maps(&server);
    api.delete_collection(&DeleteParams::default(), &ListParams::default().labels("keep=no")).await.unwrap();
    assert_eq!(server.list::<ConfigMap>(NAMESPACE).len(), 1);
    assert_eq!(server.writes()[0].verb, Verb::DeleteCollection);
}

#[tokio::test]
async fn the_template_of_a_job_cannot_change_and_its_ttl_can() {
    let server = FakeApiServer::new();
    let api: Api<Job> = Api::namespaced(server.client(), NAMESPACE);
    let created = api.create(&PostParams::default(), &job("dairy-1", None)).await.unwrap();
    let labels = created.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().labels.clone().unwrap();
    assert_eq!(Some(&labels["batch.kubernetes.io/controller-uid"]), created.metadata.uid.as_ref());
    assert_eq!(created.spec.as_ref().unwrap().backoff_limit, Some(6));
    let ttl = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": 60}}));
    api.patch("dairy-1", &PatchParams::default(), &ttl).await.unwrap();
    let image = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [
        {"name": "plimsoll", "image": "plimsoll:2"},
    ]}}}}));
    let status = refusal(api.patch("dairy-1", &PatchParams::default(), &image).await);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert!(status.message.starts_with("Job.batch \"dairy-1\" is invalid: spec.template: Invalid value: "));
    assert!(status.message.ends_with("field is immutable"));
}

#[tokio::test]
async fn an_immutable_config_map_keeps_its_data() {
    let server = FakeApiServer::new();
    let mut sealed = config_map("milk", json!({"record.json": "{}"}));
    sealed.immutable = Some(true);
    server.put(sealed);
    let api = config_maps(&server);
    for change in [json!({"data": {"record.json": "[]"}}), json!({"immutable": false})] {
        let status = refusal(api.patch("milk", &PatchParams::default(), &Patch::Merge(change)).await);
        assert_eq!(status.code, 422);
        assert!(status.message.contains("field is immutable when `immutable` is set"), "{}", status.message);
    }
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    api.patch("milk", &PatchParams::default(), &label).await.unwrap();
}

#[tokio::test]
async fn a_namespace_that_ends_takes_nothing_new() {
    let server = FakeApiServer::new();
    server.put::<Namespace>(object(json!({
        "metadata": {"name": NAMESPACE, "deletionTimestamp": "2026-02-05T05:00:00Z", "finalizers": ["kubernetes"]},
    })));
    let status =
        refusal(config_maps(&server).create(&PostParams::default(), &config_map("milk", json!({}))).await);
    assert_eq!(status.code, 403);
    assert!(status.message.ends_with("because it is being terminated"), "{}", status.message);
    assert_eq!(status.details.unwrap().causes[0].reason, "NamespaceTerminating");
}

#[tokio::test]
async fn logs_are_what_the_test_set_and_absent_before_the_container_starts() {
    let server = FakeApiServer::new();
    server.put::<Pod>(object(json!({
        "metadata": {"name": "dairy-1-x", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "plimsoll"}, {"name": "mesh"}]},
        "status": {"containerStatuses": [
            {"name": "plimsoll", "ready": false, "image": "", "imageID": "", "restartCount": 0,
             "state": {"waiting": {"reason": "ImagePullBackOff"}}},
        ]},
    })));
    let api: Api<Pod> = Api::namespaced(server.client(), NAMESPACE);
    let ours = LogParams { container: Some("plimsoll".to_owned()), ..LogParams::default() };
    let status = refusal(api.logs("dairy-1-x", &ours).await);
    assert_eq!(status.code, 400);
    assert!(status.message.ends_with("is waiting to start: ImagePullBackOff"), "{}", status.message);
    server.set_log(NAMESPACE, "dairy-1-x", "plimsoll", "one\ntwo\nthree\n");
    assert_eq!(api.logs("dairy-1-x", &ours).await.unwrap(), "one\ntwo\nthree\n");
    let tail = LogParams { tail_lines: Some(1), ..ours.clone() };
    assert_eq!(api.logs("dairy-1-x", &tail).await.unwrap(), "three\n");
    let cut = LogParams { limit_bytes: Some(5), ..ours };
    assert_eq!(api.logs("dairy-1-x", &cut).await.unwrap(), "one\nt");
    assert!(refusal(api.logs("dairy-1-x", &LogParams::default()).await).message.contains("choose one of"));
    let none = LogParams { container: Some("none".to_owned()), ..LogParams::default() };
    assert!(refusal(api.logs("dairy-1-x", &none).await).message.contains("is not valid for pod"));
    assert_eq!(refusal(api.logs("gone", &LogParams::default()).await).code, 404);
}

#[tokio::test]
async fn a_users_edit_counts_a_generation_and_keeps_the_status() {
    let server = FakeApiServer::new();
    server.put(baseline("dairy"));
    let status = Patch::Merge(json!({"status": {"lastRequestHandled": "one"}}));
    baselines(&server).patch_status("dairy", &PatchParams::default(), &status).await.unwrap();
    let edited =
        server.edit(NAMESPACE, "dairy", |baseline: &mut PerformanceBaseline| baseline.spec.suspend = true);
    assert_eq!(edited.metadata.generation, Some(2));
    assert_eq!(edited.status.unwrap().last_request_handled.as_deref(), Some("one"));
    let replaced = server.put(baseline("dairy").window("5m"));
    assert_eq!(replaced.metadata.generation, Some(3), "also where the fixture says 1");
    assert!(replaced.status.is_some());
    assert_eq!(server.writes().len(), 1, "a user's edit is no write of the client");
}
