//! Building what is missing, one program at a time, into the cache.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use crate::command::run;
use crate::error::{ClusterError, IoContext};
use crate::lock::{build_lock, build_lock_is_taken};
use crate::paths::cache_folder;
use crate::tools::{BUILD_ENVIRONMENT, Module, Source, Tool};

/// The path of a program; built first where it is one of Go's and missing, with progress on `out`.
///
/// # Errors
/// Go is missing, the build failed, or Debian's package of the program is not installed.
pub fn tool(tool: Tool, out: &mut dyn Write) -> Result<PathBuf, ClusterError> {
    ensure(&[tool], out)?;
    path_of(tool)
}

/// Builds those of `tools` that are missing.
pub(crate) fn ensure(tools: &[Tool], out: &mut dyn Write) -> Result<(), ClusterError> {
    if missing(tools).is_empty() {
        return Ok(());
    }
    if build_lock_is_taken() {
        say(out, "waiting for another build on this machine to end")?;
    }
    let _lock = build_lock()?;
    // What a cut build left: nobody else builds while this holds the lock.
    let _ = fs::remove_dir_all(cache_folder().join("tmp"));
    // Whoever held the lock may have built them.
    let missing = missing(tools);
    for (index, tool) in missing.iter().enumerate() {
        let Source::Go { module, package, minutes } = tool.source() else { continue };
        let progress = format!("[{}/{}] {} {}", index + 1, missing.len(), tool.binary(), tool.version());
        say(out, &format!("{progress}: building (about {minutes} min on 2 cores with cold caches)"))?;
        let begin = Instant::now();
        build(module, package, tool.binary())?;
        say(out, &format!("{progress}: built in {} s", begin.elapsed().as_secs()))?;
    }
    Ok(())
}

/// Those of `tools` that are Go programs without a binary in the cache.
pub(crate) fn missing(tools: &[Tool]) -> Vec<Tool> {
    let is_missing = |tool: &Tool| matches!(tool.source(), Source::Go { .. }) && path_of(*tool).is_err();
    tools.iter().copied().filter(is_missing).collect()
}

/// Where the program is, without building it.
pub(crate) fn path_of(tool: Tool) -> Result<PathBuf, ClusterError> {
    match tool.source() {
        Source::Go { module, .. } => {
            let path = cache_folder().join("bin").join(module.folder()).join(tool.binary());
            if path.is_file() {
                return Ok(path);
            }
            Err(ClusterError::Missing {
                what: format!("{} {} is not built", tool.binary(), tool.version()),
                remedy: "run `cargo xtask cluster up`".into(),
            })
        }
        Source::Debian { package } => find_program(tool.binary()).ok_or_else(|| ClusterError::Missing {
            what: format!("{} is not installed", tool.binary()),
            remedy: format!(
                "run `cargo xtask cluster up`, or `apt-get install --no-install-recommends {package}`"
            ),
        }),
    }
}

/// Builds one binary into a temporary folder and renames it, so that a cut build never looks done.
fn build(module: &Module, package: &str, binary: &str) -> Result<(), ClusterError> {
    let go = find_go()?;
    let target = cache_folder().join("bin").join(module.folder());
    let temporary = cache_folder().join("tmp");
    for folder in [&target, &temporary] {
        fs::create_dir_all(folder).during(|| format!("making the folder {}", folder.display()))?;
    }
    let work =
        tempfile::tempdir_in(&temporary).during(|| format!("making a folder in {}", temporary.display()))?;
    for (name, content) in [("go.mod", module.go_mod), ("go.sum", module.go_sum)] {
        let path = work.path().join(name);
        fs::write(&path, content).during(|| format!("writing {}", path.display()))?;
    }
    let built = work.path().join(binary);
    let (name, value) = BUILD_ENVIRONMENT;
    let mut command = Command::new("nice");
    command
        .args(["-n", "5"])
        .arg(&go)
        .args(["build", "-p", "2"])
        .args(module.flags())
        .arg("-o")
        .arg(&built)
        .arg(package)
        .current_dir(work.path())
        .env(name, value)
        // Flags from outside would change what the key stands for.
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local");
    run(&mut command)?;
    let path = target.join(binary);
    fs::rename(&built, &path).during(|| format!("renaming {} to {}", built.display(), path.display()))
}

/// Go from PATH or its usual places.
pub(crate) fn find_go() -> Result<PathBuf, ClusterError> {
    let mut places = Vec::new();
    places.extend(find_program("go"));
    places.push("/usr/local/go/bin/go".into());
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("go-")));
    versions.sort();
    places.extend(versions.into_iter().rev().map(|folder| folder.join("bin/go")));
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| ClusterError::Missing {
        what: "Go is not installed (looked in PATH, /usr/local/go/bin and /usr/lib/go-*/bin)".into(),
        remedy: "install Go 1.26.4 or newer from https://go.dev/dl (Debian 12's golang-go is too old)".into(),
    })
}

/// A program in PATH or in the folders that PATH lacks for ordinary users.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(usual)
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Writes one line of progress.
pub(crate) fn say(out: &mut dyn Write, text: &str) -> Result<(), ClusterError> {
    writeln!(out, "{text}").and_then(|()| out.flush()).during(|| "writing progress".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_a_missing_one_is_not() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-of-plimsoll"), None);
    }
}
