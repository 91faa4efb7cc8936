//! Images: made from one static binary without a container engine, imported into containerd under a name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::build::path_of;
use crate::command::run;
use crate::error::{ClusterError, IoContext};
use crate::paths::{State, cache_folder};
use crate::tools::{Tool, hex};

/// An image FROM scratch that holds one static binary.
#[derive(Debug)]
pub struct ScratchImage<'a> {
    /// The binary on this machine.
    pub binary: &'a Path,
    /// Its path in the image, which is also the entry point: `/plimsoll`.
    pub entrypoint: &'a str,
    /// `UID:GID`, by number: a restricted namespace refuses a name.
    pub user: &'a str,
}

impl ScratchImage<'_> {
    /// Writes the image as an OCI archive that names itself `reference`, with the index that docker's own format asks
    /// for beside it, so that every loader reads it. The same binary gives the same archive, byte for byte.
    ///
    /// # Errors
    /// The binary cannot be read, the archive cannot be written, or `tar` failed.
    pub fn write_archive(&self, archive: &Path, reference: &str) -> Result<(), ClusterError> {
        let folder = folder_of(archive);
        let work =
            tempfile::tempdir_in(folder).during(|| format!("making a folder in {}", folder.display()))?;
        let layer = self.layer(work.path())?;
        let config =
            serde_json::json!({ "Entrypoint": [self.entrypoint], "User": self.user, "WorkingDir": "/" });
        write_archive(&layer, &config, archive, reference)
    }

    /// The one layer: a tar of the binary.
    fn layer(&self, work: &Path) -> Result<Vec<u8>, ClusterError> {
        let root = work.join("root");
        let target = root.join(self.entrypoint.trim_start_matches('/'));
        let parent = target.parent().unwrap_or(&root);
        fs::create_dir_all(parent).during(|| format!("making {}", parent.display()))?;
        fs::copy(self.binary, &target)
            .during(|| format!("copying {} to {}", self.binary.display(), target.display()))?;
        set_mode(&target)?;
        let layer = work.join("layer.tar");
        tar(&root, &layer, &["."])?;
        fs::read(&layer).during(|| format!("reading {}", layer.display()))
    }
}

fn folder_of(archive: &Path) -> &Path {
    archive.parent().unwrap_or(Path::new("."))
}

/// Writes an OCI archive of one layer, a tar, with docker's index beside its own. `config` is what a container of it starts
/// with.
pub(crate) fn write_archive(
    layer: &[u8],
    config: &serde_json::Value,
    archive: &Path,
    reference: &str,
) -> Result<(), ClusterError> {
    let folder = folder_of(archive);
    let work = tempfile::tempdir_in(folder).during(|| format!("making a folder in {}", folder.display()))?;
    let layout = work.path().join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).during(|| format!("making {}", blobs.display()))?;
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&Sha256::digest(layer)))] },
    });
    let config = blob(&blobs, config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json")?;
    let layer = blob(&blobs, layer, "application/vnd.oci.image.layer.v1.tar")?;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let mut descriptor = blob(&blobs, manifest.to_string().as_bytes(), MANIFEST)?;
    let name = normalized(reference);
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    descriptor["annotations"] = serde_json::json!({
        "io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag,
    });
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor],
    });
    let docker = serde_json::json!([{
        "Config": path_in_layout(&config), "RepoTags": [name], "Layers": [path_in_layout(&layer)],
    }]);
    let names = ["oci-layout", "index.json", "manifest.json"];
    let contents = [serde_json::json!({"imageLayoutVersion": "1.0.0"}), index, docker];
    for (name, content) in names.into_iter().zip(contents) {
        let path = layout.join(name);
        fs::write(&path, content.to_string()).during(|| format!("writing {}", path.display()))?;
    }
    let done = work.path().join("done.tar");
    tar(&layout, &done, &["oci-layout", "index.json", "manifest.json", "blobs"])?;
    fs::rename(&done, archive).during(|| format!("renaming {} to {}", done.display(), archive.display()))
}

/// How often an import is tried.
const IMPORT_TRIES: u32 = 3;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes a blob under its digest and returns its descriptor.
fn blob(folder: &Path, content: &[u8], media_type: &str) -> Result<serde_json::Value, ClusterError> {
    let digest = hex(&Sha256::digest(content));
    let path = folder.join(&digest);
    fs::write(&path, content).during(|| format!("writing {}", path.display()))?;
    let size = content.len();
    Ok(serde_json::json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size }))
}

/// Where a descriptor's blob lies in the layout.
fn path_in_layout(descriptor: &serde_json::Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    format!("blobs/{}", digest.replace(':', "/"))
}

fn set_mode(path: &Path) -> Result<(), ClusterError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .during(|| format!("making {} executable", path.display()))
}

