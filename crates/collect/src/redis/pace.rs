//! How much is asked of a server at once, and how long it is left alone afterwards. Pure.
//!
//! A Redis server runs one command after another, so every step of ours delays everybody. A step is to take 0.3
//! milliseconds of its time, so that one rarely takes more than a whole one; and after each step it is left alone for so long
//! that no more than a given part of its time is ours, a fifth unless a benchmark asks for more.

use std::time::Duration;

/// Time of the server that a step is to take.
const TARGET: Duration = Duration::from_micros(300);
/// Shortest rest that a timer can give.
const LEAST_REST: Duration = Duration::from_millis(1);

/// An amount that is adapted so that a step takes the target time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    value: u32,
    least: u32,
    most: u32,
}

impl Amount {
    /// `COUNT` of `SCAN`: 10 is the server's own default.
    pub(crate) fn of_scan() -> Self {
        Self { value: 100, least: 10, most: 2000 }
    }

    /// Keys in one pipeline.
    pub(crate) fn of_batch() -> Self {
        Self { value: 16, least: 1, most: 128 }
    }

    /// The amount for the next step.
    pub(crate) fn value(self) -> u32 {
        self.value
    }

    /// Learns how long a step of the present amount took: at most doubled, at least halved, in proportion between.
    pub(crate) fn adapt(&mut self, took: Duration) {
        let factor = TARGET.as_secs_f64() / took.as_secs_f64().max(1e-9);
        // Upwards in small steps: time grows faster than the amount where the server waits for its memory.
        let factor = factor.clamp(0.25, 1.5);
        let next = (f64::from(self.value) * factor).round();
        self.value = (next as u32).clamp(self.least, self.most);
    }
}

/// How long the server has to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    owed: Duration,
    /// Part of the server's time that may be ours, percent, 1 to 100.
    duty: u32,
}

impl Rest {
    /// So that we take at most so many percent of the server's time, 1 to 100.
    pub(crate) fn of_duty(percent: u8) -> Self {
        Self { owed: Duration::ZERO, duty: u32::from(percent.clamp(1, 100)) }
    }

    /// Whether all of the server's time may be ours.
    pub(crate) fn is_never(self) -> bool {
        self.duty == 100
    }

    /// The server worked so long for us.
    pub(crate) fn worked(&mut self, took: Duration) {
        let rest = took.saturating_mul(100 - self.duty) / self.duty;
        self.owed = self.owed.saturating_add(rest);
    }

    /// How long to wait now; what is shorter than a timer can give is kept for later.
    pub(crate) fn take(&mut self) -> Option<Duration> {
        (self.owed >= LEAST_REST).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a server that takes so many nanoseconds for each unit; the times of the steps.
    fn run(mut amount: Amount, nanos: u64, steps: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..steps {
            let took = Duration::from_nanos(nanos * u64::from(amount.value()));
            amount.adapt(took);
            times.push(took);
        }
        times
    }

    #[test]
    fn steps_settle_at_the_target_whatever_the_server_is_like() {
        for nanos in [300, 1000, 3700, 9000] {
            let times = run(Amount::of_scan(), nanos, 40);
            for took in &times[20..] {
                let micros = took.as_micros();
                assert!((270..=330).contains(&micros), "{nanos} ns: {micros} us");
            }
            let slow = times.iter().filter(|took| **took > Duration::from_millis(1)).count();
            assert!(slow == 0, "{nanos} ns: {slow} steps over 1 ms");
        }
    }

    #[test]
    fn an_amount_stays_within_its_bounds() {
        let mut amount = Amount::of_scan();
        (0..50).for_each(|_| amount.adapt(Duration::ZERO));
        assert_eq!(amount.value(), 2000);
        (0..50).for_each(|_| amount.adapt(Duration::from_secs(1)));
        assert_eq!(amount.value(), 10);
    }

    #[test]
    fn no_more_than_the_given_part_of_the_time_is_ours() {
        for percent in [1, 20, 50, 100] {
            let (mut rest, mut rested, mut worked) = (Rest::of_duty(percent), Duration::ZERO, Duration::ZERO);
            for step in 0..1000 {
                let took = Duration::from_micros(step % 700);
                worked += took;
                rest.worked(took);
                rested += rest.take().unwrap_or_default();
            }
            let part = 100.0 * worked.as_secs_f64() / (worked + rested).as_secs_f64();
            assert!((part / f64::from(percent) - 1.0).abs() < 0.01, "{part} % and not {percent}");
        }
        assert_eq!(Rest::of_duty(20).take(), None);
        assert!(Rest::of_duty(100).is_never() && !Rest::of_duty(99).is_never());
        assert_eq!(Rest::of_duty(0), Rest::of_duty(1));
    }
}
