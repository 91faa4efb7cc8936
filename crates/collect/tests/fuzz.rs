//! Answers that nobody meant: real servers' bytes, changed on their way at random places. Whatever comes, a collection
//! ends in time, without a panic, in bounded memory, with a record that can be written and read.
//!
//! On the stable compiler and in seconds; a failure names its seed. The pure parsers have property tests beside them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]
#![allow(clippy::print_stderr, reason = "how the cases ended")]

#[path = "support/redis.rs"]
mod redis_server;
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, SourceState};
use plimsoll_analysis::request::BaselineRequest;
use plimsoll_collect::Keys;
use serde::Deserialize;
use support::http::{Received, Server, answer, empty};
use support::pg::{DATABASE, Options, Postgres, READER, READER_PASSWORD, request_as};
use support::proxy::{Change, Flow, Proxy};
use support::{parameters, request, run_for, source};

/// How many collections of each source, unless `PLIMSOLL_FUZZ_CASES` says otherwise; the first seed is
/// `PLIMSOLL_FUZZ_SEED` or 0.
const CASES: u64 = 96;
/// How many at once.
const AT_ONCE: u64 = 16;
/// Longest for one; what waits for bytes that never come ends here.
const LIMIT: Duration = Duration::from_millis(1500);
/// How long after it may end: a cancel request, a goodbye, and a machine that does much else.
const GRACE: Duration = Duration::from_secs(4);
/// Most that the process may grow, in KiB: the memory limit of a Job, though so many run at once.
const MEMORY_KIB: u64 = 256 * 1024;

/// Marsaglia's xorshift64*: the same numbers for the same seed on every machine.
struct Random(u64);

impl Random {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound.max(1)
    }
}

/// One change: at which byte, how many are taken out, what is put in.
#[derive(Debug, Clone)]
struct Mutation {
    at: u64,
    taken: usize,
    put: Vec<u8>,
}

fn mutation(random: &mut Random, whole: u64) -> Mutation {
    let snippets: [&[u8]; 14] = [
        b"\0",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\r\n",
        b"-1",
        b"99999999999999999999",
        b"NaN",
        b"1e999",
        b"*1000000\r\n",
        b"$-2\r\n",
        b"{\"",
        b"[[[[[[[[",
        b"\xf0\x9f\x90\x84",
    ];
    let put = match random.below(4) {
        0 => Vec::new(),
        1 => (0..random.below(4) + 1).map(|_| u8::try_from(random.below(256)).unwrap()).collect(),
        _ => snippets[usize::try_from(random.below(14)).unwrap()].to_vec(),
    };
    let taken = if random.below(2) == 0 { put.len() } else { usize::try_from(random.below(12)).unwrap() };
    Mutation { at: random.below(whole), taken, put }
}

fn mutations(seed: u64, whole: u64) -> Vec<Mutation> {
    let mut random = Random::of(seed);
    let mut found: Vec<Mutation> = (0..random.below(3) + 1).map(|_| mutation(&mut random, whole)).collect();
    // From the back, so that one does not move the place of the next.
    found.sort_by_key(|mutation| std::cmp::Reverse(mutation.at));
    found
}

fn apply(mutations: &[Mutation], before: u64, bytes: &mut Vec<u8>) {
    let end = before + bytes.len() as u64;
    for mutation in mutations.iter().filter(|one| one.at >= before && one.at < end) {
        let start = usize::try_from(mutation.at - before).unwrap().min(bytes.len());
        let stop = (start + mutation.taken).min(bytes.len());
        bytes.splice(start..stop, mutation.put.iter().copied());
    }
}

fn change(mutations: Vec<Mutation>) -> Change {
    Box::new(move |before, bytes| {
        apply(&mutations, before, bytes);
        Flow::On
    })
}

/// Panics of any thread since the first call: a task that panics by itself would not fail the test.
fn panics() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            shown(info);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}

/// The most memory that this process has had, in KiB (`proc_pid_status(5)`).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn judge(seed: u64, record: &BaselineRecord, took: Duration) -> SourceState {
    let found = source(record);
    assert!(took < LIMIT + GRACE, "seed {seed}: {took:?}: {found:?}");
    let is_said =
        found.state == SourceState::Collected || found.message.as_ref().is_some_and(|text| !text.is_empty());
    assert!(is_said, "seed {seed}: {found:?}");
    // A number that is not finite would have no JSON, and a NaN would not be itself.
    let text = serde_json::to_string(record).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert_eq!(&serde_json::from_str::<BaselineRecord>(&text).unwrap(), record, "seed {seed}");
    found.state
}