/// A tar archive without anything that differs from run to run.
pub(crate) fn tar(folder: &Path, archive: &Path, names: &[&str]) -> Result<(), ClusterError> {
    let mut command = Command::new("tar");
    command.arg("--create").arg("--file").arg(archive).arg("--directory").arg(folder);
    command.args([
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=ustar",
    ]);
    run(command.args(names))?;
    Ok(())
}

/// A reference as containerd stores it and the kubelet asks for it: with a registry and a tag.
pub(crate) fn normalized(reference: &str) -> String {
    let (registry, rest) = match reference.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_owned()),
        Some(_) => ("docker.io", reference.to_owned()),
        None => ("docker.io", format!("library/{reference}")),
    };
    let tag = if rest.contains([':', '@']) { "" } else { ":latest" };
    format!("{registry}/{rest}{tag}")
}

/// Imports a docker or OCI archive into the cluster's containerd under `reference`.
pub(crate) fn import(state: &State, archive: &Path, reference: &str) -> Result<(), ClusterError> {
    let mut command = ctr(state)?;
    // The index is named, not the images in it: an OCI archive may hold no name, and then this one is enough.
    command.args(["image", "import", "--index-name", &normalized(reference)]).arg(archive);
    // containerd's garbage collection may take a blob before the image that names it is written; the archive has it.
    let mut tries = 0;
    loop {
        tries += 1;
        match run(&mut command) {
            Ok(_) => return Ok(()),
            Err(error) if tries >= IMPORT_TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

/// containerd's own client, on the cluster's socket and in the kubelet's namespace.
pub(crate) fn ctr(state: &State) -> Result<Command, ClusterError> {
    let mut command = Command::new(path_of(Tool::Ctr)?);
    command.arg("--address").arg(state.containerd_socket()).args(["--namespace", "k8s.io"]);
    Ok(command)
}

const PAUSE_SOURCE: &str = include_str!("../config/pause.c");

/// The name of the image that holds a pod's namespaces; changes with its source.
pub(crate) fn pause_reference() -> String {
    format!("localhost/plimsoll-pause:{}", hex(&Sha256::digest(PAUSE_SOURCE)[..6]))
}

/// The archive of that image, made where it is missing.
pub(crate) fn pause_archive() -> Result<PathBuf, ClusterError> {
    let reference = pause_reference();
    let folder = cache_folder().join("images");
    let tag = reference.rsplit(':').next().unwrap_or_default();
    let archive = folder.join(format!("pause-{tag}.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    fs::create_dir_all(&folder).during(|| format!("making the folder {}", folder.display()))?;
    let work = tempfile::tempdir_in(&folder).during(|| format!("making a folder in {}", folder.display()))?;
    let (source, binary) = (work.path().join("pause.c"), work.path().join("pause"));
    fs::write(&source, PAUSE_SOURCE).during(|| format!("writing {}", source.display()))?;
    let compiler = crate::build::find_program("cc").ok_or_else(|| ClusterError::Missing {
        what: "no C compiler (cc) is installed".into(),
        remedy: "run `apt-get install --no-install-recommends gcc libc6-dev`".into(),
    })?;
    run(Command::new(compiler).args(["-static", "-Os", "-s", "-o"]).arg(&binary).arg(&source))?;
    let image = ScratchImage { binary: &binary, entrypoint: "/pause", user: "65535:65535" };
    image.write_archive(&archive, &reference)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_gets_the_registry_and_tag_that_the_kubelet_would_add() {
        for (reference, expected) in [
            ("plimsoll", "docker.io/library/plimsoll:latest"),
            ("plimsoll:abc", "docker.io/library/plimsoll:abc"),
            ("team/plimsoll:abc", "docker.io/team/plimsoll:abc"),
            ("localhost/plimsoll:abc", "localhost/plimsoll:abc"),
            ("localhost:5000/plimsoll", "localhost:5000/plimsoll:latest"),
            ("ghcr.io/a/b@sha256:0", "ghcr.io/a/b@sha256:0"),
        ] {
            assert_eq!(normalized(reference), expected);
        }
    }

    #[test]
    fn the_same_binary_gives_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("binary");
        fs::write(&binary, "content").unwrap();
        let write = |name: &str| {
            let archive = folder.path().join(name);
            let image = ScratchImage { binary: &binary, entrypoint: "/bin/it", user: "1:1" };
            image.write_archive(&archive, "it:1").unwrap();
            hex(&Sha256::digest(fs::read(&archive).unwrap()))
        };
        let first = write("one.tar");
        assert_eq!(first, write("two.tar"));
        fs::write(&binary, "other").unwrap();
        assert_ne!(first, write("three.tar"));
    }
}
