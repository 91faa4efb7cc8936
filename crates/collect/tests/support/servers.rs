//! Real databases and caches on loopback, each in a temporary folder of its own: where their programs are, and processes
//! that end with the test however it ends.
//!
//! `cargo xtask test` names each program in the environment; `cargo run -p plimsoll-cluster -- servers` fetches them and
//! prints the same lines for a shell. Without them Debian's places serve. What is missing skips its tests loudly; with
//! `CI=true` it fails them.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The account of servers that refuse to run as root: nobody's.
const NOBODY: u32 = 65_534;

/// A server by the variable that names its program, else at its usual place; `None` skips the test.
pub fn program(variable: &str, usual: Option<&str>) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).or(usual.map(PathBuf::from));
    if let Some(path) = named.filter(|path| path.exists()) {
        return Some(path);
    }
    let why = format!("{variable} names no server; see crates/collect/tests/support/servers.rs");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("SKIPPED: {why}");
    None
}

/// A running server. It ends, and its folder is removed, when this is dropped or the test process ends.
pub struct Process {
    /// A shell that ends the server at the end of its own input, which only we hold.
    child: Child,
    folder: PathBuf,
}

impl Process {
    /// Starts a program whose files are in `folder`; `signal` ends it. Its output goes to `folder/log`.
    pub fn start(folder: &Path, signal: &str, command: &[OsString]) -> Self {
        let script = r#"folder=$1; signal=$2; shift 2
            "$@" </dev/null >"$folder/log" 2>&1 & server=$!
            echo $server >"$folder/pid"
            cat >/dev/null; kill -s "$signal" $server 2>/dev/null; wait $server; rm -rf "$folder""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(folder).arg(signal).args(command);
        as_nobody(&mut shell, folder);
        let child = shell.stdin(Stdio::piped()).spawn().unwrap();
        Self { child, folder: folder.to_owned() }
    }

    /// What the server printed so far.
    pub fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Process id of the server.
    pub fn id(&self) -> u32 {
        let file = self.folder.join("pid");
        let read = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
        wait_until("the server's process id", Duration::from_secs(10), || read().is_some());
        read().unwrap_or_default()
    }

    /// Whether the server ended by itself.
    pub fn has_ended(&self) -> bool {
        // The shell, its parent, does not ask for its end before ours.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs a program of a server to its end, as the account that the server will have.
pub fn run_to_end(folder: &Path, program: &Path, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    as_nobody(&mut command, folder);
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", program.display());
}

fn as_nobody(command: &mut Command, folder: &Path) {
    if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY).gid(NOBODY);
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    command.current_dir(folder);
}

/// A folder for one server; [`Process`] removes it.
pub fn folder() -> PathBuf {
    tempfile::Builder::new().prefix("plimsoll-").tempdir().unwrap().keep()
}

/// A port of loopback that was free just now. Somebody else may take it: callers try again with another.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until something is so.
pub fn wait_until(what: &str, most: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + most;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", most.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}
