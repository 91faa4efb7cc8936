//! `plimsoll job`: what a run's Job runs. Measures what the request in the environment asks for and delivers the
//! record as the one frame at the end of its output.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::frame::{self, Envelope, FrameError};
use plimsoll_analysis::job::{
    CONFIG_MAPS_FOLDER, EARLY_EXIT_SECONDS, ENV_DEADLINE, ENV_JOB_UID, ENV_NONCE, ENV_REQUEST,
    EXIT_BAD_INPUT, EXIT_COMPLETE, EXIT_INCOMPLETE, SECRETS_FOLDER, TERMINATION_LOG,
};
use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{BaselineRequest, KeyRef, SCHEMA};
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, TimeLimit, collect};

use crate::logging::{self, Bounded};

/// Exit code of a process that could not deliver what it measured.
const EXIT_UNDELIVERED: u8 = 1;
/// Shortest time for reading, should a deadline be shorter than the early exit.
const LEAST_READING: Duration = Duration::from_secs(5);
/// Most characters of the termination message; the kubelet keeps 4,096 bytes.
const MAX_OUTCOME: usize = 1000;

/// Arguments of `plimsoll job`.
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// Folder below which the mounted folders and the termination message are; for tests. No Job of the operator
    /// has it: the admission policy allows the argument `job` alone.
    #[arg(long, hide = true, default_value = "/")]
    root: PathBuf,
}

/// What the operator gave this process.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) request: BaselineRequest,
    pub(crate) nonce: String,
    pub(crate) job_uid: String,
    /// The pod's deadline.
    pub(crate) deadline: Duration,
    /// Host and port of the API server, as the kubelet tells every pod.
    pub(crate) api_server: Option<(String, u16)>,
}

/// Why this process delivers no record.
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
    /// The addresses that a run may not contact are not known, so it contacts none.
    #[error("the API server's addresses cannot be told apart: {0}; nothing was contacted")]
    Forbidden(String),
    /// The record does not fit into the log, or has no JSON.
    #[error("the record cannot be delivered: {0}; narrow the matchers or ask for fewer metrics")]
    Undeliverable(#[from] FrameError),
    /// Standard output cannot be written.
    #[error("the record cannot be written to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl JobError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Environment { .. } | Self::Forbidden(_) => code(EXIT_BAD_INPUT),
            Self::Undeliverable(_) | Self::Output(_) => EXIT_UNDELIVERED,
        }
    }
}

impl Given {
    /// Reads the environment through `variable`.
    ///
    /// # Errors
    /// The first variable that is missing or means nothing; nothing of a value stands in the message.
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
        if nonce.len() != 32 || !nonce.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(error(ENV_NONCE, "is not 32 hexadecimal digits"));
        }
        let deadline =
            required(ENV_DEADLINE)?.parse().map_err(|_| error(ENV_DEADLINE, "is not a number of seconds"))?;
        let api_server = match (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) {
            (Some(host), Some(port)) => {
                let port = port.parse().map_err(|_| error("KUBERNETES_SERVICE_PORT", "is not a port"))?;
                Some((host, port))
            }
            _ => None,
        };
        Ok(Self {
            request,
            nonce,
            job_uid: required(ENV_JOB_UID)?,
            deadline: Duration::from_secs(deadline),
            api_server,
        })
    }

    /// What this run may contact. Some providers write the API server's host as a name, whose addresses count then.
    async fn policy(&self) -> Result<AddressPolicy, JobError> {
        let mut forbidden = self.request.forbidden_addresses.clone();
        if let Some((host, port)) = &self.api_server {
            let found = tokio::net::lookup_host((host.as_str(), *port)).await;
            let addresses =
                found.map_err(|why| JobError::Forbidden(format!("KUBERNETES_SERVICE_HOST: {why}")))?;
            forbidden.extend(addresses.map(|address| address.to_string()));
        }
        AddressPolicy::job(&forbidden).map_err(|why| JobError::Forbidden(why.to_string()))
    }

    /// How long this process may read, from its start.
    fn reading(&self) -> Duration {
        self.deadline.saturating_sub(Duration::from_secs(EARLY_EXIT_SECONDS)).max(LEAST_READING)
    }
}

/// What a run finds in its pod.
#[derive(Debug)]
pub(crate) struct Pod {
    /// Folder with the mounted Secrets.
    pub(crate) secrets: PathBuf,
    /// Folder with the mounted ConfigMaps.
    pub(crate) config_maps: PathBuf,
    /// File that the kubelet reads the termination message from.
    pub(crate) outcome: PathBuf,
    /// When the process started.
    pub(crate) started: Instant,
}

impl Pod {
    /// The pod whose file system begins at `root`.
    pub(crate) fn below(root: &Path, started: Instant) -> Self {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        Self {
            secrets: at(SECRETS_FOLDER),
            config_maps: at(CONFIG_MAPS_FOLDER),
            outcome: at(TERMINATION_LOG),
            started,
        }
    }
}

/// Runs the Job's process; the exit code. `started` is when the process did.
pub(crate) fn run(args: &JobArgs, started: Instant) -> u8 {
    let pod = Pod::below(&args.root, started);
    let log = logging::start_for_job();
    report_panics(&pod);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(&pod, &Err(JobError::Output(error))),
    };
    let result = runtime.block_on(async {
        let stop = told_to_stop();
        let given = Given::from(|name| std::env::var(name).ok())?;
        let policy = given.policy().await?;
        let envelope = measure(&given, &policy, &pod, stop).await;
        deliver(&given.nonce, envelope, &log, &mut std::io::stdout().lock())
    });
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    finish(&pod, &result)
}

