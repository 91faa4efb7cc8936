//! Totals by prefix of a keyspace of which only a sample was read.
//!
//! **Sample.** `SCAN` walks the buckets of a hash table whose hash (SipHash) has a random seed, so the keys up to any
//! point are a simple random sample without replacement of the database's keys. Each numbered database is a stratum of
//! its own: *N* keys, *n* read, weight *w = N / n*.
//!
//! **Estimate.** For a prefix, with *x* the memory of its keys and 0 for all others, the total is the sum of *w Σx* over
//! the strata (Horvitz-Thompson; Cochran, Sampling Techniques, 3rd edition, chapters 2 and 5), with the variance
//! *w² (1 - n/N) n/(n-1) (Σx² - (Σx)²/n)*. Totals are positive and skewed, so the 95 % interval is taken on the logarithm:
//! *T exp(±t s/T)*, *s* the standard error and *t* Student's quantile with the sampled keys of the prefix less one as
//! degrees of freedom. It is taken for 98 %, since both ends are approximations, and its upper end lies higher by twice
//! what the largest key read stands for (up to 5.57 times, as far as the account below leaves room), since the tail of
//! sizes is the part that a sample misses. It never begins below what was read itself, and for fewer than five read keys
//! begins there.
//!
//! **Giants.** A key far beyond the others (at least 64 KiB and 50 times the 95th percentile; at most 20) stands for
//! itself and is not multiplied: one such key in a sample would make up a hundred that are not there. What the others of
//! its kind amount to, which the sample cannot have seen, is bounded by the server's own account of its data
//! (`used_memory_dataset`): what of that no estimate explains goes to the prefixes of the giants up to their
//! Horvitz-Thompson share, and where it exceeds the uncertainty of the account (10 %) widens every interval upwards. Where
//! the server gives no account, the number of unseen giants is bounded by the upper limit of a Poisson count
//! (Wilson-Hilferty's approximation), and giants of which not one was seen are not within the interval.

use std::cmp::Reverse;

use indexmap::{IndexMap, IndexSet};

use crate::record::{GiantKey, KeyPattern, Keyspace, PrefixEstimate};

#[cfg(test)]
mod tests;

/// Bytes of a "mb" of the record.
const MIB: f64 = 1_048_576.0;
/// Most prefixes listed; the rest is one entry.
const MAX_PREFIXES: usize = 50;
/// The entry of the rest.
const OTHERS: &str = "(others)";
/// Most patterns listed, as in the seed.
const MAX_PATTERNS: usize = 10;
/// Smallest giant, bytes.
const GIANT_BYTES: u64 = 64 * 1024;
/// A giant is at least so many times the 95th percentile.
const GIANT_FACTOR: u64 = 50;
/// Most giants.
const MAX_GIANTS: usize = 20;
/// How far the server's account of its data and the sum of `MEMORY USAGE` differ: up to 7 % was measured on Redis 6.2, 7.0
/// and Valkey 9.
const ACCOUNT_TOLERANCE: f64 = 0.10;
/// Least memory that makes it worth to look for large keys, bytes: the buffers of clients and scripts may be as much.
const LEAST_MISSED: f64 = MIB;
/// What `MEMORY USAGE` counts of a key beside `used_memory_dataset` (table entry, object, rounding), bytes at most.
const KEY_OVERHEAD: f64 = 64.0;

/// Where the server gives an account: most keys like the largest read that may be missing beyond two. The upper limit of
/// a Poisson count of which one was seen is 5.57.
const UNSEEN_LIKE_LARGEST: f64 = 3.57;

/// One key that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledKey {
    /// Its prefix, by [`Sample::intern`].
    pub prefix: usize,
    /// Its type, by [`Sample::intern`].
    pub kind: usize,
    /// Its memory.
    pub bytes: u64,
    /// Whether it has a time to live, where that was asked.
    pub expires: Option<bool>,
}

/// One numbered database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stratum {
    /// Keys that the server counts in it.
    pub total: u64,
    /// Whether every key was read.
    pub complete: bool,
    /// The keys that were read.
    pub keys: Vec<SampledKey>,
}

/// What was read of a keyspace.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    names: IndexSet<String>,
    /// The databases.
    pub strata: Vec<Stratum>,
    /// Keys found beyond the sample because they are large: each stands for itself.
    pub found: Vec<SampledKey>,
    /// `used_memory_dataset` of the server, bytes.
    pub dataset_bytes: Option<u64>,
}

