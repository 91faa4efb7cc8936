//! What a server's error means: the reason, and what to do. The text of an error may hold a key's name ("unknown
//! command, with args beginning with ..."), so only its code and fixed beginnings are looked at, and nothing is repeated.

use plimsoll_analysis::record::SourceReason;
use redis::ServerError;

use crate::failure::Failure;

/// The user that reading needs, to paste into `redis-cli`.
pub(crate) const ACCESS: &str = "ACL SETUSER plimsoll on >PASSWORD ~* -@all +ping +info +select +scan +type +pttl +memory|usage +config|get +client|setname";

/// The user that asking a Sentinel needs.
pub(crate) const SENTINEL_ACCESS: &str =
    "ACL SETUSER plimsoll on >PASSWORD -@all +ping +info +sentinel|get-master-addr-by-name +client|setname";

/// What a server's error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It wants a user and a password.
    NoAuth,
    /// It does not accept them.
    WrongPassword,
    /// It asks for no password.
    NoPasswordSet,
    /// The user may not send the command.
    NoPermission,
    /// The user may not look at the key.
    NoKeyPermission,
    /// The command is unknown, renamed or disabled.
    UnknownCommand,
    /// It reads its data from disk.
    Loading,
    /// It is a replica that lost its master and answers nothing meanwhile.
    MasterDown,
    /// A script or module has it busy.
    Busy,
    /// It is part of a cluster.
    Cluster,
    /// It has as many clients as it takes.
    TooManyClients,
    /// It takes connections from its own host alone.
    ProtectedMode,
    /// It has no memory left for the answer.
    OutOfMemory,
    /// The numbered database does not exist.
    NoSuchDatabase,
    /// The Sentinel knows the master and cannot say where it is.
    NoGoodMaster,
    /// Anything else.
    Other,
}

impl Fault {
    /// Classifies an error by its code and the beginning of its text.
    pub(crate) fn of(error: &ServerError) -> Self {
        Self::classify(error.code(), error.details().unwrap_or_default())
    }

    /// Classifies the line of an error as it came, without the leading `-`.
    pub(crate) fn of_line(line: &str) -> Self {
        let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
        Self::classify(code, rest)
    }

    fn classify(code: &str, detail: &str) -> Self {
        match code {
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" if is_about_a_key(detail) => Self::NoKeyPermission,
            "NOPERM" => Self::NoPermission,
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "BUSY" => Self::Busy,
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "TRYAGAIN" => Self::Cluster,
            "DENIED" => Self::ProtectedMode,
            "OOM" => Self::OutOfMemory,
            "NOGOODSLAVE" | "NOMASTER" => Self::NoGoodMaster,
            _ => Self::classify_text(detail),
        }
    }

    /// Errors whose code is `ERR`, by version and fork.
    fn classify_text(detail: &str) -> Self {
        let text = detail.to_ascii_lowercase();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
        if begins(&["max number of clients"]) {
            Self::TooManyClients
        } else if begins(&["unknown command", "unknown subcommand", "command is not", "this command is not"])
        {
            Self::UnknownCommand
        } else if begins(&["invalid password", "invalid username-password"]) {
            Self::WrongPassword
        } else if begins(&[
            "auth <password> called without any password",
            "client sent auth, but no password",
        ]) {
            Self::NoPasswordSet
        } else if begins(&["operation not permitted"]) {
            Self::NoAuth
        } else if begins(&[
            "db index is out of range",
            "invalid db index",
            "select is not allowed in cluster",
        ]) {
            Self::NoSuchDatabase
        } else {
            Self::Other
        }
    }

