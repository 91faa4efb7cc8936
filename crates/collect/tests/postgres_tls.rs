//! TLS towards a real PostgreSQL, by `sslMode`: what is verified, what is refused, and that nothing of the session is sent
//! before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{KeyKind, KeyRef, SslMode};
use plimsoll_collect::Keys;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use support::pg::{DATABASE, Options, Postgres, READER, READER_PASSWORD, request_as, write_files};
use support::proxy::Proxy;
use support::servers::wait_until;
use support::{message, run_for, source};

/// A certificate authority: its certificate in PEM, and what signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Authority {
    /// Certificate and key of a server in PEM.
    fn certificate(&self, name: &str, is_expired: bool) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (pem, key.serialize_pem())
    }
}

fn files((certificate, key): (String, String)) -> Vec<(&'static str, String)> {
    vec![("server.crt", certificate), ("server.key", key)]
}

/// Puts another certificate in place and waits until the server took it.
async fn replace(server: &Postgres, certificate: (String, String)) {
    write_files(&server.folder.join("data"), &files(certificate));
    let reloads = || server.log().matches("reloading configuration files").count();
    let before = reloads();
    server.sql("postgres", "SELECT pg_reload_conf()").await;
    wait_until("the server reloads its certificate", Duration::from_secs(10), || reloads() > before);
}

async fn collected(port: u16, mode: SslMode, ca: Option<&str>, server_name: Option<&str>) -> BaselineRecord {
    let (mut request, keys) = request_as(port, DATABASE, READER, READER_PASSWORD);
    let reference = KeyRef { kind: KeyKind::Secret, name: "pg-ca".to_owned(), key: "ca.crt".to_owned() };
    let postgres = request.postgres.as_mut().unwrap();
    postgres.ssl_mode = mode;
    postgres.ca = ca.is_some().then(|| reference.clone());
    postgres.server_name = server_name.map(str::to_owned);
    let known = request.postgres.as_ref().map(|postgres| match &postgres.access {
        plimsoll_analysis::request::PostgresAccess::Parts { username, password, .. } => {
            [username.clone(), password.clone()]
        }
        plimsoll_analysis::request::PostgresAccess::Uri(_) => panic!("not a URI"),
    });
    let mut values: std::collections::BTreeMap<KeyRef, Vec<u8>> =
        known.unwrap().into_iter().map(|key| (key.clone(), keys.get(&key).unwrap().to_vec())).collect();
    if let Some(pem) = ca {
        values.insert(reference, pem.as_bytes().to_vec());
    }
    run_for(&request, Keys::from_map(values), Duration::from_secs(20)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_verifies_what_it_says_and_sends_nothing_to_a_server_that_fails() {
    let (ours, other) = (authority("ours"), authority("other"));
    let mut options = Options::new(15);
    options.files = files(ours.certificate("127.0.0.1", false));
    options.settings = vec![("ssl", "on".to_owned())];
    // Without TLS the role is not let in, so that what is let in was encrypted.
    options.hba = "hostssl all reader 127.0.0.1/32 scram-sha-256\nhostnossl all reader 127.0.0.1/32 reject";
    let Some(server) = Postgres::start(&options).await else { return };
    let (right, wrong) = (Some(ours.pem.as_str()), Some(other.pem.as_str()));

    use SslMode::*;
    let good = ours.certificate("127.0.0.1", false);
    let named = ours.certificate("db.example", false);
    let expired = ours.certificate("127.0.0.1", true);
    for (what, certificate, tries) in [
        (
            "a right certificate",
            good,
            vec![
                (VerifyFull, right, None, true),
                (VerifyFull, wrong, None, false),
                // The public roots know no authority of ours.
                (VerifyFull, None, None, false),
                (VerifyFull, right, Some("db.example"), false),
                (VerifyCA, right, None, true),
                (VerifyCA, wrong, None, false),
                (Require, None, None, true),
                (Prefer, None, None, true),
            ],
        ),
        (
            "a certificate for another name",
            named,
            vec![
                (VerifyFull, right, None, false),
                (VerifyFull, right, Some("db.example"), true),
                (VerifyCA, right, None, true),
                (VerifyCA, wrong, None, false),
                (Require, None, None, true),
            ],
        ),
        (
            "an expired certificate",
            expired,
            vec![
                (VerifyFull, right, None, false),
                (VerifyCA, right, None, false),
                (Require, None, None, true),
            ],
        ),
    ] {
        replace(&server, certificate).await;
        for (mode, ca, name, is_let_in) in tries {
            let proxy = Proxy::plain(server.port).await;
            let record = collected(proxy.port, mode, ca, name).await;
            let found = source(&record);
            let context = format!("{what}, {mode:?}, name {name:?}, CA known: {}: {found:?}", ca == right);
            if is_let_in {
                assert_eq!(found.state, SourceState::Collected, "{context}");
            } else {
                assert_eq!(
                    (found.state, found.reason),
                    (SourceState::Failed, Some(SourceReason::TLSFailed)),
                    "{context}"
                );
                assert!(message(&record).contains("sources.postgres.tls"), "{context}");
            }
            // Neither name nor password in clear, whether let in or not.
            let sent = proxy.sent();
            assert!(sent.starts_with(&[0, 0, 0, 8, 4, 210, 22, 47]), "{context}");
            assert!(!sent.windows(READER.len()).any(|bytes| bytes == READER.as_bytes()), "{context}");
        }
    }
    // Refused without TLS by the server itself.
    let record = collected(server.port, Disable, None, None).await;
    assert_eq!(source(&record).reason, Some(SourceReason::AuthenticationFailed), "{:?}", source(&record));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_used_only_where_the_mode_allows_it() {
    let Some(server) = Postgres::start(&Options::new(15)).await else { return };
    use SslMode::*;
    for mode in [Require, VerifyCA, VerifyFull] {
        let proxy = Proxy::plain(server.port).await;
        let record = collected(proxy.port, mode, None, None).await;
        assert_eq!(source(&record).reason, Some(SourceReason::TLSFailed), "{mode:?}: {:?}", source(&record));
        assert!(message(&record).contains("sslMode"), "{}", message(&record));
        assert_eq!(proxy.sent().len(), 8, "{mode:?}: nothing after the wish for TLS");
    }
    for mode in [Prefer, Disable] {
        let record = collected(server.port, mode, None, None).await;
        assert_eq!(source(&record).state, SourceState::Collected, "{mode:?}: {:?}", source(&record));
    }
}