/// Sums of one prefix over the sample.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// Keys read, without giants.
    read: u64,
    /// Their memory.
    bytes: f64,
    /// Estimate of all their memory, and its variance.
    estimate: f64,
    variance: f64,
    /// What the largest of them adds to the estimate beyond itself.
    largest: f64,
    /// Estimate of how many keys there are, with giants; of those of which it is known whether they expire, and of how many
    /// of these do not.
    count: f64,
    known: f64,
    lasting: f64,
    /// Giants read and their memory.
    giants: u64,
    giant_bytes: f64,
    /// Memory of the giants that the sample's weight would add.
    unseen: f64,
}

impl Sums {
    fn point(&self) -> f64 {
        self.estimate + self.giant_bytes
    }

    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.bytes += other.bytes;
        self.estimate += other.estimate;
        self.variance += other.variance;
        self.largest = self.largest.max(other.largest);
        self.count += other.count;
        self.known += other.known;
        self.lasting += other.lasting;
        self.giants += other.giants;
        self.giant_bytes += other.giant_bytes;
        self.unseen += other.unseen;
    }
}

impl Sample {
    /// A number for a name.
    pub fn intern(&mut self, name: &str) -> usize {
        match self.names.get_index_of(name) {
            Some(index) => index,
            None => self.names.insert_full(name.to_owned()).0,
        }
    }

    fn name(&self, index: usize) -> &str {
        self.names.get_index(index).map_or("", String::as_str)
    }

    fn keys(&self) -> impl Iterator<Item = &SampledKey> {
        self.strata.iter().flat_map(|stratum| &stratum.keys)
    }

