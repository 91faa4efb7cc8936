//! `cargo xtask bench`: what reading costs a server, beside the field's tools on the same server in the same run.
//!
//! The figures are this machine's and this hour's: only the ratios mean anything, and no test asserts them.

mod postgres;
mod progress;
mod redis;
mod relay;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::process::{cargo, root, run, show};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Reading keys of a Redis: ours, `redis-cli --memkeys`, as fast as the server answers at all, and what others feel.
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

/// Longest that one command of a benchmark may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The program to measure: the one given, or the release build of this tree, as cargo's `arguments` choose it; `file` is
/// where the build leaves it.
fn binary(given: Option<&Path>, arguments: &[&str], file: &str) -> Result<PathBuf> {
    if let Some(path) = given {
        return path.canonicalize().with_context(|| format!("--binary: there is no {}", path.display()));
    }
    let lock = plimsoll_cluster::build_lock()?;
    run(cargo().args(["build", "--locked", "--release"]).args(arguments))?;
    drop(lock);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(file))
}

/// Runs a command and returns what it printed; fails where it fails or takes longer than [`LIMIT`].
fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {shown}"))?;
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        Command::new("kill").args(["-KILL", &id.to_string()]).status().context("start kill")?;
        bail!("`{shown}` took longer than {} s; measure less, or on a quieter machine", LIMIT.as_secs());
    };
    let output = output.with_context(|| format!("wait for {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    bail!("`{shown}` failed with {}: {}{text}", output.status, String::from_utf8_lossy(&output.stderr))
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
