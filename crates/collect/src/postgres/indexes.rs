//! Indexes that hardly serve: unused, duplicate, invalid.
//!
//! Nothing here takes a lock on a user's table or index: sizes of locked indexes are what the catalog knows, and
//! definitions are compared as the catalog stores them (`pg_get_indexdef` and `pg_get_expr` would open the table).

use plimsoll_analysis::record::{DuplicateIndex, InvalidIndex, SourceReason, UnusedIndex};

use super::server::Facts;
use super::session::{Row, STATEMENT, Session};
use super::sql::MARK;

/// Thresholds of the seed: fewer scans and more bytes than these.
const SCANS: u32 = 50;
const BYTES: u64 = 10 * 1024 * 1024;
/// Version from which a unique index may count NULLs as equal.
const NULLS_NOT_DISTINCT: u64 = 150_000;
/// Most indexes of a list.
const MAX_LISTED: u32 = 50;
/// Most indexes whose size is asked for.
const MAX_SIZED: u32 = 1000;

/// Indexes with fewer than 50 scans and more than 10 MB (the seed's rule) that keep no constraint and identify no rows
/// for replication: dropping one of those would change what the database accepts. Nor a part of a partitioned index, which
/// cannot be dropped by itself and may serve other partitions.
pub(crate) async fn unused(session: &mut Session<'_>, facts: &Facts) -> Option<Vec<UnusedIndex>> {
    let candidates = format!(
        "SELECT i.indexrelid AS oid, n.nspname, t.relname AS tabname, c.relname AS indname, c.relpages, \
           pg_stat_get_numscans(i.indexrelid) AS scans, NULL::name AS other \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't' \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
         WHERE i.indisvalid AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion \
           AND NOT i.indisreplident AND NOT c.relispartition AND pg_stat_get_numscans(i.indexrelid) < {SCANS} AND {USERS} \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid)"
    );
    let rows = sized(session, facts, "unused indexes", &candidates, BYTES).await?;
    let found = rows.iter().filter_map(|row| {
        Some(UnusedIndex {
            schema: row.text("schema")?,
            table: row.text("table")?,
            index: row.text("index")?,
            size_bytes: row.count("bytes")?,
            size: row.plain("size")?,
            index_scans: row.count("scans")?,
        })
    });
    Some(found.collect())
}

/// Tables of users; TOAST and the system's have no indexes that anybody could drop.
const USERS: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND left(n.nspname::text, 8) <> 'pg_toast'";

/// Where in the source text an expression stood: stored with it, and without meaning.
const LOCATION: &str = "' :location -?[0-9]+', '', 'g'";

/// Indexes whose work another one does: of equal kind, condition, operator classes, collations and order, over the same
/// columns, or over more that begin with these (B-trees of plain columns only). One that keeps a constraint or is unique
/// goes only before another that is unique too, with the same columns. Of two equal ones the younger is named.
pub(crate) async fn duplicate(session: &mut Session<'_>, facts: &Facts) -> Option<Vec<DuplicateIndex>> {
    let candidates = format!(
        "SELECT DISTINCT ON (a.oid) a.oid, n.nspname, t.relname AS tabname, a.relname AS indname, a.relpages, \
           0 AS scans, b.relname AS other \
         FROM all_indexes a JOIN all_indexes b ON b.indrelid = a.indrelid AND b.oid <> a.oid AND b.relam = a.relam \
           AND b.condition IS NOT DISTINCT FROM a.condition \
         JOIN pg_catalog.pg_class t ON t.oid = a.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
         WHERE {USERS} AND NOT a.keeps AND ( \
           (a.keys = b.keys AND a.natts = b.natts AND a.nkeyatts = b.nkeyatts AND a.classes = b.classes \
             AND a.collations = b.collations AND a.options = b.options \
             AND a.expressions IS NOT DISTINCT FROM b.expressions \
             AND (NOT a.indisunique OR (b.indisunique AND a.nulls = b.nulls)) \
             AND (b.keeps OR (b.indisunique AND NOT a.indisunique) OR a.oid > b.oid)) \
           OR (a.is_btree AND NOT a.indisunique AND a.expressions IS NULL AND a.natts = a.nkeyatts \
             AND a.nkeyatts < b.nkeyatts AND starts_with(b.keys, a.keys) AND starts_with(b.classes, a.classes) \
             AND starts_with(b.collations, a.collations) AND starts_with(b.options, a.options))) \
         ORDER BY a.oid, b.keeps DESC, b.nkeyatts, b.oid"
    );
    let nulls = if facts.version >= NULLS_NOT_DISTINCT { "i.indnullsnotdistinct" } else { "false" };
    let with = format!(
        ", all_indexes AS MATERIALIZED ( \
           SELECT i.indexrelid AS oid, i.indrelid, c.relname, c.relam, c.relpages, i.indisunique, \
             i.indnatts AS natts, i.indnkeyatts AS nkeyatts, m.amname = 'btree' AS is_btree, \
             i.indkey::text || ' ' AS keys, i.indclass::text || ' ' AS classes, \
             i.indcollation::text || ' ' AS collations, i.indoption::text || ' ' AS options, \
             regexp_replace(i.indexprs::text, {LOCATION}) AS expressions, \
             regexp_replace(i.indpred::text, {LOCATION}) AS condition, \
             {nulls} AS nulls, \
             (i.indisprimary OR i.indisexclusion OR i.indisreplident OR c.relispartition \
               OR k.conindid IS NOT NULL) AS keeps \
           FROM pg_catalog.pg_index i \
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't' \
           JOIN pg_catalog.pg_am m ON m.oid = c.relam \
           LEFT JOIN (SELECT DISTINCT o.conindid FROM pg_catalog.pg_constraint o) k ON k.conindid = i.indexrelid \
           WHERE i.indisvalid AND i.indrelid >= 16384)"
    );
    let rows = sized_with(session, facts, "duplicate indexes", (&with, &candidates), 0).await?;
    let found = rows.iter().filter_map(|row| {
        Some(DuplicateIndex {
            schema: row.text("schema")?,
            table: row.text("table")?,
            index: row.text("index")?,
            covered_by: row.text("other")?,
            size_bytes: row.count("bytes")?,
            size: row.plain("size")?,
        })
    });
    Some(found.collect())
}

