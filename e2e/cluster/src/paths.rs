//! Where things lie: the cache of built binaries, and the state of the cluster.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ClusterError, IoContext};

/// The folder of everything this crate keeps: `$PLIMSOLL_CACHE`, else `$XDG_CACHE_HOME/plimsoll`, else
/// `$HOME/.cache/plimsoll`. Outside every clone, so that clones share it.
#[must_use]
pub fn cache_folder() -> PathBuf {
    cache_folder_of(|name| std::env::var_os(name))
}

fn cache_folder_of(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PLIMSOLL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("plimsoll")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/plimsoll")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/plimsoll"))
}

/// The state folder of the cluster, with a name for each file in it.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) root: PathBuf,
}

impl State {
    pub(crate) fn of_this_machine() -> Self {
        Self { root: cache_folder().join("cluster") }
    }

    pub(crate) fn conf(&self, name: &str) -> PathBuf {
        self.root.join("conf").join(name)
    }

    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    pub(crate) fn pid_file(&self, component: &str) -> PathBuf {
        self.root.join("run").join(format!("{component}.pid"))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.root.join("logs/audit.log")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.root.join("run/containerd.sock")
    }

    /// Remembers what the machine was like before, for [`crate::down`].
    pub(crate) fn undo_file(&self) -> PathBuf {
        self.root.join("undo.json")
    }

    /// Remembers which manifests were applied last.
    pub(crate) fn applied_file(&self) -> PathBuf {
        self.root.join("applied")
    }

    /// Makes the folders, readable by their owner only: they hold keys and tokens.
    pub(crate) fn create(&self) -> Result<(), ClusterError> {
        use std::os::unix::fs::PermissionsExt;
        for name in
            ["", "conf/cni", "logs", "run", "cni", "kubelet/pod-logs", "etcd", "prometheus", "adapter"]
        {
            let folder = self.root.join(name);
            fs::create_dir_all(&folder).during(|| format!("making the folder {}", folder.display()))?;
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700))
            .during(|| format!("closing the folder {} to others", self.root.display()))
    }
}

/// Writes a file whole or not at all: into a neighbour that is renamed. Keeps a file that has this content already.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), ClusterError> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let action = || format!("writing {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).during(action)?;
    std::io::Write::write_all(&mut file, content).during(action)?;
    file.persist(path).map_err(|error| error.error).during(action)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_projects_own_variable_else_xdg_else_home() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> =
                set.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
            cache_folder_of(move |name| {
                set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            })
        };
        let all = [("PLIMSOLL_CACHE", "/p"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(with(&all), Path::new("/p"));
        assert_eq!(with(&all[1..]), Path::new("/x/plimsoll"));
        assert_eq!(with(&all[2..]), Path::new("/h/.cache/plimsoll"));
        assert_eq!(with(&[("PLIMSOLL_CACHE", ""), ("HOME", "/h")]), Path::new("/h/.cache/plimsoll"));
        assert_eq!(with(&[]), Path::new("/var/cache/plimsoll"));
    }

    #[test]
    fn a_file_of_the_same_content_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_file(&path, b"one").unwrap();
        let first = fs::metadata(&path).unwrap();
        write_file(&path, b"one").unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
