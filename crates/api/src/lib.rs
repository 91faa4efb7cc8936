//! The custom resources of `plimsoll.dev/v1alpha1`: types, schema and CEL rules. No client, no async.
//!
//! Field docs are what `kubectl explain` prints and are written for its reader. A field enters a type in the commit
//! that makes it work; everything is bounded, so that no object can grow past what the API server accepts.

#![allow(clippy::duplicated_attributes, reason = "each printcolumn has its own type_ and priority")]
#![allow(unreachable_pub, reason = "the KubeSchema derive repeats each type inside a function")]

pub mod baseline;
pub mod common;
pub mod condition;
pub mod explain;

pub use baseline::{PerformanceBaseline, PerformanceBaselineSpec, PerformanceBaselineStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// API group of every kind.
pub const GROUP: &str = "plimsoll.dev";
/// Served version.
pub const VERSION: &str = "v1alpha1";

/// Annotation that asks for a run: a new value starts one, and `status.lastRequestHandled` answers it.
pub const RUN_ANNOTATION: &str = "plimsoll.dev/run";
/// Annotation on Jobs and ConfigMaps of a run: SHA-256 of the request, compared before one is adopted.
pub const REQUEST_HASH_ANNOTATION: &str = "plimsoll.dev/request-hash";
/// Annotation on Jobs and ConfigMaps of a run: its run key.
pub const RUN_KEY_ANNOTATION: &str = "plimsoll.dev/run-key";
/// Annotation on a run's Job: the nonce that delimits the frame in its log.
pub const NONCE_ANNOTATION: &str = "plimsoll.dev/nonce";
/// Annotation on a run's Job: which attempt of the run it is, from 1.
pub const ATTEMPT_ANNOTATION: &str = "plimsoll.dev/attempt";
/// Label on everything that belongs to a run: its name.
pub const RUN_LABEL: &str = "plimsoll.dev/run";
/// Label on everything of ours: the kind of the owner, in lower case.
pub const KIND_LABEL: &str = "plimsoll.dev/kind";
/// Label on everything of ours: the name of the owner, cut to 63 characters.
pub const OWNER_LABEL: &str = "plimsoll.dev/owner";
/// Label on the ConfigMaps of a run: the UID of the owner. It says whose they are where `deletionPolicy` keeps the owner
/// reference away.
pub const UID_LABEL: &str = "plimsoll.dev/owner-uid";
/// Value of `app.kubernetes.io/managed-by` on everything of ours.
pub const MANAGED_BY: &str = "plimsoll";

/// The definitions of all kinds, in alphabetical order of their kind.
#[must_use]
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![PerformanceBaseline::crd()];
    crds.iter_mut().for_each(explain::explain);
    crds
}
