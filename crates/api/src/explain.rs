//! What `kubectl explain` shows of a field: its description without the line breaks of our source, then its default and
//! bounds, which `kubectl explain` does not show by itself. Taken from the schema, so that they cannot drift from it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Completes the description of every field of a definition.
pub(crate) fn explain(crd: &mut CustomResourceDefinition) {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            complete(schema);
        }
    }
}

/// Default and bounds of a field as the last line of its description says them, for example
/// `Default 600; 60 to 3600.`; `None` where it has neither.
#[must_use]
pub fn limits(field: &JSONSchemaProps) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(default) = &field.default {
        let text = default.0.as_str().map_or_else(|| default.0.to_string(), ToOwned::to_owned);
        parts.push(format!("default {}", if text.is_empty() { "empty" } else { &text }));
    }
    parts.extend(bounds(field));
    let mut line = parts.join("; ");
    let first = line.get(..1)?.to_ascii_uppercase();
    line.replace_range(..1, &first);
    line.push('.');
    Some(line)
}

/// The bounds of a field in words, without its default, enum and pattern.
#[must_use]
pub fn bounds(field: &JSONSchemaProps) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(range(field.minimum.map(whole), field.maximum.map(whole), ""));
    parts.extend(range(field.min_length, field.max_length, " characters"));
    parts.extend(range(field.min_items, field.max_items, " entries"));
    parts.extend(range(field.min_properties, field.max_properties, " entries"));
    if let Some(keys) = &field.x_kubernetes_list_map_keys {
        parts.push(format!("each with its own {}", keys.join(" and ")));
    }
    parts
}

fn range(low: Option<i64>, high: Option<i64>, what: &str) -> Option<String> {
    match (low, high) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}{what}")),
        (Some(low), None) => Some(format!("at least {low}{what}")),
        (None, Some(high)) => Some(format!("at most {high}{what}")),
        (None, None) => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bound of an integer field is written as a whole number"
)]
fn whole(bound: f64) -> i64 {
    bound as i64
}

fn complete(field: &mut JSONSchemaProps) {
    let text = field.description.take().map(|text| joined(&text)).unwrap_or_default();
    let lines: Vec<String> =
        [Some(text), limits(field)].into_iter().flatten().filter(|line| !line.is_empty()).collect();
    field.description = (!lines.is_empty()).then(|| lines.join("\n"));
    for (_, property) in field.properties.iter_mut().flatten() {
        complete(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut field.items {
        joined_in_place(item);
        item.properties.iter_mut().flatten().for_each(|(_, property)| complete(property));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut field.additional_properties {
        joined_in_place(value);
    }
}

/// Nobody is shown the limits of an item: `kubectl explain` prints its description below that of its list.
fn joined_in_place(field: &mut JSONSchemaProps) {
    field.description = field.description.take().map(|text| joined(&text));
}

/// The text with one line a paragraph: `kubectl explain` keeps every line break and wraps by itself.
fn joined(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::all_crds;
    use serde_json::json;

    fn field(json: serde_json::Value) -> JSONSchemaProps {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_last_line_says_default_and_bounds() {
        for (schema, expected) in [
            (json!({"default": 600, "minimum": 60.0, "maximum": 3600.0}), Some("Default 600; 60 to 3600.")),
            (json!({"default": "", "maxLength": 9}), Some("Default empty; at most 9 characters.")),
            (json!({"default": "a=\"b\"", "minLength": 1}), Some("Default a=\"b\"; at least 1 characters.")),
            (
                json!({"maxItems": 3, "x-kubernetes-list-map-keys": ["name"]}),
                Some("At most 3 entries; each with its own name."),
            ),
            (json!({"type": "object"}), None),
        ] {
            assert_eq!(limits(&field(schema.clone())).as_deref(), expected, "{schema}");
        }
    }

    #[test]
    fn a_paragraph_is_one_line() {
        let mut schema = field(json!({"description": "One\n two.\n\nThree.", "default": 1}));
        complete(&mut schema);
        assert_eq!(schema.description.as_deref(), Some("One two.\n\nThree.\nDefault 1."));
    }

    #[test]
    fn every_field_says_what_it_is_in_a_sentence() {
        fn walk(path: &str, field: &JSONSchemaProps, seen: &mut usize) {
            let text = field.description.as_deref().unwrap_or_default();
            assert!(text.len() > 15 && text.ends_with('.'), "{path}: {text:?}");
            *seen += 1;
            for (name, property) in field.properties.iter().flatten() {
                walk(&format!("{path}.{name}"), property, seen);
            }
            if let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items {
                for (name, property) in item.properties.iter().flatten() {
                    walk(&format!("{path}[].{name}"), property, seen);
                }
            }
        }
        let mut seen = 0;
        for crd in all_crds() {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            walk(&crd.spec.names.kind, schema, &mut seen);
        }
        assert!(seen > 90, "{seen}");
    }
}
