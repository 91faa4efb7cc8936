//! Values of the Secret and ConfigMap keys that a request names. They are read once, before anything is asked, and
//! are never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::{KeyKind, KeyRef};

/// Most bytes of one value: the API server accepts no larger Secret or ConfigMap.
const MAX_VALUE_BYTES: u64 = 1024 * 1024;

/// Values by key, and why a key has none. Neither `Debug` nor `Display` shows a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    values: BTreeMap<KeyRef, Vec<u8>>,
    missing: BTreeMap<KeyRef, MissingKey>,
}

/// A key that the request names could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingKey {
    /// The Secret or ConfigMap is missing, or holds nothing of what was asked for.
    #[error(
        "{} {} does not exist in the resource's namespace, or holds none of the keys that the spec names; create it there with the key {}",
        kind_name(.0.kind), .0.name, .0.key
    )]
    Object(KeyRef),
    /// The Secret or ConfigMap exists and lacks the key.
    #[error("{} {} has no key {}; add the key, or name one that it has", kind_name(.0.kind), .0.name, .0.key)]
    Key(KeyRef),
    /// The value is there and cannot be read.
    #[error("key {} of {} {} cannot be read: {why}", key.key, kind_name(key.kind), key.name)]
    Unreadable {
        /// Which key.
        key: KeyRef,
        /// Why, without the value.
        why: String,
    },
}

impl MissingKey {
    /// The key that could not be read.
    #[must_use]
    pub fn key(&self) -> &KeyRef {
        match self {
            Self::Object(key) | Self::Key(key) | Self::Unreadable { key, .. } => key,
        }
    }

    /// The reason that a record gives for it.
    #[must_use]
    pub fn reason(&self) -> SourceReason {
        match self {
            Self::Object(_) => SourceReason::SecretMissing,
            Self::Key(_) | Self::Unreadable { .. } => SourceReason::KeyMissing,
        }
    }
}

/// How an object is called in messages: its kind, as `kubectl` writes it.
pub(crate) fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Secret => "Secret",
        KeyKind::ConfigMap => "ConfigMap",
    }
}

/// A key in messages.
pub(crate) fn described(key: &KeyRef) -> String {
    format!("key {} of {} {}", key.key, kind_name(key.kind), key.name)
}

impl Keys {
    /// Takes values that were read elsewhere, for example from manifests. A trailing line end is dropped, as
    /// [`Keys::from_folders`] does.
    #[must_use]
    pub fn from_map(values: BTreeMap<KeyRef, Vec<u8>>) -> Self {
        let values = values.into_iter().map(|(key, value)| (key, trimmed(value))).collect();
        Self { values, missing: BTreeMap::new() }
    }

    /// Reads `wanted` from folders in which a kubelet mounted each object as `<folder>/<name>/<key>`.
    ///
    /// A trailing line end of a value is dropped: `echo token > file` and most editors add one, and no token,
    /// password, header or PEM bundle needs it. A key that cannot be read is an error of whoever needs it, so that a
    /// source whose Secret is missing hides no other: [`Keys::require`].
    #[must_use]
    pub fn from_folders(secrets: &Path, config_maps: &Path, wanted: &[&KeyRef]) -> Self {
        let mut keys = Self::default();
        for key in wanted {
            let root = match key.kind {
                KeyKind::Secret => secrets,
                KeyKind::ConfigMap => config_maps,
            };
            match read_key(root, key) {
                Ok(value) => drop(keys.values.insert((*key).clone(), trimmed(value))),
                Err(error) => drop(keys.missing.insert((*key).clone(), error)),
            }
        }
        keys
    }

