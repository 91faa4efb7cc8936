//! The structural half of validation: an object against the OpenAPI schema of its CustomResourceDefinition, as the API
//! server applies it, but with every error at once and with fields that the server would silently drop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Check, Finding};
use crate::manifest::{Content, Node, Path};

/// Most names that a message lists.
const MAX_LISTED: usize = 20;

/// Patterns of schemas, compiled once for all objects: compiling one costs more than everything else.
#[derive(Default)]
pub(crate) struct Patterns(RefCell<HashMap<String, Option<Regex>>>);

impl Patterns {
    fn is_match(&self, pattern: &str, text: &str) -> bool {
        let mut known = self.0.borrow_mut();
        if !known.contains_key(pattern) {
            known.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        known.get(pattern).and_then(Option::as_ref).is_some_and(|regex| regex.is_match(text))
    }
}

/// What the schema finds wrong below a node.
pub(crate) struct Structure<'a> {
    patterns: &'a Patterns,
    pub(crate) findings: Vec<Finding>,
    /// Whether the object's shape is so wrong that its meaning cannot be judged: as on the API server, rules are not
    /// evaluated over what is past its bounds, since that may take for ever.
    pub(crate) is_broken: bool,
}

impl<'a> Structure<'a> {
    /// Nothing found yet.
    pub(crate) fn new(patterns: &'a Patterns) -> Self {
        Self { patterns, findings: Vec::new(), is_broken: false }
    }

    fn add(&mut self, path: &Path, message: impl Into<String>) {
        self.findings.push(Finding { check: Check::Schema, path: path.clone(), message: message.into() });
    }

    fn broken(&mut self, path: &Path, message: impl Into<String>) {
        self.add(path, message);
        self.is_broken = true;
    }

    /// Checks a node and everything below it.
    pub(crate) fn check(&mut self, schema: &Value, node: &Node, path: &Path) {
        if matches!(node.content, Content::Null) {
            // A null of a field that takes none is dropped before it comes here; one of a list is not. Where null is
            // allowed, the server still wants it among the values of an enum.
            let is_listed = schema["enum"].as_array().is_none_or(|allowed| allowed.contains(&Value::Null));
            if schema["nullable"] != true || !is_listed {
                self.broken(path, format!("must be {}, not null", expected_type(schema)));
            }
            return;
        }
        if !is_of_type(schema, node) {
            let hint = if schema["type"] == "string" { "; quote it" } else { "" };
            let message = format!("must be {}, not {}{hint}", expected_type(schema), node.type_name());
            self.broken(path, message);
            return;
        }
        if let Some(allowed) = schema["enum"].as_array() {
            self.one_of(allowed, node, path);
        }
        match &node.content {
            Content::String(text) => self.text(schema, text, path),
            Content::Number(number) => self.number(schema, number, path),
            Content::List(items) => self.list(schema, items, path),
            Content::Map(_) => self.map(schema, node, path),
            Content::Null | Content::Bool(_) => {}
        }
    }

    fn one_of(&mut self, allowed: &[Value], node: &Node, path: &Path) {
        if allowed.contains(&node.to_json()) {
            return;
        }
        let allowed = listed(allowed.iter().filter_map(Value::as_str));
        self.broken(path, format!("{} is not one of {allowed}", shown(node)));
    }

    fn text(&mut self, schema: &Value, text: &str, path: &Path) {
        let length = text.chars().count() as u64;
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            self.add(
                path,
                match length {
                    0 => "must not be empty".to_owned(),
                    _ => format!("must have at least {least} characters, has {length}"),
                },
            );
            return;
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.broken(path, format!("must have at most {most} characters, has {length}"));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !self.patterns.is_match(pattern, text)
        {
            self.add(path, format!("{text:?} does not match {pattern}"));
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            self.broken(path, format!("{text:?} is not a time such as 2026-11-23T02:00:00Z"));
        }
    }

