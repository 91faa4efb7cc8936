//! The largest of many, and the sum of the rest.

use indexmap::IndexMap;

/// Key under which the rest is summed.
pub const OTHERS: &str = "(others)";

/// Sorts by value, largest first, and by name where values are equal. Values that are not finite are left out: a
/// record cannot hold them.
#[must_use]
pub fn largest_first(values: impl IntoIterator<Item = (String, f64)>) -> Vec<(String, f64)> {
    let mut values: Vec<(String, f64)> = values.into_iter().filter(|(_, value)| value.is_finite()).collect();
    values.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    values
}

/// The `keep` largest, largest first, and the rest summed under [`OTHERS`]; the second number is how many were summed.
#[must_use]
pub fn largest_and_others(
    values: impl IntoIterator<Item = (String, f64)>,
    keep: usize,
) -> (IndexMap<String, f64>, u64) {
    let mut kept = largest_first(values);
    let rest = kept.split_off(keep.min(kept.len()));
    let mut map: IndexMap<String, f64> = kept.into_iter().collect();
    if !rest.is_empty() {
        map.insert(OTHERS.to_owned(), rest.iter().map(|(_, value)| value).sum());
    }
    (map, rest.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(values: &[f64]) -> Vec<(String, f64)> {
        values.iter().enumerate().map(|(index, value)| (format!("pod-{index:03}"), *value)).collect()
    }

    #[test]
    fn the_largest_come_first_and_the_rest_is_summed() {
        let (map, summed) = largest_and_others(named(&[1.0, 5.0, 3.0, 5.0, f64::NAN]), 2);
        let expected =
            [("pod-001", 5.0), ("pod-003", 5.0), (OTHERS, 4.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!((map.into_iter().collect::<Vec<_>>(), summed), (expected.to_vec(), 2));
        let (map, summed) = largest_and_others(named(&[1.0]), 50);
        assert_eq!((map.len(), summed), (1, 0));
        assert_eq!(largest_and_others(Vec::new(), 50), (IndexMap::new(), 0));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(values in prop::collection::vec(0.0f64..1e6, 0..120), keep in 0usize..60) {
            let total: f64 = values.iter().sum();
            let (map, summed) = largest_and_others(named(&values), keep);
            prop_assert!((map.values().sum::<f64>() - total).abs() <= 1e-6 * total.max(1.0));
            prop_assert_eq!(map.len() as u64 + summed, values.len() as u64 + u64::from(summed > 0));
        }
    }
}
