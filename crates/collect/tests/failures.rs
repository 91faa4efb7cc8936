//! Servers that fail in every way: each has its reason, its remedy, and holds nothing of what the server said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use plimsoll_analysis::record::{SourceReason, SourceState};
use plimsoll_analysis::request::{Auth, Header, HeaderValue, KeyKind, KeyRef};
use plimsoll_collect::{AddressPolicy, Keys, Means, NoProgress, TimeLimit, collect};
use support::http::{Received, Server, answer, empty, json};
use support::{message, parameters, request, run, run_for, source, steps};

/// Text that a hostile server would like to see in a record.
const CANARY: &str = "canary-7f3a";

fn get(target: &str) -> BTreeMap<String, String> {
    parameters(target)
}

async fn fails(server: &Server, reason: SourceReason, remedy: &str) {
    let record = run(&request(&server.url())).await;
    let found = source(&record);
    assert_eq!((found.state, found.reason), (SourceState::Failed, Some(reason)), "{found:?}");
    assert!(message(&record).contains(remedy), "{remedy:?} is not in {:?}", message(&record));
    assert!(message(&record).contains(&server.url()), "{:?}", message(&record));
    assert!(message(&record).chars().count() <= 1024);
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains(CANARY), "{text}");
    assert!(!record.complete);
}

#[tokio::test]
async fn every_status_has_a_reason_and_a_remedy() {
    use SourceReason::*;
    for (status, reason, remedy) in [
        ("401 Unauthorized", AuthenticationFailed, "check auth"),
        ("403 Forbidden", Forbidden, "grant it"),
        ("404 Not Found", BadAnswer, "is this a Prometheus API?"),
        ("204 No Content", BadAnswer, "is this a Prometheus API?"),
        ("429 Too Many Requests", Unavailable, "run less often"),
        ("500 Internal Server Error", Unavailable, "look at its own log"),
        ("502 Bad Gateway", Unavailable, "look at its own log"),
        ("503 Service Unavailable", Unavailable, "look at its own log"),
        ("418 I'm a teapot", BadAnswer, "check the URL"),
    ] {
        let body = if status.starts_with("204") { "" } else { CANARY };
        let server = Server::answering(answer(status, "", body.as_bytes()));
        fails(&server, reason, remedy).await;
        assert!(server.received().len() <= 3, "{status}: {} requests", server.received().len());
    }
}

#[tokio::test]
async fn a_redirect_is_named_and_never_followed() {
    let elsewhere = Server::answering(json("{}"));
    let location = format!("Location: {}/{CANARY}\r\n", elsewhere.url());
    let server = Server::answering(answer("302 Found", &location, b""));
    fails(&server, SourceReason::BadAnswer, "redirect").await;
    assert_eq!((server.received().len(), elsewhere.received().len()), (1, 0));
}

