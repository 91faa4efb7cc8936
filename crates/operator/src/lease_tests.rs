use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::server::{ApiFailure, Failure, Verb};

async fn lease(server: &FakeApiServer, identity: &str) -> Lease {
    Lease::new(server.client(), "plimsoll", "plimsoll", identity).await.unwrap()
}

fn holder(server: &FakeApiServer) -> Option<String> {
    server.get::<LeaseObject>("plimsoll", "plimsoll").unwrap().spec?.holder_identity
}

fn away(server: &FakeApiServer, times: usize) {
    for verb in [Verb::Get, Verb::Patch] {
        server.fail_times(verb, "leases", times, Failure::Refuse(ApiFailure::internal("etcd is away")));
    }
}

/// A client whose writes wait until they are let go.
fn held_back(server: &FakeApiServer, gate: &Arc<tokio::sync::Semaphore>) -> Client {
    let (inner, gate) = (server.client(), gate.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, gate) = (inner.clone(), gate.clone());
        async move {
            if request.method() == Method::PATCH {
                gate.acquire().await.unwrap().forget();
            }
            inner.send(request).await
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn of_two_that_see_a_free_lease_at_once_one_leads_and_the_next_need_not_wait_when_it_is_given_back() {
    let server = FakeApiServer::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let late = Lease::new(held_back(&server, &gate), "plimsoll", "plimsoll", "late").await.unwrap();
    let leader = lease(&server, "early").await;
    let stop = CancellationToken::new();
    let lates = timeout(Duration::from_secs(7), late.acquire(&stop));
    let script = async {
        // The late one has seen that the lease is free, and its write is on the way.
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(10)).await;
        assert!(leader.acquire(&stop).await.unwrap());
        gate.add_permits(100);
    };
    let (led, ()) = tokio::join!(lates, script);
    assert!(led.is_err(), "the late one must not lead: {:?}", holder(&server));
    assert_eq!(holder(&server).as_deref(), Some("early"));
    leader.release().await;
    assert_eq!(holder(&server), None);
    let next = lease(&server, "next").await;
    assert!(timeout(Duration::from_secs(5), next.acquire(&stop)).await.unwrap().unwrap(), "it need not wait");
}

// By the real clock: the lease manager looks at it.
#[tokio::test]
async fn a_leader_outlives_a_failure_that_is_shorter_than_its_lease_however_long_it_has_led() {
    let server = FakeApiServer::new();
    let timing = Timing { duration: 2, grace: 1, pause: Duration::from_millis(100) };
    let lease = Lease::with(server.client(), "plimsoll", "plimsoll", "one", timing).await.unwrap();
    let stop = CancellationToken::new();
    assert!(lease.acquire(&stop).await.unwrap());
    let renewals = |count: usize| {
        let server = server.clone();
        async move {
            let renewed = || server.writes().iter().filter(|write| write.changed()).count();
            let before = renewed();
            while renewed() < before + count {
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let script = async {
        renewals(3).await;
        server.fail_times(Verb::Patch, "leases", 2, Failure::Refuse(ApiFailure::internal("etcd is away")));
        renewals(2).await;
    };
    tokio::select! {
        held = lease.hold(&stop) => panic!("{held:?}"),
        within = timeout(Duration::from_secs(20), script) => within.expect("the lease is renewed"),
    }
    assert_eq!(holder(&server).as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_ends_when_its_lease_does() {
    let server = FakeApiServer::new();
    let lease = lease(&server, "one").await;
    let stop = CancellationToken::new();
    assert!(lease.acquire(&stop).await.unwrap());
    away(&server, 1_000_000);
    let start = Instant::now();
    let lost = timeout(Duration::from_secs(120), lease.hold(&stop)).await.unwrap().unwrap_err();
    assert!(matches!(lost, LeaseError::Unreachable { .. }), "{lost}");
    assert!(lost.to_string().contains("etcd is away"), "{lost}");
    assert!(start.elapsed() <= Duration::from_secs(TIMING.duration + 1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_server_hangs_ends_when_its_lease_does() {
    let server = FakeApiServer::new();
    let hangs = Arc::new(AtomicBool::new(false));
    let (inner, gate) = (server.client(), hangs.clone());
    let client = Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let (inner, gate) = (inner.clone(), gate.clone());
            async move {
                if gate.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                inner.send(request).await
            }
        }),
        "default",
    );
    let lease = Lease::new(client, "plimsoll", "plimsoll", "one").await.unwrap();
    let stop = CancellationToken::new();
    assert!(lease.acquire(&stop).await.unwrap());
    hangs.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let lost = timeout(Duration::from_secs(120), lease.hold(&stop)).await.unwrap();
    assert!(matches!(lost, Err(LeaseError::Unreachable { .. })));
    assert!(start.elapsed() <= Duration::from_secs(TIMING.duration + 1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_ends() {
    let server = FakeApiServer::new();
    let lease = lease(&server, "one").await;
    let stop = CancellationToken::new();
    assert!(lease.acquire(&stop).await.unwrap());
    server.edit::<LeaseObject>("plimsoll", "plimsoll", |lease| {
        lease.spec.as_mut().unwrap().holder_identity = Some("two".to_owned());
    });
    let lost = timeout(Duration::from_secs(60), lease.hold(&stop)).await.unwrap();
    assert!(matches!(lost, Err(LeaseError::Taken { .. })));
    lease.release().await;
    assert_eq!(holder(&server).as_deref(), Some("two"), "what is another's is not given back");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_never_leads_beside_the_leader_and_stops_at_once() {
    let server = FakeApiServer::new();
    let (first, second) = (lease(&server, "one").await, lease(&server, "two").await);
    let stop = CancellationToken::new();
    assert!(first.acquire(&stop).await.unwrap());
    let keeps = first.hold(&stop);
    let waits = async {
        assert!(timeout(Duration::from_secs(600), second.acquire(&stop)).await.is_err());
        stop.cancel();
        assert!(!second.acquire(&stop).await.unwrap());
    };
    let (kept, ()) = tokio::join!(keeps, waits);
    assert!(kept.is_ok(), "{kept:?}");
}
