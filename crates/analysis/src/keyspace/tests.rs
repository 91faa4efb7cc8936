use proptest::prelude::*;

use super::*;

/// SplitMix64: seeded, so that a trial can be told again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Makes the prefix and the size of the key with a number.
type World = fn(u64, &mut Random) -> (&'static str, f64);

fn equal(key: u64, _: &mut Random) -> (&'static str, f64) {
    if key.is_multiple_of(3) { ("session", 500.0) } else { ("object", 120.0) }
}

fn exponential(key: u64, random: &mut Random) -> (&'static str, f64) {
    let size = -300.0 * (1.0 - random.unit()).ln();
    if key.is_multiple_of(10) { ("cart", 60.0 + 5.0 * size) } else { ("object", 60.0 + size) }
}

fn lognormal(key: u64, random: &mut Random) -> (&'static str, f64) {
    let size = 200.0 * (1.5 * random.normal()).exp();
    if key.is_multiple_of(4) { ("page", 56.0 + size) } else { ("object", 56.0 + size) }
}

fn very_skewed(key: u64, random: &mut Random) -> (&'static str, f64) {
    let size = 100.0 * (2.2 * random.normal()).exp();
    if key.is_multiple_of(5) { ("feed", 56.0 + size) } else { ("object", 90.0) }
}

fn pareto(key: u64, random: &mut Random) -> (&'static str, f64) {
    let size = 60.0 * (1.0 - random.unit()).powf(-1.0 / 1.3);
    if key.is_multiple_of(2) { ("queue", size.min(5e7)) } else { ("object", 100.0) }
}

fn giants(key: u64, random: &mut Random) -> (&'static str, f64) {
    match key {
        0..20 => ("feed", 20e6 + 1e7 * random.unit()),
        _ if key.is_multiple_of(2) => ("feed", 100.0 + 50.0 * random.unit()),
        _ => ("object", 400.0 * random.unit() + 60.0),
    }
}

fn rare(key: u64, random: &mut Random) -> (&'static str, f64) {
    let size = 100.0 + 400.0 * random.unit();
    match key % 1000 {
        0 => ("rare", size),
        1..20 => ("seldom", size),
        _ => ("object", size),
    }
}

struct Truth {
    keys: Vec<(&'static str, u64)>,
}

impl Truth {
    fn new(world: World, keys: u64, random: &mut Random) -> Self {
        let keys =
            (0..keys).map(|key| world(key, random)).map(|(prefix, size)| (prefix, size as u64)).collect();
        Self { keys }
    }

    fn total(&self, prefix: &str) -> f64 {
        self.keys.iter().filter(|key| key.0 == prefix).map(|key| key.1 as f64).sum()
    }

    /// A sample of `share` of the keys, with the server's account where `accounted`: within what was measured of it.
    fn sample(&self, read: usize, accounted: bool, random: &mut Random) -> Sample {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        for at in 0..read {
            let other = at + (random.next() as usize) % (order.len() - at);
            order.swap(at, other);
        }
        let mut sample = Sample::default();
        let kind = sample.intern("string");
        let keys = order[..read].iter().map(|index| {
            let (prefix, bytes) = self.keys[*index];
            SampledKey { prefix: sample.intern(prefix), kind, bytes, expires: Some(false) }
        });
        let keys = keys.collect();
        let total = self.keys.len() as u64;
        sample.strata = vec![Stratum { total, complete: read == self.keys.len(), keys }];
        if accounted {
            let sum: f64 = self.keys.iter().map(|key| key.1 as f64).sum();
            let account = sum * (0.95 + 0.1 * random.unit()) - 30.0 * total as f64;
            sample.dataset_bytes = Some(account.max(0.0) as u64);
        }
        sample
    }
}

/// How many of 100 trials had the truth within the interval, by prefix; trials without a key of the prefix say nothing.
fn coverage(world: World, keys: u64, read: usize, accounted: bool) -> IndexMap<String, (u32, u32)> {
    let mut held: IndexMap<String, (u32, u32)> = IndexMap::new();
    for seed in 0..100 {
        let mut random = Random(seed * 7919 + 17);
        let truth = Truth::new(world, keys, &mut random);
        let keyspace = truth.sample(read, accounted, &mut random).estimate();
        for (prefix, estimate) in keyspace.estimates {
            let total = truth.total(&prefix) / MIB;
            assert!(
                estimate.low_mb <= estimate.size_mb && estimate.size_mb <= estimate.high_mb,
                "{estimate:?}"
            );
            let entry = held.entry(prefix).or_default();
            let is_held = (estimate.low_mb * (1.0 - 1e-9)..=estimate.high_mb * (1.0 + 1e-9)).contains(&total);
            *entry = (entry.0 + u32::from(is_held), entry.1 + 1);
        }
    }
    held
}

#[test]
fn the_interval_holds_in_93_of_100_trials_for_even_and_for_skewed_sizes() {
    let worlds: [(&str, World); 7] = [
        ("equal", equal),
        ("exponential", exponential),
        ("lognormal", lognormal),
        ("very skewed", very_skewed),
        ("pareto", pareto),
        ("giants", giants),
        ("rare", rare),
    ];
    let mut misses = Vec::new();
    for (name, world) in worlds {
        for (keys, read) in [(20_000, 1000), (20_000, 200), (2000, 1000)] {
            for (prefix, (held, trials)) in coverage(world, keys, read, true) {
                if f64::from(held) < 0.93 * f64::from(trials) {
                    misses.push(format!("{name} {read} of {keys}, {prefix}: {held} of {trials}"));
                }
            }
        }
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn without_the_servers_account_the_interval_holds_where_the_tail_is_not_extreme() {
    let mut misses = Vec::new();
    let worlds: [(&str, World); 4] =
        [("equal", equal), ("exponential", exponential), ("lognormal", lognormal), ("rare", rare)];
    for (name, world) in worlds {
        for (prefix, (held, trials)) in coverage(world, 20_000, 1000, false) {
            if f64::from(held) < 0.93 * f64::from(trials) {
                misses.push(format!("{name}, {prefix}: {held} of {trials}"));
            }
        }
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

#[test]
fn the_interval_is_narrow_where_the_sizes_are_even() {
    let mut random = Random(5);
    let truth = Truth::new(exponential, 100_000, &mut random);
    let keyspace = truth.sample(10_000, true, &mut random).estimate();
    let object = keyspace.estimates["object"];
    assert!(object.high_mb / object.low_mb < 1.06, "{object:?}");
}

#[test]
fn a_giant_is_counted_apart_and_multiplies_nothing() {
    let mut random = Random(1);
    let truth = Truth::new(equal, 20_000, &mut random);
    let mut sample = truth.sample(1000, true, &mut random);
    let (prefix, kind) = (sample.intern("object"), sample.intern("hash"));
    let giant = SampledKey { prefix, kind, bytes: 100 << 20, expires: Some(false) };
    sample.strata[0].keys[0] = giant;
    sample.dataset_bytes = sample.dataset_bytes.map(|bytes| bytes + giant.bytes);
    let keyspace = sample.estimate();
    assert_eq!(keyspace.giants, [GiantKey { prefix: "object".into(), kind: "hash".into(), size_mb: 100.0 }]);
    let object = keyspace.estimates["object"];
    assert!((100.0..104.0).contains(&object.size_mb), "{object:?}");
    assert!(object.low_mb >= 100.0 && object.high_mb < 118.0, "{object:?}");
}

#[test]
fn what_the_server_accounts_for_and_no_sample_saw_widens_every_interval() {
    let mut random = Random(2);
    let truth = Truth::new(equal, 20_000, &mut random);
    let mut sample = truth.sample(1000, true, &mut random);
    assert!(!sample.misses_giants());
    let narrow = sample.estimate();
    sample.dataset_bytes = sample.dataset_bytes.map(|bytes| bytes + (500 << 20));
    assert!(sample.misses_giants());
    let wide = sample.estimate();
    for (prefix, estimate) in &wide.estimates {
        assert!(estimate.high_mb > 490.0, "{prefix}: {estimate:?}");
        assert_eq!(estimate.size_mb, narrow.estimates[prefix].size_mb);
    }
    // Once they are found, they are known and explain it.
    let (prefix, kind) = (sample.intern("feed"), sample.intern("list"));
    sample.found = vec![SampledKey { prefix, kind, bytes: 500 << 20, expires: Some(true) }];
    let known = sample.estimate();
    assert!(!sample.misses_giants());
    assert_eq!(known.estimates["feed"].size_mb, 500.0);
    assert!(known.estimates["object"].high_mb < 3.0, "{:?}", known.estimates["object"]);
}

#[test]
fn a_complete_sample_is_exact_and_an_empty_one_empty() {
    let mut random = Random(3);
    let truth = Truth::new(very_skewed, 3000, &mut random);
    let keyspace = truth.sample(3000, true, &mut random).estimate();
    assert!(keyspace.complete);
    for (prefix, estimate) in &keyspace.estimates {
        let total = truth.total(prefix) / MIB;
        for value in [estimate.size_mb, estimate.low_mb, estimate.high_mb] {
            assert!((value - total).abs() < 1e-9, "{prefix}: {estimate:?} and not {total}");
        }
    }
    let empty = Sample::default().estimate();
    assert!(empty.complete && empty.estimates.is_empty() && empty.total_keys == 0);
    assert!(Sample::default().patterns().is_empty());
}

#[test]
fn databases_weigh_by_their_own_share_and_prefixes_beyond_fifty_are_summed() {
    let mut sample = Sample::default();
    let kind = sample.intern("string");
    let mut stratum = |total: u64, read: u64, bytes: u64, expires: bool| {
        let keys = (0..read).map(|key| {
            let prefix = sample.intern(&format!("p{}", key % 60));
            SampledKey { prefix, kind, bytes, expires: Some(expires) }
        });
        let keys = keys.collect();
        sample.strata.push(Stratum { total, complete: total == read, keys });
    };
    stratum(6000, 600, 1024, false);
    stratum(60, 60, 2048, true);
    let keyspace = sample.estimate();
    assert_eq!(keyspace.estimates.len(), 51);
    let first = &keyspace.estimates["p0"];
    assert_eq!(first.count, 101);
    assert!((first.size_mb - (100.0 * 1024.0 + 2048.0) / MIB).abs() < 1e-9, "{first:?}");
    assert!((first.without_ttl_percent - 100.0 * 100.0 / 101.0).abs() < 1e-9, "{first:?}");
    assert_eq!(keyspace.estimates[OTHERS].count, 1010);
    assert_eq!(sample.patterns().len(), 10);
    assert_eq!(sample.patterns()["p0"], KeyPattern { count: 11, size_mb: 0.01 });
}

#[test]
fn large_keys_are_missed_only_where_much_is_unexplained_and_keys_are_left() {
    let mut sample = Sample::default();
    let (kind, prefix) = (sample.intern("string"), sample.intern("cache"));
    let keys = vec![SampledKey { prefix, kind, bytes: 1000, expires: None }; 10];
    sample.strata = vec![Stratum { total: 20, complete: false, keys }];
    for (account, missed) in [(20_000, false), (1 << 20, false), (2 << 20, true)] {
        sample.dataset_bytes = Some(account);
        assert_eq!(sample.misses_giants(), missed, "{account}");
    }
    sample.strata[0].complete = true;
    assert!(!sample.misses_giants(), "every key was read");
}

#[test]
fn of_keys_whose_expiry_was_not_asked_nothing_is_said() {
    let mut sample = Sample::default();
    let (kind, prefix) = (sample.intern("string"), sample.intern("cache"));
    let expiries = [Some(true), Some(false), Some(false), Some(false), None, None, None, None];
    let keys = expiries.map(|expires| SampledKey { prefix, kind, bytes: 100, expires }).to_vec();
    sample.strata = vec![Stratum { total: 80, complete: false, keys }];
    let estimate = sample.estimate().estimates["cache"];
    assert_eq!((estimate.count, estimate.without_ttl_percent), (80, 75.0));
}

#[test]
fn quantiles_are_those_of_the_tables() {
    for (keys, quantile) in [(6, 3.301), (11, 2.764), (31, 2.457), (100_000, 2.326)] {
        assert!((student(keys) - quantile).abs() < 0.06, "{keys}: {}", student(keys));
    }
    for (count, limit) in [(0, 3.689), (1, 5.572), (10, 18.391)] {
        assert!((poisson_upper(count) - limit).abs() < 0.05, "{count}: {}", poisson_upper(count));
    }
}

proptest! {
    #[test]
    fn no_sample_gives_an_interval_that_misses_its_own_estimate(
        keys in prop::collection::vec((0_usize..5, 0_u64..u64::MAX / 4, any::<bool>()), 0..50),
        total in 0_u64..u64::MAX,
        complete in any::<bool>(),
        account in prop::option::of(any::<u64>()),
    ) {
        let mut sample = Sample { dataset_bytes: account, ..Sample::default() };
        let kind = sample.intern("string");
        let keys = keys.into_iter().map(|(prefix, bytes, expires)| {
            SampledKey { prefix: sample.intern(&format!("p{prefix}")), kind, bytes, expires: Some(expires) }
        });
        let keys = keys.collect();
        sample.strata = vec![Stratum { total, complete, keys }];
        for estimate in sample.estimate().estimates.values() {
            prop_assert!(estimate.low_mb <= estimate.size_mb && estimate.size_mb <= estimate.high_mb, "{:?}", estimate);
            prop_assert!(estimate.low_mb >= 0.0 && estimate.high_mb.is_finite(), "{:?}", estimate);
            prop_assert!((0.0..=100.0).contains(&estimate.without_ttl_percent));
        }
    }
}
