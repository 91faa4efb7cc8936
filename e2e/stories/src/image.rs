//! Images on the cluster's node.

use std::path::Path;

use anyhow::{Context as _, Result};

/// How often an import is tried.
const TRIES: usize = 3;

/// Makes the image of an archive known to the node.
///
/// # Errors
/// The cluster does not run, or the import failed again and again.
pub fn import(archive: &Path, reference: &str) -> Result<()> {
    let cluster = plimsoll_cluster::find()?;
    // containerd's garbage collection, which pods that end set off, may take an archive's content from under an import.
    let mut imported = cluster.import_image(archive, reference);
    for _ in 1..TRIES {
        if imported.is_ok() {
            break;
        }
        imported = cluster.import_image(archive, reference);
    }
    imported.with_context(|| format!("import {reference}"))
}
