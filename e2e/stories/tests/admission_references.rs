//! A tenant makes Plimsoll use only the Secrets and ConfigMaps that the tenant may read: the installed policy on
//! references, asked through every reference of the schema, on real API servers.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use plimsoll_api::RUN_ANNOTATION;
use plimsoll_cluster::apiserver::ApiVersion;
use plimsoll_stories::access::{Identity, as_identity};
use plimsoll_stories::bare::{Bare, FARM, POLICY_DEADLINE, REFERENCES, refusal};
use plimsoll_stories::references::{Example, OWN, examples};
use plimsoll_stories::value::join;
use plimsoll_stories::wait::until;
use serde_json::{Value, json};

/// What the tenant may not get.
const FOREIGN: &str = "foreign";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_uses_only_what_the_tenant_may_read_on_1_33() -> Result<()> {
    story(ApiVersion::V1_33).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_uses_only_what_the_tenant_may_read_on_1_36() -> Result<()> {
    story(ApiVersion::V1_36).await
}

async fn story(version: ApiVersion) -> Result<()> {
    let bare = Bare::start(version).await?;
    let tenant = tenant(&bare, "tenant", &[OWN]).await?;
    let mut tried = 0;
    for crd in plimsoll_api::all_crds() {
        let kind = Kind::read(&bare.admin, &crd.metadata.name.context("a CRD has a name")?).await?;
        kind.wait_until_enforced(&tenant).await?;
        tried += every_reference(&kind, &tenant).await?;
        tried += as_many_names_as_fit(&kind, &bare.admin, &tenant).await?;
        objects_of_the_administrator(&kind, &bare.admin, &tenant).await?;
        everyone_else(&kind, &bare, &tenant).await?;
    }
    println!("{version:?}: 0 of {tried} foreign names passed");
    without_the_binding(&bare, &tenant).await
}

/// A user who may manage our kinds in the namespace and get these Secrets and ConfigMaps; all where none is named.
async fn tenant(bare: &Bare, user: &str, names: &[&str]) -> Result<Client> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str], names: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.iter().map(ToString::to_string).collect()),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        resource_names: (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect()),
        ..PolicyRule::default()
    };
    let metadata =
        ObjectMeta { name: Some(user.to_owned()), namespace: Some(FARM.to_owned()), ..ObjectMeta::default() };
    let rules = vec![
        rule("plimsoll.dev", &["*"], &["get", "list", "create", "update", "patch", "delete"], &[]),
        rule("", &["secrets", "configmaps"], &["get"], names),
    ];
    let role = Role { metadata: metadata.clone(), rules: Some(rules) };
    let binding = RoleBinding {
        metadata,
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: user.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: user.to_owned(),
            ..Subject::default()
        }]),
    };
    Api::namespaced(bare.admin.clone(), FARM).create(&PostParams::default(), &role).await?;
    Api::namespaced(bare.admin.clone(), FARM).create(&PostParams::default(), &binding).await?;
    as_identity(&bare.server.kubeconfig, &Identity::user(user)).await
}

/// One of our kinds as the API server serves it.
struct Kind {
    resource: ApiResource,
    /// Schema of its spec.
    spec: Value,
}

