//! Strings that somebody will send.

use regex::Regex;
use serde_json::Value;

/// Stands for a lone surrogate until the object is text: no string of ours can hold one.
pub(crate) const SURROGATE: &str = "lone-surrogate-here";

/// A mebibyte.
const LONG: usize = 1024 * 1024;

/// What is nasty in any string, each with its name.
pub(crate) fn nasty() -> Vec<(&'static str, String)> {
    let short = [
        ("empty", ""),
        ("a space", " "),
        ("a space at the end", "a "),
        ("NUL", "a\0b"),
        ("a line break", "a\nb"),
        ("a line break at the end", "a\n"),
        ("CR and LF", "a\r\nX-Injected: b"),
        ("a tab", "a\tb"),
        ("an ANSI escape", "\u{1b}[31ma\u{1b}[0m"),
        ("a right-to-left override", "a\u{202e}b"),
        ("a zero-width space", "a\u{200b}b"),
        ("a homoglyph", "\u{430}pp"),
        ("an emoji", "\u{1f404}"),
        ("a combining mark", "a\u{301}"),
        ("a template", "{{ .Values.a }}"),
        ("a variable", "$(VAR)"),
        ("a path", "../../etc/passwd"),
        ("a trailing dot", "a."),
        ("a leading dot", ".a"),
        ("two dots", "a..b"),
        ("a leading dash", "-a"),
        ("an upper-case letter", "Aa"),
        ("a number", "1"),
        ("a lone surrogate", SURROGATE),
    ];
    let mut all: Vec<(&str, String)> =
        short.into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    all.push(("1 MiB", "a".repeat(LONG)));
    all
}

/// Whether length, pattern and enum of a schema allow a text.
pub(crate) fn is_allowed(schema: &Value, text: &str) -> bool {
    // The server counts one replacement character in its place.
    let length = if text == SURROGATE { 1 } else { text.chars().count() as u64 };
    schema["minLength"].as_u64().is_none_or(|least| length >= least)
        && schema["maxLength"].as_u64().is_none_or(|most| length <= most)
        && schema["pattern"]
            .as_str()
            .is_none_or(|pattern| Regex::new(pattern).expect("a pattern of ours").is_match(text))
        && schema["enum"].as_array().is_none_or(|values| values.iter().any(|value| value == text))
}

/// A text of a length that the field `name` takes, its length apart; `None` where only some lengths have one.
pub(crate) fn of_length(name: &str, schema: &Value, length: usize) -> Option<String> {
    let candidates = match name {
        "url" => vec![format!("http://{}", "a".repeat(length.saturating_sub(7)))],
        // A label's name has at most 63 characters, a prefix may be longer.
        "key" if length > 253 => vec![format!("{}/{}", "a".repeat(length - 64), "a".repeat(63))],
        _ => {
            let ones = "1".repeat(length.saturating_sub(1));
            vec![
                "a".repeat(length),
                format!("{ones}d"),
                format!("{ones}s"),
                format!("{ones}1"),
                format!("-{ones}"),
            ]
        }
    };
    let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).expect("a pattern of ours"));
    candidates.into_iter().find(|text| {
        text.chars().count() == length && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    })
}
