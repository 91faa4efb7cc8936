//! A record in the form that was asked for.

use std::io::Write;

use plimsoll_analysis::record::BaselineRecord;

use crate::failure::Failure;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a terminal.
    Table,
    /// For a page or an issue.
    Markdown,
    /// For programs: record.json.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Writes a record.
///
/// # Errors
/// The output cannot be written, or a number of the record has no JSON.
pub(crate) fn write(record: &BaselineRecord, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match format {
        Format::Table => plimsoll_report::table(record, None, terminal_width()),
        Format::Markdown => plimsoll_report::markdown(record, None),
        Format::Json => serde_json::to_string_pretty(record).map_err(Failure::failed)? + "\n",
        Format::Yaml => serde_yaml::to_string(record).map_err(Failure::failed)?,
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Columns of the terminal that standard output is; none where it is a file or another program, for which nothing is cut.
fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size_checked()).flatten().map(|(_, columns)| usize::from(columns))
}