/// Runs all cases; how many ended in which state.
async fn cases<F>(one: impl Fn(u64) -> F) -> BTreeMap<String, u32>
where
    F: Future<Output = (BaselineRecord, Duration)> + Send + 'static,
{
    let (panicked, memory) = (panics(), peak_kib());
    let mut states = BTreeMap::new();
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, cases) =
        (given("PLIMSOLL_FUZZ_SEED").unwrap_or(0), given("PLIMSOLL_FUZZ_CASES").unwrap_or(CASES));
    for batch in 0..cases.div_ceil(AT_ONCE) {
        let running: Vec<_> = (0..AT_ONCE)
            .map(|number| first + batch * AT_ONCE + number)
            .map(|seed| (seed, tokio::spawn(one(seed))))
            .collect();
        for (seed, task) in running {
            let (record, took) = task.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            *states.entry(format!("{:?}", judge(seed, &record, took))).or_insert(0) += 1;
        }
    }
    assert_eq!(panics() - panicked, 0, "a task panicked");
    let grown = peak_kib() - memory;
    assert!(grown < MEMORY_KIB, "{} MiB", grown / 1024);
    eprintln!("{cases} cases from seed {first}: {states:?}, {} MiB", grown / 1024);
    states
}

async fn timed(request: BaselineRequest, keys: Keys) -> (BaselineRecord, Duration) {
    let begin = Instant::now();
    let record = run_for(&request, keys, LIMIT).await;
    (record, begin.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_of_a_postgresql_server() {
    let mut options = Options::new(15);
    options.settings = vec![("max_connections", "60".to_owned())];
    let Some(server) = Postgres::start(&options).await else { return };
    server
        .sql(
            DATABASE,
            "CREATE TABLE farmer (id int PRIMARY KEY); INSERT INTO farmer SELECT generate_series(1, 100)",
        )
        .await;
    let plain = Proxy::plain(server.port).await;
    let (request, keys) = request_as(plain.port, DATABASE, READER, READER_PASSWORD);
    let (record, _) = timed(request, keys).await;
    assert_ne!(source(&record).state, SourceState::Failed, "{:?}", source(&record));
    let (port, whole) = (server.port, plain.received());
    let states = cases(move |seed| async move {
        let mutations = mutations(seed, whole);
        let proxy = Proxy::start(port, move |_| change(mutations.clone())).await;
        let (request, keys) = request_as(proxy.port, DATABASE, READER, READER_PASSWORD);
        timed(request, keys).await
    })
    .await;
    assert!(states.len() > 1, "every case ended alike, so that nothing was changed: {states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_of_a_redis_server() {
    use redis_server::{Version, parts, start, wanted};
    let Some(server) = start(Version::Redis7, &[]) else { return };
    for number in 0..300 {
        let kind = ["session", "cache", "queue"][number % 3];
        server.run::<redis::Value>(&["SET", &format!("{kind}:{number}"), "x"]);
    }
    let plain = Proxy::plain(server.port).await;
    let (record, _) = timed(wanted(request(""), parts(plain.port, false)), Keys::default()).await;
    assert_ne!(source(&record).state, SourceState::Failed, "{:?}", source(&record));
    let (port, whole) = (server.port, plain.received());
    let states = cases(move |seed| async move {
        let mutations = mutations(seed, whole);
        let proxy = Proxy::start(port, move |_| change(mutations.clone())).await;
        timed(wanted(request(""), parts(proxy.port, false)), Keys::default()).await
    })
    .await;
    assert!(states.len() > 1, "every case ended alike, so that nothing was changed: {states:?}");
}

/// One answer of a real Prometheus.
#[derive(Debug, Clone, Deserialize)]
struct Exchange {
    asked: String,
    status: u16,
    body: String,
}

/// The path and the parameters of a request but for the time limit, as they were recorded.
fn asked(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut parameters = parameters(target);
    parameters.remove("timeout");
    let parameters: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{path} {}", parameters.join("&"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_of_a_prometheus_server() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bodies/prometheus-3/session.jsonl");
    let recorded: BTreeMap<String, Exchange> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|one: Exchange| (one.asked.clone(), one))
        .collect();
    let recorded = Arc::new(recorded);
    let changed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&changed);
    let states = cases(move |seed| {
        let (recorded, changed) = (Arc::clone(&recorded), Arc::clone(&count));
        async move {
            let number = AtomicU64::new(0);
            let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
                let number = number.fetch_add(1, Ordering::SeqCst);
                let Some(known) = recorded.get(&asked(&request.target)) else {
                    let _ = stream.write_all(&empty(&request.target));
                    return;
                };
                let mut body = known.body.clone().into_bytes();
                // Some answers come as they are, so that the run goes on to what follows them.
                if Random::of(seed * 1000 + number).below(6) == 0 {
                    apply(&mutations(seed * 1000 + number, body.len() as u64), 0, &mut body);
                    changed.fetch_add(1, Ordering::SeqCst);
                }
                let _ = stream.write_all(&answer(&known.status.to_string(), "", &body));
            });
            let mut wanted = request(&server.url());
            wanted.window_seconds = 300;
            wanted.to = Some(Timestamp::from_millisecond(support::data::END).unwrap());
            timed(wanted, Keys::default()).await
        }
    })
    .await;
    assert!(changed.load(Ordering::SeqCst) > CASES, "{states:?}");
}
