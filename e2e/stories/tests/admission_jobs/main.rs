//! Whoever holds the operator's token runs nothing but a Job of the operator's shape, and changes nothing that is not
//! Plimsoll's: the installed policies against the very Job that the operator builds, and against every departure from it.

mod departures;
mod objects;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{LocalObjectReference, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use plimsoll_analysis::job::MAX_REQUEST_BYTES;
use plimsoll_analysis::request::{KeyKind, KeyRef};
use plimsoll_cluster::apiserver::ApiVersion;
use plimsoll_operator::job::build::{JobPlan, job};
use plimsoll_operator::job::settings::JobSettings;
use plimsoll_stories::bare::{Bare, FARM, IMAGE, JOBS, OBJECTS, POLICY_DEADLINE, refusal};
use plimsoll_stories::value::put;
use plimsoll_stories::wait::until;
use serde_json::{Value, json};

/// Departures that some API server refuses to everyone: 1.33 knows restart policies of init containers alone, and
/// privileged containers need the server's flag `--allow-privileged`.
const REFUSED_TO_EVERYONE: [&str; 2] = ["a restart policy", "privileged"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_runs_only_our_job_on_1_33() -> Result<()> {
    story(ApiVersion::V1_33).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_runs_only_our_job_on_1_36() -> Result<()> {
    story(ApiVersion::V1_36).await
}

async fn story(version: ApiVersion) -> Result<()> {
    let bare = Bare::start(version).await?;
    let jobs = Jobs { operator: api(&bare.operator), admin: api(&bare.admin) };
    jobs.wait_until_enforced().await?;
    jobs.what_the_operator_does().await?;
    jobs.departures(version).await?;
    jobs.updates().await?;
    jobs.of_others().await?;
    objects::config_maps(&bare).await?;
    objects::kept_config_maps(&bare).await?;
    objects::rules(&bare).await?;
    objects::alerts_of_tenants(&bare).await?;
    jobs.without_the_binding(&bare.admin).await
}

fn api<K>(client: &Client) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), FARM)
}

fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "plimsoll.dev/v1alpha1".to_owned(),
        kind: "PerformanceBaseline".to_owned(),
        name: "dairy".to_owned(),
        uid: "9c2c7a4e-0b3f-4f5e-9a44-000000000001".to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn plan(run: &str) -> JobPlan {
    let key = |kind, name: &str, key: &str| KeyRef { kind, name: name.to_owned(), key: key.to_owned() };
    JobPlan {
        run: run.to_owned(),
        namespace: FARM.to_owned(),
        owner: owner(),
        kind: "performancebaseline",
        run_key: format!("sha256:{}", "0".repeat(64)),
        attempt: 1,
        nonce: "0123456789abcdef0123456789abcdef".to_owned(),
        request: json!({"matchers": "path=~\"/$(HOME)\""}).to_string(),
        keys: vec![key(KeyKind::Secret, "prometheus", "token"), key(KeyKind::ConfigMap, "ca", "ca.crt")],
        active_deadline_seconds: 600,
        image: IMAGE.to_owned(),
        settings: JobSettings::default(),
    }
}

/// Everything that the chart lets an administrator add.
fn settings() -> JobSettings {
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    JobSettings {
        image_pull_secrets: vec![LocalObjectReference { name: "registry".to_owned() }],
        labels: one("team", "sre"),
        annotations: one("sidecar.istio.io/inject", "false"),
        node_selector: one("pool", "tools"),
        tolerations: vec![Toleration {
            key: Some("dedicated".to_owned()),
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        }],
        priority_class_name: Some("batch-low".to_owned()),
        ..JobSettings::default()
    }
}

/// The longest deadline, the largest request, and as many Secrets as a resource can name.
fn largest() -> JobPlan {
    let secret = |index| KeyRef { kind: KeyKind::Secret, name: format!("s{index}"), key: "k".to_owned() };
    JobPlan {
        request: "x".repeat(MAX_REQUEST_BYTES),
        keys: (0..32).map(secret).collect(),
        active_deadline_seconds: 3600,
        ..plan("largest")
    }
}

fn dry() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn merge(value: Value) -> Patch<Value> {
    Patch::Merge(value)
}

struct Jobs {
    operator: Api<Job>,
    admin: Api<Job>,
}

impl Jobs {
    async fn wait_until_enforced(&self) -> Result<()> {
        let mut bad = job(&plan("bad"));
        bad.metadata.owner_references = None;
        let bad = &bad;
        until("the policy on Jobs is enforced", POLICY_DEADLINE, || async move {
            refusal(JOBS, self.operator.create(&dry(), bad).await)
        })
        .await?;
        Ok(())
    }

    /// The very Job, with every setting too, its TTL, and its end.
    async fn what_the_operator_does(&self) -> Result<()> {
        let with_settings = JobPlan { settings: settings(), ..plan("settings") };
        for plan in [plan("good"), with_settings, largest()] {
            let said = refusal(JOBS, self.operator.create(&PostParams::default(), &job(&plan)).await)?;
            ensure!(said.is_none(), "{} was refused: {said:?}", plan.run);
            let ttl = merge(json!({"spec": {"ttlSecondsAfterFinished": 600}}));
            let patched = self.operator.patch(&plan.run, &PatchParams::default(), &ttl).await?;
            ensure!(patched.spec.and_then(|spec| spec.ttl_seconds_after_finished) == Some(600));
            self.operator.delete(&plan.run, &DeleteParams::background()).await?;
        }
        Ok(())
    }

