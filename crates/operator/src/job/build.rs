//! The Job of a run: one restricted pod from the operator's own image, without a service-account token.
//!
//! The admission policy on the operator's service account allows exactly this shape (docs/security.md), so a field
//! that is added here is added there in the same commit.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, SecretVolumeSource, SecurityContext,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::job::{
    CONFIG_MAPS_FOLDER, CONTAINER, ENV_DEADLINE, ENV_JOB_UID, ENV_NONCE, ENV_REQUEST,
    JOB_DEADLINE_MARGIN_SECONDS, SECRETS_FOLDER, TERMINATION_LOG, escape_for_environment,
};
use plimsoll_analysis::request::{KeyKind, KeyRef};
use plimsoll_api::{
    ATTEMPT_ANNOTATION, KIND_LABEL, MANAGED_BY, NONCE_ANNOTATION, OWNER_LABEL, REQUEST_HASH_ANNOTATION,
    RUN_KEY_ANNOTATION, RUN_LABEL,
};

use super::settings::JobSettings;

/// The user and group that the container runs as; the image has no other.
pub const UID: i64 = 65_532;
/// Label that the Job controller sets on a pod: the UID of its Job.
pub const JOB_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

/// Everything a run's Job is built from; no choice is left.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// Name of the run and of the Job.
    pub run: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// The resource, as controller.
    pub owner: OwnerReference,
    /// Kind of the resource in lower case, for the label.
    pub kind: &'static str,
    /// Key of the run.
    pub run_key: String,
    /// Which attempt of the run, from 1.
    pub attempt: i32,
    /// Delimiter of the frame: 32 hexadecimal digits made for this Job.
    pub nonce: String,
    /// The request as JSON.
    pub request: String,
    /// Keys of Secrets and ConfigMaps that the request names.
    pub keys: Vec<KeyRef>,
    /// Deadline of the pod, in seconds.
    pub active_deadline_seconds: i64,
    /// Image, exactly as the chart renders it for the operator.
    pub image: String,
    /// The administrator's settings.
    pub settings: JobSettings,
}

/// Hash of a request, as Jobs and ConfigMaps carry it.
#[must_use]
pub fn request_hash(request: &str) -> String {
    format!("sha256:{}", sha256_hex(request.as_bytes()))
}

