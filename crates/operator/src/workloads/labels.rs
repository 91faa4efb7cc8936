//! Names and values of labels, by Kubernetes' rule.

/// Most characters of a name without its prefix.
const MAX_NAME: usize = 63;
/// Most characters of a prefix.
const MAX_PREFIX: usize = 253;

/// Whether a text is the name of a label: an optional DNS subdomain and a slash, then at most 63 letters, digits, `-`,
/// `_` and `.`, of which the first and the last are letters or digits.
#[must_use]
pub fn is_label_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_name = name.len() <= MAX_NAME
        && begins_and_ends(name, |byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name && prefix.is_none_or(|prefix| prefix.len() <= MAX_PREFIX && prefix.split('.').all(is_dns_label))
}

/// Whether a text is the value of a label: empty, or at most 63 letters, digits, `-`, `_` and `.`, of which the first and
/// the last are letters or digits.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || (!text.contains('/') && is_label_name(text))
}

fn is_dns_label(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    begins_and_ends(text, is_letter) && text.bytes().all(|byte| is_letter(byte) || byte == b'-')
}

fn begins_and_ends(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let ends = (text.bytes().next(), text.bytes().next_back());
    matches!(ends, (Some(first), Some(last)) if allowed(first) && allowed(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        let long = "a".repeat(63);
        for good in ["a", "app.kubernetes.io/name", "A_b-c.9", "x-1.example/A", long.as_str()] {
            assert!(is_label_name(good), "{good}");
        }
        let longer = format!("a{long}");
        let prefix = format!("{}/a", vec!["a".repeat(50); 6].join("."));
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "-a",
            "a-",
            "a b",
            "a,b",
            "a=b",
            "App.Example/a",
            "a..b/c",
            "é",
            ".a",
            "a!",
            longer.as_str(),
            prefix.as_str(),
        ] {
            assert!(!is_label_name(bad), "{bad}");
        }
    }
}
