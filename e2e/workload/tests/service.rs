//! The service on a loopback port: what it counts is what was sent.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::time::Duration;

use common::{DEADLINE, Service, ask, config, run, samples, total};
use plimsoll_workload::routes::Role;
use plimsoll_workload::server::{Config, ServeError, Server, Summary};
use plimsoll_workload::traffic::{self, Plan};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_once_in_counter_and_histogram() {
    for (role, prefix, label) in [(Role::Odoo, "http", "path"), (Role::Api, "api", "endpoint")] {
        let service = Service::start(config(role)).await;
        let report = service.send(500, traffic::mix(role)).await;
        assert_eq!((report.planned, report.sent, report.completed), (500, 500, 500), "{report:?}");
        let counter = format!("{prefix}_requests_total");
        let histogram = format!("{prefix}_request_duration_seconds");
        assert_eq!(total(service.address, &counter, "").await, 500.0);
        assert_eq!(total(service.address, &format!("{histogram}_count"), "").await, 500.0);
        assert_eq!(total(service.address, &format!("{histogram}_bucket"), "le=\"+Inf\"").await, 500.0);
        for route in role.routes() {
            let of_route = format!("{label}=\"{}\"", route.path);
            let requests = total(service.address, &counter, &of_route).await;
            assert!(requests > 0.0, "{} was not asked for", route.path);
            assert_eq!(total(service.address, &format!("{histogram}_count"), &of_route).await, requests);
        }
        let summary = service.stop().await.unwrap().unwrap();
        assert_eq!((summary.requests, summary.errors), (500, report.errors));
        assert!(summary.latency_ms.unwrap().p50 > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_the_seeds_and_both_sides_count_them() {
    let service = Service::start(config(Role::Api)).await;
    let route = Role::Api.routes().iter().find(|route| route.failure.is_some()).unwrap();
    let expected = (0..400).filter(|&n| route.script(1, n, 10).status == 503).count() as u64;
    assert!((1..40).contains(&expected), "{expected} of 400 is not a small share");
    let report = service.send(400, vec![(route.path.to_owned(), 1)]).await;
    assert_eq!((report.errors, report.by_status.get(&503)), (expected, Some(&expected)));
    assert_eq!(report.by_status.get(&200), Some(&(400 - expected)));
    assert_eq!(total(service.address, "api_requests_total", "status=\"503\"").await, expected as f64);
    assert_eq!(total(service.address, "api_requests_total", "status=\"200\"").await, (400 - expected) as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_counted_and_takes_at_least_its_drawn_time() {
    let service = Service::start(config(Role::Api)).await;
    let route = Role::Api.routes().iter().find(|route| route.path == "/api/v1/payments").unwrap();
    let drawn: Duration = (0..50).flat_map(|n| route.script(1, n, 10).queries).map(|(_, time)| time).sum();
    service.send(50, vec![(route.path.to_owned(), 1)]).await;
    assert_eq!(
        total(service.address, "db_query_duration_seconds_count", "query=\"payment_period\"").await,
        50.0
    );
    assert_eq!(total(service.address, "db_query_duration_seconds_count", "").await, 100.0);
    let measured = total(service.address, "db_query_duration_seconds_sum", "").await;
    let answers = total(service.address, "api_request_duration_seconds_sum", "").await;
    assert!(measured >= drawn.as_secs_f64() && answers >= measured, "{drawn:?} {measured} {answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_make_no_series() {
    let service = Service::start(config(Role::Odoo)).await;
    let before = samples(service.address, "http_requests_total").await.len();
    for path in ["/a", "/b", "/web/health/", "/web/../x"] {
        assert_eq!(ask(service.address, "GET", path, "").await.0, 404, "{path}");
    }
    assert_eq!(ask(service.address, "DELETE", "/shop", "").await.0, 405);
    let after = samples(service.address, "http_requests_total").await;
    assert_eq!(after.len(), before + 2);
    assert!(after.contains(&(r#"{path="other",status="404"}"#.to_owned(), 4.0)));
    assert!(after.contains(&(r#"{path="/shop",status="405"}"#.to_owned(), 1.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_scrapes_and_beacons_are_no_requests() {
    let service = Service::start(config(Role::Odoo)).await;
    for path in ["/livez", "/readyz", "/metrics", "/stats"] {
        assert_eq!(ask(service.address, "GET", path, "").await.0, 200, "{path}");
    }
    assert_eq!(ask(service.address, "POST", "/rum", "page=/shop&seconds=0.02").await.0, 204);
    assert_eq!(total(service.address, "http_requests_total", "").await, 0.0);
    let (_, stats) = ask(service.address, "GET", "/stats", "").await;
    let stats: Summary = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats, Summary { role: Role::Odoo, requests: 0, errors: 0, latency_ms: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn page_loads_are_taken_from_known_pages_with_possible_times() {
    let service = Service::start(config(Role::Odoo)).await;
    for bad in [
        "page=/nowhere&seconds=1",
        "page=/shop&seconds=-1",
        "page=/shop&seconds=NaN",
        "page=/shop&seconds=inf",
    ] {
        assert_eq!(ask(service.address, "POST", "/rum", bad).await.0, 400, "{bad}");
    }
    assert!(ask(service.address, "POST", "/rum", "page=/shop").await.0 >= 400);
    let long = format!("page=/shop&seconds=1&x={}", "y".repeat(2_000));
    assert_eq!(ask(service.address, "POST", "/rum", &long).await.0, 413);
    assert_eq!(total(service.address, "rum_page_load_seconds_count", "").await, 0.0);

    let plan = Plan { beacon: Some("/rum".to_owned()), ..service.plan(40, vec![("/shop".to_owned(), 1)]) };
    let report = run(plan).await;
    assert_eq!((report.completed, report.beacons), (40, 40));
    assert_eq!(total(service.address, "rum_page_load_seconds_count", "page=\"/shop\"").await, 40.0);
    // A browser sees what the server sees and the way there and back.
    let pages = total(service.address, "rum_page_load_seconds_sum", "").await;
    assert!(pages > total(service.address, "http_request_duration_seconds_sum", "").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gauge_shows_the_share_of_busy_workers() {
    // Long enough for the gauge to be read while one of two workers hashes.
    let busy = Config { workers: 2, work_rounds: 50_000_000, ..config(Role::Odoo) };
    let service = Service::start(busy).await;
    assert_eq!(total(service.address, "odoo_workers_busy", "").await, 0.0);
    let address = service.address;
    let asking = tokio::spawn(async move { ask(address, "GET", "/web/health", "").await });
    let waiting = async {
        while total(address, "odoo_workers_busy", "").await != 0.5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
    assert_eq!(asking.await.unwrap().0, 200);
    assert_eq!(total(service.address, "odoo_workers_busy", "").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_counted_all_the_same() {
    let service = Service::start(Config { work_rounds: 50_000_000, ..config(Role::Odoo) }).await;
    let address = service.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /web/health HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let begun = async { while total(address, "odoo_workers_busy", "").await == 0.0 {} };
    tokio::time::timeout(DEADLINE, begun).await.unwrap();
    drop(stream);
    let counted = async { while total(address, "http_requests_total", "").await != 1.0 {} };
    tokio::time::timeout(DEADLINE, counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_said_plainly() {
    let service = Service::start(config(Role::Odoo)).await;
    let error = Server::bind(Config { listen: service.address, ..config(Role::Api) }).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }));
    assert!(
        error.to_string().contains(&service.address.to_string()) && error.to_string().contains("--listen")
    );
}
