use super::*;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn every_ten_minutes() -> Schedule {
    Schedule::parse("*/10 * * * *", None, at("2026-11-24T00:00:00Z")).unwrap()
}

fn status(last: Option<&str>, next: Option<&str>, generation: i64) -> PerformanceBaselineStatus {
    PerformanceBaselineStatus {
        last_slot: last.map(|text| Time(at(text))),
        next_run_time: next.map(|text| Time(at(text))),
        observed_generation: Some(generation),
        ..PerformanceBaselineStatus::default()
    }
}

#[test]
fn what_is_answered_depends_on_what_was_promised() {
    let (ten, twenty) = ("2026-11-24T10:10:00Z", "2026-11-24T10:20:00Z");
    for (what, status, now, expected) in [
        ("first seen", status(None, None, 1), "2026-11-24T10:25:00Z", twenty),
        ("nothing happened", status(Some(ten), Some(twenty), 2), "2026-11-24T10:15:00Z", ten),
        ("a slot has come", status(Some(ten), Some(twenty), 2), "2026-11-24T10:25:00Z", ten),
        ("edited before a slot", status(Some(ten), Some(twenty), 1), "2026-11-24T10:19:59Z", ten),
        (
            "edited after a slot that was promised",
            status(Some(ten), Some(twenty), 1),
            "2026-11-24T10:25:00Z",
            ten,
        ),
        ("resumed: nothing was promised", status(Some(ten), None, 1), "2026-11-24T10:25:00Z", twenty),
        (
            "edited from a schedule whose slot is far away",
            status(Some(ten), Some("2026-11-30T00:00:00Z"), 1),
            "2026-11-24T10:25:00Z",
            twenty,
        ),
        (
            "the clock went back",
            status(Some(twenty), Some("2026-11-24T10:30:00Z"), 1),
            "2026-11-24T09:00:00Z",
            twenty,
        ),
    ] {
        assert_eq!(answered(&status, 2, &every_ten_minutes(), at(now)), at(expected), "{what}");
    }
}

proptest! {
    #[test]
    fn what_is_answered_never_goes_back_and_is_never_ahead_of_what_came(
        last in 0_i64..100_000,
        next in prop::option::of(0_i64..100_000),
        now in 0_i64..100_000,
        edited in any::<bool>(),
    ) {
        let second = |second: i64| Time(Timestamp::from_second(1_790_000_000 + second).unwrap());
        let status = PerformanceBaselineStatus {
            last_slot: Some(second(last)),
            next_run_time: next.map(second),
            observed_generation: Some(i64::from(!edited)),
            ..PerformanceBaselineStatus::default()
        };
        let now = second(now).0;
        let answered = answered(&status, 1, &every_ten_minutes(), now);
        prop_assert!(answered >= second(last).0);
        prop_assert!(answered <= now.max(second(last).0));
    }
}
