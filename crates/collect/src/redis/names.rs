//! Names of keys: what of them may be recorded, and how one becomes a pattern.

use std::borrow::Cow;

/// Most characters of a prefix in a record.
const MAX_PREFIX: usize = 64;
/// The prefix of keys that hold no delimiter: their whole name would be recorded otherwise.
const NO_PREFIX: &str = "(no prefix)";
/// The prefix of keys that begin with the delimiter.
const EMPTY_PREFIX: &str = "(empty)";

/// What stands before the first delimiter, fit for a record: bytes that are no text as `\xNN`, at most 64 characters.
/// Nothing behind the delimiter is looked at.
pub(crate) fn prefix<'k>(key: &'k [u8], delimiter: &[u8]) -> Cow<'k, str> {
    let found = match delimiter {
        [one] => key.iter().position(|byte| byte == one),
        _ => key.windows(delimiter.len().max(1)).position(|window| window == delimiter),
    };
    match found {
        None => Cow::Borrowed(NO_PREFIX),
        Some(0) => Cow::Borrowed(EMPTY_PREFIX),
        Some(end) => plain(&key[..end]).map_or_else(|| Cow::Owned(escaped(&key[..end])), Cow::Borrowed),
    }
}

/// A prefix that is fit for a record as it is, as most are.
fn plain(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.len() <= MAX_PREFIX && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    std::str::from_utf8(bytes).ok().filter(|_| is_plain)
}

fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::new();
    // A character is one escape of four at most four bytes each; the rest is cut anyhow.
    for chunk in bytes[..bytes.len().min(4 * MAX_PREFIX)].utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                let mut buffer = [0; 4];
                character.encode_utf8(&mut buffer).bytes().for_each(|byte| hex(&mut shown, byte));
            } else {
                shown.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| hex(&mut shown, *byte));
    }
    crate::failure::cleaned(&shown, MAX_PREFIX)
}

fn hex(into: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.push_str("\\x");
    into.push(char::from(DIGITS[usize::from(byte >> 4)]));
    into.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The pattern of `SCAN MATCH` for keys that begin with a text, whatever characters that holds.
pub(crate) fn begins_with(text: &str) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len() + 1);
    for byte in text.bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'-' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_what_stands_before_the_first_delimiter_and_nothing_else() {
        for (key, delimiter, shown) in [
            (&b"session:canary:canary"[..], ":", "session"),
            (b"canary", ":", "(no prefix)"),
            (b":canary", ":", "(empty)"),
            (b"", ":", "(no prefix)"),
            (b"a::canary", "::", "a"),
            (b"a:b::canary", "::", "a:b"),
            (b"\xff\xfea\0\n:canary", ":", "\\xff\\xfea\\x00\\x0a"),
            ("молоко:canary".as_bytes(), ":", "молоко"),
            (b"a\\b:canary", ":", "a\\b"),
            (b"a b~\x7f:canary", ":", "a b~\\x7f"),
        ] {
            assert_eq!(prefix(key, delimiter.as_bytes()), shown);
        }
        let long = [&b"x".repeat(1000)[..], b":canary"].concat();
        assert_eq!(prefix(&long, b":").chars().count(), 64);
        let cut = [&b"\xff".repeat(1000)[..], b":canary"].concat();
        assert_eq!(prefix(&cut, b":").chars().count(), 64);
    }

    #[test]
    fn a_pattern_means_its_text_and_nothing_more() {
        assert_eq!(begins_with("session:"), b"session:*");
        assert_eq!(begins_with("a*?[x-z]^\\"), b"a\\*\\?\\[x\\-z\\]\\^\\\\*");
    }

    proptest! {
        #[test]
        fn no_key_makes_it_panic_or_shows_what_is_behind_the_delimiter(
            before in prop::collection::vec(any::<u8>(), 0..80), delimiter in "[:|/]{1,3}",
        ) {
            prop_assume!(!before.windows(delimiter.len()).any(|window| window == delimiter.as_bytes()));
            let key = [&before, delimiter.as_bytes(), b"canary"].concat();
            let shown = prefix(&key, delimiter.as_bytes());
            prop_assert!(!shown.contains("canary") && shown.chars().count() <= 64);
            prop_assert!(!shown.chars().any(char::is_control));
            // What is taken as it is would not have been written otherwise.
            if let Some(text) = plain(&before) {
                prop_assert_eq!(text, escaped(&before));
            }
        }
    }
}
