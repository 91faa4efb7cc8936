use super::*;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use plimsoll_analysis::judgement::{self, Finding, Impact, Judgement, ObjectiveResult, ObjectiveVerdict};
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::Unit;
use plimsoll_api::baseline::{FinishedRun, KeptRun};
use plimsoll_api::{PerformanceBaseline, PerformanceBaselineStatus};
use plimsoll_operator::record_map::{self, RecordOwner, to_config_map};
use plimsoll_testkit::FakeApiServer;
use plimsoll_testkit::fixtures::{self, BaselineFixture as _, NAMESPACE};
use std::collections::BTreeMap;

const RUN: &str = "dairy-0123456789";

fn owner() -> RecordOwner {
    RecordOwner {
        run: RUN.to_owned(),
        namespace: NAMESPACE.to_owned(),
        owner: OwnerReference::default(),
        labels: BTreeMap::new(),
        run_key: "sha256:key".to_owned(),
        request_hash: None,
    }
}

fn finished(name: &str, sha256: Option<&str>) -> FinishedRun {
    FinishedRun {
        name: name.to_owned(),
        key: "sha256:key".to_owned(),
        spec_hash: "v1:hash".to_owned(),
        finished_at: Time("2026-11-23T02:00:00Z".parse().unwrap()),
        complete: sha256.is_some(),
        record_sha256: sha256.map(str::to_owned),
        reason: sha256.is_none().then(|| "OutOfMemory".to_owned()),
        message: sha256.is_none().then(|| "killed".to_owned()),
    }
}

fn kept(name: &str, sha256: &str) -> KeptRun {
    KeptRun {
        name: name.to_owned(),
        finished_at: Time("2026-11-23T02:00:00Z".parse().unwrap()),
        complete: true,
        record_sha256: sha256.to_owned(),
        spec_hash: None,
    }
}

/// What the operator writes beside the record.
fn judgement(sha256: &str) -> Judgement {
    Judgement {
        schema: judgement::SCHEMA.to_owned(),
        run: RUN.to_owned(),
        record_sha256: Some(sha256.to_owned()),
        generation: Some(1),
        complete: true,
        objectives: vec![ObjectiveResult {
            name: "page-load".to_owned(),
            indicator: "web.latency.p95".to_owned(),
            target: "lessThan 3s".to_owned(),
            value: Some(1.23),
            low: None,
            high: None,
            unit: Unit::Seconds,
            result: ObjectiveVerdict::Met,
            margin_percent: Some(59.0),
            path: Some("web_metrics.page_load_p95_ms".to_owned()),
            finding: None,
            message: "1.23s, below 3s".to_owned(),
        }],
        findings: vec![Finding {
            id: "slow-endpoint".to_owned(),
            subject: "/collections".to_owned(),
            impact: Impact::High,
            effect_percent: Some(80.0),
            evidence: "80% of the response time".to_owned(),
            action: "profile it".to_owned(),
            paths: vec!["api_metrics.top_endpoints".to_owned()],
            explains: vec!["api.latency.p95".to_owned()],
        }],
        comparison: None,
        not_compared: Some("there is no run before it".to_owned()),
        trend: Vec::new(),
    }
}

/// The ConfigMap `<run>-report` with a text as the judgement.
fn report_map(judgement: String) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{RUN}-report")),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(record_map::JUDGEMENT.to_owned(), judgement)])),
        ..ConfigMap::default()
    }
}

fn baseline(last: Option<FinishedRun>, history: Vec<KeptRun>) -> PerformanceBaseline {
    let mut baseline = fixtures::baseline("dairy").web();
    baseline.status = Some(PerformanceBaselineStatus {
        observed_generation: Some(1),
        last_run: last,
        history,
        ..PerformanceBaselineStatus::default()
    });
    baseline
}

