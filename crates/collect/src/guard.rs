//! Which addresses a run may contact. In a Job the address comes from whoever may create the resource, so it is
//! checked after resolution and the checked address is the one connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

/// Metadata services of clouds whose addresses are not link-local: AWS, Google (both IPv6) and Alibaba.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// Which addresses may be contacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPolicy {
    /// In a Job: no loopback, link-local, unspecified, multicast, broadcast or metadata address, also not wrapped in
    /// IPv6, and none of `forbidden` (the API server's addresses).
    Job {
        /// Pairs of address and port that are refused besides.
        forbidden: Vec<SocketAddr>,
    },
    /// On one's own machine: everything.
    Unrestricted,
}

/// An address that may not be contacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is {address}, {why}, which a run may not contact; name a Service or an external host instead"
)]
pub struct ForbiddenAddress {
    /// Host as the request names it.
    pub host: String,
    /// The refused address with its port.
    pub address: SocketAddr,
    /// What the address is.
    pub why: &'static str,
}

/// An entry of a list of forbidden addresses that is not `address:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address and a port, for example 10.96.0.1:443 or [fd00::1]:6443")]
pub struct NotAnAddress(pub String);

impl AddressPolicy {
    /// The policy of a Job, with forbidden pairs as a request writes them.
    ///
    /// # Errors
    /// [`NotAnAddress`]: an entry that cannot be read must stop the run and not open an address.
    pub fn job(forbidden: &[String]) -> Result<Self, NotAnAddress> {
        let forbidden = parse_addresses(forbidden)?;
        Ok(Self::Job { forbidden })
    }

    /// This policy with further forbidden pairs, where it forbids any.
    ///
    /// # Errors
    /// [`NotAnAddress`], as [`AddressPolicy::job`].
    pub fn and(&self, more: &[String]) -> Result<Self, NotAnAddress> {
        match self {
            Self::Unrestricted => Ok(Self::Unrestricted),
            Self::Job { forbidden } => {
                let more = parse_addresses(more)?;
                Ok(Self::Job { forbidden: forbidden.iter().copied().chain(more).collect() })
            }
        }
    }

    /// Why an address may not be contacted; `None` where it may.
    #[must_use]
    pub fn refusal(&self, address: SocketAddr) -> Option<&'static str> {
        let Self::Job { forbidden } = self else {
            return None;
        };
        let ip = unwrapped(address.ip());
        let is_forbidden = |pair: &SocketAddr| unwrapped(pair.ip()) == ip && pair.port() == address.port();
        if forbidden.iter().any(is_forbidden) {
            return Some("the Kubernetes API server");
        }
        if METADATA.contains(&ip) {
            return Some("a cloud's metadata service");
        }
        refused_class(ip)
    }
}

fn parse_addresses(texts: &[String]) -> Result<Vec<SocketAddr>, NotAnAddress> {
    texts.iter().map(|text| text.parse().map_err(|_| NotAnAddress(text.clone()))).collect()
}

/// The IPv4 address inside an IPv6 one: mapped (`::ffff:0:0/96`), compatible (`::/96`) and NAT64 (`64:ff9b::/96`,
/// RFC 6052). All of them can reach the IPv4 host.
fn unwrapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else {
        return ip;
    };
    let segments = v6.segments();
    let wraps = match segments[..6] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => true,
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0] => segments[6] != 0,
        _ => false,
    };
    if !wraps {
        return ip;
    }
    let [a, b] = segments[6].to_be_bytes();
    let [c, d] = segments[7].to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

