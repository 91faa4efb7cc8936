//! The CPU work of a request: a chain of SHA-256, which no compiler shortens and whose cost does not depend on data.

use sha2::{Digest as _, Sha256};

/// Most rounds that one request may take: about ten seconds on a slow core, so that a typing error hangs nothing.
pub const MAX_ROUNDS: u32 = 20_000_000;

/// Hashes `salt` and then the digest of the round before, `rounds` times in all, and gives the last digest.
///
/// Takes time in proportion to `rounds`, which is cut to [`MAX_ROUNDS`].
#[must_use]
pub fn burn(rounds: u32, salt: u64) -> [u8; 32] {
    let mut digest = [0_u8; 32];
    digest[..8].copy_from_slice(&salt.to_le_bytes());
    for _ in 0..rounds.min(MAX_ROUNDS) {
        digest = Sha256::digest(digest).into();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_hashes_the_round_before() {
        let mut start = [0_u8; 32];
        start[0] = 1;
        assert_eq!(burn(0, 1), start);
        assert_eq!(burn(1, 1), <[u8; 32]>::from(Sha256::digest(start)));
        assert_eq!(burn(2, 1), <[u8; 32]>::from(Sha256::digest(burn(1, 1))));
        assert_ne!(burn(2, 1), burn(2, 2));
    }
}
