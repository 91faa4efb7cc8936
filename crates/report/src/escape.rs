//! Texts of the measured world (label values, names of pods, messages of servers) made harmless.
//!
//! Markdown: what could open a construct is escaped as CommonMark 0.31 section 2.4 and GitHub's tables extension
//! say. Terminals: no control character is left, so no escape sequence either.

/// Puts a text on one line of at most `length` characters: control characters and white space become one space,
/// invisible and direction-changing characters go, a longer text ends in an ellipsis.
pub(crate) fn clean(text: &str, length: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut word = word.chars().filter(|c| !is_invisible(*c)).peekable();
        if word.peek().is_some() && !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    match line.char_indices().nth(length) {
        None => line,
        Some(_) => {
            let kept: String = line.chars().take(length.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// Replaces what a terminal may act on; keeps spaces.
pub(crate) fn terminal(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).map(|c| if is_break(c) { ' ' } else { c }).collect()
}

/// Appends a text to HTML, escaped for elements and for quoted attributes; what shows nothing or steers a terminal goes
/// as in [`terminal`].
pub(crate) fn html(text: &str, out: &mut String) {
    out.reserve(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_break(c) => out.push(' '),
            c => out.push(c),
        }
    }
}

/// Escapes a text for any inline place of Markdown: a paragraph, a list item, a heading, a cell.
///
/// An underscore between letters or digits is left alone: it emphasises nothing, and metric names stay readable in
/// the raw text.
pub(crate) fn markdown(text: &str) -> String {
    let text = terminal(text);
    let mut escaped = String::with_capacity(text.len());
    let mut previous: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let inside_word = previous.is_some_and(char::is_alphanumeric)
            && characters.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '_' if inside_word => escaped.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
        previous = Some(c);
    }
    escaped
}

/// Writes a text as a code span, in which nothing acts but a run of backticks as long as the one that opened it: so the
/// fence is longer than any run inside (CommonMark 0.31, section 6.1). Not for a table's cell, where a pipe would act.
///
/// The text before it must end in neither a backtick nor a backslash.
pub(crate) fn code_span(text: &str) -> String {
    let text = terminal(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A space on both sides is taken off again; without it a backtick at an edge would lengthen the fence.
    let edges = ['`', ' '];
    let space = if text.starts_with(edges) || text.ends_with(edges) { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Escapes what only acts at the beginning of a block: quotes, lists, rules and underlines of headings.
///
/// `escaped` has gone through [`markdown`] before.
pub(crate) fn block_start(escaped: &str) -> String {
    let escaped = escaped.trim_start();
    let digits = escaped.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = escaped.split_at(digits);
    let opens =
        if digits > 0 { rest.starts_with(['.', ')']) } else { rest.starts_with(['-', '+', '>', '=', ':']) };
    if opens { format!("{number}\\{rest}") } else { escaped.to_owned() }
}

/// Whether a character ends a line or steers a terminal.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character shows nothing and may reorder or hide what stands around it: zero-width characters, marks
/// and overrides of direction (Unicode TR 36), tags, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_put_on_one_line_and_cut() {
        for (text, length, line) in [
            ("  two\r\n\twords ", 20, "two words"),
            ("\u{1b}[31mred\u{1b}[0m", 20, "[31mred [0m"),
            ("abc\u{202E}def\u{200B}", 20, "abcdef"),
            ("\u{200B} \u{200B}", 20, ""),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("größe größe", 7, "größe…"),
        ] {
            assert_eq!(clean(text, length), line, "{text:?}");
        }
    }

    #[test]
    fn what_opens_a_construct_is_escaped() {
        for (text, escaped) in [
            ("a|b", "a\\|b"),
            ("http_requests_total", "http_requests_total"),
            ("_x_", "\\_x\\_"),
            ("<img src=x>", "&lt;img src=x>"),
            ("[a](b)", "\\[a\\](b)"),
            ("`a` **b** ~~c~~ &lt; \\|", "\\`a\\` \\*\\*b\\*\\* \\~\\~c\\~\\~ &amp;lt; \\\\\\|"),
            ("a\nb\u{2028}c", "a b c"),
            ("/api/{id}?x=1", "/api/{id}?x=1"),
        ] {
            assert_eq!(markdown(text), escaped, "{text:?}");
        }
    }

    #[test]
    fn code_is_fenced_by_more_backticks_than_it_holds() {
        for (text, written) in [
            ("SELECT $1", "`SELECT $1`"),
            ("a ` b", "``a ` b``"),
            ("`a`", "`` `a` ``"),
            ("``", "``` `` ```"),
            ("a ``` b ` c", "````a ``` b ` c````"),
            (" a", "`  a `"),
            ("", ""),
            (" ", ""),
            ("a\u{202E}b\n\u{1b}c", "`ab  c`"),
        ] {
            assert_eq!(code_span(text), written, "{text:?}");
        }
    }

    #[test]
    fn what_opens_a_block_is_escaped_at_its_beginning_only() {
        for (text, escaped) in [
            ("- a", "\\- a"),
            ("1. a", "1\\. a"),
            ("12) a", "12\\) a"),
            ("> a - b", "\\> a - b"),
            ("1.5 a", "1\\.5 a"),
            ("15 a", "15 a"),
            ("a - b", "a - b"),
        ] {
            assert_eq!(block_start(text), escaped, "{text:?}");
        }
    }
}
