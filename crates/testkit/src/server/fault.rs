//! Failures that a test asks for: crashes at a write, refusals, missing rights, quotas.

use serde::Serialize;

use super::route::{Route, Verb};
use super::status::ApiFailure;

/// What the client of a [`super::FakeApiServer`] gets where no answer arrives: a connection that broke.
///
/// It reaches the caller inside [`kube::Error::Service`]; [`is_disconnected`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the fake API server broke: {0}")]
pub struct Disconnected(pub &'static str);

/// Whether an error is the broken connection of a fault, and no answer of the server.
#[must_use]
pub fn is_disconnected(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(source) if source.is::<Disconnected>())
}

/// A fault at one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which mutating request, counted from 1 in [`super::FakeApiServer::writes`].
    pub at: usize,
    /// What happens there.
    pub kind: FaultKind,
}

/// What happens at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FaultKind {
    /// The client crashes before it sends: the write is not done, and this request and every later one get
    /// [`Disconnected`] until [`super::FakeApiServer::restart`].
    CrashBefore,
    /// The client crashes with the answer in hand: the write is done and answered, and every later request gets
    /// [`Disconnected`] until [`super::FakeApiServer::restart`].
    CrashAfter,
    /// The answer is lost: the write is done, the client gets [`Disconnected`], and later requests work.
    InDoubt,
}

impl FaultKind {
    /// Every kind, in the order in which a crash test takes them.
    pub const ALL: [Self; 3] = [Self::CrashBefore, Self::CrashAfter, Self::InDoubt];
}

/// How a request is made to fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The server refuses with this answer, and does nothing.
    Refuse(ApiFailure),
    /// The server does it and answers with this failure, as a 504 after a slow write.
    DoneBut(ApiFailure),
    /// The connection breaks before the server reads the request.
    Disconnect,
}

/// Which requests a hook concerns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) verb: Verb,
    /// Plural, with `/subresource` where it is one, for example `pods/log`.
    pub(crate) resource: String,
}

impl Target {
    fn matches(&self, route: &Route) -> bool {
        self.verb == route.verb && self.resource == route.authorized_resource()
    }
}

/// Most objects of a resource in a namespace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quota {
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) limit: usize,
}

/// Everything that a test asked for.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) faults: Vec<Fault>,
    pub(crate) fired: Vec<Fault>,
    pub(crate) forbidden: Vec<Target>,
    failures: Vec<(Target, usize, Failure)>,
    pub(crate) quotas: Vec<Quota>,
    pub(crate) unserved_groups: Vec<String>,
    /// Who the client is in messages about missing rights.
    pub(crate) user: String,
}

impl Hooks {
    /// Makes the next `times` matching requests fail, after those asked for before.
    pub(crate) fn push_failure(&mut self, target: Target, times: usize, failure: Failure) {
        self.failures.push((target, times, failure));
    }

    /// The failure that this request meets, if one is asked for; it is used up.
    pub(crate) fn take_failure(&mut self, route: &Route) -> Option<Failure> {
        let index =
            self.failures.iter().position(|(target, times, _)| *times > 0 && target.matches(route))?;
        self.failures[index].1 -= 1;
        Some(self.failures[index].2.clone())
    }

    /// The fault at a write, if one is asked for; it is used up.
    pub(crate) fn take_fault(&mut self, number: usize) -> Option<FaultKind> {
        let index = self.faults.iter().position(|fault| fault.at == number)?;
        let fault = self.faults.remove(index);
        self.fired.push(fault);
        Some(fault.kind)
    }

    pub(crate) fn is_forbidden(&self, verb: Verb, resource: &str) -> bool {
        self.forbidden.iter().any(|target| target.verb == verb && target.resource == resource)
    }

    /// 404 for groups that are not served, 403 for rights that are missing.
    pub(crate) fn authorize(&self, route: &Route) -> Result<(), ApiFailure> {
        if self.unserved_groups.contains(&route.resource.group) {
            return Err(ApiFailure::new(404, "NotFound", "the server could not find the requested resource"));
        }
        let resource = route.authorized_resource();
        if !self.is_forbidden(route.verb, &resource) {
            return Ok(());
        }
        let place = if route.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", route.namespace)
        };
        let why = format!(
            "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}",
            self.user,
            route.verb.as_str(),
            route.resource.group,
        );
        Err(ApiFailure::forbidden(&route.resource, &route.name, &why))
    }
}
