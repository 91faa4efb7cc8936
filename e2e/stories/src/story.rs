//! A story on the cluster: a namespace of its own, restricted, and what is said when it fails.

use std::future::Future;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::access::administrator;
use crate::environment::Environment;
use crate::prometheus::by_label;

/// Label on what a story makes outside its namespace: the namespace's name.
pub const STORY_LABEL: &str = "plimsoll.dev/story";
/// Namespace of the operator.
pub const SYSTEM: &str = "plimsoll-system";
/// Variable that keeps a story's namespace for a look.
const KEEP: &str = "PLIMSOLL_STORY_KEEP";

/// A story under way. Cheap to clone.
#[derive(Clone)]
pub struct Story {
    /// May do everything.
    pub admin: Client,
    /// The story's namespace.
    pub namespace: String,
    /// What was prepared.
    pub environment: &'static Environment,
}

/// Tells a story in a namespace of its own, which is gone afterwards.
///
/// # Panics
/// The story failed; by then the namespace's state is on standard error.
#[expect(clippy::panic, clippy::print_stderr, reason = "a test fails by panic and tells people why")]
pub async fn tell<F>(name: &str, body: impl FnOnce(Story) -> F)
where
    F: Future<Output = Result<()>>,
{
    let story = match Story::begin(name).await {
        Ok(story) => story,
        Err(error) => panic!("{name}: {error:#}"),
    };
    let told = AssertUnwindSafe(body(story.clone())).catch_unwind().await;
    let failed = !matches!(told, Ok(Ok(())));
    if failed {
        eprintln!("{}", story.diagnosis());
    }
    if std::env::var_os(KEEP).is_none()
        && let Err(error) = story.end().await
    {
        eprintln!("{name}: the namespace {} stays: {error:#}", story.namespace);
    }
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{name}: {error:#}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Story {
    async fn begin(name: &str) -> Result<Self> {
        let environment = Environment::get()?;
        until_traffic(&environment.prometheus).await?;
        let admin = administrator(&environment.kubeconfig).await?;
        let namespace = make_namespace(&admin, name, None).await?;
        Ok(Self { admin, namespace, environment })
    }

    /// The same story in another namespace, which ends with this one.
    ///
    /// # Errors
    /// The API server refused the namespace.
    pub async fn elsewhere(&self, name: &str) -> Result<Self> {
        let namespace = make_namespace(&self.admin, name, Some(&self.namespace)).await?;
        Ok(Self { namespace, ..self.clone() })
    }

    /// Deletes the namespace and what the story made beside it, without waiting.
    async fn end(&self) -> Result<()> {
        let mine = ListParams::default().labels(&format!("{STORY_LABEL}={}", self.namespace));
        let delete = DeleteParams::default();
        Api::<ValidatingAdmissionPolicyBinding>::all(self.admin.clone())
            .delete_collection(&delete, &mine)
            .await?;
        Api::<ValidatingAdmissionPolicy>::all(self.admin.clone()).delete_collection(&delete, &mine).await?;
        let namespaces = Api::<Namespace>::all(self.admin.clone());
        for namespace in namespaces.list(&mine).await? {
            namespaces.delete(namespace.metadata.name.as_deref().unwrap_or_default(), &delete).await?;
        }
        Ok(())
    }

    /// Objects of a kind in the story's namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// Makes an object from JSON in the story's namespace.
    ///
    /// # Errors
    /// The JSON is no such object, or the API server refused it.
    pub async fn create<K>(&self, object: Value) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let object: K = serde_json::from_value(object).context("read the story's object")?;
        let name = object.meta().name.clone().unwrap_or_default();
        let made = self.api::<K>().create(&PostParams::default(), &object).await;
        made.with_context(|| format!("make {} {name}", K::kind(&())))
    }

    /// Waits until an object fulfils a condition, watching it.
    ///
    /// # Errors
    /// The deadline passed; with the object as it is then.
    pub async fn until<K>(
        &self,
        what: &str,
        name: &str,
        deadline: Duration,
        holds: impl Fn(&K) -> bool,
    ) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + serde::Serialize
            + Send
            + 'static,
    {
        let condition = |object: Option<&K>| object.is_some_and(&holds);
        match tokio::time::timeout(deadline, await_condition(self.api::<K>(), name, condition)).await {
            Ok(Ok(Some(object))) => Ok(object),
            Ok(other) => bail!("{what}: the watch of {} {name} ended: {other:?}", K::kind(&())),
            Err(_) => {
                let now = self.api::<K>().get_opt(name).await?;
                let text = serde_json::to_string_pretty(&now.map(|now| json!(now)))?;
                bail!("waited {} s in vain: {what}; {} {name} is {text}", deadline.as_secs(), K::kind(&()))
            }
        }
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// The deadline passed.
    pub async fn until_gone<K>(&self, name: &str, deadline: Duration) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let gone = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        tokio::time::timeout(deadline, gone)
            .await
            .with_context(|| format!("{} {name} is still there after {deadline:?}", K::kind(&())))??;
        Ok(())
    }

    /// kubectl in the story's namespace, as the administrator; add the arguments.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut kubectl = Command::new(&self.environment.kubectl);
        kubectl.env("KUBECONFIG", &self.environment.kubeconfig).args(["--namespace", &self.namespace]);
        kubectl
    }

    /// What kubectl prints on standard output.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub async fn kubectl_output(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.kubectl();
        kubectl.args(arguments);
        tokio::task::spawn_blocking(move || crate::charts::run(&mut kubectl)).await?
    }

    /// What `kubectl plimsoll` prints on standard output, as the administrator.
    ///
    /// # Errors
    /// It failed; with what it said.
    pub async fn plugin(&self, arguments: &[&str]) -> Result<String> {
        let mut plugin = Command::new(&self.environment.binary);
        plugin.env("KUBECONFIG", &self.environment.kubeconfig);
        plugin.args(arguments).args(["--namespace", &self.namespace]);
        tokio::task::spawn_blocking(move || crate::charts::run(&mut plugin)).await?
    }

    /// Applies a manifest of one object into the story's namespace; the object's name.
    ///
    /// # Errors
    /// kubectl failed; with what it said.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml")?;
        file.write_all(manifest.as_bytes())?;
        let path = file.path().to_str().context("a path in UTF-8")?.to_owned();
        let name = ["apply", "--filename", &path, "--output=jsonpath={.metadata.name}"];
        self.kubectl_output(&name).await
    }

    /// Everything that may explain a failure.
    fn diagnosis(&self) -> String {
        let mut text = format!("=== namespace {} ===\n", self.namespace);
        let mut add = |title: &str, command: &mut Command| {
            text.push_str(&format!("--- {title}\n"));
            match command.output() {
                Ok(output) => {
                    text.push_str(&String::from_utf8_lossy(&output.stdout));
                    text.push_str(&String::from_utf8_lossy(&output.stderr));
                }
                Err(error) => text.push_str(&error.to_string()),
            }
        };
        for (title, arguments) in [
            ("baselines", &["get", "performancebaselines", "-o", "yaml"][..]),
            ("objects", &["get", "jobs,pods,configmaps,resourcequotas", "-o", "wide"]),
            ("pods", &["describe", "pods"]),
            ("events", &["get", "events", "--sort-by=.lastTimestamp"]),
            ("logs", &["logs", "--selector=app.kubernetes.io/managed-by=plimsoll", "--tail=30", "--prefix"]),
        ] {
            add(title, self.kubectl().args(arguments));
        }
        let mut operator = Command::new(&self.environment.kubectl);
        operator.env("KUBECONFIG", &self.environment.kubeconfig);
        operator.args(["--namespace", SYSTEM, "logs", "deployment/plimsoll", "--tail=400"]);
        let mut log = String::new();
        if let Ok(output) = operator.output() {
            let all = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = all.lines().filter(|line| line.contains(&self.namespace)).collect();
            log = lines[lines.len().saturating_sub(30)..].join("\n");
        }
        text.push_str(&format!("--- operator, of this namespace\n{log}\n"));
        text
    }
}

