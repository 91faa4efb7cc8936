//! Which statement texts may be shown, and how.
//!
//! The server replaces the constants of SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES by `$1`, `$2`... It leaves
//! them in utility statements (`CREATE ROLE ... PASSWORD '...'`), and in the rare text that it kept before it knew the
//! constants. So only the former kinds are shown, without comments, and whatever constant is left in them is masked.

/// Most characters of a text in a record.
pub(crate) const MAX_SHOWN: usize = 200;
/// Characters that are asked of the server: comments and blanks are taken out of these.
pub(crate) const MAX_READ: usize = 1000;

/// First words of the statements whose constants the server replaces.
const NORMALISED: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE"];

/// The text of a statement as it may be shown, cut at 200 characters; `None` where the statement may hold a literal and
/// is dropped.
pub(crate) fn shown(text: &str) -> Option<String> {
    let masked = masked(text);
    let first: String =
        masked.trim_start_matches(['(', ' ']).chars().take_while(char::is_ascii_alphabetic).collect();
    let is_normalised = NORMALISED.iter().any(|word| first.eq_ignore_ascii_case(word));
    is_normalised.then(|| crate::failure::cleaned(&masked, MAX_SHOWN))
}

/// The text in one line without comments, every literal as `?`. What the cut left open ends with the text.
fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len().min(MAX_READ));
    let mut at = 0;
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied());
        at = match c {
            '-' if next == Some('-') => blank(&mut out, line_end(&chars, at)),
            '/' if next == Some('*') => blank(&mut out, comment_end(&chars, at)),
            '\'' => mask(&mut out, string_end(&chars, at, false)),
            '"' => {
                let end = quoted_end(&chars, at);
                out.extend(&chars[at..end]);
                end
            }
            '$' => match dollar(&chars, at) {
                Dollar::Parameter(end) => {
                    out.extend(&chars[at..end]);
                    end
                }
                Dollar::String(end) => mask(&mut out, end),
                Dollar::Other => {
                    out.push('$');
                    at + 1
                }
            },
            c if c.is_ascii_digit() || (c == '.' && next.is_some_and(|next| next.is_ascii_digit())) => {
                mask(&mut out, number_end(&chars, at))
            }
            c if is_word(c) => word(&mut out, &chars, at),
            c if c.is_whitespace() => blank(&mut out, at + 1),
            c => {
                out.push(c);
                at + 1
            }
        };
    }
    out.trim().to_owned()
}

fn blank(out: &mut String, end: usize) -> usize {
    if !out.ends_with(' ') {
        out.push(' ');
    }
    end
}

fn mask(out: &mut String, end: usize) -> usize {
    out.push('?');
    end
}

/// Copies a word, or masks a literal that begins like one: `E'..'`, `B'..'`, `X'..'`, `N'..'`, `U&'..'`.
fn word(out: &mut String, chars: &[char], at: usize) -> usize {
    let end =
        (at..chars.len()).find(|&i| !is_word(chars[i]) && !chars[i].is_ascii_digit()).unwrap_or(chars.len());
    let prefix: String = chars[at..end].iter().collect();
    let quote = |at: usize| chars.get(at) == Some(&'\'');
    if quote(end) && ["e", "b", "x", "n"].iter().any(|known| prefix.eq_ignore_ascii_case(known)) {
        return mask(out, string_end(chars, end, prefix.eq_ignore_ascii_case("e")));
    }
    if prefix.eq_ignore_ascii_case("u") && chars.get(end) == Some(&'&') && quote(end + 1) {
        return mask(out, string_end(chars, end + 1, false));
    }
    out.push_str(&prefix);
    end
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || (!c.is_ascii() && !c.is_whitespace())
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|&i| matches!(chars[i], '\n' | '\r')).unwrap_or(chars.len())
}

/// Comments nest.
fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0_usize, at);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

/// Behind the string whose quote is at `at`. A backslash may or may not escape the quote (a setting of the session
/// decides): where it matters, the rest of the text counts as the string's.
fn string_end(chars: &[char], at: usize, is_escaped: bool) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' if is_escaped => i += 2,
            '\\' if chars.get(i + 1) == Some(&'\'') => return chars.len(),
            '\'' if chars.get(i + 1) == Some(&'\'') => i += 2,
            '\'' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '"' if chars.get(i + 1) == Some(&'"') => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

enum Dollar {
    /// `$1`.
    Parameter(usize),
    /// `$$...$$` or `$tag$...$tag$`.
    String(usize),
    Other,
}

