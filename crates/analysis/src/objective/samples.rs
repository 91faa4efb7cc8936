//! How many observations a verdict needs.
//!
//! "The 95th percentile lies below 3 s" says that fewer than 5 of 100 requests take longer, as "errors below 1 %" says
//! that fewer than 1 of 100 fails. When none of n independent observations is bad, the part *p* of bad ones is below the
//! allowed part at 95 % confidence only where (1 - p)^n <= 0.05: n = ln 0.05 / ln(1 - p), the least number at which a
//! distribution-free upper bound of a quantile exists at all (59 for the 95th percentile, 299 for the 99th; binomial
//! order statistics, for example arXiv 2402.19109). With fewer not even a run without one bad observation could be a pass.

use crate::indicator::{self, Reading};
use crate::judgement::{Bound, Objective, ObjectiveVerdict};
use crate::record::{BaselineRecord, BasisKind};
use crate::request::Unit;

/// What may be left to chance.
const CHANCE: f64 = 0.05;
/// Terms of a binomial sum that are added; it is only taken where fewer than 3 bad observations are expected, and with
/// more than this many the chance is nil.
const MAX_TERMS: u64 = 200;

/// Fewest observations for a verdict where a part of `allowed` of them may be bad; `None` where no number would do, or
/// any.
pub(super) fn needed(allowed: f64) -> Option<u64> {
    if !(allowed > 0.0 && allowed < 1.0) {
        return None;
    }
    let least = (CHANCE.ln() / (-allowed).ln_1p()).ceil();
    // A part of one in a billion needs three billion: beyond 2^53 nobody counts.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded")]
    (least < 9e15).then_some(least as u64)
}

/// Observations that are good or bad, as an objective sees them.
struct Seen {
    /// How many there are.
    count: u64,
    /// Part that may be bad.
    allowed: f64,
    /// Part that is bad, where the figure itself is one.
    bad: Option<f64>,
    /// What one is called.
    name: &'static str,
}

/// Whether there are enough observations for the verdict. A ratio that is missed by more than chance allows is missed
/// with few observations, too.
///
/// # Errors
/// How many there are, how many are needed, and what to do.
pub(super) fn enough(
    record: &BaselineRecord,
    objective: &Objective,
    reading: &Reading<'_>,
    verdict: ObjectiveVerdict,
) -> Result<(), String> {
    let Some(seen) = seen(record, objective, reading) else { return Ok(()) };
    let Some(least) = needed(seen.allowed).filter(|least| seen.count < *least) else { return Ok(()) };
    let is_sure = seen.bad.is_some_and(|bad| chance(seen.count, bad, seen.allowed) <= CHANCE);
    if verdict == ObjectiveVerdict::Missed && is_sure {
        return Ok(());
    }
    let remedy = match reading.basis.map(|basis| basis.kind) {
        Some(BasisKind::Sampled) => "raise spec.sampleDuration, or let a second run follow",
        Some(BasisKind::SincePreviousRun) => "wait for more traffic before the next run",
        _ => "lengthen spec.window, or wait for more traffic",
    };
    Err(format!(
        "it rests on {} {}, and this target is judged from {} on; {remedy}",
        crate::format::count(seen.count),
        seen.name,
        crate::format::count(least)
    ))
}

fn seen(record: &BaselineRecord, objective: &Objective, reading: &Reading<'_>) -> Option<Seen> {
    let quantile = indicator::known(&reading.name).and_then(|known| known.series).and_then(|series| series.1);
    if let Some(quantile) = quantile {
        let count = reading.basis?.samples?;
        return Some(Seen { count, allowed: 1.0 - quantile, bad: None, name: "observations" });
    }
    if reading.unit != Unit::Ratio {
        return None;
    }
    let (count, name) = match reading.name.as_str() {
        "cache.hitRatio" => (reading.basis?.samples?, "lookups"),
        "database.cacheHitRatio" => (reading.basis?.samples?, "block reads"),
        "web.errorRatio" => (requests(record, "web.requestRate")?, "requests"),
        "api.errorRatio" => (requests(record, "api.requestRate")?, "requests"),
        _ => return None,
    };
    let value = reading.value?;
    // What may be bad is what lies on the other side of the target.
    let (allowed, bad) = match objective.comparison {
        Bound::LessThan => (objective.target, value),
        Bound::GreaterThan => (1.0 - objective.target, 1.0 - value),
    };
    Some(Seen { count, allowed, bad: Some(bad), name })
}

/// How many requests a rate stands for: the rate times the time it was measured over.
pub(crate) fn requests(record: &BaselineRecord, rate: &str) -> Option<u64> {
    let reading = indicator::read(record, rate)?;
    let basis = reading.basis?;
    let seconds = basis.to.duration_since(basis.from).as_secs_f64();
    let requests = (reading.value? * seconds).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the check")]
    (0.0..9e15).contains(&requests).then_some(requests as u64)
}

/// The chance that at least this part of `count` observations is bad where each is so with the probability `allowed`: the
/// upper tail of the binomial distribution.
fn chance(count: u64, bad: f64, allowed: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of observations")]
    let n = count as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count")]
    let bad = (bad.clamp(0.0, 1.0) * n).round() as u64;
    if bad > MAX_TERMS {
        return 0.0;
    }
    let mut term = (n * (-allowed).ln_1p()).exp();
    let mut below = 0.0;
    for index in 0..bad {
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_TERMS")]
        let index = index as f64;
        below += term;
        term *= (n - index) / (index + 1.0) * allowed / (1.0 - allowed);
    }
    (1.0 - below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_is_that_of_a_distribution_free_bound() {
        for (allowed, least) in [(0.05, 59), (0.01, 299), (0.1, 29), (0.5, 5), (0.001, 2_995)] {
            assert_eq!(needed(allowed), Some(least), "{allowed}");
            // With one observation fewer a clean run would be likelier than the chance that is left.
            let clean = |n: u64| (1.0 - allowed).powf(n as f64);
            assert!(clean(least) <= CHANCE && clean(least - 1) > CHANCE, "{allowed}");
        }
        for allowed in [0.0, -0.1, 1.0, 1.5, f64::NAN] {
            assert_eq!(needed(allowed), None, "{allowed}");
        }
    }

    #[test]
    fn the_chance_is_the_tail_of_the_binomial_distribution() {
        assert!((chance(10, 0.1, 0.01) - (1.0 - 0.99f64.powi(10))).abs() < 1e-12);
        assert!((chance(10, 0.2, 0.5) - (1.0 - 11.0 / 1024.0)).abs() < 1e-12);
        assert_eq!(chance(10, 0.0, 0.01), 1.0);
        assert!(chance(200, 0.5, 0.01) < 1e-12);
        assert_eq!(chance(1_000_000, 0.5, 1e-7), 0.0);
    }
}
