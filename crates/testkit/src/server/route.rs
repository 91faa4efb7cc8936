//! What a request asks for: verb, resource, object, subresource, options.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use http::request::Parts;
use serde::Serialize;

use super::status::ApiFailure;

/// Group, version and plural of a resource; the core group is empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceType {
    /// API group, for example `batch`.
    pub group: String,
    /// Version, for example `v1`.
    pub version: String,
    /// Plural in lower case, for example `jobs`.
    pub plural: String,
}

impl ResourceType {
    /// A resource from its parts.
    #[must_use]
    pub fn new(group: &str, version: &str, plural: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), plural: plural.to_owned() }
    }

    /// The resource of a Kubernetes type.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>() -> Self {
        Self::new(&K::group(&()), &K::version(&()), &K::plural(&()))
    }

    /// `plural.group`, or the plural alone in the core group, as messages of the API server name it.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether the API server itself defines it; custom resources live in groups with a domain of their own.
    pub(crate) fn is_builtin(&self) -> bool {
        !self.group.contains('.') || self.group.ends_with(".k8s.io")
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.qualified())
    }
}

/// One object: its resource, namespace (empty where it has none) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// Its resource.
    pub resource: ResourceType,
    /// Its namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.namespace.is_empty() { "" } else { "/" };
        write!(formatter, "{} {}{separator}{}", self.resource, self.namespace, self.name)
    }
}

/// What a request does, in the words of authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Verb {
    /// Reads one object or subresource.
    Get,
    /// Reads many.
    List,
    /// Follows changes.
    Watch,
    /// Makes an object.
    Create,
    /// Replaces an object (PUT).
    Update,
    /// Applies or merges into an object.
    Patch,
    /// Removes an object.
    Delete,
    /// Removes many.
    DeleteCollection,
}

impl Verb {
    /// Whether it changes the cluster.
    #[must_use]
    pub fn is_mutating(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// The word in RBAC rules and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// A parsed request.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) resource: ResourceType,
    /// Empty for cluster-scoped objects and for lists over all namespaces.
    pub(crate) namespace: String,
    /// Empty for lists and creates.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) content_type: String,
    /// Whether the client asked for metadata only.
    pub(crate) metadata_only: bool,
    user_agent: String,
}

impl Route {
    /// Reads a request's line and headers.
    pub(crate) fn parse(parts: &Parts) -> Result<Self, ApiFailure> {
        let not_served =
            || ApiFailure::new(404, "NotFound", "the server could not find the requested resource");
        let path = parts.uri.path();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(not_served()),
        };
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces"] => ("", "namespaces", "", ""),
            ["namespaces", name] => ("", "namespaces", *name, ""),
            ["namespaces", name, subresource @ ("status" | "finalize")] => {
                ("", "namespaces", *name, *subresource)
            }
            ["namespaces", namespace, plural] => (*namespace, *plural, "", ""),
            ["namespaces", namespace, plural, name] => (*namespace, *plural, *name, ""),
            ["namespaces", namespace, plural, name, subresource] => {
                (*namespace, *plural, *name, *subresource)
            }
            [plural] => ("", *plural, "", ""),
            [plural, name] => ("", *plural, *name, ""),
            [plural, name, subresource] => ("", *plural, *name, *subresource),
            _ => return Err(not_served()),
        };
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let header = |name: http::HeaderName| {
            parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
        Ok(Self {
            verb: verb(&parts.method, name.is_empty(), watch)?,
            resource: ResourceType::new(group, version, plural),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            query,
            content_type: header(http::header::CONTENT_TYPE),
            metadata_only: header(http::header::ACCEPT).contains("as=PartialObjectMetadata"),
            user_agent: header(http::header::USER_AGENT),
        })
    }

    /// A query option; empty counts as absent, as the API server has it.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a query option is `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.option(name) == Some("true")
    }

    /// Whether the write must not be kept.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.option("dryRun") == Some("All")
    }

    /// The manager of the fields that this request writes: the option, or the start of the user agent.
    pub(crate) fn field_manager(&self) -> String {
        let agent = || self.user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        self.option("fieldManager").unwrap_or_else(agent).to_owned()
    }

    /// The object that the request names.
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey {
            resource: self.resource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Resource and subresource as authorization names them, for example `pods/log`.
    pub(crate) fn authorized_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.plural.clone()
        } else {
            format!("{}/{}", self.resource.plural, self.subresource)
        }
    }
}

fn verb(method: &Method, collection: bool, watch: bool) -> Result<Verb, ApiFailure> {
    Ok(match (method.as_str(), collection) {
        ("GET", true) if watch => Verb::Watch,
        ("GET", true) => Verb::List,
        ("GET", false) => Verb::Get,
        ("POST", _) => Verb::Create,
        ("PUT", false) => Verb::Update,
        ("PATCH", false) => Verb::Patch,
        ("DELETE", false) => Verb::Delete,
        ("DELETE", true) => Verb::DeleteCollection,
        _ => {
            return Err(ApiFailure::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ));
        }
    })
}
