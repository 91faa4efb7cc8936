//! On the real thing: a restricted Job on the running cluster, and API servers of both versions.

#![allow(clippy::unwrap_used, reason = "this file is tests, whose helpers may fail as they do")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use plimsoll_cluster::apiserver::{self, ApiServer, ApiVersion};
use plimsoll_cluster::{Cluster, ScratchImage, Server, find, server};

fn text(output: &Output) -> String {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

fn kubectl(cluster: &Cluster, arguments: &[&str]) -> String {
    text(&cluster.kubectl().args(arguments).output().unwrap())
}

/// Compiles `tests/fixtures/NAME.rs` to a static binary and imports it in an image FROM scratch.
fn import_fixture(cluster: &Cluster, folder: &Path, name: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.rs"));
    let binary = folder.join(name);
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition=2024",
        "-O",
        "-Ctarget-feature=+crt-static",
        "--target=x86_64-unknown-linux-gnu",
        "-o",
    ]);
    text(&rustc.arg(&binary).arg(source).output().unwrap());
    let reference = format!("plimsoll-cluster-test-{name}:1");
    let archive = folder.join(format!("{name}.tar"));
    let image = ScratchImage { binary: &binary, entrypoint: &format!("/{name}"), user: "65532:65532" };
    image.write_archive(&archive, &reference).unwrap();
    cluster.import_image(&archive, &reference).unwrap();
    reference
}

/// Applies a manifest in a namespace of its own, made anew.
fn apply(cluster: &Cluster, folder: &Path, manifest: &str, namespace: &str, image: &str) {
    let path = folder.join("manifest.yaml");
    std::fs::write(&path, manifest.replace("{{ namespace }}", namespace).replace("{{ image }}", image))
        .unwrap();
    kubectl(cluster, &["delete", "namespace", namespace, "--ignore-not-found", "--timeout=60s"]);
    kubectl(cluster, &["apply", "-f", path.to_str().unwrap()]);
}

#[test]
fn a_static_binary_from_scratch_completes_as_a_restricted_job_resolves_a_service_and_is_read_by_its_log() {
    let cluster = find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let namespace = "cluster-test-restricted-job";
    let image = import_fixture(&cluster, folder.path(), "resolve");
    apply(&cluster, folder.path(), include_str!("restricted_job.yaml"), namespace, &image);
    kubectl(&cluster, &["-n", namespace, "wait", "--for=condition=Complete", "job/resolve", "--timeout=60s"]);
    let log = kubectl(&cluster, &["-n", namespace, "logs", "job/resolve"]);
    let service = kubectl(
        &cluster,
        &["-n", "monitoring", "get", "service", "prometheus", "-o", "jsonpath={.spec.clusterIP}"],
    );
    assert!(log.contains(&format!("to {service}:9090")), "{log}");
    kubectl(&cluster, &["delete", "namespace", namespace, "--timeout=60s"]);
}

/// What Prometheus answers to an instant query.
fn query(cluster: &Cluster, query: &str) -> String {
    let address = cluster.prometheus_host_url.strip_prefix("http://").unwrap();
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /api/v1/query?query={encoded} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of a custom metric, a Kubernetes quantity of whole or thousandth units; `None` while there is none.
fn custom_metric(cluster: &Cluster, path: &str) -> Option<f64> {
    let output = cluster.kubectl().args(["get", "--raw", path]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (value, _) = text.split_once("\"value\":\"")?.1.split_once('"')?;
    match value.strip_suffix('m') {
        Some(thousandths) => Some(thousandths.parse::<f64>().unwrap() / 1000.0),
        None => Some(value.parse().unwrap()),
    }
}

#[test]
fn an_annotated_pod_is_scraped_under_its_labels_measured_and_its_request_rate_is_a_custom_metric() {
    let cluster = find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let namespace = "cluster-test-scraped-pod";
    let image = import_fixture(&cluster, folder.path(), "serve");
    apply(&cluster, folder.path(), include_str!("scraped_pod.yaml"), namespace, &image);
    let scraped = format!("http_requests_total{{job=\"serve-app\",namespace=\"{namespace}\",pod=\"serve\"}}");
    let measured =
        format!("container_memory_working_set_bytes{{namespace=\"{namespace}\",container=\"serve\"}}");
    let custom = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/serve/http_requests_per_second"
    );
    // The counter grows by 100 a scrape, every 5 s; a window of 30 s must fill first.
    let seen = || {
        query(&cluster, &scraped).contains("\"value\"")
            && query(&cluster, &measured).contains("\"value\"")
            && custom_metric(&cluster, &custom).is_some_and(|rate| (18.0..22.0).contains(&rate))
    };
    let deadline = Instant::now() + Duration::from_secs(90);
    while !seen() {
        let rate = custom_metric(&cluster, &custom);
        assert!(
            Instant::now() < deadline,
            "{rate:?} {} {}",
            query(&cluster, &scraped),
            query(&cluster, &measured)
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    kubectl(&cluster, &["delete", "namespace", namespace, "--timeout=60s"]);
}

fn is_version(version: ApiVersion, minor: &str) {
    let mut progress = Vec::new();
    let server: ApiServer = apiserver::start(version, &mut progress).unwrap();
    let answer = text(&server.kubectl().args(["get", "--raw", "/version"]).output().unwrap());
    assert!(answer.contains(&format!("\"minor\": \"{minor}\"")), "{answer}");
    text(&server.kubectl().args(["create", "configmap", "one", "--from-literal=a=b"]).output().unwrap());
    let audit = std::fs::read_to_string(&server.audit_log).unwrap();
    assert!(audit.lines().any(|line| line.contains("\"create\"") && line.contains("configmaps")), "{audit}");
}

#[test]
fn both_api_servers_start_alone_answer_with_their_version_and_keep_an_audit_log() {
    is_version(ApiVersion::V1_33, "33");
    is_version(ApiVersion::V1_36, "36");
}

#[test]
fn each_server_for_tests_is_the_version_that_its_name_says() {
    for which in Server::ALL {
        let path = server(which, &mut std::io::stderr()).unwrap();
        let (program, expected) = match which {
            Server::Postgres13 => (path.join("postgres"), "(PostgreSQL) 13."),
            Server::Postgres14 => (path.join("postgres"), "(PostgreSQL) 14."),
            Server::Postgres15 => (path.join("postgres"), "(PostgreSQL) 15."),
            Server::Postgres16 => (path.join("postgres"), "(PostgreSQL) 16."),
            Server::Postgres17 => (path.join("postgres"), "(PostgreSQL) 17."),
            Server::Postgres18 => (path.join("postgres"), "(PostgreSQL) 18."),
            Server::PgBouncer => (path, "PgBouncer 1."),
            Server::Redis6 => (path, "Redis server v=6.2."),
            Server::Redis7 => (path, "Redis server v=7."),
            Server::Valkey => (path, "v=9."),
            other => panic!("{other:?} has no expectation here"),
        };
        let version = text(&Command::new(&program).arg("--version").output().unwrap());
        assert!(version.contains(expected), "{}: {version}", program.display());
    }
}
