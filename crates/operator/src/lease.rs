//! One operator at a time. A lease does not fence: two that overlap for a moment are harmless, because every write is
//! repeatable and every child has a name that follows from its run.

use std::time::{Duration, Instant};

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio_util::sync::CancellationToken;

/// How long a lease is valid after its last renewal, seconds.
const DURATION: u64 = 30;
/// How long before its end it is renewed, seconds.
const GRACE: u64 = 10;

/// How long giving it back may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// Why this process no longer leads, or never did.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease could not be reached for longer than it is valid.
    #[error("the Lease {name} could not be renewed for {DURATION} s: {source}")]
    Unreachable {
        /// Name of the Lease.
        name: String,
        /// The last answer.
        source: kube_lease_manager::LeaseManagerError,
    },
    /// Another process took it.
    #[error("another process holds the Lease {name} now")]
    Taken {
        /// Name of the Lease.
        name: String,
    },
}

/// A lease and who asks for it.
pub struct Lease {
    manager: LeaseManager,
    name: String,
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
        let manager = LeaseManagerBuilder::new(client, name)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .with_field_manager("plimsoll-lease")
            .build()
            .await?;
        Ok(Self { manager, name: name.to_owned() })
    }

    /// Waits until this process leads; `false` where it is told to stop first.
    ///
    /// # Errors
    /// [`LeaseError::Unreachable`].
    pub async fn acquire(&self, stop: &CancellationToken) -> Result<bool, LeaseError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                led = self.changed() => if led? { return Ok(true) },
            }
        }
    }

    /// Keeps the lease until this process is told to stop.
    ///
    /// # Errors
    /// [`LeaseError`] where it is lost; the process must end, since another may lead.
    pub async fn hold(&self, stop: &CancellationToken) -> Result<(), LeaseError> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                led = self.changed() => if !led? { return Err(LeaseError::Taken { name: self.name.clone() }) },
            }
        }
    }

    /// Gives the lease back, where this process holds it, so that the next one need not wait until it expires.
    pub async fn release(&self) {
        match tokio::time::timeout(RELEASE_WITHIN, self.manager.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease could not be given back; it expires by itself");
            }
            Err(_) => tracing::warn!("the Lease could not be given back in time; it expires by itself"),
        }
    }

    /// The next change, with errors tolerated for as long as the lease is valid.
    async fn changed(&self) -> Result<bool, LeaseError> {
        let start = Instant::now();
        loop {
            match self.manager.changed().await {
                Ok(led) => return Ok(led),
                Err(source) if start.elapsed() >= Duration::from_secs(DURATION) => {
                    return Err(LeaseError::Unreachable { name: self.name.clone(), source });
                }
                Err(error) => {
                    tracing::warn!(%error, lease = self.name, "the Lease could not be read or renewed");
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
        }
    }
}
