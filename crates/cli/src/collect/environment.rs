//! The seed's way: without files, where to read comes from environment variables.

use serde_json::json;

use super::input::Baseline;
use crate::failure::{EXIT_BAD_INPUT, Failure};
use crate::manifest;

/// Base URL of Prometheus.
pub(crate) const PROMETHEUS_URL: &str = "PROMETHEUS_URL";
const DEFAULT_URL: &str = "http://prometheus:9090";
/// Name of the record, after the file that the seed's script writes.
const NAME: &str = "performance-baseline";
const DEFAULT_NAMESPACE: &str = "smart-dairy";

/// The baseline of the seed's script: web and API metrics by their default names over seven days, and the
/// infrastructure of `namespace`.
///
/// # Errors
/// A variable that means nothing.
pub(crate) fn baseline(
    variable: impl Fn(&str) -> Option<String>,
    namespace: Option<&str>,
) -> Result<Baseline, Failure> {
    let url = variable(PROMETHEUS_URL).filter(|url| !url.is_empty());
    let object = json!({
        "apiVersion": format!("{}/{}", plimsoll_api::GROUP, plimsoll_api::VERSION),
        "kind": "PerformanceBaseline",
        "metadata": {"name": NAME, "namespace": namespace.unwrap_or(DEFAULT_NAMESPACE)},
        "spec": {
            "sources": {"prometheus": {"url": url.as_deref().unwrap_or(DEFAULT_URL)}},
            "web": {},
            "api": {},
        },
    });
    let mut documents = manifest::parse("environment", &object.to_string()).map_err(Failure::bad_input)?;
    let document = documents.pop().ok_or_else(|| Failure::bad_input("the environment describes nothing"))?;
    Baseline::from_document(document).map_err(|mut failure| {
        // Nothing but the URL comes from outside.
        for line in &mut failure.lines {
            let message =
                line.split_once("spec.sources.prometheus.url: ").map_or(line.as_str(), |(_, why)| why);
            *line = format!("the environment variable {PROMETHEUS_URL} {message}");
        }
        failure.code = EXIT_BAD_INPUT;
        failure
    })
}
