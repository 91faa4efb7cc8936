//! Failures as the API server words them.

use serde_json::{Value, json};

use super::route::ResourceType;

/// A failed answer: what a real API server would put into its `Status`.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiFailure {
    /// HTTP code.
    pub code: u16,
    /// Machine-readable reason, for example `AlreadyExists`.
    pub reason: &'static str,
    /// Message as a person reads it.
    pub message: String,
    /// Seconds that the client is asked to wait, also sent as `Retry-After`.
    pub retry_after_seconds: Option<u32>,
    // Boxed, so that a `Result` of it stays small.
    details: Box<Value>,
}

impl ApiFailure {
    /// A failure with a code, a reason and a message.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            retry_after_seconds: None,
            details: Box::new(json!({})),
        }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404: there is no such object.
    #[must_use]
    pub fn not_found(resource: &ResourceType, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()))
            .about(resource, name)
    }

    /// 409 AlreadyExists: a create of what is there.
    #[must_use]
    pub fn already_exists(resource: &ResourceType, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified()))
            .about(resource, name)
    }

    /// 409 Conflict: the write was based on an older version of the object, or on another object of that name.
    #[must_use]
    pub fn conflict(resource: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 403: refused by authorization, admission or quota; `why` follows `is forbidden: `.
    #[must_use]
    pub fn forbidden(resource: &ResourceType, name: &str, why: &str) -> Self {
        let subject = resource.qualified();
        let subject = if name.is_empty() { subject } else { format!("{subject} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).about(resource, name)
    }

    /// 422: a field has a value that it must not have. `cause` is the reason of the field error, for example
    /// `FieldValueInvalid`.
    #[must_use]
    pub fn invalid(
        kind: &str,
        resource: &ResourceType,
        name: &str,
        field: &str,
        cause: &str,
        why: &str,
    ) -> Self {
        let group = &resource.group;
        let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut failure = Self::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {field}: {why}"));
        *failure.details = json!({
            "name": name, "group": group, "kind": kind,
            "causes": [{"reason": cause, "message": why, "field": field}],
        });
        failure
    }

    /// 410: the asked-for resource version is no longer kept.
    #[must_use]
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 429 with `Retry-After`: the server sheds load.
    #[must_use]
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        let mut failure = Self::new(429, "TooManyRequests", "Too many requests, please try again later.");
        failure.retry_after_seconds = Some(retry_after_seconds);
        *failure.details = json!({"retryAfterSeconds": retry_after_seconds});
        failure
    }

    /// 500: the server itself failed; `message` follows `Internal error occurred: `.
    #[must_use]
    pub fn internal(message: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// 504: no answer in time; the write may or may not have been done.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(
            504,
            "Timeout",
            "Timeout: request did not complete within requested timeout - context deadline exceeded",
        )
    }

    /// Says which object the failure is about.
    #[must_use]
    pub(crate) fn about(mut self, resource: &ResourceType, name: &str) -> Self {
        *self.details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        self
    }

    /// Adds the causes of a conflict between field managers.
    #[must_use]
    pub(crate) fn caused_by(mut self, causes: Vec<Value>) -> Self {
        self.details["causes"] = Value::Array(causes);
        self
    }

    /// The `Status` object of the answer.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details, "code": self.code,
        })
    }
}