    /// Keys read in all databases.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.keys().count() as u64
    }

    /// Whether every key of every database was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.strata.iter().all(|stratum| stratum.complete)
    }

    /// Bytes from which on a key is a giant; `None` where every key was read, so that nothing is multiplied.
    #[must_use]
    pub fn giant_threshold(&self) -> Option<u64> {
        if self.is_complete() {
            return None;
        }
        let mut sizes: Vec<u64> = self.keys().map(|key| key.bytes).collect();
        if sizes.is_empty() {
            return Some(GIANT_BYTES);
        }
        sizes.sort_unstable();
        let usual = sizes[(sizes.len() - 1) * 95 / 100];
        let threshold = GIANT_BYTES.max(usual.saturating_mul(GIANT_FACTOR));
        // Where more keys lie above, they are no exceptions: only the largest of them are.
        let twentieth = sizes.iter().rev().nth(MAX_GIANTS).copied().unwrap_or_default();
        Some(threshold.max(twentieth.saturating_add(1)))
    }

    /// Memory that the server accounts for and the sample does not explain, bytes; `None` where the server gives no
    /// account. Up to a tenth of the account is within its own uncertainty.
    #[must_use]
    pub fn unexplained(&self) -> Option<f64> {
        let sums = self.sums();
        let explained: f64 = sums.values().map(Sums::point).sum();
        Some((self.dataset_bytes? as f64 - explained).max(0.0))
    }

    /// Whether so much is unexplained that large keys must have been missed: more than the account's own uncertainty, and
    /// than what a server with few data holds beside them.
    #[must_use]
    pub fn misses_giants(&self) -> bool {
        let Some(account) = self.dataset_bytes.filter(|_| !self.is_complete()) else { return false };
        let most = LEAST_MISSED.max(ACCOUNT_TOLERANCE * account as f64);
        self.unexplained().is_some_and(|unexplained| unexplained > most)
    }

    /// Keys and their memory by prefix as sampled, the ten largest: the seed's figure.
    #[must_use]
    pub fn patterns(&self) -> IndexMap<String, KeyPattern> {
        let mut sums: IndexMap<usize, (u64, u64)> = IndexMap::new();
        for key in self.keys() {
            let sum = sums.entry(key.prefix).or_default();
            *sum = (sum.0 + 1, sum.1.saturating_add(key.bytes));
        }
        let mut sorted: Vec<_> = sums.into_iter().collect();
        sorted.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| self.name(a.0).cmp(self.name(b.0))));
        let patterns = sorted.into_iter().take(MAX_PATTERNS).map(|(prefix, (count, bytes))| {
            let size_mb = (bytes as f64 / MIB * 100.0).round() / 100.0;
            (self.name(prefix).to_owned(), KeyPattern { count, size_mb })
        });
        patterns.collect()
    }

    fn sums(&self) -> IndexMap<usize, Sums> {
        let threshold = self.giant_threshold().unwrap_or(u64::MAX);
        let mut all: IndexMap<usize, Sums> = IndexMap::new();
        for stratum in &self.strata {
            let read = stratum.keys.len() as f64;
            let weight = if stratum.complete { 1.0 } else { (stratum.total as f64 / read).max(1.0) };
            let mut squares: IndexMap<usize, (f64, f64)> = IndexMap::new();
            for key in &stratum.keys {
                let sums = all.entry(key.prefix).or_default();
                let bytes = key.bytes as f64;
                sums.count += weight;
                sums.known += if key.expires.is_some() { weight } else { 0.0 };
                sums.lasting += if key.expires == Some(false) { weight } else { 0.0 };
                if key.bytes >= threshold {
                    sums.giants += 1;
                    sums.giant_bytes += bytes;
                    sums.unseen += bytes * (weight - 1.0);
                    continue;
                }
                sums.read += 1;
                sums.bytes += bytes;
                sums.estimate += weight * bytes;
                sums.largest = sums.largest.max((weight - 1.0) * bytes);
                let square = squares.entry(key.prefix).or_default();
                *square = (square.0 + bytes, square.1 + bytes * bytes);
            }
            let correction = weight * weight * (1.0 - 1.0 / weight) * read / (read - 1.0).max(1.0);
            for (prefix, (sum, square)) in squares {
                all.entry(prefix).or_default().variance += correction * (square - sum * sum / read).max(0.0);
            }
        }
        for key in &self.found {
            let sums = all.entry(key.prefix).or_default();
            sums.giants += 1;
            sums.giant_bytes += key.bytes as f64;
            sums.count += if sums.count == 0.0 { 1.0 } else { 0.0 };
        }
        all
    }

    /// What the sample says of the whole keyspace.
    #[must_use]
    pub fn estimate(&self) -> Keyspace {
        let total: u64 = self.strata.iter().fold(0, |sum: u64, stratum| sum.saturating_add(stratum.total));
        let complete = self.is_complete();
        let sums = self.sums();
        let bounds = Bounds::new(&sums, self.dataset_bytes.filter(|_| !complete), total);
        let mut listed: Vec<(String, Sums)> =
            sums.into_iter().map(|(prefix, sums)| (self.name(prefix).to_owned(), sums)).collect();
        let size = |sums: &Sums| sums.point() + bounds.share(sums);
        listed.sort_by(|a, b| size(&b.1).total_cmp(&size(&a.1)).then_with(|| a.0.cmp(&b.0)));
        if listed.len() > MAX_PREFIXES {
            let mut rest = Sums::default();
            listed.drain(MAX_PREFIXES..).for_each(|(_, sums)| rest.add(&sums));
            listed.push((OTHERS.to_owned(), rest));
        }
        let estimates = listed.into_iter().map(|(name, sums)| (name, bounds.estimate(&sums))).collect();
        Keyspace { sampled_keys: self.read(), total_keys: total, complete, estimates, giants: self.giants() }
    }

    /// The giants, largest first.
    fn giants(&self) -> Vec<GiantKey> {
        let Some(threshold) = self.giant_threshold() else { return self.largest(GIANT_BYTES) };
        self.largest(threshold)
    }

    fn largest(&self, threshold: u64) -> Vec<GiantKey> {
        let mut giants: Vec<&SampledKey> =
            self.keys().filter(|key| key.bytes >= threshold).chain(&self.found).collect();
        giants.sort_by_key(|key| (Reverse(key.bytes), key.prefix));
        let shown = giants.into_iter().take(MAX_GIANTS).map(|key| GiantKey {
            prefix: self.name(key.prefix).to_owned(),
            kind: self.name(key.kind).to_owned(),
            size_mb: key.bytes as f64 / MIB,
        });
        shown.collect()
    }
}

/// What bounds the estimates of all prefixes together.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Part of each prefix's unseen giants that goes into its estimate.
    share: f64,
    /// Unexplained memory that any prefix may hold at most, bytes; 0 within the account's uncertainty.
    slack: f64,
    /// Unexplained memory that a prefix with giants may hold at most, bytes; `None` without the server's account.
    unexplained: Option<f64>,
    /// Most that all keys can amount to, bytes.
    most: f64,
    /// Least that all prefixes together amount to, bytes.
    least: f64,
}

