//! A small pool of connections to one target: plain HTTP/1.1, no redirect, nothing sent twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target::Target;

/// Connections kept open while nothing uses them.
const KEEP: usize = 8;

/// Open connections that wait for a request.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    max_age: Duration,
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    opened: Instant,
}

/// Why a request has no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The name did not resolve, or nothing accepted the connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("no whole answer: {0}")]
    Http(#[from] hyper::Error),
    /// Too late.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// The path does not fit a request, which the check of the plan rules out.
    #[error("cannot write the request: {0}")]
    Request(#[from] http::Error),
}

impl ExchangeError {
    /// Its name in the report.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Http(_) => "http",
            Self::Timeout(_) => "timeout",
            Self::Request(_) => "request",
        }
    }
}

impl Pool {
    /// A pool without connections. kube-proxy chooses a pod for each connection and not for each request, so connections
    /// are replaced after `max_age`: else new pods would get no traffic.
    pub(super) fn new(target: Target, max_age: Duration) -> Self {
        Self { target, max_age, idle: Mutex::default() }
    }

    /// Sends one request and reads its answer to the end; gives the status. `sent` becomes true when the request is on its
    /// way. A request is sent again only if the connection had closed before a byte of it was written.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        sent: &AtomicBool,
    ) -> Result<u16, ExchangeError> {
        loop {
            let (mut connection, fresh) = match self.take() {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            sent.store(true, Ordering::Relaxed);
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    let mut body = response.into_body();
                    while let Some(frame) = body.frame().await {
                        frame?;
                    }
                    self.keep(connection);
                    return Ok(status);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => {
                        sent.store(false, Ordering::Relaxed);
                        if fresh {
                            return Err(failed.into_error().into());
                        }
                        request = unsent;
                    }
                    None => return Err(failed.into_error().into()),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Connection, ExchangeError> {
        let address = self.target.resolve().await.map_err(ExchangeError::Connect)?;
        let stream = TcpStream::connect(address).await.map_err(ExchangeError::Connect)?;
        stream.set_nodelay(true).map_err(ExchangeError::Connect)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its error, if any, also reaches the request.
        tokio::spawn(driver);
        Ok(Connection { sender, opened: Instant::now() })
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| {
            connection.opened.elapsed() < self.max_age && !connection.sender.is_closed()
        });
        // The last one in is the likeliest to be open still; one that is not ready yet has its connection's task to wait
        // for, and a new connection is as quick.
        let ready = idle.iter().rposition(|connection| connection.sender.is_ready())?;
        Some(idle.swap_remove(ready))
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEEP && connection.opened.elapsed() < self.max_age {
            idle.push(connection);
        }
    }
}
