//! Keys a second of a Redis: ours, `redis-cli --memkeys`, and the server's own limit; and what others feel of it.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use plimsoll_cluster::{Server, server};
use serde_json::Value;

use super::relay::Relay;
use super::server::{Folder, Running, beside, free_port};
use super::{binary, median, output, spread};

/// Most keys that a spec may ask for.
const SAMPLE: u64 = 100_000;
/// Part of the server's time that a run takes at most, percent.
const DUTY: u8 = 20;
/// Most keys in one pipeline of ours.
const MAX_BATCH: f64 = 128.0;

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct RedisOptions {
    /// How many keys the server holds.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How often everything is measured, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many GETs each run of the foreground sends.
    #[arg(long, default_value_t = 500_000)]
    gets: u64,
    /// Microseconds that a network between us and the server would take each way, for all that reads keys: 0 is loopback
    /// as it is. Only the speed is measured then, and --memkeys takes minutes for a million keys.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    latency: u64,
    /// Measure this build of the example `read_keys` of plimsoll-collect, instead of a release build of this tree.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What one way of reading did.
#[derive(Debug, Clone, Copy)]
struct Measured {
    keys: f64,
    keys_per_second: f64,
    /// Microseconds of the server's time a key, by `INFO commandstats`.
    server_us_per_key: f64,
}

pub(super) fn bench(options: &RedisOptions) -> Result<()> {
    ensure!(options.rounds > 0 && options.keys >= 1000, "give --rounds 1 and --keys 1000 at least");
    let arguments = ["--package", "plimsoll-collect", "--example", "read_keys"];
    let reader = binary(options.binary.as_deref(), &arguments, "examples/read_keys")?;
    let program = server(Server::Redis7, &mut std::io::stderr())?;
    let (cli, benchmark) = (beside(&program, "redis-cli")?, beside(&program, "redis-benchmark")?);
    let folder = Folder::new("redis")?;
    let port = free_port()?;
    let mut command = Command::new(&program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
    command.args(["--slowlog-log-slower-than", "1000", "--slowlog-max-len", "1000000"]);
    let running = Running::start(command, &folder, port)?;
    let relay = (options.latency > 0)
        .then(|| Relay::start(running.port, Duration::from_micros(options.latency)))
        .transpose()?;
    let reading_port = relay.as_ref().map_or(running.port, |relay| relay.port);
    let redis = Redis { cli, benchmark, reader, port: running.port, reading_port, keys: options.keys };
    eprintln!("filling {} keys", options.keys);
    redis.fill()?;
    speed(&redis, options)?;
    if relay.is_some() {
        return Ok(());
    }
    steps(&redis, options.rounds)?;
    foreground(&redis, options)
}

/// Of so many keys one is asked for type and expiry too, once enough of its prefix are known.
const DETAIL_EVERY: f64 = 16.0;

/// Keys a second with all of the server's time, beside the others on the same server.
fn speed(redis: &Redis, options: &RedisOptions) -> Result<()> {
    let [mut to_memkeys, mut to_limit, mut to_memory, mut server_time] = [const { Vec::new() }; 4];
    for round in 1..=options.rounds {
        let ours = redis.ours(redis.keys, 100)?;
        let memkeys = redis.memkeys()?;
        let [memory, kind, expiry] =
            [&["MEMORY", "USAGE"][..], &["TYPE"], &["PTTL"]].map(|command| redis.limit(command));
        let (memory, kind, expiry) = (memory?, kind?, expiry?);
        let limit = 1.0 / (1.0 / memory + (1.0 / kind + 1.0 / expiry) / DETAIL_EVERY);
        eprintln!(
            "round {round}: ours {:.0} keys/s at {:.2} us of the server a key; --memkeys {:.0} keys/s at {:.2} us; limit {limit:.0} keys/s (a second: {memory:.0} MEMORY USAGE, {kind:.0} TYPE, {expiry:.0} PTTL)",
            ours.keys_per_second, ours.server_us_per_key, memkeys.keys_per_second, memkeys.server_us_per_key
        );
        to_memkeys.push(ours.keys_per_second / memkeys.keys_per_second);
        to_limit.push(ours.keys_per_second / limit);
        to_memory.push(ours.keys_per_second / memory);
        server_time.push(ours.server_us_per_key / memkeys.server_us_per_key);
    }
    eprintln!(
        "\nAll keys, with all of the server's time. Ours is a whole collection: INFO, SCAN of every key, and"
    );
    eprintln!(
        "MEMORY USAGE of each, and TYPE and PTTL of every sixteenth, in a process of its own. --memkeys sends SCAN, TYPE and"
    );
    match options.latency {
        0 => eprintln!(
            "MEMORY USAGE, one pipeline after another: over a network it waits for each, here for none."
        ),
        micros => eprintln!(
            "MEMORY USAGE, one pipeline after another. Both read over a link of {micros} us each way; the limit without it."
        ),
    }
    eprintln!("keys a second, ours to redis-cli --memkeys: {} (goal: 5 at least)", spread(&to_memkeys));
    eprintln!(
        "keys a second, ours to the limit of the same commands, each by redis-benchmark -P 100, without"
    );
    eprintln!("SCAN: {} (goal: 0.8 at least)", spread(&to_limit));
    eprintln!("keys a second, ours to the limit of MEMORY USAGE alone: {}", spread(&to_memory));
    eprintln!("time of the server a key, ours to redis-cli --memkeys: {}", spread(&server_time));
    Ok(())
}

/// The rate of a run's own settings, and how many of its steps took the server longer than a millisecond.
fn steps(redis: &Redis, rounds: u32) -> Result<()> {
    let (mut rates, mut good) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        output(redis.command().args(["SLOWLOG", "RESET"]))?;
        let ours = redis.ours(SAMPLE.min(redis.keys), DUTY)?;
        let slow = redis.slow()?;
        let steps = redis.stat("calls=", &["scan"])? + (ours.keys / MAX_BATCH).ceil();
        eprintln!(
            "round {round}: {:.0} keys at {:.0} keys/s, {slow} of {steps} steps at least over 1 ms",
            ours.keys, ours.keys_per_second
        );
        rates.push(ours.keys_per_second);
        good.push(1.0 - slow as f64 / steps);
    }
    eprintln!("\nAt most {DUTY} % of the server's time, as in a run:");
    eprintln!("keys a second: {}", spread(&rates));
    eprintln!("part of the steps at or under 1 ms by SLOWLOG: {} (goal: 0.99 at least)", spread(&good));
    Ok(())
}

/// The time that others wait for a GET, with one run after the other and without any, in turns (ABBA).
fn foreground(redis: &Redis, options: &RedisOptions) -> Result<()> {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut waits = [0.0, 0.0];
        for is_read in [false, true, true, false] {
            waits[usize::from(is_read)] += redis.wait_for_gets(options.gets, is_read)? / 2.0;
        }
        eprintln!("round {round}: p99 of GET {:.3} ms without, {:.3} ms with", waits[0], waits[1]);
        without.push(waits[0]);
        with.push(waits[1]);
    }
    eprintln!("\np99 of GET without, ms: {}", spread(&without));
    eprintln!("p99 of GET with one run after the other, ms: {}", spread(&with));
    let (before, after) = (median(&without), median(&with));
    eprintln!(
        "of the medians: {:.3} ms more, {:.3} times (goal: 0.3 ms more or 1.1 times at most)",
        after - before,
        after / before
    );
    Ok(())
}