/// Exit code or message, standard output and standard error; of all baselines where `name` is empty.
async fn report(
    server: &FakeApiServer,
    name: &str,
    format: Format,
    run: Option<&str>,
) -> (Result<u8, String>, String, String) {
    let args = ReportArgs {
        object: (!name.is_empty()).then(|| ObjectRef { name: name.to_owned() }),
        all: name.is_empty(),
        output: format,
        run: run.map(str::to_owned),
        target: Target::default(),
    };
    let place = Place { client: server.client(), namespace: NAMESPACE.to_owned() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result = super::run(&args, &place, &mut out, &mut err).await;
    let result = result.map_err(|failure| failure.lines.join("\n"));
    (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn the_record_of_the_last_run_is_printed_in_every_form() {
    let server = FakeApiServer::new();
    let record = fixtures::record();
    let map = server.put(to_config_map(&record, &owner()).unwrap());
    let sha256 = record_map::read(&map).unwrap().1;
    server.put(baseline(Some(finished(RUN, Some(&sha256))), vec![kept(RUN, &sha256)]));
    let (result, out, err) = report(&server, "dairy", Format::Json, None).await;
    assert_eq!(result, Ok(0));
    assert!(err.contains("ConfigMap dairy-0123456789-report is gone"), "{err}");
    assert_eq!(serde_json::from_str::<BaselineRecord>(&out).unwrap(), record);
    assert_eq!(out.trim_end(), map.data.unwrap()["record.json"], "the very text that was hashed");
    let (_, out, _) = report(&server, "dairy", Format::Table, Some(RUN)).await;
    assert!(out.contains("dairy"), "{out}");
    let (_, out, _) = report(&server, "dairy", Format::Markdown, None).await;
    assert!(out.starts_with("# "), "{out}");
    let (_, out, _) = report(&server, "dairy", Format::Html, None).await;
    assert!(out.starts_with("<!doctype html>") || out.starts_with("<!DOCTYPE html>"), "{out}");
}

#[tokio::test]
async fn objectives_findings_and_comparison_stand_beside_the_measurements() {
    let server = FakeApiServer::new();
    let record = fixtures::record();
    let map = server.put(to_config_map(&record, &owner()).unwrap());
    let sha256 = record_map::read(&map).unwrap().1;
    let said = judgement(&sha256);
    server.put(report_map(serde_json::to_string(&said).unwrap()));
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()));
    let (result, out, err) = report(&server, "dairy", Format::Json, None).await;
    assert_eq!((result, err.as_str()), (Ok(0), ""));
    let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(printed["objectives"][0]["result"], "Met");
    assert_eq!(printed["findings"], serde_json::to_value(&said.findings).unwrap());
    assert_eq!(printed["not_compared"], "there is no run before it");
    assert!(printed.get("comparison").is_none());
    assert_eq!(
        printed["schema"],
        plimsoll_analysis::record::SCHEMA,
        "it is the record that it can be read as"
    );
    assert_eq!(serde_json::from_value::<BaselineRecord>(printed).unwrap(), record);
}

#[tokio::test]
async fn an_edit_that_the_operator_has_not_seen_is_noted() {
    let server = FakeApiServer::new();
    let map = server.put(to_config_map(&fixtures::record(), &owner()).unwrap());
    let sha256 = record_map::read(&map).unwrap().1;
    server.put(report_map(serde_json::to_string(&judgement(&sha256)).unwrap()));
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()).generation(2));
    let (result, _, err) = report(&server, "dairy", Format::Table, None).await;
    assert_eq!(result, Ok(0));
    assert!(err.starts_with("note: the operator has not looked at the last edit yet"), "{err}");
}

#[tokio::test]
async fn a_judgement_of_another_record_is_not_shown() {
    let server = FakeApiServer::new();
    let map = server.put(to_config_map(&fixtures::record(), &owner()).unwrap());
    let sha256 = record_map::read(&map).unwrap().1;
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()));
    for (text, expected) in [
        (serde_json::to_string(&judgement("00")).unwrap(), "is of another record"),
        ("{}".to_owned(), "holds no judgement that this version of plimsoll reads"),
    ] {
        server.put(report_map(text));
        let (result, out, err) = report(&server, "dairy", Format::Json, None).await;
        assert_eq!(result, Ok(0));
        assert!(err.contains(expected), "{err}");
        assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap().get("objectives").is_none());
    }
}

#[tokio::test]
async fn a_compressed_record_is_read_too() {
    let server = FakeApiServer::new();
    let mut record = fixtures::record();
    // Longer than what is kept as text.
    for index in 0..40_000 {
        record.truncated.insert(format!("entry-{index:020}"), index);
    }
    let map = server.put(to_config_map(&record, &owner()).unwrap());
    assert!(map.binary_data.as_ref().is_some_and(|data| data.contains_key(record_map::RECORD_GZ)));
    let sha256 = record_map::read(&map).unwrap().1;
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()));
    let (result, out, _) = report(&server, "dairy", Format::Json, None).await;
    assert_eq!(result, Ok(0));
    assert_eq!(serde_json::from_str::<BaselineRecord>(&out).unwrap(), record);
}

