//! Reads keys of a Redis on loopback with the product's own sampler and prints what it cost, as one line of JSON:
//! `read_keys PORT KEYS DUTY_PERCENT`. `cargo xtask bench redis` measures it: no spec asks for so many keys at such a pace.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::request::{BaselineRequest, CacheRequest, SCHEMA};
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, TimeLimit, collect};
use serde_json::json;

/// Longest that reading may take.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, keys, duty] = arguments.as_slice() else {
        return Err("usage: read_keys PORT KEYS DUTY_PERCENT".into());
    };
    let request = request(port.parse()?, keys.parse()?, duty.parse()?)?;
    let (keys, limit) = (Keys::from_map(BTreeMap::new()), TimeLimit::at(Instant::now() + LIMIT));
    let means =
        Means { keys: &keys, policy: &AddressPolicy::Unrestricted, limit: &limit, progress: &NoProgress };
    let record = collect(&request, means, Timestamp::now()).await;
    let source = record.sources.first().ok_or("the record has no source")?;
    let keyspace = record.cache_analysis.as_ref().and_then(|analysis| analysis.keyspace.as_ref());
    let keyspace = keyspace.ok_or_else(|| format!("no keys were read: {source:?}"))?;
    let answer = json!({
        "sampled_keys": keyspace.sampled_keys,
        "total_keys": keyspace.total_keys,
        "seconds": source.duration_ms.unwrap_or_default() as f64 / 1000.0,
        "cost": source.cost,
    });
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}

fn request(port: u16, keys: u64, duty: u8) -> serde_json::Result<BaselineRequest> {
    let mut request: BaselineRequest = serde_json::from_value(json!({
        "schema": SCHEMA, "name": "bench", "namespace": "bench", "run": "bench", "run_key": "bench",
        "window_seconds": 3600,
        "redis": {"access": {"Parts": {"host": "127.0.0.1", "port": port}}},
    }))?;
    request.cache = Some(CacheRequest {
        sample_keys: keys,
        max_duration_ms: u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX),
        delimiter: ":".to_owned(),
        session_prefix: String::new(),
        duty_percent: duty,
    });
    Ok(request)
}
