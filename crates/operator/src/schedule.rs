//! When a schedule's slots are: five-field cron with a time zone, as on a CronJob. Pure: `now` is an argument.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A parsed schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five-field cron.
    #[error(
        "{text:?} is not five-field cron such as \"0 2 * * 1\" (minute, hour, day of month, month, day of week): {why}"
    )]
    Cron {
        /// The text as given.
        text: String,
        /// What the parser says.
        why: String,
    },
    /// Not an IANA time zone.
    #[error("{name:?} is not an IANA time zone such as \"Asia/Dhaka\"")]
    Zone {
        /// The name as given.
        name: String,
    },
    /// A date that never comes, such as the 30th of February.
    #[error("{text:?} names no date that comes")]
    Never {
        /// The text as given.
        text: String,
    },
}

impl Schedule {
    /// Parses a schedule; UTC without a zone.
    ///
    /// # Errors
    /// [`ScheduleError`] with the text and what is expected.
    pub fn parse(text: &str, zone: Option<&str>, now: Timestamp) -> Result<Self, ScheduleError> {
        let error = |why: String| ScheduleError::Cron { text: text.to_owned(), why };
        if text.split_whitespace().count() != 5 {
            return Err(error("there are not five fields".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|why| error(why.to_string()))?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| ScheduleError::Zone { name: name.to_owned() })?,
        };
        let schedule = Self { cron, zone };
        match schedule.next_after(now) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { text: text.to_owned() }),
        }
    }

    /// The first slot after `instant`.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        self.settled(self.cron.find_next_occurrence(&instant.to_zoned(self.zone.clone()), false))
    }

    /// The last slot at or before `instant`.
    #[must_use]
    pub fn latest_at(&self, instant: Timestamp) -> Option<Timestamp> {
        self.settled(self.cron.find_previous_occurrence(&instant.to_zoned(self.zone.clone()), true))
    }

    fn settled(&self, found: Result<jiff::Zoned, CronError>) -> Option<Timestamp> {
        found.ok().map(|zoned| zoned.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn slots_are_in_the_schedules_zone() {
        let schedule = Schedule::parse("0 2 * * 1", Some("Asia/Dhaka"), at("2026-11-24T00:00:00Z")).unwrap();
        // Monday 02:00 in Dhaka is Sunday 20:00 in UTC.
        assert_eq!(schedule.next_after(at("2026-11-24T00:00:00Z")), Some(at("2026-11-29T20:00:00Z")));
        assert_eq!(schedule.latest_at(at("2026-11-24T00:00:00Z")), Some(at("2026-11-22T20:00:00Z")));
    }

    #[test]
    fn a_slot_is_its_own_latest_and_never_its_own_next() {
        let schedule = Schedule::parse("*/5 * * * *", None, at("2026-11-24T00:00:00Z")).unwrap();
        let slot = at("2026-11-24T10:05:00Z");
        assert_eq!(schedule.latest_at(slot), Some(slot));
        assert_eq!(schedule.next_after(slot), Some(at("2026-11-24T10:10:00Z")));
        assert_eq!(schedule.latest_at(at("2026-11-24T10:05:00.5Z")), Some(slot));
    }

    #[test]
    fn daylight_saving_keeps_a_daily_slot_daily() {
        let schedule =
            Schedule::parse("30 2 * * *", Some("Europe/Berlin"), at("2026-01-01T00:00:00Z")).unwrap();
        // 2026-03-29: 02:00 becomes 03:00, so 02:30 does not exist; 2026-10-25: 02:30 comes twice.
        for (from, to) in [
            ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
        ] {
            let mut slots = Vec::new();
            let mut instant = at(from);
            while let Some(next) = schedule.next_after(instant).filter(|next| *next < at(to)) {
                slots.push(next);
                instant = next;
            }
            assert_eq!(slots.len(), 2, "{from}: {slots:?}");
        }
    }

    /// The slots of a schedule after one instant and before another.
    fn slots(cron: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let schedule = Schedule::parse(cron, Some(zone), at("2026-01-01T00:00:00Z")).unwrap();
        let mut slots = Vec::new();
        let mut instant = at(from);
        while let Some(next) = schedule.next_after(instant).filter(|next| *next < at(to)) {
            // Whoever comes later and looks back finds the same slot.
            assert_eq!(schedule.latest_at(next), Some(next), "{cron} {zone}");
            slots.push(next.to_string());
            instant = next;
        }
        slots
    }

    #[test]
    fn a_slot_in_the_hour_that_is_left_out_comes_once_after_it() {
        for (cron, zone, from, to, expected) in [
            // Berlin, 29 March: 02:00 becomes 03:00, at 01:00 UTC.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                "2026-03-29T12:00:00Z",
                vec!["2026-03-29T01:00:00Z"],
            ),
            // New York, 8 March: 02:00 becomes 03:00, at 07:00 UTC.
            (
                "0 2 * * *",
                "America/New_York",
                "2026-03-08T00:00:00Z",
                "2026-03-08T12:00:00Z",
                vec!["2026-03-08T07:00:00Z"],
            ),
            // What lies outside the hour is not moved.
            (
                "30 3 * * *",
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                "2026-03-29T12:00:00Z",
                vec!["2026-03-29T01:30:00Z"],
            ),
        ] {
            assert_eq!(slots(cron, zone, from, to), expected, "{cron} {zone}");
        }
    }

    #[test]
    fn a_slot_in_the_hour_that_comes_twice_comes_once_and_an_interval_goes_on() {
        for (cron, zone, from, to, expected) in [
            // Berlin, 25 October: 03:00 becomes 02:00, at 01:00 UTC; 02:30 is 00:30 UTC, and 01:30 UTC again.
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-10-24T12:00:00Z",
                "2026-10-25T12:00:00Z",
                vec!["2026-10-25T00:30:00Z"],
            ),
            (
                "*/30 * * * *",
                "Europe/Berlin",
                "2026-10-24T23:45:00Z",
                "2026-10-25T02:15:00Z",
                vec![
                    "2026-10-25T00:00:00Z",
                    "2026-10-25T00:30:00Z",
                    "2026-10-25T01:00:00Z",
                    "2026-10-25T01:30:00Z",
                    "2026-10-25T02:00:00Z",
                ],
            ),
        ] {
            assert_eq!(slots(cron, zone, from, to), expected, "{cron} {zone}");
        }
    }

    #[test]
    fn what_is_not_a_schedule_is_refused_with_its_text() {
        let now = at("2026-11-24T00:00:00Z");
        for text in ["* * * * * *", "@daily", "", "61 * * * *", "0 2 * *", "a b c d e", "0 2 * * 1 2026"] {
            assert!(matches!(Schedule::parse(text, None, now), Err(ScheduleError::Cron { .. })), "{text}");
        }
        assert!(matches!(Schedule::parse("0 0 30 2 *", None, now), Err(ScheduleError::Never { .. })));
        assert!(matches!(
            Schedule::parse("0 2 * * 1", Some("Mars/Olympus"), now),
            Err(ScheduleError::Zone { .. })
        ));
    }

    proptest::proptest! {
        #[test]
        fn an_instant_lies_between_its_latest_slot_and_the_next_and_both_agree(
            cron in proptest::sample::select(vec!["*/10 * * * *", "0 * * * *", "30 2 * * *", "0 2 * * 1", "15 1,3 1 * *"]),
            zone in proptest::sample::select(vec![None, Some("Asia/Dhaka"), Some("Europe/Berlin"), Some("America/New_York"), Some("Australia/Lord_Howe")]),
            // Two years around four changes of daylight saving, to the millisecond.
            millisecond in 1_767_225_600_000_i64..1_830_297_600_000,
        ) {
            let now = Timestamp::from_millisecond(millisecond).unwrap();
            let schedule = Schedule::parse(cron, zone, now).unwrap();
            let (latest, next) = (schedule.latest_at(now).unwrap(), schedule.next_after(now).unwrap());
            proptest::prop_assert!(latest <= now && now < next, "{latest} {now} {next}");
            // A slot is answered once, whether it is found forwards or backwards.
            proptest::prop_assert_eq!(schedule.next_after(latest), Some(next));
            proptest::prop_assert_eq!(schedule.latest_at(next), Some(next));
            proptest::prop_assert_eq!(next.subsec_nanosecond(), 0);
        }
    }
}
