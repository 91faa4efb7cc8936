//! Memory under the largest answers that are read. A file, hence a process, of its own: the measure is the process'.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::io::Write as _;
use std::net::TcpStream;

use support::http::{Received, Server, json};
use support::{request, run, source};

/// Least memory limit of a Job that the chart sets, less what the rest of the process takes.
const LIMIT_KIB: u64 = 160 * 1024;

/// The most memory that this process has had, in KiB (`proc_pid_status(5)`).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_largest_answers_fit_into_a_jobs_memory() {
    let server = Server::start(|request: &Received, stream: &mut TcpStream| {
        let (kind, one) = if request.target.starts_with("/api/v1/query_range") {
            ("matrix", r#"{"metric":{"a":"1"},"values":[[1,"1"]]}"#)
        } else {
            ("vector", r#"{"metric":{"a":"1"},"value":[1,"1"]}"#)
        };
        let count = (8 * 1024 * 1024 - 200) / (one.len() + 1);
        let series = vec![one; count].join(",");
        let body = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{series}]}}}}"#);
        let _ = stream.write_all(&json(&body));
    });
    let before = peak_kib();
    let record = run(&request(&server.url())).await;
    assert!(source(&record).cost.unwrap().bytes.unwrap() > 50 * 1024 * 1024, "{:?}", source(&record));
    let used = peak_kib() - before;
    // The server of this test holds a few copies of its answer as well.
    assert!(used < LIMIT_KIB, "{} MiB", used / 1024);
}