/// Reads until everything is read, the time is over, or `stop` says so.
pub(crate) async fn measure(
    given: &Given,
    policy: &AddressPolicy,
    pod: &Pod,
    stop: impl Future<Output = ()>,
) -> Envelope {
    let request = &given.request;
    let wanted: Vec<&KeyRef> = request.keys().into_iter().chain(request.optional_keys()).collect();
    let keys = Keys::from_folders(&pod.secrets, &pod.config_maps, &wanted);
    tracing::info!(run = request.run, "collecting");
    let now = Timestamp::now();
    let limit = TimeLimit::at(pod.started + given.reading());
    let means = Means { keys: &keys, policy, limit: &limit, progress: &NoProgress };
    let collected = collect(request, means, now);
    tokio::pin!(collected);
    let record = tokio::select! {
        record = &mut collected => record,
        () = stop => {
            tracing::warn!("told to stop before everything was read");
            // What is read stays, and what is not is said to have timed out.
            limit.stop();
            let mut record = collected.await;
            say_stopped(&mut record, pod.started.elapsed());
            record
        }
    };
    for source in &record.sources {
        let reason = source.reason.map(|reason| format!("{reason:?}"));
        tracing::info!(source = source.name, state = ?source.state, reason, message = source.message);
    }
    Envelope {
        uid: request.uid.clone(),
        run_key: request.run_key.clone(),
        job_uid: given.job_uid.clone(),
        record,
    }
}

/// Closes the log and writes the frame, which stays the last of the output.
pub(crate) fn deliver<W: Write>(
    nonce: &str,
    envelope: Envelope,
    log: &Bounded<W>,
    out: &mut dyn Write,
) -> Result<BaselineRecord, JobError> {
    let frame = frame::encode(nonce, &envelope)?;
    tracing::info!(complete = envelope.record.complete, bytes = frame.len(), "delivering the record");
    log.close();
    out.write_all(frame.as_bytes())?;
    out.flush()?;
    Ok(envelope.record)
}

/// Leaves the termination message; the exit code.
pub(crate) fn finish(pod: &Pod, result: &Result<BaselineRecord, JobError>) -> u8 {
    match result {
        Ok(record) => {
            say(&pod.outcome, &outcome(record));
            exit_code(record)
        }
        Err(error) => {
            // Nothing of it may follow a frame that was written in part; the log is closed then.
            tracing::error!(%error, "no record was delivered");
            say(&pod.outcome, &error.to_string());
            error.exit_code()
        }
    }
}

/// Listens for SIGTERM and SIGINT from now on; the future ends at the first.
fn told_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        match signals {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            // Then a signal ends the process as it does any other.
            _ => std::future::pending().await,
        }
    }
}

/// Says why sources timed out: not for their own slowness.
fn say_stopped(record: &mut BaselineRecord, after: Duration) {
    for source in &mut record.sources {
        if source.state != SourceState::Collected && source.reason == Some(SourceReason::Timeout) {
            source.message = Some(format!(
                "the run was told to stop after {} s, before it had read everything: its pod was deleted, evicted or \
                 at its deadline; raise activeDeadlineSeconds if it was the deadline",
                after.as_secs()
            ));
        }
    }
}

/// The exit code that a record stands for.
fn exit_code(record: &BaselineRecord) -> u8 {
    let is_missing = |reason| matches!(reason, Some(SourceReason::SecretMissing | SourceReason::KeyMissing));
    code(if record.complete {
        EXIT_COMPLETE
    } else if record.sources.iter().any(|source| is_missing(source.reason)) {
        EXIT_BAD_INPUT
    } else {
        EXIT_INCOMPLETE
    })
}

fn code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(EXIT_UNDELIVERED)
}

/// One line for `kubectl describe pod`.
fn outcome(record: &BaselineRecord) -> String {
    let sources = record.sources.iter().map(|source| match (source.reason, &source.message) {
        (Some(reason), Some(message)) => {
            format!("{} {:?} ({reason:?}): {message}", source.name, source.state)
        }
        _ => format!("{} {:?}", source.name, source.state),
    });
    let verdict = if record.complete { "complete" } else { "incomplete" };
    format!("{verdict}: {}", sources.collect::<Vec<_>>().join("; "))
}

/// Writes the termination message in one line; a Job without one is still a run.
fn say(place: &Path, text: &str) {
    let line: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MAX_OUTCOME)
        .collect();
    // The kubelet makes the file; where there is none this is no pod. If writing fails there is nobody left to tell.
    let opened = std::fs::OpenOptions::new().write(true).truncate(true).open(place);
    let _ = opened.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// A panic is a defect: its place is told, its message is not, since it may quote what was read.
fn report_panics(pod: &Pod) {
    let place = pod.outcome.clone();
    std::panic::set_hook(Box::new(move |info| {
        let at = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(at, "a defect of plimsoll ended the run");
        say(&place, &format!("a defect of plimsoll at {at} ended the run; please report it"));
    }));
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