/// Labels of everything that belongs to a run.
#[must_use]
pub fn run_labels(kind: &str, owner: &str, run: &str) -> BTreeMap<String, String> {
    let owner: String = owner.chars().take(63).collect();
    BTreeMap::from([
        ("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned()),
        (KIND_LABEL.to_owned(), kind.to_owned()),
        // A label's value ends in a letter or digit, also where the name was cut.
        (OWNER_LABEL.to_owned(), owner.trim_end_matches(['-', '.']).to_owned()),
        (RUN_LABEL.to_owned(), run.to_owned()),
    ])
}

/// Builds the Job.
#[must_use]
pub fn job(plan: &JobPlan) -> Job {
    let ours = run_labels(plan.kind, &plan.owner.name, &plan.run);
    let mut labels = plan.settings.labels.clone();
    labels.extend(ours.clone());
    let annotations = BTreeMap::from([
        (RUN_KEY_ANNOTATION.to_owned(), plan.run_key.clone()),
        (REQUEST_HASH_ANNOTATION.to_owned(), request_hash(&plan.request)),
        (NONCE_ANNOTATION.to_owned(), plan.nonce.clone()),
        (ATTEMPT_ANNOTATION.to_owned(), plan.attempt.to_string()),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(plan.run.clone()),
            namespace: Some(plan.namespace.clone()),
            labels: Some(ours),
            annotations: Some(annotations),
            owner_references: Some(vec![plan.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(1),
            completions: Some(1),
            // A run is one measurement: a pod that failed is not started again under the same name.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(plan.active_deadline_seconds + JOB_DEADLINE_MARGIN_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: none_if_empty(plan.settings.annotations.clone()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(plan)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod(plan: &JobPlan) -> PodSpec {
    let (volumes, mounts) = volumes(&plan.keys);
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // Of the pod, not of the Job: at a Job's deadline its pods are deleted and their logs with them.
        active_deadline_seconds: Some(plan.active_deadline_seconds),
        termination_grace_period_seconds: Some(10),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(UID),
            run_as_group: Some(UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: none_if_no(plan.settings.image_pull_secrets.clone()),
        node_selector: none_if_empty(plan.settings.node_selector.clone()),
        tolerations: none_if_no(plan.settings.tolerations.clone()),
        priority_class_name: plan.settings.priority_class_name.clone(),
        volumes: none_if_no(volumes),
        containers: vec![container(plan, mounts)],
        ..PodSpec::default()
    }
}

fn container(plan: &JobPlan, mounts: Vec<VolumeMount>) -> Container {
    let literal =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let job_uid = EnvVar {
        name: ENV_JOB_UID.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: format!("metadata.labels['{JOB_UID_LABEL}']"),
            }),
            ..EnvVarSource::default()
        }),
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(plan.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec!["job".to_owned()]),
        env: Some(vec![
            literal(ENV_REQUEST, escape_for_environment(&plan.request)),
            literal(ENV_NONCE, plan.nonce.clone()),
            literal(ENV_DEADLINE, plan.active_deadline_seconds.to_string()),
            job_uid,
        ]),
        resources: Some(plan.settings.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: none_if_no(mounts),
        ..Container::default()
    }
}

/// One volume an object, with only the keys that are named. Each is optional: the process itself reports a missing
/// Secret or key, where the kubelet would keep the pod waiting without an end.
fn volumes(keys: &[KeyRef]) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut objects: BTreeMap<(KeyKind, &str), Vec<KeyToPath>> = BTreeMap::new();
    for key in keys {
        let items = objects.entry((key.kind, key.name.as_str())).or_default();
        let item = KeyToPath { key: key.key.clone(), path: key.key.clone(), mode: None };
        if !items.contains(&item) {
            items.push(item);
        }
    }
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    for (index, ((kind, object), items)) in objects.into_iter().enumerate() {
        let (prefix, folder) = match kind {
            KeyKind::Secret => ("secret", SECRETS_FOLDER),
            KeyKind::ConfigMap => ("configmap", CONFIG_MAPS_FOLDER),
        };
        let name = format!("{prefix}-{index}");
        let mut volume = Volume { name: name.clone(), ..Volume::default() };
        match kind {
            KeyKind::Secret => {
                volume.secret = Some(SecretVolumeSource {
                    secret_name: Some(object.to_owned()),
                    items: Some(items),
                    optional: Some(true),
                    ..SecretVolumeSource::default()
                });
            }
            KeyKind::ConfigMap => {
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: object.to_owned(),
                    items: Some(items),
                    optional: Some(true),
                    ..ConfigMapVolumeSource::default()
                });
            }
        }
        volumes.push(volume);
        mounts.push(VolumeMount {
            name,
            mount_path: format!("{folder}/{object}"),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    (volumes, mounts)
}

fn none_if_empty(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

fn none_if_no<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> JobPlan {
        JobPlan {
            run: "dairy-0123456789".to_owned(),
            namespace: "farm".to_owned(),
            owner: OwnerReference {
                api_version: "plimsoll.dev/v1alpha1".to_owned(),
                kind: "PerformanceBaseline".to_owned(),
                name: "dairy".to_owned(),
                uid: "uid-of-dairy".to_owned(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            },
            kind: "performancebaseline",
            run_key: "sha256:key".to_owned(),
            attempt: 1,
            nonce: "0123456789abcdef0123456789abcdef".to_owned(),
            request: "{\"matchers\":\"path=~\\\"/$(HOME)\\\"\"}".to_owned(),
            keys: vec![
                KeyRef { kind: KeyKind::Secret, name: "prom".to_owned(), key: "token".to_owned() },
                KeyRef { kind: KeyKind::ConfigMap, name: "ca".to_owned(), key: "ca.crt".to_owned() },
                KeyRef { kind: KeyKind::Secret, name: "prom".to_owned(), key: "tenant".to_owned() },
            ],
            active_deadline_seconds: 600,
            image: "registry.example/plimsoll@sha256:abc".to_owned(),
            settings: JobSettings {
                labels: BTreeMap::from([
                    ("team".to_owned(), "sre".to_owned()),
                    (RUN_LABEL.to_owned(), "no".to_owned()),
                ]),
                ..JobSettings::default()
            },
        }
    }

    #[test]
    fn the_job_is_as_the_snapshot_says() {
        insta::assert_yaml_snapshot!(job(&plan()));
    }

    #[test]
    fn an_administrators_label_never_replaces_ours() {
        let labels = job(&plan()).spec.unwrap().template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels[RUN_LABEL], "dairy-0123456789");
        assert_eq!(labels["team"], "sre");
    }

    #[test]
    fn a_secret_named_twice_is_one_volume_with_both_keys() {
        let pod = job(&plan()).spec.unwrap().template.spec.unwrap();
        let volumes = pod.volumes.unwrap();
        assert_eq!(volumes.len(), 2);
        let secret = volumes.iter().find_map(|volume| volume.secret.as_ref()).unwrap();
        assert_eq!(secret.items.as_ref().unwrap().len(), 2);
        assert_eq!(secret.optional, Some(true));
    }
}
