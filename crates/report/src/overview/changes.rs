//! Which changes of configuration two records show: what one holds and the other does not.

use std::collections::BTreeSet;

use plimsoll_analysis::record::{BaselineRecord, Container, DatabaseAnalysis, SlowStatement, Workload};

use crate::format;

/// Entries that a record's lists of a database hold at most: in a full list one that is missing may just be cut.
const FULL: usize = 20;
/// Changes of one category that are told.
const MOST: usize = 8;
/// Characters of a statement's text that are told.
const STATEMENT: usize = 40;

/// Where a change belongs, in the words of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Database,
    Caching,
    Infrastructure,
}

impl Category {
    pub(super) const ALL: [Self; 3] = [Self::Database, Self::Caching, Self::Infrastructure];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Caching => "Caching",
            Self::Infrastructure => "Infrastructure",
        }
    }

    /// How the names of its indicators begin.
    pub(super) fn indicators(self) -> &'static [&'static str] {
        match self {
            Self::Database => &["database."],
            Self::Caching => &["cache."],
            Self::Infrastructure => &["infrastructure."],
        }
    }
}

/// A change that the records show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) category: Category,
    /// What changed, in words.
    pub(super) text: String,
}

/// Every change that the two records show, at most [`MOST`] a category.
pub(super) fn seen(before: &BaselineRecord, after: &BaselineRecord) -> Vec<Seen> {
    let found = [
        (Category::Database, database(before, after)),
        (Category::Caching, cache(before, after)),
        (Category::Infrastructure, infrastructure(before, after)),
    ];
    found
        .into_iter()
        .flat_map(|(category, mut texts)| {
            let more = texts.len().saturating_sub(MOST);
            texts.truncate(MOST);
            texts.extend((more > 0).then(|| format!("and {more} more")));
            texts.into_iter().map(move |text| Seen { category, text })
        })
        .collect()
}

fn database(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let (Some(before), Some(after)) = (&before.database_analysis, &after.database_analysis) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    let table = |schema: &str, table: &str| {
        if schema == "public" { table.to_owned() } else { format!("{schema}.{table}") }
    };
    texts.extend(gone(&before.missing_indexes, &after.missing_indexes, |one| (&one.schema, &one.table)).map(
        |one| {
            let rows = format::number(one.avg_rows_per_seq_scan);
            format!("{} is no longer read whole ({rows} rows a scan before)", table(&one.schema, &one.table))
        },
    ));
    texts.extend(statements(before, after));
    texts.extend(
        gone(&before.unused_indexes, &after.unused_indexes, |one| (&one.schema, &one.index))
            .map(|one| format!("index {} is used or gone ({} before)", one.index, one.size)),
    );
    texts.extend(
        gone(&before.duplicate_indexes, &after.duplicate_indexes, |one| (&one.schema, &one.index))
            .map(|one| format!("index {}, a duplicate of {}, is gone", one.index, one.covered_by)),
    );
    texts.extend(
        gone(&before.invalid_indexes, &after.invalid_indexes, |one| (&one.schema, &one.index))
            .map(|one| format!("index {} is valid or gone", one.index)),
    );
    texts.extend(
        gone(&before.stale_statistics, &after.stale_statistics, |one| (&one.schema, &one.table))
            .map(|one| format!("statistics of {} are up to date", table(&one.schema, &one.table))),
    );
    if let (Some(before), Some(after)) = (&before.settings, &after.settings) {
        texts.extend(before.iter().filter_map(|(name, was)| {
            let is = after.get(name).filter(|is| *is != was)?;
            Some(format!("{name} {was} → {is}"))
        }));
    }
    if let (Some(before), Some(after)) = (&before.server, &after.server) {
        texts.extend(differs("PostgreSQL", &before.version, &after.version));
    }
    texts
}

/// Statements that were slow and are not any more.
fn statements(before: &DatabaseAnalysis, after: &DatabaseAnalysis) -> Vec<String> {
    let gone = gone(&before.slow_queries, &after.slow_queries, |one| &one.query_id);
    let said = |one: &SlowStatement| {
        format!("no longer slow: {} (mean was {})", statement(one), format::milliseconds(one.avg_ms))
    };
    gone.map(said).collect()
}

