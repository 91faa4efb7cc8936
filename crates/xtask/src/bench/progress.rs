//! What pgbench says every second, and what of its rate is missing around an event.
//!
//! The rate of a whole run varies by some percent from one run to the next, whatever happens in it. The seconds right
//! before and after a short event vary far less, so that they show what the event took even on a machine that is not quiet.

/// One second of pgbench.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Second {
    /// When it ended, seconds of the Unix epoch.
    end: f64,
    /// Transactions in it.
    transactions: f64,
}

/// How many seconds before an event, and as many after it, say what the rate would have been.
const AROUND: usize = 2;

/// The seconds that `pgbench --progress=1 --progress-timestamp` printed.
pub(super) fn seconds(text: &str) -> Vec<Second> {
    let parse = |line: &str| {
        let (end, rest) = line.strip_prefix("progress: ")?.split_once(" s, ")?;
        Some(Second { end: end.parse().ok()?, transactions: rest.split_once(" tps")?.0.parse().ok()? })
    };
    text.lines().filter_map(parse).collect()
}

/// Transactions that are missing in the seconds of an event, times as in [`Second`]; `None` too close to an end of the run.
pub(super) fn missing(seconds: &[Second], from: f64, until: f64) -> Option<f64> {
    let first = seconds.iter().position(|second| second.end > from)?;
    let past = seconds.iter().position(|second| second.end - 1.0 >= until)?;
    let before = seconds.get(first.checked_sub(AROUND)?..first)?;
    let after = seconds.get(past..past + AROUND)?;
    let usual =
        before.iter().chain(after).map(|second| second.transactions).sum::<f64>() / (2 * AROUND) as f64;
    Some(seconds[first..past].iter().map(|second| usual - second.transactions).sum())
}

/// Mean of some numbers and twice its standard error, about the half of a 95 % interval; NaN of fewer than two.
pub(super) fn mean_and_error(numbers: &[f64]) -> (f64, f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
    (mean, 2.0 * (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_from_what_pgbench_prints() {
        let text = "pgbench (15.14)\nprogress: 1795545600.250 s, 3000.5 tps, lat 2.6 ms stddev 1.1, 0 failed\nprogress: x\n";
        assert_eq!(seconds(text), [Second { end: 1_795_545_600.25, transactions: 3000.5 }]);
    }

    #[test]
    fn what_is_missing_is_what_the_seconds_beside_an_event_had_more() {
        let of = |rates: &[f64]| -> Vec<Second> {
            (1..).zip(rates).map(|(end, rate)| Second { end: f64::from(end), transactions: *rate }).collect()
        };
        let run = of(&[50.0, 100.0, 100.0, 80.0, 110.0, 90.0, 50.0]);
        assert_eq!(missing(&run, 3.2, 3.9), Some(20.0));
        // An event over the end of a second lies in both.
        assert_eq!(missing(&run, 3.9, 4.1), Some(2.0 * 85.0 - 80.0 - 110.0));
        for (from, until) in [(0.5, 0.6), (1.5, 1.6), (5.5, 5.6), (9.0, 9.1)] {
            assert_eq!(missing(&run, from, until), None, "{from}");
        }
    }

    #[test]
    fn the_error_of_a_mean_shrinks_with_what_is_known() {
        assert_eq!(mean_and_error(&[1.0, 3.0]), (2.0, 2.0));
        assert!(mean_and_error(&[1.0]).1.is_nan());
    }
}
