use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plimsoll_operator::record_map::RecordOwner;
use plimsoll_testkit::fixtures;
use serde_json::json;

fn config_map(record: &BaselineRecord) -> ConfigMap {
    let names = RecordOwner {
        run: "dairy-0123456789".to_owned(),
        namespace: fixtures::NAMESPACE.to_owned(),
        owner: OwnerReference::default(),
        labels: std::collections::BTreeMap::new(),
        run_key: "sha256:key".to_owned(),
        request_hash: None,
    };
    record_map::to_config_map(record, &names).unwrap()
}

fn error(text: &str) -> String {
    let failure = parse("a.json", text).unwrap_err();
    assert_eq!((failure.code, failure.lines.len()), (2, 1), "{failure:?}");
    let line = failure.lines[0].clone();
    assert!(line.starts_with("a.json"), "{line}");
    line
}

#[test]
fn a_record_is_read_from_every_form_in_which_it_is_written() {
    let record = fixtures::record();
    let map = config_map(&record);
    let sha256 = record_map::read(&map).unwrap().1;
    let mut large = record.clone();
    for index in 0..40_000 {
        large.truncated.insert(format!("entry-{index:020}"), index);
    }
    let compressed = config_map(&large);
    assert!(compressed.binary_data.is_some());
    for (text, expected, hash) in [
        (serde_json::to_string(&record).unwrap(), &record, None),
        (serde_yaml::to_string(&record).unwrap(), &record, None),
        (serde_json::to_string_pretty(&map).unwrap(), &record, Some(sha256.clone())),
        (serde_yaml::to_string(&map).unwrap(), &record, Some(sha256.clone())),
        (
            format!("# a comment\n---\nkind: Service\n---\n{}", serde_yaml::to_string(&map).unwrap()),
            &record,
            Some(sha256),
        ),
        (serde_yaml::to_string(&compressed).unwrap(), &large, Some(record_map::read(&compressed).unwrap().1)),
        (json!({"apiVersion": "v1", "kind": "List", "items": [record]}).to_string(), &record, None),
    ] {
        let found = parse("a", &text).unwrap_or_else(|failure| panic!("{failure:?} of {}", &text[..200]));
        assert_eq!((&found.record, found.sha256), (expected, hash), "{}", &text[..200]);
    }
}

#[test]
fn what_is_no_record_is_named_with_what_is_expected() {
    let record = serde_json::to_value(fixtures::record()).unwrap();
    let mut newer = record.clone();
    newer["schema"] = json!("plimsoll.dev/baseline-record/v2");
    let mut broken = record.clone();
    broken["window"] = json!(7);
    let map =
        |data: serde_json::Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data}).to_string();
    for (text, expected) in [
        (
            r#"{"collection_date": "2026-02-05", "web_metrics": {}}"#.to_owned(),
            "it has no key \"schema\"; give record.json",
        ),
        ("[]".to_owned(), "it has no key \"schema\""),
        (String::new(), "holds no record; give record.json"),
        ("a: [b".to_owned(), "not YAML or JSON"),
        (
            newer.to_string(),
            "is of schema \"plimsoll.dev/baseline-record/v2\", and this version of plimsoll reads",
        ),
        (broken.to_string(), "is not a whole record: "),
        (json!({"schema": judgement::SCHEMA, "run": "x-1"}).to_string(), "record.json of the ConfigMap x-1"),
        (json!({"kind": "Secret"}).to_string(), "is a Secret and holds no record"),
        (map(json!({"other": "x"})), "it holds no readable record"),
        (map(json!({"record.json": "{}"})), "it holds no readable record"),
        (map(json!({"record.json": newer.to_string()})), "is of schema \"plimsoll.dev/baseline-record/v2\""),
        (format!("{0}\n---\n{0}", serde_yaml::to_string(&record).unwrap()), "holds 2 records"),
    ] {
        let error = error(&text);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn an_exported_record_that_was_changed_is_refused() {
    let mut map = config_map(&fixtures::record());
    let sha256 = record_map::read(&map).unwrap().1;
    map.metadata.annotations.as_mut().unwrap().insert(RECORD_SHA256_ANNOTATION.to_owned(), sha256.clone());
    assert_eq!(parse("a", &serde_yaml::to_string(&map).unwrap()).unwrap().sha256, Some(sha256));
    let text = serde_yaml::to_string(&map).unwrap();
    let changed = text.replace("1230.0", "12.0");
    assert_ne!(text, changed);
    assert!(error(&changed).contains("was changed after it was exported"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let failure = read(Path::new("/nowhere/a.json")).unwrap_err();
    assert_eq!(
        (failure.code, failure.lines),
        (2, vec!["/nowhere/a.json: No such file or directory (os error 2)".to_owned()])
    );
}
