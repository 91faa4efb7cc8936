//! Real Prometheus servers on loopback with temporary storage.
//!
//! Binaries: `PLIMSOLL_PROMETHEUS_2` and `PLIMSOLL_PROMETHEUS_3`, else Debian's `/usr/bin/prometheus` and what the
//! test cluster built under `~/.cache/plimsoll/bin`. One that is missing skips its tests loudly; with `CI=true` it
//! fails them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use super::remote_write::{Series, encode};

/// Longest that a server may take until it is ready.
const START: Duration = Duration::from_secs(60);

/// A running server. It ends, and its storage is removed, when it is dropped or the test process ends, however that does.
pub struct Prometheus {
    url: String,
    /// A shell that ends the server at the end of its own input, which only we hold.
    child: Child,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Which major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V3,
}

impl Version {
    fn binary(self) -> Option<PathBuf> {
        let (variable, usual) = match self {
            Self::V2 => ("PLIMSOLL_PROMETHEUS_2", Some(PathBuf::from("/usr/bin/prometheus"))),
            Self::V3 => ("PLIMSOLL_PROMETHEUS_3", built()),
        };
        std::env::var_os(variable).map(PathBuf::from).or(usual).filter(|path| path.is_file())
    }
}

fn built() -> Option<PathBuf> {
    let bin = PathBuf::from(std::env::var_os("HOME")?).join(".cache/plimsoll/bin");
    let mut found: Vec<PathBuf> = std::fs::read_dir(bin)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("prometheus-")))
        .map(|path| path.join("prometheus"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// The server of a version with the data of [`super::data::world`], started once a process; `None` skips the test.
pub fn loaded(version: Version) -> Option<&'static Prometheus> {
    static V2: OnceLock<Option<Prometheus>> = OnceLock::new();
    static V3: OnceLock<Option<Prometheus>> = OnceLock::new();
    let cell = match version {
        Version::V2 => &V2,
        Version::V3 => &V3,
    };
    cell.get_or_init(|| {
        let server = start(version, &[])?;
        server.write(&super::data::world().series);
        Some(server)
    })
    .as_ref()
}

/// Starts a server without data, with further flags.
pub fn start(version: Version, flags: &[&str]) -> Option<Prometheus> {
    let Some(binary) = version.binary() else {
        let why = format!("no Prometheus {version:?} was found; see crates/collect/tests/support/real.rs");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        eprintln!("SKIPPED: {why}");
        return None;
    };
    let folder = tempfile::tempdir().unwrap().keep();
    Some(spawn(&binary, &folder, flags))
}

/// Starts a server that wants TLS and the user `admin` with the password `test`; its certificate and key in PEM.
pub fn start_secured(version: Version, certificate: &str, key: &str) -> Option<Prometheus> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.path().join("tls.key"), key).unwrap();
    // The example of Prometheus' own guide to basic authentication.
    let web = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n\
               basic_auth_users:\n  admin: $2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay\n";
    let config = folder.path().join("web.yml");
    std::fs::write(&config, web).unwrap();
    let server = start(version, &[&format!("--web.config.file={}", config.display())]);
    // The files are read again for each connection.
    let _ = folder.keep();
    server
}

fn spawn(binary: &Path, folder: &Path, flags: &[&str]) -> Prometheus {
    let config = folder.join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    // The shell outlives neither the test nor the server: it waits for the end of its input, which is ours to hold.
    let script = r#"folder=$1; shift; "$@" </dev/null & server=$!; cat >/dev/null; kill $server; wait $server; rm -rf "$folder""#;
    let child = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(folder)
        .arg(binary)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .args(["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"])
        .args(["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Prometheus { url: String::new(), child };
    let log = server.child.stderr.take().unwrap();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // Read to the end: a full pipe would stop the server.
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let (mut address, mut is_ready, mut seen) = (None, false, Vec::new());
    let deadline = std::time::Instant::now() + START;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
        if line.contains("Listening on") {
            let found = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            address = found.map(|text| text.trim_matches('"').to_owned());
        }
        is_ready |= line.contains("Server is ready to receive web requests");
        if let Some(address) = address.as_ref().filter(|_| is_ready) {
            server.url = format!("http://{address}");
            return server;
        }
        seen.push(line);
    }
    panic!("Prometheus did not start:\n{}", seen.join("\n"));
}

impl Prometheus {
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Writes series in the order of time, as Prometheus wants them.
    pub fn write(&self, series: &[Series]) {
        const HOUR: i64 = 3_600_000;
        let times = series.iter().flat_map(|one| {
            one.points.iter().map(|point| point.0).chain(one.histograms.iter().map(|point| point.0))
        });
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return };
        let mut cursors = vec![(0, 0); series.len()];
        let mut start = first;
        while start <= last {
            let mut batch = Vec::new();
            for (one, (point, histogram)) in series.iter().zip(&mut cursors) {
                let points = one.points[*point..].partition_point(|sample| sample.0 < start + HOUR);
                let natives = one.histograms[*histogram..].partition_point(|sample| sample.0 < start + HOUR);
                if points + natives > 0 {
                    batch.push(Series {
                        labels: one.labels.clone(),
                        points: one.points[*point..*point + points].to_vec(),
                        histograms: one.histograms[*histogram..*histogram + natives].to_vec(),
                    });
                    *point += points;
                    *histogram += natives;
                }
            }
            if !batch.is_empty() {
                let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                               X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
                let (status, body) = self.exchange("POST /api/v1/write", headers, &encode(&batch));
                assert!(status == 204 || status == 200, "{status}: {body}");
            }
            start += HOUR;
        }
    }

    /// Asks for the value of a query at a time in seconds; the parsed answer.
    pub fn query(&self, query: &str, time: &str) -> serde_json::Value {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.query_pairs_mut().append_pair("query", query).append_pair("time", time);
        let (status, body) = self.exchange(&format!("GET /api/v1/query?{}", url.query().unwrap()), "", b"");
        assert_eq!(status, 200, "{query}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The number that a query gives at a time in seconds.
    pub fn number(&self, query: &str, time: &str) -> f64 {
        let answer = self.query(query, time);
        let value = &answer["data"]["result"][0]["value"][1];
        value.as_str().unwrap_or_else(|| panic!("{query}: {answer}")).parse().unwrap()
    }

    /// One request by HTTP/1.0, whose answer ends with the connection.
    pub fn exchange(&self, request: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        let head = format!("{request} HTTP/1.0\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}