struct Redis {
    cli: PathBuf,
    benchmark: PathBuf,
    /// The example that reads keys with the product's own code.
    reader: PathBuf,
    port: u16,
    /// Where keys are read: the relay's where there is one.
    reading_port: u16,
    keys: u64,
}

impl Redis {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.cli);
        command.args(["-p", &self.port.to_string()]);
        command
    }

    /// Strings of several sizes, hashes and lists, under the names that redis-benchmark asks for; the first eight of ten
    /// are strings.
    fn fill(&self) -> Result<()> {
        let mut child = self
            .command()
            .arg("--pipe")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("start redis-cli --pipe")?;
        let mut input = BufWriter::new(child.stdin.take().context("redis-cli has no input")?);
        for key in 0..self.keys {
            let name = format!("key:{key:012}");
            match key * 10 / self.keys {
                8 => write!(input, "HSET {name} farmer 1 quantity 12.5 shift am fat 4.1\r\n")?,
                9 => write!(input, "RPUSH {name} a b c d e f g h\r\n")?,
                _ => write!(input, "SET {name} {}\r\n", "x".repeat(10 + (key % 200) as usize))?,
            }
        }
        input.flush()?;
        drop(input);
        ensure!(child.wait()?.success(), "redis-cli --pipe failed");
        let size: u64 = output(self.command().arg("DBSIZE"))?.trim().parse().context("DBSIZE")?;
        ensure!(size == self.keys, "{size} keys and not {}", self.keys);
        Ok(())
    }

    /// The sum of a figure of commands since the server was last asked to forget.
    fn stat(&self, figure: &str, commands: &[&str]) -> Result<f64> {
        let stats = output(self.command().args(["INFO", "commandstats"]))?;
        let of = |line: &str| {
            let (name, values) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let value = values.split(',').find_map(|value| value.strip_prefix(figure))?;
            commands.contains(&name).then(|| value.trim().parse::<f64>().ok())?
        };
        Ok(stats.lines().filter_map(of).sum())
    }

    /// How many commands of ours took the server longer than a millisecond: the name of an entry's client is a line.
    fn slow(&self) -> Result<usize> {
        let log = output(self.command().args(["SLOWLOG", "GET", "-1"]))?;
        Ok(log.lines().filter(|line| line.trim() == "plimsoll").count())
    }

    fn measured(&self, work: impl FnOnce() -> Result<f64>) -> Result<Measured> {
        output(self.command().args(["CONFIG", "RESETSTAT"]))?;
        let begin = Instant::now();
        let keys = work()?;
        let seconds = begin.elapsed().as_secs_f64();
        let server_us = self.stat("usec=", &["scan", "type", "memory|usage", "ttl", "pttl"])?;
        Ok(Measured { keys, keys_per_second: keys / seconds, server_us_per_key: server_us / keys })
    }

    fn reader(&self, keys: u64, duty: u8) -> Command {
        let mut command = Command::new(&self.reader);
        command.args([self.reading_port.to_string(), keys.to_string(), duty.to_string()]);
        command
    }

    fn ours(&self, keys: u64, duty: u8) -> Result<Measured> {
        self.measured(|| {
            let answer: Value = serde_json::from_str(&output(&mut self.reader(keys, duty))?)?;
            let read = answer["sampled_keys"].as_u64().context("no keys were read")?;
            ensure!(read == keys, "{read} keys were read and not {keys}: {answer}");
            Ok(read as f64)
        })
    }

    fn memkeys(&self) -> Result<Measured> {
        let mut command = Command::new(&self.cli);
        command.args(["-p", &self.reading_port.to_string(), "--memkeys"]);
        self.measured(|| output(&mut command).map(|_| self.keys as f64))
    }

    /// How many such commands about random keys the server answers in a second at all, a hundred in one exchange.
    fn limit(&self, command: &[&str]) -> Result<f64> {
        let count = self.keys.to_string();
        let mut benchmark = self.benchmark();
        benchmark.args(["-P", "100", "-r", &count, "-n", &count, "--csv"]);
        csv_number(&output(benchmark.args(command).arg("key:__rand_int__"))?, PER_SECOND)
    }

    fn benchmark(&self) -> Command {
        let mut command = Command::new(&self.benchmark);
        command.args(["-p", &self.port.to_string()]);
        command
    }

    /// 99th percentile of the times of GETs by eight clients, in milliseconds, perhaps with run after run beside them.
    fn wait_for_gets(&self, count: u64, is_read: bool) -> Result<f64> {
        let readers = is_read.then(|| Readers::start(self)).transpose()?;
        let strings = (self.keys / 10 * 8).to_string();
        let mut benchmark = self.benchmark();
        benchmark.args(["-c", "8", "-r", &strings, "-n", &count.to_string(), "--csv"]);
        let text = output(benchmark.args(["GET", "key:__rand_int__"]))?;
        if let Some(readers) = readers {
            readers.stop()?;
        }
        csv_number(&text, P99)
    }
}

