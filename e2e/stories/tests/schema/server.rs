//! An API server with our definitions and nothing else, asked by hand-made requests: a client library would not send
//! what is wrong.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use plimsoll_cluster::apiserver::{self, ApiServer, ApiVersion};
use plimsoll_stories::access::administrator;
use plimsoll_stories::charts::root;
use plimsoll_stories::wait::until;
use serde_json::Value;

/// Where baselines are.
pub(crate) const BASELINES: &str = "/apis/plimsoll.dev/v1alpha1/namespaces/default/performancebaselines";
/// How long a server may take to serve a new definition.
const SERVED: Duration = Duration::from_secs(30);
/// Requests under way at once.
const AT_ONCE: usize = 16;

/// The server.
pub(crate) struct Server {
    /// The process; it ends with this value.
    pub(crate) process: ApiServer,
    /// May do everything.
    pub(crate) client: Client,
}

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// The object as it is stored.
    Accepted(Box<Value>),
    Refused {
        code: u16,
        message: String,
    },
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    /// A request with a JSON body.
    pub(crate) fn json(method: &'static str, target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method, target: target.into(), content_type: "application/json", body: body.into() }
    }

    /// A server-side apply by a manager.
    pub(crate) fn apply(name: &str, manager: &str, object: &Value) -> Self {
        Self {
            method: "PATCH",
            target: format!("{BASELINES}/{name}?fieldManager={manager}"),
            content_type: "application/apply-patch+yaml",
            body: object.to_string().into_bytes(),
        }
    }
}

impl Server {
    /// Starts a server and installs the definitions as they are shipped in `crds/`.
    pub(crate) async fn start(version: ApiVersion) -> Result<Self> {
        let process =
            tokio::task::spawn_blocking(move || apiserver::start(version, &mut std::io::stderr())).await??;
        let client = administrator(&process.kubeconfig).await?;
        let server = Self { process, client };
        for file in std::fs::read_dir(root().join("crds"))? {
            let text = std::fs::read_to_string(file?.path())?;
            let crd: CustomResourceDefinition = serde_yaml::from_str(&text)?;
            Api::all(server.client.clone()).create(&PostParams::default(), &crd).await?;
        }
        until("the definitions are served", SERVED, async || {
            let ask = Ask::json("GET", BASELINES, "");
            Ok(matches!(server.ask(ask).await?, Verdict::Accepted(_)).then_some(()))
        })
        .await?;
        Ok(server)
    }

    /// Sends a request.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Verdict> {
        let request = Request::builder()
            .method(ask.method)
            .uri(&ask.target)
            .header(CONTENT_TYPE, ask.content_type)
            .body(ask.body)?;
        match self.client.request_text(request).await {
            Ok(text) => Ok(Verdict::Accepted(Box::new(serde_json::from_str(&text)?))),
            Err(Error::Api(status)) => {
                Ok(Verdict::Refused { code: status.code, message: status.message.clone() })
            }
            Err(error) => bail!("{} {}: {error}", ask.method, ask.target),
        }
    }

    /// Sends many requests and hands back the answers in their order.
    pub(crate) async fn ask_all(&self, asks: Vec<Ask>) -> Result<Vec<Verdict>> {
        let answers: Vec<Result<Verdict>> = futures::stream::iter(asks.into_iter().map(|ask| self.ask(ask)))
            .buffered(AT_ONCE)
            .collect()
            .await;
        answers.into_iter().collect()
    }

    /// Sends a request that must be accepted.
    pub(crate) async fn must(&self, ask: Ask) -> Result<Value> {
        let what = format!("{} {}", ask.method, ask.target);
        match self.ask(ask).await? {
            Verdict::Accepted(object) => Ok(*object),
            Verdict::Refused { code, message } => bail!("{what}: {code}: {message}"),
        }
    }

    /// The table that `kubectl get` prints.
    pub(crate) async fn table(&self) -> Result<Value> {
        let request = Request::get(BASELINES)
            .header(ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new())?;
        let table: Value = serde_json::from_str(&self.client.request_text(request).await?)?;
        ensure!(table["kind"] == "Table", "no table: {table}");
        Ok(table)
    }

    /// `kubectl` with arguments; its standard output.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.process.kubectl().args(arguments).output().context("start kubectl")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), stderr.trim());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The schema of the one kind, as the server has it.
pub(crate) async fn schema(server: &Server) -> Result<Value> {
    let name = "performancebaselines.plimsoll.dev";
    let crd = Api::<CustomResourceDefinition>::all(server.client.clone()).get(name).await?;
    let version = crd.spec.versions.first().context("a definition has a version")?;
    Ok(serde_json::to_value(&version.schema)?["openAPIV3Schema"].clone())
}
