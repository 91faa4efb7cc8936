//! Where a server is and who we are there, from the spec's parts or from one URI in a Secret.

use std::fmt;

use percent_encoding::percent_decode_str;
use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::{KeyRef, RedisAccess, RedisCredentials};
use url::{Host, Url};

use crate::failure::Failure;
use crate::keys::{Keys, described};

/// Port of a server, and of a Sentinel.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// User and password; never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// `default` where there is none.
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// Where a server is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) credentials: Option<Credentials>,
    /// Whether the URI asks for TLS by its scheme.
    pub(crate) wants_tls: bool,
    /// What of a URI was passed over.
    pub(crate) warnings: Vec<String>,
}

impl Address {
    /// Reads the address of a request.
    pub(crate) fn read(access: &RedisAccess, keys: &Keys, is_sentinel: bool) -> Result<Self, Failure> {
        match access {
            RedisAccess::Uri(key) => {
                let uri = std::str::from_utf8(keys.require(key)?);
                uri.map_err(|_| "is no UTF-8; write the URI with percent-encoding".to_owned())
                    .and_then(|text| parse(text, is_sentinel))
                    .map_err(|why| unusable(key, &why))
            }
            RedisAccess::Parts { host, port, credentials } => Ok(Self {
                host: parse_host(host).ok_or_else(|| {
                    let message = format!(
                        "the host {host:?} is neither a name nor an address; write, for example, redis.smart-dairy"
                    );
                    Failure::of_source(SourceReason::Unreachable, message)
                })?,
                port: *port,
                credentials: credentials.as_ref().map(|named| read_credentials(named, keys)).transpose()?,
                wants_tls: false,
                warnings: Vec::new(),
            }),
        }
    }

