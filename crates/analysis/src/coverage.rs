//! How much of a window was really seen, and over which time a rate divides.
//!
//! The window is cut into steps, and the input is the end of each step in which any series of a selector has a
//! sample: where `max(count_over_time(SELECTOR[STEP]))` as a range query of that step gives anything. Gaps shorter than
//! a step stay unseen, and the first and last sample are known to within one.

/// Prometheus' lookback: a series without a sample for so long is absent, so that a longer distance between two
/// samples is a gap whatever the scrape interval is. Seconds.
pub const LOOKBACK_SECONDS: f64 = 300.0;

/// A distance between samples longer than so many typical distances is a gap: one missed scrape is none.
const GAP_FACTOR: f64 = 2.5;

/// A window in seconds since the epoch, open at its start and closed at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Start, exclusive.
    pub from: f64,
    /// End, inclusive.
    pub to: f64,
}

impl Span {
    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.to - self.from
    }
}

/// What of a window was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Time of the first sample in the window, in seconds since the epoch; at first the end of its step.
    pub first: f64,
    /// Time of the last sample in the window, in seconds since the epoch; at first the end of its step.
    pub last: f64,
    /// Typical distance between samples, in seconds; 0 with one sample.
    pub typical: f64,
    /// Time seen, in seconds: gaps are taken out, and the edges of the window count as seen where a sample is no
    /// further from them than the typical distance.
    pub seen: f64,
    /// How many gaps lie between the first and the last sample.
    pub gaps: usize,
}

impl Coverage {
    /// Time from the first to the last sample, in seconds: what a rate divides by.
    #[must_use]
    pub fn extent(&self) -> f64 {
        self.last - self.first
    }

    /// Time seen per hundred of the window, 0 to 100.
    #[must_use]
    pub fn percent(&self, window: Span) -> f64 {
        (self.seen / window.seconds() * 100.0).clamp(0.0, 100.0)
    }
}

/// Computes coverage from the ends of the steps that hold samples, in any order, in seconds since the epoch. Times
/// outside of the window are left out; `None` without any inside.
///
/// The typical distance is the one below which half of the seen time lies: targets that are scraped one after
/// another within an interval give many short distances and one long one, and the long one is the typical one. Distances
/// longer than the lookback and than two steps are gaps from the start and do not count.
#[must_use]
pub fn coverage(stamps: &[f64], window: Span, step: f64) -> Option<Coverage> {
    let mut stamps: Vec<f64> =
        stamps.iter().copied().filter(|&stamp| window.from < stamp && stamp <= window.to).collect();
    stamps.sort_by(f64::total_cmp);
    stamps.dedup();
    let (first, last) = (*stamps.first()?, *stamps.last()?);
    let distances: Vec<f64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let typical = typical_distance(&distances, LOOKBACK_SECONDS.max(2.0 * step));
    let longest = (GAP_FACTOR * typical).max(step);
    let mut seen = (first - window.from).min(typical) + (window.to - last).min(typical);
    let mut gaps = 0;
    for distance in distances {
        if distance > longest {
            gaps += 1;
            seen += typical;
        } else {
            seen += distance;
        }
    }
    Some(Coverage { first, last, typical, seen: seen.min(window.seconds()), gaps })
}

/// The distance below or at which half of the time in distances up to `most` lies; 0 where there are none.
fn typical_distance(distances: &[f64], most: f64) -> f64 {
    let mut short: Vec<f64> = distances.iter().copied().filter(|distance| *distance <= most).collect();
    short.sort_by(f64::total_cmp);
    let total: f64 = short.iter().sum();
    let mut sum = 0.0;
    for distance in &short {
        sum += distance;
        if sum >= total / 2.0 {
            return *distance;
        }
    }
    0.0
}

/// One series or a group of them that is seen in a part of a window, for example a pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Presence {
    /// End of the step with its first sample in the window, in seconds since the epoch.
    pub first: f64,
    /// End of the step with its last sample in the window, in seconds since the epoch.
    pub last: f64,
    /// How many samples it has in the window.
    pub samples: f64,
}

