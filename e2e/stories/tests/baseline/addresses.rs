//! Where a run goes and where it does not: redirects, loopback, link-local, the API server; headers, TLS, passwords.

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use plimsoll_stories::gate::{Answer, BRIDGE, Gate};
use plimsoll_stories::prometheus::Prometheus;
use plimsoll_stories::story::{Story, tell};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_never_followed() {
    tell("redirect", |story: Story| async move {
        let target = Gate::open(&story.environment.prometheus, Answer::Pass).await?;
        let gate = Gate::open(
            &story.environment.prometheus,
            Answer::Redirect(format!("{}/api/v1/query", target.url())),
        )
        .await?;
        story.baseline("dairy", story.measuring(&gate.url())).await?;
        story.until_fails("dairy", "BadAnswer", "Check that the address is that of such a server").await?;
        ensure!(!gate.asked().is_empty() && target.asked().is_empty(), "the target was asked");
        gate.set(Answer::Pass);
        story.request("dairy", "direct").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_metadata_and_the_api_server_are_out_of_reach() {
    tell("addresses", |story: Story| async move {
        let cases = [
            ("loopback", "http://127.0.0.1:9090", "a loopback address"),
            ("wrapped", "http://[::ffff:127.0.0.1]:9090", "a loopback address"),
            ("localhost", "http://localhost:9090", "a loopback address"),
            ("metadata", "http://169.254.169.254", "a link-local address"),
            ("service", "https://kubernetes.default.svc", "the Kubernetes API server"),
            ("endpoint", "https://10.244.0.1:6443", "the Kubernetes API server"),
        ];
        try_join_all(cases.iter().map(|(name, url, _)| story.baseline(name, story.measuring(url)))).await?;
        let said = try_join_all(
            cases
                .iter()
                .map(|(name, ..)| story.until_fails(name, "Unreachable", "which a run may not contact")),
        )
        .await?;
        for ((name, _, why), said) in cases.iter().zip(&said) {
            ensure!(said.contains(why), "{name}: {said}");
        }
        let baseline = story.api::<plimsoll_api::PerformanceBaseline>().get("metadata").await?;
        let record = story.record(&baseline).await?;
        let message = record.json["sources"][0]["message"].as_str().context("the record says so too")?;
        ensure!(message.contains("169.254.169.254"), "{message}");
        // The remedy: an address that a run may contact.
        let url = json!({"spec": {"sources": {"prometheus": {"url": story.environment.prometheus}}}});
        story.edit("metadata", url).await?;
        story.until_ready("metadata").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_reach_the_server() {
    tell("headers", |story: Story| async move {
        let gate = Gate::open(&story.environment.prometheus, Answer::Pass).await?;
        secret(&story, "tenant", json!({"token": "from-the-secret"})).await?;
        let mut spec = story.measuring(&gate.url());
        spec["sources"]["prometheus"]["headers"] = json!([
            {"name": "X-Scope-OrgID", "value": "dairy"},
            {"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "tenant", "key": "token"}}},
        ]);
        story.baseline("dairy", spec).await?;
        story.until_ready("dairy").await?;
        let asked = gate.asked();
        ensure!(asked.len() > 5, "{} requests", asked.len());
        for request in asked {
            let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
            ensure!(header("x-scope-orgid") == Some("dairy"), "{request:?}");
            ensure!(header("x-token") == Some("from-the-secret"), "{}", request.target);
            ensure!(header("authorization").is_none(), "{}", request.target);
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_and_a_password_is_measured_with_its_ca_from_either_kind_of_object() {
    tell("tls", |story: Story| async move {
        let (own, other) = (certificate()?, certificate()?);
        let server = secured(&story, &own).await?;
        let url = format!("https://{}", server.address());
        let mut spec = story.measuring(&url);
        let source = &mut spec["sources"]["prometheus"];
        source["auth"] = json!({"type": "Basic", "basic": {"secretRef": {"name": "prom"}}});
        source["tls"] = json!({"ca": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}});
        secret(&story, "prom", json!({"username": "admin", "password": "test"})).await?;
        let bundle = json!({"metadata": {"name": "ca"}, "data": {"ca.crt": other.cert.pem()}});
        story.create::<ConfigMap>(bundle).await?;
        story.baseline("dairy", spec).await?;
        story.until_fails("dairy", "TLSFailed", "Check tls.ca, tls.serverName").await?;

        let right = json!({"data": {"ca.crt": own.cert.pem()}});
        let maps = story.api::<ConfigMap>();
        maps.patch("ca", &PatchParams::default(), &Patch::Merge(&right)).await?;
        story.request("dairy", "right-ca").await?;
        story.until_ready("dairy").await?;

        secret(&story, "ca", json!({"ca.crt": own.cert.pem()})).await?;
        let from_secret = json!({"configMapKeyRef": null, "secretKeyRef": {"name": "ca", "key": "ca.crt"}});
        let patch = json!({
            "metadata": {"annotations": {plimsoll_api::RUN_ANNOTATION: "ca-from-secret"}},
            "spec": {"sources": {"prometheus": {"tls": {"ca": from_secret}}}},
        });
        story.edit("dairy", patch).await?;
        story.request("dairy", "ca-from-secret").await?;
        story.until_ready("dairy").await?;

        let wrong = json!({"stringData": {"password": "wrong"}});
        story.api::<Secret>().patch("prom", &PatchParams::default(), &Patch::Merge(&wrong)).await?;
        story.request("dairy", "wrong-password").await?;
        story.until_fails("dairy", "AuthenticationFailed", "Check the Secret").await?;
        Ok(())
    })
    .await;
}

fn certificate() -> Result<CertifiedKey<KeyPair>> {
    Ok(generate_simple_self_signed(vec![BRIDGE.to_string()])?)
}

/// A Prometheus behind TLS and the password `test` of `admin`, which reads the cluster's own from afar.
async fn secured(story: &Story, own: &CertifiedKey<KeyPair>) -> Result<Prometheus> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("tls.crt", &own.cert.pem())?;
    write("tls.key", &own.signing_key.serialize_pem())?;
    // The hash is the example of Prometheus' own guide to basic authentication.
    write(
        "web.yml",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n\
         basic_auth_users:\n  admin: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\n",
    )?;
    let read = json!({"remote_read": [{"url": format!("{}/api/v1/read", story.environment.prometheus), "read_recent": true}]});
    write("prometheus.yml", &read.to_string())?;
    Prometheus::start(folder).await
}

async fn secret(story: &Story, name: &str, data: Value) -> Result<()> {
    story.create::<Secret>(json!({"metadata": {"name": name}, "stringData": data})).await?;
    Ok(())
}