#[tokio::test]
async fn bodies_that_are_no_answer_are_told_apart() {
    let deep = format!(r#"{{"status":"success","data":{}"#, "[".repeat(200_000));
    let cut = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"a":"{CANARY}"#
    );
    for (body, remedy) in [
        (format!("<!DOCTYPE html><title>{CANARY}</title>"), "login page"),
        (String::new(), "an empty answer"),
        (CANARY.to_owned(), "not JSON"),
        (cut, "cut off"),
        (deep, "answered with"),
        (format!(r#"{{"{CANARY}":1}}"#), "not an answer of the Prometheus HTTP API"),
        (
            format!(r#"{{"status":"error","errorType":"execution","error":"{CANARY}"}}"#),
            "narrow the matchers",
        ),
        (
            format!(r#"{{"status":"error","errorType":"{CANARY}","error":"{CANARY}"}}"#),
            "try it there by hand",
        ),
        (
            format!(r#"{{"status":"success","data":{{"resultType":"string","result":[1,"{CANARY}"]}}}}"#),
            "another type",
        ),
    ] {
        let server = Server::answering(json(&body));
        fails(&server, SourceReason::BadAnswer, remedy).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_once_more() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":".to_vec();
    let server = Server::answering(half);
    fails(&server, SourceReason::BadAnswer, "cut off").await;
    // Three queries are tried before the rest is given up, each twice.
    assert_eq!(server.received().len(), 6);
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_unreachable_after_a_second_try() {
    let server = Server::answering(Vec::new());
    fails(&server, SourceReason::Unreachable, "closed the connection").await;
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn one_reset_is_survived() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = stream.write_all(&empty(&request.target));
        }
    });
    fails_with_no_data(&server).await;
}

async fn fails_with_no_data(server: &Server) {
    let record = run(&request(&server.url())).await;
    assert_eq!(source(&record).reason, Some(SourceReason::NoData), "{:?}", source(&record));
    assert_eq!(source(&record).state, SourceState::Failed);
    assert!(message(&record).contains("check metric names and matchers"));
}

#[tokio::test]
async fn a_server_without_series_has_no_data_and_every_figure_says_why() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        let _ = stream.write_all(&empty(&request.target));
    });
    let record = run(&request(&server.url())).await;
    assert_eq!(source(&record).reason, Some(SourceReason::NoData));
    assert!(record.web_metrics.is_none() && record.api_metrics.is_none());
    assert!(record.infrastructure_metrics.is_none() && record.custom_metrics.is_none());
    for path in
        ["web_metrics.page_load_p95_ms", "web_metrics.requests_per_second", "api_metrics.error_rate_percent"]
    {
        let basis = record.basis_of(path).unwrap();
        let note = basis.note.as_deref().unwrap();
        assert!(note.starts_with("no series of ") && note.contains("check"), "{path}: {note}");
        assert_eq!(basis.coverage_percent, Some(0.0));
        assert!(!record.is_judged(path));
    }
}

#[tokio::test]
async fn a_gzip_bomb_and_an_endless_answer_are_left_at_the_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let megabyte = vec![b'['; 1024 * 1024];
    for _ in 0..256 {
        encoder.write_all(&megabyte).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 512 * 1024);
    let server = Server::answering(answer("200 OK", "Content-Encoding: gzip\r\n", &bomb));
    fails(&server, SourceReason::BadAnswer, "more than 8 MiB").await;

    let server = Server::start(|_: &Received, stream: &mut TcpStream| {
        let chunk = [b"10000\r\n".as_slice(), &vec![b'['; 0x10000], b"\r\n"].concat();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // Ten gigabytes, if somebody would read them.
        for _ in 0..160_000 {
            if stream.write_all(&chunk).is_err() {
                return;
            }
        }
    });
    let started = Instant::now();
    fails(&server, SourceReason::BadAnswer, "narrow the matchers").await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_bytes_of_a_whole_run_are_limited() {
    // Each answer is under its own limit.
    let label = "x".repeat(7 * 1024 * 1024);
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"a":"{label}"}},"value":[1,"1"]}}]}}}}"#
    );
    let server = Server::answering(json(&body));
    let mut wanted = request(&server.url());
    (wanted.web, wanted.api) = (None, None);
    wanted.metrics = (0..16).map(|index| metric(&format!("m{index}"), "up")).collect();
    let record = run(&wanted).await;
    let cost = source(&record).cost.unwrap();
    assert!(cost.bytes.unwrap() < 80 * 1024 * 1024, "{cost:?}");
    assert_eq!(source(&record).reason, Some(SourceReason::BadAnswer));
}

fn metric(name: &str, query: &str) -> plimsoll_analysis::request::MetricRequest {
    plimsoll_analysis::request::MetricRequest {
        name: name.to_owned(),
        query: query.to_owned(),
        unit: plimsoll_analysis::request::Unit::Count,
    }
}

