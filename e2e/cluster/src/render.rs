//! Filling the placeholders `{{ name }}` of the files in `config/`.

/// `template` with each `{{ name }}` replaced by its value.
///
/// # Panics
/// A placeholder is left, or a value has a line end or a quote, which would change the meaning of the file: templates
/// and the names of their values are compiled in, and the paths that fill them are checked by the caller.
pub(crate) fn render(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        assert!(!value.contains(['\n', '"', '\\']), "the value of {name} would break out of its quotes");
        text = text.replace(&format!("{{{{ {name} }}}}"), value);
    }
    assert!(!text.contains("{{ "), "a placeholder is left in {text}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled() {
        assert_eq!(render("a {{ x }} b {{ y }} {{ x }}", &[("x", "1"), ("y", "2")]), "a 1 b 2 1");
    }

    #[test]
    #[should_panic(expected = "a placeholder is left")]
    fn a_forgotten_placeholder_is_noticed() {
        render("{{ x }}", &[]);
    }

    #[test]
    #[should_panic(expected = "break out")]
    fn a_value_cannot_end_its_quotes() {
        render("{{ x }}", &[("x", "\"")]);
    }
}
