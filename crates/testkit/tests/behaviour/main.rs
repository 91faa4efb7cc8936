//! What the fake API server does, seen through kube's own client.

#![allow(
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests: clippy's exceptions cover only the tests themselves"
)]

mod apply;
mod crash;
mod faults;
mod jobs;
mod objects;
mod watches;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::core::Status;
use plimsoll_api::PerformanceBaseline;
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::NAMESPACE;
use serde_json::{Value, json};

fn config_maps(server: &FakeApiServer) -> Api<ConfigMap> {
    Api::namespaced(server.client(), NAMESPACE)
}

fn baselines(server: &FakeApiServer) -> Api<PerformanceBaseline> {
    Api::namespaced(server.client(), NAMESPACE)
}

/// A typed object from JSON.
fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: Value) -> ConfigMap {
    object(json!({"metadata": {"name": name, "namespace": NAMESPACE}, "data": data}))
}

/// The `Status` that a request failed with.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> Status {
    match result.unwrap_err() {
        kube::Error::Api(status) => *status,
        other => panic!("an answer of the server was expected: {other}"),
    }
}
