use super::*;

/// An AR(1) process from a small linear congruential generator: sums of twelve uniform numbers, nearly normal.
fn process(count: usize, correlation: f64, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut normal = || {
        (0..12)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as f64 / (1_u64 << 31) as f64
            })
            .sum::<f64>()
            - 6.0
    };
    let mut level = normal();
    (0..count)
        .map(|_| {
            level = correlation * level + (1.0 - correlation * correlation).sqrt() * normal();
            level
        })
        .collect()
}

fn places(count: usize) -> Vec<u32> {
    (0..count as u32).collect()
}

#[test]
fn independent_values_count_nearly_whole_and_alike_ones_for_less() {
    for (correlation, least, most) in [(0.0, 200.0, 288.0), (0.5, 60.0, 150.0), (0.9, 5.0, 30.0)] {
        let found: Vec<f64> = (1..=20)
            .map(|seed| of_mean(&process(288, correlation, seed), &places(288), 0.0).unwrap().effective)
            .collect();
        let mean = found.iter().sum::<f64>() / 20.0;
        // n (1 - phi) / (1 + phi): 288, 96, 15.
        assert!((least..=most).contains(&mean), "{correlation}: {mean}");
    }
}

#[test]
fn a_slow_level_under_noise_is_found_where_the_noise_is_known_and_where_it_is_not() {
    // Half of the variance is noise. The autocorrelation at lag 1 is 0.45: alone it would have 288 values count for 109,
    // and they are worth 30.
    let mean = |noise: f64| {
        let effective = (1..=20).map(|seed| {
            let slow = process(288, 0.9, seed);
            let values: Vec<f64> =
                slow.iter().zip(process(288, 0.0, seed + 99)).map(|(a, b)| a + b).collect();
            of_mean(&values, &places(288), noise).unwrap().effective
        });
        effective.sum::<f64>() / 20.0
    };
    let (known, unknown) = (mean(1.0), mean(0.0));
    assert!((15.0..45.0).contains(&known), "{known}");
    assert!((20.0..70.0).contains(&unknown), "{unknown}");
}

#[test]
fn the_variance_is_never_below_that_of_counting() {
    let flat = vec![1.0; 20];
    let found = of_mean(&flat, &places(20), 4.0).unwrap();
    assert_eq!((found.variance, found.effective, found.freedom), (0.2, 20.0, 19.0));
    // Values that alternate are less scattered than independent ones; no more than all of them count.
    let alternating: Vec<f64> = (0..40).map(|value| f64::from(value % 2)).collect();
    let found = of_mean(&alternating, &places(40), 0.5).unwrap();
    assert_eq!(found.effective, 40.0);
    assert!(found.variance >= 0.5 / 40.0);
}

#[test]
fn neighbours_across_a_gap_are_none() {
    // Two steps: within each side of the gap all are alike, and no jump lies between neighbours.
    let values: Vec<f64> = (0..40).map(|value| if value < 20 { 0.0 } else { 1.0 }).collect();
    let with_gap: Vec<u32> = (0..40).map(|value| if value < 20 { value } else { value + 100 }).collect();
    let (near, far) =
        (of_mean(&values, &places(40), 0.0).unwrap(), of_mean(&values, &with_gap, 0.0).unwrap());
    assert!(far.correlation >= near.correlation, "{near:?} {far:?}");
}

#[test]
fn too_few_values_and_what_is_no_number_have_no_scatter() {
    assert_eq!(of_mean(&[1.0, 2.0, 3.0], &places(3), 0.0), None);
    assert_eq!(of_mean(&[1.0, 2.0, 3.0, f64::NAN], &places(4), 0.0), None);
    assert_eq!(of_mean(&[1.0, 2.0, 3.0, f64::INFINITY], &places(4), 0.0), None);
    assert_eq!(of_mean(&[1e300, -1e300, 1e300, -1e300], &places(4), 0.0), None);
    assert_eq!(of_mean(&[1.0, 2.0, 3.0, 4.0], &places(3), 0.0), None);
    assert_eq!(of_mean(&[1.0, 2.0, 3.0, 4.0], &places(4), f64::NAN), None);
}
