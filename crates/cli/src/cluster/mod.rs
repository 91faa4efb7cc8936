//! The commands that work on a cluster, with the user's own credentials.

pub(crate) mod export;
mod kept;
mod overview;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod status;

use std::str::FromStr;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use plimsoll_api::PerformanceBaseline;

use crate::failure::Failure;

/// Names under which users know the kind, as kubectl takes them.
const BASELINE: [&str; 5] = ["baseline", "baselines", "pbl", "performancebaseline", "performancebaselines"];

/// Where the object is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Target {
    /// Namespace of the object; the kubeconfig's own by default.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Context of the kubeconfig; the current one by default.
    #[arg(long)]
    context: Option<String>,
}

/// A cluster and a namespace in it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Which object: `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectRef {
    pub(crate) name: String,
}

impl FromStr for ObjectRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text
            .split_once('/')
            .filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'))
            .ok_or("write KIND/NAME, for example baseline/smart-dairy")?;
        let kind = kind.to_lowercase();
        let plural = kind.strip_suffix(&format!(".{}", plimsoll_api::GROUP)).unwrap_or(&kind);
        if BASELINE.contains(&plural) {
            Ok(Self { name: name.to_owned() })
        } else {
            Err(format!(
                "{kind:?} is not a kind of {}; known are {}",
                plimsoll_api::GROUP,
                BASELINE.join(", ")
            ))
        }
    }
}

impl Target {
    /// The same with a context that stood before the command.
    #[must_use]
    pub(crate) fn in_context(mut self, context: Option<String>) -> Self {
        self.context = self.context.or(context);
        self
    }

    /// Connects as kubectl does: by the kubeconfig, or inside a cluster by the pod's own credentials.
    ///
    /// # Errors
    /// There are no credentials, or they cannot be read.
    pub(crate) async fn connect(&self) -> Result<Place, Failure> {
        let config = match &self.context {
            None => Config::infer().await.map_err(|error| {
                Failure::failed(format_args!("find a cluster: {error}; set KUBECONFIG or --context"))
            })?,
            Some(context) => self.of_context(context).await?,
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Failure::failed(chain(&error)))?;
        Ok(Place { client, namespace })
    }

    async fn of_context(&self, context: &str) -> Result<Config, Failure> {
        let read = |error: kube::config::KubeconfigError| {
            Failure::failed(format_args!("read the kubeconfig: {}", chain(&error)))
        };
        let kubeconfig = Kubeconfig::read().map_err(read)?;
        if !kubeconfig.contexts.iter().any(|known| known.name == context) {
            return Err(Failure::bad_input(format_args!(
                "the kubeconfig has no context {context:?}; `kubectl config get-contexts` lists them"
            )));
        }
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(read)
    }
}

impl Place {
    /// The baselines of the namespace.
    pub(crate) fn baselines(&self) -> Api<PerformanceBaseline> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One baseline.
    ///
    /// # Errors
    /// It is not there or may not be read.
    pub(crate) async fn baseline(&self, name: &str) -> Result<PerformanceBaseline, Failure> {
        self.baselines()
            .get(name)
            .await
            .map_err(|error| self.explain(&error, &format!("read baseline/{name}")))
    }

    /// What an API server's refusal means, and what to do.
    pub(crate) fn explain(&self, error: &kube::Error, what: &str) -> Failure {
        let namespace = &self.namespace;
        let kube::Error::Api(status) = error else {
            return Failure::failed(format_args!("{what}: {}", chain(error)));
        };
        let message = one_line(&status.message);
        Failure::failed(match status.code {
            401 => format!("{what}: the API server does not accept your credentials; log in again"),
            403 => format!("{what}: {message}; ask who runs the cluster for that right"),
            404 if message.contains("the server could not find the requested resource") => format!(
                "{what}: this cluster does not know PerformanceBaselines; install the chart plimsoll-cluster"
            ),
            404 => format!("{what}: {message}; `kubectl get baselines -n {namespace}` lists what is there"),
            _ => format!("{what}: {message}"),
        })
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    one_line(&text)
}

/// Text of the cluster, fit for a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_as_with_kubectl() {
        for text in [
            "baseline/dairy",
            "baselines/dairy",
            "pbl/dairy",
            "performancebaseline/dairy",
            "PerformanceBaseline/dairy",
            "performancebaselines.plimsoll.dev/dairy",
        ] {
            assert_eq!(text.parse(), Ok(ObjectRef { name: "dairy".to_owned() }), "{text}");
        }
        for (text, expected) in [
            ("dairy", "write KIND/NAME"),
            ("baseline/", "write KIND/NAME"),
            ("baseline/a/b", "write KIND/NAME"),
            ("pod/dairy", "\"pod\" is not a kind of plimsoll.dev"),
            ("baselines.example.com/dairy", "is not a kind"),
        ] {
            let error = text.parse::<ObjectRef>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
