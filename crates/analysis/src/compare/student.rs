//! Student's t and the normal distribution, as a comparison needs them.

use std::f64::consts::TAU;

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Degrees of freedom beyond which Student's t is the normal distribution to more digits than anybody prints.
const MANY: f64 = 1e6;

/// `P(T > t)` of Student's t with `freedom` degrees of freedom (at least 1).
pub(super) fn above(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return 1.0;
    }
    if t.is_infinite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    match StudentsT::new(0.0, 1.0, freedom.clamp(1.0, MANY)) {
        Ok(student) => student.sf(t),
        Err(_) => 1.0,
    }
}

/// The t that is exceeded with probability `upper`, which is above 0 and at most one half.
pub(super) fn exceeded(upper: f64, freedom: f64) -> f64 {
    // P(T > t) falls in t: halve until the interval is as fine as a float. The library's own inverse is less exact in
    // the tails, where Holm's levels lie.
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while above(high, freedom) > upper && high < 1e12 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = low + (high - low) / 2.0;
        if above(middle, freedom) > upper { low = middle } else { high = middle }
    }
    high
}

/// The quantile of the standard normal distribution, for `p` between 0 and 1 exclusive.
pub(super) fn probit(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON))
}

/// The density of the standard normal distribution.
pub(super) fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        for (upper, freedom, t) in [
            (0.025, 1.0, 12.7062),
            (0.01, 4.0, 3.74695),
            (0.001, 10.0, 4.14370),
            (0.005, 30.0, 2.75000),
            (0.01, 1e9, 2.32635),
            (0.5, 3.0, 0.0),
        ] {
            assert!(
                (exceeded(upper, freedom) - t).abs() < 1e-4,
                "{upper} {freedom}: {}",
                exceeded(upper, freedom)
            );
        }
        assert!((probit(0.975) - 1.959_963_985).abs() < 1e-8);
        assert!((probit(1e-9) + 5.997_807).abs() < 1e-5);
        assert!((density(0.0) - 0.398_942_28).abs() < 1e-8);
    }

    #[test]
    fn what_is_no_number_is_never_significant() {
        assert_eq!(above(f64::NAN, 5.0), 1.0);
        assert_eq!(above(f64::INFINITY, 5.0), 0.0);
        assert!(above(3.0, f64::NAN) > 0.0);
    }
}
