use super::*;
use plimsoll_analysis::judgement::{Trend, TrendPoint};
use plimsoll_analysis::record::{Basis, BasisKind, CustomMetric};
use plimsoll_analysis::request::Unit;
use plimsoll_testkit::fixtures::record;

fn names() -> RecordOwner {
    RecordOwner {
        run: "dairy-0123456789".to_owned(),
        namespace: "pasture".to_owned(),
        owner: OwnerReference {
            uid: "owner-1".to_owned(),
            controller: Some(true),
            ..OwnerReference::default()
        },
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        run_key: "sha256:key".to_owned(),
        request_hash: Some("sha256:request".to_owned()),
    }
}

/// A tenth of what is kept, so that the tests compress little.
const SMALL: Bounds = Bounds { compress_past: 70_000, cut_past: 90_000, text: 3_000_000 };

/// Text that does not compress: a run of a hash.
fn noise(seed: usize, length: usize) -> String {
    let mut text = String::new();
    let mut next = seed.to_string();
    while text.len() < length {
        next = sha256_hex(next.as_bytes());
        text.push_str(&next);
    }
    text.truncate(length);
    text
}

/// A record of about `bytes` in its basis and its custom metrics.
fn large(bytes: usize, compressible: bool) -> BaselineRecord {
    let mut record = record();
    let basis = record.basis.values().next().unwrap().clone();
    for index in 0..bytes / 1_000 {
        let note = if compressible { "x".repeat(800) } else { noise(index, 800) };
        let basis = Basis { kind: BasisKind::Window, note: Some(note), ..basis.clone() };
        record.basis.insert(format!("custom_metrics.m{index}"), basis);
    }
    record
}

/// A judgement with the trend of 79 indicators over some runs.
fn judgement(runs: usize) -> Judgement {
    let point = TrendPoint { run: "r".repeat(51), at: record().window.to, value: 1.0 };
    let trend = Trend { indicator: "m".repeat(70), unit: Unit::Count, points: vec![point; runs] };
    Judgement {
        schema: plimsoll_analysis::judgement::SCHEMA.to_owned(),
        run: "dairy-0123456789".to_owned(),
        record_sha256: Some("sha".to_owned()),
        generation: Some(1),
        complete: true,
        objectives: Vec::new(),
        findings: Vec::new(),
        comparison: None,
        not_compared: None,
        trend: vec![trend; 79],
    }
}