impl Bounds {
    fn new(sums: &IndexMap<usize, Sums>, account: Option<u64>, keys: u64) -> Self {
        let explained: f64 = sums.values().map(Sums::point).sum();
        let unseen: f64 = sums.values().map(|sums| sums.unseen).sum();
        let least = sums.values().map(low).sum();
        let Some(account) = account.map(|bytes| bytes as f64) else {
            return Self { share: 1.0, slack: 0.0, unexplained: None, most: f64::INFINITY, least };
        };
        let unexplained = (account - explained).max(0.0);
        let share = if unseen > 0.0 { (unexplained / unseen).min(1.0) } else { 0.0 };
        let most = account * (1.0 + ACCOUNT_TOLERANCE) + KEY_OVERHEAD * keys as f64;
        let at_most = (most - explained).max(0.0);
        let slack = if unexplained > ACCOUNT_TOLERANCE * account { at_most } else { 0.0 };
        Self { share, slack, unexplained: Some(at_most), most, least }
    }

    /// Memory of unseen giants that goes into a prefix's estimate.
    fn share(&self, sums: &Sums) -> f64 {
        self.share * sums.unseen
    }

    fn estimate(&self, sums: &Sums) -> PrefixEstimate {
        let size = sums.point() + self.share(sums);
        let low = low(sums);
        let giants = match self.unexplained {
            _ if sums.unseen <= 0.0 => 0.0,
            Some(unexplained) => unexplained,
            None => sums.unseen * poisson_upper(sums.giants) / sums.giants.max(1) as f64,
        };
        let unseen = self.unexplained.map_or(0.0, |most| most.min(UNSEEN_LIKE_LARGEST * sums.largest));
        let high = high(sums) + giants.max(self.slack).max(unseen);
        // All the others hold at least what their intervals begin with.
        let high = high.min(self.most - (self.least - low)).max(size).max(low);
        let lasting = if sums.known > 0.0 { sums.lasting / sums.known * 100.0 } else { 0.0 };
        PrefixEstimate {
            count: sums.count.round() as u64,
            size_mb: size / MIB,
            low_mb: low.min(size) / MIB,
            high_mb: high / MIB,
            without_ttl_percent: lasting.clamp(0.0, 100.0),
        }
    }
}

/// Logarithm of the interval's half width: t s / T.
fn spread(sums: &Sums) -> f64 {
    if sums.estimate <= 0.0 { 0.0 } else { student(sums.read) * sums.variance.sqrt() / sums.estimate }
}

/// Lower end for the keys that are no giants, with the giants that were read.
fn low(sums: &Sums) -> f64 {
    let read = sums.bytes;
    let low = if sums.read < 5 { read } else { (sums.estimate * (-spread(sums)).exp()).max(read) };
    low.min(sums.estimate) + sums.giant_bytes
}

/// Upper end for the keys that are no giants, with the giants that were read: two more like the largest may be missing.
fn high(sums: &Sums) -> f64 {
    sums.estimate * spread(sums).exp() + 2.0 * sums.largest + sums.giant_bytes
}

/// Student's 99 % quantile (both sides: 98 %, so that the stated 95 % hold in spite of skew) for `keys - 1` degrees of
/// freedom, at least 3 (fewer keys give a count of so few that the count's own variance rules). Cornish-Fisher's expansion;
/// Abramowitz and Stegun 26.7.5.
fn student(keys: u64) -> f64 {
    const Z: f64 = 2.326_347_874_040_841;
    let freedom = keys.saturating_sub(1).max(3) as f64;
    let (z3, z5) = (Z.powi(3), Z.powi(5));
    let first = (z3 + Z) / 4.0;
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / 96.0;
    Z + first / freedom + second / freedom.powi(2)
}

/// Upper 97.5 % limit of a Poisson mean of which `count` were seen (Wilson-Hilferty).
fn poisson_upper(count: u64) -> f64 {
    const Z: f64 = 1.959_963_984_540_054;
    let next = count as f64 + 1.0;
    next * (1.0 - 1.0 / (9.0 * next) + Z / (3.0 * next.sqrt())).powi(3)
}
