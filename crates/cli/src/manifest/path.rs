//! Paths of fields, as errors write them and as a document is searched by them.

use std::fmt;

use super::node::{Content, Node};

/// A field of an object, from its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl Path {
    /// Reads a path such as `spec.metrics[0].query`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("[\"") {
                // A key with dots or other characters of its own.
                let (key, after) = quoted.split_once("\"]").unwrap_or((quoted, ""));
                segments.push(Segment::Key(key.to_owned()));
                rest = after;
            } else if let Some(index) = rest.strip_prefix('[') {
                let (index, after) = index.split_once(']').unwrap_or((index, ""));
                segments.extend(index.parse().ok().map(Segment::Index));
                rest = after;
            } else {
                let part = rest.strip_prefix('.').unwrap_or(rest);
                let (key, after) = part.split_at(part.find(['.', '[']).unwrap_or(part.len()));
                if !key.is_empty() {
                    segments.push(Segment::Key(key.to_owned()));
                }
                rest = after;
            }
        }
        Self(segments)
    }

    /// Whether a key would not be read back as it is.
    fn is_quoted(key: &str) -> bool {
        key.contains(['.', '[', ']', ' ', '/'])
    }

    /// The field `key` of this one.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The item `index` of this one.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The line of the field, or of the nearest field around it that is written.
    pub(crate) fn line_in(&self, root: &Node) -> u64 {
        let (mut node, mut line) = (root, root.line);
        for segment in &self.0 {
            let found = match (segment, &node.content) {
                (Segment::Key(key), Content::Map(entries)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (entry.line, &entry.node))
                }
                (Segment::Index(index), Content::List(items)) => {
                    items.get(*index).map(|item| (item.line, item))
                }
                _ => None,
            };
            match found {
                Some(found) => (line, node) = found,
                None => break,
            }
        }
        line
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if Self::is_quoted(key) => write!(formatter, "[{key:?}]")?,
                Segment::Key(key) if position == 0 => formatter.write_str(key)?,
                Segment::Key(key) => write!(formatter, ".{key}")?,
                Segment::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_it_was_read() {
        for text in ["spec.metrics[0].query", "spec", "metadata.labels"] {
            assert_eq!(Path::parse(text).to_string(), text);
        }
        for text in ["a.labels[\"b.c/d e\"]", "a[0].labels[\"b c\"].d[1]", "", "a..b[", ".[x]"] {
            let path = Path::parse(text);
            assert_eq!(Path::parse(&path.to_string()), path, "{text}");
        }
        assert_eq!(Path::parse("a.labels[\"b.c/d\"]").0.len(), 3);
        let label = Path::parse("metadata.labels").key("app.kubernetes.io/name");
        assert_eq!(label.to_string(), "metadata.labels[\"app.kubernetes.io/name\"]");
    }
}
