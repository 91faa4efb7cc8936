//! What identifies a run, and what starts one. Pure; shared by every kind.

use std::fmt;

use jiff::Timestamp;
use plimsoll_analysis::hash::sha256_parts;

/// What starts a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// What is measured changed, for the n-th time.
    Spec(i64),
    /// A slot of the schedule came.
    Slot(Timestamp),
    /// The annotation `plimsoll.dev/run` got a new value.
    Request(String),
    /// A run that failed for a passing reason is tried again for the n-th time.
    Retry {
        /// Which attempt, from 1.
        attempt: i32,
        /// Name of the run that failed last.
        of: String,
    },
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spec(count) => write!(formatter, "spec/{count}"),
            Self::Slot(slot) => write!(formatter, "slot/{slot}"),
            Self::Request(value) => write!(formatter, "request/{value}"),
            Self::Retry { attempt, of } => write!(formatter, "retry/{attempt}/{of}"),
        }
    }
}

/// The key of a run: `sha256:` and 64 hexadecimal digits over UID, spec hash and trigger.
#[must_use]
pub fn run_key(uid: &str, spec_hash: &str, trigger: &str) -> String {
    format!("sha256:{}", sha256_parts(&[uid, spec_hash, trigger]))
}

/// The name of a run, of its Job and of its ConfigMap: the first 40 characters of the resource's name, `-`, and ten
/// hexadecimal digits of the key; at most 51 characters, so that the name of the Job's pod and its labels fit.
///
/// Dots become dashes and the cut part never ends in a dash, so that the name is a DNS label.
#[must_use]
pub fn run_name(name: &str, key: &str) -> String {
    let head: String =
        name.chars().take(40).map(|character| if character == '.' { '-' } else { character }).collect();
    let digits = key.strip_prefix("sha256:").unwrap_or(key);
    format!("{}-{}", head.trim_end_matches('-'), &digits[..digits.len().min(10)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn triggers_read_as_the_design_says() {
        assert_eq!(Trigger::Spec(3).to_string(), "spec/3");
        assert_eq!(
            Trigger::Slot("2026-11-23T02:00:00Z".parse().unwrap()).to_string(),
            "slot/2026-11-23T02:00:00Z"
        );
        assert_eq!(Trigger::Request("now".to_owned()).to_string(), "request/now");
    }

    #[test]
    fn two_long_names_that_share_their_head_have_different_runs() {
        let head = "a".repeat(200);
        let of = |name: &str, uid: &str| run_name(name, &run_key(uid, "v1:x", "spec/1"));
        assert_ne!(of(&format!("{head}1"), "uid-1"), of(&format!("{head}2"), "uid-2"));
    }

    proptest! {
        #[test]
        fn a_run_name_is_a_dns_label(name in "[a-z0-9]([-a-z0-9.]{0,100}[a-z0-9])?", uid in "[0-9a-f]{8}") {
            let run = run_name(&name, &run_key(&uid, "v1:abc", "spec/1"));
            prop_assert!(run.len() <= 51);
            prop_assert!(run.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!run.starts_with('-') && !run.ends_with('-'));
        }
    }
}