    /// The address in messages.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// User, where its key is there, and password.
pub(crate) fn read_credentials(named: &RedisCredentials, keys: &Keys) -> Result<Credentials, Failure> {
    let user = keys.get(&named.username).filter(|user| !user.is_empty());
    let password = keys.require(&named.password)?;
    Ok(Credentials { user: user.map(<[u8]>::to_vec), password: password.to_vec() })
}

fn unusable(key: &KeyRef, why: &str) -> Failure {
    Failure::of_source(SourceReason::KeyMissing, format!("{} {why}", described(key)))
}

/// A host of the spec: a name, an IPv4 address, or an IPv6 address with or without brackets.
pub(crate) fn parse_host(text: &str) -> Option<Host<String>> {
    if let Ok(ip) = text.parse::<std::net::Ipv6Addr>() {
        return Some(Host::Ipv6(ip));
    }
    Host::parse(text).ok()
}

/// Reads a URI; the error says why not, and holds nothing of it.
fn parse(text: &str, is_sentinel: bool) -> Result<Address, String> {
    const FORM: &str = "write redis://USER:PASSWORD@HOST:PORT, or rediss:// for TLS, with percent-encoding in user and password";
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URI ({error}); {FORM}"))?;
    let wants_tls = match url.scheme() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        "unix" | "redis+unix" | "redis+socket" => {
            return Err(format!("names a unix socket, which a pod does not share with the server; {FORM}"));
        }
        "redis+sentinel" | "redis-sentinel" | "sentinel" => {
            return Err(
                "has a scheme of Sentinels; write redis:// with a Sentinel's address and name the master in the spec"
                    .to_owned(),
            );
        }
        _ => return Err(format!("has a scheme that is not of Redis; {FORM}")),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(format!("names no host; {FORM}"))?;
    let host =
        percent_decode_str(host).decode_utf8().map_err(|_| format!("has a host that is no text; {FORM}"))?;
    let host =
        Host::parse(&host).map_err(|_| format!("has a host that is neither name nor address; {FORM}"))?;
    let decoded = |part: &str| percent_decode_str(part).collect::<Vec<u8>>();
    let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
    let credentials = match (user, url.password().filter(|password| !password.is_empty())) {
        (user, Some(password)) => Some(Credentials { user, password: decoded(password) }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(format!(
                "has a user without a password; a password alone is written :PASSWORD@HOST; {FORM}"
            ));
        }
    };
    let mut warnings = Vec::new();
    if !matches!(url.path(), "" | "/" | "/0") {
        warnings
            .push("the database in the URI is passed over: the keys of all databases are read".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        warnings
            .push("what stands behind ? or # in the URI is passed over: the spec says it instead".to_owned());
    }
    let port = url.port().unwrap_or(if is_sentinel { SENTINEL_PORT } else { PORT });
    Ok(Address { host, port, credentials, wants_tls, warnings })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plimsoll_analysis::request::KeyKind;
    use proptest::prelude::*;

    use super::*;

    fn key(key: &str) -> KeyRef {
        KeyRef { kind: KeyKind::Secret, name: "redis".to_owned(), key: key.to_owned() }
    }

    fn credentials(user: Option<&str>, password: &str) -> Option<Credentials> {
        Some(Credentials { user: user.map(|user| user.as_bytes().to_vec()), password: password.into() })
    }

    #[test]
    fn a_uri_says_host_port_user_password_and_tls() {
        for (uri, host, port, who, tls) in [
            ("redis://redis", "redis", 6379, None, false),
            ("redis://:secret@redis:6380", "redis", 6380, credentials(None, "secret"), false),
            ("redis://u:p%40%2F%23%25@redis/", "redis", 6379, credentials(Some("u"), "p@/#%"), false),
            ("rediss://u%3A:p@10.0.0.1:1/0", "10.0.0.1", 1, credentials(Some("u:"), "p"), true),
            ("rediss://[fd00::1]:6379\n", "[fd00::1]", 6379, None, true),
            ("valkeys://cache.prod.svc", "cache.prod.svc", 6379, None, true),
        ] {
            let address = parse(uri, false).unwrap();
            assert_eq!(address.host.to_string(), host, "{uri}");
            assert_eq!((address.port, address.wants_tls), (port, tls), "{uri}");
            assert_eq!(address.credentials, who, "{uri}");
            assert_eq!(address.warnings, Vec::<String>::new(), "{uri}");
        }
        assert_eq!(parse("redis://s", true).unwrap().port, 26379);
        assert_eq!(parse("redis://r/3?timeout=1#x", false).unwrap().warnings.len(), 2);
    }

    #[test]
    fn a_uri_that_cannot_be_used_says_what_to_write_and_nothing_of_itself() {
        for (uri, why) in [
            ("canary", "is no URI"),
            ("unix:///canary.sock", "unix socket"),
            ("redis+sentinel://canary:26379", "name the master"),
            ("http://canary:6379", "not of Redis"),
            ("redis://canary@host", "without a password"),
            ("redis://", "no host"),
            ("redis://:canary@", "no"),
            ("redis://u:can#ary@host", "has a user without"),
            ("redis://host:canary", "is no URI"),
            ("redis://ho st:canary", "no"),
        ] {
            let result = parse(uri, false);
            let Err(error) = result else {
                assert!(uri.contains('#'), "{uri}: {result:?}");
                continue;
            };
            assert!(error.contains(why) || uri.contains('#'), "{uri}: {error}");
            assert!(!error.contains("canary"), "{uri}: {error}");
        }
    }

    #[test]
    fn parts_take_the_user_only_where_its_key_is_there() {
        let access = |host: &str| RedisAccess::Parts {
            host: host.to_owned(),
            port: 6379,
            credentials: Some(RedisCredentials { username: key("username"), password: key("password") }),
        };
        let alone = Keys::from_map(BTreeMap::from([(key("password"), b"p".to_vec())]));
        let address = Address::read(&access("redis"), &alone, false).unwrap();
        assert_eq!(address.credentials, credentials(None, "p"));
        let both = BTreeMap::from([(key("password"), b"p".to_vec()), (key("username"), b"u".to_vec())]);
        let address = Address::read(&access("fd00::1"), &Keys::from_map(both), false).unwrap();
        assert_eq!(address.credentials, credentials(Some("u"), "p"));
        assert_eq!(address.shown(), "[fd00::1]:6379");
        let failure = Address::read(&access("redis"), &Keys::default(), false).unwrap_err();
        assert!(failure.message.contains("password"), "{failure}");
        let failure = Address::read(&access("a b"), &alone, false).unwrap_err();
        assert_eq!(failure.reason, SourceReason::Unreachable);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_repeats_itself(text in "(redis://)?[ -~]{0,60}") {
            if let Err(error) = parse(&format!("{text}canary"), false) {
                prop_assert!(!error.contains("canary"));
            }
        }

        #[test]
        fn any_password_survives_percent_encoding(password in prop::collection::vec(any::<u8>(), 1..40)) {
            let encoded = percent_encoding::percent_encode(&password, percent_encoding::NON_ALPHANUMERIC);
            let address = parse(&format!("redis://u:{encoded}@h"), false).unwrap();
            prop_assert_eq!(address.credentials.unwrap().password, password);
        }
    }
}
