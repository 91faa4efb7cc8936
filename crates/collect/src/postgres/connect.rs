//! Opens the one connection: resolve and check the address, TCP, TLS, then the start of a session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::{BaselineRequest, PostgresRequest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::address::{Address, address};
use super::error::of_connection;
use super::tls::{Tls, tls};
use super::watch::{Seen, Watched};
use crate::Means;
use crate::failure::{Failure, cleaned};
use crate::guard::{AddressPolicy, ResolveError, resolve};
use crate::limit::TimeLimit;

/// Longest for one address to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest for name, TCP, TLS and the start of a session together.
const OPEN: Duration = Duration::from_secs(15);
/// Most bytes that are taken of the server in one run; the most statements and texts that are asked for are 5 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Asks for TLS: length 8, code 80877103 (PostgreSQL manual, 55.7).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// What every statement of the session runs under, from its first moment: before a login trigger runs. A pooler may
/// refuse it; each statement sets the same again in its own transaction.
const OPTIONS: &str = "-c search_path=pg_catalog,pg_temp -c default_transaction_read_only=on -c statement_timeout=5000 \
                       -c lock_timeout=150 -c idle_in_transaction_session_timeout=10000 -c client_min_messages=error";

/// A stream of bytes, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How to reach the server: for the session, and for the request to cancel its statement.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) address: Address,
    tls: Option<Tls>,
    policy: AddressPolicy,
}

/// A session that has begun.
pub(crate) struct Opened {
    pub(crate) client: Client,
    /// Moves bytes until client or server end the session.
    pub(crate) driver: JoinHandle<()>,
    pub(crate) seen: Arc<Seen>,
    /// The address that was checked and connected to.
    pub(crate) peer: SocketAddr,
}

impl Route {
    /// What a request says, without contacting anything.
    pub(crate) fn new(
        request: &BaselineRequest,
        source: &PostgresRequest,
        means: Means<'_>,
    ) -> Result<Self, Failure> {
        let policy = means.policy.and(&request.forbidden_addresses).map_err(|error| {
            Failure::of_source(SourceReason::Unreachable, format!("forbidden_addresses: {error}"))
        })?;
        let address = address(&source.access, means.keys)?;
        let tls = tls(source, &address.host, means.keys)?;
        Ok(Self { address, tls, policy })
    }

    /// Opens the session.
    pub(crate) async fn open(&self, limit: &TimeLimit) -> Result<Opened, Failure> {
        let opened = limit.within(OPEN, async {
            match self.start(Some(OPTIONS)).await {
                Err(Unopened { is_options: true, .. }) => self.start(None).await,
                opened => opened,
            }
        });
        match opened.await {
            Ok(opened) => opened.map_err(|unopened| unopened.failure),
            Err(late) => Err(Failure::of_source(SourceReason::Timeout, format!("{}: {late}", self.address))),
        }
    }

    async fn start(&self, options: Option<&str>) -> Result<Opened, Unopened> {
        let tcp = self.tcp().await?;
        let peer = tcp.peer_addr().map_err(|error| self.lost(&error))?;
        let stream = Watched::new(self.encrypted(tcp).await?, MAX_BYTES);
        let seen = stream.seen();
        let mut config = Config::new();
        config
            .user(self.address.user.as_str())
            .dbname(self.address.database.as_str())
            .application_name("plimsoll")
            // TLS is ours: the stream is encrypted already.
            .ssl_mode(SslMode::Disable)
            .channel_binding(ChannelBinding::Disable);
        if let Some(password) = &self.address.password {
            config.password(password);
        }
        if let Some(options) = options {
            config.options(options);
        }
        let (client, mut connection) = config.connect_raw(stream, NoTls).await.map_err(|error| {
            let state = error.code().map(|code| code.code().to_owned()).or_else(|| seen.state());
            // pgbouncer: 08P01, RDS Proxy: 0A000.
            let is_options = options.is_some() && matches!(state.as_deref(), Some("08P01" | "0A000"));
            let mut failure = of_connection(&error, &seen);
            failure.stops = true;
            Unopened { failure: failure.reading(&self.address.to_string()), is_options }
        })?;
        // Driven by hand: notices are the server's text, and the client would log them.
        let driver = tokio::spawn(async move {
            while let Some(Ok(_)) = std::future::poll_fn(|context| connection.poll_message(context)).await {}
        });
        Ok(Opened { client, driver, seen, peer })
    }