#[tokio::test]
async fn bytes_that_are_not_gzip_are_a_bad_answer() {
    let server = Server::answering(answer("200 OK", "Content-Encoding: gzip\r\n", CANARY.as_bytes()));
    fails(&server, SourceReason::BadAnswer, "cannot be decoded").await;
}

#[tokio::test]
async fn a_gzip_answer_is_read() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        assert!(request.header("accept-encoding").is_some_and(|value| value.contains("gzip")));
        let plain = empty(&request.target);
        let body = plain.splitn(2, |byte| *byte == b'{').nth(1).unwrap();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"{").unwrap();
        encoder.write_all(body).unwrap();
        let _ = stream.write_all(&answer("200 OK", "Content-Encoding: gzip\r\n", &encoder.finish().unwrap()));
    });
    fails_with_no_data(&server).await;
}

#[tokio::test]
async fn a_dripping_server_ends_with_the_run() {
    let server = Server::start(|_: &Received, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        let pause = Duration::from_millis(20);
        while stream.write_all(b" ").is_ok() {
            std::thread::park_timeout(pause);
        }
    });
    let started = Instant::now();
    let record = run_for(&request(&server.url()), Keys::default(), Duration::from_millis(700)).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let found = source(&record);
    assert_eq!((found.state, found.reason), (SourceState::Failed, Some(SourceReason::Timeout)));
    assert!(message(&record).contains("did not answer within"), "{}", message(&record));
    let timeout = get(&server.received()[0].target)["timeout"].clone();
    assert_eq!(timeout, "1s");
}

#[tokio::test]
async fn a_run_whose_time_is_over_asks_nothing() {
    let server = Server::answering(json("{}"));
    let record = run_for(&request(&server.url()), Keys::default(), Duration::ZERO).await;
    assert_eq!(source(&record).reason, Some(SourceReason::Timeout));
    assert!(message(&record).contains("activeDeadlineSeconds"), "{}", message(&record));
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, remedy) in [
        (format!("http://127.0.0.1:{port}"), "refused the connection"),
        ("http://no-such-host.invalid:9090".to_owned(), "cannot be resolved"),
    ] {
        let record = run(&request(&url)).await;
        assert_eq!(source(&record).reason, Some(SourceReason::Unreachable), "{url}");
        assert!(message(&record).contains(remedy) && message(&record).contains(&url), "{}", message(&record));
        assert!(message(&record).starts_with("web latency: "), "{}", message(&record));
    }
}

#[tokio::test]
async fn something_that_is_not_http_is_a_bad_answer() {
    let server = Server::answering(format!("SSH-2.0-{CANARY}\r\n").into_bytes());
    fails(&server, SourceReason::BadAnswer, "did not answer in HTTP").await;
}

#[tokio::test]
async fn a_job_does_not_even_connect_to_a_forbidden_address() {
    let server = Server::answering(json("{}"));
    let port = server.address().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"] {
        let url = format!("http://{host}:{port}");
        let policy = AddressPolicy::job(&[]).unwrap();
        let limit = TimeLimit::at(Instant::now() + Duration::from_secs(20));
        let wanted = request(&url);
        let keys = Keys::default();
        let record = collect(
            &wanted,
            Means { keys: &keys, policy: &policy, limit: &limit, progress: &NoProgress },
            Timestamp::now(),
        )
        .await;
        assert_eq!(source(&record).reason, Some(SourceReason::Unreachable), "{host}");
        assert!(message(&record).contains("may not contact"), "{host}: {}", message(&record));
    }
    // An address of the API server is refused by what the request itself says, too.
    let mut wanted = request("http://192.0.2.7:6443");
    wanted.forbidden_addresses = vec!["192.0.2.7:6443".to_owned()];
    let policy = AddressPolicy::job(&[]).unwrap();
    let limit = TimeLimit::at(Instant::now() + Duration::from_secs(20));
    let keys = Keys::default();
    let record = collect(
        &wanted,
        Means { keys: &keys, policy: &policy, limit: &limit, progress: &NoProgress },
        Timestamp::now(),
    )
    .await;
    assert!(message(&record).contains("Kubernetes API server"), "{}", message(&record));
    wanted.forbidden_addresses = vec!["kubernetes".to_owned()];
    let record = collect(
        &wanted,
        Means { keys: &keys, policy: &policy, limit: &limit, progress: &NoProgress },
        Timestamp::now(),
    )
    .await;
    assert!(message(&record).contains("forbidden_addresses"), "{}", message(&record));
    assert_eq!(server.received().len(), 0);
}

