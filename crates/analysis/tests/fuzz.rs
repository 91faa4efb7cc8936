//! Bytes that nobody meant: whatever reaches the readers of records and frames, they end, in bounded time and memory,
//! with a value that survives another round or with an error that repeats nothing of the input.
//!
//! Property tests on the stable compiler: arbitrary bytes, and mutations of a real record, which come further in.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_analysis::frame::{Envelope, Expected, decode, encode};
use plimsoll_analysis::hash::sha256_hex;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::BaselineRequest;
use proptest::prelude::*;
use serde_json::{Value, json};

const RECORD: &str = include_str!("record.json");
const NONCE: &str = "0123456789abcdef0123456789abcdef";
const EXPECTED: Expected<'static> =
    Expected { nonce: NONCE, uid: "uid", run_key: "sha256:key", job_uid: "job" };
/// Longest that one input may take, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(2);

/// A change of some bytes: where (as a part of the whole), how many are taken out, and what is put in.
fn mutations() -> impl Strategy<Value = Vec<(f64, usize, Vec<u8>)>> {
    let put = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            &b"null"[..],
            b"-1",
            b"1e999",
            b"18446744073709551616",
            b"-0.0",
            b"{}",
            b"[]",
            b"[[[[",
            b"\"",
            b"\\u0000",
            b"\\ud800",
            b"9999-12-31T23:59:59.999999999Z",
            b"-009999-01-01T00:00:00Z",
            b"true",
            b",",
            b"\xff\xfe",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec((0.0..1.0, 0usize..20, put), 1..6)
}

fn mutated(whole: &[u8], mutations: &[(f64, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for (place, taken, put) in mutations {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place within the bytes"
        )]
        let start = (bytes.len() as f64 * place) as usize;
        let end = (start + taken).min(bytes.len());
        bytes.splice(start..end, put.iter().copied());
    }
    bytes
}

/// Values that are right as JSON and wrong, extreme or odd where they stand.
fn odd_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(f64::MAX),
        json!(f64::MIN_POSITIVE),
        json!(-0.0),
        json!(""),
        json!("\u{0}\u{202e}\u{1f9d1}"),
        json!("9999-12-30T22:00:00.9Z"),
        json!("-009999-01-02T01:59:59Z"),
        json!("Lifetime"),
        json!([]),
        json!({}),
        json!([[1, "2"]]),
        json!({"": {"": []}}),
        json!(true),
        json!("x".repeat(70_000)),
    ])
}

/// Puts `value` at the `step`-th place of the tree, counted over all values.
fn replace(tree: &mut Value, step: &mut usize, value: &Value) -> bool {
    if *step == 0 {
        *tree = value.clone();
        return true;
    }
    *step -= 1;
    match tree {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, step, value)),
        Value::Object(map) => map.values_mut().any(|item| replace(item, step, value)),
        _ => false,
    }
}

/// Reads a record; what is one stays the same when it is written and read again.
fn read(json: &[u8]) -> Result<(), TestCaseError> {
    let begin = Instant::now();
    let read = serde_json::from_slice::<BaselineRecord>(json);
    prop_assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    if let Ok(record) = read {
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<BaselineRecord>(&text).unwrap(), &record);
        // These walk what the record names.
        let mut record = record;
        record.settle();
        for path in record.basis.keys() {
            let _ = record.is_judged(path);
        }
    }
    Ok(())
}

fn framed(json: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json).unwrap();
    let compressed = encoder.finish().unwrap();
    let (text, digest) = (STANDARD.encode(&compressed), sha256_hex(&compressed));
    format!("-----BEGIN PLIMSOLL {NONCE}-----\n{text}\nsha256:{digest}\n-----END PLIMSOLL {NONCE}-----\n")
}

fn read_log(log: &str) -> Result<(), TestCaseError> {
    let begin = Instant::now();
    let result = decode(log, &EXPECTED);
    prop_assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    if let Err(error) = result {
        prop_assert!(error.to_string().len() < 200, "{}", error);
    }
    Ok(())
}

fn envelope() -> Envelope {
    Envelope {
        uid: "uid".to_owned(),
        run_key: "sha256:key".to_owned(),
        job_uid: "job".to_owned(),
        record: serde_json::from_str(RECORD).unwrap(),
    }
}

#[test]
fn the_sample_has_every_section_and_survives_a_round_unchanged() {
    let sample: Value = serde_json::from_str(RECORD).unwrap();
    let record: BaselineRecord = serde_json::from_str(RECORD).unwrap();
    assert_eq!(serde_json::to_value(&record).unwrap(), sample);
    let frame = encode(NONCE, &envelope()).unwrap();
    assert_eq!(decode(&frame, &EXPECTED).unwrap(), envelope());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_of_records_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes)?;
        let _ = serde_json::from_slice::<BaselineRequest>(&bytes);
    }

    #[test]
    fn a_record_with_changed_bytes_is_refused_or_survives_a_round(changes in mutations()) {
        read(&mutated(RECORD.as_bytes(), &changes))?;
    }

    #[test]
    fn a_record_with_an_odd_value_anywhere_is_refused_or_survives_a_round(
        places in prop::collection::vec((0usize..260, odd_value()), 1..4),
    ) {
        let mut tree: Value = serde_json::from_str(RECORD).unwrap();
        for (mut place, value) in places {
            replace(&mut tree, &mut place, &value);
        }
        read(&serde_json::to_vec(&tree).unwrap())?;
    }

    #[test]
    fn a_record_nested_without_end_is_refused(depth in 1usize..60_000, open in prop::sample::select(vec!["[", "{\"a\":"])) {
        let deep = open.repeat(depth);
        let json = RECORD.replacen("\"complete\": false", &format!("\"unknown\": {deep}"), 1);
        prop_assert!(serde_json::from_str::<BaselineRecord>(&json).is_err());
    }

    #[test]
    fn a_log_with_changed_bytes_is_refused_or_read(changes in mutations()) {
        let frame = encode(NONCE, &envelope()).unwrap();
        read_log(&String::from_utf8_lossy(&mutated(frame.as_bytes(), &changes)))?;
    }

    #[test]
    fn a_frame_whose_content_is_not_an_envelope_is_refused_or_read(changes in mutations()) {
        let json = serde_json::to_vec(&envelope()).unwrap();
        read_log(&framed(&mutated(&json, &changes)))?;
    }

    #[test]
    fn a_frame_of_bytes_that_are_no_gzip_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (text, digest) = (STANDARD.encode(&bytes), sha256_hex(&bytes));
        let log = format!(
            "-----BEGIN PLIMSOLL {NONCE}-----\n{text}\nsha256:{digest}\n-----END PLIMSOLL {NONCE}-----\n"
        );
        prop_assert!(decode(&log, &EXPECTED).is_err());
        read_log(&log)?;
    }
}
