//! How a record travels from a Job to the operator: one frame in the container's log.
//!
//! A Job has no right on the Kubernetes API, so its log is the only way out that is large enough. Everything the
//! measured world says may end up in that log too, hence the frame is delimited by a nonce made for the run, which
//! the measured world does not know, and the log must hold exactly one frame:
//!
//! ```text
//! -----BEGIN PLIMSOLL 0123456789abcdef0123456789abcdef-----
//! <base64 of gzip of JSON, in lines of 4,096 characters>
//! sha256:<of the compressed bytes>
//! -----END PLIMSOLL 0123456789abcdef0123456789abcdef-----
//! ```
//!
//! Whoever may create Jobs or exec into pods of the namespace can still forge a result: `docs/security.md`.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::hash::sha256_hex;
use crate::record::BaselineRecord;

/// Most bytes of an encoded frame.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes that a frame may decompress to: a log of 4 MiB can hold a compressed bomb.
pub const MAX_PAYLOAD_BYTES: u64 = 32 * 1024 * 1024;
/// Characters of base64 in a line: container runtimes split lines past 16 KiB.
const LINE_LENGTH: usize = 4096;

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// UID of the resource.
    pub uid: String,
    /// Run key of the run.
    pub run_key: String,
    /// UID of the Job whose pod wrote the frame.
    pub job_uid: String,
    /// The measurements.
    pub record: BaselineRecord,
}

/// Why a log does not hold the run's record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No line begins the run's frame.
    #[error("the log holds no frame of this run")]
    Missing,
    /// More than one line begins or ends the run's frame.
    #[error("the log holds more than one frame of this run")]
    Doubled,
    /// The frame begins and does not end, or ends before it begins.
    #[error("the frame is cut off")]
    Cut,
    /// The frame is longer than [`MAX_FRAME_BYTES`] or decompresses to more than [`MAX_PAYLOAD_BYTES`].
    #[error("the frame is larger than its limit")]
    TooLarge,
    /// The checksum line is missing or differs.
    #[error("the frame's checksum does not match its content")]
    Checksum,
    /// Not base64, gzip or the JSON of an [`Envelope`].
    #[error("the frame cannot be decoded: {0}")]
    Malformed(String),
    /// The frame belongs to another resource, run or Job.
    #[error("the frame is of another {0}")]
    Foreign(&'static str),
}

/// What the frame must say to be this run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The run's nonce.
    pub nonce: &'a str,
    /// UID of the resource.
    pub uid: &'a str,
    /// Run key of the run.
    pub run_key: &'a str,
    /// UID of the Job.
    pub job_uid: &'a str,
}

/// Writes the frame, ending in a newline.
///
/// # Errors
/// [`FrameError::TooLarge`] where the frame passes [`MAX_FRAME_BYTES`]; [`FrameError::Malformed`] where a number of
/// the record is not finite and so has no JSON.
pub fn encode(nonce: &str, envelope: &Envelope) -> Result<String, FrameError> {
    let malformed = |error: &dyn std::fmt::Display| FrameError::Malformed(error.to_string());
    let json = serde_json::to_vec(envelope).map_err(|error| malformed(&error))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|error| malformed(&error))?;
    let compressed = encoder.finish().map_err(|error| malformed(&error))?;
    let payload = STANDARD.encode(&compressed);
    let mut frame = format!("{}\n", begin(nonce));
    for line in payload.as_bytes().chunks(LINE_LENGTH) {
        frame.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        frame.push('\n');
    }
    frame.push_str(&format!("sha256:{}\n{}\n", sha256_hex(&compressed), end(nonce)));
    if frame.len() > MAX_FRAME_BYTES { Err(FrameError::TooLarge) } else { Ok(frame) }
}

/// Finds and reads the one frame of a run in a log.
///
/// # Errors
/// A [`FrameError`] says which rule is broken; nothing of the log's content stands in it.
pub fn decode(log: &str, expected: &Expected<'_>) -> Result<Envelope, FrameError> {
    let payload = locate(log, expected.nonce)?;
    let compressed = verify(payload)?;
    let mut json = Vec::new();
    GzDecoder::new(compressed.as_slice())
        .take(MAX_PAYLOAD_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(|error| FrameError::Malformed(error.to_string()))?;
    if json.len() as u64 > MAX_PAYLOAD_BYTES {
        return Err(FrameError::TooLarge);
    }
    let envelope: Envelope = serde_json::from_slice(&json)
        .map_err(|error| FrameError::Malformed(format!("{:?} error", error.classify())))?;
    for (what, have, want) in [
        ("resource", &envelope.uid, expected.uid),
        ("run", &envelope.run_key, expected.run_key),
        ("Job", &envelope.job_uid, expected.job_uid),
    ] {
        if have != want {
            return Err(FrameError::Foreign(what));
        }
    }
    Ok(envelope)
}

fn begin(nonce: &str) -> String {
    format!("-----BEGIN PLIMSOLL {nonce}-----")
}

fn end(nonce: &str) -> String {
    format!("-----END PLIMSOLL {nonce}-----")
}

/// The lines between the delimiters.
fn locate<'a>(log: &'a str, nonce: &str) -> Result<&'a str, FrameError> {
    let (begin, end) = (begin(nonce), end(nonce));
    let mut begins = Vec::new();
    let mut ends = Vec::new();
    let mut offset = 0;
    for line in log.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        if text == begin {
            begins.push(offset + line.len());
        } else if text == end {
            ends.push(offset);
        }
        offset += line.len();
    }
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => Err(FrameError::Missing),
        ([start], [stop]) if start <= stop && stop - start > MAX_FRAME_BYTES => Err(FrameError::TooLarge),
        ([start], [stop]) if start <= stop => Ok(&log[*start..*stop]),
        ([_, _, ..], _) | (_, [_, _, ..]) => Err(FrameError::Doubled),
        _ => Err(FrameError::Cut),
    }
}

