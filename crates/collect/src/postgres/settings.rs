//! Settings that matter for performance, in PostgreSQL's own spelling.

use indexmap::IndexMap;

use super::session::Session;
use super::sql::MARK;

/// Which are read, in the order of the record. None of them may be set by our own statements, which would show that.
const NAMES: [&str; 32] = [
    "shared_buffers",
    "effective_cache_size",
    "work_mem",
    "maintenance_work_mem",
    "max_connections",
    "random_page_cost",
    "seq_page_cost",
    "effective_io_concurrency",
    "default_statistics_target",
    "max_worker_processes",
    "max_parallel_workers",
    "max_parallel_maintenance_workers",
    "wal_buffers",
    "max_wal_size",
    "min_wal_size",
    "checkpoint_timeout",
    "checkpoint_completion_target",
    "wal_compression",
    "synchronous_commit",
    "huge_pages",
    "hash_mem_multiplier",
    "temp_buffers",
    "autovacuum",
    "autovacuum_max_workers",
    "autovacuum_naptime",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_analyze_scale_factor",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_work_mem",
    "track_io_timing",
    "track_activity_query_size",
    "pg_stat_statements.max",
];

/// Reads the settings that this version has and this role may see.
pub(crate) async fn settings(session: &mut Session<'_>) -> Option<IndexMap<String, String>> {
    let names: Vec<String> = NAMES.iter().map(|name| format!("'{name}'")).collect();
    let statement = format!(
        "SELECT {MARK} n.name AS name, current_setting(n.name, true) AS value \
         FROM unnest(ARRAY[{}]) WITH ORDINALITY AS n(name, place) \
         WHERE current_setting(n.name, true) IS NOT NULL ORDER BY n.place",
        names.join(", ")
    );
    let rows = session.read("settings", &statement).await?;
    Some(rows.iter().filter_map(|row| Some((row.plain("name")?, row.plain("value")?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_is_one_that_a_batch_sets_itself() {
        let batch = super::super::sql::batch("", std::time::Duration::ZERO, std::time::Duration::ZERO);
        for name in NAMES {
            assert!(!batch.contains(&format!("LOCAL {name} ")), "{name}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.')),
                "{name}"
            );
        }
    }
}