/// A shell that reads keys at a run's settings again and again, until it is ended.
struct Readers(Child);

impl Readers {
    fn start(redis: &Redis) -> Result<Self> {
        let script = r#"trap 'kill $reader 2>/dev/null; exit 0' TERM
            while :; do "$@" >/dev/null & reader=$!; wait $reader || exit 1; done"#;
        let reader = redis.reader(SAMPLE.min(redis.keys), DUTY);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(reader.get_program()).args(reader.get_args());
        Ok(Self(shell.stdin(Stdio::null()).spawn().context("start sh")?))
    }

    /// Ends it; fails where it had ended by itself.
    fn stop(mut self) -> Result<()> {
        let ended = self.0.try_wait()?;
        ensure!(ended.is_none(), "reading keys beside GETs failed; what it said stands above");
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Column of redis-benchmark's CSV: requests a second.
const PER_SECOND: usize = 1;
/// Column of redis-benchmark's CSV: 99th percentile of the time of a request, milliseconds.
const P99: usize = 6;

/// A number of the last line that redis-benchmark printed.
fn csv_number(csv: &str, column: usize) -> Result<f64> {
    let line = csv.trim().lines().last().unwrap_or_default();
    let number = line.split("\",\"").nth(column).map(|text| text.trim_matches('"'));
    number.and_then(|text| text.parse().ok()).with_context(|| format!("redis-benchmark printed {csv:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_what_redis_benchmark_prints() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n\"GET key:__rand_int__\",\"854700.88\",\"0.109\",\"0.016\",\"0.103\",\"0.151\",\"0.207\",\"1.1\"\n";
        assert_eq!(csv_number(csv, PER_SECOND).ok(), Some(854_700.88));
        assert_eq!(csv_number(csv, P99).ok(), Some(0.207));
        assert!(csv_number("", P99).is_err());
    }
}
