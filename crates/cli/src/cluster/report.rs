//! `kubectl plimsoll report`: the record of a run, as the cluster keeps it.

use std::io::Write;

use super::{ObjectRef, Place, Target, kept};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl plimsoll report baseline/smart-dairy -n smart-dairy
  kubectl plimsoll report baseline/smart-dairy -o markdown > report.md
  kubectl plimsoll report baseline/smart-dairy --run smart-dairy-3f9c2a81d0 -o json

`kubectl plimsoll status` lists the runs whose records are kept. A record that does not match the SHA-256 in the
baseline's status was changed after it was written, and is refused.")]
pub(crate) struct ReportArgs {
    /// Which object, for example baseline/smart-dairy.
    #[arg(value_name = "KIND/NAME")]
    object: ObjectRef,
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
/// The object or its record is not there, may not be read, or was changed.
pub(crate) async fn run(
    args: &ReportArgs,
    place: &Place,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let baseline = place.baseline(&args.object.name).await?;
    let chosen = kept::choose(&baseline, args.run.as_deref())?;
    if let Some(note) = &chosen.note {
        writeln!(err, "{note}")?;
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

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
