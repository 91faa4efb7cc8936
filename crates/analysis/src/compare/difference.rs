//! The difference of two estimates with its uncertainty, oriented so that more is worse.

use std::collections::BTreeMap;

use super::autocorrelation::{self, Scatter};
use super::estimate::{Estimate, Reading, count};
use super::student;
use crate::judgement::{Alignment, Better};
use crate::request::Unit;

/// Smallest difference of a part of one that is a change: a tenth of a percentage point.
const LEAST_RATIO: f64 = 0.001;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// By the logarithm of their ratio: a change is a factor.
    Logarithm,
    /// By their difference.
    Difference,
}

/// Two estimates against each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) scale: Scale,
    pub(super) before: f64,
    pub(super) after: f64,
    /// Whether the values are parts of one.
    pub(super) is_part: bool,
    /// 1 where more is worse, -1 where less is.
    sign: f64,
    /// The largest change for the worse that is allowed, on the scale.
    pub(super) allowed: f64,
    /// One entry a reading.
    shifts: Vec<Shift>,
    /// Effective samples before and after, of the reading of which fewer are.
    pub(super) effective: [f64; 2],
    /// The largest autocorrelation that was reckoned with.
    pub(super) correlation: f64,
}

/// A change for the worse on the scale, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shift {
    worse: f64,
    error: f64,
    freedom: f64,
}

/// What is missing to a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Missing {
    /// So many times the data.
    Data(f64),
    /// The readings of the buckets differ: more data would not bring them together.
    FinerBuckets,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) unit: Unit,
    pub(super) better: Option<Better>,
    /// As a part of the value before.
    pub(super) allowed_change: f64,
    pub(super) alignment: Alignment,
}

impl Difference {
    /// Compares two estimates. `None` where there are fewer than four values to tell a scatter from.
    pub(super) fn of(before: &Estimate, after: &Estimate, terms: Terms) -> Option<Self> {
        let (from, to) = (before.value(), after.value());
        let is_part = terms.unit == Unit::Ratio;
        let scale = if is_part || from <= 0.0 || to <= 0.0 { Scale::Difference } else { Scale::Logarithm };
        let sign = if terms.better == Some(Better::Higher) { -1.0 } else { 1.0 };
        let allowed = match scale {
            Scale::Difference if is_part => (terms.allowed_change * from).max(LEAST_RATIO),
            Scale::Difference => terms.allowed_change * from.abs(),
            Scale::Logarithm => sign * (sign * terms.allowed_change.min(0.99)).ln_1p(),
        };
        let is_paired = terms.alignment == Alignment::HourOfWeek && before.scatter.is_none();
        let mut effective = [f64::INFINITY; 2];
        let mut correlation: f64 = 0.0;
        let mut shifts = Vec::new();
        for (one, other) in before.readings.iter().zip(&after.readings) {
            let scatters = if is_paired {
                paired(before, one, after, other, scale)?
            } else {
                [scaled(before.scatter(one)?, one, scale), scaled(after.scatter(other)?, other, scale)]
            };
            for (least, scatter) in effective.iter_mut().zip(&scatters) {
                *least = least.min(scatter.effective);
                correlation = correlation.max(scatter.correlation);
            }
            let change = match scale {
                Scale::Difference => other.value - one.value,
                Scale::Logarithm => (other.value / one.value).ln(),
            };
            let (variance, freedom) =
                if is_paired { (scatters[0].variance, scatters[0].freedom) } else { welch(scatters) };
            let shift = Shift { worse: sign * change, error: variance.sqrt(), freedom };
            if !(shift.worse.is_finite() && shift.error.is_finite() && shift.freedom.is_finite()) {
                return None;
            }
            shifts.push(shift);
        }
        (!shifts.is_empty()).then_some(Self {
            scale,
            before: from,
            after: to,
            is_part,
            sign,
            allowed,
            shifts,
            effective,
            correlation,
        })
    }

    /// Two-sided p value of "it is neither worse by more than is allowed, nor better". Where there are two readings both have
    /// to say so (an intersection-union test, Berger 1982), so that it holds at the level of one.
    pub(super) fn p_value(&self) -> f64 {
        let most = |p: fn(&Shift, f64) -> f64, limit: f64| {
            self.shifts.iter().map(|shift| p(shift, limit)).fold(0.0, f64::max)
        };
        let worse = most(Shift::p_above, self.allowed);
        let better = most(Shift::p_below, 0.0);
        (2.0 * worse.min(better)).min(1.0)
    }

