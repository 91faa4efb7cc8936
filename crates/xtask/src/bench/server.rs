//! A server of a benchmark: a process on loopback with a folder of its own, gone with it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The account of servers that refuse to run as root.
const NOBODY: u32 = 65_534;
/// Longest until a server listens, and until it serves.
pub(super) const START: Duration = Duration::from_secs(60);

/// A folder that is removed when it is dropped.
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

impl Folder {
    /// Makes a new one, where the account of the servers may write.
    pub(super) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("plimsoll-bench-{name}-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        let folder = Self { path };
        if is_root() {
            chown(&folder.path, Some(NOBODY), Some(NOBODY))
                .context("give the folder to the servers' account")?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A running process; it is ended when it is dropped.
pub(super) struct Running {
    child: Child,
    pub(super) port: u16,
}

impl Running {
    /// Starts a server that will listen on `port`, and waits until it does.
    pub(super) fn start(mut command: Command, folder: &Folder, port: u16) -> Result<Self> {
        let log = folder.path.join("log");
        let file = fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
        let child = as_account(&mut command, folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let mut running = Self { child, port };
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let is_over = running.child.try_wait()?.is_some() || Instant::now() > deadline;
            ensure!(!is_over, "the server did not start: {}", fs::read_to_string(&log).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Running {
    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fast shutdown of PostgreSQL, the end of the others; its children would outlive a SIGKILL for a while.
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Runs a command in the folder as the servers' account.
pub(super) fn as_account<'a>(command: &'a mut Command, folder: &Folder) -> &'a mut Command {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(&folder.path)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A port of loopback that nobody has.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("find a free port")?
        .port())
}

/// The program beside another one, for example `redis-cli` beside `redis-server`.
pub(super) fn beside(program: &Path, name: &str) -> Result<PathBuf> {
    let path = program.with_file_name(name);
    ensure!(path.is_file(), "{} is not there; it comes with the server's client programs", path.display());
    Ok(path)
}
