//! Examples of every reference to a Secret or ConfigMap that a schema allows, made from the schema itself, so that a
//! new reference is tested without a new line here.

use serde_json::{Map, Value, json};

/// Name in a reference that a spec must have beside the one that it is an example of.
pub const OWN: &str = "own";

/// A spec that holds one reference, with lists on the way filled.
#[derive(Debug, Clone)]
pub struct Example {
    /// The reference as a person writes it, for example `spec.a[].secretRef`.
    pub path: String,
    /// Whether it refers to a ConfigMap and not to a Secret.
    pub is_config_map: bool,
    /// The spec, with empty names.
    pub spec: Value,
    /// Pointers into the spec to each name.
    pub names: Vec<String>,
}

impl Example {
    /// The spec with these names, in the order of [`Self::names`]; the last stands for all that follow.
    #[must_use]
    pub fn with(&self, names: &[&str]) -> Value {
        let mut spec = self.spec.clone();
        for (index, pointer) in self.names.iter().enumerate() {
            let name = names.get(index).or(names.last()).expect("at least one name");
            *spec.pointer_mut(pointer).expect("an example holds its names") = json!(name);
        }
        spec
    }
}

/// One step towards a reference.
#[derive(Debug, Clone)]
enum Step {
    Field(String),
    Entries,
}

/// An example of each reference below `schema`, the schema of a spec. Lists have `entries` entries, or as many as they
/// may have.
#[must_use]
pub fn examples(schema: &Value, entries: usize) -> Vec<Example> {
    let mut paths = Vec::new();
    find(schema, &mut Vec::new(), &mut paths);
    paths.into_iter().map(|path| example(schema, &path, entries)).collect()
}

fn find(schema: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    if let Some(entry) = schema.get("items") {
        path.push(Step::Entries);
        find(entry, path, found);
        path.pop();
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        path.push(Step::Field(name.clone()));
        if is_reference(name) {
            found.push(path.clone());
        } else {
            find(field, path, found);
        }
        path.pop();
    }
}

fn is_reference(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.contains("secret") || lower.contains("configmap")
}

fn example(schema: &Value, path: &[Step], entries: usize) -> Example {
    let mut text = String::from("spec");
    let mut is_config_map = false;
    for step in path {
        match step {
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
                is_config_map = name.to_lowercase().contains("configmap");
            }
            Step::Entries => text.push_str("[]"),
        }
    }
    let mut names = Vec::new();
    let mut spec = build(schema, path, entries, "", &mut names);
    beside(&mut spec);
    Example { path: text, is_config_map, spec, names }
}

/// Adds what rules of the schema ask for beside a source, and no schema requires.
fn beside(spec: &mut Value) {
    let has = |spec: &Value, pointer: &str| spec.pointer(pointer).is_some();
    if spec["sources"].as_object().is_some_and(Map::is_empty) {
        spec["sources"] = json!({"prometheus": {"url": "https://prometheus.example:9090"}});
    }
    if has(spec, "/sources/postgres") {
        spec["database"] = json!({});
    }
    if has(spec, "/sources/redis") {
        spec["cache"] = json!({});
        spec["sources"]["redis"]["host"] = json!("redis");
    }
    if has(spec, "/sources/redis/sentinel") {
        spec["sources"]["redis"]["topology"] = json!("Sentinel");
    }
}

/// A value of `schema` that holds the rest of the path.
fn build(schema: &Value, path: &[Step], entries: usize, pointer: &str, names: &mut Vec<String>) -> Value {
    match path {
        [] => {
            names.push(format!("{pointer}/name"));
            let mut reference = required(schema, "");
            reference.insert("name".to_owned(), json!(""));
            Value::Object(reference)
        }
        [Step::Field(name), rest @ ..] => {
            let mut object = required(schema, name);
            let child =
                build(&schema["properties"][name], rest, entries, &format!("{pointer}/{name}"), names);
            object.insert(name.clone(), child);
            Value::Object(object)
        }
        [Step::Entries, rest @ ..] => {
            let most =
                schema["maxItems"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(entries);
            let mut list = Vec::new();
            for index in 0..entries.min(most) {
                let mut entry = build(&schema["items"], rest, entries, &format!("{pointer}/{index}"), names);
                for key in schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten() {
                    entry[key.as_str().expect("a key is a name")] = json!(format!("x{index}"));
                }
                list.push(entry);
            }
            Value::Array(list)
        }
    }
}

/// The members that an object of this schema must have; a union's `type` names the member `next`.
fn required(schema: &Value, next: &str) -> Map<String, Value> {
    let mut object = Map::new();
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        object.insert(name.to_owned(), plain(name, &schema["properties"][name], next));
    }
    object
}

fn plain(name: &str, schema: &Value, next: &str) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(values) = schema["enum"].as_array() {
        let named =
            values.iter().find(|value| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(next)));
        return named.unwrap_or(&values[0]).clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut object = required(schema, "");
            if is_reference(name) {
                object.insert("name".to_owned(), json!(OWN));
            }
            Value::Object(object)
        }
        Some("array") => json!([]),
        Some("boolean") => json!(false),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        _ if name == "url" => json!("https://prometheus.example:9090"),
        _ => {
            let length = schema["minLength"].as_u64().and_then(|length| usize::try_from(length).ok());
            json!("x".repeat(length.unwrap_or(1).max(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_holds_what_is_required_and_each_name_of_its_lists() {
        let reference = json!({"type": "object", "required": ["name", "key"], "properties":
            {"name": {"type": "string"}, "key": {"type": "string", "minLength": 2}}});
        let auth = json!({"type": "object", "required": ["type"], "properties":
            {"type": {"enum": ["Basic", "Bearer"]}, "bearer": {"properties": {"secretKeyRef": reference}}}});
        let list = json!({"type": "array", "maxItems": 2, "x-kubernetes-list-map-keys": ["name"], "items":
            {"required": ["name"], "properties": {"name": {"type": "string"}, "configMapRef": reference}}});
        let schema = json!({"type": "object", "properties": {"auth": auth, "list": list}});
        let examples = examples(&schema, 16);
        assert_eq!(examples[0].path, "spec.auth.bearer.secretKeyRef");
        assert_eq!(
            examples[0].with(&["a"]),
            json!({"auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "a", "key": "xx"}}}})
        );
        assert!(examples[1].is_config_map);
        assert_eq!(examples[1].names, ["/list/0/configMapRef/name", "/list/1/configMapRef/name"]);
        assert_eq!(
            examples[1].with(&["a", "b"])["list"][1],
            json!({"name": "x1", "configMapRef": {"name": "b", "key": "xx"}})
        );
    }
}
