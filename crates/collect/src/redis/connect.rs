//! Connections: to an address that the policy allows and to no other, with TLS where it is asked for, authenticated.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::RedisTls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use super::address::{Address, Credentials};
use super::client::Client;
use super::command::Command;
use super::fault::Fault;
use crate::Means;
use crate::failure::Failure;
use crate::guard::{AddressPolicy, ResolveError, resolve};
use crate::keys::described;
use crate::limit::TimeLimit;
use crate::tls;

/// Longest that one address may take to accept the connection, and to agree on TLS.
const CONNECT: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// How to speak TLS to a server.
#[derive(Clone)]
pub(crate) struct Secured {
    config: Arc<ClientConfig>,
    /// Name to verify the certificate for, where it is not the host.
    name: Option<String>,
}

impl Secured {
    /// TLS as the request wants it; `None` for none.
    pub(crate) fn read(
        tls: Option<&RedisTls>,
        wants_tls: bool,
        means: Means<'_>,
    ) -> Result<Option<Self>, Failure> {
        let tls = match tls {
            Some(tls) => tls.clone(),
            None if wants_tls => RedisTls::default(),
            None => return Ok(None),
        };
        let config = match &tls.ca {
            None => tls::config(None)?,
            Some(ca) => tls::config(Some((&described(ca), means.keys.require(ca)?)))?,
        };
        Ok(Some(Self { config: Arc::new(config), name: tls.server_name }))
    }

    fn name(&self, host: &Host<String>) -> Result<ServerName<'static>, Failure> {
        let name = match (&self.name, host) {
            (Some(name), _) => ServerName::try_from(name.clone()).ok(),
            (None, Host::Domain(name)) => ServerName::try_from(name.clone()).ok(),
            (None, Host::Ipv4(ip)) => Some(ServerName::from(std::net::IpAddr::from(*ip))),
            (None, Host::Ipv6(ip)) => Some(ServerName::from(std::net::IpAddr::from(*ip))),
        };
        name.ok_or_else(|| {
            let message =
                format!("the name to verify the certificate of {host} for is none; set tls.serverName");
            Failure::of_source(SourceReason::TLSFailed, message)
        })
    }
}

/// What a connection needs beside the address.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) policy: &'a AddressPolicy,
    pub(crate) limit: &'a TimeLimit,
    pub(crate) secured: Option<&'a Secured>,
}

/// Connects to an address and authenticates; the connection is named. Warnings are added to `warnings`.
pub(crate) async fn connect(
    address: &Address,
    way: Way<'_>,
    warnings: &mut Vec<String>,
) -> Result<Client, Failure> {
    let shown = address.shown();
    let stream = reach(&address.host, address.port, way, &shown).await?;
    let mut client = match way.secured {
        None => Client::over(stream, way.limit, shown).await?,
        Some(secured) => {
            let name = secured.name(&address.host)?;
            let connecting = TlsConnector::from(Arc::clone(&secured.config)).connect(name, stream);
            let stream = match way.limit.within(CONNECT, connecting).await {
                Err(_) => {
                    return Err(timed_out(
                        &shown,
                        "gave no answer in TLS in time; a Redis without TLS on its port gives none: check the port, or leave tls away",
                    ));
                }
                Ok(Err(error)) => return Err(tls_failure(&error, &shown)),
                Ok(Ok(stream)) => stream,
            };
            Client::over(stream, way.limit, shown).await?
        }
    };
    authenticate(&mut client, address.credentials.as_ref(), warnings).await?;
    Ok(client)
}

async fn authenticate(
    client: &mut Client,
    credentials: Option<&Credentials>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    if let Some(credentials) = credentials {
        let auth = Command::Auth { user: credentials.user.as_deref(), password: &credentials.password };
        match client.send(&[auth]).await?.pop() {
            Some(Err(Fault::NoPasswordSet)) => warnings.push(format!(
                "{} asks for no password and was given one: whoever reaches it may use it",
                client.shown()
            )),
            Some(Err(fault)) => {
                return Err(Failure { stops: true, ..fault.failure(auth.name(), client.shown()) });
            }
            Some(Ok(_)) | None => {}
        }
    }
    // A courtesy to whoever looks at CLIENT LIST; a server that does not allow it is read all the same.
    client.send(&[Command::SetName]).await?;
    Ok(())
}

/// A connection to one of the addresses of a host, all of which the policy must allow.
async fn reach(host: &Host<String>, port: u16, way: Way<'_>, shown: &str) -> Result<TcpStream, Failure> {
    let addresses = match way.limit.within(CONNECT, resolve(host, port, way.policy)).await {
        Err(_) => return Err(timed_out(shown, "could not be resolved in time; check the host")),
        Ok(Err(ResolveError::Unknown { .. })) => {
            return Err(unreachable(format!(
                "the host of {shown} cannot be resolved; check its name, a Service is NAME.NAMESPACE"
            )));
        }
        Ok(Err(error @ ResolveError::Forbidden(_))) => return Err(unreachable(error.to_string())),
        Ok(Ok(addresses)) => addresses,
    };
    let mut failure = unreachable(format!("the host of {shown} has no address; check its name"));
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        match reach_one(address, way.limit, shown).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn reach_one(address: SocketAddr, limit: &TimeLimit, shown: &str) -> Result<TcpStream, Failure> {
    let stream = match limit.within(CONNECT, TcpStream::connect(address)).await {
        Err(_) => {
            return Err(timed_out(
                shown,
                "could not be connected to in time; check the host, and whether a NetworkPolicy allows this namespace's pods to reach it",
            ));
        }
        Ok(Err(error)) => {
            let why = match error.kind() {
                io::ErrorKind::ConnectionRefused => "refused the connection",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "cannot be routed to",
                _ => "could not be connected to",
            };
            return Err(unreachable(format!(
                "{shown} {why}; check that the server runs, that it listens on that port, and that host and port are its own"
            )));
        }
        Ok(Ok(stream)) => stream,
    };
    // Small commands are sent one after another: each would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn unreachable(message: String) -> Failure {
    Failure::of_source(SourceReason::Unreachable, message)
}

fn timed_out(shown: &str, why: &str) -> Failure {
    Failure::of_source(SourceReason::Timeout, format!("{shown} {why}"))
}

fn tls_failure(error: &io::Error, shown: &str) -> Failure {
    use rustls::{CertificateError as Bad, Error as Tls};
    let why = match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        Some(Tls::InvalidCertificate(Bad::UnknownIssuer)) => {
            "has a certificate of an unknown authority; name the authority in tls.ca"
        }
        Some(Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "has a certificate that has expired; renew it"
        }
        Some(Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. })) => {
            "has a certificate that is not valid yet; check the clocks"
        }
        Some(Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            "has a certificate for another name; set tls.serverName to a name that it holds"
        }
        Some(Tls::InvalidCertificate(_)) => "has a certificate that cannot be verified; check it and tls.ca",
        Some(Tls::InvalidMessage(_)) | None => {
            "does not speak TLS on this port; check the port, or write redis:// and no tls if it is meant to be plain"
        }
        Some(Tls::AlertReceived(_)) => {
            "refused the TLS handshake; it may ask for a client certificate (tls-auth-clients), which is not supported"
        }
        Some(_) => "and we could not agree on TLS; it must speak TLS 1.2 or 1.3",
    };
    Failure::of_source(SourceReason::TLSFailed, format!("{shown} {why}"))
}
