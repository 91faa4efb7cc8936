//! The fixed set of commands that this source may send. Nothing of a request becomes a command; a pattern or a key is
//! only ever an argument, and arguments are length-prefixed.

use redis::Cmd;

/// A command of the fixed set. All of them only read, none touches a key's idle time for eviction, and none takes the
/// server long: there is no `KEYS`, `EVAL`, `MONITOR`, `DEBUG` or `CONFIG SET`, and there must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Shows a user and a password.
    Auth { user: Option<&'a [u8]>, password: &'a [u8] },
    /// Names the connection, so that `CLIENT LIST` shows whose it is.
    SetName,
    /// Measures the way there and back.
    Ping,
    /// Reads the server's own figures, the default sections.
    Info,
    /// Reads whether the server defragments its memory by itself.
    DefragSetting,
    /// Turns to one of the numbered databases.
    Select(u32),
    /// Takes a step through the keys.
    Scan { cursor: u64, count: u32 },
    /// Takes a step through the keys and gives those that match.
    ScanMatching { cursor: u64, count: u32, pattern: &'a [u8] },
    /// Reads the type of a key.
    Type(&'a [u8]),
    /// Reads the memory of a key from a sample of its elements.
    MemoryUsage { key: &'a [u8], samples: u32 },
    /// Reads how long a key has to live.
    TimeToLive(&'a [u8]),
    /// Asks a Sentinel where a master is.
    MasterAddress(&'a str),
}

/// Name under which the connection shows in `CLIENT LIST`.
const CLIENT_NAME: &str = "plimsoll";
/// Most words of a command.
const MAX_WORDS: usize = 6;

impl Command<'_> {
    /// The command as an access control list and the server's documentation call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "AUTH",
            Self::SetName => "CLIENT SETNAME",
            Self::Ping => "PING",
            Self::Info => "INFO",
            Self::DefragSetting => "CONFIG GET",
            Self::Select(_) => "SELECT",
            Self::Scan { .. } | Self::ScanMatching { .. } => "SCAN",
            Self::Type(_) => "TYPE",
            Self::MemoryUsage { .. } => "MEMORY USAGE",
            Self::TimeToLive(_) => "PTTL",
            Self::MasterAddress(_) => "SENTINEL GET-MASTER-ADDR-BY-NAME",
        }
    }

    /// Most bytes of a command about a key as it is sent: its words, and a length of ten digits.
    pub(crate) fn most_bytes(&self) -> usize {
        match self {
            Self::MemoryUsage { key, .. } => key.len() + 72,
            Self::Type(key) | Self::TimeToLive(key) => key.len() + 32,
            _ => 64,
        }
    }

    /// The command as it is sent.
    pub(crate) fn encode(&self) -> Cmd {
        let mut command = Cmd::with_capacity(MAX_WORDS, self.most_bytes());
        command.arg(match self {
            Self::SetName => "CLIENT",
            Self::DefragSetting => "CONFIG",
            Self::MemoryUsage { .. } => "MEMORY",
            Self::MasterAddress(_) => "SENTINEL",
            _ => self.name(),
        });
        match self {
            Self::Auth { user, password } => {
                if let Some(user) = user {
                    command.arg(*user);
                }
                command.arg(*password);
            }
            Self::SetName => drop(command.arg("SETNAME").arg(CLIENT_NAME)),
            Self::Ping | Self::Info => {}
            Self::DefragSetting => drop(command.arg("GET").arg("activedefrag")),
            Self::Select(database) => drop(command.arg(*database)),
            Self::Scan { cursor, count } => drop(command.arg(*cursor).arg("COUNT").arg(*count)),
            Self::ScanMatching { cursor, count, pattern } => {
                command.arg(*cursor).arg("MATCH").arg(*pattern).arg("COUNT").arg(*count);
            }
            Self::Type(key) | Self::TimeToLive(key) => drop(command.arg(*key)),
            Self::MemoryUsage { key, samples } => {
                command.arg("USAGE").arg(*key).arg("SAMPLES").arg(*samples);
            }
            Self::MasterAddress(name) => drop(command.arg("GET-MASTER-ADDR-BY-NAME").arg(*name)),
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_about_a_key_is_no_longer_than_is_said() {
        let long = vec![b'x'; 100_000];
        for key in [&b""[..], b"k", &long] {
            for command in [
                Command::MemoryUsage { key, samples: u32::MAX },
                Command::Type(key),
                Command::TimeToLive(key),
            ] {
                let length = command.encode().get_packed_command().len();
                assert!((length..length + 24).contains(&command.most_bytes()), "{length}");
            }
        }
    }

    #[test]
    fn arguments_are_length_prefixed_whatever_they_hold() {
        let key = b"a\r\nFLUSHALL\r\n\0\xff";
        let packed = Command::Type(key).encode().get_packed_command();
        assert_eq!(packed, b"*2\r\n$4\r\nTYPE\r\n$15\r\na\r\nFLUSHALL\r\n\0\xff\r\n");
        let packed = Command::Auth { user: Some(b"u"), password: b"p w" }.encode().get_packed_command();
        assert_eq!(packed, b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$3\r\np w\r\n");
        let packed = Command::MemoryUsage { key: b"k", samples: 5 }.encode().get_packed_command();
        assert_eq!(packed, b"*5\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n$1\r\nk\r\n$7\r\nSAMPLES\r\n$1\r\n5\r\n");
    }
}
