//! Repeatable chance: every draw is a function of a seed, a stream and a number, whatever the order of requests.

/// Increment of SplitMix64: the odd integer nearest to 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of draws, SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// Not for secrets. Chosen over a generator of the `rand` crate because those are free to change between versions, and
/// because its state is one number, so that request `n` draws the same values whichever requests went before it.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The draws of number `n` in a stream of a seed.
    #[must_use]
    pub fn of(seed: u64, stream: u64, n: u64) -> Self {
        // Each argument goes through the mixer, so that neighbouring seeds, streams and numbers share nothing.
        let state = mix(mix(mix(seed.wrapping_add(GAMMA)) ^ stream).wrapping_add(GAMMA) ^ n);
        Self { state }
    }

    /// 64 bits, all equally likely.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number from 0 (included) to 1 (excluded), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / 9_007_199_254_740_992.0;
        // 53 bits are exact in a double.
        (self.bits() >> 11) as f64 * SCALE
    }

    /// True with probability `share`, from 0 to 1.
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// An exponentially distributed number of mean `mean`, by inversion: `-mean ln(1 - u)`.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (-self.unit()).ln_1p()
    }

    /// A whole number below `bound`, or 0 when `bound` is 0.
    ///
    /// The remainder is biased by less than `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits().checked_rem(bound).unwrap_or(0)
    }
}

/// The output function of SplitMix64: a bijection of 64 bits, in which each bit of the argument changes about half of the
/// result's.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        // First outputs for state 1234567, as in the reference implementation's test vectors (Rosetta Code, "Splitmix64").
        let mut draws = Draws { state: 1_234_567 };
        let expected = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([draws.bits(), draws.bits(), draws.bits()], expected);
    }

    #[test]
    fn means_come_out_as_asked() {
        let count = 100_000_u64;
        let mean = |draw: &dyn Fn(&mut Draws) -> f64| {
            (0..count).map(|n| draw(&mut Draws::of(7, 1, n))).sum::<f64>() / count as f64
        };
        // Four standard errors: 1 / sqrt(12 n), sqrt(p (1 - p) / n) and mean / sqrt(n).
        assert!((mean(&Draws::unit) - 0.5).abs() < 0.0037);
        assert!((mean(&|draws| f64::from(u8::from(draws.chance(0.02)))) - 0.02).abs() < 0.0018);
        assert!((mean(&|draws| draws.exponential(5.0)) - 5.0).abs() < 0.064);
    }

    proptest! {
        #[test]
        fn a_draw_depends_on_nothing_but_its_arguments(seed: u64, stream: u64, n: u64) {
            prop_assert_eq!(Draws::of(seed, stream, n).bits(), Draws::of(seed, stream, n).bits());
            prop_assert_ne!(Draws::of(seed, stream, n).bits(), Draws::of(seed, stream, n ^ 1).bits());
            prop_assert_ne!(Draws::of(seed, stream, n).bits(), Draws::of(seed, stream ^ 1, n).bits());
            prop_assert_ne!(Draws::of(seed, stream, n).bits(), Draws::of(seed ^ 1, stream, n).bits());
        }

        #[test]
        fn numbers_stay_in_their_range(seed: u64, n: u64, bound in 1_u64..1000) {
            let mut draws = Draws::of(seed, 0, n);
            let unit = draws.unit();
            prop_assert!((0.0..1.0).contains(&unit));
            prop_assert!(draws.exponential(3.0).is_finite());
            prop_assert!(draws.below(bound) < bound);
            prop_assert_eq!(draws.below(0), 0);
        }
    }
}
