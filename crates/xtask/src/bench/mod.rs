//! `cargo xtask bench`: what reading costs a server, beside the field's tools on the same server in the same run.
//!
//! The figures are this machine's and this hour's: only the ratios mean anything, and no test asserts them.

mod postgres;
mod redis;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use serde_json::Value;

use crate::process::{cargo, root, run, show};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading keys of a Redis: ours, `redis-cli --memkeys`, and as fast as the server answers at all.
    Redis(redis::RedisOptions),
    /// The rate of pgbench with a collection every so often and without one, in turns.
    Postgres(postgres::PostgresOptions),
}

pub(crate) fn bench(which: &Bench) -> Result<()> {
    match which {
        Bench::Redis(options) => redis::bench(options),
        Bench::Postgres(options) => postgres::bench(options),
    }
}

/// The command line to measure: the one given, or the release build of this tree.
fn binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let lock = plimsoll_cluster::build_lock()?;
    run(cargo().args(["build", "--locked", "--release", "--package", "plimsoll-cli", "--bin", "plimsoll"]))?;
    drop(lock);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/plimsoll"))
}

/// One collection by a process of its own; the record that it printed.
fn collect(binary: &Path, manifest: &Path) -> Result<Value> {
    let mut command = Command::new(binary);
    command.args(["collect", "-o", "json", "-f"]).arg(manifest).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("start {}", show(&command)))?;
    let record: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("`{}` printed no record: {}", show(&command), String::from_utf8_lossy(&output.stderr).trim())
    })?;
    ensure!(output.status.success(), "`{}` read too little: {}", show(&command), record["sources"]);
    Ok(record)
}

/// Runs a command and returns what it printed; fails where it fails.
fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {shown}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("`{shown}` failed with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// The middle of some numbers, the mean of the middle two where there is none; NaN of none.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// Median, lowest and highest of some numbers.
fn spread(numbers: &[f64]) -> String {
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.3} ({least:.3} to {most:.3} in {} rounds)", median(numbers), numbers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[1.0, 2.0]), "1.500 (1.000 to 2.000 in 2 rounds)");
    }
}
