//! The binary as it is started by the kubelet, by a person and by kubectl.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test")]

#[path = "support/prometheus.rs"]
mod prometheus;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_analysis::frame::{self, Expected};
use plimsoll_analysis::job::{
    ENV_DEADLINE, ENV_JOB_UID, ENV_NONCE, ENV_REQUEST, MAX_LOG_BYTES, SECRETS_FOLDER, TERMINATION_LOG,
    escape_for_environment,
};
use plimsoll_analysis::record::{BaselineRecord, SourceReason};
use prometheus::{Manner, Prometheus};
use serde_json::json;

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const CANARY: &str = "canary-7f3a-token";

/// The binary with an environment of its own.
fn plimsoll() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// An address of this machine that a Job may contact.
fn own_address() -> Option<std::net::Ipv4Addr> {
    let addresses = nix::ifaddrs::getifaddrs().unwrap();
    let found = addresses.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    found.into_iter().find(|ip| !ip.is_loopback() && !ip.is_link_local())
}

/// A pod's file system with a Secret, below a temporary folder.
fn pod() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    std::fs::create_dir_all(at(SECRETS_FOLDER).join("prom")).unwrap();
    std::fs::create_dir_all(at(TERMINATION_LOG).parent().unwrap()).unwrap();
    std::fs::write(at(TERMINATION_LOG), "").unwrap();
    std::fs::write(at(SECRETS_FOLDER).join("prom/token"), CANARY).unwrap();
    root
}

fn job(root: &Path, url: &str) -> Command {
    let request = json!({
        "schema": "plimsoll.dev/baseline-request/v1", "name": "dairy", "namespace": "farm", "uid": "uid-1",
        "run": "dairy-0123456789", "run_key": "sha256:key", "window_seconds": 300,
        "prometheus": {"url": url, "auth": {"Bearer": {"kind": "Secret", "name": "prom", "key": "token"}}},
        "metrics": [{"name": "busy", "query": "sum(probe{path=~\"/a$(b)?\"})", "unit": "Ratio"}],
    });
    let mut command = plimsoll();
    command
        .arg("job")
        .arg("--root")
        .arg(root)
        .env(ENV_REQUEST, escape_for_environment(&request.to_string()))
        .env(ENV_NONCE, NONCE)
        .env(ENV_JOB_UID, "job-1")
        .env(ENV_DEADLINE, "600")
        .env("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        .env("KUBERNETES_SERVICE_PORT", "443")
        .env("PLIMSOLL_LOG", "trace");
    command
}

fn outcome(root: &Path) -> String {
    std::fs::read_to_string(root.join(TERMINATION_LOG.trim_start_matches('/'))).unwrap()
}

/// The record of a job's output: log lines of JSON, and the frame at its very end.
fn delivered(output: &Output) -> BaselineRecord {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let (log, _) = text.split_once("-----BEGIN").unwrap_or_else(|| panic!("no frame in {text}"));
    assert!(!log.is_empty() && log.len() <= MAX_LOG_BYTES);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    }
    assert!(text.ends_with(&format!("-----END PLIMSOLL {NONCE}-----\n")), "the frame is the last");
    let expected = Expected { nonce: NONCE, uid: "uid-1", run_key: "sha256:key", job_uid: "job-1" };
    frame::decode(&text, &expected).unwrap().record
}

#[test]
fn a_job_is_refused_loopback_and_the_canary_appears_nowhere() {
    let (prometheus, root) = (Prometheus::start(Manner::Answers), pod());
    let output = job(root.path(), &prometheus.url).output().unwrap();
    let record = delivered(&output);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(record.sources[0].reason, Some(SourceReason::Unreachable));
    assert!(
        record.sources[0].message.as_ref().unwrap().contains("a loopback address"),
        "{:?}",
        record.sources
    );
    assert!(prometheus.asked().is_empty(), "nothing was sent to the refused address");
    assert_eq!(output.stderr, b"");
    let outcome = outcome(root.path());
    assert!(
        outcome.starts_with("incomplete: prometheus Failed (Unreachable)") && !outcome.contains('\n'),
        "{outcome}"
    );
    let everything = format!("{}{outcome}{record:?}", String::from_utf8_lossy(&output.stdout));
    assert!(!everything.contains(CANARY));
}

#[test]
fn a_job_without_its_secret_delivers_a_record_that_says_so() {
    let root = pod();
    std::fs::remove_dir_all(root.path().join(SECRETS_FOLDER.trim_start_matches('/'))).unwrap();
    let output = job(root.path(), "http://prometheus.monitoring:9090").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(delivered(&output).sources[0].reason, Some(SourceReason::SecretMissing));
    assert!(outcome(root.path()).contains("Secret prom does not exist"), "{}", outcome(root.path()));
}