fn statement(one: &SlowStatement) -> String {
    match (&one.label, &one.query) {
        (Some(label), _) => label.clone(),
        (None, Some(query)) if query.chars().count() > STATEMENT => {
            format!("{}…", query.chars().take(STATEMENT).collect::<String>().trim_end())
        }
        (None, Some(query)) => query.clone(),
        (None, None) => format!("statement {}", one.query_id),
    }
}

/// What a list held and another of the same kind does not, where both were read and the later one is not full.
fn gone<'a, T, K: PartialEq + 'a>(
    before: &'a Option<Vec<T>>,
    after: &'a Option<Vec<T>>,
    key: impl Fn(&'a T) -> K,
) -> impl Iterator<Item = &'a T> {
    let lists = before.as_ref().zip(after.as_ref()).filter(|(_, after)| after.len() < FULL);
    lists.into_iter().flat_map(move |(before, after)| {
        let kept: Vec<K> = after.iter().map(&key).collect();
        before.iter().filter(|one| !kept.contains(&key(one))).collect::<Vec<_>>()
    })
}

fn cache(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let (Some(before), Some(after)) = (&before.cache_analysis, &after.cache_analysis) else {
        return Vec::new();
    };
    let mut texts = Vec::new();
    if let (Some(before), Some(after)) = (&before.current_config, &after.current_config) {
        texts.extend(differs("maxmemory", &before.maxmemory, &after.maxmemory));
        texts.extend(differs("eviction policy", &before.eviction_policy, &after.eviction_policy));
    }
    if (before.session_cache_enabled, after.session_cache_enabled) == (Some(false), Some(true)) {
        texts.push("sessions are kept in the cache".to_owned());
    }
    if let (Some(before), Some(after)) = (&before.key_patterns, &after.key_patterns) {
        let new = after.keys().filter(|prefix| !before.contains_key(*prefix));
        texts.extend(new.map(|prefix| format!("keys with the prefix {prefix} are cached")));
    }
    if let (Some(before), Some(after)) = (&before.server, &after.server) {
        texts.extend(differs("server", &before.product, &after.product));
        texts.extend(differs("version of the server", &before.version, &after.version));
    }
    texts
}

fn infrastructure(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let (Some(before), Some(after)) = (&before.kubernetes, &after.kubernetes) else { return Vec::new() };
    let mut texts = Vec::new();
    for is in &after.workloads {
        let was = before.workloads.iter().find(|was| was.kind == is.kind && was.name == is.name);
        texts.extend(was.into_iter().flat_map(|was| workload(was, is)));
    }
    texts
}

fn workload(before: &Workload, after: &Workload) -> Vec<String> {
    let name = &after.name;
    let mut texts = Vec::new();
    for is in &after.containers {
        if let Some(was) = before.containers.iter().find(|was| was.name == is.name) {
            texts.extend(container(name, was, is));
        }
    }
    match (&before.autoscaler, &after.autoscaler) {
        (None, Some(is)) => {
            texts.push(format!("{name} scales itself, {} to {} pods", is.min_replicas, is.max_replicas));
        }
        (Some(_), None) => texts.push(format!("{name} no longer scales itself")),
        (Some(was), Some(is)) => {
            let range = |min: i32, max: i32| format!("{min} to {max} pods");
            let (was, is) =
                (range(was.min_replicas, was.max_replicas), range(is.min_replicas, is.max_replicas));
            texts.extend(differs(&format!("{name} scales itself,"), &was, &is));
        }
        // With an autoscaler the number of pods is no configuration.
        (None, None) if before.replicas.desired != after.replicas.desired => {
            texts.push(format!("{name}: {} → {} pods", before.replicas.desired, after.replicas.desired));
        }
        (None, None) => {}
    }
    texts
}

fn container(workload: &str, before: &Container, after: &Container) -> Vec<String> {
    let mut texts = Vec::new();
    for (what, was, is) in
        [("request", &before.requests, &after.requests), ("limit", &before.limits, &after.limits)]
    {
        let resources: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for resource in resources {
            let [was, is] = [was, is].map(|amounts| amounts.get(resource).map_or("none", String::as_str));
            texts.extend(differs(
                &format!("{workload}, container {}: {resource} {what}", after.name),
                was,
                is,
            ));
        }
    }
    texts
}

fn differs(what: &str, before: &str, after: &str) -> Option<String> {
    (before != after).then(|| format!("{what} {before} → {after}"))
}
