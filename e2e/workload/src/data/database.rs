//! The database: a few connections that requests share, and the objects that make it fast.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls};

use super::{DataError, Database, Optimizations, tls};

/// Connections at once.
const CONNECTIONS: usize = 4;
/// Longest time to connect, and of one query, which the server itself ends after [`STATEMENT_TIMEOUT`].
const PATIENCE: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: &str = "5s";
/// Longest time of a change to the indexes, which may wait for another pod's.
const CHANGE_PATIENCE: Duration = Duration::from_secs(120);

/// Any number that no other program of this database locks: the first day of the plan that these tables come from.
const LOCK: &str = "SELECT pg_advisory_xact_lock(741)";
const STATE: &str = "CREATE TABLE IF NOT EXISTS workload_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), optimizations text NOT NULL, refreshed timestamptz NOT NULL)";
const CREATE_INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS idx_dairy_collection_farmer_date_shift ON dairy_collection(farmer_id, date, shift);
    CREATE INDEX IF NOT EXISTS idx_dairy_payment_farmer_period ON dairy_payment(farmer_id, period_start, period_end);
    CREATE INDEX IF NOT EXISTS idx_dairy_collection_date_center ON dairy_collection(date, collection_center_id)
        INCLUDE (quantity, fat, snf, amount);";
const DROP_INDEXES: &str = "
    DROP INDEX IF EXISTS idx_dairy_collection_farmer_date_shift;
    DROP INDEX IF EXISTS idx_dairy_payment_farmer_period;
    DROP INDEX IF EXISTS idx_dairy_collection_date_center;";
const CREATE_VIEW: &str = "
    CREATE MATERIALIZED VIEW IF NOT EXISTS mv_daily_collection_summary AS
        SELECT date, collection_center_id, shift, COUNT(*) AS collections, SUM(quantity) AS total_quantity,
            AVG(fat) AS avg_fat, AVG(snf) AS avg_snf, SUM(amount) AS total_amount
        FROM dairy_collection GROUP BY date, collection_center_id, shift;
    CREATE UNIQUE INDEX IF NOT EXISTS mv_daily_collection_summary_key
        ON mv_daily_collection_summary(date, collection_center_id, shift);
    COMMENT ON MATERIALIZED VIEW mv_daily_collection_summary IS
        'Refresh: REFRESH MATERIALIZED VIEW CONCURRENTLY mv_daily_collection_summary; Schedule: Every 15 minutes during collection hours';";
const DROP_VIEW: &str = "DROP MATERIALIZED VIEW IF EXISTS mv_daily_collection_summary;";
const ANALYZE: &str = "ANALYZE dairy_collection; ANALYZE dairy_payment; ANALYZE dairy_farmer; ANALYZE account_move; ANALYZE account_move_line;";
/// Of all pods only one finds the row this old, and refreshes.
const REFRESH_DUE: &str = "UPDATE workload_state SET refreshed = now() \
    WHERE refreshed < now() - interval '15 minutes' RETURNING optimizations";
const REFRESH: &str = "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_daily_collection_summary";

/// Connections to a database.
#[derive(Debug)]
pub(super) struct Pool {
    database: Database,
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<Client>>,
    places: Semaphore,
}

impl Pool {
    pub(super) fn new(database: Database, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { database, tls, idle: Mutex::default(), places: Semaphore::new(CONNECTIONS) }
    }

    /// The text that a statement gives, empty for none, and how long the database took for it: waiting for a connection is
    /// no part of that.
    pub(super) async fn query(&self, sql: &str, parameters: &[i32]) -> Result<(String, Duration), DataError> {
        let typed: Vec<_> =
            parameters.iter().map(|value| (value as &(dyn ToSql + Sync), Type::INT4)).collect();
        self.with(PATIENCE, async |client| {
            let begun = Instant::now();
            let row = client.query_typed_opt(sql, &typed).await?;
            let took = begun.elapsed();
            let text = row.map(|row| row.try_get::<_, Option<String>>(0)).transpose()?;
            Ok((text.flatten().unwrap_or_default(), took))
        })
        .await
    }

    /// Makes the indexes and the view what `wanted` says, unless that was done before: what somebody else changes
    /// afterwards stays. True if something was done.
    pub(super) async fn apply(&self, wanted: Optimizations) -> Result<bool, DataError> {
        let wanted_text = wanted.of_database();
        let changes = [
            if wanted.index { CREATE_INDEXES } else { DROP_INDEXES },
            if wanted.view { CREATE_VIEW } else { DROP_VIEW },
            ANALYZE,
        ]
        .concat();
        self.with(CHANGE_PATIENCE, async |client| {
            client.batch_execute(&format!("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; {LOCK}; {STATE}")).await?;
            let applied = client.query_typed_opt("SELECT optimizations FROM workload_state", &[]).await?;
            let applied = applied.map(|row| row.try_get::<_, String>(0)).transpose()?;
            let due = applied.as_deref() != Some(&wanted_text);
            if due {
                client.batch_execute(&changes).await?;
                let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&wanted_text, Type::TEXT)];
                let set = "INSERT INTO workload_state (optimizations, refreshed) VALUES ($1, now()) \
                    ON CONFLICT (one) DO UPDATE SET optimizations = excluded.optimizations, refreshed = now()";
                client.query_typed(set, &parameters).await?;
            }
            client.batch_execute("COMMIT").await?;
            Ok(due)
        })
        .await
    }

    /// Whether no optimisations have been applied to this database yet.
    pub(super) async fn is_new(&self) -> Result<bool, DataError> {
        self.query("SELECT to_regclass('workload_state')::text", &[]).await.map(|(name, _)| name.is_empty())
    }

    /// Whether the materialised view is there, whoever made it.
    pub(super) async fn has_view(&self) -> Result<bool, DataError> {
        let sql = "SELECT to_regclass('mv_daily_collection_summary')::text";
        self.query(sql, &[]).await.map(|(name, _)| !name.is_empty())
    }

    /// Refreshes the view where the last refresh, by any pod, is a quarter of an hour ago.
    pub(super) async fn refresh_view_when_due(&self) -> Result<(), DataError> {
        let due = self.query(REFRESH_DUE, &[]).await.map(|(row, _)| !row.is_empty())?;
        if due {
            self.with(CHANGE_PATIENCE, async |client| client.batch_execute(REFRESH).await).await?;
        }
        Ok(())
    }

    /// Lends a connection. One on which anything failed is closed, with what it had begun.
    async fn with<T>(
        &self,
        patience: Duration,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DataError> {
        let late = |_| DataError::Timeout("PostgreSQL", patience);
        let _place = self.places.acquire().await;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let client = match idle.filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => tokio::time::timeout(patience, self.open()).await.map_err(late)??,
        };
        let done = tokio::time::timeout(patience, work(&client)).await.map_err(late)??;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(done)
    }

    async fn open(&self) -> Result<Client, DataError> {
        let Database { host, port, name, user, password } = &self.database;
        let failed = |source| DataError::Connect { server: format!("{host}:{port}"), source };
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let mut config = tokio_postgres::Config::new();
        config.dbname(name).user(user).password(password).application_name("smart-dairy");
        config.options(format!("-c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout=3s"));
        match &self.tls {
            Some(tls) => {
                config.ssl_mode(SslMode::Require);
                let tls = tls::ForPostgres { config: Arc::clone(tls), host: host.clone() };
                let (client, connection) = config.connect_raw(stream, tls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }
}