impl Kind {
    async fn read(admin: &Client, definition: &str) -> Result<Self> {
        let crd = Api::<CustomResourceDefinition>::all(admin.clone()).get(definition).await?;
        let version = crd.spec.versions.first().context("a CRD has a version")?;
        let names = &crd.spec.names;
        let gvk = GroupVersionKind::gvk(&crd.spec.group, &version.name, &names.kind);
        let schema = serde_json::to_value(&version.schema)?;
        Ok(Self {
            resource: ApiResource::from_gvk_with_plural(&gvk, &names.plural),
            spec: schema["openAPIV3Schema"]["properties"]["spec"].clone(),
        })
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), FARM, &self.resource)
    }

    fn object(&self, name: &str, spec: &Value) -> DynamicObject {
        DynamicObject::new(name, &self.resource).data(json!({"spec": spec}))
    }

    /// Creates an object and says what the policy said.
    async fn create(&self, client: &Client, name: &str, spec: &Value) -> Result<Option<String>> {
        refusal(REFERENCES, self.api(client).create(&PostParams::default(), &self.object(name, spec)).await)
    }

    async fn dry_run(&self, client: &Client, spec: &Value) -> Result<Option<String>> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        refusal(REFERENCES, self.api(client).create(&dry, &self.object("dry", spec)).await)
    }

    async fn delete(&self, client: &Client, name: &str) -> Result<()> {
        self.api(client).delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    fn an_example(&self) -> Result<Example> {
        examples(&self.spec, 1).into_iter().next().context("the kind refers to something")
    }

    /// A policy takes a moment after it is made.
    async fn wait_until_enforced(&self, tenant: &Client) -> Result<()> {
        let spec = self.an_example()?.with(&[FOREIGN]);
        let spec = &spec;
        until("the policy on references is enforced", POLICY_DEADLINE, || async move {
            self.dry_run(tenant, spec).await
        })
        .await?;
        Ok(())
    }
}

/// A foreign name through each reference is refused, the own one passes.
async fn every_reference(kind: &Kind, tenant: &Client) -> Result<usize> {
    let examples = examples(&kind.spec, 1);
    ensure!(examples.iter().any(|example| example.is_config_map) && examples.len() >= 5);
    for example in &examples {
        let what = if example.is_config_map { "ConfigMap" } else { "Secret" };
        let said = kind.create(tenant, "tried", &example.with(&[FOREIGN])).await?;
        let said = said.with_context(|| format!("a foreign {what} passed through {}", example.path))?;
        ensure!(said.contains(&format!("{what} \"{FOREIGN}\"")), "{}: {said}", example.path);
        let said = kind.create(tenant, "tried", &example.with(&[OWN])).await?;
        ensure!(said.is_none(), "the tenant's own {what} was refused through {}: {said:?}", example.path);
        // What was accepted may not be turned afterwards.
        let turned = json!({"spec": example.with(&[FOREIGN])});
        let result = kind.api(tenant).patch("tried", &PatchParams::default(), &Patch::Merge(&turned)).await;
        ensure!(refusal(REFERENCES, result)?.is_some(), "{} was turned to a foreign {what}", example.path);
        kind.delete(tenant, "tried").await?;
    }
    Ok(2 * examples.len())
}