impl Presence {
    /// The time in seconds over which Prometheus' `increase` over the window speaks of this series
    /// (`extrapolatedRate` in `promql/functions.go`): from the first to the last sample, and on each side up to the
    /// window's edge if that is nearer than 1.1 mean distances, else half a mean distance.
    ///
    /// So `increase / this` is the mean rate while the series was there. Prometheus extrapolates a counter no further
    /// back than to where it would have been 0, which is not known here: a counter that began at 0 inside the window may
    /// come out low by at most half a scrape interval's part.
    ///
    /// `interval` is the scrape interval and `step` the length of a step, in seconds. Where the steps agree with as many
    /// scrapes as there are samples, the samples say more exactly how far apart the first and the last are; a longer time
    /// has gaps. `None` with fewer than two samples: there is no increase then.
    #[must_use]
    pub fn extrapolated_seconds(&self, window: Span, interval: f64, step: f64) -> Option<f64> {
        if self.samples.is_nan() || self.samples < 2.0 {
            return None;
        }
        let (by_steps, by_samples) = (self.last - self.first, (self.samples - 1.0) * interval);
        let agree = by_samples > 0.0 && (by_steps - by_samples).abs() <= 2.0 * step;
        let sampled = if agree { by_samples } else { by_steps };
        let mean = sampled / (self.samples - 1.0);
        let beyond = |edge: f64| if edge < 1.1 * mean { edge.max(0.0) } else { mean / 2.0 };
        let seconds = sampled + beyond(self.first - window.from) + beyond(window.to - self.last);
        (seconds > 0.0).then(|| seconds.min(window.seconds()))
    }
}

