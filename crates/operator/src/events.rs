//! Events for people: on transitions only, and never a reason for a reconcile to fail.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Something that happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Whether it is a warning.
    pub warning: bool,
    /// One word, as in conditions.
    pub reason: String,
    /// What was done.
    pub action: &'static str,
    /// What happened and what to do; cut to the 1,024 bytes that the API allows.
    pub note: String,
}

/// Publishes Events; one recorder for all, since it folds repetitions into series.
#[derive(Clone)]
pub struct Publisher {
    recorder: Recorder,
}

impl Publisher {
    /// A publisher that says it is `instance`.
    #[must_use]
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self {
            recorder: Recorder::new(
                client,
                Reporter { controller: "plimsoll.dev/operator".to_owned(), instance },
            ),
        }
    }

    /// Publishes what happened. A failure is logged and nothing else: an Event is a courtesy.
    pub async fn publish(&self, happened: &[Happened], regarding: &ObjectReference) {
        for Happened { warning, reason, action, note } in happened {
            let event = Event {
                type_: if *warning { EventType::Warning } else { EventType::Normal },
                reason: reason.clone(),
                note: Some(cut(note)),
                action: (*action).to_owned(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, regarding).await {
                tracing::warn!(%error, reason, "an Event could not be published");
            }
        }
    }
}

fn cut(note: &str) -> String {
    note[..note.floor_char_boundary(1024)].to_owned()
}
