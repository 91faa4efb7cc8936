//! The charts by the real Helm: what they render is what the operator reads and what a real API server accepts.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{LocalObjectReference, Pod, Toleration};
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use plimsoll_cluster::apiserver::ApiVersion;
use plimsoll_operator::job::settings::JobSettings;
use plimsoll_stories::bare::{Bare, FARM, JOBS, OBJECTS, REFERENCES, SYSTEM, make_namespace};
use plimsoll_stories::charts::{Chart, Release, documents, lint};
use serde_json::{Value, json};

fn operator(values: Value) -> Release<'static> {
    Release { chart: Chart::Operator, name: "plimsoll", namespace: SYSTEM, values }
}

fn cluster(values: Value) -> Release<'static> {
    Release { chart: Chart::Cluster, name: "plimsoll-cluster", namespace: SYSTEM, values }
}

/// Values that set everything.
fn everything() -> Value {
    json!({
        "scope": "Cluster",
        "image": {"repository": "registry.example:5000/sre/plimsoll", "digest": format!("sha256:{}", "a".repeat(64))},
        "jobs": {
            "imagePullSecrets": [{"name": "registry"}],
            "labels": {"team": "sre"},
            "annotations": {"sidecar.istio.io/inject": "false"},
            "nodeSelector": {"pool": "tools"},
            "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
            "resources": {"requests": {"cpu": 0.1, "memory": "128Mi"}, "limits": {"cpu": 2, "memory": "1Gi"}},
            "priorityClassName": "batch-low",
        },
        "policies": {"name": "other-references.plimsoll.dev", "required": false},
        "serviceAccount": {"name": "operator", "annotations": {"a": "b"}},
        "dashboard": {"enabled": true, "labels": {"team": "sre"}},
        "metrics": {"maxObjectives": 90},
        "log": "debug",
        "imagePullSecrets": [{"name": "registry"}],
        "podLabels": {"team": "sre"},
        "podAnnotations": {"c": "d"},
        "nodeSelector": {"pool": "tools"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
    })
}

/// The rendered objects of a kind.
fn of_kind(release: &Release<'_>, kind: &str) -> Result<Vec<Value>> {
    let documents = documents(&release.template()?)?;
    Ok(documents.into_iter().filter(|document| document["kind"] == kind).collect())
}

fn container(release: &Release<'_>) -> Result<Value> {
    let deployment = of_kind(release, "Deployment")?.pop().context("the chart has a Deployment")?;
    Ok(deployment["spec"]["template"]["spec"]["containers"][0].clone())
}

/// The literal variables of a container.
fn environment(container: &Value) -> BTreeMap<String, String> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables
        .filter_map(|variable| {
            Some((variable["name"].as_str()?.to_owned(), variable["value"].as_str()?.to_owned()))
        })
        .collect()
}

#[test]
fn helm_finds_nothing_to_say_about_the_charts() -> Result<()> {
    for chart in [Chart::Cluster, Chart::Operator] {
        lint(chart)?;
    }
    Ok(())
}

#[test]
fn by_default_the_operator_serves_its_own_namespace_and_needs_the_policy() -> Result<()> {
    let environment = environment(&container(&operator(json!({})))?);
    assert_eq!(environment["PLIMSOLL_NAMESPACES"], SYSTEM);
    assert_eq!(environment["PLIMSOLL_REFERENCE_POLICY"], REFERENCES);
    assert_eq!(environment["PLIMSOLL_ALLOW_SECRETS_WITHOUT_POLICY"], "false");
    let settings: JobSettings = serde_json::from_str(&environment["PLIMSOLL_JOB_SETTINGS"])?;
    assert_eq!(settings, JobSettings::default());
    Ok(())
}

