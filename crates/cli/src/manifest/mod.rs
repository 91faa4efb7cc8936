//! Manifests: files of YAML or JSON documents, each an object of Kubernetes that knows its lines.

mod node;
mod path;

use std::io::Read as _;
use std::path::{Path as FilePath, PathBuf};

use serde_saphyr::{DuplicateKeyPolicy, Options};

pub(crate) use node::{Content, Node};
pub(crate) use path::Path;

/// Name under which standard input is given.
const STANDARD_INPUT: &str = "-";
/// Extensions of the files that are taken from a folder.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];
/// Most bytes of one file.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// One object. It has no `Debug`: it may be a Secret.
#[derive(Clone)]
pub(crate) struct Document {
    /// The file as the user named it.
    pub(crate) file: String,
    /// The object.
    pub(crate) node: Node,
}

/// A file that cannot be read as manifests. Nothing of its content stands in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub(crate) struct Unreadable {
    place: String,
    message: String,
}

impl Document {
    /// Its `apiVersion`.
    pub(crate) fn api_version(&self) -> Option<&str> {
        self.node.get("apiVersion").and_then(Node::as_str)
    }

    /// Its `kind`.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.node.get("kind").and_then(Node::as_str)
    }

    /// Its `metadata.name`.
    pub(crate) fn name(&self) -> Option<&str> {
        self.metadata("name")
    }

    /// Its `metadata.namespace`.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    fn metadata(&self, field: &str) -> Option<&str> {
        self.node.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Node::as_str)
    }

    /// File and line of the object or of one of its fields.
    pub(crate) fn place(&self, path: &Path) -> String {
        format!("{}:{}", self.file, path.line_in(&self.node))
    }
}

/// Reads every document of the named files, of the manifests below the named folders, and of standard input (`-`).
///
/// # Errors
/// Every file that cannot be read, with the line where one is to blame.
pub(crate) fn read(names: &[PathBuf]) -> Result<Vec<Document>, Vec<Unreadable>> {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let found = if name.is_dir() {
            files_below(name).map_err(|error| unreadable(name, &error))
        } else {
            Ok(vec![name.clone()])
        };
        let files = found.unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        for file in files {
            match text(&file).and_then(|text| parse(&file.display().to_string(), &text)) {
                Ok(found) => documents.extend(found),
                Err(error) => errors.push(error),
            }
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// Reads the documents of a text. The items of a `List` are documents of their own.
///
/// # Errors
/// What is no YAML, with its line.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Document>, Unreadable> {
    let options: Options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // An error must not show the lines around it: they may be a Secret's.
        with_snippet: false,
        // As kubectl reads them.
        legacy_octal_numbers: true,
        strict_booleans: false,
    };
    let nodes: Vec<Node> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let place = match error.location() {
            Some(location) if location.line() > 0 => format!("{file}:{}", location.line()),
            _ => file.to_owned(),
        };
        Unreadable { place, message: format!("not YAML or JSON: {}", without_place(&error.to_string())) }
    })?;
    Ok(nodes.into_iter().flat_map(|node| expand(file, node)).collect())
}

fn expand(file: &str, node: Node) -> Vec<Document> {
    let document = Document { file: file.to_owned(), node };
    if document.api_version() != Some("v1") || document.kind() != Some("List") {
        return vec![document];
    }
    match document.node.get("items").map(|items| &items.content) {
        Some(Content::List(items)) => {
            items.iter().map(|item| Document { file: file.to_owned(), node: item.clone() }).collect()
        }
        _ => vec![document],
    }
}

/// The message without the place at its end: the place stands before it already.
fn without_place(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or(first).trim_end_matches([':', ' ']).to_owned()
}