#[tokio::test]
async fn a_record_that_was_changed_is_refused() {
    let server = FakeApiServer::new();
    let mut map = to_config_map(&fixtures::record(), &owner()).unwrap();
    let sha256 = record_map::read(&map).unwrap().1;
    let text = map.data.as_mut().unwrap().get_mut("record.json").unwrap();
    *text = text.replace("1230.0", "12.0");
    server.put(map);
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()));
    let (result, out, _) = report(&server, "dairy", Format::Json, None).await;
    let message = result.unwrap_err();
    assert!(
        message.contains("was changed after its record was written") && message.contains(&sha256),
        "{message}"
    );
    assert_eq!(out, "");
    let garbage = ConfigMap {
        metadata: ObjectMeta {
            name: Some(RUN.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([("record.json.gz".to_owned(), ByteString(b"no gzip".to_vec()))])),
        ..ConfigMap::default()
    };
    server.put(garbage);
    let (result, ..) = report(&server, "dairy", Format::Json, None).await;
    assert!(result.unwrap_err().contains("it holds no readable record"));
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_to_do() {
    let server = FakeApiServer::new();
    let (result, ..) = report(&server, "dairy", Format::Table, None).await;
    let message = result.unwrap_err();
    assert!(message.contains("not found; `kubectl get baselines -n pasture` lists"), "{message}");
    server.put(baseline(None, Vec::new()));
    let (result, ..) = report(&server, "dairy", Format::Table, None).await;
    assert!(result.unwrap_err().starts_with("no run has finished yet"));
    server.put(baseline(Some(finished(RUN, Some("00"))), vec![kept("older", "11")]));
    let (result, ..) = report(&server, "dairy", Format::Table, None).await;
    assert!(result.unwrap_err().contains("ConfigMap dairy-0123456789 was deleted"));
    let (result, ..) = report(&server, "dairy", Format::Table, Some("x")).await;
    assert_eq!(result.unwrap_err(), "no record of a run \"x\" is kept; kept are: older");
    server.forbid(plimsoll_testkit::server::Verb::Get, "configmaps");
    let (result, ..) = report(&server, "dairy", Format::Table, None).await;
    let message = result.unwrap_err();
    assert!(message.contains("forbidden") && message.contains("ask who runs the cluster"), "{message}");
}

#[tokio::test]
async fn a_last_run_without_record_is_told_beside_the_record_before_it() {
    let server = FakeApiServer::new();
    let map = server.put(to_config_map(&fixtures::record(), &owner()).unwrap());
    let sha256 = record_map::read(&map).unwrap().1;
    server.put(baseline(Some(finished("dairy-later", None)), vec![kept(RUN, &sha256)]));
    let (result, out, err) = report(&server, "dairy", Format::Table, None).await;
    assert_eq!(result, Ok(0));
    assert!(!out.is_empty());
    assert!(err.contains("dairy-later, has no record (OutOfMemory): killed"), "{err}");
    assert!(err.contains("the run before it, dairy-0123456789"), "{err}");
    server.put(baseline(Some(finished("dairy-later", None)), Vec::new()));
    let (result, ..) = report(&server, "dairy", Format::Table, None).await;
    assert!(result.unwrap_err().contains("OutOfMemory"));
}

#[tokio::test]
async fn all_baselines_of_the_namespace_are_told_together() {
    let server = FakeApiServer::new();
    let before = BaselineRecord { run: "dairy-before".to_owned(), ..fixtures::record() };
    let names = RecordOwner { run: "dairy-before".to_owned(), ..owner() };
    let older = server.put(to_config_map(&before, &names).unwrap());
    let map = server.put(to_config_map(&fixtures::record(), &owner()).unwrap());
    let [earlier, sha256] = [&older, &map].map(|map| record_map::read(map).unwrap().1);
    let against = judgement::Against {
        name: "dairy".to_owned(),
        run: "dairy-before".to_owned(),
        record_sha256: Some(earlier),
        window: before.window,
    };
    let comparison = judgement::Comparison {
        against,
        alignment: judgement::Alignment::None,
        allowed_change_percent: 5.0,
        confidence_percent: 98.0,
        verdict: judgement::ChangeVerdict::Unchanged,
        indicators: Vec::new(),
        notes: Vec::new(),
    };
    let said = Judgement { comparison: Some(comparison), not_compared: None, ..judgement(&sha256) };
    server.put(report_map(serde_json::to_string(&said).unwrap()));
    server.put(baseline(Some(finished(RUN, Some(&sha256))), Vec::new()));
    let mut goats = fixtures::baseline("goats").web().uid("c0c0a000-0000-4000-8000-00000000c0c1");
    goats.status = Some(PerformanceBaselineStatus {
        last_run: Some(finished("goats-later", None)),
        ..PerformanceBaselineStatus::default()
    });
    server.put(goats);
    let (result, out, err) = report(&server, "", Format::Markdown, None).await;
    assert_eq!((result, err.as_str()), (Ok(0), ""));
    for expected in [
        "# Performance of namespace pasture",
        "**dairy**: **Unchanged** against run dairy-before",
        "**goats**: the last run, goats-later, has no record (OutOfMemory): killed.",
        "- [ ] Performance baseline documented: ",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let (result, out, _) = report(&server, "", Format::Table, None).await;
    assert!(result == Ok(0) && out.contains("[ ] Capacity plan"), "{out}");
    let (result, ..) = report(&server, "", Format::Json, None).await;
    assert!(result.unwrap_err().contains("--all is written as table or markdown"));
    let (result, ..) = report(&FakeApiServer::new(), "", Format::Table, None).await;
    assert_eq!(result.unwrap_err(), "there is no baseline in namespace pasture");
}
