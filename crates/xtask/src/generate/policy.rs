//! The references of every kind, as CEL for the admission policy that asks whether the requester may get each.
//!
//! A Secret or ConfigMap that a spec may name and this file does not know would be one that a tenant can have us use
//! without a right to it. So everything in a schema that looks like a reference is either written or an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::{BY, Generated};

/// Where the chart includes the expressions from.
const FILE: &str = "charts/plimsoll-cluster/templates/_references.tpl";
/// Most names of one policy, Secrets and ConfigMaps together: a check of a name costs 350,000 of the 10,000,000 that a
/// policy may spend on one request, and two more ask for all at once
/// (k8s.io/apiserver `RuntimeCELCostBudget`, library `authz`).
const MAX_NAMES: u64 = 26;

/// What is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Secret,
    ConfigMap,
}

/// One step of a path into a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// A member of an object.
    Field(String),
    /// Each entry of a list, which has at most so many.
    Entries(u64),
}

/// A place in a spec that names a Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    target: Target,
    /// From `spec` to the reference, without its `name`.
    path: Vec<Segment>,
    /// Whether a rule of the schema keeps it from being set beside another reference, which counts for both.
    is_alternative: bool,
}

/// The expressions of all kinds; one policy serves them, since a path that a kind does not have yields no name.
pub(super) fn files(crds: &[CustomResourceDefinition]) -> Result<Vec<Generated>> {
    Ok(vec![(PathBuf::from(FILE), template(crds)?)])
}

fn template(crds: &[CustomResourceDefinition]) -> Result<String> {
    let mut expressions: BTreeMap<Target, Vec<String>> = BTreeMap::new();
    let mut most: BTreeMap<Target, u64> = BTreeMap::new();
    for crd in crds {
        let mut of_kind: BTreeMap<Target, u64> = BTreeMap::new();
        let mut at_once = 0;
        for reference in references(crd)? {
            *of_kind.entry(reference.target).or_default() += reference.most();
            at_once += if reference.is_alternative { 0 } else { reference.most() };
            let known = expressions.entry(reference.target).or_default();
            for expression in reference.expressions() {
                if !known.contains(&expression) {
                    known.push(expression);
                }
            }
        }
        ensure!(
            at_once <= MAX_NAMES,
            "{} may name {at_once} objects, more than the {MAX_NAMES} that one admission policy can ask for; bound its lists tighter or give it a policy of its own",
            crd.spec.names.kind
        );
        for (target, number) in of_kind {
            let entry = most.entry(target).or_default();
            *entry = number.max(*entry);
        }
    }
    let mut text = format!("{{{{- /* {BY} crates/api; do not edit. */ -}}}}\n");
    let mut define = |name: &str, content: &str| {
        text.push_str(&format!(
            "{{{{- define \"plimsoll.references.{name}\" -}}}}\n{content}\n{{{{- end -}}}}\n"
        ));
    };
    let list = |values: Vec<&String>, quote: char| {
        values.into_iter().map(|value| format!("{quote}{value}{quote}")).collect::<Vec<_>>().join(", ")
    };
    define("resources", &list(crds.iter().map(|crd| &crd.spec.names.plural).collect(), '"'));
    define("kinds", &list(crds.iter().map(|crd| &crd.spec.names.kind).collect(), '\''));
    for (name, target) in [("secrets", Target::Secret), ("configMaps", Target::ConfigMap)] {
        let terms = expressions.get(&target).map_or_else(|| "[]".to_owned(), |terms| terms.join("\n+ "));
        ensure!(!terms.contains("{{") && !terms.contains("}}"), "an expression would end Helm's: {terms}");
        define(name, &terms);
        define(&format!("{name}.most"), &most.get(&target).unwrap_or(&0).to_string());
    }
    Ok(text)
}

/// Every reference of a kind's spec, in the order of its fields.
fn references(crd: &CustomResourceDefinition) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let properties = schema.context("a served version has a schema")?.properties.as_ref();
        let spec = properties.and_then(|properties| properties.get("spec")).context("a kind has a spec")?;
        walk(spec, &mut vec![Segment::Field("spec".to_owned())], &mut found)
            .with_context(|| format!("references of {}", crd.spec.names.kind))?;
    }
    Ok(found)
}

