//! The API reference: one Markdown page a kind, every field with its type, default, bounds and meaning.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

use super::{BY, Generated};

pub(super) fn page(crd: &CustomResourceDefinition) -> Result<Generated> {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first().context("a CRD has a version")?;
    let schema = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref())
        .context("a CRD has a schema")?;
    let mut text = format!("<!-- {BY} crates/api; do not edit. -->\n\n# {}\n\n", names.kind);
    text.push_str(&format!("{}\n\n", schema.description.as_deref().unwrap_or_default()));
    text.push_str(&format!(
        "`{}/{}`, {}; short names {}.\n\n",
        crd.spec.group,
        version.name,
        crd.spec.scope.to_lowercase(),
        names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    ));
    text.push_str("## Columns of `kubectl get`\n\n| column | shown | meaning |\n|---|---|---|\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let shown = if column.priority.unwrap_or(0) > 0 { "with `-o wide`" } else { "always" };
        let meaning = column.description.as_deref().unwrap_or_default();
        text.push_str(&format!("| {} | {shown} | {} |\n", column.name.to_uppercase(), cell(meaning)));
    }
    for part in ["spec", "status"] {
        let properties = schema.properties.as_ref().and_then(|properties| properties.get(part));
        let Some(props) = properties else { continue };
        text.push_str(&format!("\n## {part}\n\n"));
        text.push_str("| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n");
        rows(part, props, &mut text);
        rules(part, props, &mut text);
    }
    let file = format!("docs/reference/{}.md", names.kind.to_lowercase());
    Ok((PathBuf::from(file), text))
}

fn rows(path: &str, props: &JSONSchemaProps, text: &mut String) {
    let required = props.required.as_deref().unwrap_or_default();
    for (name, field) in props.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let default = match &field.default {
            Some(default) => {
                code(&default.0.as_str().map_or_else(|| default.0.to_string(), ToOwned::to_owned))
            }
            None if required.contains(name) => "required".to_owned(),
            None => String::new(),
        };
        let meaning = field.description.as_deref().unwrap_or_default();
        // Default and bounds have columns of their own here.
        let limits = plimsoll_api::explain::limits(field).unwrap_or_default();
        let meaning = meaning.strip_suffix(limits.as_str()).unwrap_or(meaning).trim_end();
        text.push_str(&format!(
            "| `{path}` | {} | {} | {} | {} |\n",
            kind(field),
            cell(&default),
            cell(&bounds(field)),
            cell(meaning)
        ));
        match item(field) {
            Some(item) => rows(&format!("{path}[]"), item, text),
            None => rows(&path, field, text),
        }
    }
}

fn item(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match field.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(schema) => Some(schema),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn kind(field: &JSONSchemaProps) -> String {
    let name = field.type_.as_deref().unwrap_or("any");
    match (name, field.format.as_deref()) {
        ("array", _) => "list".to_owned(),
        ("string", Some("date-time")) => "time".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn bounds(field: &JSONSchemaProps) -> String {
    let values: Vec<String> =
        field.enum_.iter().flatten().filter_map(|value| value.0.as_str().map(code)).collect();
    let mut bounds = plimsoll_api::explain::bounds(field);
    if !values.is_empty() {
        bounds.insert(0, values.join(", "));
    }
    bounds.extend(field.pattern.as_deref().map(code));
    bounds.join("; ")
}

/// The CEL rules of a part of the schema, as a list under its table.
fn rules(path: &str, props: &JSONSchemaProps, text: &mut String) {
    let mut found = Vec::new();
    collect_rules(path, props, &mut found);
    if found.is_empty() {
        return;
    }
    text.push_str("\nRules beyond single fields:\n\n");
    for (path, message) in found {
        text.push_str(&format!("- `{path}`: {message}\n"));
    }
}

fn collect_rules(path: &str, props: &JSONSchemaProps, found: &mut Vec<(String, String)>) {
    for rule in props.x_kubernetes_validations.iter().flatten() {
        let field = rule.field_path.as_deref().unwrap_or_default();
        found.push((format!("{path}{field}"), rule.message.clone().unwrap_or_else(|| rule.rule.clone())));
    }
    if let Some(item) = item(props) {
        collect_rules(&format!("{path}[]"), item, found);
    }
    for (name, field) in props.properties.iter().flatten() {
        collect_rules(&format!("{path}.{name}"), field, found);
    }
}

/// Text as code, with more backticks around it than it has in it.
fn code(text: &str) -> String {
    match text {
        "" => "empty".to_owned(),
        text if text.contains('`') => format!("`` {text} ``"),
        text => format!("`{text}`"),
    }
}

/// Text for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
