//! The binary: signals, exit codes, and the CPU that requests cost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{DEADLINE, ask, total};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_workload::traffic::Report;

/// A process that is killed at the end of its test, however that ends.
struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll-workload"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// A service on a free port, and its address.
    fn serve(arguments: &[&str]) -> (Self, SocketAddr) {
        let mut process = Self::start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let mut line = String::new();
        process.log.read_line(&mut line).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = line["fields"]["address"].as_str().unwrap().parse().unwrap();
        (process, address)
    }

    fn terminate(&self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "the process does not end");
            std::thread::yield_now();
        }
    }

    fn output(&mut self) -> (String, String) {
        let (mut out, mut log) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.log.read_to_string(&mut log).unwrap();
        (out, log)
    }

    /// CPU time in clock ticks: fields 14 and 15 of /proc/PID/stat, proc_pid_stat(5).
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_refuses_readiness_first_and_finishes_what_is_under_way() {
    let (mut process, address) =
        Process::serve(&["--role", "odoo", "--workers", "1", "--work-rounds", "1000", "--drain-delay", "2s"]);
    let asking: Vec<_> =
        (0..40).map(|_| tokio::spawn(async move { ask(address, "GET", "/my/orders", "").await.0 })).collect();
    // One worker takes at least 5.5 ms of queries for each, so most are under way when the first is answered.
    let first = async {
        while total(address, "http_requests_total", "").await < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, first).await.unwrap();
    process.terminate();
    let unready = async {
        while ask(address, "GET", "/readyz", "").await.0 != 503 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, unready).await.unwrap();
    assert_eq!(ask(address, "GET", "/livez", "").await.0, 200, "unready is not dead");
    for answer in asking {
        let status = answer.await.unwrap();
        assert!(status == 200 || status == 500, "{status}");
    }
    assert!(process.end().success());
    let (_, log) = process.output();
    let stopped: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(stopped["fields"]["requests"], 40, "{log}");
}

#[test]
fn a_stop_without_requests_ends_at_once() {
    let (mut process, _) = Process::serve(&["--role", "api", "--drain-delay", "0s"]);
    process.terminate();
    assert!(process.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_cost_cpu_that_grows_with_their_work() {
    let (light, light_address) = Process::serve(&["--role", "odoo", "--work-rounds", "0"]);
    let (heavy, heavy_address) = Process::serve(&["--role", "odoo", "--work-rounds", "3000000"]);
    let mut ticks = Vec::new();
    for (process, address) in [(&light, light_address), (&heavy, heavy_address)] {
        let before = process.cpu_ticks();
        for _ in 0..20 {
            assert_eq!(ask(address, "GET", "/web/health", "").await.0, 200);
        }
        let half = process.cpu_ticks() - before;
        for _ in 0..20 {
            assert_eq!(ask(address, "GET", "/web/health", "").await.0, 200);
        }
        ticks.push((half, process.cpu_ticks() - before));
    }
    let [(_, light), (heavy_half, heavy)] = ticks[..] else { panic!("two services") };
    assert!(heavy > light, "{ticks:?}");
    assert!(heavy > heavy_half && heavy_half > 0, "{ticks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_stops_on_sigterm_and_prints_one_json_object() {
    let (_service, address) = Process::serve(&["--role", "api", "--work-rounds", "10"]);
    let target = format!("http://{address}");
    let mut traffic = Process::start(&["traffic", "--target", &target, "--rate", "100", "--mix", "api"]);
    let busy = async {
        while total(address, "api_requests_total", "").await < 20.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, busy).await.unwrap();
    traffic.terminate();
    assert!(traffic.end().success());
    let (out, _) = traffic.output();
    let report: Report = serde_json::from_str(&out).unwrap();
    assert!(report.completed >= 20 && report.planned == report.completed, "{report:?}");
    assert_eq!(total(address, "api_requests_total", "").await, report.sent as f64);
}

#[test]
fn bad_arguments_end_with_2_and_say_what_to_do() {
    for (arguments, expected) in [
        (vec!["traffic", "--target", "http://example.com/", "--rate", "1"], "NAME.NAMESPACE.svc"),
        (vec!["traffic", "--target", "https://odoo/", "--rate", "1"], "http://"),
        (vec!["traffic", "--target", "http://localhost:1/", "--rate", "100000"], "at most 1000"),
        (vec!["traffic", "--target", "http://localhost:1/", "--rate", "1", "--path", "web"], "not a path"),
        (vec!["serve", "--role", "database"], "odoo"),
    ] {
        let begun = Instant::now();
        let mut process = Process::start(&arguments);
        assert_eq!(process.end().code(), Some(2), "{arguments:?}");
        let (out, log) = process.output();
        assert!(log.contains(expected) && out.is_empty(), "{arguments:?}: {log}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