#[test]
fn the_operator_reads_every_value_of_jobs() -> Result<()> {
    let container = container(&operator(everything()))?;
    let environment = environment(&container);
    assert_eq!(environment["PLIMSOLL_NAMESPACES"], "");
    assert_eq!(environment["PLIMSOLL_ALLOW_SECRETS_WITHOUT_POLICY"], "true");
    assert_eq!(environment["PLIMSOLL_IMAGE"], container["image"]);
    assert_eq!(
        environment["PLIMSOLL_IMAGE"],
        format!("registry.example:5000/sre/plimsoll@sha256:{}", "a".repeat(64))
    );
    let settings: JobSettings = serde_json::from_str(&environment["PLIMSOLL_JOB_SETTINGS"])?;
    let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    assert_eq!(settings.image_pull_secrets, [LocalObjectReference { name: "registry".to_owned() }]);
    assert_eq!(settings.labels, one("team", "sre"));
    assert_eq!(settings.annotations, one("sidecar.istio.io/inject", "false"));
    assert_eq!(settings.node_selector, one("pool", "tools"));
    assert_eq!(
        settings.tolerations,
        [Toleration {
            key: Some("dedicated".to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            toleration_seconds: Some(60),
            ..Toleration::default()
        }]
    );
    let limits = settings.resources.limits.context("limits")?;
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "1Gi"));
    assert_eq!(settings.resources.requests.context("requests")?["cpu"].0, "0.1");
    assert_eq!(settings.priority_class_name.as_deref(), Some("batch-low"));
    Ok(())
}

#[test]
fn the_dashboard_is_installed_where_it_is_asked_for_as_it_stands_in_the_chart() -> Result<()> {
    ensure!(of_kind(&operator(json!({})), "ConfigMap")?.is_empty());
    let map = of_kind(&operator(everything()), "ConfigMap")?.pop().context("a ConfigMap")?;
    let labels = &map["metadata"]["labels"];
    assert_eq!((labels["grafana_dashboard"].as_str(), labels["team"].as_str()), (Some("1"), Some("sre")));
    let file = std::fs::read_to_string(Chart::Operator.folder().join("files/dashboard.json"))?;
    assert_eq!(map["data"]["plimsoll.json"], file);
    assert_eq!(environment(&container(&operator(everything()))?)["PLIMSOLL_MAX_OBJECTIVE_METRICS"], "90");
    Ok(())
}

#[test]
fn with_default_values_both_charts_mean_the_same_image_and_account() -> Result<()> {
    let image = container(&operator(json!({})))?["image"].as_str().context("an image")?.to_owned();
    let policies = of_kind(&cluster(json!({})), "ValidatingAdmissionPolicy")?;
    let jobs =
        policies.iter().find(|policy| policy["metadata"]["name"] == JOBS).context("the policy on Jobs")?;
    assert!(jobs.to_string().contains(&format!("== '{image}'")), "{image}");
    let account = format!("'system:serviceaccount:{SYSTEM}:plimsoll'");
    assert!(jobs["spec"]["matchConditions"].to_string().contains(&account));
    assert_eq!(of_kind(&operator(json!({})), "ServiceAccount")?[0]["metadata"]["name"], "plimsoll");
    Ok(())
}