    /// Another stream to where the session is.
    pub(crate) async fn again(&self, peer: SocketAddr) -> Result<Box<dyn Stream>, Failure> {
        let tcp = TcpStream::connect(peer).await.map_err(|error| self.lost(&error))?;
        self.encrypted(tcp).await
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let message = format!("{}: the connection was lost before TLS ({})", self.address, error.kind());
        Failure::of_source(SourceReason::Unreachable, message)
    }

    /// A stream encrypted as the request says.
    async fn encrypted(&self, mut tcp: TcpStream) -> Result<Box<dyn Stream>, Failure> {
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let broken = |error: io::Error| self.lost(&error);
        tcp.write_all(&SSL_REQUEST).await.map_err(broken)?;
        // Exactly one byte: whatever came behind it in clear must not be taken for what TLS carries.
        match tcp.read_u8().await.map_err(broken)? {
            b'S' => {}
            b'N' if !tls.is_required => return Ok(Box::new(tcp)),
            b'N' => {
                let message = format!(
                    "{}: the server offers no TLS; turn ssl on there, or set sources.postgres.sslMode: Disable",
                    self.address
                );
                return Err(Failure::of_source(SourceReason::TLSFailed, message));
            }
            _ => {
                let message =
                    format!("{}: the answer is not PostgreSQL's protocol; check host and port", self.address);
                return Err(Failure::of_source(SourceReason::BadAnswer, message));
            }
        }
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.config));
        match connector.connect(tls.name.clone(), tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                let message = format!(
                    "{}: TLS failed: {}; check sources.postgres.tls (ca, serverName) and the server's certificate",
                    self.address,
                    cleaned(&error.to_string(), 300)
                );
                Err(Failure::of_source(SourceReason::TLSFailed, message))
            }
        }
    }

    async fn tcp(&self) -> Result<TcpStream, Failure> {
        let Address { host, port, .. } = &self.address;
        let addresses = resolve(host, *port, &self.policy).await.map_err(|error| {
            let message = match error {
                ResolveError::Unknown { host, .. } => {
                    format!("the name {host} cannot be resolved; check the host in the spec or the URI, and the namespace's DNS")
                }
                ResolveError::Forbidden(forbidden) => forbidden.to_string(),
            };
            Failure::of_source(SourceReason::Unreachable, message)
        })?;
        let mut why = "it has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small messages to and fro: nothing is won by waiting for more.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => why = error.kind().to_string(),
                Err(_) => why = format!("no answer within {} s", CONNECT.as_secs()),
            }
        }
        let message = format!(
            "{}: no connection ({why}); check that the server runs, listens there, and that network policies allow it",
            self.address
        );
        Err(Failure::of_source(SourceReason::Unreachable, message))
    }
}

/// Why no session began.
struct Unopened {
    failure: Failure,
    /// Whether it may be for the startup options, which some poolers refuse.
    is_options: bool,
}

impl From<Failure> for Unopened {
    fn from(failure: Failure) -> Self {
        Self { failure, is_options: false }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::address::parse_uri;
    use super::*;

    #[tokio::test]
    async fn a_job_contacts_no_loopback_address_however_it_is_written() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let limit = TimeLimit::at(Instant::now() + Duration::from_secs(10));
        for host in
            ["127.0.0.1", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
        {
            let address = parse_uri(&format!("postgres://a:b@{host}:{port}/c")).unwrap();
            let route = Route { address, tls: None, policy: AddressPolicy::job(&[]).unwrap() };
            let failure = route.open(&limit).await.err().unwrap();
            assert_eq!(failure.reason, SourceReason::Unreachable, "{host}: {failure}");
            assert!(failure.message.contains("may not contact"), "{host}: {failure}");
        }
        let contacted = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(contacted.is_err(), "nobody came");
    }
}
