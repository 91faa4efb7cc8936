//! Refusals, faults, the write log.

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams, PostParams};
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::NAMESPACE;
use plimsoll_testkit::server::{ApiFailure, Failure, Fault, FaultKind, Verb, is_disconnected};
use serde_json::json;

use crate::{config_map, config_maps, object, refusal};

async fn create(server: &FakeApiServer, name: &str) -> kube::Result<ConfigMap> {
    config_maps(server).create(&PostParams::default(), &config_map(name, json!({}))).await
}

fn names(server: &FakeApiServer) -> Vec<String> {
    server.list::<ConfigMap>(NAMESPACE).into_iter().map(|object| object.metadata.name.unwrap()).collect()
}

#[tokio::test]
async fn a_missing_right_is_refused_in_the_servers_words() {
    let server = FakeApiServer::new();
    server.forbid(Verb::Create, "configmaps");
    server.forbid(Verb::Get, "pods/log");
    server.forbid(Verb::List, "nodes");
    let status = refusal(create(&server, "milk").await);
    assert!(status.is_forbidden());
    assert_eq!(
        status.message,
        "configmaps is forbidden: User \"system:serviceaccount:plimsoll:plimsoll\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"pasture\""
    );
    let pods: Api<Pod> = Api::namespaced(server.client(), NAMESPACE);
    let status = refusal(pods.logs("odoo", &LogParams::default()).await);
    assert!(status.message.starts_with("pods \"odoo\" is forbidden: User "), "{}", status.message);
    assert!(status.message.contains("cannot get resource \"pods/log\""), "{}", status.message);
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(server.client());
    let status = refusal(nodes.list(&ListParams::default()).await);
    assert!(status.message.ends_with("at the cluster scope"), "{}", status.message);
    server.permit(Verb::Create, "configmaps");
    create(&server, "milk").await.unwrap();
}

#[tokio::test]
async fn a_review_of_rights_tells_them_and_is_no_write() {
    let server = FakeApiServer::new();
    server.forbid(Verb::Get, "pods/log");
    let api: Api<SelfSubjectAccessReview> = Api::all(server.client());
    for (subresource, allowed) in [("log", false), ("status", true)] {
        let review: SelfSubjectAccessReview = object(json!({"spec": {"resourceAttributes": {
            "verb": "get", "resource": "pods", "subresource": subresource, "namespace": NAMESPACE,
        }}}));
        let answer = api.create(&PostParams::default(), &review).await.unwrap();
        assert_eq!(answer.status.unwrap().allowed, allowed, "{subresource}");
    }
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn requests_fail_as_often_as_asked_for() {
    let server = FakeApiServer::new();
    server.fail_times(Verb::Create, "configmaps", 2, Failure::Refuse(ApiFailure::too_many_requests(7)));
    server.fail_next(Verb::Create, "configmaps", Failure::Disconnect);
    for _ in 0..2 {
        let status = refusal(create(&server, "milk").await);
        assert_eq!(status.code, 429);
        assert_eq!(status.details.unwrap().retry_after_seconds, 7);
    }
    assert!(is_disconnected(&create(&server, "milk").await.unwrap_err()));
    create(&server, "milk").await.unwrap();
    server.fail_next(Verb::Create, "configmaps", Failure::DoneBut(ApiFailure::timeout()));
    assert_eq!(refusal(create(&server, "cream").await).code, 504);
    assert_eq!(names(&server), ["cream", "milk"], "the write behind the 504 was done");
    let codes: Vec<Option<u16>> = server.writes().iter().map(|write| write.code).collect();
    assert_eq!(codes, [Some(429), Some(429), None, Some(201), Some(504)]);
}

#[tokio::test]
async fn a_quota_refuses_what_passes_it() {
    let server = FakeApiServer::new();
    server.set_quota(NAMESPACE, "configmaps", 1);
    create(&server, "milk").await.unwrap();
    let status = refusal(create(&server, "cream").await);
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        "configmaps \"cream\" is forbidden: exceeded quota: pasture-quota, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1"
    );
}

#[tokio::test]
async fn a_group_that_is_not_served_is_not_found() {
    let server = FakeApiServer::new();
    let client = server.client();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "33");
    let served = client.list_api_group_resources("plimsoll.dev/v1alpha1").await.unwrap();
    assert_eq!(served.resources[0].name, "performancebaselines");
    server.unserve("plimsoll.dev");
    assert_eq!(refusal(client.list_api_group_resources("plimsoll.dev/v1alpha1").await).code, 404);
    assert_eq!(refusal(crate::baselines(&server).list(&ListParams::default()).await).code, 404);
}

#[tokio::test]
async fn a_crash_before_a_write_leaves_it_undone_and_cuts_the_client_off() {
    let server = FakeApiServer::new();
    server.inject(Fault { at: 2, kind: FaultKind::CrashBefore });
    create(&server, "one").await.unwrap();
    assert!(is_disconnected(&create(&server, "two").await.unwrap_err()));
    assert!(server.is_down());
    assert!(is_disconnected(&config_maps(&server).get("one").await.unwrap_err()), "reads fail too");
    assert!(is_disconnected(&create(&server, "three").await.unwrap_err()));
    assert_eq!(names(&server), ["one"]);
    server.restart();
    create(&server, "three").await.unwrap();
    let log: Vec<String> = server.writes().iter().map(ToString::to_string).collect();
    assert_eq!(
        log,
        [
            "write 1: create configmaps pasture/one by unknown -> 201 Created",
            "write 2: create configmaps pasture/two by unknown -> not received",
            "write 3: create configmaps pasture/three by unknown -> 201 Created",
        ]
    );
}

#[tokio::test]
async fn a_crash_after_a_write_answers_it_and_cuts_the_client_off() {
    let server = FakeApiServer::new();
    server.inject(Fault { at: 1, kind: FaultKind::CrashAfter });
    create(&server, "one").await.unwrap();
    assert!(is_disconnected(&create(&server, "two").await.unwrap_err()));
    server.restart();
    create(&server, "two").await.unwrap();
    assert_eq!(names(&server), ["one", "two"]);
    assert_eq!(server.fired(), [Fault { at: 1, kind: FaultKind::CrashAfter }]);
}

#[tokio::test]
async fn a_write_in_doubt_is_done_and_its_answer_lost() {
    let server = FakeApiServer::new();
    server.inject(Fault { at: 1, kind: FaultKind::InDoubt });
    assert!(is_disconnected(&create(&server, "one").await.unwrap_err()));
    assert!(!server.is_down());
    assert!(refusal(create(&server, "one").await).is_already_exists());
    let writes = server.writes();
    assert!(writes[0].changed() && !writes[0].answered);
    assert!(writes[0].to_string().ends_with("-> 201 Created, answer lost"), "{}", writes[0]);
}