    fn number(&mut self, schema: &Value, number: &serde_json::Number, path: &Path) {
        let whole = as_whole(number);
        let is_too_large = match schema["format"].as_str() {
            Some("int32") => whole.is_none_or(|value| i32::try_from(value).is_err()),
            Some("int64") => whole.is_none(),
            _ => false,
        };
        if is_too_large {
            self.broken(path, format!("{number} is too large"));
            return;
        }
        let Some(value) = number.as_f64() else { return };
        if let Some(least) = schema["minimum"].as_f64().filter(|least| value < *least) {
            self.add(path, format!("must be at least {least}, is {number}"));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| value > *most) {
            self.add(path, format!("must be at most {most}, is {number}"));
        }
    }

    fn list(&mut self, schema: &Value, items: &[Node], path: &Path) {
        let length = items.len() as u64;
        if let Some(least) = schema["minItems"].as_u64().filter(|least| length < *least) {
            self.add(path, format!("must have at least {least} items, has {length}"));
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| length > *most) {
            self.broken(path, format!("must have at most {most} items, has {length}"));
        }
        for (index, item) in items.iter().enumerate() {
            self.check(&schema["items"], item, &path.index(index));
        }
        if schema["x-kubernetes-list-type"] == "map" {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keys: Vec<&str> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
            self.unique(&keys, items, path);
        }
    }

    /// No two items of a list-map have the same keys.
    fn unique(&mut self, keys: &[&str], items: &[Node], path: &Path) {
        let mut seen: HashMap<Vec<&str>, u64> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            let values: Vec<&str> =
                keys.iter().filter_map(|key| item.get(key).and_then(Node::as_str)).collect();
            if values.len() != keys.len() {
                continue;
            }
            let shown = values.join(", ");
            match seen.entry(values) {
                Entry::Occupied(first) => self.add(
                    &path.index(index),
                    format!("{} {shown:?} is used on line {} already", keys.join(", "), first.get()),
                ),
                Entry::Vacant(place) => {
                    place.insert(item.line);
                }
            }
        }
    }

    fn map(&mut self, schema: &Value, node: &Node, path: &Path) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let others = &schema["additionalProperties"];
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let is_given = node.get(name).is_some_and(|field| !matches!(field.content, Content::Null));
            if !is_given {
                self.broken(&path.key(name), "is required");
            }
        }
        let length = node.entries().len() as u64;
        if let Some(most) = schema["maxProperties"].as_u64().filter(|most| length > *most) {
            self.broken(path, format!("must have at most {most} entries, has {length}"));
        }
        for entry in node.entries() {
            let field = path.key(&entry.key);
            let schema_of_field = properties.get(&entry.key).or_else(|| others.is_object().then_some(others));
            match schema_of_field {
                // The server drops a null of a field that takes none.
                Some(schema_of_field)
                    if matches!(entry.node.content, Content::Null) && schema_of_field["nullable"] != true => {
                }
                Some(schema_of_field) => self.check(schema_of_field, &entry.node, &field),
                None if others == true || schema["x-kubernetes-preserve-unknown-fields"] == true => {}
                None => {
                    let known = listed(properties.keys().map(String::as_str));
                    self.add(&field, format!("is not a known field; known here are {known}"));
                }
            }
        }
    }
}

/// The number as an integer, if it is one; 5.0 is one to the API server too.
pub(crate) fn as_whole(number: &serde_json::Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        Some(value as i64)
    })
}

fn is_of_type(schema: &Value, node: &Node) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return matches!(node.type_name(), "integer" | "string");
    }
    match schema["type"].as_str() {
        None => true,
        Some("number") => matches!(node.type_name(), "number" | "integer"),
        Some("integer") => {
            node.type_name() == "integer"
                || matches!(&node.content, Content::Number(number) if as_whole(number).is_some())
        }
        Some(expected) => node.type_name() == expected,
    }
}

fn expected_type(schema: &Value) -> &'static str {
    match schema["type"].as_str() {
        Some("string") => "a string",
        Some("integer") => "an integer",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some("object") => "a map",
        _ => "an integer or a string",
    }
}

fn shown(node: &Node) -> String {
    match &node.content {
        Content::List(_) | Content::Map(_) => format!("this {}", node.type_name()),
        _ => node.to_json().to_string(),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > MAX_LISTED => {
            format!("{} and {} more", names[..MAX_LISTED].join(", "), count - MAX_LISTED)
        }
        _ => names.join(", "),
    }
}
