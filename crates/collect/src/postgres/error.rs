//! What a failure of PostgreSQL means, by its SQLSTATE. The server's own text is never passed on: it may quote data.

use plimsoll_analysis::record::SourceReason;
use tokio_postgres::Error;

use super::watch::{Refused, Seen};
use crate::failure::Failure;

/// The right that the collector needs, to paste.
pub(crate) const GRANT: &str = "GRANT pg_monitor TO <the collector's role>;";

/// Reason, what it means and what to do, of a SQLSTATE (PostgreSQL manual, appendix A).
fn meaning(state: &str) -> (SourceReason, &'static str) {
    use SourceReason::{
        AuthenticationFailed, BadAnswer, ExtensionMissing, Forbidden, NoData, Timeout, Unavailable,
        Unreachable,
    };
    match state {
        "28P01" => (AuthenticationFailed, "the server refused user or password; check both in the Secret"),
        "28000" => (
            AuthenticationFailed,
            "the server refuses this user from here: no such role, a role without LOGIN, or no line of pg_hba.conf \
             for this client, user, database and encryption",
        ),
        "3D000" => (NoData, "the server has no such database; check its name"),
        "42501" => (
            Forbidden,
            "the role lacks a right; as an administrator: GRANT pg_monitor TO <the collector's role>;",
        ),
        "53300" => (
            Unavailable,
            "the server, database or role has no free connection; raise max_connections or the limit, or use a pooler",
        ),
        "57P03" => (Unavailable, "the server is starting, stopping or recovering"),
        "57P01" | "57P02" | "57P05" => {
            (Unavailable, "the server ended the connection: it is stopping, or an administrator did")
        }
        "57014" => (Timeout, "the statement was cancelled: it took longer than it may"),
        "55P03" => (Timeout, "a lock was not free in time; it is left alone, so that nobody waits behind us"),
        "25P03" => (Timeout, "the server ended an idle transaction"),
        "55000" => (
            ExtensionMissing,
            "pg_stat_statements is not loaded; add it to shared_preload_libraries and restart the server",
        ),
        "42P01" | "42883" | "42703" | "58P01" => (
            ExtensionMissing,
            "the server lacks something that PostgreSQL 13 to 18 have, or the extension's files do not fit it; \
             ALTER EXTENSION pg_stat_statements UPDATE; may help",
        ),
        "22021" | "22P05" => (BadAnswer, "a text cannot be converted to UTF-8 from the database's encoding"),
        "08P01" => (
            BadAnswer,
            "the server or a pooler in front of it does not speak as PostgreSQL does; pgbouncer needs pool_mode session or transaction",
        ),
        state if state.starts_with("53") => {
            (Unavailable, "the server lacks memory, disk space or another resource")
        }
        state if state.starts_with("08") => {
            (Unreachable, "the server or a pooler in front of it lost the connection")
        }
        state if state.starts_with("28") => (AuthenticationFailed, "the server refused the credentials"),
        _ => (BadAnswer, "the server answered with an error; its log says more"),
    }
}

/// A failure by its SQLSTATE; of the source as a whole where the connection is lost with it.
pub(crate) fn of_state(state: &str) -> Failure {
    let (reason, what) = meaning(state);
    let message = format!("{what} (SQLSTATE {state})");
    let ends = ["57P01", "57P02", "57P03", "57P05", "25P03", "53300", "3D000"].contains(&state)
        || state.starts_with("28")
        || state.starts_with("08");
    if ends { Failure::of_source(reason, message) } else { Failure::of_query(reason, message) }
}

/// Why a session could not be opened, or broke.
pub(crate) fn of_connection(error: &Error, seen: &Seen) -> Failure {
    if let Some(refused) = seen.refused() {
        return of_refusal(refused);
    }
    if seen.too_much() {
        return Failure::of_source(SourceReason::BadAnswer, "the server sent more than is taken of one run");
    }
    let state = error.code().map(|code| code.code().to_owned()).or_else(|| seen.state());
    if let Some(state) = state {
        return of_state(&state);
    }
    let text = error.to_string();
    if text.starts_with("authentication error") {
        return Failure::of_source(
            SourceReason::AuthenticationFailed,
            "the server did not prove that it knows the password, or offers no SCRAM-SHA-256; check that the address \
             is the right server's",
        );
    }
    if text.starts_with("invalid configuration") {
        return Failure::of_source(
            SourceReason::AuthenticationFailed,
            "the server asks for a password and the Secret holds none; add it",
        );
    }
    if text.starts_with("error parsing") || text.starts_with("unexpected message") {
        return Failure::of_source(
            SourceReason::BadAnswer,
            "the answer is not PostgreSQL's protocol; check host and port",
        );
    }
    Failure::of_source(SourceReason::Unreachable, "the connection was closed or reset")
}

/// Why no password was sent.
fn of_refusal(refused: Refused) -> Failure {
    let message = match refused {
        Refused::Cleartext => {
            "the server asks for the password in clear, which was not sent; set scram-sha-256 in its pg_hba.conf"
        }
        Refused::Md5 => {
            "the server asks for an MD5 password, which was not sent; set password_encryption = 'scram-sha-256', set \
             the role's password anew, and scram-sha-256 in pg_hba.conf"
        }
        Refused::Other => {
            "the server asks for GSSAPI, SSPI or another way of authentication; only SCRAM-SHA-256 is spoken here"
        }
    };
    Failure::of_source(SourceReason::AuthenticationFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_whether_waiting_helps_and_whether_the_session_is_over() {
        for (state, reason, stops) in [
            ("28P01", SourceReason::AuthenticationFailed, true),
            ("28000", SourceReason::AuthenticationFailed, true),
            ("42501", SourceReason::Forbidden, false),
            ("53300", SourceReason::Unavailable, true),
            ("53200", SourceReason::Unavailable, false),
            ("57P03", SourceReason::Unavailable, true),
            ("57P01", SourceReason::Unavailable, true),
            ("57014", SourceReason::Timeout, false),
            ("55P03", SourceReason::Timeout, false),
            ("55000", SourceReason::ExtensionMissing, false),
            ("08006", SourceReason::Unreachable, true),
            ("XX000", SourceReason::BadAnswer, false),
        ] {
            let failure = of_state(state);
            assert_eq!((failure.reason, failure.stops), (reason, stops), "{state}");
            assert!(failure.message.contains(state), "{failure}");
        }
    }

    #[test]
    fn what_an_administrator_must_do_is_there_to_paste() {
        assert!(of_state("42501").message.contains(GRANT));
        assert!(of_refusal(Refused::Md5).message.contains("password_encryption"));
    }
}
