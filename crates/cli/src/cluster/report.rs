//! `kubectl plimsoll report`: the record of a run and what was said of it, as the cluster keeps them.

use std::io::Write;

use super::{ObjectRef, Place, Target, kept, overview, status};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll report baseline/smart-dairy -n smart-dairy
  kubectl plimsoll report baseline/smart-dairy -o markdown > report.md
  kubectl plimsoll report baseline/smart-dairy -o html > report.html
  kubectl plimsoll report baseline/smart-dairy --run smart-dairy-3f9c2a81d0 -o json
  kubectl plimsoll report --all -n smart-dairy -o markdown

`kubectl plimsoll status` lists the runs whose records are kept. A record that does not match the SHA-256 in the
baseline's status was changed after it was written, and is refused.")]
pub(crate) struct ReportArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME", required_unless_present = "all")]
    object: Option<ObjectRef>,
    /// All baselines of the namespace together: optimizations applied, before and after, what is left to hand over.
    #[arg(long, conflicts_with_all = ["object", "run"])]
    all: bool,
    /// How the record is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Which run; the newest with a record by default.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Runs the command.
///
/// # Errors
/// The object or its record is not there, may not be read, or was changed; a page is asked for on a terminal.
pub(crate) async fn run(
    args: &ReportArgs,
    place: &Place,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    args.output.check_terminal()?;
    let Some(object) = &args.object else { return all(args.output, place, out).await };
    let baseline = place.baseline(&object.name).await?;
    let chosen = kept::choose(&baseline, args.run.as_deref())?;
    if let Some(note) = &chosen.note {
        writeln!(err, "{note}")?;
    }
    if status::is_behind(&baseline) {
        writeln!(
            err,
            "note: the operator has not looked at the last edit yet: objectives may have changed since"
        )?;
    }
    let (_, record) = kept::record(place, &chosen).await?;
    let judgement = match kept::judgement(place, &chosen).await? {
        Ok(judgement) => Some(judgement),
        Err(why) => {
            writeln!(err, "note: {why}")?;
            None
        }
    };
    output::write(&record, judgement.as_ref(), args.output, out)?;
    Ok(0)
}

/// The baselines of the namespace together.
async fn all(format: Format, place: &Place, out: &mut dyn Write) -> Result<u8, Failure> {
    let write = match format {
        Format::Table => |overview: &_| plimsoll_report::overview_table(overview, output::terminal_width()),
        Format::Markdown => plimsoll_report::overview_markdown,
        Format::Html | Format::Json | Format::Yaml => {
            return Err(Failure::bad_input(
                "--all is written as table or markdown; for the other forms name one baseline",
            ));
        }
    };
    let overview = overview::read(place).await?;
    if overview.baselines.is_empty() {
        return Err(Failure::failed(format_args!("there is no baseline in namespace {}", place.namespace)));
    }
    out.write_all(write(&overview).as_bytes())?;
    out.flush()?;
    Ok(0)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
