//! One operator at a time. A lease does not fence: two that overlap for a moment are harmless, because every write is
//! repeatable and every child has a name that follows from its run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Times of a lease.
#[derive(Debug, Clone, Copy)]
struct Timing {
    /// How long it is valid after its last renewal, seconds.
    duration: u64,
    /// How long before its end it is renewed, seconds.
    grace: u64,
    /// How long to wait after a failure.
    pause: Duration,
}

const TIMING: Timing = Timing { duration: 30, grace: 10, pause: Duration::from_secs(2) };
/// How long the API server may be away while this process only waits for the lease.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one request may take: a connection that hangs must not outlive the lease.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// How long giving it back may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);
/// Most bytes of a field manager's name.
const MAX_MANAGER: usize = 128;

/// Why this process no longer leads, or never did.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease could not be reached for longer than it is valid.
    #[error("the Lease {name} could not be reached for {seconds} s: {why}")]
    Unreachable {
        /// Name of the Lease.
        name: String,
        /// For how long, in seconds.
        seconds: u64,
        /// The last failure.
        why: String,
    },
    /// Another process took it.
    #[error("another process holds the Lease {name} now")]
    Taken {
        /// Name of the Lease.
        name: String,
    },
}

/// When the API server last answered, and when it last took a write: only that renews a lease.
#[derive(Debug, Clone, Copy)]
struct Heard {
    answered: Instant,
    renewed: Instant,
}

/// A lease and who asks for it.
pub struct Lease {
    manager: LeaseManager,
    name: String,
    heard: Arc<Mutex<Heard>>,
    timing: Timing,
}

impl Lease {
    /// Prepares the Lease object.
    ///
    /// # Errors
    /// The API server does not let the Lease be read or made.
    pub async fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
    ) -> Result<Self, kube_lease_manager::LeaseManagerError> {
        Self::with(client, namespace, name, identity, TIMING).await
    }

    async fn with(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        timing: Timing,
    ) -> Result<Self, kube_lease_manager::LeaseManagerError> {
        let now = Instant::now();
        let heard = Arc::new(Mutex::new(Heard { answered: now, renewed: now }));
        // Another name for each process: two that take a free lease at once then conflict.
        let field_manager = format!("plimsoll-lease-{identity}");
        let field_manager = &field_manager[..field_manager.floor_char_boundary(MAX_MANAGER)];
        let manager = LeaseManagerBuilder::new(listening(client, heard.clone()), name)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(timing.duration)
            .with_grace(timing.grace)
            .with_field_manager(field_manager)
            .build()
            .await?;
        Ok(Self { manager, name: name.to_owned(), heard, timing })
    }

    /// Waits until this process leads; `false` where it is told to stop first.
    ///
    /// # Errors
    /// [`LeaseError::Unreachable`] where the API server does not answer for a minute.
    pub async fn acquire(&self, stop: &CancellationToken) -> Result<bool, LeaseError> {
        loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return Ok(false),
                answer = self.manager.changed() => answer,
            };
            match answer {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if self.heard().answered.elapsed() >= PATIENCE => {
                    return Err(self.unreachable(PATIENCE, &error.to_string()));
                }
                Err(error) => self.pause(&error, stop).await,
            }
        }
    }

    /// Keeps the lease until `stop`. It ends with an error as soon as the lease is no longer valid by our own clock,
    /// whether the API server refuses, hangs or is away.
    ///
    /// # Errors
    /// [`LeaseError`] where it is lost; the process must end, since another may lead.
    pub async fn hold(&self, stop: &CancellationToken) -> Result<(), LeaseError> {
        let valid = Duration::from_secs(self.timing.duration);
        let mut why = "no answer".to_owned();
        loop {
            let changed = self.manager.changed();
            tokio::pin!(changed);
            let answer = loop {
                let lapses = self.heard().renewed + valid;
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    answer = &mut changed => break answer,
                    () = sleep_until(lapses) => {}
                }
                if self.heard().renewed.elapsed() >= valid {
                    return Err(self.unreachable(valid, &why));
                }
            };
            match answer {
                Ok(true) => {}
                Ok(false) => return Err(LeaseError::Taken { name: self.name.clone() }),
                Err(error) => {
                    why = error.to_string();
                    self.pause(&error, stop).await;
                }
            }
        }
    }

    /// Gives the lease back, where this process holds it, so that the next one need not wait until it expires.
    pub async fn release(&self) {
        match timeout(RELEASE_WITHIN, self.manager.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease could not be given back; it expires by itself");
            }
            Err(_) => tracing::warn!("the Lease could not be given back in time; it expires by itself"),
        }
    }

    fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self, during: Duration, why: &str) -> LeaseError {
        LeaseError::Unreachable { name: self.name.clone(), seconds: during.as_secs(), why: why.to_owned() }
    }

    async fn pause(&self, error: &kube_lease_manager::LeaseManagerError, stop: &CancellationToken) {
        tracing::warn!(%error, lease = self.name, "the Lease could not be read or renewed");
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(self.timing.pause) => {}
        }
    }
}

/// A client whose requests end, and that notes when one was answered well: the lease manager tells of failures only.
fn listening(client: Client, heard: Arc<Mutex<Heard>>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, heard) = (client.clone(), heard.clone());
        async move {
            let sent = Instant::now();
            let writes = request.method() == Method::PATCH;
            let response = timeout(ANSWER_WITHIN, client.send(request))
                .await
                .map_err(|_| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))?
                .map_err(|error| error.to_string())?;
            if response.status().is_success() {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.answered = sent;
                if writes {
                    heard.renewed = sent;
                }
            }
            Ok::<_, String>(response)
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
