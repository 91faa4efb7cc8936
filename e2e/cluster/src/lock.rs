//! One build at a time, one `up` or `down` at a time.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::rc::{Rc, Weak};

use crate::error::{ClusterError, IoContext};
use crate::paths::cache_folder;

thread_local! {
    /// The lock this thread holds, so that it may ask for it again without waiting for itself.
    static HELD: RefCell<Weak<File>> = const { RefCell::new(Weak::new()) };
}

/// Held while something is compiled, Go or Rust; let go when dropped. Other threads and processes wait for it.
#[derive(Debug, Clone)]
pub struct BuildLock {
    _file: Rc<File>,
}

/// Waits until nobody else compiles, and keeps others from it until the result is dropped.
///
/// A compiler fills this machine's memory and both of its cores, so Go builds and Rust builds never run at once. A
/// thread that holds the lock gets it again at once.
///
/// # Errors
/// The lock's file in the cache folder cannot be made or locked.
pub fn build_lock() -> Result<BuildLock, ClusterError> {
    let held = HELD.with_borrow(Weak::upgrade);
    let file = match held {
        Some(file) => file,
        None => Rc::new(lock_file(&cache_folder().join("build.lock"))?),
    };
    HELD.set(Rc::downgrade(&file));
    Ok(BuildLock { _file: file })
}

/// Whether somebody else holds the build lock now, for a message before the wait.
pub(crate) fn build_lock_is_taken() -> bool {
    if HELD.with_borrow(Weak::upgrade).is_some() {
        return false;
    }
    let Ok(file) = open(&cache_folder().join("build.lock")) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Locks the file at `path`, made where it is missing, until the result is dropped.
pub(crate) fn lock_file(path: &Path) -> Result<File, ClusterError> {
    let file = open(path)?;
    file.lock().during(|| format!("locking {}", path.display()))?;
    Ok(file)
}

fn open(path: &Path) -> Result<File, ClusterError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).during(|| format!("making the folder {}", folder.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .during(|| format!("opening the lock {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_file_is_seen_as_taken_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/lock");
        let first = lock_file(&path).unwrap();
        assert!(matches!(open(&path).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        assert!(open(&path).unwrap().try_lock().is_ok());
    }
}
