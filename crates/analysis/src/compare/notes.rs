//! What a reader of a comparison must know beside its figures.

use jiff::SignedDuration;

use super::verdict::number;
use crate::indicator;
use crate::record::BaselineRecord;

/// Change of a request rate, as a part, from which on latency is not that of the same load.
const LOAD: f64 = 0.2;
/// Difference of the windows' lengths, as a part, that is told.
const LENGTH: f64 = 0.1;

/// Notes on two records as wholes.
pub(super) fn notes(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, what, depends) in [
        ("web.requestRate", "page requests", "page load"),
        ("api.requestRate", "API requests", "API response time"),
    ] {
        notes.extend(load(before, after, name, (what, depends)));
    }
    notes.extend(windows(before, after));
    notes.extend(servers(before, after));
    notes
}

fn load(
    before: &BaselineRecord,
    after: &BaselineRecord,
    name: &str,
    (what, depends): (&str, &str),
) -> Option<String> {
    let rate = |record| indicator::read(record, name).and_then(|reading| reading.value);
    match (rate(before), rate(after)) {
        (Some(one), Some(other)) => {
            let change = (other - one).abs();
            (change > LOAD * one.min(other)).then(|| {
                format!(
                    "load differs: {}/s {what} before, {}/s after; {depends} depends on it",
                    number(one),
                    number(other)
                )
            })
        }
        (None, None) => None,
        (one, other) => {
            let side = if one.is_none() { "before" } else { "after" };
            one.or(other)
                .map(|_| format!("the rate of {what} {side} is not known; {depends} depends on the load"))
        }
    }
}

fn windows(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let (one, other) = (before.window, after.window);
    let overlap = one.to.min(other.to).duration_since(one.from.max(other.from));
    if one == other && before.run == after.run {
        notes.push("both records are of the same run".to_owned());
    } else if overlap > SignedDuration::ZERO {
        notes.push(format!(
            "the windows overlap by {}: what was seen then is on both sides, and changes look smaller than they are",
            time(overlap)
        ));
    } else if one.to > other.to {
        notes.push("the record to compare with is the younger one".to_owned());
    }
    let lengths = [one, other].map(|window| window.to.duration_since(window.from).as_secs_f64());
    if (lengths[0] - lengths[1]).abs() > LENGTH * lengths[0].min(lengths[1]) {
        notes.push(format!(
            "the windows are of different length: {} before, {} after",
            time(one.to.duration_since(one.from)),
            time(other.to.duration_since(other.from))
        ));
    }
    notes
}

fn servers(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differs = |what: &str, one: Option<String>, other: Option<String>| {
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            notes.push(format!("{what} differs: {one} before, {other} after"));
        }
    };
    differs("the namespace", Some(before.namespace.clone()), Some(after.namespace.clone()));
    let database = |record: &BaselineRecord| {
        let server = record.database_analysis.as_ref()?.server.as_ref()?;
        Some(format!("PostgreSQL {}{}", server.version, if server.replica { " (replica)" } else { "" }))
    };
    differs("the database server", database(before), database(after));
    let cache = |record: &BaselineRecord| {
        let server = record.cache_analysis.as_ref()?.server.as_ref()?;
        Some(format!("{} {} ({})", server.product, server.version, server.role))
    };
    differs("the cache server", cache(before), cache(after));
    notes
}

/// A length of time for people, in its largest whole unit or two digits of it.
pub(super) fn time(length: SignedDuration) -> String {
    let seconds = length.as_secs_f64().abs();
    let (value, unit) = match seconds {
        0.0..120.0 => (seconds, "seconds"),
        120.0..7_200.0 => (seconds / 60.0, "minutes"),
        7_200.0..172_800.0 => (seconds / 3_600.0, "hours"),
        _ => (seconds / 86_400.0, "days"),
    };
    format!("{} {unit}", number(value))
}