#[test]
fn values_that_could_not_work_are_refused_with_their_path() {
    let job = |member: &str, value: Value| {
        let mut values = json!({"jobs": {}});
        values["jobs"][member] = value;
        operator(values)
    };
    for (release, path) in [
        (operator(json!({"scope": "Everywhere"})), "/scope"),
        (operator(json!({"namespaces": "farm"})), "/namespaces"),
        (operator(json!({"namespaces": ["Farm"]})), "/namespaces/0"),
        (operator(json!({"replicas": 2})), "replicas"),
        (operator(json!({"image": {"digest": "sha256:abc"}})), "/image/digest"),
        (operator(json!({"image": {"repository": "plimsoll'"}})), "/image/repository"),
        (operator(json!({"policies": {"required": "no"}})), "/policies/required"),
        (job("priorityClassName", json!("system-node-critical")), "/jobs/priorityClassName"),
        (job("resources", json!({"limits": {"cpu": null}})), "/jobs/resources/limits"),
        (job("resources", json!({"limits": {"memory": "lots"}})), "/jobs/resources/limits/memory"),
        (
            job(
                "annotations",
                json!({"container.apparmor.security.beta.kubernetes.io/plimsoll": "unconfined"}),
            ),
            // Helm names another path here.
            "invalid propertyName",
        ),
        (job("volumes", json!([])), "volumes"),
        (cluster(json!({"operator": {"image": "x' || true || '"}})), "/operator/image"),
        (cluster(json!({"operator": {"serviceAccount": "x' || true || '"}})), "/operator/serviceAccount"),
        (cluster(json!({"operator": {"namespace": "x'"}})), "/operator/namespace"),
    ] {
        let error = release.template().expect_err(path).to_string();
        assert!(error.contains(path), "{path}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_takes_what_the_charts_render_and_grants_what_they_say() -> Result<()> {
    let bare = Bare::start(ApiVersion::V1_36).await?;
    every_rendering_is_valid(&bare)?;
    the_pod_is_restricted(&bare).await?;
    the_operator_may(&bare.operator, &[FARM], &[SYSTEM, "default"]).await?;
    the_example_of_the_notes_is_valid(&bare)?;
    let image = json!({"repository": "registry.example/plimsoll", "tag": "test"});
    operator(json!({"scope": "Cluster", "image": image})).install(&bare.server.kubeconfig)?;
    the_operator_may(&bare.operator, &[FARM, SYSTEM, "default"], &[]).await?;
    the_definitions_stay(&bare).await
}

/// With no member that the server does not know.
fn every_rendering_is_valid(bare: &Bare) -> Result<()> {
    for release in [
        cluster(json!({})),
        cluster(
            json!({"crds": {"enabled": false}, "operator": {"namespace": FARM, "serviceAccount": "operator"}}),
        ),
        operator(json!({})),
        operator(json!({"namespaces": [FARM, "default"], "image": {"tag": "1.2.3"}})),
        operator(everything()),
    ] {
        apply_dry(bare, &release.template()?).with_context(|| release.values.to_string())?;
    }
    Ok(())
}

fn apply_dry(bare: &Bare, manifests: &str) -> Result<String> {
    let mut kubectl = bare.server.kubectl();
    kubectl.args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
    ]);
    let mut child = kubectl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start kubectl")?;
    child.stdin.take().context("standard input")?.write_all(manifests.as_bytes())?;
    let output = child.wait_with_output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

/// The operator's pod runs where pod security is enforced.
async fn the_pod_is_restricted(bare: &Bare) -> Result<()> {
    let mut namespace = k8s_openapi::api::core::v1::Namespace::default();
    namespace.metadata.name = Some("restricted".to_owned());
    namespace.metadata.labels =
        Some(BTreeMap::from([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())]));
    Api::all(bare.admin.clone()).create(&PostParams::default(), &namespace).await?;
    let pods = Api::<Pod>::namespaced(bare.admin.clone(), "restricted");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let deployment =
        of_kind(&operator(json!({})), "Deployment")?.pop().context("the chart has a Deployment")?;
    let template = &deployment["spec"]["template"];
    let metadata = ObjectMeta { name: Some("operator".to_owned()), ..ObjectMeta::default() };
    let mut pod =
        Pod { metadata, spec: Some(serde_json::from_value(template["spec"].clone())?), status: None };
    pods.create(&dry, &pod).await.context("the operator's pod is restricted")?;
    let spec = pod.spec.as_mut().context("a spec")?;
    spec.containers[0].security_context = None;
    match pods.create(&dry, &pod).await {
        Err(Error::Api(status)) if status.message.contains("PodSecurity") => Ok(()),
        other => anyhow::bail!("pod security is not enforced here: {other:?}"),
    }
}

