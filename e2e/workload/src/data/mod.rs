//! The database and the cache behind the service, where it is told of them.
//!
//! A query asks the cache first where its answer may be kept, then the database, and keeps the answer for the next time.
//! What is measured as a database query is the time of the real one.

mod cache;
mod database;
mod optimizations;
mod queries;
mod settings;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use optimizations::Optimizations;
pub use queries::{Ask, FARMERS, Kept, ask};
pub use settings::{Database, Redis, Settings};

use cache::Cache;
use database::Pool;

/// How often the service looks whether the materialised view is there, and whether it is due for a refresh.
const LOOK: Duration = Duration::from_secs(5);
/// First and longest wait between two attempts to reach the database at the start.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// Why the database, or the cache, did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The certificate authority cannot be read.
    #[error("the certificate authority in {path} cannot be used: {why}; give PEM in --ca-file")]
    Authority {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No connection.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Host and port.
        server: String,
        /// What the network says.
        source: std::io::Error,
    },
    /// The database refused, or broke off.
    #[error("PostgreSQL: {}", said(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The cache refused, or broke off.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// No answer in time.
    #[error("{0} gave no answer within {1:?}")]
    Timeout(&'static str, Duration),
}

/// The server's own words, which the client's error leaves out.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(server) => format!("{} ({})", server.message(), server.code().code()),
        None => error.to_string(),
    }
}

/// The database and the cache of a running service.
#[derive(Debug)]
pub struct Data {
    pool: Pool,
    cache: Option<Cache>,
    optimizations: Optimizations,
    view: AtomicBool,
    prepared: AtomicBool,
}

impl Data {
    /// Knows where both are; contacts neither.
    ///
    /// # Errors
    /// [`DataError::Authority`].
    pub fn new(settings: Settings) -> Result<Self, DataError> {
        let tls = settings.ca_file.as_deref().map(tls::config).transpose()?;
        let cache = settings.redis.filter(|_| settings.optimizations.cache);
        Ok(Self {
            pool: Pool::new(settings.database, tls.clone()),
            cache: cache.map(|redis| Cache::new(redis, tls)),
            optimizations: settings.optimizations,
            view: AtomicBool::new(false),
            prepared: AtomicBool::new(false),
        })
    }

    /// Whether the database has been reached and holds what the service needs.
    #[must_use]
    pub fn prepared(&self) -> bool {
        self.prepared.load(Ordering::Relaxed)
    }

    /// Reaches the database, applies the optimisations where `owner` says that this service looks after them, and then
    /// keeps an eye on the materialised view. Does not end.
    pub async fn look_after(&self, owner: bool) {
        let mut wait = RETRY[0];
        while let Err(error) = self.prepare(owner).await {
            tracing::warn!("not ready: {error}; tried again in {wait:?}");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY[1]);
        }
        self.prepared.store(true, Ordering::Relaxed);
        tracing::info!(optimizations = %self.optimizations, "the database is ready");
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look(owner).await {
                tracing::warn!("the materialised view could not be looked after: {error}");
            }
        }
    }

    async fn prepare(&self, owner: bool) -> Result<(), DataError> {
        if owner && self.pool.apply(self.optimizations).await? {
            tracing::info!(optimizations = %self.optimizations, "indexes and materialised view changed");
        }
        self.look(false).await
    }

    async fn look(&self, owner: bool) -> Result<(), DataError> {
        // A new pod of the database begins with empty hands.
        if owner && self.pool.is_new().await? {
            self.pool.apply(self.optimizations).await?;
        }
        let view = self.pool.has_view().await?;
        self.view.store(view, Ordering::Relaxed);
        if owner && view {
            self.pool.refresh_view_when_due().await?;
        }
        Ok(())
    }

    /// Gets what the query of this name asks for, and tells `queried` how long the database took where it was asked.
    ///
    /// `choice` is any number; it decides which farmer, session or day is asked about.
    ///
    /// # Errors
    /// The database did not answer. A cache that does not is passed over.
    pub async fn get(
        &self,
        name: &str,
        choice: u64,
        queried: impl FnOnce(Duration) + Send,
    ) -> Result<(), DataError> {
        let ask = ask(name, choice, self.view.load(Ordering::Relaxed));
        let cached = self.cache.as_ref().zip(ask.kept.as_ref());
        if let Some((cache, kept)) = cached.filter(|(_, kept)| !kept.renew)
            && cache.get(&kept.key).await.is_some()
        {
            return Ok(());
        }
        let (answer, took) = self.pool.query(ask.sql, &ask.parameters).await?;
        queried(took);
        if let Some((cache, kept)) = cached {
            cache.set(&kept.key, &answer, kept.seconds).await;
        }
        Ok(())
    }
}
