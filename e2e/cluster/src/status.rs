//! What runs.

use std::io::Write;

use crate::build::{path_of, say};
use crate::components;
use crate::error::ClusterError;
use crate::paths::State;
use crate::process::PidFile;

/// Writes one line a component: running with its process id, stopped, or missing; its version and its log. Returns
/// whether all of them run.
///
/// # Errors
/// `out` cannot be written.
pub fn status(out: &mut dyn Write) -> Result<bool, ClusterError> {
    let state = State::of_this_machine();
    let mut all_run = true;
    say(out, &format!("{:<25} {:<8} {:>7}  {:<9} LOG", "COMPONENT", "STATE", "PID", "VERSION"))?;
    for (name, tool) in components::names() {
        let running = PidFile(state.pid_file(name)).running();
        let (word, pid) = match &running {
            Some(started) => ("running", started.pid.to_string()),
            None if path_of(tool).is_ok() => ("stopped", "-".into()),
            None => ("missing", "-".into()),
        };
        all_run &= running.is_some();
        let log = state.log(name);
        say(out, &format!("{name:<25} {word:<8} {pid:>7}  {:<9} {}", tool.version(), log.display()))?;
    }
    if all_run {
        say(out, &format!("export KUBECONFIG={}", state.kubeconfig().display()))?;
    }
    Ok(all_run)
}
