//! `cargo xtask test`: every check and test, cheapest first.

use anyhow::{Result, ensure};
use clap::Args;

use crate::generate;
use crate::process::{cargo, run, step};

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Also run what takes longer than CI allows.
    #[arg(long)]
    pub(crate) long: bool,
}

pub(crate) fn test(_options: &TestOptions) -> Result<()> {
    step("formatting", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("generated files", || generate::generate(true))?;
    step("layers: the pure crates stay pure", layers)?;
    step("lints", || {
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    })?;
    step("tests", || run(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"])))?;
    Ok(())
}

/// Which crates may not be below which of ours, directly or not.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("plimsoll-analysis", &["tokio", "kube", "reqwest", "plimsoll-api", "plimsoll-collect"]),
    ("plimsoll-api", &["tokio", "reqwest", "kube-runtime", "plimsoll-analysis"]),
    ("plimsoll-report", &["tokio", "kube", "reqwest", "plimsoll-api"]),
    ("plimsoll-operator", &["reqwest", "tokio-postgres", "redis", "plimsoll-collect"]),
];

fn layers() -> Result<()> {
    for (package, forbidden) in FORBIDDEN {
        let output = cargo()
            .args([
                "tree",
                "--locked",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--package",
                package,
            ])
            .output()?;
        ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        for name in forbidden {
            let below = tree.lines().any(|line| line.split(' ').next() == Some(name));
            ensure!(!below, "{package} depends on {name}; docs/architecture.md says which way edges point");
        }
    }
    Ok(())
}