fn dollar(chars: &[char], at: usize) -> Dollar {
    let digits = chars[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    if digits > 0 {
        return Dollar::Parameter(at + 1 + digits);
    }
    let tag = chars[at + 1..].iter().take_while(|c| is_word(**c) || c.is_ascii_digit()).count();
    let Some(open) = chars.get(at..at + tag + 2).filter(|open| open.last() == Some(&'$')) else {
        return Dollar::Other;
    };
    let body = at + open.len();
    let found = (body..chars.len()).find(|&i| chars[i..].starts_with(open));
    Dollar::String(found.map_or(chars.len(), |i| i + open.len()))
}

fn number_end(chars: &[char], at: usize) -> usize {
    let mut i = at;
    while i < chars.len() {
        let is_sign = matches!(chars[i], '+' | '-') && matches!(chars[i - 1], 'e' | 'E') && i > at;
        if !(chars[i].is_ascii_alphanumeric() || matches!(chars[i], '.' | '_') || is_sign) {
            break;
        }
        i += 1;
    }
    i
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_server_normalised_is_shown_as_it_is() {
        for text in [
            "SELECT pg_sleep($1)",
            "select a.\"Weird\"\"Name 7\", b2 from t1 a where a.x_9 = $1 and b <> $12",
            "UPDATE dairy_collection SET fat = fat + $1 WHERE id = $2",
            "(SELECT $1) UNION ALL (SELECT $2)",
            "WITH x AS (SELECT $1) SELECT * FROM x",
            "INSERT INTO t VALUES ($1, $2) ON CONFLICT DO NOTHING",
            "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DO NOTHING",
            "SELECT größe FROM straße WHERE x = $1",
        ] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn statements_that_may_hold_a_literal_are_dropped() {
        for text in [
            "CREATE ROLE x PASSWORD 'canary'",
            "ALTER USER x WITH PASSWORD 'canary'",
            "EXPLAIN SELECT 'canary'",
            "COPY t FROM PROGRAM 'canary'",
            "SET app.user = 'canary'",
            "PREPARE p AS SELECT 'canary'",
            "DO $$ canary $$",
            "CREATE TABLE x AS SELECT 'canary'",
            "DECLARE c CURSOR FOR SELECT 'canary'",
            "CALL p('canary')",
            "/* SELECT */ CREATE ROLE x PASSWORD 'canary'",
            "-- SELECT\nCREATE ROLE x",
            "SELECTED",
            "<insufficient privilege>",
            "",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn literals_that_the_server_left_are_masked_and_comments_taken_out() {
        for (text, expected) in [
            ("SELECT 'canary', 4111111111111111", "SELECT ?, ?"),
            ("SELECT 'it''s canary' || x", "SELECT ? || x"),
            ("SELECT E'can\\'ary', 1.5e-7, .5, 0x1F, 1_000", "SELECT ?, ?, ?, ?, ?"),
            ("SELECT 'a\\' canary', 2", "SELECT ?"),
            ("SELECT U&'canary', B'101', x'ff', N'canary'", "SELECT ?, ?, ?, ?"),
            ("SELECT $tag$ canary $x$ $tag$, $$canary$$, $1", "SELECT ?, ?, $1"),
            ("SELECT /* canary /* nested */ */ a -- canary\n FROM t", "SELECT a FROM t"),
            ("SELECT a FROM t WHERE b = 'canary", "SELECT a FROM t WHERE b = ?"),
            ("SELECT a /* canary", "SELECT a"),
            ("SELECT $$canary", "SELECT ?"),
            ("/*app='canary'*/ SELECT a", "SELECT a"),
            ("SELECT a::numeric(10,2) FROM t2 ORDER BY 1", "SELECT a::numeric(?,?) FROM t2 ORDER BY ?"),
            ("SELECT\n\t a,\u{1}b", "SELECT a, b"),
            ("SELECT a IN ($1 /*, ... */)", "SELECT a IN ($1 )"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_200_characters() {
        let text = shown(&format!("SELECT {}", "ä, ".repeat(10_000))).unwrap();
        assert_eq!(text.chars().count(), MAX_SHOWN);
    }

    proptest! {
        #[test]
        fn a_literal_never_shows_whatever_stands_around_it(before in "[ -~\n]{0,20}", after in "[ -~]{0,20}") {
            // What stands before may open a string, comment or name of its own: a name is no literal.
            prop_assume!(!before.contains(['"', '\'']));
            let text = format!("SELECT {before} 'canary7' {after}");
            if let Some(shown) = shown(&text) {
                prop_assert!(!shown.contains("canary7"), "{shown}");
            }
        }

        #[test]
        fn no_text_makes_masking_fail(text in "\\PC{0,80}") {
            let _ = shown(&text);
        }
    }
}
