use super::*;
use crate::test_prometheus::{Manner, Prometheus};
use plimsoll_analysis::frame::Expected;
use serde_json::{Value, json};

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const CANARY: &str = "canary-7f3a-token";

fn request(url: &str) -> Value {
    json!({
        "schema": SCHEMA, "name": "dairy", "namespace": "farm", "uid": "uid-1", "run": "dairy-0123456789",
        "run_key": "sha256:key", "window_seconds": 300,
        "prometheus": {"url": url, "auth": {"Bearer": {"kind": "Secret", "name": "prom", "key": "token"}}},
        "metrics": [{"name": "busy", "query": "probe", "unit": "Ratio"}],
        "forbidden_addresses": ["10.96.0.1:443"],
    })
}

fn variables(url: &str) -> impl Fn(&str) -> Option<String> + use<> {
    let request = request(url).to_string();
    move |name: &str| match name {
        ENV_REQUEST => Some(request.clone()),
        ENV_NONCE => Some(NONCE.to_owned()),
        ENV_JOB_UID => Some("job-1".to_owned()),
        ENV_DEADLINE => Some("600".to_owned()),
        _ => None,
    }
}

struct Stage {
    folder: tempfile::TempDir,
    pod: Pod,
}

fn stage() -> Stage {
    // The process does it at its start.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let pod = Pod::below(folder.path(), Instant::now());
    std::fs::create_dir_all(pod.secrets.join("prom")).unwrap();
    std::fs::create_dir_all(pod.outcome.parent().unwrap()).unwrap();
    std::fs::write(&pod.outcome, "").unwrap();
    std::fs::write(pod.secrets.join("prom/token"), CANARY).unwrap();
    Stage { folder, pod }
}

impl Stage {
    /// Exit code, output and termination message of a whole run.
    async fn run(&self, url: &str, policy: &AddressPolicy) -> (u8, String, String) {
        let given = Given::from(variables(url)).unwrap();
        let envelope = measure(&given, policy, &self.pod, std::future::pending()).await;
        self.end(envelope)
    }

    fn end(&self, envelope: Envelope) -> (u8, String, String) {
        let mut out = b"{\"level\":\"INFO\"}\n".to_vec();
        let result = deliver(NONCE, envelope, &Bounded::new(Vec::new(), 1000), &mut out);
        let code = finish(&self.pod, &result);
        let outcome = std::fs::read_to_string(&self.pod.outcome).unwrap();
        (code, String::from_utf8(out).unwrap(), outcome)
    }
}

fn decoded(output: &str) -> BaselineRecord {
    let expected = Expected { nonce: NONCE, uid: "uid-1", run_key: "sha256:key", job_uid: "job-1" };
    assert!(output.ends_with(&format!("-----END PLIMSOLL {NONCE}-----\n")), "the frame is the last");
    frame::decode(output, &expected).unwrap().record
}

#[tokio::test]
async fn a_run_that_read_everything_delivers_its_record_and_exits_with_0() {
    let (prometheus, stage) = (Prometheus::start(Manner::Answers), stage());
    let (code, output, outcome) = stage.run(&prometheus.url, &AddressPolicy::Unrestricted).await;
    let record = decoded(&output);
    assert_eq!((code, record.complete), (0, true), "{:?}", record.sources);
    assert_eq!(record.custom_metrics.unwrap()["busy"].value, 0.25);
    assert_eq!(outcome, "complete: prometheus Collected");
    assert!(prometheus.asked().iter().all(|sent| *sent == format!("Bearer {CANARY}")));
    assert!(!output.contains(CANARY));
}

#[tokio::test]
async fn a_job_does_not_reach_loopback_and_says_so() {
    let (prometheus, stage) = (Prometheus::start(Manner::Answers), stage());
    let policy = Given::from(variables(&prometheus.url)).unwrap().policy().await.unwrap();
    let (code, output, outcome) = stage.run(&prometheus.url, &policy).await;
    let record = decoded(&output);
    let source = &record.sources[0];
    assert_eq!((code, source.reason), (3, Some(SourceReason::Unreachable)));
    assert!(source.message.as_ref().unwrap().contains("loopback address"), "{source:?}");
    assert!(outcome.starts_with("incomplete: prometheus Failed (Unreachable): 127.0.0.1"), "{outcome}");
    assert!(prometheus.asked().is_empty());
}

