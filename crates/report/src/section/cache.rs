//! A Redis or Valkey server: usage, what to change, configuration, sessions.

use indexmap::IndexMap;
use plimsoll_analysis::record::{BaselineRecord, CacheAnalysis, CacheMetrics, CacheServer, Source};

use super::figures::{self, Figure};
use super::sources::float;
use super::{has_basis, keyspace, lists};
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

/// Name of the source.
pub(super) const SOURCE: &str = "redis";
/// Name of the judged hit rate.
pub(crate) const HIT_RATE: &str = "Hit rate";
/// Name of the hit rate since the server's start.
pub(crate) const LIFETIME_HIT_RATE: &str = "Hit rate since the start";
/// Name of the memory in use.
pub(crate) const MEMORY: &str = "Memory used";

pub(super) fn blocks(record: &BaselineRecord) -> Vec<Block> {
    let source = lists::source(record, SOURCE);
    let nothing = !is_in(record);
    if nothing && source.is_none() {
        return Vec::new();
    }
    let mut blocks = vec![Block::Heading("Cache")];
    if nothing && let Some(failed) = lists::failed(source) {
        blocks.push(failed);
        return blocks;
    }
    let empty = CacheAnalysis::default();
    let analysis = record.cache_analysis.as_ref().unwrap_or(&empty);
    blocks.extend(analysis.server.as_ref().map(about));
    blocks.extend(list(verdict(record, analysis, source)));
    let figures = figures(record);
    blocks.extend(figures::table(&figures, record).block());
    blocks.extend(list(notes(&figures, source)));
    blocks.extend(keyspace::blocks(record, analysis, source));
    blocks.extend(sessions(record, analysis, source));
    blocks.extend(configuration(record, analysis));
    blocks
}

/// Whether the record says anything about a cache.
fn is_in(record: &BaselineRecord) -> bool {
    record.cache_metrics.is_some()
        || record.cache_analysis.is_some()
        || has_basis(record, "cache_metrics")
        || has_basis(record, "cache_analysis")
}

/// The figures of the cache, or none where it was not asked for.
pub(crate) fn figures(record: &BaselineRecord) -> Vec<Figure<'_>> {
    if !is_in(record) && lists::source(record, SOURCE).is_none() {
        return Vec::new();
    }
    let (no_metrics, no_analysis) = (CacheMetrics::default(), CacheAnalysis::default());
    let metrics = record.cache_metrics.as_ref().unwrap_or(&no_metrics);
    let analysis = record.cache_analysis.as_ref().unwrap_or(&no_analysis);
    let figure = |name: &str, paths: [&str; 2], value: Option<String>| Figure {
        group: None,
        name: name.to_owned(),
        value,
        basis: paths.iter().find_map(|path| record.basis_of(path)),
        sample: "lookup",
    };
    let both = |name: &str, metrics: &str, analysis: &str, value: Option<String>| {
        figure(name, [&format!("cache_metrics.{metrics}"), &format!("cache_analysis.{analysis}")], value)
    };
    let same = |name: &str, key: &str, value: Option<u64>| both(name, key, key, value.map(format::count));
    let mut figures = vec![
        both(HIT_RATE, "hit_rate_window", "hit_rate_window", metrics.hit_rate_window.map(format::percent)),
        both(
            LIFETIME_HIT_RATE,
            "hit_rate",
            "hit_rate_percent",
            metrics.hit_rate.or(analysis.hit_rate_percent).map(format::percent),
        ),
        both(
            MEMORY,
            "used_memory_mb",
            "memory_used_mb",
            metrics.used_memory_mb.or(analysis.memory_used_mb).map(format::mebibytes),
        ),
        both(
            "Most memory used",
            "memory_peak_mb",
            "memory_peak_mb",
            analysis.memory_peak_mb.map(format::mebibytes),
        ),
        both(
            "Fragmentation ratio",
            "fragmentation_ratio",
            "fragmentation_ratio",
            analysis.fragmentation_ratio.map(format::number),
        ),
        same("Clients", "connected_clients", metrics.connected_clients.or(analysis.connected_clients)),
        both("Keys", "total_keys", "keyspace", metrics.total_keys.map(format::count)),
        same("Evicted keys", "evicted_keys", metrics.evicted_keys.or(analysis.evicted_keys)),
        same("Expired keys", "expired_keys", metrics.expired_keys.or(analysis.expired_keys)),
    ];
    // Without a limit there is no part of it, and nothing is missing.
    if let Some(part) = of_limit(metrics, analysis) {
        let paths = ["cache_metrics.used_memory_mb", "cache_analysis.memory_used_mb"];
        figures.insert(3, figure("Of its limit", paths, Some(part)));
    }
    figures
}

