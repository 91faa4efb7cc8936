//! Editing JSON by pointer (RFC 6901), with the missing objects on the way made.

use serde_json::{Map, Value};

/// Puts `new` at `pointer`; null removes what is there, and a last token `-` appends to a list.
///
/// # Panics
/// The pointer leads through something that is neither object nor list, or past the end of a list.
pub fn put(target: &mut Value, pointer: &str, new: Value) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer starts with a slash");
    let mut at = target;
    for token in parent.split('/').skip(1) {
        at = child(at, &plain(token));
    }
    let last = plain(last);
    if at.is_null() {
        *at = if last == "-" { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    }
    match at {
        Value::Object(object) if new.is_null() => {
            object.shift_remove(&last);
        }
        Value::Object(object) => {
            object.insert(last, new);
        }
        Value::Array(list) if last == "-" => list.push(new),
        Value::Array(list) if new.is_null() => {
            list.remove(last.parse().expect("an index"));
        }
        Value::Array(list) => list[last.parse::<usize>().expect("an index")] = new,
        other => unreachable!("{pointer} leads through {other}"),
    }
}

fn child<'a>(at: &'a mut Value, token: &str) -> &'a mut Value {
    if at.is_null() {
        *at = Value::Object(Map::new());
    }
    match at {
        Value::Array(list) => &mut list[token.parse::<usize>().expect("an index")],
        other => &mut other[token],
    }
}

fn plain(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Joins `other` into `target`: members of objects one by one, the longer of two lists.
/// False where two plain values differ, and then `target` is half joined.
#[must_use]
pub fn join(target: &mut Value, other: &Value) -> bool {
    match (target, other) {
        (Value::Object(target), Value::Object(other)) => {
            other.iter().all(|(name, value)| match target.get_mut(name) {
                Some(present) => join(present, value),
                None => {
                    target.insert(name.clone(), value.clone());
                    true
                }
            })
        }
        (Value::Array(target), Value::Array(other)) => {
            if other.len() > target.len() {
                target.clone_from(other);
            }
            true
        }
        (target, other) => target == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_sets_makes_appends_and_removes() {
        let mut value = json!({"a": [{"b": 1}], "c": 2});
        put(&mut value, "/a/0/b", json!(3));
        put(&mut value, "/a/-", json!(4));
        put(&mut value, "/d/e~1f", json!(5));
        put(&mut value, "/g/-", json!(6));
        put(&mut value, "/c", Value::Null);
        assert_eq!(value, json!({"a": [{"b": 3}, 4], "d": {"e/f": 5}, "g": [6]}));
    }

    #[test]
    fn two_specs_join_unless_they_say_different_things() {
        let mut value = json!({"a": {"b": 1}, "l": [1]});
        assert!(join(&mut value, &json!({"a": {"c": 2}, "l": [1, 2]})));
        assert_eq!(value, json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}));
        assert!(!join(&mut value, &json!({"a": {"b": 3}})));
    }
}