#[test]
fn a_judgement_that_is_too_long_loses_the_oldest_runs_of_its_trend() {
    let kept = |runs: usize| -> Judgement {
        let map = report_map(&record(), &judgement(runs), &names());
        let text = map.data.unwrap().remove(JUDGEMENT).unwrap();
        assert!(text.len() <= MAX_JUDGEMENT_BYTES, "{}", text.len());
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(kept(5), judgement(5));
    let points = kept(60).trend[0].points.len();
    assert!((5..60).contains(&points), "{points}");
}

#[test]
fn a_report_is_the_same_whatever_others_have_put_beside_it() {
    let report = report_map(&record(), &judgement(1), &names());
    let mut there = report.clone();
    there.data.as_mut().unwrap().insert("rules.yaml".to_owned(), "groups: []".to_owned());
    assert!(says_the_same(&there, &report));
    there.data.as_mut().unwrap().insert(REPORT.to_owned(), "edited".to_owned());
    assert!(!says_the_same(&there, &report));
    assert!(!says_the_same(&ConfigMap::default(), &report));
}

fn bytes_of(map: &ConfigMap) -> usize {
    serde_json::to_vec(map).unwrap().len()
}

#[test]
fn a_record_is_text_and_is_read_back_with_its_hash() {
    let map = to_config_map(&record(), &names()).unwrap();
    assert_eq!(map.immutable, Some(true));
    let text = map.data.as_ref().unwrap()[RECORD].clone();
    let (read, sha256) = read(&map).unwrap();
    assert_eq!(read, record());
    assert_eq!(sha256, sha256_hex(text.as_bytes()));
}

#[test]
fn past_700_kib_it_is_compressed_and_is_read_back() {
    assert_eq!((BOUNDS.compress_past, BOUNDS.cut_past), (716_800, 921_600));
    for (bytes, compressed) in [(50_000, false), (90_000, true)] {
        let record = large(bytes, true);
        let map = within(&record, &names(), SMALL).unwrap();
        assert_eq!(map.binary_data.is_some(), compressed);
        assert_eq!(map.data.is_none(), compressed);
        assert_eq!(read(&map).unwrap().0, record);
    }
}

#[test]
fn past_900_kib_compressed_its_longest_list_is_cut_and_says_so() {
    let mut record = large(300_000, false);
    let metric = |index: usize| (format!("m{index}"), CustomMetric { value: 1.0, unit: Unit::Count });
    record.custom_metrics = Some((0..10).map(metric).collect());
    let map = within(&record, &names(), SMALL).unwrap();
    assert!(map.binary_data.as_ref().unwrap()[RECORD_GZ].0.len() <= SMALL.cut_past);
    let (cut, _) = read(&map).unwrap();
    assert_eq!(cut.custom_metrics.unwrap().len(), 10, "only the longest is cut");
    assert_eq!(cut.truncated.keys().collect::<Vec<_>>(), ["basis"]);
    assert_eq!(cut.truncated["basis"] as usize + cut.basis.len(), record.basis.len());
    assert_eq!(cut.web_metrics, record.web_metrics);
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let mut record = record();
    record.sources[0].message = Some(noise(1, 400_000));
    assert_eq!(within(&record, &names(), SMALL), Err(RecordError::TooLarge));
}

#[test]
fn what_compresses_well_and_could_not_be_read_back_is_cut_too() {
    let map = within(&large(4_000_000, true), &names(), SMALL).unwrap();
    assert!(decompress(&map.binary_data.as_ref().unwrap()[RECORD_GZ].0).unwrap().len() <= SMALL.text);
    let (cut, _) = read(&map).unwrap();
    assert!(cut.truncated["basis"] > 0);
}

#[test]
fn a_report_fits_its_config_map_however_long_the_record() {
    let mut record = record();
    let endpoints = |index: usize| (format!("/{}", noise(index, 200)), 1.0);
    record.api_metrics.as_mut().unwrap().top_endpoints = Some((0..10_000).map(endpoints).collect());
    let judgement = Judgement { generation: Some(3), ..judgement(20) };
    let map = report_map(&record, &judgement, &names());
    assert!(bytes_of(&map) < 1_000_000, "{}", bytes_of(&map));
    let data = map.data.unwrap();
    assert!(data[REPORT].ends_with("record.json has the rest.\n"));
    let judgement: serde_json::Value = serde_json::from_str(&data[JUDGEMENT]).unwrap();
    assert_eq!(
        (judgement["record_sha256"].as_str(), judgement["generation"].as_i64()),
        (Some("sha"), Some(3))
    );
}

#[test]
fn only_a_config_map_of_this_resource_run_and_request_is_adopted() {
    let map = to_config_map(&record(), &names()).unwrap();
    assert_eq!(adopt(&map, "owner-1", "sha256:key", Some("sha256:request")), Ok(()));
    for (owner, key, request) in [
        ("owner-2", "sha256:key", Some("sha256:request")),
        ("owner-1", "sha256:other", Some("sha256:request")),
        ("owner-1", "sha256:key", Some("sha256:other")),
        ("owner-1", "sha256:key", None),
    ] {
        assert!(
            matches!(adopt(&map, owner, key, request), Err(RecordError::Foreign(_))),
            "{owner} {key} {request:?}"
        );
    }
    let mut named = map.clone();
    named.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    assert!(
        adopt(&named, "owner-1", "sha256:key", Some("sha256:request")).is_err(),
        "an owner that does not control it"
    );
    let report = report_map(&record(), &judgement(1), &names());
    assert_eq!(belongs(&report.metadata, "owner-1", "sha256:key"), Ok(()));
    assert!(belongs(&ObjectMeta::default(), "owner-1", "sha256:key").is_err());
}

#[test]
fn what_holds_no_record_is_unreadable() {
    let map = within(&large(90_000, true), &names(), SMALL).unwrap();
    let with = |key: &str, bytes: Vec<u8>| {
        let mut map = map.clone();
        map.binary_data = Some(BTreeMap::from([(key.to_owned(), ByteString(bytes))]));
        map
    };
    let whole = map.binary_data.as_ref().unwrap()[RECORD_GZ].0.clone();
    let text = |text: &str| ConfigMap {
        data: Some(BTreeMap::from([(RECORD.to_owned(), text.to_owned())])),
        ..ConfigMap::default()
    };
    for map in [
        ConfigMap::default(),
        with("other", whole.clone()),
        with(RECORD_GZ, whole[..whole.len() / 2].to_vec()),
        with(RECORD_GZ, b"not gzip".to_vec()),
        text("{}"),
        text("not json"),
    ] {
        assert_eq!(read(&map), Err(RecordError::Unreadable));
    }
}
