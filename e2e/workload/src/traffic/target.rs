//! Where traffic may go: to this machine and to Services of the cluster. Everything else is refused, twice: by name before
//! anything is sent, and by address before each connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;

/// A place that traffic may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: Host,
    port: u16,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Localhost,
    Service(String),
}

/// Why a URL is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL of the form that is understood.
    #[error("{url:?} is not a target: {why}; write for example http://odoo:8069/web/health")]
    Syntax {
        /// The text as given.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A host that is neither this machine nor a Service of the cluster.
    #[error(
        "traffic to {host:?} is refused: only this machine (localhost, 127.0.0.1, ::1) and Services of the cluster may be \
         loaded; write a Service as NAME, NAME.NAMESPACE.svc or NAME.NAMESPACE.svc.cluster.local"
    )]
    Foreign {
        /// The host as given.
        host: String,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let syntax = |why| TargetError::Syntax { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| syntax("it is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(syntax("it does not begin with http://"));
        }
        let authority = uri.authority().ok_or_else(|| syntax("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(syntax("it has a user name"));
        }
        // `Authority::port` has none for a port that is no number, so the text after the host is read here.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            rest => rest
                .and_then(|rest| rest.strip_prefix(':'))
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| syntax("its port is not a number from 1 to 65535"))?,
        };
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { host: host(authority.host())?, port, path })
    }
}

fn host(text: &str) -> Result<Host, TargetError> {
    let name = text.to_ascii_lowercase();
    let foreign = || TargetError::Foreign { host: text.to_owned() };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return if address.is_loopback() { Ok(Host::Address(address)) } else { Err(foreign()) };
    }
    if name == "localhost" {
        return Ok(Host::Localhost);
    }
    let service = name.strip_suffix(".svc.cluster.local").or_else(|| name.strip_suffix(".svc"));
    let good = match service {
        // A Service of this namespace. With more labels and no ".svc" it could be a public name: "dairy.shop" is one.
        None => is_service_name(&name),
        Some(qualified) => qualified
            .split_once('.')
            .is_some_and(|(service, namespace)| is_service_name(service) && is_label(namespace)),
    };
    if good { Ok(Host::Service(name)) } else { Err(foreign()) }
}

/// RFC 1035 label, as Kubernetes demands of a Service's name. It begins with a letter, which also keeps out the numeric
/// spellings of an address that resolvers understand, such as 134744072 and 0x08080808.
fn is_service_name(text: &str) -> bool {
    is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// RFC 1123 label, as Kubernetes demands of a namespace's name.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl Target {
    /// Path and query of the URL; `/` when it has none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port, as the Host header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).to_string(),
            Host::Localhost => format!("localhost:{}", self.port),
            Host::Service(name) => format!("{name}:{}", self.port),
        }
    }

    /// Looks the host up and gives an address that may be connected to.
    ///
    /// # Errors
    /// The resolver's, or `PermissionDenied` when the name leads to a public or link-local address.
    pub async fn resolve(&self) -> io::Result<SocketAddr> {
        let name = match &self.host {
            Host::Address(address) => return Ok(SocketAddr::new(*address, self.port)),
            Host::Localhost => "localhost",
            Host::Service(name) => name,
        };
        let found = tokio::net::lookup_host((name, self.port)).await?;
        self.choose(found)
    }

    fn choose(&self, found: impl Iterator<Item = SocketAddr>) -> io::Result<SocketAddr> {
        let may = |address: &SocketAddr| match self.host {
            Host::Service(_) => address.ip().is_loopback() || is_private(address.ip()),
            Host::Address(_) | Host::Localhost => address.ip().is_loopback(),
        };
        let mut found = found.peekable();
        if found.peek().is_none() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        found.find(may).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the name leads outside this machine and the cluster's private networks",
            )
        })
    }
}

/// Networks that are never routed publicly and that clusters use: RFC 1918, RFC 6598 (shared, for example EKS) and RFC 4193.
/// Link-local addresses are not among them: cloud metadata services live there.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    #[test]
    fn this_machine_and_services_are_targets() {
        for (url, authority, path) in [
            ("http://127.0.0.1:8069/web", "127.0.0.1:8069", "/web"),
            ("http://127.8.9.1", "127.8.9.1:80", "/"),
            ("http://[::1]:80/a?b=c", "[::1]:80", "/a?b=c"),
            ("http://localhost:1/", "localhost:1", "/"),
            ("http://odoo:8069", "odoo:8069", "/"),
            ("http://api.smart-dairy.svc:8080/x", "api.smart-dairy.svc:8080", "/x"),
            ("http://api.2nd.svc.cluster.local", "api.2nd.svc.cluster.local:80", "/"),
            ("http://ODOO:8069", "odoo:8069", "/"),
        ] {
            let target = target(url);
            assert_eq!((target.authority().as_str(), target.path()), (authority, path), "{url}");
        }
    }

    #[test]
    fn every_other_host_is_refused() {
        for host in [
            "example.com",
            "odoo.smart-dairy",
            "dairy.shop",
            "svc",
            "a.b.c.svc",
            "www.example.com.svc",
            "x.svc",
            ".svc",
            "a..svc",
            "a.b.svc.cluster.local.example.com",
            "cluster.local",
            "8.8.8.8",
            "10.0.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "[::]",
            "[2001:4860:4860::8888]",
            "[::ffff:8.8.8.8]",
            "134744072",
            "0x08080808",
            "127.1",
            "-odoo",
            "odoo-",
            "od_oo",
            "odoo.",
            "localhost.example.com",
        ] {
            let refused = format!("http://{host}:80/").parse::<Target>();
            // "svc" alone is a well-formed Service name.
            if host == "svc" {
                assert!(refused.is_ok());
            } else {
                assert!(matches!(refused, Err(TargetError::Foreign { .. })), "{host}: {refused:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_plain_url_is_refused() {
        for url in [
            "",
            "odoo:8069",
            "odoo",
            "/web",
            "https://odoo",
            "ftp://odoo",
            "http://",
            "http://odoo:x/",
            "http://odoo:/",
            "http://odoo:99999/",
            "http://user@odoo/",
            "http://127.0.0.1@example.com/",
            "http://odoo/ a",
        ] {
            assert!(
                matches!(url.parse::<Target>(), Err(TargetError::Syntax { .. })),
                "{url}: {:?}",
                url.parse::<Target>()
            );
        }
    }

    #[test]
    fn a_service_name_that_leads_outside_is_not_connected_to() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let service = target("http://odoo");
        for good in ["10.96.3.4", "172.31.0.1", "192.168.0.9", "100.64.0.1", "127.0.0.1", "fd00::1"] {
            assert_eq!(service.choose([address(good)].into_iter()).unwrap(), address(good));
        }
        for bad in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "2606::1",
            "fe80::1",
            "::ffff:8.8.8.8",
        ] {
            let error = service.choose([address(bad)].into_iter()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{bad}");
        }
        let mixed = [address("8.8.8.8"), address("10.0.0.1")];
        assert_eq!(service.choose(mixed.into_iter()).unwrap(), address("10.0.0.1"));
        assert_eq!(service.choose(std::iter::empty()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(target("http://localhost").choose([address("10.0.0.1")].into_iter()).is_err());
    }
}
