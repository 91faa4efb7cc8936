//! The cache: one connection for all requests, opened again when it breaks. It is never needed: what it cannot give, the
//! database gives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{DataError, Redis, tls};

/// Longest time to connect, and of one command.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a failure, how long the cache is passed over, so that a page does not wait for it each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The cache of a service.
#[derive(Debug)]
pub(super) struct Cache {
    redis: Redis,
    tls: Option<Arc<ClientConfig>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Connection>,
    failed: Option<Instant>,
}

#[derive(Clone)]
struct Connection(MultiplexedConnection);

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connection")
    }
}

impl Cache {
    pub(super) fn new(redis: Redis, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { redis, tls, state: Mutex::default() }
    }

    /// The value of a key, or nothing: it is not there, or the cache is not.
    pub(super) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut connection = self.connection().await?;
        let mut get = redis::cmd("GET");
        let answer = get.arg(key).query_async::<Option<Vec<u8>>>(&mut connection).await;
        match answer {
            Ok(value) => value,
            Err(error) => {
                self.failed(&error.into()).await;
                None
            }
        }
    }

    /// Keeps a value for `seconds`, where the cache is there.
    pub(super) async fn set(&self, key: &str, value: &str, seconds: u64) {
        let Some(mut connection) = self.connection().await else { return };
        let mut set = redis::cmd("SET");
        if let Err(error) = set.arg(key).arg(value).arg("EX").arg(seconds).exec_async(&mut connection).await {
            self.failed(&error.into()).await;
        }
    }

    async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Some(connection.0.clone());
        }
        if state.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        let opened = tokio::time::timeout(PATIENCE, self.open()).await;
        match opened.unwrap_or(Err(DataError::Timeout("Redis", PATIENCE))) {
            Ok(connection) => {
                *state = State { connection: Some(Connection(connection.clone())), failed: None };
                Some(connection)
            }
            Err(error) => {
                tracing::warn!("the cache is passed over: {error}");
                state.failed = Some(Instant::now());
                None
            }
        }
    }

    async fn failed(&self, error: &DataError) {
        tracing::warn!("the cache is passed over: {error}");
        *self.state.lock().await = State { connection: None, failed: Some(Instant::now()) };
    }

    async fn open(&self) -> Result<MultiplexedConnection, DataError> {
        let server = format!("{}:{}", self.redis.host, self.redis.port);
        let failed = |source| DataError::Connect { server: server.clone(), source };
        let stream = TcpStream::connect((self.redis.host.as_str(), self.redis.port)).await.map_err(failed)?;
        let _ = stream.set_nodelay(true);
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &self.redis.user {
            info = info.set_username(user);
        }
        if let Some(password) = &self.redis.password {
            info = info.set_password(password);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        match &self.tls {
            Some(tls) => {
                let stream =
                    tls::encrypt(Arc::clone(tls), self.redis.host.clone(), stream).await.map_err(failed)?;
                drive(MultiplexedConnection::new_with_config(&info, stream, config).await?)
            }
            None => drive(MultiplexedConnection::new_with_config(&info, stream, config).await?),
        }
    }
}

/// Runs the connection's other half in the background, until the connection is dropped.
fn drive(
    (connection, driver): (MultiplexedConnection, impl Future<Output = ()> + Send + 'static),
) -> Result<MultiplexedConnection, DataError> {
    tokio::spawn(driver);
    Ok(connection)
}
