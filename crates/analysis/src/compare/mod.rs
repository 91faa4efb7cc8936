//! Whether a record is better or worse than an earlier one, indicator by indicator, with a stated confidence.
//!
//! Each figure comes with what each slot of its window contributes to it ([`estimate`], [`percentile`]); from these the
//! scatter of the figure follows, neighbouring slots being alike ([`autocorrelation`]); two figures make a difference with an
//! interval ([`difference`]); all judged differences are decided together ([`holm`], [`verdict`]). The formulas, why they
//! are so, and how often they err: `docs/measurement.md`, "Comparison".

mod autocorrelation;
mod difference;
mod estimate;
mod grid;
mod holm;
mod notes;
mod pair;
mod percentile;
mod slots;
mod student;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::indicator::{self, INDICATORS, METRICS, Reading};
use crate::judgement::{Against, Alignment, Better, Change, ChangeVerdict, CompareOptions, Comparison};
use crate::record::BaselineRecord;
use difference::{Difference, Terms};
use pair::{Found, How};

/// Compares two records: the change from `before` to `after` of every indicator that either of them has.
///
/// A figure that covers too little of its window, counts since a server's start, has too few independent samples, or is on
/// one side only is Inconclusive, whatever its values. Options outside of their range are brought into it: a confidence of
/// 50 to 99.99 %, an allowed change from 0.
#[must_use]
pub fn compare(
    before: &BaselineRecord,
    after: &BaselineRecord,
    against: Against,
    options: &CompareOptions,
) -> Comparison {
    let options = within_range(options);
    let family = 1.0 - options.confidence;
    let mut left_out = [0_usize; 2];
    let mut drafts: Vec<Draft> = names(before, after)
        .iter()
        .filter_map(|name| draft(before, after, name, &options, &mut left_out))
        .collect();
    let judged: Vec<usize> = (0..drafts.len()).filter(|&at| drafts[at].is_tested()).collect();
    let p_values: Vec<f64> =
        judged.iter().filter_map(|&at| drafts[at].difference.as_ref().map(Difference::p_value)).collect();
    for (&at, step) in judged.iter().zip(holm::decide(&p_values, family)) {
        drafts[at].decide(step, judged.len());
    }
    drafts.iter_mut().for_each(|draft| draft.show(family));
    let indicators: Vec<Change> = drafts.into_iter().map(|draft| draft.change).collect();
    let mut notes = notes::notes(before, after);
    notes.extend(alignment_notes(before, after, options.alignment, left_out, &indicators));
    Comparison {
        against,
        alignment: options.alignment,
        allowed_change_percent: options.allowed_change * 100.0,
        confidence_percent: options.confidence * 100.0,
        verdict: overall(&indicators),
        indicators,
        notes,
    }
}

fn within_range(options: &CompareOptions) -> CompareOptions {
    let or = |value: f64, default: f64| if value.is_finite() { value } else { default };
    let default = CompareOptions::default();
    CompareOptions {
        allowed_change: or(options.allowed_change, default.allowed_change).max(0.0),
        confidence: or(options.confidence, default.confidence).clamp(0.5, 0.9999),
        ..options.clone()
    }
}

/// Indicators that either record has, in the order of reports.
fn names(before: &BaselineRecord, after: &BaselineRecord) -> Vec<String> {
    let measures = |record: &BaselineRecord, name: &str| {
        indicator::read(record, name).is_some_and(|reading| reading.is_measured())
    };
    let known = INDICATORS.iter().map(|indicator| indicator.name.to_owned());
    let custom = |record: &BaselineRecord| -> Vec<String> {
        record.custom_metrics.iter().flatten().map(|(name, _)| format!("{METRICS}{name}")).collect()
    };
    let mut seen = BTreeSet::new();
    known
        .chain(custom(before))
        .chain(custom(after))
        .filter(|name| seen.insert(name.clone()))
        .filter(|name| measures(before, name) || measures(after, name))
        .collect()
}

/// The whole: Regressed where any judged indicator is, else Improved where any is, else Inconclusive where any is or where
/// none is judged.
fn overall(indicators: &[Change]) -> ChangeVerdict {
    // A query time that is known by its bounds alone can be seen to change and never to stay: it holds nothing back.
    let says_nothing = |change: &&Change| {
        change.verdict == ChangeVerdict::Inconclusive && change.before.is_none() && change.after.is_none()
    };
    let judged: Vec<ChangeVerdict> = indicators
        .iter()
        .filter(|change| change.better.is_some() && !says_nothing(change))
        .map(|change| change.verdict)
        .collect();
    let order = [ChangeVerdict::Regressed, ChangeVerdict::Improved, ChangeVerdict::Inconclusive];
    let found = order.into_iter().find(|verdict| judged.contains(verdict));
    match found {
        Some(verdict) => verdict,
        None if judged.is_empty() => ChangeVerdict::Inconclusive,
        None => ChangeVerdict::Unchanged,
    }
}