fn refused_class(ip: IpAddr) -> Option<&'static str> {
    if ip.is_loopback() {
        return Some("a loopback address");
    }
    if ip.is_multicast() {
        return Some("a multicast address");
    }
    match ip {
        // The whole of 0.0.0.0/8 means "this host" (RFC 1122).
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("an unspecified address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("a broadcast address"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("an unspecified address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// The resolver of one source: it resolves that source's host whatever name it is asked for, so that the name in the
/// certificate may differ from the host, and hands out only addresses that the policy allows.
pub(crate) struct Guard {
    host: Host<String>,
    port: u16,
    policy: Arc<AddressPolicy>,
}

impl Guard {
    pub(crate) fn new(host: Host<String>, port: u16, policy: AddressPolicy) -> Self {
        Self { host, port, policy: Arc::new(policy) }
    }

    /// Checks a host that is an address itself: the HTTP client connects to such a host without asking a resolver.
    pub(crate) fn check_literal(&self) -> Result<(), ForbiddenAddress> {
        match &self.host {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(ip) => checked(&self.policy, &self.host, SocketAddr::new((*ip).into(), self.port)),
            Host::Ipv6(ip) => checked(&self.policy, &self.host, SocketAddr::new((*ip).into(), self.port)),
        }
    }
}

fn checked(policy: &AddressPolicy, host: &Host<String>, address: SocketAddr) -> Result<(), ForbiddenAddress> {
    match policy.refusal(address) {
        None => Ok(()),
        Some(why) => Err(ForbiddenAddress { host: host.to_string(), address, why }),
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Guard({}:{})", self.host, self.port)
    }
}

impl Resolve for Guard {
    fn resolve(&self, _name: Name) -> Resolving {
        let (host, port, policy) = (self.host.clone(), self.port, Arc::clone(&self.policy));
        Box::pin(async move {
            let addresses = resolve(&host, port, &policy).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A host has no address that may be contacted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("the name {host} cannot be resolved: {error}")]
    Unknown { host: String, error: std::io::Error },
    #[error("{0}")]
    Forbidden(#[from] ForbiddenAddress),
}

/// Every address of a host, each allowed by the policy. The caller connects to one of these and does not resolve again.
pub(crate) async fn resolve(
    host: &Host<String>,
    port: u16,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Domain(name) => match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(ResolveError::Unknown { host: name.clone(), error }),
        },
        Host::Ipv4(ip) => vec![SocketAddr::new((*ip).into(), port)],
        Host::Ipv6(ip) => vec![SocketAddr::new((*ip).into(), port)],
    };
    // One refused address refuses the name: a name that also answers with such an address is up to no good.
    for address in &addresses {
        checked(policy, host, *address)?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job() -> AddressPolicy {
        AddressPolicy::job(&["10.96.0.1:443".to_owned(), "[fd00::1]:6443".to_owned()]).unwrap()
    }

    #[test]
    fn a_job_may_not_reach_the_node_the_metadata_or_the_api_server() {
        for address in [
            "127.0.0.1:9090",
            "127.9.9.9:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::127.0.0.1]:80",
            "[64:ff9b::7f00:1]:80",
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "[::]:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "255.255.255.255:80",
            "[fd00:ec2::254]:80",
            "100.100.100.200:80",
            "10.96.0.1:443",
            "[::ffff:10.96.0.1]:443",
            "[fd00::1]:6443",
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert!(job().refusal(address).is_some(), "{address}");
            assert_eq!(AddressPolicy::Unrestricted.refusal(address), None, "{address}");
        }
    }

    #[test]
    fn ordinary_addresses_are_allowed() {
        for address in
            ["10.96.0.1:9090", "10.0.0.7:443", "93.184.216.34:443", "[fd00::1]:443", "[2001:db8::1]:80"]
        {
            assert_eq!(job().refusal(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn a_forbidden_address_that_cannot_be_read_is_an_error() {
        for text in ["10.96.0.1", "kubernetes:443", "", "fd00::1:443x"] {
            assert_eq!(AddressPolicy::job(&[text.to_owned()]), Err(NotAnAddress(text.to_owned())));
        }
        assert_eq!(
            AddressPolicy::Unrestricted.and(&["10.96.0.1:443".to_owned()]),
            Ok(AddressPolicy::Unrestricted)
        );
        let extended = job().and(&["10.0.0.9:6443".to_owned()]).unwrap();
        assert!(extended.refusal("10.0.0.9:6443".parse().unwrap()).is_some());
        assert!(extended.refusal("10.96.0.1:443".parse().unwrap()).is_some());
    }

    #[tokio::test]
    async fn a_name_with_a_refused_address_is_not_resolved() {
        let guard = Guard::new(Host::Domain("localhost".to_owned()), 9090, job());
        let error = guard.resolve("anything".parse().unwrap()).await.err().unwrap();
        assert!(matches!(error.downcast_ref::<ResolveError>(), Some(ResolveError::Forbidden(_))), "{error}");
        assert!(error.to_string().contains("localhost"), "{error}");
        let open = Guard::new(Host::Domain("localhost".to_owned()), 9090, AddressPolicy::Unrestricted);
        assert!(open.resolve("anything".parse().unwrap()).await.unwrap().all(|found| found.port() == 9090));
    }

    proptest! {
        #[test]
        fn what_is_refused_as_ipv4_is_refused_in_every_ipv6_form(bits: u32, port: u16) {
            let v4 = Ipv4Addr::from(bits);
            let plain = job().refusal(SocketAddr::new(v4.into(), port));
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for prefix in [[0, 0, 0, 0, 0, 0xffff], [0x64, 0xff9b, 0, 0, 0, 0]] {
                let [p0, p1, p2, p3, p4, p5] = prefix;
                let wrapped = Ipv6Addr::new(p0, p1, p2, p3, p4, p5, high, low);
                prop_assert_eq!(job().refusal(SocketAddr::new(wrapped.into(), port)), plain);
            }
        }
    }
}
