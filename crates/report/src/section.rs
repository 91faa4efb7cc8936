//! The sections of a report, each from its part of the record.

use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::{BaselineRecord, Basis};

use crate::document::{Block, Text};
use statements::Statements;

mod cache;
pub(crate) mod comparison;
mod database;
pub(crate) mod figures;
pub(crate) mod findings;
pub(crate) mod header;
mod indexes;
mod infrastructure;
mod keyspace;
mod kubernetes;
mod lists;
mod query_analysis;
mod resources;
mod sources;
mod statements;
pub(crate) mod verdict;

/// Every section that there is something for: the verdict, what was judged, what was measured.
pub(crate) fn report(record: &BaselineRecord, judgement: Option<&Judgement>) -> Vec<Block> {
    let mut blocks = vec![header::title(record)];
    blocks.extend(judgement.and_then(verdict::line));
    blocks.extend(header::blocks(record));
    if let Some(judgement) = judgement {
        blocks.extend(verdict::objectives(record, judgement));
        blocks.extend(comparison::blocks(judgement));
        blocks.extend(findings::blocks(judgement));
        blocks.extend(findings::trend(&judgement.trend));
    }
    blocks.extend(measured(record));
    blocks
}

/// The sections of what was measured.
pub(crate) fn measured(record: &BaselineRecord) -> Vec<Block> {
    let mut blocks = sources::blocks(record);
    blocks.extend(figures::blocks("Web", &figures::web(record), record));
    blocks.extend(figures::blocks("API", &figures::api(record), record));
    blocks.extend(figures::endpoints(record));
    let mut statements = Statements::default();
    blocks.extend(database::blocks(record, &mut statements));
    blocks.extend(query_analysis::blocks(record, &mut statements));
    blocks.extend(cache::blocks(record));
    blocks.extend(infrastructure::blocks(record));
    blocks.extend(kubernetes::blocks(record));
    blocks.extend(figures::blocks("Custom metrics", &figures::custom(record), record));
    blocks.extend(sources::truncated(record));
    blocks
}

/// How to read a report that has figures; only what it has is explained.
pub(crate) fn closing(record: &BaselineRecord) -> Vec<Block> {
    let of_window = [figures::web(record), figures::api(record), figures::custom(record)];
    let measured = |figures: &[figures::Figure<'_>]| figures.iter().any(|figure| figure.value.is_some());
    let of_window =
        of_window.iter().any(|figures| measured(figures)) || record.infrastructure_metrics.is_some();
    let of_servers = measured(&database::figures(record)) || measured(&cache::figures(record));
    let mut items = Vec::new();
    if of_window {
        items.extend([
            "Percentiles come from histogram buckets: the figure is interpolated, the true value lies within the bounds beside it.",
            "Rates divide by the time in which the metric was seen, not by the whole window.",
            "Coverage is the part of the window in which the metric was really seen. Below 80% a figure is shown and not judged.",
        ]);
    }
    if of_servers {
        items.push(
            "Databases and caches count since they started or were reset. \"Sampled\" is the difference between two looks of this run, \"since the previous run\" the difference to what that run left; what is only known since a start or reset is shown and not judged.",
        );
    }
    if items.is_empty() {
        return Vec::new();
    }
    items.push("A figure that could not be had is named with its reason; a 0 is a measured 0.");
    vec![Block::Heading("How to read this"), Block::List(items.into_iter().map(Text::new).collect())]
}

/// The basis of an entry of a map: its own, or the one of the map as a whole. Keys may hold dots.
fn basis_of_entry<'a>(record: &'a BaselineRecord, map: &str, key: &str) -> Option<&'a Basis> {
    record.basis.get(&format!("{map}.{key}")).or_else(|| record.basis.get(map))
}

/// The path under which a basis of the record stands. Bases of several figures can be equal, so it is told by its place.
fn path_of<'a>(record: &'a BaselineRecord, basis: &Basis) -> Option<&'a str> {
    record.basis.iter().find(|(_, other)| std::ptr::eq(*other, basis)).map(|(path, _)| path.as_str())
}

/// Whether the record says anything about a section: it holds it, or the reason why a figure of it is missing.
fn has_basis(record: &BaselineRecord, section: &str) -> bool {
    record.basis.keys().any(|path| path.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
}