/// What the operator may and may not do, asked as the operator.
async fn the_operator_may(operator: &Client, served: &[&str], other: &[&str]) -> Result<()> {
    let policies = "admissionregistration.k8s.io/validatingadmissionpolicies";
    let bindings = "admissionregistration.k8s.io/validatingadmissionpolicybindings";
    for name in [REFERENCES, JOBS, OBJECTS] {
        ensure!(
            may(operator, "get", policies, "", name).await?
                && may(operator, "get", bindings, "", name).await?
        );
    }
    ensure!(
        !may(operator, "list", policies, "", "").await?
            && !may(operator, "delete", bindings, "", JOBS).await?
    );
    for namespace in served {
        for (verb, resource) in [
            ("watch", "plimsoll.dev/performancebaselines"),
            ("create", "batch/jobs"),
            ("get", "/configmaps"),
            ("patch", "monitoring.coreos.com/prometheusrules"),
        ] {
            ensure!(may(operator, verb, resource, namespace, "").await?, "{verb} {resource} in {namespace}");
        }
    }
    for namespace in other {
        for (verb, resource) in [("create", "batch/jobs"), ("get", "/configmaps"), ("list", "/pods")] {
            ensure!(!may(operator, verb, resource, namespace, "").await?, "{verb} {resource} in {namespace}");
        }
    }
    for namespace in served.iter().chain(other) {
        for (verb, resource) in [
            ("get", "/secrets"),
            ("list", "/secrets"),
            ("create", "/pods"),
            ("create", "/pods/exec"),
            ("create", "/serviceaccounts/token"),
            ("create", "plimsoll.dev/performancebaselines"),
            ("create", "apps/deployments"),
            ("create", "rbac.authorization.k8s.io/rolebindings"),
            ("list", "monitoring.coreos.com/prometheusrules"),
            ("impersonate", "/serviceaccounts"),
        ] {
            ensure!(!may(operator, verb, resource, namespace, "").await?, "{verb} {resource} in {namespace}");
        }
    }
    Ok(())
}

/// Whether a client may; `resource` is `group/resource[/subresource]`.
async fn may(client: &Client, verb: &str, resource: &str, namespace: &str, name: &str) -> Result<bool> {
    let mut parts = resource.splitn(3, '/').map(str::to_owned);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: parts.next(),
        resource: parts.next(),
        subresource: parts.next(),
        namespace: some(namespace),
        name: some(name),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn the_example_of_the_notes_is_valid(bare: &Bare) -> Result<()> {
    let image = json!({"repository": "registry.example/plimsoll", "tag": "test"});
    let notes = operator(json!({"namespaces": [FARM], "image": image})).install(&bare.server.kubeconfig)?;
    let example = notes.split("<<END\n").nth(1).and_then(|rest| rest.split("  END\n").next());
    let said = apply_dry(bare, example.context("the notes hold an example")?)?;
    ensure!(said.contains("performancebaseline"), "{said}");
    Ok(())
}

/// Uninstalled, the chart leaves the definitions and with them every resource; installed again, it takes them up.
async fn the_definitions_stay(bare: &Bare) -> Result<()> {
    make_namespace(&bare.admin, "kept").await?;
    let gvk = GroupVersionKind::gvk("plimsoll.dev", "v1alpha1", "PerformanceBaseline");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "performancebaselines");
    let baselines = Api::<DynamicObject>::namespaced_with(bare.admin.clone(), "kept", &resource);
    let spec = json!({"spec": {"sources": {"prometheus": {"url": "https://prometheus.example"}}}});
    baselines.create(&PostParams::default(), &DynamicObject::new("one", &resource).data(spec)).await?;
    let release = cluster(json!({}));
    release.uninstall(&bare.server.kubeconfig)?;
    ensure!(baselines.list(&ListParams::default()).await?.items.len() == 1);
    let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "validatingadmissionpolicies");
    let policies =
        Api::<DynamicObject>::all_with(bare.admin.clone(), &resource).list(&ListParams::default()).await?;
    ensure!(!policies.items.iter().any(|policy| policy.metadata.name.as_deref() == Some(JOBS)));
    release.install(&bare.server.kubeconfig)?;
    ensure!(baselines.list(&ListParams::default()).await?.items.len() == 1);
    Ok(())
}
