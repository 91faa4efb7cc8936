//! Keys a second, and time of the server a key: ours, `redis-cli --memkeys`, and the server's own limit.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use plimsoll_cluster::{Server, server};
use serde_json::Value;

use super::server::{Folder, Running, beside, free_port};
use super::{binary, collect, median, output, spread};

/// Most keys that a spec may ask for.
const SAMPLE: u64 = 100_000;

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct RedisOptions {
    /// How many keys the server holds.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How often everything is measured, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measure this command line, instead of a release build of this tree.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What one way of reading did.
#[derive(Debug, Clone, Copy)]
struct Measured {
    keys_per_second: f64,
    /// Microseconds of the server's time a key, by `INFO commandstats`.
    server_us_per_key: f64,
}

pub(super) fn bench(options: &RedisOptions) -> Result<()> {
    let binary = binary(options.binary.as_deref())?;
    let program = server(Server::Redis7, &mut std::io::stderr())?;
    let (cli, benchmark) = (beside(&program, "redis-cli")?, beside(&program, "redis-benchmark")?);
    let folder = Folder::new("redis")?;
    let port = free_port()?;
    let mut command = Command::new(&program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
    let running = Running::start(command, &folder, port)?;
    let redis = Redis { cli, port: running.port };
    eprintln!("filling {} keys", options.keys);
    redis.fill(options.keys)?;
    let manifest = folder.path.join("baseline.json");
    std::fs::write(&manifest, spec(port).to_string()).context("write the baseline")?;

    let (mut to_memkeys, mut to_limit, mut server_time) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let ours = redis.ours(&binary, &manifest)?;
        let memkeys = redis.memkeys(options.keys)?;
        let limit = redis.limit(&benchmark, options.keys)?;
        eprintln!(
            "round {round}: ours {:.0} keys/s at {:.2} us of the server, --memkeys {:.0} keys/s at {:.2} us, limit {limit:.0} a second",
            ours.keys_per_second, ours.server_us_per_key, memkeys.keys_per_second, memkeys.server_us_per_key
        );
        to_memkeys.push(ours.keys_per_second / memkeys.keys_per_second);
        to_limit.push(ours.keys_per_second / limit);
        server_time.push(ours.server_us_per_key / memkeys.server_us_per_key);
    }
    eprintln!("\nkeys a second, ours to redis-cli --memkeys: {}", spread(&to_memkeys));
    eprintln!("keys a second, ours to the pipelined limit: {}", spread(&to_limit));
    eprintln!("time of the server a key, ours to redis-cli --memkeys: {}", spread(&server_time));
    eprintln!("(ours leaves the server alone for four fifths of the time: see docs/measurement.md)");
    ensure!(median(&to_memkeys).is_finite(), "nothing was measured");
    Ok(())
}

/// A baseline that reads as many keys as a spec may ask for, and nothing else.
fn spec(port: u16) -> Value {
    serde_json::json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "PerformanceBaseline",
        "metadata": {"name": "bench", "namespace": "bench"},
        "spec": {
            "sampleDuration": "0s",
            "sources": {"redis": {"host": "127.0.0.1", "port": port}},
            "cache": {"keyspace": {"sampleKeys": SAMPLE, "maxDuration": "5m"}, "sessionPrefix": ""},
        },
    })
}

struct Redis {
    cli: PathBuf,
    port: u16,
}

impl Redis {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.cli);
        command.args(["-p", &self.port.to_string()]);
        command
    }

    /// Strings of several sizes, hashes and lists, under the names that redis-benchmark asks for.
    fn fill(&self, keys: u64) -> Result<()> {
        let mut child = self
            .command()
            .arg("--pipe")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-cli --pipe")?;
        let mut input = BufWriter::new(child.stdin.take().context("redis-cli has no input")?);
        for key in 0..keys {
            let name = format!("key:{key:012}");
            match key % 10 {
                0 => write!(input, "HSET {name} farmer 1 quantity 12.5 shift am fat 4.1\r\n")?,
                1 => write!(input, "RPUSH {name} a b c d e f g h\r\n")?,
                _ => write!(input, "SET {name} {}\r\n", "x".repeat(10 + (key % 200) as usize))?,
            }
        }
        drop(input);
        ensure!(child.wait()?.success(), "redis-cli --pipe failed");
        let size: u64 = output(self.command().arg("DBSIZE"))?.trim().parse().context("DBSIZE")?;
        ensure!(size == keys, "{size} keys and not {keys}");
        Ok(())
    }

    /// Microseconds that the server spent in commands on keys since it was last asked to forget.
    fn server_us(&self) -> Result<f64> {
        let stats = output(self.command().args(["INFO", "commandstats"]))?;
        let commands = ["scan", "type", "memory|usage", "ttl", "pttl", "strlen", "object|encoding"];
        let of = |line: &str| {
            let (name, values) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let usec = values.split(',').find_map(|value| value.strip_prefix("usec="))?;
            commands.contains(&name).then(|| usec.parse::<f64>().ok())?
        };
        Ok(stats.lines().filter_map(of).sum())
    }

    fn reset(&self) -> Result<()> {
        output(self.command().args(["CONFIG", "RESETSTAT"])).map(drop)
    }

    fn ours(&self, binary: &Path, manifest: &Path) -> Result<Measured> {
        self.reset()?;
        let begin = Instant::now();
        let record = collect(binary, manifest)?;
        let seconds = begin.elapsed().as_secs_f64();
        let keys =
            record["cache_analysis"]["keyspace"]["sampled_keys"].as_f64().context("no keys were sampled")?;
        Ok(Measured { keys_per_second: keys / seconds, server_us_per_key: self.server_us()? / keys })
    }

    fn memkeys(&self, keys: u64) -> Result<Measured> {
        self.reset()?;
        let begin = Instant::now();
        output(self.command().arg("--memkeys"))?;
        let (seconds, keys) = (begin.elapsed().as_secs_f64(), keys as f64);
        Ok(Measured { keys_per_second: keys / seconds, server_us_per_key: self.server_us()? / keys })
    }

    /// How many such commands the server answers in a second at all, a hundred in one exchange.
    fn limit(&self, benchmark: &Path, keys: u64) -> Result<f64> {
        let port = self.port.to_string();
        let count = keys.to_string();
        let mut command = Command::new(benchmark);
        command.args(["-p", &port, "-P", "100", "-c", "1", "-r", &count, "-n", &count, "--csv"]).args([
            "MEMORY",
            "USAGE",
            "key:__rand_int__",
        ]);
        per_second(&output(&mut command)?)
    }
}

/// Requests a second of the last line that redis-benchmark printed.
fn per_second(csv: &str) -> Result<f64> {
    let line = csv.trim().lines().last().unwrap_or_default();
    let number = line.split("\",\"").nth(1).map(|text| text.trim_matches('"'));
    number.and_then(|text| text.parse().ok()).with_context(|| format!("redis-benchmark printed {csv:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_redis_benchmark_prints() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"MEMORY USAGE key:__rand_int__\",\"854700.88\",\"0.109\"\n";
        assert_eq!(per_second(csv).ok(), Some(854_700.88));
        assert!(per_second("").is_err());
    }
}
