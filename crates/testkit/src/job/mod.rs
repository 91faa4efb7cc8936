//! The Job controller and the kubelet, moved by hand: a Job's pod, its states, its log, its end.

mod delivery;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use plimsoll_analysis::job as contract;
use serde_json::{Value, json};

use crate::server::{FakeApiServer, ObjectKey, ResourceType};

/// What the Job controller says where the namespace enforces restricted pod security and the pod is not.
pub const POD_SECURITY_REFUSAL: &str = "Error creating: pods \"dairy-x7k2p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"plimsoll\" must set securityContext.allowPrivilegeEscalation=false)";
/// What the Job controller says where the namespace's quota allows no further pod.
pub const QUOTA_REFUSAL: &str = "Error creating: pods \"dairy-x7k2p\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10";

/// One Job, whose controller and kubelet do what the test says.
///
/// It writes to the server's store as they do: its writes are in no log, and a crashed client does not stop it.
/// Every method needs the Job to be there, and those about its pod need [`JobDouble::start`] first.
#[derive(Debug, Clone)]
pub struct JobDouble {
    server: FakeApiServer,
    namespace: String,
    name: String,
}

impl JobDouble {
    /// The Job `name` of a namespace, whether it is there yet or not.
    #[must_use]
    pub fn new(server: &FakeApiServer, namespace: &str, name: &str) -> Self {
        Self { server: server.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The namespace's only Job.
    ///
    /// # Panics
    /// Where there is none, or more than one.
    #[must_use]
    pub fn only(server: &FakeApiServer, namespace: &str) -> Self {
        let mut jobs = server.list::<Job>(namespace);
        let job = jobs.pop().expect("the namespace has a Job");
        assert!(jobs.is_empty(), "the namespace has more than one Job");
        Self::new(server, namespace, job.metadata.name.as_deref().expect("stored objects have a name"))
    }

    /// Whether the Job is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.server.get_value(&self.key()).is_some()
    }

    /// Whether the Job is there and has neither completed nor failed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.server.get_value(&self.key()).is_some_and(|job| {
            let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            !conditions
                .into_iter()
                .any(|condition| condition["type"] == "Complete" || condition["type"] == "Failed")
        })
    }

    /// The Job's live pod.
    ///
    /// # Panics
    /// Where it has none.
    #[must_use]
    pub fn pod(&self) -> Pod {
        serde_json::from_value(self.pod_value()).expect("the pod was made from a pod template")
    }

    /// Makes the Job's pod, Pending and not yet scheduled. Nothing happens where the Job has a pod.
    pub fn start(&self) -> &Self {
        if self.find_pod().is_some() {
            return self;
        }
        let job = self.job_value();
        let template = &job["spec"]["template"];
        let made = self.server.lifecycles();
        let prefix = format!("{}-", self.name);
        let earlier = made.keys().filter(|key| self.is_pod_key(key) && key.name.starts_with(&prefix)).count();
        let statuses =
            containers(template).map(|name| waiting(name, "ContainerCreating", "")).collect::<Vec<_>>();
        self.server.put_value(
            &pods(),
            &json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": format!("{prefix}{earlier:05}"), "namespace": self.namespace,
                    "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
                    "ownerReferences": [{
                        "apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": job["metadata"]["uid"],
                        "controller": true, "blockOwnerDeletion": true,
                    }],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending", "conditions": [], "containerStatuses": statuses},
            }),
        );
        let now = self.now();
        self.change_job(|job| {
            job["status"]["active"] = json!(1);
            job["status"]["startTime"] = json!(now);
        });
        self
    }

    /// No node takes the pod.
    pub fn unschedulable(&self, message: &str) -> &Self {
        self.start().change_pod(|pod| {
            pod["status"]["phase"] = json!("Pending");
            pod["status"]["conditions"] = json!([
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
            ]);
        })
    }

    /// The container cannot start, for example `ImagePullBackOff`, `ErrImagePull` or `CreateContainerConfigError`.
    pub fn waits(&self, reason: &str, message: &str) -> &Self {
        self.start().change_ours(|status| status["state"] = waiting("", reason, message)["state"].clone())
    }

    /// The container runs.
    pub fn runs(&self) -> &Self {
        let now = self.now();
        self.start().change_pod(|pod| pod["status"]["phase"] = json!("Running")).change_ours(|status| {
            status["ready"] = json!(true);
            status["started"] = json!(true);
            status["state"] = json!({"running": {"startedAt": now}});
        })
    }

    /// Sets what our container has printed.
    pub fn logs(&self, text: &str) -> &Self {
        let pod = self.start().pod_key();
        self.server.set_log(&self.namespace, &pod.name, contract::CONTAINER, text);
        self
    }

    /// Our container ends with an exit code and a termination message; the Job does not know of it yet.
    pub fn exits(&self, code: i32, message: &str) -> &Self {
        let reason = if code == 0 { "Completed" } else { "Error" };
        self.terminated(code, reason, message)
    }

    /// The kernel kills our container: it used more memory than its limit.
    pub fn out_of_memory(&self) -> &Self {
        self.terminated(137, "OOMKilled", "")
    }

    /// The pod passes its own deadline (`activeDeadlineSeconds` of the pod): killed, its log stays.
    pub fn pod_deadline(&self) -> &Self {
        self.terminated(137, "Error", "")
            .pod_fails("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    }

    /// The kubelet evicts the pod.
    pub fn evicted(&self, message: &str) -> &Self {
        self.terminated(137, "Error", "").pod_fails("Evicted", message)
    }

    /// The Job controller finds the pod ended: the Job is complete or failed, as the exit code of our container says.
    ///
    /// Where another container still runs nothing happens, as with a real Job.
    pub fn settles(&self) -> &Self {
        let pod = self.pod_value();
        match pod["status"]["phase"].as_str() {
            Some("Succeeded") => self.completes(),
            Some("Failed") => {
                self.fails("BackoffLimitExceeded", "Job has reached the specified backoff limit")
            }
            _ => self,
        }
    }

    /// The Job has completed.
    pub fn completes(&self) -> &Self {
        let now = self.now();
        self.finish(
            &[("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")],
            "Reached expected number of succeeded pods",
        );
        self.change_job(|job| {
            job["status"]["completionTime"] = json!(now);
            job["status"]["succeeded"] = json!(1);
        })
    }

    /// The Job has failed, for example `BackoffLimitExceeded`.
    pub fn fails(&self, reason: &str, message: &str) -> &Self {
        self.finish(&[("FailureTarget", reason), ("Failed", reason)], message);
        self.change_job(|job| job["status"]["failed"] = json!(1))
    }

    /// The Job passes its own deadline: it has failed, and its pods are gone, with their logs.
    pub fn job_deadline(&self) -> &Self {
        self.delete_pods();
        self.fails("DeadlineExceeded", "Job was active longer than specified deadline")
    }

    /// The whole good way: the pod runs, prints, exits 0, and the Job completes.
    pub fn succeeds(&self, log: &str, message: &str) -> &Self {
        self.runs().logs(log).exits(0, message).completes()
    }

    /// Another container was injected into the pod, as a mesh does, and runs on.
    pub fn sidecar(&self, name: &str) -> &Self {
        let now = self.now();
        self.start().change_pod(|pod| {
            let running = json!({"name": name, "ready": true, "state": {"running": {"startedAt": now}}});
            let containers = pod["spec"]["containers"].as_array_mut().expect("a pod has containers");
            containers.push(json!({"name": name, "image": "mesh/proxy:1"}));
            let statuses = pod["status"]["containerStatuses"].as_array_mut();
            statuses.expect("a started pod has statuses").push(running);
        })
    }

    /// The Job controller cannot make the pod, and says so in an Event of the Job: see [`POD_SECURITY_REFUSAL`] and
    /// [`QUOTA_REFUSAL`].
    pub fn pod_refused(&self, message: &str) -> &Self {
        self.event("FailedCreate", message)
    }

    /// A warning Event about the Job, in both forms in which the API serves it.
    pub fn event(&self, reason: &str, message: &str) -> &Self {
        let job = self.job_value();
        let about = json!({
            "apiVersion": "batch/v1", "kind": "Job", "namespace": self.namespace, "name": self.name,
            "uid": job["metadata"]["uid"],
        });
        let now = self.now();
        let metadata =
            json!({"name": format!("{}.{}", self.name, reason.to_lowercase()), "namespace": self.namespace});
        self.server.put_value(
            &ResourceType::new("", "v1", "events"),
            &json!({
                "apiVersion": "v1", "kind": "Event", "metadata": metadata, "type": "Warning", "reason": reason,
                "message": message, "involvedObject": about, "source": {"component": "job-controller"},
                "firstTimestamp": now, "lastTimestamp": now, "count": 1, "reportingComponent": "job-controller",
                "reportingInstance": "",
            }),
        );
        self.server.put_value(
            &ResourceType::new("events.k8s.io", "v1", "events"),
            &json!({
                "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": metadata, "type": "Warning",
                "reason": reason, "note": message, "regarding": about, "reportingController": "job-controller",
                "reportingInstance": "", "deprecatedCount": 1, "deprecatedLastTimestamp": now,
                "deprecatedFirstTimestamp": now, "deprecatedSource": {"component": "job-controller"},
            }),
        );
        self
    }

    /// A node or a person takes the pod away.
    pub fn delete_pods(&self) -> &Self {
        for key in self.pod_keys() {
            self.server.delete_key(&key);
        }
        self
    }

    /// The TTL controller removes the finished Job with its pods.
    ///
    /// # Panics
    /// Where the Job has no TTL or has not finished: the TTL controller would not touch it.
    pub fn expires(&self) {
        let job = self.job_value();
        assert!(!job["spec"]["ttlSecondsAfterFinished"].is_null(), "a Job without a TTL is kept for ever");
        assert!(!self.is_open(), "the TTL counts from the end of the Job");
        self.server.delete_key(&self.key());
    }

    fn key(&self) -> ObjectKey {
        ObjectKey {
            resource: ResourceType::new("batch", "v1", "jobs"),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    fn job_value(&self) -> Value {
        self.server.get_value(&self.key()).expect("the Job is there")
    }

    fn is_pod_key(&self, key: &ObjectKey) -> bool {
        key.resource == pods() && key.namespace == self.namespace
    }

    fn pod_keys(&self) -> Vec<ObjectKey> {
        let uid = self.job_value()["metadata"]["uid"].clone();
        let objects = self.server.objects().into_iter();
        objects
            .filter(|(key, pod)| self.is_pod_key(key) && pod["metadata"]["ownerReferences"][0]["uid"] == uid)
            .map(|(key, _)| key)
            .collect()
    }

    fn find_pod(&self) -> Option<ObjectKey> {
        self.pod_keys().into_iter().next()
    }

    fn pod_key(&self) -> ObjectKey {
        self.find_pod().expect("the Job has a pod: call start() first")
    }

    fn pod_value(&self) -> Value {
        self.server.get_value(&self.pod_key()).expect("the pod is there")
    }

    fn now(&self) -> String {
        self.server.clock().now().to_string()
    }

    fn change_job(&self, change: impl FnOnce(&mut Value)) -> &Self {
        let mut job = self.job_value();
        change(&mut job);
        self.server.put_value(&self.key().resource, &job);
        self
    }

    fn change_pod(&self, change: impl FnOnce(&mut Value)) -> &Self {
        let mut pod = self.pod_value();
        change(&mut pod);
        self.server.put_value(&pods(), &pod);
        self
    }

    fn change_ours(&self, change: impl FnOnce(&mut Value)) -> &Self {
        self.change_pod(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array_mut();
            let ours = statuses.into_iter().flatten().find(|status| status["name"] == contract::CONTAINER);
            change(ours.expect("the pod has a container of ours"));
        })
    }

    fn terminated(&self, code: i32, reason: &str, message: &str) -> &Self {
        let now = self.now();
        self.start().change_ours(|status| {
            status["ready"] = json!(false);
            status["state"] = json!({"terminated": {
                "exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now,
            }});
        });
        self.change_pod(|pod| {
            let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            let all_ended = statuses.into_iter().all(|status| !status["state"]["terminated"].is_null());
            if all_ended {
                pod["status"]["phase"] = json!(if code == 0 { "Succeeded" } else { "Failed" });
            }
        })
    }

    fn pod_fails(&self, reason: &str, message: &str) -> &Self {
        self.change_pod(|pod| {
            pod["status"]["phase"] = json!("Failed");
            pod["status"]["reason"] = json!(reason);
            pod["status"]["message"] = json!(message);
        })
    }

    fn finish(&self, conditions: &[(&str, &str)], message: &str) {
        let now = self.now();
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, reason)| {
                json!({
                    "type": kind, "status": "True", "reason": reason, "message": message,
                    "lastProbeTime": now, "lastTransitionTime": now,
                })
            })
            .collect();
        self.change_job(|job| {
            job["status"]["active"] = json!(0);
            job["status"]["conditions"] = json!(conditions);
        });
    }
}

fn pods() -> ResourceType {
    ResourceType::new("", "v1", "pods")
}

fn containers(template: &Value) -> impl Iterator<Item = &str> {
    let containers = template["spec"]["containers"].as_array().into_iter().flatten();
    containers.filter_map(|container| container["name"].as_str())
}

fn waiting(name: &str, reason: &str, message: &str) -> Value {
    json!({
        "name": name, "ready": false, "started": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": reason, "message": message}},
    })
}
