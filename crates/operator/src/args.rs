//! The operator's flags. Each has an environment variable, which the chart sets.

use std::net::SocketAddr;

use clap::Args;

use crate::job::settings::JobSettings;

/// Flags of `plimsoll operator`.
#[derive(Debug, Clone, Args)]
pub struct OperatorArgs {
    /// Image of the Jobs: exactly the operator's own.
    #[arg(long, env = "PLIMSOLL_IMAGE", value_name = "IMAGE")]
    pub image: String,
    /// Namespaces to serve, comma separated; all when empty.
    #[arg(long, env = "PLIMSOLL_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// Namespace of the operator itself, for its Lease.
    #[arg(long, env = "PLIMSOLL_OWN_NAMESPACE", value_name = "NAMESPACE")]
    pub own_namespace: String,
    /// Name of this process in the Lease and in Events: its pod's.
    #[arg(long, env = "PLIMSOLL_IDENTITY", value_name = "NAME")]
    pub identity: String,
    /// Name of the Lease.
    #[arg(long, env = "PLIMSOLL_LEASE", default_value = "plimsoll", value_name = "NAME")]
    pub lease: String,
    /// What every Job's pod gets, as JSON: imagePullSecrets, labels, annotations, nodeSelector, tolerations, resources,
    /// priorityClassName.
    #[arg(long, env = "PLIMSOLL_JOB_SETTINGS", default_value = "{}", value_parser = job_settings, value_name = "JSON")]
    pub job_settings: JobSettings,
    /// Name of the ValidatingAdmissionPolicy, and of its binding, that checks who may name a Secret.
    #[arg(long, env = "PLIMSOLL_REFERENCE_POLICY", value_name = "NAME")]
    pub reference_policy: Option<String>,
    /// Allow specs to name Secrets although that policy is not installed: whoever may write a spec then uses every
    /// Secret of its namespace.
    #[arg(long, env = "PLIMSOLL_ALLOW_SECRETS_WITHOUT_POLICY", value_parser = clap::builder::BoolishValueParser::new(), default_value = "false", action = clap::ArgAction::Set)]
    pub allow_secrets_without_policy: bool,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "PLIMSOLL_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Most objectives that /metrics shows, each with three series; the baselines past it are left out whole, and
    /// plimsoll_objectives_left_out_total counts them.
    #[arg(long, env = "PLIMSOLL_MAX_OBJECTIVE_METRICS", default_value_t = crate::gauges::DEFAULT_LIMIT, value_name = "COUNT")]
    pub max_objective_metrics: usize,
    /// Reconciles at once.
    #[arg(long, env = "PLIMSOLL_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
}

fn job_settings(text: &str) -> Result<JobSettings, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| format!("{error}; see the chart's values under `jobs`"))
}

impl OperatorArgs {
    /// The namespaces to serve without empty entries; none stands for all.
    #[must_use]
    pub fn served(&self) -> Vec<String> {
        let mut served: Vec<String> = self
            .namespaces
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        served.sort();
        served.dedup();
        served
    }
}