/// The scrape interval of a group of series that are scraped alike, in seconds: the least mean distance between the
/// samples of any, since gaps only lengthen it. 0 where none has two samples.
///
/// Ends are known to within a `step` (seconds), so that only series count that last 200 steps, or half as long as any.
#[must_use]
pub fn scrape_interval(presences: &[Presence], step: f64) -> f64 {
    let several = || presences.iter().filter(|presence| presence.samples >= 2.0);
    let length = |presence: &Presence| presence.last - presence.first;
    let longest = several().map(length).fold(0.0, f64::max);
    let means = several()
        .filter(|presence| length(presence) >= (200.0 * step).min(longest / 2.0))
        .map(|presence| length(presence) / (presence.samples - 1.0));
    let least = means.fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Span = Span { from: 1000.0, to: 4600.0 };

    fn every(interval: f64, from: f64, to: f64) -> Vec<f64> {
        let mut stamps = Vec::new();
        let mut stamp = from;
        while stamp <= to {
            stamps.push(stamp);
            stamp += interval;
        }
        stamps
    }

    #[test]
    fn steady_scrapes_cover_the_window_whole() {
        for interval in [1.0, 15.0, 60.0] {
            let found = coverage(&every(interval, 1000.0 + interval / 2.0, 4600.0), WINDOW, 1.0).unwrap();
            assert!((found.percent(WINDOW) - 100.0).abs() < 1e-9, "{interval}: {found:?}");
            assert_eq!(found.gaps, 0, "{interval}");
        }
    }

    #[test]
    fn a_minute_window_of_four_scrapes_is_covered() {
        let window = Span { from: 0.0, to: 60.0 };
        let found = coverage(&[7.0, 22.0, 37.0, 52.0], window, 1.0).unwrap();
        assert_eq!((found.extent(), found.percent(window)), (45.0, 100.0));
    }

    #[test]
    fn a_late_start_an_early_end_and_a_gap_are_not_seen() {
        let late = coverage(&every(15.0, 2800.0, 4600.0), WINDOW, 1.0).unwrap();
        assert_eq!((late.first, late.seen, late.gaps), (2800.0, 1815.0, 0));
        let early = coverage(&every(15.0, 1015.0, 1900.0), WINDOW, 1.0).unwrap();
        assert_eq!((early.last, early.seen), (1900.0, 915.0));
        let mut gap = every(15.0, 1015.0, 1900.0);
        gap.extend(every(15.0, 3700.0, 4600.0));
        let found = coverage(&gap, WINDOW, 1.0).unwrap();
        assert_eq!((found.extent(), found.seen, found.gaps), (3585.0, 1815.0, 1));
    }

    #[test]
    fn one_missed_scrape_is_no_gap() {
        let stamps: Vec<f64> =
            every(15.0, 1015.0, 4600.0).into_iter().filter(|stamp| *stamp != 2500.0).collect();
        let found = coverage(&stamps, WINDOW, 1.0).unwrap();
        assert_eq!((found.gaps, found.seen), (0, 3600.0));
    }

    #[test]
    fn targets_scraped_close_together_make_no_gaps() {
        let stamps: Vec<f64> =
            every(60.0, 1030.0, 4600.0).iter().flat_map(|stamp| [*stamp, stamp + 0.2, stamp + 1.0]).collect();
        let found = coverage(&stamps, WINDOW, 1.0).unwrap();
        assert_eq!(found.gaps, 0);
        assert!(found.percent(WINDOW) > 99.0, "{found:?}");
    }

    #[test]
    fn a_gap_longer_than_all_data_is_still_a_gap() {
        let found = coverage(&[1010.0, 1025.0, 1040.0, 4590.0, 4600.0], WINDOW, 1.0).unwrap();
        assert_eq!(found.gaps, 1);
        assert!(found.percent(WINDOW) < 3.0, "{found:?}");
    }

    #[test]
    fn a_grid_coarser_than_the_scrapes_makes_no_gaps() {
        let window = Span { from: 0.0, to: 92.0 * 86_400.0 };
        let stamps: Vec<f64> =
            every(240.0, 240.0, window.to).iter().map(|point| point - (point * 0.37) % 15.0).collect();
        let found = coverage(&stamps, window, 240.0).unwrap();
        assert_eq!(found.gaps, 0);
        assert!(found.percent(window) > 99.99, "{found:?}");
    }

    #[test]
    fn samples_outside_of_the_window_do_not_count() {
        assert_eq!(coverage(&[], WINDOW, 1.0), None);
        assert_eq!(coverage(&[1000.0, 4600.1, f64::NAN], WINDOW, 1.0), None);
        let found = coverage(&[1000.0, 2000.0], WINDOW, 1.0).unwrap();
        assert_eq!((found.extent(), found.percent(WINDOW)), (0.0, 0.0));
    }

    #[test]
    fn the_time_of_an_increase_is_that_of_prometheus() {
        let seen = |first, last, samples| {
            Presence { first, last, samples }.extrapolated_seconds(WINDOW, 15.0, 1.0).unwrap()
        };
        assert_eq!(seen(1010.0, 4595.0, 240.0), 3600.0, "both edges are near");
        assert_eq!(seen(2000.0, 2600.0, 41.0), 615.0, "half an interval on each side");
        assert_eq!(seen(1010.0, 1610.0, 41.0), 617.5, "one edge is near");
        assert_eq!(
            seen(2000.0, 3200.0, 41.0),
            1230.0,
            "a gap of ten minutes, over which the counter went on"
        );
        let coarse = Presence { first: 2120.0, last: 2120.0, samples: 5.0 };
        assert_eq!(coarse.extrapolated_seconds(WINDOW, 15.0, 120.0), Some(75.0), "five samples in one step");
        let one = Presence { first: 2000.0, last: 2000.0, samples: 1.0 };
        assert_eq!(one.extrapolated_seconds(WINDOW, 15.0, 1.0), None);
    }

    #[test]
    fn the_scrape_interval_is_that_of_the_series_without_gaps() {
        let presence = |first, last, samples| Presence { first, last, samples };
        let long_with_gaps = presence(1010.0, 4595.0, 200.0);
        let whole = presence(2010.0, 3510.0, 101.0);
        let too_short = presence(1500.0, 1501.0, 60.0);
        assert_eq!(scrape_interval(&[long_with_gaps, whole, too_short], 1.0), 15.0);
        assert_eq!(scrape_interval(&[presence(1.0, 31.0, 3.0)], 1.0), 15.0);
        assert_eq!(scrape_interval(&[presence(1.0, 1.0, 1.0)], 1.0), 0.0);
        assert_eq!(scrape_interval(&[], 1.0), 0.0);
    }

    proptest! {
        #[test]
        fn coverage_is_between_nothing_and_everything(
            stamps in prop::collection::vec(900.0f64..4700.0, 0..200),
            step in 1.0f64..240.0,
        ) {
            if let Some(found) = coverage(&stamps, WINDOW, step) {
                let percent = found.percent(WINDOW);
                prop_assert!((0.0..=100.0).contains(&percent));
                prop_assert!(found.first <= found.last && found.seen <= WINDOW.seconds());
            }
        }

        #[test]
        fn taking_samples_out_of_the_middle_never_raises_coverage(from in 1100.0f64..4000.0, length in 60.0f64..500.0) {
            let whole = every(15.0, 1010.0, 4600.0);
            let holed: Vec<f64> =
                whole.iter().copied().filter(|stamp| *stamp < from || *stamp > from + length).collect();
            let (whole, holed) = (coverage(&whole, WINDOW, 1.0).unwrap(), coverage(&holed, WINDOW, 1.0).unwrap());
            prop_assert!(holed.seen <= whole.seen);
            prop_assert_eq!(holed.gaps, 1);
        }
    }
}