#[tokio::test]
async fn a_missing_secret_or_key_is_a_record_and_exits_with_2() {
    let (prometheus, stage) = (Prometheus::start(Manner::Answers), stage());
    let secret = stage.folder.path().join("var/run/plimsoll/secrets/prom");
    std::fs::rename(secret.join("token"), secret.join("other")).unwrap();
    let (code, output, _) = stage.run(&prometheus.url, &AddressPolicy::Unrestricted).await;
    assert_eq!((code, decoded(&output).sources[0].reason), (2, Some(SourceReason::KeyMissing)));
    std::fs::remove_dir_all(&secret).unwrap();
    let (code, output, outcome) = stage.run(&prometheus.url, &AddressPolicy::Unrestricted).await;
    assert_eq!((code, decoded(&output).sources[0].reason), (2, Some(SourceReason::SecretMissing)));
    assert!(outcome.contains("Secret prom does not exist"), "{outcome}");
    assert!(prometheus.asked().is_empty());
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_delivers_what_it_knows() {
    let (prometheus, stage) = (Prometheus::start(Manner::Hangs), stage());
    let given = Given::from(variables(&prometheus.url)).unwrap();
    let waited = tokio::task::spawn_blocking(move || {
        prometheus.wait_until_asked();
        prometheus
    });
    let mut still_up = None;
    let stop = async { still_up = Some(waited.await) };
    let envelope = measure(&given, &AddressPolicy::Unrestricted, &stage.pod, stop).await;
    let (code, output, _) = stage.end(envelope);
    let record = decoded(&output);
    assert_eq!((code, record.sources[0].reason), (3, Some(SourceReason::Timeout)));
    assert!(record.sources[0].message.as_ref().unwrap().contains("told to stop"), "{:?}", record.sources);
}

#[test]
fn an_environment_that_is_not_the_operators_is_refused() {
    let whole = variables("http://prom:9090");
    let with = |name: &'static str, value: Option<&'static str>| {
        let whole = &whole;
        Given::from(move |asked| if asked == name { value.map(str::to_owned) } else { whole(asked) })
    };
    for (name, value) in [
        (ENV_REQUEST, None),
        (ENV_REQUEST, Some("{\"canary-7f3a\": 1}")),
        (ENV_NONCE, Some("0123456789ABCDEF0123456789abcdef")),
        (ENV_NONCE, Some("0123")),
        (ENV_JOB_UID, Some("")),
        (ENV_DEADLINE, Some("10m")),
    ] {
        let error = with(name, value).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let mut other = request("http://prom:9090");
    other["schema"] = json!("plimsoll.dev/baseline-request/v9");
    let error = Given::from(|name| if name == ENV_REQUEST { Some(other.to_string()) } else { whole(name) });
    assert!(error.unwrap_err().to_string().contains("another version"));
}

#[tokio::test]
async fn the_api_server_of_the_environment_is_forbidden_too() {
    let whole = variables("http://prom:9090");
    for (host, address) in [("10.9.8.7", "10.9.8.7:6443"), ("fd00::7", "[fd00::7]:6443")] {
        let given = Given::from(|name| match name {
            "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("6443".to_owned()),
            name => whole(name),
        });
        let policy = given.unwrap().policy().await.unwrap();
        for forbidden in [address, "10.96.0.1:443"] {
            assert!(policy.refusal(forbidden.parse().unwrap()).is_some(), "{forbidden}");
        }
    }
    let mut given = Given::from(&whole).unwrap();
    given.request.forbidden_addresses.push("nonsense".to_owned());
    assert!(matches!(given.policy().await, Err(JobError::Forbidden(_))));
}

#[test]
fn reading_ends_before_the_pods_deadline() {
    let mut given = Given::from(variables("http://prom:9090")).unwrap();
    assert_eq!(given.reading(), Duration::from_secs(570));
    given.deadline = Duration::from_secs(10);
    assert_eq!(given.reading(), LEAST_READING);
}

#[tokio::test]
async fn a_record_that_cannot_be_delivered_is_told_in_the_termination_message() {
    let (prometheus, stage) = (Prometheus::start(Manner::Answers), stage());
    let given = Given::from(variables(&prometheus.url)).unwrap();
    let mut envelope =
        measure(&given, &AddressPolicy::Unrestricted, &stage.pod, std::future::pending()).await;
    // Text that does not compress below the limit of a frame.
    let mut state = 1_u64;
    for index in 0..90_000 {
        let mut name = index.to_string();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            name.push_str(&format!("{state:016x}"));
        }
        envelope.record.truncated.insert(name, state);
    }
    let (code, output, outcome) = stage.end(envelope);
    assert_eq!(code, 1);
    assert!(!output.contains("PLIMSOLL"), "no part of a frame was written");
    assert!(outcome.starts_with("the record cannot be delivered: the frame is larger"), "{outcome}");
}
