use plimsoll_api::all_crds;
use serde_json::{Value, json};

use super::*;
use crate::process::root;

/// The member names of every reference below a JSON schema, found without the code under test.
fn naive(schema: &Value, path: &[&str], found: &mut Vec<Vec<String>>) {
    let Some(object) = schema.as_object() else { return };
    for (keyword, value) in object {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                for (name, field) in fields {
                    let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
                    let lower = name.to_lowercase();
                    if lower.contains("secret") || lower.contains("configmap") {
                        found.push(path.iter().map(ToString::to_string).collect());
                    }
                    naive(field, &path, found);
                }
            }
            (_, nested) => naive(nested, path, found),
        }
    }
}

/// Words of an expression that are no members.
const GLUE: [&str; 7] = ["object", "orValue", "filter", "e", "optMap", "n", "hasValue"];

/// Those paths with whose members, and no other between them, no expression of `text` begins.
fn missing<'a>(text: &str, paths: &'a [Vec<String>]) -> Vec<&'a Vec<String>> {
    let expressions: Vec<Vec<&str>> = text
        .lines()
        .map(|line| {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric());
            words.filter(|word| !word.is_empty() && !GLUE.contains(word)).collect()
        })
        .collect();
    let holds = |words: &[&str], path: &[String]| {
        let members: Vec<&str> = path.iter().map(String::as_str).chain(["name"]).collect();
        words.starts_with(&members)
    };
    paths.iter().filter(|path| !expressions.iter().any(|words| holds(words, path))).collect()
}

fn paths_of_all_kinds() -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for crd in all_crds() {
        for version in serde_json::to_value(&crd).unwrap()["spec"]["versions"].as_array().unwrap() {
            naive(&version["schema"]["openAPIV3Schema"]["properties"]["spec"], &["spec"], &mut paths);
        }
    }
    paths
}

#[test]
fn every_reference_of_every_kind_is_in_the_generated_file() {
    let paths = paths_of_all_kinds();
    assert!(paths.len() >= 5, "{paths:?}");
    let record = ["spec", "compareTo", "record", "configMapRef"].map(str::to_owned).to_vec();
    assert!(paths.contains(&record), "the operator itself reads this one: {paths:?}");
    let text = std::fs::read_to_string(root().join(FILE)).unwrap();
    assert_eq!(missing(&text, &paths), Vec::<&Vec<String>>::new(), "run `cargo xtask gen`");
    let maxima: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(maxima.iter().sum::<u64>() >= u64::try_from(paths.len()).unwrap(), "{maxima:?}");
}

#[test]
fn a_file_without_one_of_the_references_is_found_out() {
    let paths = paths_of_all_kinds();
    let text = template(&all_crds()).unwrap();
    for expression in text.lines().filter(|line| line.contains("object.?spec")) {
        let cut = text.replace(expression, "");
        assert!(!missing(&cut, &paths).is_empty(), "{expression}");
    }
}

/// A definition whose spec has this schema.
fn crd(spec: &Value) -> CustomResourceDefinition {
    let mut crd = serde_json::to_value(&all_crds()[0]).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = spec.clone();
    serde_json::from_value(crd).unwrap()
}

fn object(field: &str, schema: &Value) -> Value {
    json!({"type": "object", "properties": {field: schema}})
}

fn list(most: Option<u32>, entry: &Value) -> Value {
    let mut list = json!({"type": "array", "items": entry});
    if let Some(most) = most {
        list["maxItems"] = json!(most);
    }
    list
}

fn name() -> Value {
    object("name", &json!({"type": "string"}))
}

#[test]
fn lists_within_lists_are_written_out_but_for_the_last() {
    let spec = object("a", &list(Some(2), &object("b", &list(Some(3), &object("secretRef", &name())))));
    let references = references(&crd(&spec)).unwrap();
    assert_eq!(references.len(), 1);
    assert_eq!(references[0].most(), 6);
    let rest = ".?b.orValue([]).filter(e, e.?secretRef.?name.hasValue()).map(e, e.secretRef.name)";
    assert_eq!(
        references[0].expressions(),
        [format!("object.?spec.?a[?0]{rest}"), format!("object.?spec.?a[?1]{rest}")]
    );
}

#[test]
fn what_could_not_be_checked_is_an_error() {
    let reference = object("secretRef", &name());
    let mut nullable = list(Some(2), &reference);
    nullable["nullable"] = json!(true);
    let map = json!({"type": "object", "additionalProperties": reference});
    for (spec, says) in [
        (object("a", &list(None, &reference)), "needs maxItems"),
        (object("a", &nullable), "must not be nullable"),
        (object("a", &map), "below a map"),
        (object("secretName", &json!({"type": "string"})), "ends in \"Ref\""),
        (object("configMapRef", &json!({"type": "string"})), "ends in \"Ref\""),
        (object("a", &list(Some(27), &reference)), "more than the 26"),
    ] {
        let error = format!("{:#}", template(&[crd(&spec)]).unwrap_err());
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn references_that_exclude_each_other_count_once() {
    let mut either = json!({"type": "object", "properties": {"configMapRef": name(), "secretRef": name()}});
    let spec = |either: &Value| object("a", &list(Some(26), either));
    assert!(template(&[crd(&spec(&either))]).is_err());
    either["x-kubernetes-validations"] =
        json!([{"rule": "has(self.secretRef) != has(self.configMapRef)", "message": "one"}]);
    let text = template(&[crd(&spec(&either))]).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "26").count(), 2, "{text}");
    assert!(template(&[crd(&object("a", &list(Some(27), &either)))]).is_err());
}
