//! HTML under construction. What reaches the page unescaped is a literal of this program: [`Markup::raw`] takes nothing
//! else, so that no text of the measured world can become markup.

use crate::escape;

/// A piece of HTML or SVG.
#[derive(Debug, Clone, Default)]
pub(crate) struct Markup(String);

impl Markup {
    /// A piece that begins with markup of ours.
    pub(crate) fn new(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// Appends markup of ours, word for word.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends a text, escaped.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        escape::html(text, &mut self.0);
        self
    }

    /// Appends an attribute with its value escaped.
    pub(crate) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// Appends an attribute that is a coordinate or a length.
    pub(crate) fn at(&mut self, name: &'static str, value: f64) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").number(value).raw("\"")
    }

    /// Appends a number with at most two decimals.
    pub(crate) fn number(&mut self, value: f64) -> &mut Self {
        // Nothing that is drawn lies further out, and an SVG knows no infinity.
        let value = if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
        let text = format!("{value:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        self.0.push_str(if text == "-0" { "0" } else { text });
        self
    }

    /// Appends a count.
    pub(crate) fn count(&mut self, value: usize) -> &mut Self {
        self.0.push_str(&value.to_string());
        self
    }

    /// Appends another piece.
    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The finished text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_escaped_and_numbers_are_plain() {
        let mut markup = Markup::new("<a");
        markup
            .attribute("title", "\"'><script>`&\u{202E}\u{1b}[2J")
            .raw(">")
            .text("<b>&amp;</b>")
            .raw("</a>");
        assert_eq!(
            markup.into_string(),
            "<a title=\"&quot;&#39;&gt;&lt;script&gt;`&amp; [2J\">&lt;b&gt;&amp;amp;&lt;/b&gt;</a>"
        );
        let mut numbers = Markup::default();
        for value in [1.0, 1.239, -0.001, f64::NAN, f64::INFINITY, 1e300] {
            numbers.number(value).raw(" ");
        }
        assert_eq!(numbers.into_string(), "1 1.24 0 0 0 1000000 ");
    }
}