/// One indicator on its way to a verdict.
struct Draft {
    change: Change,
    terms: Terms,
    difference: Option<Difference>,
    blind: Option<String>,
}

impl Draft {
    fn is_tested(&self) -> bool {
        self.difference.is_some() && self.change.better.is_some()
    }

    fn decide(&mut self, step: holm::Step, tests: usize) {
        let Some(difference) = &self.difference else { return };
        let outcome = verdict::decide(difference, self.terms, step, tests, self.blind.as_deref());
        self.change.verdict = outcome.verdict;
        self.set_interval(outcome.percent);
        self.change.rule = outcome.rule;
    }

    /// The interval of a figure that is shown and not judged.
    fn show(&mut self, level: f64) {
        if let (Some(difference), None) = (&self.difference, self.change.better) {
            self.set_interval(verdict::show(difference, level));
        }
    }

    fn set_interval(&mut self, percent: Option<(f64, f64)>) {
        self.change.low_percent = percent.map(|ends| ends.0);
        self.change.high_percent = percent.map(|ends| ends.1);
    }
}

/// Everything about one indicator but its verdict, which needs the others; or its verdict, where the data allow none.
fn draft(
    before: &BaselineRecord,
    after: &BaselineRecord,
    name: &str,
    options: &CompareOptions,
    left_out: &mut [usize; 2],
) -> Option<Draft> {
    let readings = [indicator::read(before, name)?, indicator::read(after, name)?];
    let how = pair::how(before, after, name);
    let better = if matches!(how, How::Instant) { None } else { better(name, options) };
    let [one, other] = &readings;
    let unit = if one.is_measured() { one.unit } else { other.unit };
    let terms = Terms { unit, better, allowed_change: options.allowed_change, alignment: options.alignment };
    let change = Change {
        indicator: name.to_owned(),
        unit,
        better,
        before: one.value,
        after: other.value,
        change_percent: None,
        low_percent: None,
        high_percent: None,
        samples: None,
        effective_samples: None,
        verdict: ChangeVerdict::Inconclusive,
        rule: String::new(),
    };
    let mut draft = Draft { change, terms, difference: None, blind: None };
    match unusable(&readings) {
        Some(why) => draft.change.rule = format!("Inconclusive: {why}"),
        None if matches!(how, How::Bounds) => bounds(&mut draft.change, &readings, options.allowed_change),
        None => {
            let found = pair::find(before, after, how, options.alignment);
            fill(&mut draft, &readings, found, left_out);
        }
    }
    if better.is_none() {
        draft.change.verdict = ChangeVerdict::Inconclusive;
        let why = if matches!(how, How::Instant) {
            "one look at one instant on each side cannot tell a change from chance"
        } else {
            "neither direction is better by itself"
        };
        draft.change.rule = format!("shown, not judged: {why}");
    }
    let Change { before, after, .. } = draft.change;
    draft.change.change_percent = before
        .zip(after)
        .filter(|(before, after)| *before > 0.0 && after.is_finite())
        .map(|(before, after)| (after - before) / before * 100.0)
        .filter(|percent| percent.is_finite());
    Some(draft)
}

fn better(name: &str, options: &CompareOptions) -> Option<Better> {
    match name.strip_prefix(METRICS) {
        Some(metric) => options.better.get(metric).copied(),
        None => indicator::known(name)?.better,
    }
}

