//! The buckets that two histograms have in common.

use crate::record::HistogramSeries;

use super::slots::Slot;

/// Two bounds are one where they differ by less than a float that went through text.
const SAME: f64 = 1e-9;

/// Observations of one side, slot by slot, in common buckets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// For each slot the observations of each bucket, not cumulative; the last bucket is above the highest bound.
    pub(super) rows: Vec<Vec<f64>>,
}

/// Both sides in the buckets that they have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Grid {
    /// Upper bounds in milliseconds, rising, without the infinite one.
    pub(super) bounds: Vec<f64>,
    pub(super) before: Table,
    pub(super) after: Table,
    /// Whether buckets had to be merged.
    pub(super) is_merged: bool,
}

/// Whether the bounds rise and are finite, so that they are bounds.
pub(super) fn are_bounds(bounds: &[f64]) -> bool {
    bounds.iter().all(|bound| bound.is_finite()) && bounds.windows(2).all(|pair| pair[0] < pair[1])
}

/// Whether a slot's counts are counts of these buckets.
pub(super) fn are_counts(series: &HistogramSeries, index: usize) -> bool {
    series.counts.get(index).is_some_and(|row| {
        row.len() == series.bounds_ms.len() + 1 && row.iter().all(|count| count.is_finite() && *count >= 0.0)
    })
}

/// Puts the slots of two series into the buckets that both have. A bound that only one of them has is common too where it
/// cuts an empty bucket of the other: native histograms only have bounds around observations.
pub(super) fn common(before: (&HistogramSeries, &[Slot]), after: (&HistogramSeries, &[Slot])) -> Grid {
    let totals = |(series, slots): (&HistogramSeries, &[Slot])| -> Vec<f64> {
        let mut sums = vec![0.0; series.bounds_ms.len() + 1];
        for row in slots.iter().filter_map(|slot| series.counts.get(slot.index)) {
            sums.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        sums
    };
    let (of_before, of_after) = (totals(before), totals(after));
    let mut bounds: Vec<f64> = Vec::new();
    bounds.extend(before.0.bounds_ms.iter().filter(|bound| serves(&after.0.bounds_ms, &of_after, **bound)));
    bounds.extend(after.0.bounds_ms.iter().filter(|bound| serves(&before.0.bounds_ms, &of_before, **bound)));
    bounds.sort_by(f64::total_cmp);
    bounds.dedup_by(|next, kept| same(*next, *kept));
    let is_merged = bounds.len() < before.0.bounds_ms.len() || bounds.len() < after.0.bounds_ms.len();
    let table = |(series, slots): (&HistogramSeries, &[Slot])| {
        let targets: Vec<usize> = series
            .bounds_ms
            .iter()
            .map(|bound| bounds.partition_point(|common| *common < *bound && !same(*common, *bound)))
            .chain([bounds.len()])
            .collect();
        let rows = slots.iter().map(|slot| {
            let mut row = vec![0.0; bounds.len() + 1];
            for (target, count) in targets.iter().zip(&series.counts[slot.index]) {
                row[*target] += count;
            }
            row
        });
        Table { rows: rows.collect() }
    };
    Grid { before: table(before), after: table(after), bounds, is_merged }
}

/// Whether a histogram can be cut at `bound`: it has it, or holds nothing in the bucket around it.
fn serves(bounds: &[f64], totals: &[f64], bound: f64) -> bool {
    let index = bounds.partition_point(|own| *own < bound && !same(*own, bound));
    bounds.get(index).is_some_and(|own| same(*own, bound)) || totals[index] == 0.0
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(bounds_ms: &[f64], counts: &[&[f64]]) -> HistogramSeries {
        HistogramSeries {
            bounds_ms: bounds_ms.to_vec(),
            slots: (0..counts.len() as u32).collect(),
            counts: counts.iter().map(|row| row.to_vec()).collect(),
        }
    }

    fn slots(series: &HistogramSeries) -> Vec<Slot> {
        series.slots.iter().map(|&position| Slot { position, index: position as usize, hour: 0 }).collect()
    }

    fn grid(before: &HistogramSeries, after: &HistogramSeries) -> Grid {
        common((before, &slots(before)), (after, &slots(after)))
    }

    #[test]
    fn buckets_that_only_one_has_are_merged_and_no_observation_is_lost() {
        let before = series(&[100.0, 250.0, 500.0], &[&[1.0, 2.0, 3.0, 4.0]]);
        let after = series(&[100.0, 300.0, 500.000_000_001], &[&[5.0, 6.0, 7.0, 8.0], &[1.0, 1.0, 1.0, 1.0]]);
        let found = grid(&before, &after);
        assert_eq!(found.bounds, [100.0, 500.0]);
        assert_eq!(found.before.rows, [[1.0, 5.0, 4.0]]);
        assert_eq!(found.after.rows, [[5.0, 13.0, 8.0], [1.0, 2.0, 1.0]]);
        assert!(found.is_merged);
    }

    #[test]
    fn an_empty_bucket_is_cut_where_the_other_one_has_a_bound() {
        let before = series(&[10.0, 40.0, 80.0], &[&[5.0, 0.0, 5.0, 0.0]]);
        let after = series(&[10.0, 20.0, 40.0, 80.0, 160.0], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 0.0]]);
        let found = grid(&before, &after);
        assert_eq!(found.bounds, [10.0, 20.0, 40.0, 80.0, 160.0]);
        assert_eq!(found.before.rows, [[5.0, 0.0, 0.0, 5.0, 0.0, 0.0]]);
        assert!(!found.is_merged);
    }

    #[test]
    fn histograms_without_a_common_bound_have_one_bucket() {
        let found = grid(&series(&[10.0], &[&[1.0, 1.0]]), &series(&[20.0], &[&[1.0, 1.0]]));
        assert_eq!((found.bounds.len(), found.before.rows[0].as_slice()), (0, &[2.0][..]));
    }
}
