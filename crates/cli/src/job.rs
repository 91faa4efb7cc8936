//! `plimsoll job`: what a run's Job runs. Measures what the request in the environment asks for and delivers the
//! record as the one frame at the end of its output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::frame::{self, Envelope, FrameError};
use plimsoll_analysis::job::{
    CONFIG_MAPS_FOLDER, EARLY_EXIT_SECONDS, ENV_DEADLINE, ENV_JOB_UID, ENV_NONCE, ENV_REQUEST,
    EXIT_BAD_INPUT, EXIT_COMPLETE, EXIT_INCOMPLETE, SECRETS_FOLDER, TERMINATION_LOG,
};
use plimsoll_analysis::record::{BaselineRecord, SourceReason};
use plimsoll_analysis::request::{BaselineRequest, KeyRef, SCHEMA};
use plimsoll_collect::{AddressPolicy, Keys, NoProgress, collect};

/// Shortest time for reading, should a deadline be shorter than the early exit.
const LEAST_READING: Duration = Duration::from_secs(5);

/// What the operator gave this process.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) request: BaselineRequest,
    pub(crate) nonce: String,
    pub(crate) job_uid: String,
    pub(crate) deadline: Duration,
    pub(crate) api_server: Vec<String>,
}

/// Why this process cannot measure anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// A variable is missing or means nothing; only the operator sets them.
    #[error(
        "the environment variable {name} {why}; `plimsoll job` is started by the operator, people use `plimsoll collect`"
    )]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The record does not fit into the log.
    #[error("the record cannot be delivered: {0}")]
    Undeliverable(#[from] FrameError),
    /// Standard output cannot be written.
    #[error("write the record to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Given {
    /// Reads the environment through `variable`.
    pub(crate) fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self, JobError> {
        let error = |name: &'static str, why: &str| JobError::Environment { name, why: why.to_owned() };
        let required = |name: &'static str| {
            variable(name).filter(|value| !value.is_empty()).ok_or_else(|| error(name, "is not set"))
        };
        let request: BaselineRequest = serde_json::from_str(&required(ENV_REQUEST)?)
            .map_err(|why| error(ENV_REQUEST, &format!("is no request ({:?} error)", why.classify())))?;
        if request.schema != SCHEMA {
            return Err(error(ENV_REQUEST, "is of another version; operator and Job must be of one image"));
        }
        let nonce = required(ENV_NONCE)?;
        if nonce.len() != 32 || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error(ENV_NONCE, "is not 32 hexadecimal digits"));
        }
        let deadline = required(ENV_DEADLINE)?;
        let deadline = deadline.parse().map_err(|_| error(ENV_DEADLINE, "is not a number of seconds"))?;
        let api_server = match (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) {
            (Some(host), Some(port)) if host.contains(':') => vec![format!("[{host}]:{port}")],
            (Some(host), Some(port)) => vec![format!("{host}:{port}")],
            _ => Vec::new(),
        };
        Ok(Self {
            request,
            nonce,
            job_uid: required(ENV_JOB_UID)?,
            deadline: Duration::from_secs(deadline),
            api_server,
        })
    }

    /// What this run may contact.
    fn policy(&self) -> Result<AddressPolicy, JobError> {
        let policy = AddressPolicy::job(&self.request.forbidden_addresses)
            .and_then(|policy| policy.and(&self.api_server));
        policy.map_err(|why| JobError::Environment { name: ENV_REQUEST, why: why.to_string() })
    }
}

/// Where keys are mounted and where the outcome goes.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) secrets: PathBuf,
    pub(crate) config_maps: PathBuf,
    pub(crate) outcome: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            secrets: SECRETS_FOLDER.into(),
            config_maps: CONFIG_MAPS_FOLDER.into(),
            outcome: TERMINATION_LOG.into(),
        }
    }
}

/// Measures and delivers; returns the exit code. `policy` is what the run may contact, where it is not what the
/// environment says.
pub(crate) async fn run(
    given: Result<Given, JobError>,
    policy: Option<AddressPolicy>,
    places: &Places,
    out: &mut (dyn Write + Send),
) -> i32 {
    let started = Instant::now();
    let result = match given {
        Ok(given) => deliver(&given, policy, places, started, out).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(record) => {
            say(&places.outcome, &outcome(&record));
            exit_code(&record)
        }
        Err(error) => {
            say(&places.outcome, &error.to_string());
            tracing::error!(%error, "no record was delivered");
            EXIT_BAD_INPUT
        }
    }
}

async fn deliver(
    given: &Given,
    policy: Option<AddressPolicy>,
    places: &Places,
    started: Instant,
    out: &mut (dyn Write + Send),
) -> Result<BaselineRecord, JobError> {
    let policy = match policy {
        Some(policy) => policy,
        None => given.policy()?,
    };
    let wanted: Vec<&KeyRef> = given.request.prometheus.iter().flat_map(|source| source.keys()).collect();
    let keys = Keys::from_folders(&places.secrets, &places.config_maps, &wanted);
    let reading = given.deadline.saturating_sub(Duration::from_secs(EARLY_EXIT_SECONDS)).max(LEAST_READING);
    tracing::info!(run = given.request.run, "collecting");
    let now = Timestamp::now();
    let record = tokio::select! {
        record = collect(&given.request, &keys, &policy, started + reading, &NoProgress, now) => record,
        // Told to stop: what a source has not said by now it will not say.
        () = told_to_stop() => collect(&given.request, &keys, &policy, Instant::now(), &NoProgress, now).await,
    };
    let envelope = Envelope {
        uid: given.request.uid.clone(),
        run_key: given.request.run_key.clone(),
        job_uid: given.job_uid.clone(),
        record,
    };
    let frame = frame::encode(&given.nonce, &envelope)?;
    tracing::info!(complete = envelope.record.complete, bytes = frame.len(), "delivering");
    out.write_all(frame.as_bytes())?;
    out.flush()?;
    Ok(envelope.record)
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// The exit code that a record stands for.
pub(crate) fn exit_code(record: &BaselineRecord) -> i32 {
    let missing = |reason| matches!(reason, Some(SourceReason::SecretMissing | SourceReason::KeyMissing));
    if record.complete {
        EXIT_COMPLETE
    } else if record.sources.iter().any(|source| missing(source.reason)) {
        EXIT_BAD_INPUT
    } else {
        EXIT_INCOMPLETE
    }
}

/// One line for `kubectl describe pod`.
fn outcome(record: &BaselineRecord) -> String {
    let sources = record.sources.iter().map(|source| match source.reason {
        Some(reason) => format!("{}: {:?}, {reason:?}", source.name, source.state),
        None => format!("{}: {:?}", source.name, source.state),
    });
    sources.collect::<Vec<_>>().join("; ")
}

/// Writes the termination message; a Job without one is still a run.
fn say(place: &Path, text: &str) {
    let text: String = text.chars().take(1000).collect();
    if let Err(error) = std::fs::write(place, text) {
        tracing::debug!(%error, "no termination message was written");
    }
}