    /// The value of a key, if it was read.
    #[must_use]
    pub fn get(&self, key: &KeyRef) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// The value of a key that is needed.
    ///
    /// # Errors
    /// [`MissingKey::Object`] where its folder is missing or empty (the volume of a missing object is mounted empty),
    /// [`MissingKey::Key`] where others are there.
    pub fn require(&self, key: &KeyRef) -> Result<&[u8], MissingKey> {
        self.get(key).ok_or_else(|| {
            self.missing.get(key).cloned().unwrap_or_else(|| MissingKey::Unreadable {
                key: key.clone(),
                why: "it is not among the keys that the run was given".to_owned(),
            })
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keys")?;
        formatter.debug_list().entries(self.values.keys()).finish()
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} keys", self.values.len())
    }
}

fn trimmed(mut value: Vec<u8>) -> Vec<u8> {
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    value
}

fn read_key(root: &Path, key: &KeyRef) -> Result<Vec<u8>, MissingKey> {
    let unreadable = |why: &str| MissingKey::Unreadable { key: key.clone(), why: why.to_owned() };
    // A mounted object has plain file names; anything else would leave its folder.
    if [&key.name, &key.key].into_iter().any(|part| !is_plain(part)) {
        return Err(unreadable("its name is not a plain file name"));
    }
    let folder = root.join(&key.name);
    let mut value = Vec::new();
    match File::open(folder.join(&key.key)) {
        Ok(file) => {
            file.take(MAX_VALUE_BYTES + 1)
                .read_to_end(&mut value)
                .map_err(|error| unreadable(&error.to_string()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = key.clone();
            return Err(if holds_keys(&folder) { MissingKey::Key(key) } else { MissingKey::Object(key) });
        }
        Err(error) => return Err(unreadable(&error.to_string())),
    }
    if value.len() as u64 > MAX_VALUE_BYTES {
        return Err(unreadable("it is larger than 1 MiB"));
    }
    Ok(value)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("..") && name != "." && !name.contains(['/', '\0'])
}

/// Whether a mounted folder holds a key. The kubelet's own entries (`..data` and what it points to) are none.
fn holds_keys(folder: &PathBuf) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"..")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: KeyKind, name: &str, key: &str) -> KeyRef {
        KeyRef { kind, name: name.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn mounted_keys_are_read_without_their_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, maps) = (folder.path().join("s"), folder.path().join("c"));
        std::fs::create_dir_all(secrets.join("prom")).unwrap();
        std::fs::create_dir_all(maps.join("ca")).unwrap();
        std::fs::write(secrets.join("prom/token"), "canary-7f3a\r\n").unwrap();
        std::fs::write(maps.join("ca/ca.crt"), "a\n\n").unwrap();
        let (token, ca) = (key(KeyKind::Secret, "prom", "token"), key(KeyKind::ConfigMap, "ca", "ca.crt"));
        let keys = Keys::from_folders(&secrets, &maps, &[&token, &ca]);
        assert_eq!(keys.get(&token), Some(&b"canary-7f3a"[..]));
        assert_eq!(keys.get(&ca), Some(&b"a\n"[..]));
        assert_eq!(keys.get(&key(KeyKind::Secret, "ca", "ca.crt")), None);
    }

    #[test]
    fn a_missing_object_is_told_from_a_missing_key() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("empty/..2026_01_01")).unwrap();
        std::fs::create_dir_all(root.join("prom")).unwrap();
        std::fs::write(root.join("prom/other"), "x").unwrap();
        for (name, expected) in [("absent", "Object"), ("empty", "Object"), ("prom", "Key")] {
            let wanted = key(KeyKind::Secret, name, "token");
            let error = Keys::from_folders(root, root, &[&wanted]).require(&wanted).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{name}: {error:?}");
            assert!(error.to_string().contains(name) && error.to_string().contains("token"), "{error}");
            assert!(error.to_string().contains(if expected == "Key" { "add the key" } else { "create it" }));
        }
    }

    #[test]
    fn a_key_never_leaves_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("secrets/a")).unwrap();
        std::fs::write(folder.path().join("outside"), "x").unwrap();
        for (name, entry) in [("..", "outside"), ("a", "../../outside"), (".", "a"), ("a", ""), ("", "a")] {
            let wanted = key(KeyKind::Secret, name, entry);
            let root = folder.path().join("secrets");
            let error = Keys::from_folders(&root, &root, &[&wanted]).require(&wanted).unwrap_err();
            assert!(matches!(error, MissingKey::Unreadable { .. }), "{name}/{entry}: {error:?}");
        }
    }

    #[test]
    fn no_value_is_ever_printed() {
        let token = key(KeyKind::Secret, "prom", "token");
        let keys = Keys::from_map(BTreeMap::from([(token, b"canary-7f3a\n".to_vec())]));
        let printed = format!("{keys:?} {keys} {:?}", Some(&keys));
        assert!(!printed.contains("canary"), "{printed}");
        assert!(printed.contains("token"), "{printed}");
    }
}
