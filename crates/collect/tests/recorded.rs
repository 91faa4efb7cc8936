//! The collector against answers that were recorded from real servers, so that it is tested where no server runs.
//!
//! `tests/bodies/record.sh` records them anew: a whole run with the record that it gave, and single answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{BaselineRequest, MetricRequest, Unit};
use plimsoll_collect::Keys;
use serde::{Deserialize, Serialize};
use support::data::END;
use support::http::{Received, Server, answer, empty};
use support::real::{Prometheus, Version, loaded, start};
use support::{message, parameters, request, run, run_for, source};

/// One answer of a real server.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Exchange {
    /// What was asked, or what the answer shows.
    asked: String,
    status: u16,
    body: String,
}

fn folder(version: Version) -> PathBuf {
    let name = match version {
        Version::V2 => "prometheus-2",
        Version::V3 => "prometheus-3",
    };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bodies").join(name)
}

fn load(version: Version, name: &str) -> Vec<Exchange> {
    let path = folder(version).join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The path and the parameters of a request but for the time limit, which differs from run to run.
fn asked(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut parameters = parameters(target);
    parameters.remove("timeout");
    let parameters: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{path} {}", parameters.join("&"))
}

fn session_request(url: &str) -> BaselineRequest {
    let mut wanted = request(url);
    wanted.window_seconds = 300;
    wanted.to = Some(Timestamp::from_millisecond(END).unwrap());
    wanted.metrics = vec![MetricRequest {
        name: "requests".to_owned(),
        query: "sum(rate(http_requests_total{job=\"fresh\"}[2m]))".to_owned(),
        unit: Unit::PerSecond,
    }];
    wanted
}

/// What does not differ from run to run, as text.
fn comparable(record: &BaselineRecord) -> String {
    let mut record = record.clone();
    record.collection_date = record.window.to;
    for source in &mut record.sources {
        source.duration_ms = None;
    }
    serde_json::to_string_pretty(&record).unwrap() + "\n"
}

async fn a_recorded_run_gives_the_same_record(version: Version) {
    let answers: BTreeMap<String, Exchange> =
        load(version, "session.jsonl").into_iter().map(|one| (one.asked.clone(), one)).collect();
    let unknown = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&unknown);
    let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
        let asked = asked(&request.target);
        let reply = match answers.get(&asked) {
            Some(known) => answer(&known.status.to_string(), "", known.body.as_bytes()),
            None => {
                log.lock().unwrap().push(asked);
                answer("500 Unknown", "", b"")
            }
        };
        let _ = stream.write_all(&reply);
    });
    let record = run(&session_request(&server.url())).await;
    assert_eq!(*unknown.lock().unwrap(), Vec::<String>::new(), "record the bodies anew");
    let expected = std::fs::read_to_string(folder(version).join("record.json")).unwrap();
    for (found, expected) in comparable(&record).lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(comparable(&record).len(), expected.len());
    assert!(record.complete && record.web_metrics.is_some() && record.api_metrics.is_some());
}

#[tokio::test]
async fn a_run_recorded_from_prometheus_2_gives_the_same_record() {
    a_recorded_run_gives_the_same_record(Version::V2).await;
}

#[tokio::test]
async fn a_run_recorded_from_prometheus_3_gives_the_same_record() {
    a_recorded_run_gives_the_same_record(Version::V3).await;
}

/// Replays a recorded run, but for queries over a range of five minutes (the slots of this window) that hold a text, which
/// `reply` answers.
async fn replayed_but(text: &'static str, reply: Vec<u8>, limit: Duration) -> BaselineRecord {
    let answers: BTreeMap<String, Exchange> =
        load(Version::V3, "session.jsonl").into_iter().map(|one| (one.asked.clone(), one)).collect();
    let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
        let asked = asked(&request.target);
        let of_slots = asked.contains("query_range") && asked.contains("step=300") && asked.contains(text);
        // Nothing to answer is a server that takes its time, until we have gone.
        if of_slots && reply.is_empty() {
            let _ = stream.read_to_end(&mut Vec::new());
        } else if of_slots {
            let _ = stream.write_all(&reply);
        } else if let Some(known) = answers.get(&asked) {
            let _ = stream.write_all(&answer(&known.status.to_string(), "", known.body.as_bytes()));
        }
    });
    run_for(&session_request(&server.url()), Keys::default(), limit).await
}