    /// The interval of the change for the worse at a two-sided level, on the scale: that of all readings together.
    pub(super) fn interval(&self, level: f64) -> (f64, f64) {
        let ends = self.shifts.iter().map(|shift| {
            let margin = if shift.error > 0.0 {
                student::exceeded(level / 2.0, shift.freedom) * shift.error
            } else {
                0.0
            };
            (shift.worse - margin, shift.worse + margin)
        });
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end.0), high.max(end.1)))
    }

    /// What would decide an interval that straddles what is allowed, if the values stayed what they are: margins fall with the
    /// root of the data, the distance of two readings does not.
    pub(super) fn missing(&self, level: f64) -> Missing {
        let rooms = || self.shifts.iter().map(|shift| shift.worse - self.allowed);
        if rooms().any(|room| room > 0.0) && rooms().any(|room| room < 0.0) {
            return Missing::FinerBuckets;
        }
        let times = self.shifts.iter().zip(rooms()).map(|(shift, room)| {
            (student::exceeded(level / 2.0, shift.freedom) * shift.error / room).powi(2)
        });
        Missing::Data(times.fold(1.0, f64::max))
    }

    /// A change for the worse as the change itself, as a part of the value before. `None` where that is not above 0.
    pub(super) fn relative(&self, worse: f64) -> Option<f64> {
        match self.scale {
            Scale::Logarithm => Some((self.sign * worse).exp_m1()),
            Scale::Difference => (self.before > 0.0).then(|| self.sign * worse / self.before),
        }
    }

    /// Whether the values differ for the better by at least the change that is allowed for the worse.
    pub(super) fn gains_enough(&self, terms: Terms) -> bool {
        let gained = self.sign * (self.before - self.after);
        let least = match self.scale {
            Scale::Logarithm => terms.allowed_change * self.before,
            Scale::Difference => self.allowed,
        };
        gained > 0.0 && gained >= least
    }
}

impl Shift {
    /// p value of "the change is at most `limit`".
    fn p_above(&self, limit: f64) -> f64 {
        self.p(self.worse - limit)
    }

    /// p value of "the change is at least `limit`".
    fn p_below(&self, limit: f64) -> f64 {
        self.p(limit - self.worse)
    }

    fn p(&self, beyond: f64) -> f64 {
        if self.error > 0.0 {
            student::above(beyond / self.error, self.freedom)
        } else if beyond > 0.0 {
            0.0
        } else {
            1.0
        }
    }
}

/// What a figure's unit is worth on the scale, near a value.
fn unit_on(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Difference => 1.0,
        Scale::Logarithm => 1.0 / value,
    }
}

fn scaled(scatter: Scatter, reading: &Reading, scale: Scale) -> Scatter {
    Scatter { variance: scatter.variance * unit_on(scale, reading.value).powi(2), ..scatter }
}

/// Sum of the variances, and the degrees of freedom of Welch and Satterthwaite.
fn welch(scatters: [Scatter; 2]) -> (f64, f64) {
    let sum: f64 = scatters.iter().map(|scatter| scatter.variance).sum();
    let parts: f64 = scatters.iter().map(|scatter| scatter.variance.powi(2) / scatter.freedom).sum();
    (sum, if parts > 0.0 { sum.powi(2) / parts } else { scatters[0].freedom.min(scatters[1].freedom) })
}

/// The scatter of the difference of two readings whose slots are paired by the hour of the week: within an hour influences
/// are added, the hours' differences are the series. What both weeks have in common, the rhythm of the week, falls out.
fn paired(
    before: &Estimate,
    one: &Reading,
    after: &Estimate,
    other: &Reading,
    scale: Scale,
) -> Option<[Scatter; 2]> {
    let mut hours: BTreeMap<u32, f64> = BTreeMap::new();
    for slot in before.slots.iter().chain(&after.slots) {
        hours.entry(slot.hour).or_insert(0.0);
    }
    let n = count(hours.len());
    let mut noise = 0.0;
    for (estimate, reading, sign) in [(before, one, -1.0), (after, other, 1.0)] {
        let worth = unit_on(scale, reading.value);
        // Each slot is a part of the mean over all slots: over the hours, so that their mean is the same.
        let weight = worth * n / count(estimate.slots.len());
        for (slot, pull) in estimate.slots.iter().zip(&reading.influence) {
            if let Some(sum) = hours.get_mut(&slot.hour) {
                *sum += sign * weight * pull;
            }
        }
        noise += n * reading.noise * worth.powi(2) / count(estimate.slots.len());
    }
    let (places, sums): (Vec<u32>, Vec<f64>) = hours.into_iter().unzip();
    let scatter = autocorrelation::of_mean(&sums, &places, noise)?;
    Some([scatter, scatter])
}
