//! Against a private PostgreSQL with several ways of authentication: no password leaves us but by SCRAM, and a URI as
//! operators write it into Secrets works as it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::record::{BaselineRecord, SourceReason, SourceState};
use plimsoll_analysis::request::{KeyKind, KeyRef, PostgresAccess};
use plimsoll_collect::Keys;
use support::pg::{DATABASE, Options, Postgres, READER, READER_PASSWORD, request};
use support::{message, run_for, source};

/// Lines of pg_hba.conf for roles of other ways.
const HBA: &str = "host all md5_user 127.0.0.1/32 md5\n\
                   host all clear_user 127.0.0.1/32 password\n\
                   host all trusted 127.0.0.1/32 trust\n\
                   host all nobody_from_here 127.0.0.1/32 reject\n";

/// What a URI gives.
async fn by(server: &Postgres, uri: &str) -> BaselineRecord {
    let (mut request, _) = request(server);
    let secret = KeyRef { kind: KeyKind::Secret, name: "pg".to_owned(), key: "uri".to_owned() };
    request.postgres.as_mut().unwrap().access = PostgresAccess::Uri(secret.clone());
    let keys = Keys::from_map([(secret, uri.as_bytes().to_vec())].into());
    run_for(&request, keys, Duration::from_secs(30)).await
}

fn failed(record: &BaselineRecord, reason: SourceReason, part: &str) {
    assert_eq!(source(record).state, SourceState::Failed, "{part}");
    assert_eq!(source(record).reason, Some(reason), "{}", message(record));
    assert!(message(record).contains(part), "{part}: {}", message(record));
    assert!(!message(record).contains("canary"), "{}", message(record));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uri_works_as_it_is_and_its_password_goes_by_scram_or_not_at_all() {
    let mut options = Options::new(15);
    options.hba = HBA;
    let Some(server) = Postgres::start(&options).await else { return };
    let roles = "SET password_encryption = 'md5'; CREATE ROLE md5_user LOGIN PASSWORD 'canary-1'; \
                 CREATE ROLE clear_user LOGIN PASSWORD 'canary-2'; CREATE ROLE trusted LOGIN; \
                 GRANT pg_monitor TO trusted; CREATE ROLE nobody_from_here LOGIN PASSWORD 'canary-3'";
    server.sql("postgres", roles).await;
    let uri = |user: &str, password: &str, database: &str| {
        format!("postgresql://{user}:{password}@127.0.0.1:{}/{database}", server.port)
    };
    let encoded: String = READER_PASSWORD.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let right = by(&server, &uri(READER, &encoded, DATABASE)).await;
    assert_eq!(source(&right).state, SourceState::Collected, "{}", message(&right));
    let without = format!("postgres://trusted@127.0.0.1:{}/{DATABASE}?sslmode=require", server.port);
    let trusted = by(&server, &without).await;
    assert_eq!(source(&trusted).state, SourceState::Collected, "{}", message(&trusted));
    assert!(source(&trusted).warnings.iter().any(|warning| warning.contains("sslmode")));

    let refused = SourceReason::AuthenticationFailed;
    for (user, password, part) in [
        ("md5_user", "canary-1", "MD5 password, which was not sent"),
        ("clear_user", "canary-2", "in clear, which was not sent"),
        ("nobody_from_here", "canary-3", "pg_hba.conf"),
        (READER, "canary-wrong", "check both in the Secret"),
        ("no_such_role", "canary-x", "check both in the Secret"),
        (READER, "", "the Secret holds none"),
    ] {
        failed(&by(&server, &uri(user, password, DATABASE)).await, refused, part);
    }
    let elsewhere = by(&server, &uri(READER, &encoded, "no_such_database")).await;
    failed(&elsewhere, SourceReason::NoData, "no such database");
    for unusable in
        ["postgres://canary:canary@/x", "postgres://canary:canary@db/x?host=/canary", "host=canary", "canary"]
    {
        failed(&by(&server, unusable).await, SourceReason::KeyMissing, "key uri of Secret pg");
    }
}