/// Indexes that a failed `CREATE INDEX CONCURRENTLY` or `REINDEX CONCURRENTLY` left behind, without those that are
/// being built right now.
pub(crate) async fn invalid(session: &mut Session<'_>, facts: &Facts) -> Option<Vec<InvalidIndex>> {
    let candidates = format!(
        "SELECT i.indexrelid AS oid, n.nspname, t.relname AS tabname, c.relname AS indname, c.relpages, 0 AS scans, \
           NULL::name AS other \
         FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't' \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
         WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND {USERS} \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p \
             WHERE p.index_relid = i.indexrelid OR (p.relid = i.indrelid AND p.index_relid = 0))"
    );
    let rows = sized(session, facts, "invalid indexes", &candidates, 0).await?;
    let found = rows.iter().filter_map(|row| {
        Some(InvalidIndex {
            schema: row.text("schema")?,
            table: row.text("table")?,
            index: row.text("index")?,
            size_bytes: row.count("bytes")?,
            size: row.plain("size")?,
        })
    });
    Some(found.collect())
}

async fn sized(
    session: &mut Session<'_>,
    facts: &Facts,
    what: &str,
    candidates: &str,
    above: u64,
) -> Option<Vec<Row>> {
    sized_with(session, facts, what, ("", candidates), above).await
}

/// Candidates with their sizes, largest first. As with tables, a locked index has the size that the catalog knows, and
/// all have where one is locked between looking and asking.
async fn sized_with(
    session: &mut Session<'_>,
    facts: &Facts,
    what: &str,
    (with, candidates): (&str, &str),
    above: u64,
) -> Option<Vec<Row>> {
    let estimate = format!("c.relpages::bigint * {}", facts.block_size);
    let asked = format!("CASE WHEN l.oid IS NULL THEN pg_relation_size(c.oid) ELSE {estimate} END");
    for bytes in [asked, estimate] {
        let statement = format!(
            "WITH {MARK} locked AS MATERIALIZED ( \
               SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_locks l \
               WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.database = {database} \
             ){with}, candidates AS MATERIALIZED ({candidates}), largest AS MATERIALIZED ( \
               SELECT c.* FROM candidates c ORDER BY c.relpages DESC, c.oid LIMIT {MAX_SIZED} \
             ), measured AS MATERIALIZED ( \
               SELECT c.*, {bytes} AS bytes FROM largest c LEFT JOIN locked l ON l.oid = c.oid \
             ) \
             SELECT {schema} AS schema, {table} AS \"table\", {index} AS \"index\", {other} AS other, m.bytes AS bytes, \
               pg_size_pretty(m.bytes) AS size, m.scans AS scans \
             FROM measured m WHERE m.bytes >= {above} AND ({above} = 0 OR m.bytes > {above}) \
             ORDER BY m.bytes DESC, m.nspname, m.indname LIMIT {MAX_LISTED}",
            database = facts.database,
            schema = session.text("m.nspname"),
            table = session.text("m.tabname"),
            index = session.text("m.indname"),
            other = session.text("m.other"),
        );
        match session.try_read(&statement, STATEMENT).await? {
            Ok(rows) => return Some(rows),
            Err(failure)
                if failure.reason == SourceReason::Timeout && !failure.stops && bytes.starts_with("CASE") => {
            }
            Err(failure) => {
                session.failures.push(failure.reading(what));
                return None;
            }
        }
    }
    None
}
