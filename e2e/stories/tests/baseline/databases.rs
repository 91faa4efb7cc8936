//! PostgreSQL and Redis of the example: recorded with the seed's keys, each failing alone, and well once mended.

use anyhow::{Context as _, Result, ensure};
use plimsoll_analysis::record::{BaselineRecord, BasisKind, SourceReason, SourceState};
use plimsoll_stories::baseline::message;
use plimsoll_stories::databases::{POSTGRES_SECRET, REDIS_SECRET};
use plimsoll_stories::gate::closed_address;
use plimsoll_stories::story::{Story, tell};
use serde_json::{Value, json};

/// Every key of the seed's scripts that a database and a cache with traffic have, by its path.
const SEEDS_KEYS: [&str; 35] = [
    "/database_metrics/connections/active",
    "/database_metrics/connections/idle",
    "/database_metrics/connections/total",
    "/database_metrics/top_tables/0/table",
    "/database_metrics/top_tables/0/size",
    "/database_metrics/top_tables/0/rows",
    "/database_metrics/slow_queries/0/calls",
    "/database_metrics/slow_queries/0/avg_time_ms",
    "/database_metrics/slow_queries/0/query",
    "/database_analysis/slow_queries",
    "/database_analysis/missing_indexes",
    "/database_analysis/unused_indexes",
    "/database_analysis/settings/random_page_cost",
    "/database_analysis/settings/effective_cache_size",
    "/database_analysis/settings/work_mem",
    "/database_analysis/settings/maintenance_work_mem",
    "/cache_metrics/hit_rate",
    "/cache_metrics/used_memory_mb",
    "/cache_metrics/connected_clients",
    "/cache_metrics/total_keys",
    "/cache_metrics/evicted_keys",
    "/cache_metrics/expired_keys",
    "/cache_analysis/hit_rate_percent",
    "/cache_analysis/memory_used_mb",
    "/cache_analysis/memory_peak_mb",
    "/cache_analysis/fragmentation_ratio",
    "/cache_analysis/key_patterns/session/count",
    "/cache_analysis/key_patterns/session/size_mb",
    "/cache_analysis/current_config/maxmemory",
    "/cache_analysis/current_config/eviction_policy",
    "/cache_analysis/recommendations",
    "/cache_analysis/suggested_config",
    "/cache_analysis/active_sessions",
    "/cache_analysis/session_cache_enabled",
    "/cache_analysis/avg_session_size_kb",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_and_cache_are_recorded_with_the_seeds_keys_and_true_values() {
    tell("databases", |story: Story| async move {
        story.copy_database_access().await?;
        story.baseline("dairy", story.measuring_databases()).await?;
        let ready = story.until_ready("dairy").await?;
        let recorded = story.record(&ready).await?;
        for key in SEEDS_KEYS {
            ensure!(recorded.json.pointer(key).is_some(), "{key} is missing in {}", recorded.json);
        }
        ensure!(recorded.json["cache_analysis"]["session_cache_enabled"] == json!(true), "{}", recorded.json);
        ensure!(recorded.json["cache_analysis"]["current_config"]["eviction_policy"] == "allkeys-lru");
        sizes_are_the_servers_own(&story, &recorded.json).await?;
        let first = &recorded.record;
        // Two snapshots of one run: what happened between them.
        ensure!(
            kind(first, "cache_metrics.hit_rate_window") == Some(BasisKind::Sampled),
            "{:?}",
            first.basis
        );
        ensure!(kind(first, "cache_metrics.hit_rate") == Some(BasisKind::Lifetime), "{:?}", first.basis);
        ensure!(first.counters.as_ref().is_some_and(|all| all.database.is_some() && all.cache.is_some()));
        columns(&story).await?;

        // A second run knows what happened since the first.
        story.request("dairy", "again").await?;
        let ready = story.until_ready("dairy").await?;
        let second = story.record(&ready).await?.record;
        ensure!(second.run != first.run, "it is another run");
        for path in ["cache_metrics.hit_rate_window", "database_metrics.slow_queries"] {
            let basis = second.basis_of(path).with_context(|| format!("a basis of {path}"))?;
            ensure!(basis.kind == BasisKind::SincePreviousRun, "{path}: {basis:?}");
            let earlier = first.collection_date;
            ensure!(basis.from <= earlier && basis.to > earlier, "{path} covers the time between: {basis:?}");
        }
        Ok(())
    })
    .await;
}

fn kind(record: &BaselineRecord, path: &str) -> Option<BasisKind> {
    record.basis_of(path).map(|basis| basis.kind)
}

/// Sizes and names as the server's own functions give them.
async fn sizes_are_the_servers_own(story: &Story, record: &Value) -> Result<()> {
    let largest = story
        .sql("SELECT relname || ' ' || pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT 1")
        .await?;
    let (table, bytes) = largest.split_once(' ').context("a name and a size")?;
    let recorded = &record["database_metrics"]["top_tables"][0];
    ensure!(recorded["table"] == table, "{recorded} and {largest}");
    let (ours, theirs) = (recorded["size_bytes"].as_f64().context("a size")?, bytes.parse::<f64>()?);
    // Nothing but autovacuum's maps changes it: the traffic only reads.
    ensure!((ours - theirs).abs() <= theirs * 0.05, "{recorded} and {largest}");
    for (setting, value) in record["database_analysis"]["settings"].as_object().context("settings")? {
        let shown = story.sql(&format!("SHOW {setting}")).await?;
        ensure!(*value == json!(shown), "{setting}: {value} and {shown}");
    }
    Ok(())
}

/// The columns that people see.
async fn columns(story: &Story) -> Result<()> {
    let table = story.kubectl_output(&["get", "baselines"]).await?;
    println!("{table}");
    let mut lines = table.lines();
    let (heads, cells) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    // By their place: a cell may be empty.
    let cell = |head: &str| {
        let from = heads.find(head).and_then(|at| cells.get(at..)).unwrap_or_default();
        from.split("  ").next().unwrap_or_default()
    };
    ensure!(cell("DB-P95").ends_with("ms") || cell("DB-P95").ends_with('s'), "{table}");
    ensure!(cell("CACHE-HIT").ends_with('%'), "{table}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_database_password_stalls_and_hides_no_other_source() {
    tell("pg-password", |story: Story| async move {
        story.copy_database_access().await?;
        let right = story.password(POSTGRES_SECRET).await?;
        story.set_password(POSTGRES_SECRET, "canary-of-a-wrong-password").await?;
        let mut spec = story.measuring_databases();
        spec["sampleDuration"] = json!("0s");
        story.baseline("dairy", spec).await?;
        let said = story.until_fails("dairy", "AuthenticationFailed", "Secret").await?;
        ensure!(said.contains("postgres") && !said.contains("canary"), "{said}");
        let failed = story
            .until_says("dairy", "Stalled", "True: AuthenticationFailed", plimsoll_stories::baseline::RUN)
            .await?;
        let record = story.record(&failed).await?.record;
        ensure!(state(&record, "redis") == Some(SourceState::Collected), "{:?}", record.sources);
        ensure!(state(&record, "prometheus") == Some(SourceState::Collected), "{:?}", record.sources);
        ensure!(record.cache_metrics.is_some() && record.web_metrics.is_some());
        // The remedy.
        story.set_password(POSTGRES_SECRET, &right).await?;
        story.request("dairy", "corrected").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_cache_password_and_a_server_that_is_down_leave_the_rest() {
    tell("redis-password", |story: Story| async move {
        story.copy_database_access().await?;
        let right = story.password(REDIS_SECRET).await?;
        story.set_password(REDIS_SECRET, "canary-of-a-wrong-password").await?;
        let closed = closed_address().await?;
        let mut spec = story.measuring_databases();
        spec["sampleDuration"] = json!("0s");
        let mut postgres = spec["sources"]["postgres"].clone();
        postgres["port"] = json!(5432);
        spec["sources"]["postgres"]["host"] = json!(closed.ip().to_string());
        spec["sources"]["postgres"]["port"] = json!(closed.port());
        story.baseline("dairy", spec).await?;
        let failed = story
            .until_baseline("a run has finished", "dairy", plimsoll_stories::baseline::RUN, |status| {
                status.last_run.is_some()
            })
            .await?;
        let record = story.record(&failed).await?.record;
        ensure!(reason(&record, "redis") == Some(SourceReason::AuthenticationFailed), "{:?}", record.sources);
        ensure!(reason(&record, "postgres") == Some(SourceReason::Unreachable), "{:?}", record.sources);
        ensure!(state(&record, "prometheus") == Some(SourceState::Collected), "{:?}", record.sources);
        let said = message(&failed, "SourcesAvailable");
        ensure!(said.contains("redis") && said.contains("postgres") && !said.contains("canary"), "{said}");
        // Both remedies.
        story.set_password(REDIS_SECRET, &right).await?;
        story.edit("dairy", json!({"spec": {"sources": {"postgres": postgres}}})).await?;
        story.request("dairy", "corrected").await?;
        story.until_ready("dairy").await?;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_database_secret_is_named_and_its_uri_key_serves_without_a_host() {
    tell("pg-uri", |story: Story| async move {
        story.copy_database_access().await?;
        let mut spec = story.measuring_databases();
        spec["sampleDuration"] = json!("0s");
        let source = &mut spec["sources"]["postgres"];
        *source = json!({"credentials": {"secretRef": {"name": "pg-app"}}, "tls": source["tls"]});
        story.baseline("dairy", spec).await?;
        let said = story.until_fails("dairy", "SecretMissing", "Create the Secret").await?;
        ensure!(said.contains("Secret pg-app"), "{said}");
        // A Secret as CloudNativePG writes it.
        let password = story.password(POSTGRES_SECRET).await?;
        let uri = format!("postgresql://plimsoll:{password}@postgres.smart-dairy:5432/smartdairy");
        let data = json!({
            "uri": uri, "username": "plimsoll", "password": password, "host": "postgres", "port": "5432", "dbname": "smartdairy",
        });
        story
            .create::<k8s_openapi::api::core::v1::Secret>(json!({"metadata": {"name": "pg-app"}, "stringData": data}))
            .await?;
        story.request("dairy", "made").await?;
        let ready = story.until_ready("dairy").await?;
        ensure!(story.record(&ready).await?.record.database_metrics.is_some());
        Ok(())
    })
    .await;
}

fn state(record: &BaselineRecord, name: &str) -> Option<SourceState> {
    record.sources.iter().find(|source| source.name == name).map(|source| source.state)
}

fn reason(record: &BaselineRecord, name: &str) -> Option<SourceReason> {
    record.sources.iter().find(|source| source.name == name).and_then(|source| source.reason)
}
