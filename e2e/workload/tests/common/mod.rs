//! What the tests of the running service share.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod servers;

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_workload::routes::Role;
use plimsoll_workload::server::{Config, ServeError, Server, Summary};
use plimsoll_workload::traffic::{self, Plan, Report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest that anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A service on a free port of this machine.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Summary, ServeError>>,
}

/// What a service is started with: little work, no waiting at the end.
pub(crate) fn config(role: Role) -> Config {
    Config {
        role,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        seed: 1,
        work_rounds: 10,
        workers: 8,
        drain_delay: Duration::ZERO,
        drain_timeout: DEADLINE,
        data: None,
    }
}

impl Service {
    pub(crate) async fn start(config: Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    /// Asks it to stop, and gives its end.
    pub(crate) fn stop(self) -> JoinHandle<Result<Summary, ServeError>> {
        let _ = self.stop.send(());
        self.task
    }

    /// A plan of a bounded number of requests against it.
    pub(crate) fn plan(&self, requests: u64, paths: Vec<(String, u32)>) -> Plan {
        let rate = 500.0;
        Plan {
            target: format!("http://{}/", self.address).parse().unwrap(),
            rate,
            duration: Some(Duration::from_secs_f64(requests as f64 / rate)),
            paths,
            seed: 1,
            timeout: DEADLINE,
            drain: DEADLINE,
            max_in_flight: 10_000,
            connection_max_age: DEADLINE,
            beacon: None,
        }
    }

    pub(crate) async fn send(&self, requests: u64, paths: Vec<(String, u32)>) -> Report {
        run(self.plan(requests, paths)).await
    }
}

/// Follows a plan to its end.
pub(crate) async fn run(plan: Plan) -> Report {
    let ending = traffic::run(plan, std::future::pending());
    tokio::time::timeout(DEADLINE, ending).await.unwrap().unwrap()
}

/// Sends one request on a connection of its own and gives status and body.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

/// Samples of a metric: labels and value.
pub(crate) async fn samples(address: SocketAddr, name: &str) -> Vec<(String, f64)> {
    let (status, text) = ask(address, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    text.lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            (labels.is_empty() || labels.starts_with('{'))
                .then(|| (labels.to_owned(), value.parse().unwrap()))
        })
        .collect()
}

/// Sum of the samples of a metric whose labels hold `part`.
pub(crate) async fn total(address: SocketAddr, name: &str, part: &str) -> f64 {
    samples(address, name)
        .await
        .iter()
        .filter(|(labels, _)| labels.contains(part))
        .map(|(_, value)| value)
        .sum()
}
