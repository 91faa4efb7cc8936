//! Checks of the PromQL that users write: label matchers and whole queries, parsed before anything is sent.

use std::collections::BTreeSet;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromqlError {
    /// Not a list of label matchers.
    #[error("{text:?} is not a list of label matchers such as job=\"odoo\",status!~\"4..\": {why}")]
    Matchers {
        /// The text as given.
        text: String,
        /// What the parser says.
        why: String,
    },
    /// Not a PromQL expression.
    #[error("the query does not parse: {why}")]
    Query {
        /// What the parser says.
        why: String,
    },
}

/// Checks that `text` holds label matchers and nothing else, so that it can stand between the braces of a selector.
///
/// The empty text is allowed. A matcher on `__name__` is refused, since the metric's name is a field of its own.
///
/// # Errors
/// [`PromqlError::Matchers`] with the parser's reason.
pub fn check_matchers(text: &str) -> Result<(), PromqlError> {
    let error = |why: &str| PromqlError::Matchers { text: text.to_owned(), why: why.to_owned() };
    // Once in a selector with a fixed name: whatever escapes from the braces makes it another expression.
    let expression = parser::parse(&format!("plimsoll{{{text}}}")).map_err(|why| error(&why.to_string()))?;
    let Expr::VectorSelector(selector) = &expression else {
        return Err(error("it ends the selector"));
    };
    if selector.name.as_deref() != Some("plimsoll") || selector.offset.is_some() || selector.at.is_some() {
        return Err(error("it ends the selector"));
    }
    if !selector.matchers.or_matchers.is_empty() {
        return Err(error("`or` is not understood by every server"));
    }
    if selector.matchers.matchers.iter().any(|matcher| matcher.name == "__name__") {
        return Err(error("the metric's name is a field of its own"));
    }
    Ok(())
}

/// Checks that `text` is a PromQL expression.
///
/// # Errors
/// [`PromqlError::Query`] with the parser's reason.
pub fn check_query(text: &str) -> Result<(), PromqlError> {
    parser::parse(text).map(|_| ()).map_err(|why| PromqlError::Query { why: why.to_string() })
}

/// What an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// One number.
    Scalar,
    /// Series with a number each.
    Vector,
    /// A text, or numbers over a time: nothing that can be compared with a bound.
    Other,
}

/// What a query gives.
///
/// # Errors
/// [`PromqlError::Query`] with the parser's reason.
pub fn gives(text: &str) -> Result<Gives, PromqlError> {
    let expression = parser::parse(text).map_err(|why| PromqlError::Query { why: why.to_string() })?;
    Ok(match expression.value_type() {
        ValueType::Scalar => Gives::Scalar,
        ValueType::Vector => Gives::Vector,
        ValueType::Matrix | ValueType::String => Gives::Other,
    })
}

/// The names of the metrics that a query selects.
///
/// # Errors
/// [`PromqlError::Query`] with the parser's reason.
pub fn metric_names(text: &str) -> Result<BTreeSet<String>, PromqlError> {
    struct Names(BTreeSet<String>);
    impl ExprVisitor for Names {
        type Error = std::convert::Infallible;

        fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
            match expression {
                Expr::VectorSelector(selector) => self.0.extend(selector.name.clone()),
                Expr::MatrixSelector(selector) => self.0.extend(selector.vs.name.clone()),
                _ => {}
            }
            Ok(true)
        }
    }
    let expression = parser::parse(text).map_err(|why| PromqlError::Query { why: why.to_string() })?;
    let mut names = Names(BTreeSet::new());
    match walk_expr(&mut names, &expression) {
        Ok(_) => Ok(names.0),
        Err(never) => match never {},
    }
}

/// A string literal of PromQL.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_matchers_are_accepted() {
        for text in
            ["", "job=\"odoo\"", "status=~\"5..\"", "a=\"x\",b!=\"y\", c!~\"z.*\"", "path=\"/a}{b\"", "a='q'"]
        {
            assert_eq!(check_matchers(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn whatever_leaves_the_braces_is_refused() {
        for text in [
            "job=\"odoo\"} or vector(1) #",
            "job=\"odoo\"} offset 5m #",
            "job=\"odoo\"}[5m",
            "a=\"b\"} + other{c=\"d\"",
            "job",
            "job=odoo",
            "__name__=\"other\"",
            "a=~\"(\"",
            "}",
        ] {
            assert!(check_matchers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_query_tells_what_it_gives_and_of_which_metrics() {
        for (text, expected) in [
            ("1 + 2", Gives::Scalar),
            ("scalar(up)", Gives::Scalar),
            ("up / 2", Gives::Vector),
            ("vector(1)", Gives::Vector),
            ("up[5m]", Gives::Other),
            ("\"text\"", Gives::Other),
        ] {
            assert_eq!(gives(text), Ok(expected), "{text}");
        }
        let names =
            metric_names("sum by (le) (rate(a_bucket{b=\"c\"}[5m])) / on () max_over_time(d[1h:5m]) + e")
                .unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a_bucket", "d", "e"]);
        assert!(metric_names("sum(").is_err());
    }

    #[test]
    fn queries_are_parsed() {
        assert_eq!(check_query("avg(odoo_workers_busy)"), Ok(()));
        assert_eq!(check_query("sum by (pod) (rate(x_total{a=\"b\"}[5m])) / 2"), Ok(()));
        for text in ["", "sum(", "rate(x_total)", "x{", "drop table"] {
            assert!(check_query(text).is_err(), "{text}");
        }
    }
}