/// What is missing and why. A hit rate without a basis has nothing to rest on, which is no fault.
fn notes(figures: &[Figure<'_>], source: Option<&Source>) -> Vec<Text> {
    let is_absent = |figure: &Figure<'_>| figure.value.is_none() && figure.basis.is_none();
    let (rates, others): (Vec<Figure<'_>>, Vec<Figure<'_>>) = figures.iter().cloned().partition(|figure| {
        is_absent(figure) && [HIT_RATE, LIFETIME_HIT_RATE].contains(&figure.name.as_str())
    });
    let mut items = lists::notes(&others, source);
    for rate in rates {
        items.push(Text::new(if rate.name == HIT_RATE {
            "Not measured: Hit rate; it needs two looks at the same counters with lookups between them."
        } else {
            "Not measured: Hit rate since the start; the server counted no lookup."
        }));
    }
    items
}

/// Used memory of the limit, where there is one: the record writes it as `4096MB`.
fn of_limit(metrics: &CacheMetrics, analysis: &CacheAnalysis) -> Option<String> {
    let used = metrics.used_memory_mb.or(analysis.memory_used_mb)?;
    let limit = analysis.current_config.as_ref()?.maxmemory.strip_suffix("MB")?;
    let limit = limit.parse::<u64>().ok().filter(|limit| *limit > 0)?;
    Some(format::percent(used / float(limit) * 100.0))
}

/// Which server it is.
fn about(server: &CacheServer) -> Block {
    let product = match server.product.as_str() {
        "redis" => "Redis",
        "valkey" => "Valkey",
        other => other,
    };
    let mut text =
        Text::default().outside(product).plain(" ").strong(&server.version).plain(", ").outside(&server.role);
    if server.role == "slave" {
        text = text.plain(": a replica, whose lookups are its own and not its master's");
    }
    Block::Paragraph(text.plain("."))
}

/// What to change, or that nothing is.
fn verdict(record: &BaselineRecord, analysis: &CacheAnalysis, source: Option<&Source>) -> Vec<Text> {
    match &analysis.recommendations {
        Some(recommendations) if recommendations.is_empty() => {
            vec![Text::new("Recommendations: none found.")]
        }
        Some(recommendations) => {
            let item = |recommendation: &plimsoll_analysis::record::CacheRecommendation| {
                Text::default()
                    .strong(&recommendation.issue)
                    .plain(", now ")
                    .outside(&recommendation.current)
                    .plain(": ")
                    .sentence(&recommendation.action)
            };
            recommendations.iter().map(item).collect()
        }
        None => {
            lists::notes(&[whole(record, "recommendations", "cache_analysis.recommendations", false)], source)
        }
    }
}

/// A list or map as one figure, for notes on it.
pub(super) fn whole<'a>(record: &'a BaselineRecord, name: &str, path: &str, there: bool) -> Figure<'a> {
    Figure {
        group: None,
        name: name.to_owned(),
        value: there.then(String::new),
        basis: record.basis_of(path),
        sample: "key",
    }
}

/// Whether sessions are cached, how many and how large.
fn sessions(record: &BaselineRecord, analysis: &CacheAnalysis, source: Option<&Source>) -> Vec<Block> {
    let figure = |name: &str, key: &str, value: Option<String>| Figure {
        group: None,
        name: name.to_owned(),
        value,
        basis: record.basis_of(&format!("cache_analysis.{key}")),
        sample: "key",
    };
    let estimated = analysis.sessions_complete == Some(false);
    let count = analysis.active_sessions.map(|sessions| {
        let about = if estimated { "about " } else { "" };
        format!("{about}{}", format::count(sessions))
    });
    let enabled = analysis.session_cache_enabled.map(|enabled| if enabled { "yes" } else { "no" }.to_owned());
    let size = analysis.avg_session_size_kb.map(|size| format::bytes(size * 1_024.0));
    let mut figures = vec![
        figure("Sessions are cached", "active_sessions", enabled),
        figure("Active sessions", "active_sessions", count),
        figure("Mean memory", "avg_session_size_kb", size),
    ];
    // Without a session there is no size of one, and none among some of the keys does not mean that there is none.
    if analysis.active_sessions == Some(0) {
        figures.retain(|figure| figure.value.is_some());
    }
    let grid = figures::table(&figures, record).block();
    let mut notes = lists::notes(&figures, source);
    if grid.is_none() && notes.is_empty() {
        return Vec::new();
    }
    if estimated {
        notes.insert(0, Text::new("Not every key could be looked at in the time allowed: the number of sessions is an estimate."));
    }
    std::iter::once(Block::Subheading("Sessions")).chain(grid).chain(list(notes)).collect()
}

/// What is configured, and what the recommendations amount to.
fn configuration(record: &BaselineRecord, analysis: &CacheAnalysis) -> Vec<Block> {
    let mut rows: IndexMap<&str, (Option<&str>, Option<&str>)> = IndexMap::new();
    if let Some(config) = &analysis.current_config {
        rows.insert("maxmemory", (Some(&config.maxmemory), None));
        rows.insert("maxmemory-policy", (Some(&config.eviction_policy), None));
    }
    for (name, value) in analysis.suggested_config.iter().flatten() {
        rows.entry(name).or_default().1 = Some(value);
    }
    let mut grid = Grid::new([words("Setting"), numbers("Now"), numbers("Suggested")]);
    for (name, (now, suggested)) in rows {
        grid.row([Some(name.to_owned()), now.map(str::to_owned), suggested.map(str::to_owned)]);
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    let mut blocks = vec![Block::Subheading("Configuration")];
    let basis = record.basis_of("cache_analysis.current_config");
    blocks.extend(basis.map(|_| lists::captioned("", basis, record)));
    blocks.push(grid);
    if analysis.suggested_config.as_ref().is_some_and(IndexMap::is_empty) {
        blocks.push(Block::Paragraph(Text::new("Suggested changes: none.")));
    }
    blocks
}