#[tokio::test]
async fn what_is_not_read_slot_by_slot_is_a_warning_and_hides_no_figure() {
    let whole = std::fs::read_to_string(folder(Version::V3).join("record.json")).unwrap();
    let whole: BaselineRecord = serde_json::from_str(&whole).unwrap();
    let error = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"canary"}}"#);
    for (reply, limit, said) in [
        (answer("503 Busy", "", b""), 60, "answered 503"),
        (answer("422 X", "", error("execution").as_bytes()), 60, "reads too many samples"),
        (answer("200 OK", "", b"<html>"), 60, "an HTML page"),
        (Vec::new(), 4, "did not answer within"),
    ] {
        let record = replayed_but("", reply, Duration::from_secs(limit)).await;
        let found = source(&record);
        assert_eq!(
            (found.state, found.reason, &found.message),
            (SourceState::Collected, None, &None),
            "{said}"
        );
        assert_eq!(record.series, None);
        let warning = &found.warnings[0];
        assert!(warning.contains("length of slots: ") && warning.contains(said), "{said}: {warning}");
        assert!(!warning.contains("canary") && record.complete, "{warning}");
        let expected = BaselineRecord {
            series: None,
            sources: record.sources.clone(),
            collection_date: record.collection_date,
            ..whole.clone()
        };
        assert_eq!(record, expected);
    }
}

#[tokio::test]
async fn a_figure_that_is_not_read_slot_by_slot_leaves_the_others() {
    let record = replayed_but("sum by (le)", answer("503 Busy", "", b""), Duration::from_secs(60)).await;
    assert!(record.complete);
    let warning = &source(&record).warnings[0];
    assert!(warning.contains("web.latency by slot: ") && warning.ends_with("(and 1 more)"), "{warning}");
    let series = record.series.unwrap();
    assert_eq!((series.histograms.len(), series.ratios.len(), series.numbers.len()), (0, 2, 3));
}

/// What a record says about a query of one's own that was answered so.
async fn custom(exchange: &Exchange) -> BaselineRecord {
    let reply = answer(&format!("{} X", exchange.status), "", exchange.body.as_bytes());
    let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
        let is_ours = parameters(&request.target)["query"] != "up";
        let _ = stream.write_all(&if is_ours { empty(&request.target) } else { reply.clone() });
    });
    let mut wanted = request(&server.url());
    (wanted.web, wanted.api) = (None, None);
    wanted.metrics = vec![MetricRequest { name: "it".to_owned(), query: "up".to_owned(), unit: Unit::Count }];
    run(&wanted).await
}

#[tokio::test]
async fn recorded_answers_are_understood() {
    for version in [Version::V2, Version::V3] {
        for exchange in load(version, "answers.jsonl") {
            let record = custom(&exchange).await;
            let basis = record.basis_of("custom_metrics.it");
            let note = basis.and_then(|basis| basis.note.clone()).unwrap_or_default();
            let value =
                record.custom_metrics.as_ref().and_then(|found| found.get("it")).map(|found| found.value);
            let expect_failure = |reason, remedy: &str| {
                let found = source(&record);
                assert_eq!((found.state, found.reason), (SourceState::Failed, Some(reason)), "{exchange:?}");
                assert!(message(&record).contains(remedy), "{exchange:?}: {}", message(&record));
            };
            match exchange.asked.as_str() {
                "scalar" | "vector" => assert_eq!(value, Some(3.0), "{exchange:?}"),
                "infinite" => assert!(note.contains("infinite"), "{exchange:?}: {note}"),
                "nan" => assert!(note.contains("NaN"), "{exchange:?}: {note}"),
                "nothing" => assert!(note.contains("no series"), "{exchange:?}: {note}"),
                "many" => assert!(note.contains("4 series"), "{exchange:?}: {note}"),
                "matrix" => assert!(note.contains("range vector"), "{exchange:?}: {note}"),
                "string" => assert!(note.contains("string"), "{exchange:?}: {note}"),
                "native histogram" => assert!(note.contains("native histogram"), "{exchange:?}: {note}"),
                "warning" => assert!(!source(&record).warnings.is_empty(), "{exchange:?}"),
                "bad data" => expect_failure(SourceReason::BadAnswer, "did not understand the query"),
                "too many points" => expect_failure(SourceReason::BadAnswer, "limit the range"),
                "too many samples" => expect_failure(SourceReason::BadAnswer, "reads too many samples"),
                "timeout" => expect_failure(SourceReason::Timeout, "shorten the window"),
                "not found" => expect_failure(SourceReason::BadAnswer, "is this a Prometheus API?"),
                other => panic!("{other} is not expected"),
            }
        }
    }
}

