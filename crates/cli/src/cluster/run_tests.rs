use super::*;
use plimsoll_api::PerformanceBaselineStatus;
use plimsoll_api::condition::Said;
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::{self, BaselineFixture as _, NAMESPACE};

fn now() -> Timestamp {
    "2026-11-24T00:00:00.5Z".parse().unwrap()
}

fn place(server: &FakeApiServer) -> Place {
    Place { client: server.client(), namespace: NAMESPACE.to_owned() }
}

fn args(wait: bool) -> RunArgs {
    RunArgs {
        object: ObjectRef { name: "dairy".to_owned() },
        wait,
        timeout: Duration::from_secs(30),
        target: Target::default(),
    }
}

/// Runs the command, while `answer` edits the object once the request is there.
async fn run_answered(
    server: &FakeApiServer,
    args: &RunArgs,
    answer: impl FnOnce(&FakeApiServer),
) -> (Result<u8, Failure>, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let here = place(server);
    let operator = async {
        let requested = |found: Option<&PerformanceBaseline>| {
            found.is_some_and(|baseline| {
                baseline.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(RUN_ANNOTATION))
            })
        };
        await_condition(here.baselines(), "dairy", requested).await.unwrap();
        answer(server);
    };
    let there = place(server);
    let (result, ()) = tokio::join!(super::run(args, &there, now(), &mut out, &mut err), operator);
    (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn say(baseline: &mut PerformanceBaseline, handled: Option<&str>, said: Said) {
    let generation = baseline.metadata.generation.unwrap();
    let status = baseline.status.get_or_insert_with(PerformanceBaselineStatus::default);
    status.last_request_handled = handled.map(str::to_owned);
    condition::set(&mut status.conditions, said, generation, now());
}

fn said(type_: &'static str, status: bool, reason: &str) -> Said {
    Said { type_, status: status.into(), reason: reason.to_owned(), message: "a message".to_owned() }
}

#[tokio::test]
async fn a_request_is_an_annotation_with_a_fresh_value() {
    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = super::run(&args(false), &place(&server), now(), &mut out, &mut err).await.unwrap();
    let baseline: PerformanceBaseline = server.get(NAMESPACE, "dairy").unwrap();
    assert_eq!(
        (code, baseline.metadata.annotations.unwrap()[RUN_ANNOTATION].as_str()),
        (0, "2026-11-24T00:00:00.5Z")
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "performancebaseline.plimsoll.dev/dairy: run 2026-11-24T00:00:00.5Z requested\n"
    );
    assert_eq!(server.writes().len(), 1);
}

#[tokio::test]
async fn waiting_ends_with_the_answer_and_the_exit_code_of_ready() {
    for (ready, expected) in [(true, 0), (false, 3)] {
        let server = FakeApiServer::new();
        server.put(fixtures::baseline("dairy").web());
        let (result, out, err) = run_answered(&server, &args(true), |server| {
            server.edit(NAMESPACE, "dairy", |baseline| {
                say(baseline, Some(&now().to_string()), said(types::READY, ready, "Because"));
            });
        })
        .await;
        assert_eq!(result.unwrap(), expected);
        assert!(out.contains("Because") && out.contains("a message"), "{out}");
        assert!(
            err.starts_with("waiting for run 2026-11-24T00:00:00.5Z of baseline/dairy, at most 30s"),
            "{err}"
        );
    }
}

#[tokio::test]
async fn waiting_ends_where_no_answer_can_come() {
    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web());
    let (result, out, _) = run_answered(&server, &args(true), |server| {
        server.edit(NAMESPACE, "dairy", |baseline| {
            say(baseline, None, said(types::STALLED, true, "InvalidSpec"));
        });
    })
    .await;
    assert_eq!(result.unwrap(), 3);
    assert!(out.contains("InvalidSpec"), "{out}");

    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web());
    let (result, ..) = run_answered(&server, &args(true), |server| {
        server.edit(NAMESPACE, "dairy", |baseline: &mut PerformanceBaseline| {
            let annotations = baseline.metadata.annotations.as_mut().unwrap();
            annotations.insert(RUN_ANNOTATION.to_owned(), "newer".to_owned());
            say(baseline, Some("newer"), said(types::READY, true, "Recorded"));
        });
    })
    .await;
    let failure = result.unwrap_err();
    assert!(failure.code == 3 && failure.lines[0].contains("a newer request"), "{failure:?}");

    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web());
    let (result, ..) = run_answered(&server, &args(true), |server| {
        server.delete::<PerformanceBaseline>(NAMESPACE, "dairy");
    })
    .await;
    let failure = result.unwrap_err();
    assert!(failure.lines[0].contains("baseline/dairy was deleted"), "{failure:?}");
}

#[tokio::test]
async fn waiting_ends_by_its_timeout_with_what_is_known() {
    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web());
    let args = RunArgs { timeout: Duration::from_millis(50), ..args(true) };
    let (result, out, _) = run_answered(&server, &args, |_| {}).await;
    let failure = result.unwrap_err();
    assert!(failure.code == 3 && failure.lines[0].contains("has not ended within 50ms"), "{failure:?}");
    assert!(out.starts_with("PerformanceBaseline dairy"), "{out}");
}

#[tokio::test]
async fn a_suspended_baseline_is_not_waited_for() {
    let server = FakeApiServer::new();
    server.put(fixtures::baseline("dairy").web().suspended());
    let (result, _, err) = run_answered(&server, &args(true), |_| {}).await;
    assert_eq!(result.unwrap(), 3);
    assert!(err.contains("the run starts when spec.suspend is false"), "{err}");
}

#[test]
fn an_old_answer_and_an_old_stall_are_no_answer() {
    let mut baseline = fixtures::baseline("dairy").annotated("new").generation(2);
    say(&mut baseline, Some("old"), said(types::READY, true, "Recorded"));
    assert_eq!(answer(&baseline, "new"), None);
    say(&mut baseline, Some("old"), said(types::STALLED, true, "AuthenticationFailed"));
    assert_eq!(answer(&baseline, "new"), None);
    say(&mut baseline, Some("old"), said(types::STALLED, true, "InvalidSpec"));
    assert_eq!(answer(&baseline, "new"), Some(Answer::Invalid));
    baseline.metadata.generation = Some(3);
    assert_eq!(answer(&baseline, "new"), None, "the operator has not seen the edit that may mend it");
}
