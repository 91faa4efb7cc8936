//! TLS: verified always, by the public roots or the request's own, for the host or the name that the request gives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{Auth, BaselineRequest, KeyKind, KeyRef};
use plimsoll_collect::Keys;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::http::{answer, empty};
use support::real::{Version, start_secured};
use support::{message, request, run_for, source};

fn key(kind: KeyKind, name: &str, key: &str) -> KeyRef {
    KeyRef { kind, name: name.to_owned(), key: key.to_owned() }
}

fn ca() -> KeyRef {
    key(KeyKind::ConfigMap, "ca", "ca.crt")
}

fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// A TLS server without series; it answers connections until the test process ends. Gives its port and, by channel, the
/// name that each client asked for.
fn serve(certificate: &CertifiedKey<KeyPair>) -> (u16, std::sync::mpsc::Receiver<(String, Vec<String>)>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, names) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
            let Some(first) = lines.next() else { continue };
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let name = stream.conn.server_name().unwrap_or_default().to_owned();
            let _ = sender.send((name, headers));
            let _ = stream.write_all(&empty(first.split(' ').nth(1).unwrap_or_default()));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, names)
}

async fn run(request: &BaselineRequest, bundle: Option<&str>) -> BaselineRecord {
    let keys = bundle.map(|pem| (ca(), pem.as_bytes().to_vec()));
    run_for(request, Keys::from_map(keys.into_iter().collect()), Duration::from_secs(20)).await
}

fn with_ca(url: &str, server_name: Option<&str>) -> BaselineRequest {
    let mut wanted = request(url);
    let prometheus = wanted.prometheus.as_mut().unwrap();
    prometheus.ca = Some(ca());
    prometheus.server_name = server_name.map(str::to_owned);
    wanted
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let own = certificate(&["localhost"]);
    let (port, _) = serve(&own);
    let url = format!("https://localhost:{port}");
    let record = run(&request(&url), None).await;
    assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed), "{}", message(&record));
    assert!(message(&record).contains("tls.ca"), "{}", message(&record));

    let other = certificate(&["localhost"]);
    let record = run(&with_ca(&url, None), Some(&other.cert.pem())).await;
    assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed));

    let record = run(&with_ca(&url, None), Some(&own.cert.pem())).await;
    assert_eq!(source(&record).reason, Some(SourceReason::NoData), "{}", message(&record));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_until_the_name_is_given() {
    let own = certificate(&["prometheus.example"]);
    let (port, names) = serve(&own);
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}");
        let record = run(&with_ca(&url, None), Some(&own.cert.pem())).await;
        assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed));
        assert!(message(&record).contains("tls.serverName"), "{}", message(&record));

        while names.try_recv().is_ok() {}
        let record = run(&with_ca(&url, Some("prometheus.example")), Some(&own.cert.pem())).await;
        assert_eq!(source(&record).reason, Some(SourceReason::NoData), "{}", message(&record));
        let (name, headers) = names.try_recv().unwrap();
        assert_eq!(name, "prometheus.example");
        let header = headers.iter().find(|line| line.to_lowercase().starts_with("host:")).unwrap();
        assert!(header.ends_with(&format!("{host}:{port}")), "{header}");
    }
}

#[tokio::test]
async fn a_bundle_that_holds_no_certificate_is_named() {
    let record = run(&with_ca("https://127.0.0.1:9", None), Some("hello")).await;
    assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed));
    assert!(message(&record).contains("key ca.crt of ConfigMap ca"), "{}", message(&record));
}

#[tokio::test]
async fn a_plain_server_behind_https_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(&answer("400 Bad Request", "", b""));
        // Closing with unread bytes would reset the connection before the answer is read.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let record = run(&request(&url), None).await;
    assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed), "{}", message(&record));
    assert!(message(&record).contains("http://"), "{}", message(&record));
    server.join().unwrap();
}

async fn a_secured_server_wants_its_ca_and_password(version: Version) {
    let own = certificate(&["localhost"]);
    let Some(server) = start_secured(version, &own.cert.pem(), &own.signing_key.serialize_pem()) else {
        return;
    };
    let url = server.url().replace("http://127.0.0.1", "https://localhost");
    let (user, password) =
        (key(KeyKind::Secret, "prom", "username"), key(KeyKind::Secret, "prom", "password"));
    let keys = |word: &str| {
        Keys::from_map(BTreeMap::from([
            (ca(), own.cert.pem().into_bytes()),
            (user.clone(), b"admin\n".to_vec()),
            (password.clone(), word.as_bytes().to_vec()),
        ]))
    };
    let mut wanted = with_ca(&url, None);
    let prometheus = wanted.prometheus.as_mut().unwrap();
    prometheus.auth = Some(Auth::Basic { username: user.clone(), password: password.clone() });
    for (word, reason) in [("test", SourceReason::NoData), ("wrong", SourceReason::AuthenticationFailed)] {
        let record = run_for(&wanted, keys(word), Duration::from_secs(20)).await;
        let found = source(&record);
        assert_eq!((found.state, found.reason), (SourceState::Failed, Some(reason)), "{found:?}");
    }
    let plain = run_for(&request(&server.url()), keys("test"), Duration::from_secs(20)).await;
    assert_eq!(source(&plain).reason, Some(SourceReason::BadAnswer), "{}", message(&plain));
}

#[tokio::test]
async fn a_secured_prometheus_2_wants_its_ca_and_password() {
    a_secured_server_wants_its_ca_and_password(Version::V2).await;
}

#[tokio::test]
async fn a_secured_prometheus_3_wants_its_ca_and_password() {
    a_secured_server_wants_its_ca_and_password(Version::V3).await;
}
