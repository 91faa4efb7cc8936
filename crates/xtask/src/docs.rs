//! What the documents say of the tree is compared with the tree.
//!
//! docs/architecture.md and the decisions name files. A file that moves takes its name along, or a test here fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::process::root;

/// Folders at the top of the tree: a span of code that begins with one of them is a path.
const FOLDERS: [&str; 8] = [".cargo/", ".ci/", "charts/", "crates/", "crds/", "docs/", "e2e/", "examples/"];
/// Files at the top of the tree that a document may name.
const TOP_ENDINGS: [&str; 2] = [".toml", ".md"];

const ARCHITECTURE: &str = "docs/architecture.md";

fn text_of(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// The documents that are held to the tree, below the root.
fn documents() -> Vec<String> {
    let mut documents =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned).to_vec();
    for folder in ["docs", "docs/adr"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the folder is there") {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                documents.push(format!("{folder}/{name}"));
            }
        }
    }
    documents.sort();
    documents
}

/// Every path that a document names: in a span of code, from the root; in a link, from the document's folder.
fn paths(document: &str, text: &str) -> BTreeSet<PathBuf> {
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    let mut paths = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for span in line.split('`').skip(1).step_by(2) {
            let at_top = !span.contains(['/', ' ', '*']) && TOP_ENDINGS.iter().any(|end| span.ends_with(end));
            if at_top || FOLDERS.iter().any(|folder| span.starts_with(folder)) {
                paths.insert(PathBuf::from(span));
            }
        }
        for link in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let target = link.0.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                paths.insert(folder.join(target));
            }
        }
    }
    paths
}

/// The names in brackets in the pictures of a document: `[operator]`.
fn boxes(text: &str) -> BTreeSet<&str> {
    let fenced = text.split("```").skip(1).step_by(2);
    fenced
        .flat_map(|picture| picture.split('[').skip(1))
        .filter_map(|rest| rest.split_once(']'))
        .map(|(name, _)| name)
        .collect()
}

/// The first cells of the tables whose first column is headed "box", each with the rest of its row.
fn rows(text: &str) -> BTreeMap<&str, &str> {
    let mut rows = BTreeMap::new();
    let mut of_boxes = false;
    for line in text.lines() {
        let Some((first, rest)) = line.strip_prefix("| ").and_then(|row| row.split_once(" |")) else {
            of_boxes &= line.starts_with('|');
            continue;
        };
        if first == "box" {
            of_boxes = true;
        } else if of_boxes {
            rows.insert(first, rest);
        }
    }
    rows
}

/// The edges that the pictures of crates allow: `[cli] ──▶ [operator] [api]`.
fn drawn_edges(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let lines = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    let mut edges = BTreeMap::new();
    for line in lines {
        let Some((from, to)) = line.split_once("──▶") else { continue };
        let Some(from) = from.trim().strip_prefix('[').and_then(|from| from.strip_suffix(']')) else {
            continue;
        };
        let below = to.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(name, _)| name);
        edges.insert(from, below.collect());
    }
    edges
}

/// Our crates that a manifest needs outside tests.
fn edges_of_manifest(text: &str) -> BTreeSet<&str> {
    let mut edges = BTreeSet::new();
    let mut counts = false;
    for line in text.lines() {
        if line.starts_with('[') {
            counts = line == "[dependencies]";
        } else if let Some(rest) = line.strip_prefix("plimsoll-").filter(|_| counts) {
            edges.insert(rest.split(['.', ' ', '=']).next().unwrap_or_default());
        }
    }
    edges
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for path in paths(&document, &text_of(&document)) {
            seen += 1;
            if !root().join(&path).exists() {
                missing.push(format!("{document} names {}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "these paths do not exist:\n{}", missing.join("\n"));
    assert!(seen > 50, "only {seen} paths were found: the documents or this test have lost them");
}

#[test]
fn every_box_of_a_picture_has_a_row_with_its_files() {
    let text = text_of(ARCHITECTURE);
    let rows = rows(&text);
    let boxes = boxes(&text);
    assert!(boxes.len() > 15, "{boxes:?}");
    for name in &boxes {
        let row = rows.get(name).unwrap_or_else(|| panic!("the box [{name}] has no row"));
        assert!(row.contains("`c") || row.contains("`e2e/"), "the row of [{name}] names no file: {row}");
    }
    for name in rows.keys() {
        assert!(boxes.contains(name), "the row {name} has no box");
    }
}

#[test]
fn every_crate_is_drawn_and_every_edge_is_one_that_is_drawn() {
    let text = text_of(ARCHITECTURE);
    let drawn = drawn_edges(&text);
    let manifest = text_of("Cargo.toml");
    let members = manifest.lines().filter_map(|line| line.strip_prefix("  \"")?.strip_suffix("\","));
    let members: Vec<&str> = members.collect();
    assert!(members.len() > 8, "{members:?}");
    for member in members {
        let name = member.rsplit('/').next().unwrap_or_default();
        let allowed = drawn.get(name).unwrap_or_else(|| panic!("{ARCHITECTURE} draws no crate [{name}]"));
        let manifest = text_of(&format!("{member}/Cargo.toml"));
        for edge in edges_of_manifest(&manifest) {
            assert!(allowed.contains(edge), "{name} depends on {edge}, which {ARCHITECTURE} does not draw");
        }
    }
}

#[test]
fn a_path_is_seen_in_code_and_in_links_and_nowhere_else() {
    let text = "`crates/a.rs` [b](../b.md#c) [d](https://d/e) `cargo x` `deny.toml` `*.toml` crates/f\n\
                ```text\n`crates/g`\n```\n`docs/{h,i}.md`";
    let found = paths("docs/adr/x.md", text);
    let expected = ["crates/a.rs", "deny.toml", "docs/adr/../b.md", "docs/{h,i}.md"];
    assert_eq!(found, expected.map(PathBuf::from).into());
}
