//! `cargo deny`: banned crates, licences and sources, by one pinned version of the tool.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process::{cargo, root, run, show};

/// The tool's version: what it finds changes with it.
const VERSION: &str = "0.20.2";
/// Asks for the advisories too, which need the network.
const ADVISORIES: &str = "PLIMSOLL_ADVISORIES";
/// How long the advisories may take to be fetched.
const FETCH_WITHIN: Duration = Duration::from_secs(60);

/// Checks what the workspace depends on by `deny.toml`; installs the tool where this machine does not have it.
///
/// # Errors
/// A rule is broken, or the tool cannot be had.
pub(crate) fn deny() -> Result<()> {
    let tool = found_or_installed(&plimsoll_cluster::cache_folder())?;
    // The graph of each crate is long and says little here: `cargo tree --invert` tells it on demand.
    run(Command::new(&tool).current_dir(root()).args([
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))?;
    advisories(&tool)
}

/// Where the tool lies in a cache folder.
fn folder(cache: &Path) -> PathBuf {
    cache.join("tools").join(format!("cargo-deny-{VERSION}"))
}

fn program(cache: &Path) -> PathBuf {
    folder(cache).join("bin/cargo-deny")
}

fn found_or_installed(cache: &Path) -> Result<PathBuf> {
    let program = program(cache);
    if program.is_file() {
        return Ok(program);
    }
    let _lock = plimsoll_cluster::build_lock()?;
    // Somebody else may have built it while we waited.
    if !program.is_file() {
        install(cache)?;
        ensure!(program.is_file(), "cargo install left no {}", program.display());
    }
    Ok(program)
}

fn install(cache: &Path) -> Result<()> {
    eprintln!("    cargo-deny {VERSION} is built once, into {}", folder(cache).display());
    let target = cache.join("tmp").join(format!("cargo-deny-{VERSION}"));
    let mut install = cargo();
    install
        .args(["install", "cargo-deny", "--version", &format!("={VERSION}"), "--locked", "--root"])
        .arg(folder(cache))
        .env("CARGO_TARGET_DIR", &target)
        // Its own profile links everything at once, which takes longer than all its runs here together.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    // The flags of our own build are not the tool's.
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        install.env_remove(flags);
    }
    run(&mut install)?;
    std::fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))
}

/// Advisories come from the network: only where they are asked for, and said loudly where they are not looked at.
fn advisories(tool: &Path) -> Result<()> {
    if std::env::var_os(ADVISORIES).is_none_or(|value| value != "1") {
        not_checked(&format!("set {ADVISORIES}=1 where the network allows"));
        return Ok(());
    }
    let mut fetch = Command::new(tool);
    fetch.current_dir(root()).args(["fetch", "db"]);
    match ended_within(&mut fetch, FETCH_WITHIN)? {
        // Fetched a moment ago, so not again without a limit.
        Some(true) => run(Command::new(tool).current_dir(root()).args([
            "--locked",
            "--offline",
            "check",
            "--hide-inclusion-graph",
            "advisories",
        ])),
        Some(false) => {
            not_checked("the advisory database could not be fetched");
            Ok(())
        }
        None => {
            not_checked(&format!("fetching the advisory database took longer than {FETCH_WITHIN:?}"));
            Ok(())
        }
    }
}

fn not_checked(why: &str) {
    eprintln!("\n    !!! ADVISORIES NOT CHECKED: {why} !!!\n");
}

/// Whether a program succeeds; `None` where it was ended because it took too long.
fn ended_within(command: &mut Command, limit: Duration) -> Result<Option<bool>> {
    let shown = show(command);
    let mut child = command.spawn().with_context(|| format!("start {shown}"))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("wait for {shown}"))? {
            return Ok(Some(status.success()));
        }
        if start.elapsed() >= limit {
            child.kill().with_context(|| format!("end {shown}"))?;
            child.wait().with_context(|| format!("wait for {shown}"))?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_lies_in_a_folder_of_its_version() {
        assert_eq!(
            program(Path::new("/cache")),
            Path::new(&format!("/cache/tools/cargo-deny-{VERSION}/bin/cargo-deny"))
        );
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let ended = |program: &str, argument: &str, limit| {
            ended_within(Command::new(program).arg(argument), limit).unwrap()
        };
        assert_eq!(ended("sleep", "600", Duration::ZERO), None);
        assert_eq!(ended("test", "a", Duration::from_secs(60)), Some(true));
        assert_eq!(ended("test", "", Duration::from_secs(60)), Some(false));
    }
}