/// Why two readings cannot be compared although one of them is there.
fn unusable(readings: &[Reading<'_>; 2]) -> Option<String> {
    let sides = || readings.iter().zip(["before", "after"]);
    let absent =
        sides().find(|(reading, _)| !reading.is_measured()).map(|(_, side)| format!("not measured {side}"));
    let unjudged =
        || sides().find_map(|(reading, side)| Some(format!("{side}, {}", reading.why_unjudged()?)));
    let units = || {
        (readings[0].unit != readings[1].unit)
            .then(|| format!("measured in {:?} before and in {:?} after", readings[0].unit, readings[1].unit))
    };
    absent.or_else(unjudged).or_else(units)
}

/// Takes over what was found in the slots of both sides.
fn fill(
    draft: &mut Draft,
    readings: &[Reading<'_>; 2],
    found: Result<Found, String>,
    left_out: &mut [usize; 2],
) {
    let mut found = match found {
        Ok(found) => found,
        Err(why) => {
            draft.change.rule = format!("Inconclusive: {why}");
            return;
        }
    };
    for (most, own) in left_out.iter_mut().zip(found.left_out) {
        *most = (*most).max(own);
    }
    for (estimate, reading) in found.estimates.iter_mut().zip(readings) {
        if found.left_out == [0, 0] {
            estimate.settle(reading.value);
        }
    }
    let [before, after] = &found.estimates;
    draft.change.before = Some(before.value());
    draft.change.after = Some(after.value());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite counts; a float saturates"
    )]
    let samples = [before.samples, after.samples].map(|samples| samples.round() as u64);
    draft.change.samples = Some(samples);
    draft.blind = before.blind.clone().or_else(|| after.blind.clone());
    let Some(difference) = Difference::of(before, after, draft.terms) else {
        draft.change.rule = format!("Inconclusive: {}", found.too_few(None));
        return;
    };
    draft.change.effective_samples = Some(difference.effective);
    if found.is_enough(&difference) {
        draft.difference = Some(difference);
    } else {
        draft.change.rule = format!("Inconclusive: {}", found.too_few(Some(&difference)));
    }
}

/// Decides a figure of which only bounds are known: they hold for certain, so that nothing is said where they overlap.
fn bounds(change: &mut Change, readings: &[Reading<'_>; 2], allowed: f64) {
    let [one, other] = readings;
    let low = |reading: &Reading<'_>| reading.low.or(reading.value);
    let high =
        |reading: &Reading<'_>| reading.high.or(if reading.low.is_none() { reading.value } else { None });
    let part = |to: Option<f64>, from: Option<f64>| {
        let (to, from) = to.zip(from)?;
        (from > 0.0).then(|| (to - from) / from * 100.0).filter(|percent| percent.is_finite())
    };
    change.low_percent = part(low(other), high(one));
    change.high_percent = part(high(other), low(one));
    let is_below =
        |a: Option<f64>, b: Option<f64>, factor: f64| a.zip(b).is_some_and(|(a, b)| a * factor < b);
    let lower_is_better = change.better != Some(Better::Higher);
    let (falls, rises) = (
        is_below(high(other), low(one), if lower_is_better { 1.0 } else { 1.0 / (1.0 - allowed.min(0.99)) }),
        is_below(high(one), low(other), if lower_is_better { 1.0 + allowed } else { 1.0 }),
    );
    let range = |reading: &Reading<'_>| {
        let end =
            |end: Option<f64>| end.map_or("more".to_owned(), |end| verdict::number(end * 1000.0) + " ms");
        format!("{} to {}", end(low(reading)), end(high(reading)))
    };
    let ranges = format!("{} before, {} after", range(one), range(other));
    let (verdict, why) = match (rises, falls) {
        (true, _) if lower_is_better => {
            (ChangeVerdict::Regressed, "the bounds are apart by more than is allowed")
        }
        (_, true) if !lower_is_better => {
            (ChangeVerdict::Regressed, "the bounds are apart by more than is allowed")
        }
        (false, false) => (
            ChangeVerdict::Inconclusive,
            "the bounds overlap; name a latencyHistogram of the database's statements for a figure with slots",
        ),
        _ => (ChangeVerdict::Improved, "the bounds are apart"),
    };
    change.verdict = verdict;
    change.rule = format!("{verdict:?}: {why} ({ranges})");
}

/// What alignment left out, and what it cannot reach.
fn alignment_notes(
    before: &BaselineRecord,
    after: &BaselineRecord,
    alignment: Alignment,
    left_out: [usize; 2],
    indicators: &[Change],
) -> Vec<String> {
    if alignment == Alignment::None {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let slots = [before, after].map(|record| record.series.as_ref().map_or(0, |series| series.slots));
    if left_out != [0, 0] {
        notes.push(format!(
            "aligned by hour of the week (UTC): {} of {} slots before and {} of {} after have no counterpart and are left out",
            left_out[0], slots[0], left_out[1], slots[1]
        ));
    }
    if indicators.iter().any(|change| change.better.is_some() && pair::is_without_slots(&change.indicator)) {
        notes.push(
            "counters of the database and the cache have no slots: they are compared over all of their time"
                .to_owned(),
        );
    }
    notes
}