    /// The failure of a command at a place.
    pub(crate) fn failure(self, command: &str, shown: &str) -> Failure {
        use SourceReason::{AuthenticationFailed, BadAnswer, Forbidden, Unavailable};
        let source = Failure::of_source;
        let query = Failure::of_query;
        match self {
            Self::NoAuth => source(
                AuthenticationFailed,
                format!(
                    "{shown} wants a password and the spec names none; name a Secret with the key password"
                ),
            ),
            Self::WrongPassword => source(
                AuthenticationFailed,
                format!(
                    "{shown} does not accept the user and password; check the keys username and password of the Secret"
                ),
            ),
            Self::NoPermission => query(
                Forbidden,
                format!(
                    "{shown} does not let this user send {command}; as an administrator: {}",
                    rights(command)
                ),
            ),
            Self::NoKeyPermission => query(
                Forbidden,
                format!(
                    "{shown} does not let this user look at some of the keys, which are left out; grant ~* to see all: {}",
                    rights(command)
                ),
            ),
            Self::UnknownCommand => query(
                Forbidden,
                format!(
                    "{shown} does not know {command}: it is renamed, disabled or missing there; enable it, or take what the record has without it"
                ),
            ),
            Self::Loading => query(
                Unavailable,
                format!(
                    "{shown} is still loading its data from disk and answers {command} only afterwards; wait for loading:0 in INFO"
                ),
            ),
            Self::MasterDown => query(
                Unavailable,
                format!(
                    "{shown} is a replica that lost its master and answers no {command} meanwhile; look at master_link_status in INFO, or name the master"
                ),
            ),
            Self::Busy => source(
                Unavailable,
                format!(
                    "{shown} is busy with a script and answers no {command}; see SCRIPT KILL, or try again later"
                ),
            ),
            Self::Cluster => source(
                BadAnswer,
                format!(
                    "{shown} is part of a Redis Cluster, which is not supported: one record covers one server; make one PerformanceBaseline for each master, or name a server of its own"
                ),
            ),
            Self::TooManyClients => source(
                Unavailable,
                format!(
                    "{shown} has as many clients as it takes; raise maxclients, or look for clients that leak connections"
                ),
            ),
            Self::ProtectedMode => source(
                Forbidden,
                format!(
                    "{shown} is in protected mode and takes connections from its own host alone; set a password (requirepass or ACL) there"
                ),
            ),
            Self::OutOfMemory => query(
                Unavailable,
                format!(
                    "{shown} has no memory left to answer {command}; raise maxmemory or free memory there"
                ),
            ),
            Self::NoSuchDatabase => query(
                BadAnswer,
                format!(
                    "{shown} does not let us turn to a database that it lists; look at its setting databases"
                ),
            ),
            Self::NoPasswordSet => {
                query(BadAnswer, format!("{shown} asks for no password and was given one"))
            }
            Self::NoGoodMaster => source(
                Unavailable,
                format!("the Sentinel {shown} knows no master that answers; look at SENTINEL MASTERS there"),
            ),
            Self::Other => {
                query(BadAnswer, format!("{shown} refused {command}; try it there by hand as the same user"))
            }
        }
    }
}

/// Whether a missing right is one on a key, by the words of Redis 6, 7 and 7.2: "... no permissions to access one of the keys
/// used as arguments", "No permissions to access a key", "... no permissions to access the 'name' key".
fn is_about_a_key(detail: &str) -> bool {
    let text = detail.to_ascii_lowercase();
    text.contains("no permissions to access") && !text.contains("channel")
}

fn rights(command: &str) -> &'static str {
    if command.starts_with("SENTINEL") { SENTINEL_ACCESS } else { ACCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_reason_and_a_remedy_and_nothing_of_its_text() {
        use SourceReason::*;
        for (line, reason, remedy) in [
            ("NOAUTH Authentication required.", AuthenticationFailed, "key password"),
            ("ERR operation not permitted", AuthenticationFailed, "key password"),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                AuthenticationFailed,
                "check the keys",
            ),
            ("ERR invalid password", AuthenticationFailed, "check the keys"),
            ("NOPERM User canary has no permissions to run the 'scan' command", Forbidden, "+scan"),
            (
                "ERR unknown command 'MEMORY', with args beginning with: 'USAGE' 'canary' ",
                Forbidden,
                "renamed",
            ),
            ("ERR Unknown subcommand or wrong number of arguments for 'canary'.", Forbidden, "renamed"),
            ("LOADING Redis is loading the dataset in memory", Unavailable, "loading:0"),
            ("MASTERDOWN Link with MASTER is down", Unavailable, "name the master"),
            ("BUSY Redis is busy running a script.", Unavailable, "SCRIPT KILL"),
            ("MOVED 3999 10.0.0.7:6381", BadAnswer, "each master"),
            ("CLUSTERDOWN Hash slot not served", BadAnswer, "each master"),
            ("ERR max number of clients reached", Unavailable, "maxclients"),
            ("DENIED Redis is running in protected mode because ...", Forbidden, "requirepass"),
            ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable, "maxmemory"),
            ("ERR DB index is out of range", BadAnswer, "databases"),
            ("ERR something canary", BadAnswer, "by hand"),
            ("canary", BadAnswer, "by hand"),
        ] {
            let failure = Fault::of_line(line).failure("SCAN", "cache:6379");
            assert_eq!(failure.reason, reason, "{line}");
            assert!(failure.message.contains(remedy), "{line}: {failure}");
            assert!(failure.message.contains("cache:6379"), "{failure}");
            assert!(!failure.message.contains("canary"), "{failure}");
            assert!(failure.message.chars().count() <= crate::failure::MAX_MESSAGE, "{failure}");
        }
    }
}
