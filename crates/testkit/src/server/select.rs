//! Label and field selectors.

use serde_json::Value;

use super::status::ApiFailure;

/// A parsed pair of selectors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelRequirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    /// JSON pointer of the field.
    pointer: String,
    value: String,
    negated: bool,
}

impl Selector {
    /// Reads both selectors as the API server does.
    ///
    /// # Errors
    /// 400 where a selector cannot be read.
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, ApiFailure> {
        let labels = split_outside_parentheses(labels.unwrap_or_default());
        let fields = fields.unwrap_or_default().split(',').filter(|part| !part.is_empty());
        Ok(Self {
            labels: labels.into_iter().map(label_requirement).collect::<Result<_, _>>()?,
            fields: fields.map(field_requirement).collect::<Result<_, _>>()?,
        })
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| object["metadata"]["labels"][name].as_str();
        let labels = self.labels.iter().all(|requirement| match requirement {
            LabelRequirement::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            LabelRequirement::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|unwanted| unwanted != value))
            }
            LabelRequirement::Exists(name) => label(name).is_some(),
            LabelRequirement::Absent(name) => label(name).is_none(),
        });
        labels
            && self.fields.iter().all(|field| {
                let value = object.pointer(&field.pointer).map(as_text).unwrap_or_default();
                (value == field.value) != field.negated
            })
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn label_requirement(text: &str) -> Result<LabelRequirement, ApiFailure> {
    let unreadable = || {
        ApiFailure::bad_request(format!("unable to parse requirement: {text:?} is not a label requirement"))
    };
    let owned = |text: &str| text.trim().to_owned();
    if let Some((name, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = values.split(',').map(owned).collect();
        let mut words = name.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(LabelRequirement::In(owned(name), values)),
            (Some(name), Some("notin"), None) => Ok(LabelRequirement::NotIn(owned(name), values)),
            _ => Err(unreadable()),
        };
    }
    let requirement = if let Some((name, value)) = text.split_once("!=") {
        LabelRequirement::NotIn(owned(name), vec![owned(value)])
    } else if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        LabelRequirement::In(owned(name), vec![owned(value)])
    } else if let Some(name) = text.strip_prefix('!') {
        LabelRequirement::Absent(owned(name))
    } else {
        LabelRequirement::Exists(owned(text))
    };
    if text.contains(['(', ')']) { Err(unreadable()) } else { Ok(requirement) }
}

fn field_requirement(text: &str) -> Result<FieldRequirement, ApiFailure> {
    let (field, value, negated) = if let Some((field, value)) = text.split_once("!=") {
        (field, value, true)
    } else if let Some((field, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (field, value, false)
    } else {
        return Err(ApiFailure::bad_request(format!("invalid field selector: {text:?}")));
    };
    let pointer = format!("/{}", field.trim().replace('.', "/"));
    Ok(FieldRequirement { pointer, value: value.trim().to_owned(), negated })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select_as_the_api_server_does() {
        let object = json!({
            "metadata": {"name": "milk", "labels": {"app": "dairy", "tier": "web"}},
            "involvedObject": {"name": "run-1"},
        });
        let cases = [
            (Some("app=dairy"), None, true),
            (Some("app==dairy,tier!=api"), None, true),
            (Some("app in (farm, dairy),tier"), None, true),
            (Some("app notin (farm,dairy)"), None, false),
            (Some("!app"), None, false),
            (Some("!zone,zone notin (a)"), None, true),
            (Some("zone=a"), None, false),
            (None, Some("metadata.name=milk"), true),
            (None, Some("metadata.name!=milk"), false),
            (Some("app=dairy"), Some("involvedObject.name=run-1,metadata.name=milk"), true),
            (None, Some("involvedObject.name=run-2"), false),
        ];
        for (labels, fields, expected) in cases {
            let selector = Selector::parse(labels, fields).unwrap();
            assert_eq!(selector.matches(&object), expected, "{labels:?} {fields:?}");
        }
    }

    #[test]
    fn an_unreadable_selector_is_a_bad_request() {
        for (labels, fields) in [(Some("app within (a)"), None), (Some("app=(a"), None), (None, Some("name"))]
        {
            assert_eq!(Selector::parse(labels, fields).unwrap_err().code, 400, "{labels:?} {fields:?}");
        }
    }
}
