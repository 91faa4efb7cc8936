//! Real Prometheus servers of a story's own, on the bridge, and direct questions to any.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use crate::environment::Environment;
use crate::gate::{BRIDGE, http_client};

/// Longest that a server may take until it is ready.
const START: Duration = Duration::from_secs(60);

/// A server; it ends, and its folder is removed, when it is dropped or this process ends, however that does.
pub struct Prometheus {
    address: SocketAddr,
    /// A shell that ends the server at the end of its own input, which only we hold.
    child: Child,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts a server in a folder that holds `prometheus.yml`, perhaps `web.yml`, and perhaps blocks under `data`. The
    /// folder is its own from now on.
    ///
    /// # Errors
    /// It did not start; with its log.
    pub async fn start(folder: tempfile::TempDir) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::spawn(&folder.keep())).await?
    }

    fn spawn(folder: &Path) -> Result<Self> {
        // The shell outlives neither this process nor the server: it waits for the end of its input, which is ours.
        let script = r#"folder=$1; shift; "$@" </dev/null & server=$!; cat >/dev/null; kill $server; wait $server; rm -rf "$folder""#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh"])
            .arg(folder)
            .arg(&Environment::get()?.prometheus_binary)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address={BRIDGE}:0"));
        if folder.join("web.yml").exists() {
            command.arg(format!("--web.config.file={}", folder.join("web.yml").display()));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start Prometheus")?;
        let log = child.stderr.take().context("its log")?;
        let mut server = Self { address: SocketAddr::from((BRIDGE, 0)), child };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end: a full pipe would stop the server.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + START;
        let mut seen = Vec::new();
        let mut ready = false;
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.contains("Listening on") {
                let found = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
                server.address = found.context("an address")?.trim_matches('"').parse()?;
            }
            ready |= line.contains("Server is ready to receive web requests");
            // The two lines come in either order.
            if ready && server.address.port() != 0 {
                return Ok(server);
            }
            seen.push(line);
        }
        bail!("Prometheus did not start:\n{}", seen.join("\n"))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL without TLS, as pods reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The raw answer of a query at an instant.
///
/// # Errors
/// The server did not answer with success.
pub async fn ask(url: &str, query: &str, at: Timestamp) -> Result<Value> {
    let millis = at.as_millisecond();
    let time = format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000));
    let answer =
        http_client()?.get(format!("{url}/api/v1/query?query={}&time={time}", encoded(query))).send().await?;
    let text = answer.text().await?;
    let answer: Value = serde_json::from_str(&text).with_context(|| format!("{query} gave {text}"))?;
    ensure!(answer["status"] == "success", "{query} gave {answer}");
    Ok(answer)
}

/// The one number that a query gives at an instant.
///
/// # Errors
/// It gives none, or more than one.
pub async fn number(url: &str, query: &str, at: Timestamp) -> Result<f64> {
    let answer = ask(url, query, at).await?;
    let result = answer["data"]["result"].as_array().context("a vector")?;
    ensure!(result.len() == 1, "{query} gave {answer}");
    Ok(result[0]["value"][1].as_str().context("a number")?.parse()?)
}

/// The numbers that a query gives at an instant, by a label.
///
/// # Errors
/// The server did not answer with a vector.
pub async fn by_label(url: &str, query: &str, label: &str, at: Timestamp) -> Result<Vec<(String, f64)>> {
    let answer = ask(url, query, at).await?;
    let result = answer["data"]["result"].as_array().context("a vector")?;
    let pairs = result.iter().map(|series| {
        let name = series["metric"][label].as_str().unwrap_or_default().to_owned();
        let value = series["value"][1].as_str().context("a number")?.parse()?;
        Ok((name, value))
    });
    pairs.collect()
}

/// A query in a URL: every byte by its number.
fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
