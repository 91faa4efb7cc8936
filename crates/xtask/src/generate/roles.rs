//! The operator's rights as Helm templates.

use std::path::PathBuf;

use anyhow::Result;
use plimsoll_operator::rbac::{Place, RULES, Rule};
use serde_json::{Value, json};

use super::{BY, Generated};

/// One template definition a place, for the charts' roles to include.
pub(super) fn files() -> Result<Vec<Generated>> {
    let mut text = format!("{{{{- /* {BY} crates/operator/src/rbac.rs; do not edit. */ -}}}}\n");
    for (name, place) in [("served", Place::Served), ("own", Place::Own), ("default", Place::Default)] {
        text.push_str(&format!("{{{{- define \"plimsoll.rules.{name}\" -}}}}\n"));
        for rule in RULES.iter().filter(|rule| rule.place == place) {
            text.push_str(&format!("# {}\n", rule.why));
            text.push_str(&serde_yaml::to_string(&json!([policy_rule(rule)]))?);
        }
        text.push_str("{{- end -}}\n");
    }
    Ok(vec![(PathBuf::from("charts/plimsoll/templates/_rules.tpl"), text)])
}

fn policy_rule(rule: &Rule) -> Value {
    let mut value = json!({"apiGroups": [rule.group], "resources": rule.resources});
    if !rule.names.is_empty() {
        value["resourceNames"] = json!(rule.names);
    }
    value["verbs"] = json!(rule.verbs);
    value
}
