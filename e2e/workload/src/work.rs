//! The CPU work of a request: a chain of hashes, each of the one before, which no compiler shortens.
//!
//! The hash is the 64-bit finaliser of SplitMix64: two multiplications and three shifts, about as fast on every processor.
//! SHA-256 would be four times slower where the processor has no instructions for it, and then the example's autoscalers
//! would see another load on another machine.

use crate::draw::mix;

/// Most rounds that one request may take: some ten seconds, so that a typing error hangs nothing.
pub const MAX_ROUNDS: u32 = 2_000_000_000;

/// Hashes `salt` and then the hash of the round before, `rounds` times in all, and gives the last hash.
///
/// Takes time in proportion to `rounds`, which is cut to [`MAX_ROUNDS`].
#[must_use]
pub fn burn(rounds: u32, salt: u64) -> u64 {
    // The addition keeps 0, which hashes to itself, out of the chain.
    (0..rounds.min(MAX_ROUNDS)).fold(salt, |hash, _| mix(hash.wrapping_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_hashes_the_round_before() {
        assert_eq!(burn(0, 7), 7);
        assert_eq!(burn(1, 7), mix(8));
        assert_eq!(burn(3, 7), burn(1, burn(2, 7)));
        assert_ne!(burn(3, 0), burn(3, 1));
        assert_ne!(burn(3, 0), burn(4, 0));
    }
}
