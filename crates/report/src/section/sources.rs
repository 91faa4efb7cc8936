//! How each source answered and what that cost it, and what was cut from the record.

use plimsoll_analysis::record::BaselineRecord;

use super::cache;
use crate::document::{Block, Grid, Text, list, numbers, words};
use crate::format;

pub(super) fn blocks(record: &BaselineRecord) -> Vec<Block> {
    let mut grid = Grid::new([
        words("Source"),
        words("State"),
        words("Reason"),
        numbers("Duration"),
        numbers("Queries"),
        numbers("Commands"),
        numbers("Rows"),
        numbers("Answers"),
        numbers("Server time"),
    ]);
    let mut warnings = Vec::new();
    for source in &record.sources {
        let cost = source.cost.unwrap_or_default();
        grid.row([
            Some(source.name.clone()),
            Some(format!("{:?}", source.state)),
            source.reason.map(|reason| format!("{reason:?}")),
            source.duration_ms.map(|duration| format::milliseconds(float(duration))),
            cost.queries.map(format::count),
            cost.commands.map(format::count),
            cost.rows.map(format::count),
            cost.bytes.map(|bytes| format::bytes(float(bytes))),
            cost.server_time_us.map(|time| server_time(&source.name, time)),
        ]);
        let warn =
            |warning: &String| Text::default().strong(&source.name).plain(" warns: ").sentence(warning);
        warnings.extend(source.warnings.iter().map(warn));
    }
    let body: Vec<Block> = grid.block().into_iter().chain(list(warnings)).collect();
    if body.is_empty() { body } else { [vec![Block::Heading("Sources")], body].concat() }
}

/// Time that the server spent on us. Redis does not say it: then the most that it can have been.
fn server_time(source: &str, microseconds: u64) -> String {
    let time = format::milliseconds(float(microseconds) / 1_000.0);
    if source == cache::SOURCE { format!("up to {time}") } else { time }
}

/// What was dropped so that the record fits its ConfigMap.
pub(super) fn truncated(record: &BaselineRecord) -> Vec<Block> {
    let mut grid = Grid::new([words("List of the record"), numbers("Entries left out")]);
    for (path, dropped) in &record.truncated {
        grid.row([Some(path.clone()), Some(format::count(*dropped))]);
    }
    grid.block().map_or_else(Vec::new, |grid| vec![Block::Heading("Cut to fit"), grid])
}

/// A count as a number that is shown with three digits.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
