//! The API server's audit log: who called what.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde::Deserialize;

use crate::environment::Environment;
use crate::wait;

/// The operator's user.
pub const OPERATOR: &str = "system:serviceaccount:plimsoll-system:plimsoll";

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `ResponseComplete`, or `ResponseStarted` of a watch.
    pub stage: String,
    /// `get`, `create`, ...
    pub verb: String,
    /// Who.
    pub user: User,
    /// The path that was asked for, with its query.
    #[serde(rename = "requestURI", default)]
    pub request_uri: String,
    /// On what.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// With which answer.
    #[serde(default)]
    pub response_status: ResponseStatus,
    /// When the call came.
    pub request_received_timestamp: Timestamp,
    /// What authorization decided, and more.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Who called.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// Name.
    pub username: String,
}

/// The object of a call; each part empty where it has none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// API group; empty is core.
    pub api_group: String,
    /// Resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// The answer of a call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    /// HTTP status.
    pub code: u16,
}

impl Entry {
    /// `verb group/resource/subresource`, without the parts that are empty.
    #[must_use]
    pub fn call(&self) -> String {
        let ObjectRef { api_group, resource, subresource, .. } = &self.object_ref;
        let parts: Vec<&str> = [api_group, resource, subresource]
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        format!("{} {}", self.verb, parts.join("/"))
    }

    /// Whether RBAC let it through.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.annotations.get("authorization.k8s.io/decision").is_none_or(|decision| decision == "allow")
    }

    /// Whether the call changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Every finished call of a user so far, also in the log before the last turn, oldest first.
///
/// The log is written behind the answers, so a mark of our own is written and waited for first.
///
/// # Errors
/// The log cannot be read, or the mark does not come.
pub async fn calls_of(admin: &Client, user: &str) -> Result<Vec<Entry>> {
    mark(admin).await?;
    let log = &Environment::get()?.audit_log;
    let mut files: Vec<_> = std::fs::read_dir(log.parent().context("a folder")?)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("audit") && name.ends_with(".log")
        })
        .collect();
    // The turned ones carry their time in the name, `audit-<time>.log`, and sort before `audit.log`.
    files.sort();
    let user = user.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut entries = Vec::new();
        for file in files {
            let mut reader = BufReader::new(std::fs::File::open(&file)?);
            let mut line = String::new();
            loop {
                line.clear();
                reader.read_line(&mut line)?;
                // The last line may be half written: whatever stands there came after our mark.
                if !line.ends_with('\n') {
                    break;
                }
                if !line.contains(&user) {
                    continue;
                }
                let entry: Entry = serde_json::from_str(&line).with_context(|| format!("read {line}"))?;
                // A watch that goes on has only begun.
                let counts = entry.stage == "ResponseComplete"
                    || (entry.stage == "ResponseStarted" && entry.verb == "watch");
                if entry.user.username == user && counts {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    })
    .await?
}

/// How often each call was made.
#[must_use]
pub fn counted<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.call()).or_default() += 1;
    }
    counts
}

/// Makes a call of our own and waits until the log has it.
async fn mark(admin: &Client) -> Result<()> {
    let name = format!("audit-mark-{:08x}", rand::random::<u32>());
    let maps = Api::<ConfigMap>::namespaced(admin.clone(), "default");
    let map = serde_json::from_value(serde_json::json!({"metadata": {"name": name}}))?;
    maps.create(&PostParams::default(), &map).await?;
    maps.delete(&name, &DeleteParams::default()).await?;
    let log = &Environment::get()?.audit_log;
    wait::until("the audit log has our mark", Duration::from_secs(60), || {
        let (log, name) = (log.clone(), name.clone());
        async move {
            let found = tokio::task::spawn_blocking(move || tail_holds(&log, &name)).await??;
            Ok(found.then_some(()))
        }
    })
    .await
}

/// Whether the last MiB of a file holds a text.
fn tail_holds(file: &std::path::Path, text: &str) -> Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(1024 * 1024)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).contains(text))
}