/// With as many references as one object can hold, each of them alone foreign is refused, and all of them own pass:
/// the policy neither stops counting nor runs out of what it may spend.
async fn as_many_names_as_fit(kind: &Kind, admin: &Client, tenant: &Client) -> Result<usize> {
    let mut fullest: Option<Example> = None;
    for example in examples(&kind.spec, usize::MAX) {
        let joined = match fullest.clone() {
            None => Some(Example { spec: example.with(&[OWN]), ..example.clone() }),
            Some(mut joined) => join(&mut joined.spec, &example.with(&[OWN])).then(|| {
                joined.names.extend(example.names.clone());
                joined
            }),
        };
        // Two members of a union exclude each other: what the schema refuses does not fit.
        if let Some(joined) = joined {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            match kind.api(admin).create(&dry, &kind.object("full", &joined.with(&[OWN]))).await {
                Ok(_) => fullest = Some(joined),
                Err(Error::Api(status)) if status.code == 422 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let fullest = fullest.context("some example is valid")?;
    let number = fullest.names.len();
    ensure!(number >= 23, "only {number} names fit: {:?}", fullest.names);
    let said = kind.dry_run(tenant, &fullest.with(&[OWN])).await?;
    ensure!(said.is_none(), "{number} own names were refused: {said:?}");
    let said = kind.dry_run(tenant, &fullest.with(&[FOREIGN])).await?;
    ensure!(said.is_some(), "{number} foreign names passed");
    for foreign in 0..number {
        let names: Vec<&str> =
            (0..number).map(|index| if index == foreign { FOREIGN } else { OWN }).collect();
        let said = kind.dry_run(tenant, &fullest.with(&names)).await?;
        let said = said.with_context(|| format!("a foreign name passed at {}", fullest.names[foreign]))?;
        ensure!(said.contains(&format!("\"{FOREIGN}\"")), "{said}");
    }
    Ok(number + 1)
}

/// A tenant neither turns an administrator's object nor has it run, and may do what uses no Secret.
async fn objects_of_the_administrator(kind: &Kind, admin: &Client, tenant: &Client) -> Result<()> {
    let spec = kind.an_example()?.with(&[FOREIGN]);
    ensure!(kind.create(admin, "admins", &spec).await?.is_none());
    let run = json!({"metadata": {"annotations": {RUN_ANNOTATION: "now"}}});
    let edit = json!({"spec": {"suspend": true}});
    for patch in [&run, &edit] {
        let patched = |client| async move {
            kind.api(client).patch("admins", &PatchParams::default(), &Patch::Merge(patch)).await
        };
        ensure!(refusal(REFERENCES, patched(tenant).await)?.is_some(), "the tenant's {patch} passed");
        ensure!(
            refusal(REFERENCES, patched(admin).await)?.is_none(),
            "the administrator's {patch} was refused"
        );
    }
    let applied = |name| {
        let object = json!({"apiVersion": kind.resource.api_version, "kind": kind.resource.kind,
            "metadata": {"name": name}, "spec": spec});
        async move {
            let by = PatchParams::apply("tenant").force();
            kind.api(tenant).patch(name, &by, &Patch::Apply(&object)).await
        }
    };
    for name in ["admins", "new"] {
        let edited = name == "new";
        // Applying what stands there already changes nothing but who owns its fields; the administrator's patch
        // above set `suspend`, which stays.
        let said = refusal(REFERENCES, applied(name).await)?;
        ensure!(said.is_some() == edited, "applying {name}: {said:?}");
    }
    let label = json!({"metadata": {"labels": {"team": "sre"}}});
    let result = kind.api(tenant).patch("admins", &PatchParams::default(), &Patch::Merge(&label)).await;
    ensure!(refusal(REFERENCES, result)?.is_none(), "a label was refused");
    Ok(())
}

/// Null is absent, and does not hide what stands beside it; whoever may get all may name all; the operator writes
/// status.
async fn everyone_else(kind: &Kind, bare: &Bare, tenant_client: &Client) -> Result<()> {
    let all = tenant(bare, "reader-of-all", &[]).await?;
    for example in examples(&kind.spec, 1) {
        let said = kind.dry_run(&all, &example.with(&[FOREIGN])).await?;
        ensure!(said.is_none(), "{} was refused to who may get all: {said:?}", example.path);
    }
    let prometheus = json!({"url": "https://prometheus.example", "auth": null, "tls": null});
    let nulls = json!({"sources": {"prometheus": prometheus}});
    ensure!(kind.dry_run(tenant_client, &nulls).await?.is_none(), "null was refused");
    let mut beside = nulls.clone();
    beside["sources"]["prometheus"]["headers"] =
        json!([{"name": "x", "value": null, "valueFrom": {"secretKeyRef": {"name": FOREIGN, "key": "k"}}}]);
    ensure!(kind.dry_run(tenant_client, &beside).await?.is_some(), "a null hid a foreign name");

    let status = json!({"status": {"observedGeneration": 1}});
    let written = kind
        .api(&bare.operator)
        .patch_status("admins", &PatchParams::default(), &Patch::Merge(&status))
        .await;
    ensure!(refusal(REFERENCES, written)?.is_none(), "the operator's status was refused");
    Ok(())
}

/// The policy without its binding does nothing: so it was the policy that refused.
async fn without_the_binding(bare: &Bare, tenant: &Client) -> Result<()> {
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(bare.admin.clone());
    bindings.delete(REFERENCES, &DeleteParams::default()).await?;
    let name = plimsoll_api::all_crds().remove(0).metadata.name.context("a CRD has a name")?;
    let kind = Kind::read(&bare.admin, &name).await?;
    let spec = kind.an_example()?.with(&[FOREIGN]);
    let (kind, spec) = (&kind, &spec);
    until("without its binding the policy lets a foreign name pass", POLICY_DEADLINE, || async move {
        Ok(kind.dry_run(tenant, spec).await?.is_none().then_some(()))
    })
    .await
}