fn key(name: &str, key: &str) -> KeyRef {
    KeyRef { kind: KeyKind::Secret, name: name.to_owned(), key: key.to_owned() }
}

#[tokio::test]
async fn credentials_and_headers_are_sent_and_never_recorded() {
    let server = Server::answering(answer("401 Unauthorized", "", b""));
    let mut wanted = request(&server.url());
    let prometheus = wanted.prometheus.as_mut().unwrap();
    prometheus.auth = Some(Auth::Bearer(key("prom", "token")));
    prometheus.headers = vec![
        Header { name: "X-Scope-OrgID".to_owned(), value: HeaderValue::Literal("dairy".to_owned()) },
        Header { name: "X-Key".to_owned(), value: HeaderValue::From(key("prom", "header")) },
    ];
    prometheus.url = format!("{}/prometheus/", server.url());
    let secret = format!("{CANARY}\n").into_bytes();
    let keys = Keys::from_map(BTreeMap::from([
        (key("prom", "token"), secret.clone()),
        (key("prom", "header"), secret),
    ]));
    let record = run_for(&wanted, keys.clone(), Duration::from_secs(20)).await;
    let got = &server.received()[0];
    assert_eq!(got.header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
    assert_eq!(got.header("x-scope-orgid"), Some("dairy"));
    assert_eq!(got.header("x-key"), Some(CANARY));
    assert!(got.target.starts_with("/prometheus/api/v1/query?"), "{}", got.target);
    assert!(!serde_json::to_string(&record).unwrap().contains(CANARY));
    assert_eq!(source(&record).reason, Some(SourceReason::AuthenticationFailed));
    assert_eq!(server.received().len(), 1, "a refused credential is not tried again");

    wanted.prometheus.as_mut().unwrap().auth =
        Some(Auth::Basic { username: key("prom", "header"), password: key("prom", "token") });
    let _ = run_for(&wanted, keys, Duration::from_secs(20)).await;
    let sent = server.received().last().unwrap().header("authorization").unwrap().to_owned();
    assert_eq!(sent, "Basic Y2FuYXJ5LTdmM2E6Y2FuYXJ5LTdmM2E=");
}

#[tokio::test]
async fn a_value_that_no_header_can_hold_is_named_by_its_key() {
    let mut wanted = request("http://127.0.0.1:9");
    wanted.prometheus.as_mut().unwrap().auth = Some(Auth::Bearer(key("prom", "token")));
    let keys = Keys::from_map(BTreeMap::from([(key("prom", "token"), format!("a\n{CANARY}").into_bytes())]));
    let record = run_for(&wanted, keys, Duration::from_secs(20)).await;
    assert_eq!(source(&record).reason, Some(SourceReason::AuthenticationFailed));
    assert!(message(&record).contains("key token of Secret prom"), "{}", message(&record));
    assert!(!message(&record).contains(CANARY));
}

#[tokio::test]
async fn a_missing_secret_or_key_is_the_sources_failure() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/password"), CANARY).unwrap();
    for (name, reason) in [("prom", SourceReason::SecretMissing), ("other", SourceReason::KeyMissing)] {
        let token = key(name, "token");
        let keys = Keys::from_folders(folder.path(), folder.path(), &[&token]);
        let mut wanted = request("http://127.0.0.1:9");
        wanted.prometheus.as_mut().unwrap().auth = Some(Auth::Bearer(token.clone()));
        let record = run_for(&wanted, keys.clone(), Duration::from_secs(20)).await;
        assert_eq!(source(&record).reason, Some(reason));
        assert_eq!(message(&record), keys.require(&token).unwrap_err().to_string());
    }
}

