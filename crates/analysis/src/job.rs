//! What the operator and the process in its Jobs agree on: names of environment variables, mount paths, limits.

/// Name of the only container of a Job's pod that is ours; others may be injected beside it.
pub const CONTAINER: &str = "plimsoll";
/// Environment variable with the request as JSON (see [`crate::request::BaselineRequest`]).
pub const ENV_REQUEST: &str = "PLIMSOLL_REQUEST";
/// Environment variable with the run's nonce: 32 lower-case hexadecimal digits, the delimiter of the frame.
pub const ENV_NONCE: &str = "PLIMSOLL_NONCE";
/// Environment variable with the UID of the Job, from the pod's label `batch.kubernetes.io/controller-uid`.
pub const ENV_JOB_UID: &str = "PLIMSOLL_JOB_UID";
/// Environment variable with the pod's deadline in seconds; the process ends itself [`EARLY_EXIT_SECONDS`] before it.
pub const ENV_DEADLINE: &str = "PLIMSOLL_DEADLINE_SECONDS";

/// Folder under which each Secret that the spec names is mounted: `<folder>/<name>/<key>`.
pub const SECRETS_FOLDER: &str = "/var/run/plimsoll/secrets";
/// Folder under which each ConfigMap that the spec names is mounted: `<folder>/<name>/<key>`.
pub const CONFIG_MAPS_FOLDER: &str = "/var/run/plimsoll/configmaps";
/// Where the kubelet reads a container's termination message from.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// How long before the pod's deadline the process ends itself, so that its frame is still written.
pub const EARLY_EXIT_SECONDS: u64 = 30;
/// How much later than the pod's deadline the Job's own is, which leaves time for scheduling and image pull.
pub const JOB_DEADLINE_MARGIN_SECONDS: i64 = 600;
/// Most bytes that a process may print besides its frame.
pub const MAX_LOG_BYTES: usize = 256 * 1024;
/// Most bytes of the request in the environment; the kernel's limit for one variable is 128 KiB.
pub const MAX_REQUEST_BYTES: usize = 120 * 1024;

/// Exit code of a run in which every source was collected.
pub const EXIT_COMPLETE: i32 = 0;
/// Exit code of bad input: an unreadable request, a missing Secret or key.
pub const EXIT_BAD_INPUT: i32 = 2;
/// Exit code of a run that finished although a source failed; the record is still delivered.
pub const EXIT_INCOMPLETE: i32 = 3;

/// Writes a request for an environment variable of a pod: JSON in which every `$` is `\u0024`.
///
/// The kubelet expands `$(NAME)` in environment values; a PromQL matcher such as `path=~"/a$(b)?"` must survive.
#[must_use]
pub fn escape_for_environment(json: &str) -> String {
    json.replace('$', "\\u0024")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_request_has_no_dollar_and_means_the_same() {
        let value = serde_json::json!({"matchers": "path=~\"/a$(HOME)$$\""});
        let text = escape_for_environment(&value.to_string());
        assert!(!text.contains('$'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
