//! What clients asked of the server.

use std::fmt;

use serde::Serialize;

use super::route::{ObjectKey, Verb};
use super::store::Effect;

/// One mutating request of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Write {
    /// Its number, counted from 1 over the server's life.
    pub number: usize,
    /// What it does.
    pub verb: Verb,
    /// The object; a create with `generateName` has the name it was given.
    pub object: ObjectKey,
    /// `status`, or empty for the object itself.
    pub subresource: String,
    /// Manager of the fields that it writes.
    pub field_manager: String,
    /// HTTP code of the server's answer, also where the client never saw it; absent where the request did not
    /// reach the server.
    pub code: Option<u16>,
    /// Whether the client saw the answer.
    pub answered: bool,
    /// What it did.
    pub effect: Effect,
}

impl Write {
    /// Whether it changed anything.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.effect != Effect::None
    }
}

impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, verb, object, subresource, field_manager, code, answered, effect } = self;
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(
            formatter,
            "write {number}: {} {object}{slash}{subresource} by {field_manager}",
            verb.as_str()
        )?;
        match code {
            Some(code) => write!(formatter, " -> {code} {effect:?}")?,
            None => formatter.write_str(" -> not received")?,
        }
        if *answered || code.is_none() { Ok(()) } else { formatter.write_str(", answer lost") }
    }
}

/// One request of a client that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Get, list or watch.
    pub verb: Verb,
    /// The object; without a name for lists and watches.
    pub object: ObjectKey,
    /// `log`, `status`, or empty for the object itself.
    pub subresource: String,
    /// HTTP code of the answer.
    pub code: u16,
}
