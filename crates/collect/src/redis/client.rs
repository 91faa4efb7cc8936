//! One connection to a server: commands of the fixed set, each exchange within its time and its bytes.

use std::time::Duration;

use futures::future::try_join_all;
use plimsoll_analysis::record::{Cost, SourceReason};
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::command::Command;
use super::fault::Fault;
use super::wire::{Watch, Watched};
use crate::failure::Failure;
use crate::limit::TimeLimit;

/// Longest that one exchange may take.
const EXCHANGE: Duration = Duration::from_secs(10);

/// What a server answered to one command.
pub(crate) type Reply = Result<Value, Fault>;

/// What reading has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    commands: u64,
    bytes: u64,
    server: Duration,
}

impl Spent {
    /// Both together: a Sentinel's and its master's.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            bytes: self.bytes + other.bytes,
            server: self.server + other.server,
        }
    }

    /// As a record says it.
    pub(crate) fn cost(self) -> Cost {
        Cost {
            commands: Some(self.commands),
            bytes: Some(self.bytes),
            server_time_us: Some(u64::try_from(self.server.as_micros()).unwrap_or(u64::MAX)),
            ..Cost::default()
        }
    }
}

/// A connection. Its driver ends with it.
pub(crate) struct Client {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    watch: Watch,
    limit: TimeLimit,
    shown: String,
    spent: Spent,
    /// Shortest time that an exchange waited for its answer: the way there and back.
    way: Option<Duration>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Speaks over a stream that is connected. Nothing is sent yet.
    pub(crate) async fn over<S>(stream: S, limit: &TimeLimit, shown: String) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, watch) = Watched::new(stream);
        // RESP2, no user, no SELECT and no CLIENT SETINFO: the crate sends nothing that is not of our set.
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (connection, driver) = made.map_err(|_| {
            Failure::of_source(SourceReason::Unreachable, format!("{shown} could not be spoken to"))
        })?;
        let driver = tokio::spawn(driver);
        let (limit, spent) = (limit.clone(), Spent::default());
        Ok(Self { connection, driver, watch, limit, shown, spent, way: None })
    }

    /// The server in messages.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Until when may be read.
    pub(crate) fn limit(&self) -> &TimeLimit {
        &self.limit
    }

    /// What reading has cost so far.
    pub(crate) fn spent(&self) -> Spent {
        Spent { bytes: self.watch.received(), ..self.spent }
    }

    /// Sends one command. An error of the server is a failure.
    pub(crate) async fn ask(&mut self, command: Command<'_>) -> Result<Value, Failure> {
        let reply = self.send(&[command]).await?.pop().unwrap_or(Err(Fault::Other));
        reply.map_err(|fault| fault.failure(command.name(), &self.shown))
    }

    /// Sends commands at once; one reply each, in their order. A failure is one of the connection.
    pub(crate) async fn send(&mut self, commands: &[Command<'_>]) -> Result<Vec<Reply>, Failure> {
        self.send_all(&[commands]).await
    }

    /// Sends pipelines one behind the other, without waiting for the answers to one before the next is sent: the server
    /// works on one while another is packed or its answers are read. One reply to each command, in their order.
    pub(crate) async fn send_all<'c>(
        &mut self,
        pipelines: &[impl AsRef<[Command<'c>]>],
    ) -> Result<Vec<Reply>, Failure> {
        let commands = pipelines.iter().map(|commands| commands.as_ref().len()).sum::<usize>();
        self.spent.commands += commands as u64;
        self.watch.begin();
        let exchanges = pipelines.iter().enumerate().map(|(place, commands)| {
            let mut connection = self.connection.clone();
            async move {
                // The connection's task sends what is packed before the next one is.
                for _ in 0..place {
                    tokio::task::yield_now().await;
                }
                let commands = commands.as_ref();
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.encode());
                }
                connection.req_packed_commands(&pipeline, 0, commands.len()).await
            }
        });
        let answered = self.limit.within(EXCHANGE, try_join_all(exchanges)).await;
        let first = pipelines.first().and_then(|commands| commands.as_ref().first());
        let what = first.map_or("", Command::name);
        let values = match answered {
            Err(late) => {
                let message = format!(
                    "{} gave no answer to {what} ({late}); look at its load, and at slow commands with SLOWLOG GET",
                    self.shown
                );
                return Err(Failure::of_source(SourceReason::Timeout, message));
            }
            Ok(Err(error)) => return Err(self.broken(&error, what)),
            Ok(Ok(values)) => values,
        };
        self.account(pipelines.len());
        if values.iter().map(Vec::len).sum::<usize>() != commands {
            let message = format!("{} gave another number of answers than questions", self.shown);
            return Err(Failure::of_source(SourceReason::BadAnswer, message));
        }
        Ok(values.into_iter().flatten().map(reply).collect())
    }

    /// An upper bound of the time that the server spent on the last pipeline, the first of those sent at once: what it
    /// took until the first byte came back, less the shortest that any exchange took.
    pub(crate) fn server_time(&self) -> Duration {
        let waited = self.watch.waited().unwrap_or_default();
        waited.saturating_sub(self.way.unwrap_or_default())
    }

    fn account(&mut self, pipelines: usize) {
        if let Some(waited) = self.watch.waited() {
            self.way = Some(self.way.map_or(waited, |way| way.min(waited)));
        }
        self.spent.server += self.server_time().saturating_mul(u32::try_from(pipelines).unwrap_or(u32::MAX));
    }

    /// A connection that broke, by what was seen on it.
    fn broken(&self, error: &redis::RedisError, what: &str) -> Failure {
        if let Some(violation) = self.watch.violation() {
            return self.not_redis().unwrap_or_else(|| {
                let message = format!(
                    "{} sent {violation} in answer to {what}; check that it is a Redis or Valkey, and what stands between it and us",
                    self.shown
                );
                Failure::of_source(SourceReason::BadAnswer, message)
            });
        }
        if let Some(fault) = refusal(&self.watch.opening()) {
            return Failure { stops: true, ..fault.failure(what, &self.shown) };
        }
        if error.kind() == redis::ErrorKind::Parse {
            let message = format!("{} sent an answer to {what} that is not of Redis", self.shown);
            return Failure::of_source(SourceReason::BadAnswer, message);
        }
        let why = if self.watch.received() == 0 {
            "closed the connection without an answer; check that the port is a Redis' own, and whether it wants TLS (rediss:// or tls)"
        } else {
            "closed the connection while it was read; look at its log: it may have restarted, failed over, or ended our connection"
        };
        Failure::of_source(SourceReason::Unreachable, format!("{} {why}", self.shown))
    }

    /// What else than Redis began to speak.
    fn not_redis(&self) -> Option<Failure> {
        let opening = self.watch.opening();
        let what = if opening.starts_with(b"HTTP/") {
            "speaks HTTP"
        } else if opening.starts_with(&[0x15, 0x03]) {
            "speaks TLS: write rediss:// or set tls"
        } else if !matches!(opening.first(), Some(b'+' | b'-' | b':' | b'$' | b'*')) {
            "speaks another protocol"
        } else {
            return None;
        };
        let message = format!("{} is no Redis on this port: it {what}; check host and port", self.shown);
        let reason = if opening.starts_with(&[0x15, 0x03]) {
            SourceReason::TLSFailed
        } else {
            SourceReason::BadAnswer
        };
        Some(Failure::of_source(reason, message))
    }
}

/// An error with which a server greets and closes at once: too many clients, or protected mode.
fn refusal(opening: &[u8]) -> Option<Fault> {
    let line = opening.strip_prefix(b"-")?;
    let line = line.split(|byte| *byte == b'\r').next()?;
    match Fault::of_line(&String::from_utf8_lossy(line)) {
        fault @ (Fault::TooManyClients | Fault::ProtectedMode) => Some(fault),
        _ => None,
    }
}

fn reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(Fault::of(&error)),
        value => Ok(value),
    }
}
