//! Slots of a schedule (pure): which are answered, and which one is due.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plimsoll_api::PerformanceBaselineStatus;

use super::view::View;
use crate::schedule::Schedule;

/// The slot up to which everything is answered.
///
/// Slots count from when a schedule is first seen. An edit passes over what has passed, so that neither a changed
/// schedule nor a resumed one starts a run for a slot that nobody was promised; but a slot that status promised and
/// that has come is still owed after an edit of something else.
#[must_use]
pub fn answered(
    status: &PerformanceBaselineStatus,
    generation: i64,
    schedule: &Schedule,
    now: Timestamp,
) -> Timestamp {
    let passed = schedule.latest_at(now).unwrap_or_else(|| whole_second(now));
    let Some(Time(answered)) = status.last_slot else { return passed };
    let edited = status.observed_generation != Some(generation);
    let owed = status.next_run_time.as_ref().is_some_and(|promised| promised.0 <= now);
    if edited && !owed { answered.max(passed) } else { answered }
}

/// The slot that is due, if there is one.
#[must_use]
pub fn due(view: &View, schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let slot = schedule.latest_at(now)?;
    (slot > answered(&view.status, view.generation, schedule, now)).then_some(slot)
}

/// Writes into a status what is answered and what comes next; call it before the generation is set.
pub fn settle(view: &View, status: &mut PerformanceBaselineStatus, now: Timestamp) {
    let Ok(valid) = &view.valid else { return };
    let Some(schedule) = &valid.schedule else {
        status.last_slot = None;
        status.next_run_time = None;
        return;
    };
    let answered = answered(status, view.generation, schedule, now);
    status.last_slot = Some(Time(answered));
    // Counted from the answered slot, so that it does not move while nothing happens.
    status.next_run_time = (!valid.suspend).then(|| schedule.next_after(answered)).flatten().map(Time);
}

/// Answers every slot that has passed: a run starts now.
pub fn answer(view: &View, status: &mut PerformanceBaselineStatus, now: Timestamp) {
    let schedule = view.valid.as_ref().ok().and_then(|valid| valid.schedule.as_ref());
    let Some(slot) = schedule.and_then(|schedule| schedule.latest_at(now)) else { return };
    status.last_slot = Some(Time(status.last_slot.as_ref().map_or(slot, |old| old.0.max(slot))));
    settle(view, status, now);
}

/// Takes the answer to a slot back: its run never had a Job.
pub fn reopen(view: &View, status: &mut PerformanceBaselineStatus, trigger: &str) {
    let Some(slot) = trigger.strip_prefix("slot/").and_then(|slot| slot.parse::<Timestamp>().ok()) else {
        return;
    };
    let before = Timestamp::from_second(slot.as_second() - 1).unwrap_or(slot);
    status.last_slot = Some(Time(before));
    let suspended = view.valid.as_ref().is_ok_and(|valid| valid.suspend);
    status.next_run_time = (!suspended).then_some(Time(slot));
}

/// The second that an instant lies in: the API server stores times so.
#[must_use]
pub fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
