//! Cases made from the schema itself, in the way of Acto (SOSP 2023): every field absent, null, empty, just below and
//! just above its bounds, of each wrong type, doubled, and filled with what people paste.

use std::collections::BTreeSet;

use plimsoll_stories::value::put;
use serde_json::{Map, Value, json};

use crate::case::{Case, Expected};
use crate::text::{SURROGATE, is_allowed, nasty, of_length};

/// A field that a base fills.
struct Field<'a> {
    /// Where it is in the base.
    pointer: String,
    /// Where it is in the schema: the same for every entry of a list.
    place: String,
    name: String,
    schema: &'a Value,
    required: bool,
}

/// The cases of every field below `part` (`spec` or `status`) of an object, without the fields already `seen`.
pub(crate) fn cases(part: &str, schema: &Value, base: &Value, seen: &mut BTreeSet<String>) -> Vec<Case> {
    let mut fields = Vec::new();
    walk(&schema["properties"][part], &base[part], &format!("/{part}"), part, &mut fields);
    let mut cases = Vec::new();
    for field in fields {
        if seen.insert(field.place.clone()) {
            Cases { field: &field, base, cases: &mut cases }.make();
        }
    }
    cases
}

/// The places of all fields below a part of the schema.
pub(crate) fn places(part: &str, schema: &Value) -> BTreeSet<String> {
    fn collect(schema: &Value, place: &str, found: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            collect(field, &place, found);
            found.insert(place);
        }
        for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(inner) = schema.get(keyword) {
                let place = format!("{place}{mark}");
                collect(inner, &place, found);
                found.insert(place);
            }
        }
    }
    let mut found = BTreeSet::new();
    collect(&schema["properties"][part], part, &mut found);
    found
}

fn walk<'a>(schema: &'a Value, value: &Value, pointer: &str, place: &str, found: &mut Vec<Field<'a>>) {
    let required = schema["required"].as_array();
    let mut add = |name: &str, inner: &'a Value, value: &Value, place: String| {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let required = required.is_some_and(|names| names.iter().any(|required| required == name));
        found.push(Field {
            pointer: pointer.clone(),
            place: place.clone(),
            name: name.to_owned(),
            schema: inner,
            required,
        });
        walk(inner, value, &pointer, &place, found);
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match schema["properties"].get(name) {
                    Some(inner) => add(name, inner, member, format!("{place}.{name}")),
                    None => add(name, &schema["additionalProperties"], member, format!("{place}{{}}")),
                }
            }
        }
        Value::Array(entries) => {
            if let Some(entry) = entries.first() {
                add("0", &schema["items"], entry, format!("{place}[]"));
            }
        }
        _ => {}
    }
}

/// The cases of one field.
struct Cases<'a> {
    field: &'a Field<'a>,
    base: &'a Value,
    cases: &'a mut Vec<Case>,
}

