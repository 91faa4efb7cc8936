//! What every reconcile is given: the client, the clock, and what the administrator has set.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;

use crate::events::Publisher;
use crate::job::settings::JobSettings;
use crate::metrics::Metrics;

/// The administrator's settings that a reconcile needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Image of the Jobs: exactly the string that the chart renders for the operator.
    pub image: String,
    /// Settings of every Job.
    pub jobs: JobSettings,
    /// Name of the admission policy, and of its binding, that guards references; `None` where there is none.
    pub reference_policy: Option<String>,
    /// Whether Secrets may be named without that policy.
    pub allow_secrets_without_policy: bool,
    /// The API server's address as this process was given it, beside what its EndpointSlice says.
    pub api_server: Vec<String>,
}

/// What every reconcile is given.
#[derive(Clone)]
pub struct Context {
    /// Client of the Kubernetes API; the operator connects to nothing else.
    pub client: Client,
    /// The time, as a function, so that tests set it.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Publishes Events.
    pub events: Publisher,
    /// Counts and durations.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
