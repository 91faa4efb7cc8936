//! Who agreed that this machine is changed.

use std::cell::Cell;
use std::io::{IsTerminal, Write};

use crate::error::ClusterError;

/// How somebody may agree to a change of the machine: packages, kernel settings, firewall rules, network devices.
///
/// Nothing is asked until something would be changed, so a cluster that already runs needs no consent.
#[derive(Debug)]
pub struct Consent {
    source: Source,
    agreed: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `--local-cluster`, or `CI=true`.
    Given,
    /// A person at a terminal can be asked.
    Terminal,
    /// Nobody can be asked.
    Nobody,
}

impl Consent {
    /// Consent by the flag `--local-cluster` (`flag`), by `CI=true` in the environment, or by a yes at a terminal.
    #[must_use]
    pub fn new(flag: bool) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self::of(flag, std::env::var("CI").ok().as_deref(), terminal)
    }

    fn of(flag: bool, ci: Option<&str>, terminal: bool) -> Self {
        let source = if flag || ci == Some("true") {
            Source::Given
        } else if terminal {
            Source::Terminal
        } else {
            Source::Nobody
        };
        Self { source, agreed: Cell::new(source == Source::Given) }
    }

    /// Returns when somebody agreed to `changes`; asks once a run where a person is at a terminal.
    ///
    /// # Errors
    /// [`ClusterError::NoConsent`] with these changes where nobody agreed.
    pub fn require(&self, changes: &[String]) -> Result<(), ClusterError> {
        self.require_with(changes, ask)
    }

    fn require_with(
        &self,
        changes: &[String],
        ask: impl FnOnce(&[String]) -> bool,
    ) -> Result<(), ClusterError> {
        if changes.is_empty() || self.agreed.get() {
            return Ok(());
        }
        if self.source == Source::Terminal && ask(changes) {
            self.agreed.set(true);
            return Ok(());
        }
        Err(ClusterError::NoConsent { changes: changes.to_vec() })
    }
}

/// Asks at the terminal; only `y` and `yes` agree.
fn ask(changes: &[String]) -> bool {
    let mut terminal = std::io::stderr();
    let mut question = String::from("This changes the machine:\n");
    for change in changes {
        question.push_str("  - ");
        question.push_str(change);
        question.push('\n');
    }
    question.push_str("Go on? [y/N] ");
    if terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).is_err() {
        return false;
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && is_yes(&answer)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<String> {
        vec!["install runc".into()]
    }

    #[test]
    fn a_flag_or_ci_true_agrees_without_a_question() {
        for (flag, ci) in [(true, None), (false, Some("true"))] {
            let consent = Consent::of(flag, ci, false);
            assert!(consent.require_with(&changes(), |_| panic!("asked")).is_ok());
        }
    }

    #[test]
    fn without_flag_terminal_or_exactly_ci_true_it_is_refused_with_exit_status_2() {
        for ci in [None, Some("1"), Some("false"), Some("")] {
            let refused = Consent::of(false, ci, false).require_with(&changes(), |_| panic!("asked"));
            let error = refused.expect_err("nobody agreed");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("--local-cluster"), "{error}");
            assert!(error.to_string().contains("install runc"), "{error}");
        }
    }

    #[test]
    fn a_yes_at_the_terminal_is_asked_for_once() {
        let consent = Consent::of(false, None, true);
        assert!(consent.require_with(&changes(), |_| true).is_ok());
        assert!(consent.require_with(&changes(), |_| panic!("asked twice")).is_ok());
    }

    #[test]
    fn a_no_at_the_terminal_is_a_refusal() {
        assert!(Consent::of(false, None, true).require_with(&changes(), |_| false).is_err());
    }

    #[test]
    fn nothing_to_change_needs_no_consent() {
        assert!(Consent::of(false, None, false).require_with(&[], |_| panic!("asked")).is_ok());
    }

    #[test]
    fn only_y_and_yes_agree() {
        for (answer, agrees) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("no\n", false), ("yep\n", false), ("", false)]
        {
            assert_eq!(is_yes(answer), agrees, "{answer:?}");
        }
    }
}
