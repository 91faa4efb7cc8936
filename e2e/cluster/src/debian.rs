//! Images of Debian packages, for the database and the cache of the example: made without a container engine, without
//! root and without a registry of images.
//!
//! apt says which packages a fresh system would need, fetches them and checks them against Debian's signatures; nothing is
//! installed. Of their files an image gets the programs that are wanted, the shared libraries that the dynamic loader finds
//! for them, and one static busybox for the scripts around them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::build::{find_program, say};
use crate::command::run;
use crate::error::{ClusterError, IoContext};
use crate::image::{tar, write_archive};
use crate::paths::cache_folder;
use crate::tools::hex;

/// An image of programs that Debian packages.
#[derive(Debug)]
pub struct DebianImage {
    /// Its name, without registry and tag.
    pub name: &'static str,
    /// Packages whose programs it holds.
    packages: &'static [&'static str],
    /// Their files and folders that are wanted, from the root.
    paths: &'static [&'static str],
    /// What is left out of those folders.
    without: &'static [&'static str],
    /// Folders that exist although no package has them: places for volumes.
    folders: &'static [&'static str],
    /// Name of the user 999 that it runs as, with a home.
    user: (&'static str, &'static str),
    /// Search path of programs.
    path: &'static str,
    /// The signal that asks it to stop.
    stop_signal: &'static str,
}

/// An image as an OCI archive, with a tag that follows from its packages' versions.
#[derive(Debug, Clone)]
pub struct DebianArchive {
    /// The tag.
    pub tag: String,
    /// The archive.
    pub archive: PathBuf,
}

/// PostgreSQL 15 with the extensions that Debian packages beside it, pg_stat_statements among them.
pub const POSTGRES: DebianImage = DebianImage {
    name: "plimsoll-example-postgres",
    packages: &["postgresql-15", "tzdata"],
    paths: &[
        "usr/lib/postgresql/15/bin/initdb",
        "usr/lib/postgresql/15/bin/pg_ctl",
        "usr/lib/postgresql/15/bin/pg_isready",
        "usr/lib/postgresql/15/bin/postgres",
        "usr/lib/postgresql/15/bin/psql",
        "usr/lib/postgresql/15/lib",
        "usr/share/postgresql/15",
        "usr/share/zoneinfo",
    ],
    // Compilation to machine code needs LLVM, which is larger than everything else here; PostgreSQL runs without.
    without: &[
        "usr/lib/postgresql/15/lib/bitcode",
        "usr/lib/postgresql/15/lib/llvmjit.so",
        "usr/lib/postgresql/15/lib/pgxs",
        "usr/share/postgresql/15/man",
        "usr/share/zoneinfo/right",
        "usr/share/zoneinfo/posix",
    ],
    folders: &["var/lib/postgresql", "var/run/postgresql"],
    user: ("postgres", "/var/lib/postgresql"),
    path: "/usr/lib/postgresql/15/bin:/usr/bin:/bin",
    // Fast shutdown: on SIGTERM PostgreSQL would wait until every client has gone.
    stop_signal: "SIGINT",
};

/// Redis 7.0, the server and its client.
pub const REDIS: DebianImage = DebianImage {
    name: "plimsoll-example-redis",
    packages: &["redis-server"],
    paths: &["usr/bin/redis-cli", "usr/bin/redis-check-rdb", "usr/bin/redis-server"],
    without: &[],
    folders: &["data", "run/redis"],
    user: ("redis", "/data"),
    path: "/usr/bin:/bin",
    stop_signal: "SIGTERM",
};

/// The commands of busybox that scripts in these images may use.
const APPLETS: [&str; 20] = [
    "basename",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "env",
    "grep",
    "id",
    "ls",
    "mkdir",
    "mv",
    "ps",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "tail",
    "touch",
];

/// Of the packages that apt names, those whose shared libraries may be needed: the rest is for perl, for compilers or for
/// setting a system up.
fn may_be_needed(package: &str) -> bool {
    let library = package.starts_with("lib") || package == "zlib1g";
    let other = ["libllvm", "libz3", "libperl", "libpam-modules", "libc-l10n", "libc-bin"];
    library && !package.ends_with("-perl") && !other.iter().any(|name| package.starts_with(name))
}

