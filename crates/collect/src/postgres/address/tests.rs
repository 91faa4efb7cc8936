use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Address {
    parse_uri(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_uri_as_operators_write_it_is_read_whole() {
    let found = parsed("postgresql://app:s3cr3t@cluster-rw.shop:6432/orders");
    assert_eq!(found.host, Host::Domain("cluster-rw.shop".to_owned()));
    assert_eq!((found.port, found.database.as_str(), found.user.as_str()), (6432, "orders", "app"));
    assert_eq!(found.password.as_deref(), Some(&b"s3cr3t"[..]));
}

#[test]
fn what_a_uri_leaves_out_is_libpqs_default() {
    let found = parsed("postgres://app@db");
    assert_eq!((found.port, found.database.as_str()), (5432, "app"));
    assert_eq!(found.password, None);
    assert_eq!(parsed("postgres://app@db:/x").port, 5432);
    assert_eq!(parsed("postgres://app:@db/x").password, None);
}

#[test]
fn every_part_is_percent_decoded() {
    let found = parsed("postgresql://us%40er:p%3Aa%2Fs%25s%23%3F%20w@db/my%20db%2Fx");
    assert_eq!(found.user, "us@er");
    assert_eq!(found.password.as_deref(), Some(&b"p:a/s%s#? w"[..]));
    assert_eq!(found.database, "my db/x");
    // A password with : and @ written as they are.
    assert_eq!(parsed("postgresql://u:a:b@c@db/x").password.as_deref(), Some(&b"a:b@c"[..]));
}

#[test]
fn addresses_are_known_in_every_spelling_so_that_the_guard_sees_them() {
    let v6: Ipv6Addr = "fd00::7".parse().unwrap();
    assert_eq!(parsed("postgres://a@[fd00::7]:5433/x").host, Host::<String>::Ipv6(v6));
    assert_eq!(parsed("postgres://a@[fd00::7]/x").port, 5432);
    assert_eq!(parse_host("fd00::7"), Ok(Host::Ipv6(v6)));
    for text in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "%31%32%37.0.0.1"] {
        assert_eq!(
            parsed(&format!("postgres://a@{text}/x")).host,
            Host::<String>::Ipv4(Ipv4Addr::LOCALHOST),
            "{text}"
        );
    }
}

#[test]
fn what_would_lead_elsewhere_is_refused_with_its_reason() {
    for (text, expected) in [
        ("", UriError::Scheme),
        ("mysql://a@b/c", UriError::Scheme),
        ("host=db user=a", UriError::Scheme),
        ("jdbc:postgresql://db/x", UriError::Scheme),
        ("postgres://db/x", UriError::NoUser),
        ("postgres://a@/x", UriError::NoHost),
        ("postgres://a@%2Fvar%2Frun%2Fpostgresql/x", UriError::NoHost),
        ("postgres://a@h1:1,h2:2/x", UriError::SeveralHosts),
        ("postgres://a@h1%2Ch2/x", UriError::SeveralHosts),
        ("postgres://a@db:0/x", UriError::Port),
        ("postgres://a@db:65536/x", UriError::Port),
        ("postgres://a@db:+1/x", UriError::Port),
        ("postgres://a:pa/ss@db/x", UriError::NoUser),
        ("postgres://a@fd00::1/x", UriError::Port),
        ("postgres://a@[fd00::1/x", UriError::Port),
        ("postgres://a@d b/x", UriError::Host),
        ("postgres://a:%zz@db/x", UriError::Percent),
        ("postgres://a:%4@db/x", UriError::Percent),
        ("postgres://a:%00@db/x", UriError::Nul),
        ("postgres://%ff@db/x", UriError::NotUtf8),
        ("postgres://a@db/x?options=-c%20search_path%3Devil", UriError::Options),
        ("postgres://a@db/x?%6fptions=x", UriError::Options),
        ("postgres://a@db/x?host=/tmp", UriError::Elsewhere),
        ("postgres://a@db/x?hostaddr=127.0.0.1", UriError::Elsewhere),
        ("postgres://a@db/x?service=s", UriError::Elsewhere),
        ("postgres://a@db/x?sslrootcert=/etc/passwd", UriError::Parameter),
        ("postgres://a@db/x?sslmode=disable&x", UriError::Parameter),
    ] {
        assert_eq!(parse_uri(text), Err(expected), "{text}");
    }
}

#[test]
fn the_sslmode_of_a_uri_is_left_out_of_account_and_named() {
    let found = parsed("postgres://a@db/x?sslmode=disable&application_name=y");
    assert_eq!(found.ignored, ["sslmode", "application_name"]);
}

#[test]
fn an_address_shows_no_user_and_no_password() {
    let printed = format!("{:?}", parsed("postgres://canary-user:canary-7f3a@db/x"));
    assert!(!printed.contains("canary"), "{printed}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in "(postgres://)?[ -~]{0,60}") {
        let _ = parse_uri(&text);
    }

    #[test]
    fn any_encoded_credentials_come_back(user in "[^\0]{1,12}", password in "[^\0]{1,12}") {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let found = parse_uri(&format!("postgres://{}:{}@db/x", encode(&user), encode(&password))).unwrap();
        prop_assert_eq!(found.user, user);
        prop_assert_eq!(found.password.unwrap(), password.into_bytes());
    }
}
