//! Transactions a second of pgbench, with a collection every so often and without one, in turns (ABBA); the transactions
//! that are missing around each collection; and the processor time of the collections, by which the first two are judged:
//! client and server share this machine, as they never do in a cluster.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use plimsoll_cluster::{Server, server};
use serde_json::{Value, json};

use super::progress::{mean_and_error, missing, seconds};
use super::server::{Folder, Running, START, as_account, free_port};
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
    let (mut collections, mut lost) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut rates = [0.0, 0.0];
        let before = collections.len();
        for is_collected in [false, true, true, false] {
            let run = postgres.run(options, &folder, is_collected.then_some((&binary, &manifest)))?;
            rates[usize::from(is_collected)] += run.rate / 2.0;
            collections.extend(run.collections);
            lost.extend(run.lost);
        }
        let (ratio, count) = (rates[1] / rates[0], collections.len() - before);
        eprintln!(
            "round {round}: {:.0} transactions a second without, {:.0} with {count} collections: {ratio:.3}",
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
    let (mean, error) = mean_and_error(&lost);
    let part = 100.0 / (options.every as f64 * median(&without));
    eprintln!(
        "\ntransactions missing in the seconds of a collection, against those beside them: {mean:.0} +- {error:.0} in {} collections:",
        lost.len()
    );
    eprintln!(
        "{:.2} % +- {:.2} % of the rate at one every {} s (goal: 1 % at most)",
        mean * part,
        error * part,
        options.every
    );
    cost(&collections, options.every)
}

/// Says what processor time a collection took, and what part that is of this machine's.
fn cost(collections: &[Collection], every: u64) -> Result<()> {
    let mean = |of: fn(&Collection) -> f64| {
        collections.iter().map(of).sum::<f64>() / collections.len().max(1) as f64
    };
    let (client, server) = (mean(|one| one.client_ms), mean(|one| one.server_ms));
    let cores = std::thread::available_parallelism()?.get() as f64;
    let part = (client + server) / (10.0 * cores * every as f64);
    eprintln!(
        "processor time of a collection: {client:.0} ms of its own process and {server:.0} ms of the server's: {part:.2} % of {cores} cores in {every} s"
    );
    Ok(())
}

/// One collection by a process of its own; fails where it read too little.
fn collect(binary: &Path, manifest: &Path) -> Result<()> {
    let mut command = Command::new(binary);
    output(command.args(["collect", "-o", "json", "-f"]).arg(manifest)).map(drop)
}

/// One run of pgbench.
struct Run {
    /// Transactions a second.
    rate: f64,
    collections: Vec<Collection>,
    /// Transactions missing around each collection that is not too close to an end of the run.
    lost: Vec<f64>,
}

/// What one collection took of the processors, milliseconds in steps of ten: only means over some say anything.
struct Collection {
    /// Its own process.
    client_ms: f64,
    /// Its backend, and whatever other process of the server ended meanwhile.
    server_ms: f64,
    /// Seconds of the Unix epoch.
    from: f64,
    until: f64,
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
        // It listens before it lets anybody in.
        let begun = Instant::now();
        while !postgres.program("pg_isready").stdout(Stdio::null()).status()?.success() {
            ensure!(begun.elapsed() < START, "PostgreSQL lets nobody in after {} s", START.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
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
            .env("PGCONNECT_TIMEOUT", "10");
        command
    }

    /// One run, perhaps with collections.
    fn run(
        &self,
        options: &PostgresOptions,
        folder: &Folder,
        collected: Option<(&PathBuf, &PathBuf)>,
    ) -> Result<Run> {
        // None falls into the run: after one PostgreSQL writes whole pages, which takes far more than a collection.
        output(self.program("psql").args(["--quiet", "--command", "CHECKPOINT", DATABASE]))?;
        let log = folder.path.join("progress");
        let mut command = self.program("pgbench");
        command.args(["-c", &options.clients.to_string(), "-j", "2", "-T", &options.seconds.to_string()]);
        let mut pgbench = command
            .args(["-P", "1", "--progress-timestamp", DATABASE])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).with_context(|| format!("write {}", log.display()))?)
            .spawn()
            .context("start pgbench")?;
        let mut collections = Vec::new();
        let mut next = Instant::now() + Duration::from_secs(options.every.min(options.seconds) / 2);
        while pgbench.try_wait()?.is_none() {
            if let Some((binary, manifest)) = collected.filter(|_| Instant::now() >= next) {
                next += Duration::from_secs(options.every);
                collections.push(self.collection(binary, manifest)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = pgbench.wait_with_output()?;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(output.status.success(), "pgbench failed with {}: {said}", output.status);
        let seconds = seconds(&said);
        let lost = collections.iter().filter_map(|one| missing(&seconds, one.from, one.until)).collect();
        let rate = transactions_per_second(&String::from_utf8_lossy(&output.stdout))?;
        Ok(Run { rate, collections, lost })
    }

    fn collection(&self, binary: &Path, manifest: &Path) -> Result<Collection> {
        let (own, server) = (std::process::id(), self.running.id());
        let before = (epoch()?, ended_children_ms(own)?, ended_children_ms(server)?);
        collect(binary, manifest)?;
        let until = epoch()?;
        // The server notices the end of a backend a moment after its client.
        std::thread::sleep(Duration::from_millis(100));
        let (client_ms, server_ms) =
            (ended_children_ms(own)? - before.1, ended_children_ms(server)? - before.2);
        Ok(Collection { client_ms, server_ms, from: before.0, until })
    }
}

fn epoch() -> Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64())
}

/// Processor time of the children of a process that have ended and been waited for, milliseconds: fields 16 and 17 of
/// /proc/PID/stat (proc(5)) in ticks, of which this architecture has a hundred a second.
fn ended_children_ms(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("read the processor time of process {process}"))?;
    ended_children_ticks(&stat).map(|ticks| ticks * 10.0).with_context(|| format!("no times in {stat}"))
}

fn ended_children_ticks(stat: &str) -> Option<f64> {
    // The second field is a name in parentheses, with whatever in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(13);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
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

    #[test]
    fn the_time_of_ended_children_is_found_behind_whatever_name() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 991 5 0 0 1 2 30 4 20 0 1 0 55 9 8 7";
        assert_eq!(ended_children_ticks(stat), Some(34.0));
        assert_eq!(ended_children_ticks("77 (a) S 1"), None);
    }
}