impl Cases<'_> {
    fn make(&mut self) {
        self.absent_or_null();
        self.of_wrong_types();
        match self.field.schema["type"].as_str() {
            Some("string") => self.strings(),
            Some("integer") => self.integers(),
            Some("array") => self.lists(),
            Some("object") if self.field.schema.get("additionalProperties").is_some() => self.maps(),
            Some("object") => self.objects(),
            _ => {}
        }
    }

    fn add(&mut self, what: &str, value: Value, expected: Expected) {
        let mut object = self.base.clone();
        *object.pointer_mut(&self.field.pointer).expect("a base fills its fields") = value;
        let what = format!("{}: {what}", self.field.place);
        self.cases.push(Case::new(what, &object, expected));
    }

    fn absent_or_null(&mut self) {
        let mut object = self.base.clone();
        put(&mut object, &self.field.pointer, Value::Null);
        let expected = if self.field.required { Expected::Refused } else { Expected::Consistent };
        self.cases.push(Case::new(format!("{}: absent", self.field.place), &object, expected));
        let is_item = self.field.place.ends_with("[]");
        let expected = if self.field.required || is_item { Expected::Refused } else { Expected::Consistent };
        self.add("null", Value::Null, expected);
    }

    fn of_wrong_types(&mut self) {
        let wrong = [
            ("string", json!("a")),
            ("integer", json!(7)),
            ("number", json!(1.5)),
            ("boolean", json!(true)),
            ("array", json!([])),
            ("object", json!({})),
        ];
        let is_time = self.field.schema["format"] == "date-time";
        for (name, value) in wrong {
            if self.field.schema["type"] == name {
                continue;
            }
            // An API server takes an empty list for a time; the operator sets such an object aside.
            let is_taken = is_time && name == "array";
            let expected = if is_taken { Expected::RefusedByValidate } else { Expected::Refused };
            self.add(&format!("is of type {name}"), value, expected);
        }
    }

    fn strings(&mut self) {
        let schema = self.field.schema;
        let is_time = schema["format"] == "date-time";
        for (name, text) in nasty() {
            // A mebibyte of status is what the operator must not write, and nothing that the schema bounds.
            if name == "1 MiB" && schema.get("maxLength").is_none() {
                continue;
            }
            let expected = match is_allowed(schema, &text) && !is_time {
                // The server puts a replacement character in its place; in a file it is a mistake.
                true if text == SURROGATE => Expected::RefusedByValidate,
                true => Expected::Consistent,
                false => Expected::Refused,
            };
            self.add(name, json!(text), expected);
        }
        for value in schema["enum"].as_array().into_iter().flatten() {
            self.add(&format!("is {value}"), value.clone(), Expected::Consistent);
            let lower = value.as_str().unwrap_or_default().to_lowercase();
            self.add(&format!("is {lower}"), json!(lower), Expected::Refused);
        }
        let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(least) = bound("minLength") {
            self.of_length("at its least length", least, Expected::Taken);
            self.of_length("one character too short", least - 1, Expected::Refused);
        }
        if let Some(most) = bound("maxLength") {
            self.of_length("at its greatest length", most, Expected::Taken);
            self.of_length("one character too long", most + 1, Expected::Refused);
            self.add("as long in characters, longer in bytes", json!("é".repeat(most)), Expected::Consistent);
            self.add("one too long in characters", json!("é".repeat(most + 1)), Expected::Refused);
        }
    }

    fn of_length(&mut self, what: &str, length: usize, expected: Expected) {
        if self.field.schema.get("enum").is_some() {
            return;
        }
        if let Some(text) = of_length(&self.field.name, self.field.schema, length) {
            self.add(what, json!(text), expected);
        }
    }

    fn integers(&mut self) {
        let bound = |name: &str| {
            #[expect(clippy::cast_possible_truncation, reason = "bounds of integers are whole and small")]
            self.field.schema[name].as_f64().map(|bound| bound as i64)
        };
        let (least, most) = (bound("minimum"), bound("maximum"));
        if let Some(least) = least {
            self.add("at its least", json!(least), Expected::Accepted);
            self.add("one below its least", json!(least - 1), Expected::Refused);
        }
        if let Some(most) = most {
            self.add("at its most", json!(most), Expected::Accepted);
            self.add("one above its most", json!(most + 1), Expected::Refused);
            self.add("whole, written as a fraction", json!(most as f64), Expected::Consistent);
        }
        // 1.33 does not hold a number to its format, 1.36 does.
        let unbounded = match self.field.schema["format"] == "int32" {
            true => Expected::RefusedByValidate,
            false => Expected::Consistent,
        };
        let beyond = if most.is_some() { Expected::Refused } else { unbounded.clone() };
        let below = if least.is_some() { Expected::Refused } else { unbounded };
        for value in [i64::from(i32::MAX) + 1, 1 << 53, (1 << 53) + 1, i64::MAX] {
            self.add(&format!("is {value}"), json!(value), beyond.clone());
        }
        self.add("is the least of 64 bits", json!(i64::MIN), below);
        self.add("is -1", json!(-1), Expected::Consistent);
        self.add("is past 64 bits", json!(u64::MAX), beyond.clone());
        self.add("is 1e300", json!(1e300), beyond);
        self.add("is a number as text", json!("10"), Expected::Refused);
    }

    fn lists(&mut self) {
        let first = self.base.pointer(&self.field.pointer).expect("a base fills its fields")[0].clone();
        let keys = self.field.schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
        let of = |length: usize| {
            let entry = |index: usize| {
                let mut entry = first.clone();
                for key in keys.iter().filter_map(Value::as_str) {
                    // The number of a statement is one.
                    let text = if key == "queryId" { index.to_string() } else { format!("x{index}") };
                    entry[key] = json!(text);
                }
                entry
            };
            Value::Array((0..length).map(entry).collect())
        };
        self.add("empty", json!([]), Expected::Consistent);
        self.add("with a null at its end", json!([first, null]), Expected::Refused);
        let doubled = if keys.is_empty() { Expected::Consistent } else { Expected::Refused };
        self.add("with an entry twice", json!([first, first]), doubled);
        if let Some(most) = self.field.schema["maxItems"].as_u64().and_then(|most| usize::try_from(most).ok())
        {
            self.add("at its most entries", of(most), Expected::Accepted);
            self.add("one entry too many", of(most + 1), Expected::Refused);
            self.add("of 10,000 entries", of(10_000), Expected::Refused);
        }
    }

    fn maps(&mut self) {
        let of = |length: usize| {
            Value::Object((0..length).map(|index| (format!("x{index}"), json!("a"))).collect::<Map<_, _>>())
        };
        self.add("empty", json!({}), Expected::Accepted);
        let most = self.field.schema["maxProperties"].as_u64().and_then(|most| usize::try_from(most).ok());
        let most = most.expect("a map has a bound");
        self.add("at its most entries", of(most), Expected::Accepted);
        self.add("one entry too many", of(most + 1), Expected::Refused);
        self.add("of 10,000 entries", of(10_000), Expected::Refused);
    }

    fn objects(&mut self) {
        self.add("empty", json!({}), Expected::Consistent);
        let mut value = self.base.pointer(&self.field.pointer).expect("a base fills its fields").clone();
        value["unknownField"] = json!(1);
        self.add("with an unknown field", value, Expected::Refused);
    }
}