impl DebianImage {
    /// The user that its containers run as, `UID:GID`.
    const USER: &'static str = "999:999";

    /// The archive of the image, made where there is none for these versions of its packages; about half a minute then.
    ///
    /// # Errors
    /// This machine has no apt, its packages cannot be fetched, or the archive cannot be written.
    pub fn build(&self, out: &mut dyn Write) -> Result<DebianArchive, ClusterError> {
        let images = cache_folder().join("images");
        fs::create_dir_all(&images).during(|| format!("making the folder {}", images.display()))?;
        let (apt, packages) = Apt::resolve(self.packages, out)?;
        let tag = self.tag(packages.values());
        let archive = images.join(format!("{}-{tag}.tar", self.name));
        if archive.exists() {
            return Ok(DebianArchive { tag, archive });
        }
        let work =
            tempfile::tempdir_in(&images).during(|| format!("making a folder in {}", images.display()))?;
        let work = work.path();
        say(out, &format!("{}: fetching {} packages", self.name, packages.len()))?;
        let unpacked = apt.unpack(packages.keys(), work)?;
        say(out, &format!("{}: writing the image", self.name))?;
        let root = work.join("root");
        self.assemble(&unpacked, &root)?;
        let layer = work.join("layer.tar");
        tar(&root, &layer, &["."])?;
        let layer = fs::read(&layer).during(|| format!("reading {}", layer.display()))?;
        let config = serde_json::json!({
            "User": Self::USER, "WorkingDir": "/", "Env": [format!("PATH={}", self.path), "LANG=C.UTF-8".to_owned()],
            "StopSignal": self.stop_signal,
        });
        write_archive(&layer, &config, &archive, &format!("{}:{tag}", self.name))?;
        Ok(DebianArchive { tag, archive })
    }

    /// Changes with the version of any package and with what is taken of it.
    fn tag<'a>(&self, files: impl Iterator<Item = &'a String>) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{self:?} {APPLETS:?}"));
        files.for_each(|file| hash.update(format!("\n{file}")));
        hex(&hash.finalize()[..6])
    }

    /// Puts what the image holds into `root`.
    fn assemble(&self, unpacked: &Path, root: &Path) -> Result<(), ClusterError> {
        let folders = ["bin", "etc", "lib/x86_64-linux-gnu", "lib64", "tmp", "usr/bin"];
        for folder in folders.iter().chain(self.folders) {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).during(|| format!("making {}", folder.display()))?;
        }
        let mut copy = Command::new("cp");
        run(copy.current_dir(unpacked).args(["--archive", "--parents"]).args(self.paths).arg(root))?;
        for path in self.without {
            let path = root.join(path);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(source) = removed
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(ClusterError::Io { action: format!("removing {}", path.display()), source });
            }
        }
        copy_libraries(unpacked, root)?;
        fs::copy(unpacked.join("bin/busybox"), root.join("bin/busybox"))
            .during(|| "copying busybox".to_owned())?;
        for name in APPLETS {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name))
                .during(|| format!("linking {name} to busybox"))?;
        }
        let (user, home) = self.user;
        let files = [
            (
                "etc/passwd",
                format!("root:x:0:0:root:/root:/bin/sh\n{user}:x:999:999:{user}:{home}:/bin/sh\n"),
            ),
            ("etc/group", format!("root:x:0:\n{user}:x:999:\n")),
        ];
        for (name, content) in files {
            fs::write(root.join(name), content).during(|| format!("writing {name}"))?;
        }
        Ok(())
    }
}