    /// The policy refuses each departure that Kubernetes itself would accept.
    async fn departures(&self, version: ApiVersion) -> Result<()> {
        let good = serde_json::to_value(job(&plan("good")))?;
        let same: DynamicJob = serde_json::from_value(good.clone())?;
        let plain = comparable(&untyped(&self.admin).create(&dry(), &same).await?)?;
        let (mut tried, mut passed, mut dropped, mut invalid) = (0, Vec::new(), Vec::new(), Vec::new());
        for (name, edits) in departures::departures() {
            let mut value = good.clone();
            for (pointer, new) in edits {
                put(&mut value, &pointer, new);
            }
            // As an object of no type: this client may not know a member that the server does.
            let departure: DynamicJob = serde_json::from_value(value).with_context(|| name.to_owned())?;
            match untyped(&self.admin).create(&dry(), &departure).await {
                Ok(by_admin) if comparable(&by_admin)? == plain => {
                    dropped.push(name);
                    continue;
                }
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 422 => {
                    invalid.push(name);
                    continue;
                }
                Err(error) => return Err(error).context(name),
            }
            tried += 1;
            let result = untyped(&self.operator).create(&dry(), &departure).await;
            if refusal(JOBS, result).with_context(|| name.to_owned())?.is_none() {
                passed.push(name);
            }
        }
        println!(
            "{version:?}: {} of {tried} departures passed; not tried, because this server drops the member: {dropped:?}, \
             or refuses it to everyone: {invalid:?}",
            passed.len()
        );
        ensure!(passed.is_empty(), "departures passed: {passed:?}");
        // So that no departure goes untried unseen.
        ensure!(invalid.iter().all(|name| REFUSED_TO_EVERYONE.contains(name)), "not tried: {invalid:?}");
        ensure!(tried >= 130, "only {tried} departures were tried");
        Ok(())
    }

    /// A Job that stands may get its TTL, also one of an older operator, and may not be turned.
    async fn updates(&self) -> Result<()> {
        let older = JobPlan { image: "registry.example/plimsoll:older".to_owned(), ..plan("older") };
        self.operator.create(&PostParams::default(), &job(&plan("ours"))).await?;
        self.admin.create(&PostParams::default(), &job(&older)).await?;
        let ttl = json!({"spec": {"ttlSecondsAfterFinished": 600}});
        self.operator.patch("older", &PatchParams::default(), &merge(ttl)).await?;
        for change in [
            json!({"spec": {"suspend": true}}),
            json!({"spec": {"parallelism": 2}}),
            json!({"spec": {"activeDeadlineSeconds": 90_000}}),
            json!({"metadata": {"ownerReferences": null}}),
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "other"}}}),
            json!({"metadata": {"finalizers": ["example.com/stay"]}}),
        ] {
            let result = self.operator.patch("ours", &PatchParams::default(), &merge(change.clone())).await;
            ensure!(refusal(JOBS, result)?.is_some(), "{change} passed");
        }
        Ok(())
    }

    /// Jobs of others are neither changed, nor taken over, nor deleted.
    async fn of_others(&self) -> Result<()> {
        let mut foreign = job(&plan("foreign"));
        foreign.metadata.owner_references = None;
        self.admin.create(&PostParams::default(), &foreign).await?;
        for change in [
            json!({"spec": {"ttlSecondsAfterFinished": 0}}),
            json!({"metadata": {"ownerReferences": [owner()]}}),
        ] {
            let result =
                self.operator.patch("foreign", &PatchParams::default(), &merge(change.clone())).await;
            ensure!(refusal(JOBS, result)?.is_some(), "{change} of a foreign Job passed");
        }
        let result = self.operator.delete("foreign", &DeleteParams::default()).await;
        ensure!(refusal(OBJECTS, result)?.is_some(), "a foreign Job was deleted");
        Ok(())
    }

    /// The policy without its binding does nothing: so it was the policy that refused.
    async fn without_the_binding(&self, admin: &Client) -> Result<()> {
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone());
        bindings.delete(JOBS, &DeleteParams::default()).await?;
        let mut bad = job(&plan("bad"));
        bad.metadata.owner_references = None;
        let bad = &bad;
        until("without its binding the policy lets a departure pass", POLICY_DEADLINE, || async move {
            Ok(refusal(JOBS, self.operator.create(&dry(), bad).await)?.is_none().then_some(()))
        })
        .await
    }
}

type DynamicJob = kube::api::DynamicObject;

fn untyped(jobs: &Api<Job>) -> Api<DynamicJob> {
    let resource = kube::core::ApiResource::erase::<Job>(&());
    Api::namespaced_with(jobs.clone().into_client(), FARM, &resource)
}

/// The object without what differs between two answers to the same request.
fn comparable(object: &impl serde::Serialize) -> Result<Value> {
    let mut value = serde_json::to_value(object)?;
    let uid = value["metadata"]["uid"].as_str().context("a stored object has a UID")?.to_owned();
    for member in ["uid", "creationTimestamp", "managedFields", "generation"] {
        put(&mut value, &format!("/metadata/{member}"), Value::Null);
    }
    Ok(serde_json::from_str(&value.to_string().replace(&uid, "UID"))?)
}
