//! Where a database is and who we are there: from the spec's parts, or from a `postgresql://` URI in a Secret.

use std::fmt;
use std::net::Ipv6Addr;

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::{KeyRef, PostgresAccess};
use url::Host;

use crate::failure::Failure;
use crate::keys::{Keys, described};

/// Port where a URI names none (libpq).
const DEFAULT_PORT: u16 = 5432;
/// Parameters of a URI that are left out of account with a warning: the spec decides, or nothing depends on them.
const IGNORED: [&str; 4] = ["sslmode", "application_name", "fallback_application_name", "connect_timeout"];

/// One server, one database, one user. `Debug` shows neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    /// Absent where a URI has none: fine where the server asks for none.
    pub(crate) password: Option<Vec<u8>>,
    /// Parameters of the URI that were left out of account.
    pub(crate) ignored: Vec<&'static str>,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Why a URI cannot be used. It holds nothing of the URI, which may hold a password anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    #[error("it does not begin with postgresql:// or postgres://")]
    Scheme,
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("a % in it is not followed by two hexadecimal digits; write a literal % as %25")]
    Percent,
    #[error("it names several hosts; name one, for example a Service that follows the primary")]
    SeveralHosts,
    #[error("it names no host, or a Unix socket; name a Service or an external host")]
    NoHost,
    #[error("its host is no name and no address; write an IPv6 address in brackets")]
    Host,
    #[error(
        "its port is not a number from 1 to 65535; a / ? # or @ in the password must be written as %2F %3F %23 %40"
    )]
    Port,
    #[error("it names no user")]
    NoUser,
    #[error("a part of it holds a NUL character")]
    Nul,
    #[error(
        "it has the parameter options, which could change how the server runs our statements; leave it out"
    )]
    Options,
    #[error(
        "it has the parameter host, hostaddr, port, dbname, user, password, service or passfile; write host, port, \
         database, user and password before the ?"
    )]
    Elsewhere,
    #[error(
        "it has a parameter that is not known here; only sslmode, application_name and connect_timeout are accepted \
         (and left out of account: the spec decides)"
    )]
    Parameter,
}

/// The address of a request, with what its keys hold.
pub(crate) fn address(access: &PostgresAccess, keys: &Keys) -> Result<Address, Failure> {
    match access {
        PostgresAccess::Uri(key) => {
            let text =
                std::str::from_utf8(keys.require(key)?).map_err(|_| unusable(key, UriError::NotUtf8))?;
            parse_uri(text).map_err(|error| unusable(key, error))
        }
        PostgresAccess::Parts { host, port, database, username, password } => {
            let user = std::str::from_utf8(keys.require(username)?)
                .map_err(|_| unusable(username, UriError::NotUtf8))?
                .trim()
                .to_owned();
            if user.is_empty() {
                return Err(unusable(username, UriError::NoUser));
            }
            let password_value = keys.require(password)?.to_vec();
            if user.contains('\0') {
                return Err(unusable(username, UriError::Nul));
            }
            let host = parse_host(host).map_err(|error| {
                let message = format!("sources.postgres.host cannot be used: {error}");
                Failure::of_source(SourceReason::Unreachable, message)
            })?;
            Ok(Address {
                host,
                port: *port,
                database: database.clone(),
                user,
                password: Some(password_value),
                ignored: Vec::new(),
            })
        }
    }
}

fn unusable(key: &KeyRef, error: UriError) -> Failure {
    Failure::of_source(SourceReason::KeyMissing, format!("{} cannot be used: {error}", described(key)))
}

/// Reads a connection URI as libpq does (PostgreSQL manual, 34.1.1.2), and refuses what would lead elsewhere than to
/// one host by TCP.
pub(crate) fn parse_uri(text: &str) -> Result<Address, UriError> {
    let rest = ["postgresql://", "postgres://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(UriError::Scheme)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The last @: no host holds one, and people forget to encode it in passwords.
    let (credentials, server) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match credentials.split_once(':') {
        None => (credentials, None),
        Some((user, password)) => (user, Some(password)),
    };
    let user = decoded_text(user)?;
    if user.is_empty() {
        return Err(UriError::NoUser);
    }
    let password = password.filter(|text| !text.is_empty()).map(decoded).transpose()?;
    let (host, port) = split_port(server)?;
    let host = parse_host(&decoded_text(host)?)?;
    let database = match decoded_text(path)? {
        path if path.is_empty() => user.clone(),
        path => path,
    };
    let ignored = parameters(query)?;
    Ok(Address { host, port, database, user, password, ignored })
}

fn split_port(server: &str) -> Result<(&str, u16), UriError> {
    if server.contains(',') {
        return Err(UriError::SeveralHosts);
    }
    // The colons of an IPv6 address are inside brackets.
    let name_end = server.rfind(']').map_or(0, |end| end + 1);
    match server[name_end..].find(':') {
        None => Ok((server, DEFAULT_PORT)),
        Some(colon) => {
            let (host, port) = (&server[..name_end + colon], &server[name_end + colon + 1..]);
            let port = match port {
                "" => DEFAULT_PORT,
                port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    port.parse().map_err(|_| UriError::Port)?
                }
                _ => return Err(UriError::Port),
            };
            if port == 0 { Err(UriError::Port) } else { Ok((host, port)) }
        }
    }
}

/// A name or an address; never a path (a Unix socket) and never a list.
pub(crate) fn parse_host(text: &str) -> Result<Host<String>, UriError> {
    if text.is_empty() || text.starts_with(['/', '@']) {
        return Err(UriError::NoHost);
    }
    if text.contains(',') {
        return Err(UriError::SeveralHosts);
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    Host::parse(text).map_err(|_| UriError::Host)
}

fn parameters(query: &str) -> Result<Vec<&'static str>, UriError> {
    let mut ignored = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = decoded_text(pair.split_once('=').map_or(pair, |(name, _)| name))?;
        match name.as_str() {
            "options" => return Err(UriError::Options),
            "host" | "hostaddr" | "port" | "dbname" | "user" | "password" | "service" | "passfile" => {
                return Err(UriError::Elsewhere);
            }
            name => match IGNORED.into_iter().find(|known| *known == name) {
                None => return Err(UriError::Parameter),
                Some(known) => ignored.push(known),
            },
        }
    }
    Ok(ignored)
}

fn decoded_text(text: &str) -> Result<String, UriError> {
    String::from_utf8(decoded(text)?).map_err(|_| UriError::NotUtf8)
}

fn decoded(text: &str) -> Result<Vec<u8>, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or(UriError::Percent)?, digit().ok_or(UriError::Percent)?);
                u8::try_from(high * 16 + low).map_err(|_| UriError::Percent)?
            }
            byte => byte,
        };
        if byte == 0 {
            return Err(UriError::Nul);
        }
        bytes.push(byte);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
