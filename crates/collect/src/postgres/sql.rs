//! SQL that all statements share. No text of a request and none of the server's ever becomes part of a statement,
//! except the quoted name of the extension's schema and numbers.
//!
//! Everything goes by the simple protocol without parameters: a batch is one transaction and one exchange, which works
//! behind a pooler that gives each transaction another server connection, and every value comes as text, so that
//! `NaN`, infinite times and numbers beyond 64 bits cannot break decoding. Literals hold no backslash, since what one
//! means depends on a setting.

use std::time::Duration;

/// Column of the server's own time of a batch, microseconds.
pub(crate) const SERVER_TIME: &str = "server_time_us";
/// Marks our statements in pg_stat_statements, behind their first word.
pub(crate) const MARK: &str = "/* plimsoll */";

/// A statement in a read-only transaction of its own. Names cannot be shadowed, no function of a user runs, nothing is
/// waited for long, and one backend does the work; all of it ends with the transaction.
pub(crate) fn batch(statement: &str, most: Duration, lock_wait: Duration) -> String {
    format!(
        "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY; \
         SET LOCAL search_path = pg_catalog, pg_temp; \
         SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = 10000; \
         SET LOCAL extra_float_digits = 1; \
         SET LOCAL jit = off; \
         SET LOCAL max_parallel_workers_per_gather = 0; \
         SET LOCAL client_min_messages = error; \
         {statement}; \
         SELECT {MARK} (EXTRACT(epoch FROM clock_timestamp() - now()) * 1000000)::bigint AS {SERVER_TIME}; \
         COMMIT",
        most.as_millis(),
        lock_wait.as_millis()
    )
}

/// Microseconds since 1970 of a `timestamptz`; NULL where it is infinite.
pub(crate) fn micros(expression: &str) -> String {
    format!("CASE WHEN isfinite({expression}) THEN (EXTRACT(epoch FROM {expression}) * 1000000)::bigint END")
}

/// Bytes of a text as hexadecimal, whatever they are: converting to SQL_ASCII is leaving them as they are.
pub(crate) fn raw_text(expression: &str) -> String {
    format!("encode(convert_to(({expression})::text, 'SQL_ASCII'), 'hex')")
}

/// An identifier in quotes (PostgreSQL manual, 4.1.1): nothing inside ends it but a quote that is not doubled.
/// `None` for what no identifier can be.
pub(crate) fn identifier(name: &str) -> Option<String> {
    let is_possible = !name.is_empty() && !name.contains('\0');
    is_possible.then(|| format!("\"{}\"", name.replace('"', "\"\"")))
}

/// A literal array of 64-bit numbers.
pub(crate) fn numbers(numbers: &[i64]) -> String {
    let list: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("'{{{}}}'::bigint[]", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_read_only_transaction_under_limits() {
        let text = batch("SELECT 1", Duration::from_secs(5), Duration::from_millis(150));
        assert!(text.starts_with("BEGIN TRANSACTION") && text.ends_with("COMMIT"), "{text}");
        for part in [
            "READ ONLY",
            "search_path = pg_catalog, pg_temp",
            "statement_timeout = 5000",
            "lock_timeout = 150",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\\'));
    }

    #[test]
    fn an_identifier_cannot_end_its_own_quotes() {
        assert_eq!(identifier("public").as_deref(), Some("\"public\""));
        assert_eq!(identifier("a\"; DROP TABLE x; --").as_deref(), Some("\"a\"\"; DROP TABLE x; --\""));
        assert_eq!(identifier("Ein Schema 🐄").as_deref(), Some("\"Ein Schema 🐄\""));
        assert_eq!(identifier(""), None);
        assert_eq!(identifier("a\0b"), None);
    }

    #[test]
    fn numbers_are_written_as_one_literal() {
        assert_eq!(numbers(&[1, -9_223_372_036_854_775_808]), "'{1,-9223372036854775808}'::bigint[]");
        assert_eq!(numbers(&[]), "'{}'::bigint[]");
    }
}
