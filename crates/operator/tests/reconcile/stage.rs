//! An operator, a fake API server and a clock.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus};
use plimsoll_operator::baseline::{Rest, reconcile};
use plimsoll_operator::context::{Context, Settings};
use plimsoll_operator::events::Publisher;
use plimsoll_operator::job::settings::JobSettings;
use plimsoll_operator::metrics::Metrics;
use plimsoll_testkit::fixtures::BaselineFixture as _;
use plimsoll_testkit::fixtures::{NAMESPACE, PROMETHEUS, baseline};
use plimsoll_testkit::{FakeApiServer, FixedClock, JobDouble};

/// Name of the baseline in most tests.
pub(crate) const DAIRY: &str = "dairy";

pub(crate) struct Stage {
    pub(crate) server: FakeApiServer,
    pub(crate) clock: FixedClock,
    pub(crate) context: Context,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let clock = FixedClock::at("2026-11-24T10:00:00Z");
        Self::on(FakeApiServer::with_clock(clock.clone()), clock)
    }

    pub(crate) fn on(server: FakeApiServer, clock: FixedClock) -> Self {
        let time = clock.clone();
        let context = Context {
            client: server.client(),
            clock: Arc::new(move || time.now()),
            settings: Arc::new(Settings {
                image: "plimsoll:test".to_owned(),
                jobs: JobSettings::default(),
                reference_policy: None,
                allow_secrets_without_policy: false,
                api_server: vec!["10.96.0.1:443".to_owned()],
            }),
            events: Publisher::new(server.client(), Some("operator-0".to_owned())),
            metrics: Arc::new(Metrics::default()),
        };
        Self { server, clock, context }
    }

    /// A stage with the baseline `dairy` of web and API figures, not looked at yet.
    pub(crate) fn with_dairy() -> Self {
        let stage = Self::new();
        stage.server.put(dairy());
        stage
    }

    pub(crate) fn dairy(&self) -> PerformanceBaseline {
        self.server.get(NAMESPACE, DAIRY).expect("the baseline is there")
    }

    pub(crate) fn status(&self) -> PerformanceBaselineStatus {
        self.dairy().status.unwrap_or_default()
    }

    /// Reconciles once, from what a fresh cache holds.
    pub(crate) async fn reconcile(&self) -> Rest {
        reconcile(&self.dairy(), &self.context).await.expect("the API server answers")
    }

    /// Reconciles as a controller does until there is nothing to do but wait; a crashed operator is started again.
    pub(crate) async fn settle(&self) -> Result<Rest, String> {
        let mut last = String::new();
        for _ in 0..12 {
            match reconcile(&self.dairy(), &self.context).await {
                Ok(rest) if !self.server.is_down() => return Ok(rest),
                Ok(_) => {}
                Err(error) => last = error.chain(),
            }
            self.server.restart();
        }
        Err(format!("it fails again and again: {last}"))
    }

    pub(crate) fn job(&self) -> JobDouble {
        let run = self.status().current_run.expect("a run is under way");
        JobDouble::new(&self.server, NAMESPACE, &run.name)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// The Job measures everything and ends.
    pub(crate) fn deliver(&self) {
        let job = self.job();
        job.start();
        job.runs();
        job.delivers(|_| {}).completes();
    }

    /// One whole run, from what is due to what is kept.
    pub(crate) async fn run(&self) -> Result<(), String> {
        self.settle().await?;
        self.deliver();
        self.settle().await?;
        self.expire();
        Ok(())
    }

    /// What the TTL controller does with finished Jobs whose time to live is set.
    pub(crate) fn expire(&self) {
        for job in self.server.list::<Job>(NAMESPACE) {
            if job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some()) {
                self.server.delete::<Job>(NAMESPACE, job.metadata.name.as_deref().unwrap_or_default());
            }
        }
    }

    pub(crate) fn condition(&self, type_: &str) -> Condition {
        let conditions = self.status().conditions;
        conditions
            .into_iter()
            .find(|condition| condition.type_ == type_)
            .unwrap_or_else(|| panic!("no {type_}"))
    }

    /// `True: Reason`, `False: Reason`.
    pub(crate) fn says(&self, type_: &str) -> String {
        let condition = self.condition(type_);
        format!("{}: {}", condition.status, condition.reason)
    }

    pub(crate) fn maps(&self) -> Vec<String> {
        let maps = self.server.list::<ConfigMap>(NAMESPACE).into_iter();
        maps.filter_map(|map| map.metadata.name).collect()
    }

    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.server.list::<Job>(NAMESPACE)
    }

    /// Asks for a run by the annotation.
    pub(crate) fn request(&self, value: &str) {
        self.server.edit::<PerformanceBaseline>(NAMESPACE, DAIRY, |dairy| {
            let annotations = dairy.metadata.annotations.get_or_insert_default();
            annotations.insert("plimsoll.dev/run".to_owned(), value.to_owned());
        });
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The baseline of most tests.
pub(crate) fn dairy() -> PerformanceBaseline {
    baseline(DAIRY).prometheus(PROMETHEUS).window("5m").web().api()
}
