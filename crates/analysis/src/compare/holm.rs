//! Holm's step-down procedure: how many tests may be made at once, and the family still errs no more often than one.

/// At which level each test was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// Its place by p value, from 1.
    pub(super) rank: usize,
    /// The two-sided level at which it was decided.
    pub(super) level: f64,
    /// Whether its hypothesis is rejected at that level.
    pub(super) rejected: bool,
}

/// Decides tests by their p values at the level of the whole family (S. Holm 1979): the smallest against `level / k`, the next
/// against `level / (k - 1)` and so on, up to the first that is not rejected; all from there on are decided at the level at
/// which that one was, so that an interval at its level never contradicts the decision.
pub(super) fn decide(p_values: &[f64], level: f64) -> Vec<Step> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut steps = vec![Step { rank: 0, level, rejected: false }; p_values.len()];
    let mut stopped = None;
    for (place, &test) in order.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a number of indicators")]
        let own = level / (p_values.len() - place) as f64;
        let rejected = stopped.is_none() && p_values[test] <= own;
        let decided = match (rejected, stopped) {
            (true, _) => own,
            (false, stop) => *stopped.insert(stop.unwrap_or(own)),
        };
        steps[test] = Step { rank: place + 1, level: decided, rejected };
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_grow_step_by_step_until_one_is_not_rejected() {
        let steps = decide(&[0.03, 0.001, 0.2, 0.006], 0.02);
        let levels: Vec<(usize, f64, bool)> =
            steps.iter().map(|step| (step.rank, step.level, step.rejected)).collect();
        let third = 0.02 / 3.0;
        assert_eq!(levels, [(3, 0.01, false), (1, 0.005, true), (4, 0.01, false), (2, third, true)]);
    }

    #[test]
    fn one_test_has_the_whole_level_and_none_has_no_step() {
        assert_eq!(decide(&[0.02], 0.02), [Step { rank: 1, level: 0.02, rejected: true }]);
        assert_eq!(decide(&[], 0.02), []);
    }

    proptest! {
        #[test]
        fn a_test_is_rejected_exactly_where_its_p_value_is_within_its_level(
            p_values in prop::collection::vec(0.0f64..=1.0, 0..20),
            level in 0.001f64..0.5,
        ) {
            for (p, step) in p_values.iter().zip(decide(&p_values, level)) {
                prop_assert_eq!(step.rejected, *p <= step.level);
                prop_assert!(step.level <= level);
            }
        }
    }
}
