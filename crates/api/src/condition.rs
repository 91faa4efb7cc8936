//! Conditions of every kind: types, reasons, and the one way to set them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Types of conditions.
pub mod types {
    /// True when a complete record for the current spec exists.
    pub const READY: &str = "Ready";
    /// True while a run is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// True when a person is needed: waiting alone will not mend it.
    pub const STALLED: &str = "Stalled";
    /// True when every configured source was collected in the last finished run.
    pub const SOURCES_AVAILABLE: &str = "SourcesAvailable";
    /// True when every objective is met; Unknown when one is inconclusive and none is missed.
    pub const OBJECTIVES_MET: &str = "ObjectivesMet";
    /// True when the last finished run is worse than the one it is compared with; Unknown when the data do not allow to say.
    pub const REGRESSED: &str = "Regressed";
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// The data do not allow to say.
    Unknown,
}

impl Truth {
    /// The word that the API has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its type, one of [`types`].
    pub type_: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// One word.
    pub reason: String,
    /// For people: what happened and what to do.
    pub message: String,
}

/// Sets a condition, and moves its transition time only when its status changes.
///
/// The message is cut to the 32,768 characters that the API allows, at a character's border.
pub fn set(conditions: &mut Vec<Condition>, said: Said, generation: i64, now: Timestamp) {
    let Said { type_, status, reason, message } = said;
    let status = status.as_str();
    let last_transition_time = match get(conditions, type_) {
        Some(old) if old.status == status => old.last_transition_time.clone(),
        _ => Time(now),
    };
    let new = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason,
        message: message.chars().take(32_768).collect(),
        observed_generation: Some(generation),
        last_transition_time,
    };
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
}

/// The condition of a type, if it is set.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let said = |status: bool, reason: &str| Said {
            type_: types::READY,
            status: status.into(),
            reason: reason.to_owned(),
            message: "a message".to_owned(),
        };
        let mut conditions = Vec::new();
        set(&mut conditions, said(false, "Collecting"), 1, at(10));
        set(&mut conditions, said(false, "NoData"), 2, at(20));
        let ready = get(&conditions, types::READY).unwrap();
        assert_eq!((ready.last_transition_time.0, ready.reason.as_str()), (at(10), "NoData"));
        assert_eq!(ready.observed_generation, Some(2));
        set(&mut conditions, said(true, "Recorded"), 2, at(30));
        assert_eq!(get(&conditions, types::READY).unwrap().last_transition_time.0, at(30));
        assert_eq!(conditions.len(), 1);
        assert!(is_true(&conditions, types::READY));
    }
}
