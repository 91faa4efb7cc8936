//! The images of Debian packages: what they hold runs by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::process::Command;

use plimsoll_cluster::{DebianImage, POSTGRES, REDIS};

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Unpacks the one layer of an image into a folder.
fn unpack(image: &DebianImage, root: &Path) {
    let built = image.build(&mut std::io::stderr()).unwrap();
    let archive = root.join("archive");
    std::fs::create_dir(&archive).unwrap();
    run(Command::new("tar").arg("-xf").arg(&built.archive).arg("-C").arg(&archive));
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(archive.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(index[0]["RepoTags"][0], format!("docker.io/library/{}:{}", image.name, built.tag));
    let layer = archive.join(index[0]["Layers"][0].as_str().unwrap());
    run(Command::new("tar").arg("-xf").arg(layer).arg("-C").arg(root));
    // Nothing has changed, so nothing is made: the archive stays the same file.
    let before = std::fs::metadata(&built.archive).unwrap().modified().unwrap();
    let again = image.build(&mut std::io::stderr()).unwrap();
    assert_eq!(std::fs::metadata(&again.archive).unwrap().modified().unwrap(), before);
}

/// Runs a program of the image with the image's own libraries and loader, and none of this machine's.
fn version(root: &Path, program: &str) -> String {
    let mut command = Command::new(root.join("lib64/ld-linux-x86-64.so.2"));
    command.arg("--inhibit-cache").arg("--library-path").arg(root.join("lib/x86_64-linux-gnu"));
    run(command.arg(root.join(program)).arg("--version"))
}

#[test]
fn postgresql_has_its_programs_extensions_zones_and_a_shell() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    unpack(&POSTGRES, root);
    for program in ["postgres", "initdb", "psql", "pg_ctl", "pg_isready"] {
        let said = version(root, &format!("usr/lib/postgresql/15/bin/{program}"));
        assert!(said.contains("(PostgreSQL) 15."), "{program}: {said}");
    }
    for file in [
        "usr/lib/postgresql/15/lib/pg_stat_statements.so",
        "usr/share/postgresql/15/extension/pg_stat_statements.control",
        "usr/share/zoneinfo/Asia/Dhaka",
        "etc/passwd",
    ] {
        assert!(root.join(file).exists(), "{file}");
    }
    assert!(!root.join("usr/lib/postgresql/15/lib/llvmjit.so").exists());
    assert_eq!(run(Command::new(root.join("bin/sh")).args(["-c", "echo of busybox"])), "of busybox\n");
}

#[test]
fn redis_has_its_server_and_client() {
    let root = tempfile::tempdir().unwrap();
    unpack(&REDIS, root.path());
    assert!(version(root.path(), "usr/bin/redis-server").contains("v=7."));
    assert!(version(root.path(), "usr/bin/redis-cli").contains("redis-cli 7."));
}
