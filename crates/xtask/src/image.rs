//! `cargo xtask image`: our own images, each one static binary FROM scratch, and the example's database and cache from
//! Debian packages, all as OCI archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use plimsoll_cluster::{DebianImage, POSTGRES, REDIS, ScratchImage, cache_folder};

use crate::process::{cargo, run, step};

/// The target that links statically with the C library of the machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The user and group in the images: no root, and no name, which a restricted namespace refuses.
const USER: &str = "65532:65532";

/// What to do with the images.
#[derive(Debug, Args)]
pub(crate) struct ImageOptions {
    /// Push the operator's image to this repository, for example registry.example/team/plimsoll; needs skopeo.
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) push: Option<String>,
}

/// An image that has been written.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Its name and a tag that follows from its content.
    pub(crate) repository: String,
    /// The tag.
    pub(crate) tag: String,
    /// The OCI archive.
    pub(crate) archive: PathBuf,
}

impl Image {
    pub(crate) fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// All images.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    pub(crate) operator: Image,
    /// The binary in the operator's image, which is also the command line.
    pub(crate) binary: PathBuf,
    pub(crate) workload: Image,
    pub(crate) postgres: Image,
    pub(crate) redis: Image,
}

impl Images {
    pub(crate) fn all(&self) -> [&Image; 4] {
        [&self.operator, &self.workload, &self.postgres, &self.redis]
    }
}

pub(crate) fn image(options: &ImageOptions) -> Result<()> {
    let images = step("images", build)?;
    for image in images.all() {
        let size = std::fs::metadata(&image.archive)?.len();
        eprintln!("    {}: {} ({} KiB)", image.reference(), image.archive.display(), size / 1024);
    }
    if let Some(repository) = &options.push {
        push(&images.operator, repository)?;
    }
    Ok(())
}

/// Writes the archives of the example's servers, builds both binaries and writes theirs.
pub(crate) fn build() -> Result<Images> {
    let (postgres, redis) = (debian(&POSTGRES)?, debian(&REDIS)?);
    // Go and Rust builds never run at once: two cores are few.
    let lock = plimsoll_cluster::build_lock()?;
    run(cargo()
        .args(["build", "--release", "--locked", "--target", TARGET])
        .args(["--package", "plimsoll-cli", "--package", "plimsoll-workload"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
    drop(lock);
    let folder = target_folder()?.join(TARGET).join("release");
    let binary = folder.join("plimsoll");
    Ok(Images {
        operator: write("plimsoll", &binary)?,
        binary,
        workload: write("plimsoll-workload", &folder.join("plimsoll-workload"))?,
        postgres,
        redis,
    })
}

/// An image of Debian packages.
fn debian(image: &DebianImage) -> Result<Image> {
    let built = image.build(&mut std::io::stderr())?;
    forget_old(&cache_folder().join("images"), image.name)?;
    Ok(Image { repository: image.name.to_owned(), tag: built.tag, archive: built.archive })
}

/// Where cargo puts what it builds, as it says itself.
fn target_folder() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--no-deps", "--locked", "--format-version", "1"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(folder.into())
}

/// Writes the archive of a binary, tagged by its content, unless it is there.
fn write(name: &str, binary: &Path) -> Result<Image> {
    let bytes = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let tag = plimsoll_analysis::hash::sha256_hex(&bytes)[..12].to_owned();
    let folder = cache_folder().join("images");
    std::fs::create_dir_all(&folder)?;
    let archive = folder.join(format!("{name}-{tag}.tar"));
    let image = Image { repository: name.to_owned(), tag, archive };
    if !image.archive.exists() {
        let entrypoint = format!("/{name}");
        let scratch = ScratchImage { binary, entrypoint: &entrypoint, user: USER };
        scratch.write_archive(&image.archive, &image.reference())?;
        forget_old(&folder, name)?;
    }
    Ok(image)
}

/// Keeps the five newest archives of a name.
fn forget_old(folder: &Path, name: &str) -> Result<()> {
    let mut archives = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let tag = file.strip_prefix(&format!("{name}-")).and_then(|rest| rest.strip_suffix(".tar"));
        if tag.is_some_and(|tag| tag.len() == 12 && tag.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            archives.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    archives.sort();
    for (_, path) in archives.iter().rev().skip(5) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Copies the archive to a registry, with the credentials that skopeo finds.
pub(crate) fn push(image: &Image, repository: &str) -> Result<String> {
    let to = format!("{repository}:{}", image.tag);
    let from = format!("oci-archive:{}", image.archive.display());
    let mut copy = Command::new("skopeo");
    copy.args(["copy", &from, &format!("docker://{to}")]);
    match copy.status() {
        Ok(status) if status.success() => Ok(to),
        Ok(status) => {
            bail!(
                "skopeo could not push {to} ({status}) and said why above; log in with `skopeo login`, and of a registry without TLS write `insecure = true` in registries.conf(5)"
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "pushing needs skopeo: install it (package skopeo), or push {} by your own tool",
                image.archive.display()
            )
        }
        Err(error) => Err(error).context("start skopeo"),
    }
}
