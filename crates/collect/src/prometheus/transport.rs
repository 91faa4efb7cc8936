//! What broken connections, statuses and error types mean: the reason, and what to do.

use std::error::Error;
use std::io;

use plimsoll_analysis::record::SourceReason;
use reqwest::StatusCode;

use crate::failure::Failure;
use crate::guard::ForbiddenAddress;

/// The first error of a type in a chain of causes, also inside `io::Error`s, which hide what they wrap from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// Whether the connection broke after it was made: reset, or closed before the answer was whole.
pub(crate) fn is_reset(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    let closed = find::<hyper::Error>(error).is_some_and(hyper::Error::is_incomplete_message);
    let broken = find::<io::Error>(error).is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    });
    closed || broken
}

/// A request that got no answer.
pub(crate) fn failure(error: &reqwest::Error, shown: &str) -> Failure {
    if let Some(refused) = find::<ForbiddenAddress>(error) {
        return Failure::of_source(SourceReason::Unreachable, refused.to_string());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_failure(tls, shown);
    }
    if error.is_timeout() {
        let message = format!(
            "{shown} could not be connected to in time; check the host, and whether a NetworkPolicy allows this namespace's pods to reach it"
        );
        return Failure::of_source(SourceReason::Timeout, message);
    }
    if error.is_dns() {
        let message =
            format!("the host of {shown} cannot be resolved; check its name, a Service is NAME.NAMESPACE");
        return Failure::of_source(SourceReason::Unreachable, message);
    }
    let why = match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "refused the connection",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "has no route to it",
        _ if error.is_connect() => "could not be connected to",
        _ if is_reset(error) => "closed the connection without an answer",
        _ => {
            let message = format!("{shown} did not answer in HTTP; check the scheme and the port of the URL");
            return Failure::of_source(SourceReason::BadAnswer, message);
        }
    };
    let message = format!("{shown} {why}; check that the server runs and that the host and port are its own");
    Failure::of_source(SourceReason::Unreachable, message)
}

/// An answer that broke off or could not be decompressed.
pub(crate) fn body_failure(error: &reqwest::Error, shown: &str) -> Failure {
    let why = if is_reset(error) { "is cut off" } else { "cannot be decoded" };
    let message =
        format!("the answer of {shown} {why}; look at the server, and at what stands between it and us");
    Failure::of_query(SourceReason::BadAnswer, message)
}

fn tls_failure(error: &rustls::Error, shown: &str) -> Failure {
    use rustls::{CertificateError as Bad, Error as Tls};
    let why = match error {
        Tls::InvalidCertificate(Bad::UnknownIssuer) => {
            "has a certificate of an unknown authority; name the authority in tls.ca"
        }
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "has a certificate that has expired; renew it"
        }
        Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "has a certificate that is not valid yet; check the clocks"
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "has a certificate for another name; set tls.serverName to a name that it holds"
        }
        Tls::InvalidCertificate(_) => "has a certificate that cannot be verified; check it and tls.ca",
        Tls::InvalidMessage(_) => "does not speak TLS on this port; write http:// if it is meant to be plain",
        Tls::AlertReceived(_) => "refused the TLS handshake; check whether it asks for a client certificate",
        _ => "and we could not agree on TLS; it must speak TLS 1.2 or 1.3",
    };
    Failure::of_source(SourceReason::TLSFailed, format!("{shown} {why}"))
}

/// An answer with another status than 200; `kind` is the error type that its body names, if any.
pub(crate) fn status_failure(status: StatusCode, kind: Option<&'static str>, shown: &str) -> Failure {
    let code = status.as_u16();
    let source = |reason, what: &str| Failure::of_source(reason, format!("{shown} answered {code}{what}"));
    match code {
        401 => source(
            SourceReason::AuthenticationFailed,
            ": it does not accept the credentials; check auth, and whether the token or password is still valid",
        ),
        403 => Failure::of_query(
            SourceReason::Forbidden,
            format!(
                "{shown} answered 403: the credentials lack the right to read this; grant it, or check the tenant's header"
            ),
        ),
        300..=399 => source(
            SourceReason::BadAnswer,
            ", a redirect, which is never followed; write the URL that it leads to, or the API's own and not a login page's",
        ),
        404 if kind.is_none() => {
            source(SourceReason::BadAnswer, "; is this a Prometheus API? Check the URL and its path prefix")
        }
        429 => Failure::of_query(
            SourceReason::Unavailable,
            format!("{shown} answered 429: too many requests; raise its limits or run less often"),
        ),
        _ if kind.is_some() => refused(kind, shown),
        500..=599 => Failure::of_query(
            SourceReason::Unavailable,
            format!("{shown} answered {code}: it cannot answer now; look at its own log"),
        ),
        204 => source(SourceReason::BadAnswer, ", no content; is this a Prometheus API?"),
        _ => Failure::of_query(
            SourceReason::BadAnswer,
            format!("{shown} answered {code}; check the URL, and what stands between it and us"),
        ),
    }
}

/// A query that the server refused, with the error type that it gave.
pub(crate) fn refused(kind: Option<&'static str>, shown: &str) -> Failure {
    let (reason, why) = match kind {
        Some("timeout" | "canceled") => (
            SourceReason::Timeout,
            "gave up on the query (timeout); shorten the window, narrow the matchers, or raise -query.timeout there",
        ),
        Some("unavailable" | "internal") => {
            (SourceReason::Unavailable, "cannot answer now (unavailable); look at its own log")
        }
        Some("execution") => (
            SourceReason::BadAnswer,
            "could not compute the query (execution), often since it reads too many samples; shorten the window or narrow the matchers",
        ),
        Some("bad_data") => (
            SourceReason::BadAnswer,
            "did not understand the query (bad_data); try it there by hand, its version may lack a function or limit the range",
        ),
        _ => (SourceReason::BadAnswer, "refused the query; try it there by hand"),
    };
    Failure::of_query(reason, format!("{shown} {why}"))
}

/// Value of an `Authorization` header for HTTP Basic (RFC 7617).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> String {
    use base64::Engine as _;
    let pair = [user, b":", password].concat();
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_reason_and_a_remedy() {
        use SourceReason::*;
        for (status, kind, reason, remedy) in [
            (401, None, AuthenticationFailed, "check auth"),
            (403, None, Forbidden, "grant it"),
            (302, None, BadAnswer, "redirect"),
            (404, None, BadAnswer, "is this a Prometheus API"),
            (204, None, BadAnswer, "is this a Prometheus API"),
            (429, None, Unavailable, "less often"),
            (500, None, Unavailable, "its own log"),
            (503, None, Unavailable, "its own log"),
            (503, Some("timeout"), Timeout, "shorten the window"),
            (503, Some("unavailable"), Unavailable, "its own log"),
            (422, Some("execution"), BadAnswer, "narrow the matchers"),
            (400, Some("bad_data"), BadAnswer, "by hand"),
            (418, None, BadAnswer, "check the URL"),
        ] {
            let failure = status_failure(StatusCode::from_u16(status).unwrap(), kind, "http://prom");
            assert_eq!(failure.reason, reason, "{status} {kind:?}");
            assert!(failure.message.contains(remedy), "{failure}");
            assert!(failure.message.contains("http://prom"), "{failure}");
        }
    }

    #[test]
    fn basic_credentials_are_encoded_as_the_rfc_says() {
        assert_eq!(basic(b"Aladdin", b"open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