fn walk(schema: &JSONSchemaProps, path: &mut Vec<Segment>, found: &mut Vec<Reference>) -> Result<()> {
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        let mut below = Vec::new();
        walk(values, path, &mut below)?;
        ensure!(below.is_empty(), "{}: a reference below a map is not supported; use a list", show(path));
    }
    match &schema.items {
        None => {}
        Some(JSONSchemaPropsOrArray::Schemas(_)) => bail!("{}: a list has one schema", show(path)),
        Some(JSONSchemaPropsOrArray::Schema(entry)) => {
            let before = found.len();
            // Without a bound the list may hold no reference, which is known only after the walk.
            let most = schema.max_items.and_then(|most| u64::try_from(most).ok());
            path.push(Segment::Entries(most.unwrap_or(0)));
            walk(entry, path, found)?;
            path.pop();
            if found.len() > before {
                ensure!(most.is_some(), "{}: a list of references needs maxItems", show(path));
                // CEL would iterate over null and fail, which refuses the object with an odd message.
                ensure!(
                    schema.nullable != Some(true),
                    "{}: a list of references must not be nullable",
                    show(path)
                );
            }
        }
    }
    for (name, field) in schema.properties.iter().flatten() {
        path.push(Segment::Field(name.clone()));
        match target(name, field).with_context(|| show(path))? {
            Some(target) => {
                let (_, parent) = path.split_last().context("the field itself was just pushed")?;
                let is_alternative = excluded_by(schema, name).any(|other| {
                    let other = [parent, &[Segment::Field(other)]].concat();
                    found.iter().any(|earlier| earlier.path == other)
                });
                found.push(Reference { target, path: path.clone(), is_alternative });
            }
            None => walk(field, path, found)?,
        }
        path.pop();
    }
    Ok(())
}

/// The members that a rule `has(self.a) != has(self.b)` keeps from being set beside the field.
fn excluded_by<'a>(schema: &'a JSONSchemaProps, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let member = |text: &str| text.trim().strip_prefix("has(self.")?.strip_suffix(')').map(str::to_owned);
    schema.x_kubernetes_validations.iter().flatten().filter_map(move |rule| {
        let (one, other) = rule.rule.split_once("!=")?;
        match (member(one)?, member(other)?) {
            (one, other) if one == name => Some(other),
            (one, other) if other == name => Some(one),
            _ => None,
        }
    })
}

/// What the field refers to, if it is a reference.
///
/// # Errors
/// A field that speaks of a Secret or ConfigMap and is not a reference by `name`: nobody would check it.
fn target(name: &str, field: &JSONSchemaProps) -> Result<Option<Target>> {
    let lower = name.to_lowercase();
    let target = match (lower.contains("secret"), lower.contains("configmap")) {
        (false, false) => return Ok(None),
        (true, false) => Target::Secret,
        (false, true) => Target::ConfigMap,
        (true, true) => bail!("a reference is to one kind of object"),
    };
    let names = field.properties.as_ref().and_then(|properties| properties.get("name"));
    let is_reference =
        lower.ends_with("ref") && names.is_some_and(|name| name.type_.as_deref() == Some("string"));
    ensure!(
        is_reference,
        "a field that speaks of a Secret or ConfigMap is an object with \"name\", and its own name ends in \"Ref\""
    );
    Ok(Some(target))
}

impl Reference {
    /// How many names it can hold.
    fn most(&self) -> u64 {
        let lists = self.path.iter().map(|segment| match segment {
            Segment::Field(_) => 1,
            Segment::Entries(most) => *most,
        });
        lists.product()
    }

    /// CEL expressions, each a list of names; every step is optional, so that an absent or null member yields none.
    ///
    /// The last list of the path is mapped, the lists around it are written out entry by entry: CEL has no `flatten`
    /// before Kubernetes 1.34.
    fn expressions(&self) -> Vec<String> {
        let last = self.path.iter().rposition(|segment| matches!(segment, Segment::Entries(_)));
        let mut outer = vec!["object".to_owned()];
        for segment in &self.path[..last.unwrap_or(self.path.len())] {
            outer = match segment {
                Segment::Field(name) => outer.iter().map(|text| format!("{text}.?{name}")).collect(),
                Segment::Entries(most) => outer
                    .iter()
                    .flat_map(|text| (0..*most).map(move |index| format!("{text}[?{index}]")))
                    .collect(),
            };
        }
        let Some(last) = last else {
            return outer.iter().map(|text| format!("{text}.?name.optMap(n, [n]).orValue([])")).collect();
        };
        let mut below = String::new();
        for segment in &self.path[last + 1..] {
            let Segment::Field(name) = segment else { unreachable!("no list follows the last one") };
            below.push_str(&format!(".?{name}"));
        }
        let plain = below.replace(".?", ".");
        let mapped = format!(".filter(e, e{below}.?name.hasValue()).map(e, e{plain}.name)");
        outer.iter().map(|text| format!("{text}.orValue([]){mapped}")).collect()
    }
}

/// The path as a person writes it.
fn show(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Field(name) if text.is_empty() => text.push_str(name),
            Segment::Field(name) => text.push_str(&format!(".{name}")),
            Segment::Entries(_) => text.push_str("[]"),
        }
    }
    text
}

#[cfg(test)]
mod tests;
