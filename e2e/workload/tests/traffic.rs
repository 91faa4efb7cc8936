//! Traffic against a service and against targets that misbehave: every planned request is in exactly one place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{DEADLINE, Service, config, run, total};
use plimsoll_workload::routes::Role;
use plimsoll_workload::traffic::{self, Plan, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn plan(address: SocketAddr, requests: u64) -> Plan {
    Plan {
        target: format!("http://{address}/x").parse().unwrap(),
        rate: 500.0,
        duration: Some(Duration::from_secs_f64(requests as f64 / 500.0)),
        paths: Vec::new(),
        seed: 1,
        timeout: DEADLINE,
        drain: DEADLINE,
        max_in_flight: 10_000,
        connection_max_age: DEADLINE,
        beacon: None,
    }
}

fn assert_whole(report: &Report) {
    assert_eq!(
        report.planned,
        report.completed + report.failed + report.unfinished + report.dropped,
        "{report:?}"
    );
}

/// Answers every connection with what `serve` does, and counts connections.
async fn target<F, Fut>(serve: F) -> (SocketAddr, Arc<AtomicU64>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream));
        }
    });
    (address, connections)
}

/// Answers each request of a connection with `answer`.
async fn answer_all(mut stream: TcpStream, answer: &'static str) {
    let mut seen = Vec::new();
    let mut chunk = [0_u8; 4096];
    while let Ok(read) = stream.read(&mut chunk).await {
        if read == 0 {
            return;
        }
        seen.extend_from_slice(&chunk[..read]);
        while let Some(end) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            seen.drain(..end + 4);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_held_and_no_request_goes_before_its_time() {
    let service = Service::start(config(Role::Odoo)).await;
    let plan = Plan {
        rate: 40.0,
        duration: Some(Duration::from_millis(1_500)),
        ..service.plan(1, vec![("/web/health".to_owned(), 1)])
    };
    let begun = Instant::now();
    let report = run(plan).await;
    assert_eq!((report.planned, report.completed), (60, 60));
    assert_whole(&report);
    // The last of 60 instants is at 59 / 40 s.
    assert!(begun.elapsed() >= Duration::from_millis(1_475));
    assert!(report.seconds >= 1.475);
    assert_eq!(total(service.address, "http_requests_total", "").await, 60.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_ended_traffic_ends_when_it_is_told_to() {
    let service = Service::start(config(Role::Api)).await;
    let plan = Plan { duration: None, rate: 200.0, ..service.plan(1, traffic::mix(Role::Api)) };
    let address = service.address;
    let stop = async move {
        while total(address, "api_requests_total", "").await < 20.0 {
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::time::timeout(DEADLINE, traffic::run(plan, stop)).await.unwrap().unwrap();
    assert_whole(&report);
    assert!(report.completed >= 20 && report.completed == report.planned, "{report:?}");
    assert_eq!(total(address, "api_requests_total", "").await, report.sent as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_answers_and_are_not_followed() {
    let (elsewhere, visits) =
        target(|stream| answer_all(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let location =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let location: &'static str = location.leak();
    let (address, _) = target(move |stream| answer_all(stream, location)).await;
    let report = run(plan(address, 20)).await;
    assert_eq!(report.by_status.get(&302), Some(&20));
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_connections_serve_many_requests() {
    let (address, connections) =
        target(|stream| answer_all(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
    let report = run(plan(address, 200)).await;
    assert_eq!(report.completed, 200);
    let kept = connections.load(Ordering::Relaxed);
    assert!(kept < 100, "{kept} connections for 200 requests");

    let report = run(Plan { connection_max_age: Duration::ZERO, ..plan(address, 50) }).await;
    assert_eq!(report.completed, 50);
    assert_eq!(connections.load(Ordering::Relaxed) - kept, 50, "an aged connection is not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_closes_after_each_answer_costs_no_request() {
    let (address, _) = target(|mut stream| async move {
        let mut request = [0_u8; 4096];
        if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
            // Without "connection: close", so that the client keeps a connection that is about to end.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let report = run(plan(address, 100)).await;
    assert_whole(&report);
    // A request that was written when the connection ended may have been served, so it is not sent again.
    assert_eq!(report.completed + report.failed, 100, "{report:?}");
    assert!(report.completed >= 90, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listening_is_counted_as_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = run(plan(address, 30)).await;
    assert_whole(&report);
    assert_eq!((report.failed, report.sent), (30, 0), "{report:?}");
    assert_eq!(report.by_failure.get("connect"), Some(&30));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_none() {
    let (address, _) = target(|mut stream| async move {
        let mut request = [0_u8; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    })
    .await;
    let report = run(plan(address, 20)).await;
    assert_whole(&report);
    assert_eq!((report.failed, report.sent), (20, 20), "{report:?}");
    assert_eq!(report.by_failure.get("http"), Some(&20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_target_times_out_is_dropped_past_the_limit_or_is_left_unfinished() {
    let (address, _) = target(|mut stream| async move {
        let mut request = [0_u8; 4096];
        while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let timeout = Duration::from_millis(50);
    let report = run(Plan { timeout, ..plan(address, 20) }).await;
    assert_whole(&report);
    assert_eq!(report.by_failure.get("timeout"), Some(&20), "{report:?}");
    // A timeout counts with the time it took.
    assert!(report.latency_ms.unwrap().p50 >= 49.9, "{report:?}");

    let report = run(Plan { max_in_flight: 5, drain: Duration::ZERO, ..plan(address, 20) }).await;
    assert_whole(&report);
    assert_eq!((report.unfinished, report.dropped, report.completed), (5, 15, 0), "{report:?}");
}
