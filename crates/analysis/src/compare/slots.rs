//! Which slots of two windows are compared.

use jiff::Timestamp;

use crate::judgement::Alignment;
use crate::record::{BaselineRecord, Series};

const HOUR: u64 = 3_600;
const WEEK: u64 = 7 * 24 * HOUR;

/// One slot that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its number in its window.
    pub(super) position: u32,
    /// Its place in the lists of its series.
    pub(super) index: usize,
    /// Its hour of the week (or several hours, where slots are longer than one); 0 without alignment.
    pub(super) hour: u32,
}

/// The slots of both sides that are compared, and how many are left out on each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) before: Vec<Slot>,
    pub(super) after: Vec<Slot>,
    pub(super) left_out: [usize; 2],
}

/// The series of one record, with the end of its window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) series: &'a Series,
    pub(super) to: Timestamp,
}

impl<'a> Side<'a> {
    pub(super) fn of(record: &'a BaselineRecord) -> Option<Self> {
        Some(Self { series: record.series.as_ref()?, to: record.window.to })
    }

    /// The slots that can be used: numbered in rising order within the window, with an entry that `is_usable`.
    pub(super) fn usable(&self, numbers: &[u32], is_usable: impl Fn(usize) -> bool) -> Vec<Slot> {
        let mut next = 0;
        let mut slots = Vec::with_capacity(numbers.len());
        for (index, &position) in numbers.iter().enumerate() {
            if position >= next && position < self.series.slots && is_usable(index) {
                slots.push(Slot { position, index, hour: 0 });
                next = position + 1;
            }
        }
        slots
    }

    /// In which part of the week the middle of a slot lies, parts being `length` seconds; UTC. The middle, since a slot that
    /// ends on the hour has all of its data before it.
    fn part_of_week(&self, position: u32, length: u64) -> Option<u32> {
        let end = self.series.end_of(position, self.to)?.as_second();
        let middle = end.checked_sub_unsigned(self.series.step_seconds.div_ceil(2))?;
        let second = middle.rem_euclid(i64::try_from(WEEK).ok()?);
        u32::try_from(u64::try_from(second).ok()? / length).ok()
    }
}

/// Pairs the usable slots of two series as asked.
pub(super) fn align(sides: [Side<'_>; 2], usable: [Vec<Slot>; 2], alignment: Alignment) -> Kept {
    let [before, after] = usable;
    if alignment == Alignment::None {
        return Kept { before, after, left_out: [0, 0] };
    }
    let length = part_length(sides[0].series.step_seconds.max(sides[1].series.step_seconds));
    let number = |side: &Side<'_>, slots: Vec<Slot>| -> Vec<Slot> {
        let numbered = slots
            .into_iter()
            .filter_map(|slot| Some(Slot { hour: side.part_of_week(slot.position, length)?, ..slot }));
        numbered.collect()
    };
    let counts = [before.len(), after.len()];
    let (before, after) = (number(&sides[0], before), number(&sides[1], after));
    let hours =
        |slots: &[Slot]| slots.iter().map(|slot| slot.hour).collect::<std::collections::BTreeSet<_>>();
    let common: std::collections::BTreeSet<u32> =
        hours(&before).intersection(&hours(&after)).copied().collect();
    let keep =
        |slots: Vec<Slot>| slots.into_iter().filter(|slot| common.contains(&slot.hour)).collect::<Vec<_>>();
    let (before, after) = (keep(before), keep(after));
    let left_out = [counts[0] - before.len(), counts[1] - after.len()];
    Kept { before, after, left_out }
}

/// Length of the parts in which a week is compared: an hour, or more where slots are longer, so that it divides the week.
fn part_length(step: u64) -> u64 {
    (1..=168)
        .map(|hours| hours * HOUR)
        .find(|length| *length >= step && WEEK.is_multiple_of(*length))
        .unwrap_or(WEEK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(step_seconds: u64, slots: u32) -> Series {
        Series { step_seconds, slots, ..Series::default() }
    }

    fn side<'a>(series: &'a Series, to: &str) -> Side<'a> {
        Side { series, to: to.parse().unwrap() }
    }

    fn kept(before: Side<'_>, after: Side<'_>, alignment: Alignment) -> Kept {
        let all = |side: &Side<'_>| {
            let numbers: Vec<u32> = (0..side.series.slots).collect();
            side.usable(&numbers, |_| true)
        };
        align([before, after], [all(&before), all(&after)], alignment)
    }

    #[test]
    fn slots_out_of_order_or_beyond_the_window_and_bad_ones_are_not_used() {
        let series = series(60, 5);
        let side = side(&series, "2026-11-24T10:00:00Z");
        let slots = side.usable(&[0, 2, 2, 1, 4, 5, 9], |index| index != 4);
        let places: Vec<(u32, usize)> = slots.iter().map(|slot| (slot.position, slot.index)).collect();
        assert_eq!(places, [(0, 0), (2, 1)]);
    }

    #[test]
    fn only_hours_of_the_week_that_both_have_are_kept() {
        // Mondays a week apart: 08:00 to 12:00, and 10:00 to 14:00.
        let (early, late) = (series(1_800, 8), series(1_800, 8));
        let before = side(&early, "2026-11-16T12:00:00Z");
        let after = side(&late, "2026-11-23T14:00:00Z");
        let found = kept(before, after, Alignment::HourOfWeek);
        assert_eq!(found.left_out, [4, 4]);
        assert_eq!(found.before.iter().map(|slot| slot.position).collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(found.after.iter().map(|slot| slot.position).collect::<Vec<_>>(), [0, 1, 2, 3]);
        // The slot that ends at 11:00 is of the hour from 10:00.
        assert_eq!(found.before[1].hour, found.after[0].hour);
        assert_eq!(kept(before, after, Alignment::None).left_out, [0, 0]);
    }

    #[test]
    fn other_days_have_nothing_in_common() {
        let (one, other) = (series(300, 24), series(300, 24));
        let before = side(&one, "2026-11-16T12:00:00Z");
        let after = side(&other, "2026-11-17T12:00:00Z");
        let found = kept(before, after, Alignment::HourOfWeek);
        assert_eq!((found.before.len(), found.after.len(), found.left_out), (0, 0, [24, 24]));
    }

    #[test]
    fn long_slots_are_paired_in_longer_parts_that_divide_the_week() {
        assert_eq!(
            [60, 3_600, 7_200, 21_600, 18_000, WEEK * 9].map(part_length),
            [3_600, 3_600, 7_200, 21_600, 21_600, WEEK]
        );
    }
}
