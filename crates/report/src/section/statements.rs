//! Statements by short names, and their texts, each once.

use std::collections::HashMap;

use crate::document::{Block, Text, list};

/// The statements of a report in the order in which they are first named: the first is `S1`.
#[derive(Debug, Default)]
pub(super) struct Statements<'a> {
    positions: HashMap<&'a str, usize>,
    known: Vec<(&'a str, Option<&'a str>)>,
    /// How many of them have had their texts shown.
    shown: usize,
}

impl<'a> Statements<'a> {
    /// The short name of a statement.
    pub(super) fn name(&mut self, query_id: &'a str, text: Option<&'a str>) -> String {
        let next = self.known.len();
        let position = *self.positions.entry(query_id).or_insert(next);
        if position == next {
            self.known.push((query_id, text));
        }
        // One list may have been read with texts and another without.
        self.known[position].1 = self.known[position].1.or(text);
        format!("S{}", position + 1)
    }

    /// The texts of the statements that were named since the last call.
    pub(super) fn texts(&mut self) -> Option<Block> {
        let mut unread = Vec::new();
        let mut items = Vec::new();
        for (index, (_, text)) in self.known.iter().enumerate().skip(self.shown) {
            let name = format!("S{}", index + 1);
            match text {
                Some(text) => items.push(Text::default().strong(&name).plain(" ").code(text)),
                None => unread.push(name),
            }
        }
        self.shown = self.known.len();
        if !unread.is_empty() {
            let names = unread.join(", ");
            items.push(Text::new(format!("Without text, which could not be read: {names}.")));
        }
        list(items)
    }
}