/// Reads a file, or standard input (`-`).
///
/// # Errors
/// It cannot be read, is larger than 32 MiB, or is not UTF-8.
pub(crate) fn text(file: &FilePath) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    let result = if file.as_os_str() == STANDARD_INPUT {
        std::io::stdin().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    result.map_err(|error| unreadable(file, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(file, &"it is larger than 32 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| unreadable(file, &"it is not text in UTF-8"))
}

fn unreadable(file: &FilePath, why: &dyn std::fmt::Display) -> Unreadable {
    Unreadable { place: file.display().to_string(), message: why.to_string() }
}

/// The manifests below a folder, by name; hidden entries and links to folders are left out.
fn files_below(folder: &FilePath) -> std::io::Result<Vec<PathBuf>> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found == *known))
            && path.is_file()
        {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\napiVersion: v1\nkind: Secret\nmetadata:\n  name: prom\n---\n\n---\nkind: Other\nspec:\n  list:\n  - a: 1\n  - b: {c: yes, d: ~}\n";

    #[test]
    fn every_part_knows_its_line() {
        let documents = parse("a.yaml", TEXT).unwrap();
        assert_eq!(documents.len(), 2, "a document without content is none");
        assert_eq!((documents[0].kind(), documents[0].name()), (Some("Secret"), Some("prom")));
        assert_eq!(documents[0].place(&Path::default()), "a.yaml:2");
        assert_eq!(documents[0].place(&Path::parse("metadata.name")), "a.yaml:5");
        for (path, line) in [
            ("spec", 10),
            ("spec.list[0].a", 12),
            ("spec.list[1]", 13),
            ("spec.list[1].b.d", 13),
            ("spec.list[9].b", 11),
            ("status.x", 9),
        ] {
            assert_eq!(documents[1].place(&Path::parse(path)), format!("a.yaml:{line}"), "{path}");
        }
        let json =
            serde_json::json!({"kind": "Other", "spec": {"list": [{"a": 1}, {"b": {"c": true, "d": null}}]}});
        assert_eq!(documents[1].node.to_json(), json);
    }

    #[test]
    fn json_and_lists_are_read_too() {
        let text = "{\n\t\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\t\t{\"kind\": \"A\", \"x\": 1.5},\n\t\t{\"kind\": \"B\"}\n]}";
        let documents = parse("a.json", text).unwrap();
        let kinds: Vec<_> = documents.iter().map(|document| document.kind().unwrap()).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert_eq!(documents[1].place(&Path::default()), "a.json:4");
        assert_eq!(documents[0].node.get("x").unwrap().type_name(), "number");
    }

    #[test]
    fn what_is_no_yaml_is_named_by_its_line_and_never_shown() {
        for text in [
            "kind: Secret\nstringData:\n  token: \"canary-7f3a\n",
            "kind: Secret\nstringData:\n  token: canary-7f3a\n  token: canary-7f3b\n",
            "kind: Secret\n\tcanary: x\n",
            "token: [canary-7f3a\nb: c\n",
            "token: &canary-7f3a *missing\n",
        ] {
            let Err(error) = parse("a.yaml", text) else { panic!("{text:?} was read") };
            let error = error.to_string();
            assert!(error.starts_with("a.yaml:"), "{error}");
            assert!(!error.contains("canary-7f3") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn folders_are_searched_and_what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("b/.git")).unwrap();
        for name in ["z.yaml", "b/a.yml", "b/.git/x.yaml", "b/note.txt"] {
            std::fs::write(at(name), format!("kind: {name:?}")).unwrap();
        }
        let Ok(documents) = read(&[folder.path().to_owned()]) else { panic!("unreadable") };
        let kinds: Vec<_> = documents.iter().map(|document| document.kind().unwrap()).collect();
        assert_eq!(kinds, ["b/a.yml", "z.yaml"]);
        std::fs::write(at("bad.yaml"), [0xff, 0xfe]).unwrap();
        let Err(errors) = read(&[at("absent.yaml"), at("bad.yaml"), at("z.yaml")]) else { panic!("read") };
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(errors[0].contains("absent.yaml: No such file"), "{errors:?}");
        assert!(errors[1].contains("bad.yaml"), "{errors:?}");
        assert_eq!(errors.len(), 2);
    }
}
