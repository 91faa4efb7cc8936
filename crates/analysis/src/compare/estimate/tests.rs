use super::*;

fn slots(count: usize) -> Vec<Slot> {
    (0..count).map(|index| Slot { position: index as u32, index, hour: 0 }).collect()
}

#[test]
fn a_ratio_weighs_each_slot_by_its_whole() {
    let parts = [(1.0, 10.0), (0.0, 90.0), (4.0, 100.0), (5.0, 200.0)];
    let found = ratio(&parts, slots(4)).unwrap();
    assert!((found.value() - 0.025).abs() < 1e-12 && found.samples == 400.0);
    assert!(found.readings[0].influence.iter().sum::<f64>().abs() < 1e-12);
    assert_eq!(ratio(&[(0.0, 0.0)], slots(1)), None);
    assert_eq!(ratio(&[], Vec::new()), None);
}

#[test]
fn no_error_of_a_hundred_requests_leaves_room_for_one() {
    let found = ratio(&[(0.0, 25.0); 4], slots(4)).unwrap();
    let scatter = found.scatter(&found.readings[0]).unwrap();
    // The binomial variance at 1 of 102.
    let expected = 1.0 / 102.0 * 101.0 / 102.0 / 100.0;
    assert!((scatter.variance / expected - 1.0).abs() < 1e-9, "{scatter:?}");
}

#[test]
fn counters_without_slots_are_taken_for_very_alike() {
    let found = ratio_without_slots(0.9, 19_000.0).unwrap();
    let scatter = found.scatter(&found.readings[0]).unwrap();
    assert_eq!((scatter.effective, scatter.freedom), (1_000.0, 999.0));
    assert!((scatter.variance - 0.09 / 1_000.0).abs() < 1e-6, "{scatter:?}");
    for (value, observations) in [(1.2, 100.0), (-0.1, 100.0), (f64::NAN, 100.0), (0.5, 0.0), (0.5, f64::NAN)]
    {
        assert_eq!(ratio_without_slots(value, observations), None);
    }
}

#[test]
fn the_records_figure_is_shown_where_the_slots_agree_with_it() {
    let values = [9.0, 11.0, 10.0, 10.0, 9.0, 11.0, 9.0, 11.0];
    for (figure, shown) in [(Some(10.05), 10.05), (Some(12.0), 10.0), (None, 10.0), (Some(f64::NAN), 10.0)] {
        let mut found = mean(&values, slots(8)).unwrap();
        found.settle(figure);
        assert_eq!((found.value(), found.is_of_record), (shown, shown != 10.0), "{figure:?}");
    }
    assert_eq!(mean(&[], Vec::new()), None);
    assert_eq!(mean(&[f64::MAX, f64::MAX], slots(2)), None);
}