/// Waits, once in this process, until Smart Dairy has been under traffic for a minute: most stories measure that.
async fn until_traffic(prometheus: &str) -> Result<()> {
    static TRAFFIC: OnceCell<()> = OnceCell::const_new();
    // 20 requests a second to each.
    let query = "sum(increase(http_requests_total{job=\"odoo\"}[1m])) > 1000 \
                 and sum(increase(api_requests_total{job=\"api\"}[1m])) > 1000";
    let flows = || async {
        let found = by_label(prometheus, query, "", Timestamp::now()).await?;
        Ok((!found.is_empty()).then_some(()))
    };
    let waited = || crate::wait::until("a minute of traffic to Smart Dairy", Duration::from_secs(150), flows);
    TRAFFIC.get_or_try_init(waited).await.copied()
}

/// Makes a namespace `story-<name>-<random>` under the restricted pod security standard, which ends with the story of
/// another namespace or with its own.
async fn make_namespace(admin: &Client, name: &str, story: Option<&str>) -> Result<String> {
    let namespace = format!("story-{name}-{:06x}", rand::random::<u32>() >> 8);
    let story = story.unwrap_or(&namespace);
    let object = serde_json::from_value(json!({
        "metadata": {
            "name": namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted", STORY_LABEL: story},
        },
    }))?;
    Api::<Namespace>::all(admin.clone()).create(&PostParams::default(), &object).await?;
    Ok(namespace)
}
