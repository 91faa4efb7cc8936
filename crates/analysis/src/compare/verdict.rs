//! From differences to verdicts, and the words and numbers that explain them.

use super::difference::{Difference, Missing, Terms};
use super::holm::Step;
use crate::judgement::ChangeVerdict;

/// Beyond so many times the data nobody waits for them.
const MOST_TIMES: f64 = 50.0;

/// How one difference came out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) verdict: ChangeVerdict,
    /// Interval of the change, percent of the value before.
    pub(super) percent: Option<(f64, f64)>,
    pub(super) rule: String,
}

/// Decides one difference at its level.
///
/// - Regressed: the whole interval is worse by more than is allowed.
/// - Improved: the whole interval is better, and the change is at least as large as what is allowed for the worse.
/// - Unchanged: the interval's worst end is within what is allowed.
/// - Inconclusive: anything else.
pub(super) fn decide(
    difference: &Difference,
    terms: Terms,
    step: Step,
    tests: usize,
    blind: Option<&str>,
) -> Outcome {
    let (low, high) = difference.interval(step.level);
    let words = Words { difference, low, high };
    let evidence = format!(
        "n_eff {}/{}, interval at {}, Holm {} of {tests}",
        effective(difference.effective[0]),
        effective(difference.effective[1]),
        level_percent(step.level),
        step.rank,
    );
    let allowed = words.size(difference.allowed);
    let (verdict, reason) = if low > difference.allowed {
        (ChangeVerdict::Regressed, format!("at least {} worse, {allowed} is allowed", words.size(low)))
    } else if high < 0.0 && difference.gains_enough(terms) {
        (ChangeVerdict::Improved, format!("at least {} better", words.size(high)))
    } else if high <= difference.allowed {
        match blind {
            Some(why) => (ChangeVerdict::Inconclusive, why.to_owned()),
            None if high < 0.0 => {
                (ChangeVerdict::Unchanged, format!("{}, less than the {allowed} that count", words.range()))
            }
            None => (
                ChangeVerdict::Unchanged,
                format!("at most {} worse, {allowed} is allowed", words.size(high)),
            ),
        }
    } else {
        (
            ChangeVerdict::Inconclusive,
            format!("{}, {allowed} is allowed{}", words.range(), words.remedy(step.level)),
        )
    };
    let percent = words.percent();
    Outcome { verdict, percent, rule: format!("{verdict:?}: {reason} ({evidence})") }
}

/// The interval of a difference that is shown and not judged.
pub(super) fn show(difference: &Difference, level: f64) -> Option<(f64, f64)> {
    let (low, high) = difference.interval(level);
    Words { difference, low, high }.percent()
}

struct Words<'a> {
    difference: &'a Difference,
    low: f64,
    high: f64,
}

impl Words<'_> {
    /// Both ends as changes of the value before, percent, the lower one first.
    fn percent(&self) -> Option<(f64, f64)> {
        let ends = [self.low, self.high].map(|worse| self.difference.relative(worse));
        let (one, other) = (ends[0]? * 100.0, ends[1]? * 100.0);
        (one.is_finite() && other.is_finite()).then_some((one.min(other), one.max(other)))
    }

    /// How large a change on the scale is, without its sign: percent of the value before, or points of a part that was 0.
    fn size(&self, worse: f64) -> String {
        match self.difference.relative(worse).filter(|part| part.is_finite()) {
            Some(part) => number(part.abs() * 100.0) + "%",
            None if self.difference.is_part => number(worse.abs() * 100.0) + " points",
            None => number(worse.abs()),
        }
    }

    fn range(&self) -> String {
        let side =
            |worse: f64| format!("{} {}", self.size(worse), if worse > 0.0 { "worse" } else { "better" });
        format!("between {} and {}", side(self.low), side(self.high))
    }

    /// What would decide it.
    fn remedy(&self, level: f64) -> String {
        match self.difference.missing(level) {
            Missing::FinerBuckets => {
                "; the buckets around it are too coarse to tell, finer ones would".to_owned()
            }
            Missing::Data(times) if times <= MOST_TIMES => {
                format!("; if it stays so, {} times the data would tell", number((times * 1.1).max(1.1)))
            }
            Missing::Data(_) => "; it is too close to call".to_owned(),
        }
    }
}

fn effective(samples: f64) -> String {
    if samples < 10.0 { number(samples) } else { format!("{samples:.0}") }
}

/// A confidence level, percent, with as many digits as tell it from 100.
fn level_percent(level: f64) -> String {
    number_with(100.0 * (1.0 - level), 2) + "%"
}

/// A number for people: two digits after the point below one, one below ten, none above.
pub(super) fn number(value: f64) -> String {
    let digits = if value.abs() < 0.995 { 2 } else { usize::from(value.abs() < 9.95) };
    number_with(value, digits)
}

fn number_with(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