/// Decodes base64 and compares the checksum.
fn verify(payload: &str) -> Result<Vec<u8>, FrameError> {
    let mut base64 = String::with_capacity(payload.len());
    let mut checksum = None;
    for line in payload.lines() {
        if checksum.is_some() {
            return Err(FrameError::Checksum);
        }
        match line.strip_prefix("sha256:") {
            Some(digest) => checksum = Some(digest),
            None => base64.push_str(line),
        }
    }
    let compressed = STANDARD.decode(&base64).map_err(|_| FrameError::Malformed("not base64".to_owned()))?;
    if checksum == Some(sha256_hex(&compressed).as_str()) {
        Ok(compressed)
    } else {
        Err(FrameError::Checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordNames, WebMetrics};
    use proptest::prelude::*;

    const NONCE: &str = "0123456789abcdef0123456789abcdef";

    fn envelope() -> Envelope {
        let instant = "2026-11-23T02:00:00Z".parse().unwrap();
        let names =
            RecordNames { name: "dairy", namespace: "farm", run: "dairy-0123456789", run_key: "sha256:key" };
        Envelope {
            uid: "uid-of-the-baseline".to_owned(),
            run_key: "sha256:key".to_owned(),
            job_uid: "uid-of-the-job".to_owned(),
            record: BaselineRecord {
                complete: true,
                web_metrics: Some(WebMetrics { page_load_p95_ms: Some(12.5), ..WebMetrics::default() }),
                ..BaselineRecord::empty(names, 604_800, instant)
            },
        }
    }

    fn expected() -> Expected<'static> {
        Expected {
            nonce: NONCE,
            uid: "uid-of-the-baseline",
            run_key: "sha256:key",
            job_uid: "uid-of-the-job",
        }
    }

    fn frame() -> String {
        encode(NONCE, &envelope()).unwrap()
    }

    #[test]
    fn a_frame_among_other_lines_is_read_back() {
        let log = format!("{{\"level\":\"info\"}}\nnoise\n{}trailing\n", frame());
        assert_eq!(decode(&log, &expected()), Ok(envelope()));
    }

    #[test]
    fn a_frame_with_another_nonce_is_not_seen() {
        let forged = frame().replace(NONCE, "ffffffffffffffffffffffffffffffff");
        assert_eq!(decode(&forged, &expected()), Err(FrameError::Missing));
        assert_eq!(decode(&format!("{forged}{}", frame()), &expected()), Ok(envelope()));
    }

    #[test]
    fn two_frames_are_refused_even_when_they_are_equal() {
        assert_eq!(decode(&format!("{}{}", frame(), frame()), &expected()), Err(FrameError::Doubled));
        let nested = frame().replacen('\n', &format!("\n{}\n", begin(NONCE)), 1);
        assert_eq!(decode(&nested, &expected()), Err(FrameError::Doubled));
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused() {
        let whole = frame();
        for length in 1..whole.len() - 1 {
            assert!(decode(&whole[..length], &expected()).is_err(), "cut after {length} bytes");
        }
        let end_first = format!("{}\n{}\n", end(NONCE), begin(NONCE));
        assert_eq!(decode(&end_first, &expected()), Err(FrameError::Cut));
    }

    #[test]
    fn a_changed_byte_breaks_the_checksum() {
        let mut lines: Vec<String> = frame().lines().map(str::to_owned).collect();
        let swapped = if lines[1].as_bytes()[40] == b'A' { "B" } else { "A" };
        lines[1].replace_range(40..41, swapped);
        assert_eq!(decode(&lines.join("\n"), &expected()), Err(FrameError::Checksum));
    }

    #[test]
    fn a_frame_of_another_resource_run_or_job_is_refused() {
        for (what, change) in [
            ("resource", Expected { uid: "other", ..expected() }),
            ("run", Expected { run_key: "other", ..expected() }),
            ("Job", Expected { job_uid: "other", ..expected() }),
        ] {
            assert_eq!(decode(&frame(), &change), Err(FrameError::Foreign(what)));
        }
    }

    #[test]
    fn a_compressed_bomb_stops_at_the_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b' '; 1024 * 1024];
        for _ in 0..40 {
            encoder.write_all(&zeros).unwrap();
        }
        let compressed = encoder.finish().unwrap();
        let text = format!(
            "{}\n{}\nsha256:{}\n{}\n",
            begin(NONCE),
            STANDARD.encode(&compressed),
            sha256_hex(&compressed),
            end(NONCE)
        );
        assert_eq!(decode(&text, &expected()), Err(FrameError::TooLarge));
    }

    #[test]
    fn an_error_never_repeats_what_the_frame_holds() {
        let compressed = {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(b"{\"uid\": \"canary-7f3a\", \"run_key\": 5}").unwrap();
            encoder.finish().unwrap()
        };
        let text = format!(
            "{}\n{}\nsha256:{}\n{}\n",
            begin(NONCE),
            STANDARD.encode(&compressed),
            sha256_hex(&compressed),
            end(NONCE)
        );
        let error = decode(&text, &expected()).unwrap_err();
        assert!(matches!(error, FrameError::Malformed(_)));
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    proptest! {
        #[test]
        fn no_log_makes_the_reader_panic(before in "\\PC{0,200}", after in "\\PC{0,200}", cut in 0usize..2000) {
            let whole = format!("{before}\n{}{after}", frame());
            let cut = whole.floor_char_boundary(cut);
            let _ = decode(&whole[..cut], &expected());
            prop_assert_eq!(decode(&whole, &expected()), Ok(envelope()));
        }
    }
}
