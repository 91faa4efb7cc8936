//! Transactions a second of pgbench, with a collection every so often and without one, in turns (ABBA).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use plimsoll_cluster::{Server, server};
use serde_json::{Value, json};

use super::server::{Folder, Running, as_account, free_port};
use super::{binary, median, output, spread};

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct PostgresOptions {
    /// How long one run of pgbench takes, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Time from the start of one collection to that of the next, in seconds.
    #[arg(long, default_value_t = 15)]
    every: u64,
    /// How many rounds of four runs: without, with, with, without.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Connections of pgbench.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Scale of its tables: 100,000 rows each.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Measure this command line, instead of a release build of this tree.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

const DATABASE: &str = "smartdairy";

pub(super) fn bench(options: &PostgresOptions) -> Result<()> {
    ensure!(
        options.seconds > options.every,
        "no collection would be over in time: give --seconds more than --every"
    );
    ensure!(options.rounds > 0, "--rounds is 0: nothing to measure");
    let arguments = ["--package", "plimsoll-cli", "--bin", "plimsoll"];
    let binary = binary(options.binary.as_deref(), &arguments, "plimsoll")?;
    let bin = server(Server::Postgres15, &mut std::io::stderr())?;
    let folder = Folder::new("postgres")?;
    let postgres = Postgres::start(&bin, &folder)?;
    eprintln!("filling the tables of pgbench, scale {}", options.scale);
    output(postgres.program("pgbench").args(["-i", "-q", "-s", &options.scale.to_string(), DATABASE]))?;
    let manifest = folder.path.join("baseline.yaml");
    std::fs::write(&manifest, manifests(postgres.running.port)).context("write the baseline")?;
    collect(&binary, &manifest)?;

    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut rates = [0.0, 0.0];
        let mut collections = 0;
        for is_collected in [false, true, true, false] {
            let (rate, count) = postgres.rate(options, is_collected.then_some((&binary, &manifest)))?;
            rates[usize::from(is_collected)] += rate / 2.0;
            collections += count;
        }
        let ratio = rates[1] / rates[0];
        eprintln!(
            "round {round}: {:.0} transactions a second without, {:.0} with {collections} collections: {ratio:.3}",
            rates[0], rates[1]
        );
        without.push(rates[0]);
        with.push(rates[1]);
        ratios.push(ratio);
    }
    eprintln!("\ntransactions a second without: {}", spread(&without));
    eprintln!("transactions a second with a collection every {} s: {}", options.every, spread(&with));
    eprintln!("with to without, of the medians: {:.3}", median(&with) / median(&without));
    eprintln!("with to without, round by round: {} (goal: 0.99 at least)", spread(&ratios));
    Ok(())
}

/// One collection by a process of its own; fails where it read too little.
fn collect(binary: &Path, manifest: &Path) -> Result<()> {
    let mut command = Command::new(binary);
    output(command.args(["collect", "-o", "json", "-f"]).arg(manifest)).map(drop)
}

struct Postgres {
    bin: PathBuf,
    running: Running,
}

impl Postgres {
    fn start(bin: &Path, folder: &Folder) -> Result<Self> {
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([
            "--pgdata=data",
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--locale=C",
            "--encoding=UTF8",
        ]);
        output(as_account(&mut initdb, folder))?;
        let port = free_port()?;
        let mut command = Command::new(bin.join("postgres"));
        command.args(["-D", "data", "-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "shared_preload_libraries=pg_stat_statements", "-c", "shared_buffers=256MB"]);
        let running = Running::start(command, folder, port)?;
        let postgres = Self { bin: bin.to_owned(), running };
        for (database, statement) in [
            ("postgres", format!("CREATE DATABASE {DATABASE}")),
            (DATABASE, "CREATE EXTENSION pg_stat_statements".to_owned()),
            (DATABASE, "CREATE ROLE reader LOGIN PASSWORD 'reader'".to_owned()),
            (DATABASE, "GRANT pg_monitor TO reader".to_owned()),
        ] {
            output(postgres.program("psql").args(["--quiet", "--command", &statement, database]))?;
        }
        Ok(postgres)
    }

    /// A client program, as the superuser.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.running.port.to_string())
            .env("PGUSER", "postgres")
            // Right after its start the server may still say that it is starting.
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    /// Transactions a second of one run, and how many collections ran beside it.
    fn rate(&self, options: &PostgresOptions, collected: Option<(&PathBuf, &PathBuf)>) -> Result<(f64, u32)> {
        let mut pgbench = self
            .program("pgbench")
            .args([
                "-c",
                &options.clients.to_string(),
                "-j",
                "2",
                "-T",
                &options.seconds.to_string(),
                DATABASE,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start pgbench")?;
        let mut collections = 0;
        let mut next = Instant::now() + Duration::from_secs(options.every.min(options.seconds) / 2);
        while pgbench.try_wait()?.is_none() {
            if let Some((binary, manifest)) = collected.filter(|_| Instant::now() >= next) {
                next += Duration::from_secs(options.every);
                collect(binary, manifest)?;
                collections += 1;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = pgbench.wait_with_output()?;
        ensure!(output.status.success(), "pgbench failed with {}", output.status);
        Ok((transactions_per_second(&String::from_utf8_lossy(&output.stdout))?, collections))
    }
}

/// A baseline of the database alone with one snapshot, and its Secret.
fn manifests(port: u16) -> String {
    let baseline = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
        "metadata": {"name": "bench", "namespace": "bench"},
        "spec": {
            "sampleDuration": "0s",
            "sources": {"postgres": {"host": "127.0.0.1", "port": port, "database": DATABASE, "sslMode": "Disable",
                "credentials": {"secretRef": {"name": "pg"}}}},
            "database": {},
        },
    });
    let secret: Value = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg", "namespace": "bench"},
        "stringData": {"username": "reader", "password": "reader"},
    });
    format!("{baseline}\n---\n{secret}\n")
}

/// The rate that pgbench printed, without the time of connecting.
fn transactions_per_second(text: &str) -> Result<f64> {
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench printed no rate: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let text = "number of clients: 8\ninitial connection time = 9.5 ms\ntps = 1234.567890 (without initial connection time)\n";
        assert_eq!(transactions_per_second(text).ok(), Some(1_234.567_89));
        assert!(transactions_per_second("").is_err());
    }
}
