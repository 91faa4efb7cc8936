//! A record, and what is said of it, in the form that was asked for.

use std::io::Write;

use plimsoll_analysis::json;
use plimsoll_analysis::judgement::Judgement;
use plimsoll_analysis::record::BaselineRecord;

use crate::failure::Failure;
use crate::record_file::merged;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a terminal.
    Table,
    /// For a page or an issue.
    Markdown,
    /// For a browser: one self-contained page.
    Html,
    /// For programs: record.json with objectives, findings and comparison.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Format {
    /// Refuses to write a page to a terminal, before anything is read.
    ///
    /// # Errors
    /// Bad input, with what to do.
    pub(crate) fn check_terminal(self) -> Result<(), Failure> {
        if self == Self::Html && console::Term::stdout().is_term() {
            return Err(Failure::bad_input(
                "a page is for a browser: write it to a file, -o html > report.html",
            ));
        }
        Ok(())
    }
}

/// Writes a record with its judgement.
///
/// # Errors
/// The output cannot be written, or a number of the record has no JSON.
pub(crate) fn write(
    record: &BaselineRecord,
    judgement: Option<&Judgement>,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let merged = || merged(record, judgement).map_err(Failure::failed);
    let text = match format {
        Format::Table => plimsoll_report::table(record, judgement, terminal_width()),
        Format::Markdown => plimsoll_report::markdown(record, judgement),
        Format::Html => plimsoll_report::html(record, judgement),
        Format::Json => json::to_text(&merged()?).map_err(Failure::failed)? + "\n",
        Format::Yaml => serde_yaml::to_string(&merged()?).map_err(Failure::failed)?,
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Columns of the terminal that standard output is; none where it is a file or another program, for which nothing is cut.
pub(crate) fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| terminal.size_checked()).flatten().map(|(_, columns)| usize::from(columns))
}
