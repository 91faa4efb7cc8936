//! What the keys of a cache are: by prefix, as sampled and as estimated of all, and the very large ones.

use plimsoll_analysis::record::{BaselineRecord, CacheAnalysis, Keyspace, PrefixEstimate, Source};

use super::cache::whole;
use super::lists;
use super::sources::float;
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

/// Stands for the key without anything before the delimiter.
const NO_PREFIX: &str = "(empty)";

pub(super) fn blocks(
    record: &BaselineRecord,
    analysis: &CacheAnalysis,
    source: Option<&Source>,
) -> Vec<Block> {
    let figures = [
        whole(record, "keys by prefix", "cache_analysis.key_patterns", analysis.key_patterns.is_some()),
        whole(record, "estimates of all keys", "cache_analysis.keyspace", analysis.keyspace.is_some()),
    ];
    let notes = lists::notes(&figures, source);
    let there = analysis.key_patterns.is_some() || analysis.keyspace.is_some();
    if !there && notes.is_empty() {
        return Vec::new();
    }
    let mut blocks = vec![Block::Subheading("Keys by prefix")];
    blocks.extend(analysis.keyspace.as_ref().filter(|keyspace| keyspace.total_keys > 0).map(sampled));
    let grid = prefixes(analysis).block();
    if there && grid.is_none() {
        blocks.push(Block::Paragraph(Text::new("None found: there is no key.")));
    }
    blocks.extend(grid);
    blocks.extend(analysis.keyspace.as_ref().map(giants).unwrap_or_default());
    blocks.extend(list(notes));
    blocks
}

/// How many keys were read, and what the columns are.
fn sampled(keyspace: &Keyspace) -> Block {
    let [read, total] = [keyspace.sampled_keys, keyspace.total_keys].map(format::count);
    let text = if keyspace.complete {
        Text::new("All ").strong(&total).plain(" keys were read: nothing is estimated from a sample.")
    } else {
        Text::default().strong(&read).plain(" of ").strong(&total).plain(
            " keys were sampled. What is said of all keys is estimated from them; the memory of all lies within the 95% interval in 95 of 100 samples.",
        )
    };
    Block::Paragraph(text)
}

/// Prefixes by estimated memory, then those that only the sample lists.
fn prefixes(analysis: &CacheAnalysis) -> Grid {
    let mut grid = Grid::new([
        words("Prefix"),
        numbers("Sampled"),
        numbers("Their memory"),
        numbers("All keys"),
        numbers("Memory of all"),
        numbers("95% interval"),
        numbers("Without expiry"),
    ]);
    let exact = analysis.keyspace.as_ref().is_some_and(|keyspace| keyspace.complete);
    let estimates = analysis.keyspace.as_ref().map(|keyspace| &keyspace.estimates);
    let patterns = analysis.key_patterns.as_ref();
    let estimated = |prefix: &str| estimates.and_then(|estimates| estimates.get(prefix));
    let mut prefixes: Vec<&String> = estimates.into_iter().flatten().map(|(prefix, _)| prefix).collect();
    let others = patterns.into_iter().flatten().map(|(prefix, _)| prefix);
    prefixes.extend(others.filter(|prefix| estimated(prefix).is_none()));
    for prefix in prefixes {
        let pattern = patterns.and_then(|patterns| patterns.get(prefix));
        let estimate = estimated(prefix);
        let about = |text: String| if exact { text } else { format!("about {text}") };
        grid.row([
            Some(if prefix.is_empty() { NO_PREFIX.to_owned() } else { prefix.clone() }),
            pattern.map(|pattern| format::count(pattern.count)),
            pattern.map(|pattern| sampled_memory(pattern.size_mb)),
            estimate.map(|estimate| about(format::number(float(estimate.count)))),
            estimate.map(|estimate| format::mebibytes(estimate.size_mb)),
            estimate.filter(|_| !exact).map(interval),
            estimate.map(|estimate| format::percent(estimate.without_ttl_percent)),
        ]);
    }
    grid
}

/// Memory as sampled, which the record rounds to hundredths of a MiB: a smaller unit would pretend to know more.
fn sampled_memory(mebibytes: f64) -> String {
    if mebibytes <= 0.0 {
        "<0.01MiB".to_owned()
    } else if mebibytes < 1.0 {
        format!("{}MiB", format::number(mebibytes))
    } else {
        format::mebibytes(mebibytes)
    }
}

/// `81.2MiB to 97MiB`.
fn interval(estimate: &PrefixEstimate) -> String {
    format!("{} to {}", format::mebibytes(estimate.low_mb), format::mebibytes(estimate.high_mb))
}

/// The very large keys, each of which stands for itself.
fn giants(keyspace: &Keyspace) -> Vec<Block> {
    let mut grid = Grid::new([words("Very large key of"), words("Type"), numbers("Memory")]);
    for giant in &keyspace.giants {
        grid.row([
            Some(if giant.prefix.is_empty() { NO_PREFIX.to_owned() } else { giant.prefix.clone() }),
            Some(giant.kind.clone()),
            Some(format::mebibytes(giant.size_mb)),
        ]);
    }
    let Some(grid) = grid.block() else { return Vec::new() };
    let text = "Single keys so large that each stands for itself: the memory of all counts each once and multiplies none.";
    vec![Block::Paragraph(Text::new(text)), grid]
}