#[tokio::test]
async fn warnings_are_kept_cut_and_counted_and_a_wrong_clock_is_one() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request: &Received, stream: &mut TcpStream| {
        let kind = if request.target.starts_with("/api/v1/query_range") { "matrix" } else { "vector" };
        let number = count.fetch_add(1, Ordering::SeqCst);
        let long = "w".repeat(5_000);
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"{kind}","result":[]}},"warnings":["{number} {long}","same"],"infos":["info {number}"]}}"#
        );
        let date = "Date: Mon, 05 Jan 2015 10:00:00 GMT\r\n";
        let _ = stream.write_all(&answer("200 OK", date, body.as_bytes()));
    });
    let record = run(&request(&server.url())).await;
    let warnings = &source(&record).warnings;
    assert_eq!(warnings.len(), 10, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 300));
    assert_eq!(warnings.iter().filter(|warning| *warning == "same").count(), 1);
    assert!(warnings.iter().any(|warning| warning.contains("behind ours")), "{warnings:?}");
}

#[tokio::test]
async fn a_part_that_fails_leaves_the_rest_and_is_partial() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        let query = get(&request.target)["query"].clone();
        let reply = if query == "good" {
            json(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"42"]}}"#)
        } else if query == "bad" {
            let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{CANARY}"}}"#);
            answer("400 Bad Request", "", body.as_bytes())
        } else {
            empty(&request.target)
        };
        let _ = stream.write_all(&reply);
    });
    let mut wanted = request(&server.url());
    wanted.metrics = vec![metric("first", "good"), metric("second", "bad"), metric("third", "good")];
    let record = run(&wanted).await;
    let found = source(&record);
    assert_eq!((found.state, found.reason), (SourceState::Partial, Some(SourceReason::BadAnswer)));
    assert!(message(&record).starts_with("metric second: "), "{}", message(&record));
    assert!(!message(&record).contains(CANARY));
    let metrics = record.custom_metrics.unwrap();
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["first", "third"]);
    assert_eq!(metrics["third"].value, 42.0);
    assert!(!record.complete);
}

#[tokio::test]
async fn progress_counts_every_step_to_the_end() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        let _ = stream.write_all(&empty(&request.target));
    });
    let mut wanted = request(&server.url());
    wanted.metrics = vec![metric("one", "up")];
    let steps = steps(&wanted).await;
    assert_eq!((steps[0].as_str(), steps[9].as_str()), ("web latency", "metric one"), "{steps:?}");
}

#[tokio::test]
async fn every_query_has_the_one_instant_and_no_range_has_more_than_11_000_points() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        let _ = stream.write_all(&empty(&request.target));
    });
    let mut wanted = request(&server.url());
    wanted.window_seconds = 92 * 86_400;
    wanted.to = Some("2026-02-01T00:00:00.250Z".parse().unwrap());
    let record = run(&wanted).await;
    assert_eq!(record.window.to.to_string(), "2026-02-01T00:00:00.25Z");
    assert_eq!(record.period_days, 92.0);
    let mut last_end = BTreeMap::<String, f64>::new();
    for received in server.received() {
        let get = get(&received.target);
        if received.target.starts_with("/api/v1/query_range") {
            let number = |name: &str| get[name].parse::<f64>().unwrap();
            let points = (number("end") - number("start")) / number("step") + 1.0;
            assert!(points <= 11_000.0, "{points}");
            last_end.insert(get["query"].clone(), number("end"));
        } else {
            assert_eq!(get["time"], "1769904000.250");
        }
    }
    assert!(!last_end.is_empty());
    assert!(last_end.values().all(|end| *end == 1_769_904_000.25), "{last_end:?}");
}
