//! Processes that outlive the command that starts them, known by their id and by when they started.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::command::tail_of;
use crate::error::{ClusterError, IoContext};
use crate::paths::write_file;

/// How often a condition is looked at while it is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How much of a log an error quotes, in bytes.
const QUOTED_LOG: usize = 3000;

/// A started process as its pid file remembers it.
///
/// A process id is given again after its process ended, and after a restart of the machine: only together with the
/// start time and the boot is it the same process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine's boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
    start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id` at that time.
    boot: String,
    /// Names the command line and configuration it was started with.
    pub(crate) spec: String,
}

impl Started {
    /// The process `pid` as it is now; `None` where it has ended.
    pub(crate) fn of(pid: u32, spec: &str) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let start_ticks = alive_since(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        Some(Self { pid, start_ticks, boot: boot(), spec: spec.to_owned() })
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.boot == boot()
            && fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok().as_deref().and_then(alive_since)
                == Some(self.start_ticks)
    }

    /// Asks it to end, waits up to `patience`, then ends it; returns when it is gone. Touches no other process.
    pub(crate) fn stop(&self, patience: Duration) {
        for (signal, wait) in [(Signal::SIGTERM, patience), (Signal::SIGKILL, Duration::from_secs(10))] {
            if !self.is_alive() {
                return;
            }
            // It may end between the look and the signal: that is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
            let deadline = Instant::now() + wait;
            while self.is_alive() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The start time in the text of `/proc/PID/stat`; `None` for a process that has ended and was not yet waited for.
fn alive_since(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may hold spaces and parentheses itself.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // `state` was field 3; field 22 is 19 fields on.
    fields.nth(18)?.parse().ok()
}

/// A process id file.
#[derive(Debug, Clone)]
pub(crate) struct PidFile(pub(crate) PathBuf);

impl PidFile {
    /// The process it names, if that still runs.
    pub(crate) fn running(&self) -> Option<Started> {
        let started: Started = serde_json::from_slice(&fs::read(&self.0).ok()?).ok()?;
        started.is_alive().then_some(started)
    }

    fn write(&self, started: &Started) -> Result<(), ClusterError> {
        let text = serde_json::to_vec(started).expect("plain data");
        write_file(&self.0, &text)
    }

    /// Stops the process it names, if that still runs, and removes the file.
    pub(crate) fn stop(&self, patience: Duration) {
        if let Some(started) = self.running() {
            started.stop(patience);
        }
        let _ = fs::remove_file(&self.0);
    }
}

/// Starts `command` in a session of its own (a signal or the end of this terminal does not reach it), with its output
/// appended to `log`, and writes its pid file.
pub(crate) fn start_detached(
    command: &Command,
    log: &Path,
    pid_file: &PidFile,
    spec: &str,
) -> Result<Started, ClusterError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .during(|| format!("opening the log {}", log.display()))?;
    let again = file.try_clone().during(|| format!("opening the log {}", log.display()))?;
    let line = crate::command::line(command);
    // setsid(1) becomes the command it is given, so the process id is the command's own.
    let mut detached = Command::new("setsid");
    detached.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => detached.env(name, value),
            None => detached.env_remove(name),
        };
    }
    detached.stdin(Stdio::null()).stdout(file).stderr(again).current_dir("/");
    let child = detached.spawn().during(|| format!("starting `{line}`"))?;
    let Some(started) = Started::of(child.id(), spec) else {
        return Err(ClusterError::Command {
            command: line,
            status: "ended at once".into(),
            output: log_tail(log),
        });
    };
    pid_file.write(&started)?;
    Ok(started)
}

/// The last lines of a log.
pub(crate) fn log_tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(QUOTED_LOG * 2);
    tail_of(&String::from_utf8_lossy(&bytes[from..]), QUOTED_LOG).to_owned()
}

/// What is waited for, and what to say if it does not come.
pub(crate) struct Wait<'a> {
    /// For the error: "the API server is not ready".
    pub(crate) what: &'a str,
    pub(crate) deadline: Duration,
    pub(crate) log: &'a Path,
    /// The process that must live meanwhile.
    pub(crate) process: Option<&'a Started>,
    pub(crate) remedy: &'a str,
}

/// Looks at `condition` until it holds. Ends early where the process has ended.
///
/// # Errors
/// [`ClusterError::NotReady`] with the end of the log.
pub(crate) fn wait_for(wait: &Wait<'_>, mut condition: impl FnMut() -> bool) -> Result<(), ClusterError> {
    let begin = Instant::now();
    loop {
        let ended = wait.process.is_some_and(|process| !process.is_alive());
        if !ended && condition() {
            return Ok(());
        }
        if ended || begin.elapsed() > wait.deadline {
            let what = if ended { format!("{}: its process ended", wait.what) } else { wait.what.to_owned() };
            return Err(ClusterError::NotReady {
                what,
                seconds: begin.elapsed().as_secs(),
                log: wait.log.to_owned(),
                log_tail: log_tail(wait.log),
                remedy: wait.remedy.to_owned(),
            });
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_read_behind_a_command_with_parentheses_and_a_zombie_is_not_alive() {
        let stat = |state: &str| {
            format!("12 (a) b (c)) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 19 20")
        };
        assert_eq!(alive_since(&stat("S")), Some(777));
        assert_eq!(alive_since(&stat("Z")), None);
        assert_eq!(alive_since("nonsense"), None);
    }

    #[test]
    fn a_pid_file_of_a_reused_id_or_another_boot_names_nothing_and_nothing_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = PidFile(folder.path().join("x.pid"));
        let mine = Started::of(std::process::id(), "spec").unwrap();
        file.write(&mine).unwrap();
        assert_eq!(file.running(), Some(mine.clone()));
        let reused = Started { start_ticks: mine.start_ticks + 1, ..mine.clone() };
        let older = Started { boot: "another".into(), ..mine };
        for stale in [reused, older] {
            file.write(&stale).unwrap();
            assert_eq!(file.running(), None);
            // Would end this test if it killed by the number alone.
            file.stop(Duration::from_millis(100));
            assert!(!file.0.exists());
        }
    }

    #[test]
    fn a_detached_process_is_found_by_its_pid_file_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = PidFile(folder.path().join("x.pid"));
        let log = folder.path().join("x.log");
        let started = start_detached(Command::new("sleep").arg("600"), &log, &file, "one").unwrap();
        assert_eq!(file.running(), Some(started.clone()));
        file.stop(Duration::from_secs(5));
        assert!(!started.is_alive());
    }

    #[test]
    fn a_process_that_ends_early_ends_the_wait_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = PidFile(folder.path().join("x.pid"));
        let log = folder.path().join("x.log");
        let script = ["-c", "read line < \"$0\"; echo my last words; exit 1"];
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let started = start_detached(Command::new("sh").args(script).arg(&fifo), &log, &file, "one").unwrap();
        fs::write(&fifo, "go\n").unwrap();
        let wait = Wait {
            what: "it is not ready",
            deadline: Duration::from_secs(60),
            log: &log,
            process: Some(&started),
            remedy: "Look.",
        };
        let error = wait_for(&wait, || false).unwrap_err().to_string();
        assert!(error.contains("its process ended") && error.contains("my last words"), "{error}");
    }
}