fn save(version: Version, name: &str, exchanges: &[Exchange]) {
    let lines: Vec<String> = exchanges.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect();
    std::fs::create_dir_all(folder(version)).unwrap();
    std::fs::write(folder(version).join(name), lines.concat()).unwrap();
}

async fn record_session(version: Version, real: &'static Prometheus) {
    let exchanges = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&exchanges);
    let forwarder = Server::start(move |request: &Received, stream: &mut TcpStream| {
        let (status, body) = real.exchange(&format!("GET {}", request.target), "", b"");
        let reply = answer(&status.to_string(), "", body.as_bytes());
        // Before the reply: after it, the run may be over.
        log.lock().unwrap().push(Exchange { asked: asked(&request.target), status, body });
        let _ = stream.write_all(&reply);
    });
    let record = run(&session_request(&forwarder.url())).await;
    assert!(record.complete, "{}", message(&record));
    save(version, "session.jsonl", &exchanges.lock().unwrap());
    std::fs::write(folder(version).join("record.json"), comparable(&record)).unwrap();
}

fn record_answers(version: Version, real: &Prometheus) {
    let time = format!("{}.{:03}", END / 1000, END % 1000);
    let at = |server: &Prometheus, asked: &str, query: &str, more: &str| {
        let mut url = url::Url::parse("http://h").unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let endpoint = if more.contains("step") { "query_range" } else { "query" };
        let target = format!("GET /api/v1/{endpoint}?{}&{more}", url.query().unwrap());
        let (status, body) = server.exchange(&target, "", b"");
        Exchange { asked: asked.to_owned(), status, body }
    };
    let now = format!("time={time}");
    let mut exchanges = vec![
        at(real, "scalar", "scalar(vector(3))", &now),
        at(real, "vector", "vector(3)", &now),
        at(real, "infinite", "vector(1) / 0", &now),
        at(real, "nan", "vector(0) / 0", &now),
        at(real, "nothing", "no_such_metric", &now),
        at(real, "many", "http_requests_total{job=\"odoo\"}", &now),
        at(real, "matrix", "http_requests_total{job=\"fresh\",pod=\"fresh-0\"}[1m]", &now),
        at(real, "string", "\"hello\"", &now),
        at(real, "native histogram", "native_request_duration_seconds", &now),
        at(real, "bad data", "no_such_function(up)", &now),
        at(real, "too many points", "up", &format!("start=0&end={time}&step=1")),
        at(real, "timeout", "sum(rate(http_requests_total[7d:1s]))", &format!("{now}&timeout=0.01")),
    ];
    if version == Version::V3 {
        exchanges.push(at(real, "warning", "rate(container_memory_usage_bytes[5m])", &now));
    }
    let (status, body) = real.exchange("GET /api/v1/no_such_endpoint", "", b"");
    exchanges.push(Exchange { asked: "not found".to_owned(), status, body });
    if let Some(small) = start(version, &["--query.max-samples=1"]) {
        exchanges.push(at(&small, "too many samples", "vector(1) or vector(2)", &now));
    }
    save(version, "answers.jsonl", &exchanges);
}

#[tokio::test]
#[ignore = "records the bodies anew from real servers: tests/bodies/record.sh"]
async fn record() {
    for version in [Version::V2, Version::V3] {
        let real = loaded(version).expect("recording needs both versions");
        record_session(version, real).await;
        record_answers(version, real);
    }
}