#[test]
fn a_job_without_a_request_says_so_in_its_termination_message() {
    let root = pod();
    let output = job(root.path(), "http://prom:9090").env_remove(ENV_REQUEST).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(outcome(root.path()).contains("PLIMSOLL_REQUEST is not set"), "{}", outcome(root.path()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("PLIMSOLL 0123"), "{text}");
    assert!(text.lines().all(|line| line.starts_with('{')), "{text}");
}

#[test]
fn a_job_that_is_terminated_delivers_before_it_ends() {
    let root = pod();
    // A Job may not contact loopback, so the server that never answers listens on this machine's other address.
    let Some(address) = own_address() else {
        println!("skipped: this machine has no address besides loopback");
        return;
    };
    let server = std::net::TcpListener::bind((address, 0)).unwrap();
    let mut command = job(root.path(), &format!("http://{}", server.local_addr().unwrap()));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut first).unwrap();
    assert!(first.contains("collecting"), "{first}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
    let status = child.wait().unwrap();
    let output = Output { status, stdout: [first.into_bytes(), rest].concat(), stderr: Vec::new() };
    let source = delivered(&output).sources.remove(0);
    assert_eq!(source.reason, Some(SourceReason::Timeout));
    assert!(source.message.as_ref().unwrap().contains("told to stop"), "{source:?}");
    assert_eq!(output.status.code(), Some(3), "it ended itself: {:?}", output.status);
}

#[test]
fn collect_reads_the_environment_and_the_canary_appears_nowhere() {
    let prometheus = Prometheus::start(Manner::Answers);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    let text = format!(
        "apiVersion: plimsoll.dev/v1alpha1\nkind: PerformanceBaseline\nmetadata: {{name: dairy}}\nspec:\n  window: 5m\n  \
         sources:\n    prometheus:\n      url: {}\n      auth: {{type: Bearer, bearer: {{secretKeyRef: {{name: prom, key: token}}}}}}\n  \
         metrics: [{{name: busy, query: probe, unit: Ratio}}]\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: prom}}\n\
         stringData: {{token: {CANARY}}}\n",
        prometheus.url
    );
    std::fs::write(&file, text).unwrap();
    let output = plimsoll()
        .args(["collect", "-o", "json", "-f"])
        .arg(&file)
        .env("PLIMSOLL_LOG", "trace")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let record: BaselineRecord = serde_json::from_slice(&output.stdout).unwrap();
    assert!(record.complete);
    assert!(prometheus.asked().iter().all(|sent| *sent == format!("Bearer {CANARY}")));
    assert!(!output.stderr.is_empty(), "it logs at this level");
    for printed in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(printed).contains(CANARY));
    }
    let output =
        plimsoll().args(["collect", "-o", "json"]).env("PROMETHEUS_URL", &prometheus.url).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("prometheus: Failed (NoData)") && error.lines().count() == 1,
        "no progress: {error}"
    );
}

#[test]
fn errors_go_to_standard_error_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let kubeconfig = empty.path().join("config");
    std::fs::write(&kubeconfig, "apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
        .unwrap();
    for (arguments, code, expected) in [
        (vec!["collect", "-f", "/nowhere.yaml"], 2, "error: /nowhere.yaml: No such file"),
        (vec!["validate", "-f", "/nowhere.yaml"], 2, "error: /nowhere.yaml: No such file"),
        (vec!["collect", "--timeout", "soon"], 2, "is not a duration"),
        (vec!["report", "pod/x"], 2, "is not a kind of plimsoll.dev"),
        (vec!["report"], 2, "required arguments were not provided"),
        (vec!["report", "pbl/x", "--all"], 2, "cannot be used with"),
        (vec!["export", "pbl/x", "--name", "A_b"], 2, "write lower-case letters"),
        (vec!["export", "pbl/x", "--context", "nope"], 2, "error: the kubeconfig has no context \"nope\""),
        (vec!["compare", "-", "-"], 2, "error: standard input holds one record"),
        (
            vec!["status", "baseline/x", "--context", "nope"],
            2,
            "error: the kubeconfig has no context \"nope\"",
        ),
        (vec!["--context", "nope", "run", "pbl/x"], 2, "error: the kubeconfig has no context \"nope\""),
        (vec!["--context", "nope", "crds"], 2, "--context belongs to"),
        (vec!["nonsense"], 2, "unrecognized subcommand"),
    ] {
        let output = plimsoll().args(&arguments).env("KUBECONFIG", &kubeconfig).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
}

#[test]
fn crds_are_what_the_types_say() {
    let output = plimsoll().arg("crds").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let expected: Vec<serde_json::Value> =
        plimsoll_api::all_crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    assert_eq!(printed, expected);
}

#[test]
fn help_has_examples_and_the_name_it_was_started_by() {
    for command in ["report", "status", "run", "export", "collect", "compare", "validate"] {
        let output = plimsoll().args([command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Examples:") && text.contains(&format!("Usage: plimsoll {command}")), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-plimsoll");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_plimsoll"), &plugin).unwrap();
    let output = Command::new(&plugin).args(["report", "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Usage: kubectl plimsoll report"), "{text}");
    let output = plimsoll().arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("plimsoll {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = plimsoll().arg("crds").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