/// apt on this machine, with lists of packages that serve.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Which packages a fresh system would need for `wanted`, by name, each with its file's name, which holds its version.
    ///
    /// The machine's own lists are used where they do; otherwise lists of our own are fetched into the cache, so that nothing
    /// of the machine changes.
    fn resolve(
        wanted: &[&str],
        out: &mut dyn Write,
    ) -> Result<(Self, BTreeMap<String, String>), ClusterError> {
        for program in ["apt-get", "dpkg-deb"] {
            if find_program(program).is_none() {
                return Err(ClusterError::Missing {
                    what: format!("the images of PostgreSQL and Redis need {program}"),
                    remedy: "build them on Debian 12".into(),
                });
            }
        }
        let folder = cache_folder().join("apt");
        let lists = folder.join("lists");
        fs::create_dir_all(lists.join("partial")).during(|| format!("making {}", lists.display()))?;
        let empty = folder.join("status");
        fs::write(&empty, "").during(|| format!("writing {}", empty.display()))?;
        let option = |name: &str, value: &Path| format!("-o{name}={}", value.display());
        let mut apt = Self {
            options: vec![
                // As if nothing were installed, and without the lock that a change of the machine takes.
                option("Dir::State::status", &empty),
                "-oDebug::NoLocking=1".to_owned(),
                "-oAPT::Install-Recommends=false".to_owned(),
                // Files go to a folder that apt's own user may not enter.
                "-oAPT::Sandbox::User=".to_owned(),
                option("Dir::Cache::pkgcache", &folder.join("pkgcache.bin")),
                option("Dir::Cache::srcpkgcache", &folder.join("srcpkgcache.bin")),
            ],
        };
        if let Ok(packages) = apt.list(wanted) {
            return Ok((apt, packages));
        }
        say(out, "images of Debian packages: fetching the lists of packages")?;
        apt.options.push(option("Dir::State::lists", &lists));
        run(apt.command().arg("update"))?;
        let packages = apt.list(wanted).map_err(|error| ClusterError::Missing {
            what: format!("apt finds no {}: {error}", wanted.join(", ")),
            remedy: "build the images on Debian 12, whose packages they are made of".into(),
        })?;
        Ok((apt, packages))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").args(&self.options).arg("-q");
        command
    }

    fn list(&self, wanted: &[&str]) -> Result<BTreeMap<String, String>, ClusterError> {
        let mut command = self.command();
        command.args(["-q", "--yes", "--print-uris", "install", "busybox-static"]).args(wanted);
        Ok(parse_uris(&run(&mut command)?, wanted))
    }

    /// Fetches packages, whose hashes apt checks, and unpacks them into a folder in `work`.
    fn unpack<'a>(
        &self,
        packages: impl Iterator<Item = &'a String>,
        work: &Path,
    ) -> Result<PathBuf, ClusterError> {
        let (debs, unpacked) = (work.join("debs"), work.join("unpacked"));
        for folder in [&debs, &unpacked] {
            fs::create_dir(folder).during(|| format!("making {}", folder.display()))?;
        }
        run(self.command().current_dir(&debs).arg("download").args(packages))?;
        let files = fs::read_dir(&debs).during(|| format!("reading {}", debs.display()))?;
        for file in files {
            let file = file.during(|| format!("reading {}", debs.display()))?.path();
            run(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&unpacked))?;
        }
        Ok(unpacked)
    }
}

/// The packages to unpack out of what `apt-get --print-uris install` says: lines of `'URI' FILE SIZE HASH`.
fn parse_uris(text: &str, wanted: &[&str]) -> BTreeMap<String, String> {
    let files = text.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split(' ').nth(1));
    let packages = files.filter_map(|file| Some((file.split_once('_')?.0.to_owned(), file.to_owned())));
    let programs = ["busybox-static", "postgresql-client-15", "redis-tools"];
    packages
        .filter(|(name, _)| {
            wanted.contains(&name.as_str()) || programs.contains(&name.as_str()) || may_be_needed(name)
        })
        .collect()
}

