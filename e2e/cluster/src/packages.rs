//! Debian packages: installed only where missing, and never to start a service.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::build::{find_program, say};
use crate::command::{run, succeeds};
use crate::consent::Consent;
use crate::error::{ClusterError, IoContext};

/// A package, and a file whose presence says that it is installed, whoever installed it.
struct Package {
    name: &'static str,
    proof: Proof,
}

enum Proof {
    Program(&'static str),
    File(&'static str),
    /// The program is needed only where the file is not there.
    FileOrProgram(&'static str, &'static str),
}

const PACKAGES: [Package; 8] = [
    Package { name: "containerd", proof: Proof::Program("containerd") },
    Package { name: "runc", proof: Proof::Program("runc") },
    Package { name: "containernetworking-plugins", proof: Proof::File("/usr/lib/cni/bridge") },
    Package { name: "buildah", proof: Proof::Program("buildah") },
    Package { name: "iptables", proof: Proof::Program("iptables") },
    Package { name: "iproute2", proof: Proof::Program("ip") },
    Package { name: "kmod", proof: Proof::FileOrProgram("/proc/sys/net/bridge", "modprobe") },
    // promtool, and an older server to test against.
    Package { name: "prometheus", proof: Proof::Program("promtool") },
];

/// Servers that tests start by themselves, and a browser to look at reports; the cluster does not need them.
const SERVERS: [Package; 4] = [
    Package { name: "postgresql-15", proof: Proof::File("/usr/lib/postgresql/15/bin/postgres") },
    Package { name: "pgbouncer", proof: Proof::Program("pgbouncer") },
    Package { name: "redis-server", proof: Proof::Program("redis-server") },
    Package { name: "chromium", proof: Proof::Program("chromium") },
];

impl Proof {
    fn holds(&self) -> bool {
        match self {
            Self::Program(name) => find_program(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::FileOrProgram(path, program) => Path::new(path).exists() || find_program(program).is_some(),
        }
    }
}

/// The packages of the cluster that are missing.
pub(crate) fn missing() -> Vec<&'static str> {
    missing_of(&PACKAGES)
}

fn missing_of(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().filter(|package| !package.proof.holds()).map(|package| package.name).collect()
}

/// Installs the missing packages of the cluster with consent.
pub(crate) fn install(consent: &Consent, out: &mut dyn Write) -> Result<(), ClusterError> {
    install_missing(&missing(), consent, out)
}

/// Installs the missing servers for tests with consent.
pub(crate) fn install_servers(consent: &Consent, out: &mut dyn Write) -> Result<(), ClusterError> {
    install_missing(&missing_of(&SERVERS), consent, out)
}

fn install_missing(
    missing: &[&'static str],
    consent: &Consent,
    out: &mut dyn Write,
) -> Result<(), ClusterError> {
    if missing.is_empty() {
        return Ok(());
    }
    if find_program("apt-get").is_none() {
        return Err(ClusterError::Missing {
            what: format!("these packages are not installed: {}", missing.join(", ")),
            remedy: "install them; only on Debian can this be done for you (no apt-get here)".into(),
        });
    }
    consent.require(&[format!("install the packages {}", missing.join(", "))])?;
    say(out, &format!("packages: installing {}", missing.join(", ")))?;
    let _no_services = NoServices::new()?;
    // The lists of packages may be missing or old: refreshed only where they do not serve.
    let simulated = succeeds(apt_get().args(["--simulate", "install"]).args(missing));
    if !simulated {
        run(apt_get().arg("update"))?;
    }
    if run(install_command().args(missing)).is_err() {
        run(apt_get().arg("update"))?;
        run(install_command().args(missing))?;
    }
    disable_services(missing);
    Ok(())
}

/// The services of the packages just installed are not wanted at the next boot either: the cluster starts its own
/// processes. Of a package that was there before, nothing is touched.
fn disable_services(installed: &[&str]) {
    for name in installed {
        let service = match *name {
            "containerd" | "prometheus" | "pgbouncer" | "redis-server" => name,
            "postgresql-15" => "postgresql",
            _ => continue,
        };
        // Without systemd there is nothing to disable.
        let _ = run(Command::new("systemctl").args(["--quiet", "disable", &format!("{service}.service")]));
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
    command
}

fn install_command() -> Command {
    let mut command = apt_get();
    command.args(["install", "--yes", "--no-install-recommends"]);
    command
}

/// While it lives, packages that are installed start no service (Debian policy 9.3.3, policy-rc.d).
struct NoServices {
    path: Option<&'static str>,
}

impl NoServices {
    fn new() -> Result<Self, ClusterError> {
        use std::os::unix::fs::PermissionsExt;
        let path = "/usr/sbin/policy-rc.d";
        // Somebody else's policy stays as it is.
        if Path::new(path).exists() {
            return Ok(Self { path: None });
        }
        fs::write(path, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
            .during(|| format!("writing {path}"))?;
        Ok(Self { path: Some(path) })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = self.path {
            let _ = fs::remove_file(path);
        }
    }
}