/// Copies the shared libraries of every program and module in `root`, and the loader itself.
fn copy_libraries(unpacked: &Path, root: &Path) -> Result<(), ClusterError> {
    let places = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|place| unpacked.join(place));
    let loader = places.iter().map(|place| place.join("ld-linux-x86-64.so.2")).find(|path| path.exists());
    let loader = loader.ok_or_else(|| ClusterError::Missing {
        what: "the package libc6 has no loader for x86_64".into(),
        remedy: "build the images on Debian 12 for amd64".into(),
    })?;
    let mut libraries = BTreeSet::new();
    for program in programs_below(root)? {
        let mut list = Command::new(&loader);
        list.arg("--inhibit-cache").arg("--library-path");
        list.arg(format!("{}:{}", places[0].display(), places[1].display()));
        let said = run(list.arg("--list").arg(&program))?;
        libraries.extend(found_libraries(&said, &program)?);
    }
    for library in libraries {
        let name = library.file_name().unwrap_or_default();
        fs::copy(&library, root.join("lib/x86_64-linux-gnu").join(name))
            .during(|| format!("copying {}", library.display()))?;
    }
    fs::copy(&loader, root.join("lib64/ld-linux-x86-64.so.2"))
        .during(|| format!("copying {}", loader.display()))?;
    Ok(())
}

/// The libraries in what the loader lists: lines of `NAME => PATH (ADDRESS)`.
fn found_libraries(said: &str, program: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let pairs = said.lines().filter_map(|line| line.trim().split_once(" => "));
    pairs
        .map(|(name, found)| match found.split_once(" (") {
            Some((path, _)) => Ok(PathBuf::from(path)),
            None => Err(ClusterError::Missing {
                what: format!("{} needs {name}, which no package for the image has", program.display()),
                remedy: "add its package in e2e/cluster/src/debian.rs".into(),
            }),
        })
        .collect()
}

/// Every ELF file below a folder, links left out.
fn programs_below(folder: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).during(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.during(|| format!("reading {}", folder.display()))?;
        let kind = entry.file_type().during(|| format!("reading {}", entry.path().display()))?;
        if kind.is_dir() {
            found.extend(programs_below(&entry.path())?);
        } else if kind.is_file() {
            let path = entry.path();
            let mut start = Vec::new();
            fs::File::open(&path)
                .and_then(|file| file.take(4).read_to_end(&mut start))
                .during(|| format!("reading {}", path.display()))?;
            if start == b"\x7fELF" {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_apt_names_only_programs_and_libraries_are_fetched() {
        let said = "Reading package lists...\n\
            'http://debian/libc6.deb' libc6_2.36-9_amd64.deb 2759320 SHA256:aa\n\
            'http://debian/perl.deb' perl_5.36_amd64.deb 239392 SHA256:aa\n\
            'http://debian/libllvm14.deb' libllvm14_1%3a14.0.6-12_amd64.deb 2 SHA256:aa\n\
            'http://debian/libjson-perl.deb' libjson-perl_4_all.deb 2 SHA256:aa\n\
            'http://debian/postgresql-15.deb' postgresql-15_15.20-0+deb12u1_amd64.deb 1 SHA256:aa\n";
        let packages = parse_uris(said, &["postgresql-15"]);
        let names: Vec<_> = packages.keys().map(String::as_str).collect();
        assert_eq!(names, ["libc6", "postgresql-15"]);
        assert_eq!(packages["postgresql-15"], "postgresql-15_15.20-0+deb12u1_amd64.deb");
    }

    #[test]
    fn the_tag_follows_from_versions_and_from_what_is_taken() {
        let of = |image: &DebianImage, version: &str| image.tag([version.to_owned()].iter());
        assert_eq!(of(&REDIS, "redis-server_7"), of(&REDIS, "redis-server_7"));
        assert_ne!(of(&REDIS, "redis-server_7"), of(&REDIS, "redis-server_8"));
        assert_ne!(of(&REDIS, "redis-server_7"), of(&POSTGRES, "redis-server_7"));
        assert_eq!(of(&REDIS, "redis-server_7").len(), 12);
    }

    #[test]
    fn a_library_that_is_not_found_names_the_program_that_needs_it() {
        let program = Path::new("/bin/it");
        let said = "\tlinux-vdso.so.1 (0x0)\n\tlibz.so.1 => /a/libz.so.1 (0x1)\n\t/lib64/ld.so (0x2)\n";
        assert_eq!(found_libraries(said, program).unwrap(), [PathBuf::from("/a/libz.so.1")]);
        let error = found_libraries("\tlibz.so.1 => not found\n", program).unwrap_err().to_string();
        assert!(error.contains("/bin/it") && error.contains("libz.so.1"), "{error}");
    }
}
