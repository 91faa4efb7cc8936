//! What to change in the configuration of a cache, by the seed's rules with their corrections. Pure: the same facts give
//! the same advice.
//!
//! - Memory in use above 90 % of `maxmemory`.
//! - `noeviction`: a full server then refuses writes. `allkeys-lru` is advised only where every key has a time to live:
//!   keys without one look like data or like sessions, which are not to be evicted. Then `volatile-lru` evicts the others,
//!   or more memory is needed where there are no others.
//! - Fragmentation above 1.5, from 64 MiB in use on: below that the server's own code and buffers make up the ratio
//!   (`MEMORY DOCTOR` too says nothing of small servers). `activedefrag` is named only where it is on already: whether a
//!   server was built with support for it cannot be read without writing.
//!
//! The suggested settings hold what a recommendation asks and nothing else.

use indexmap::IndexMap;

use crate::record::CacheRecommendation;

/// Issue of memory in use near its limit.
pub const HIGH_UTILIZATION_ISSUE: &str = "High memory utilization";
/// Issue of a server that refuses writes when it is full.
pub const NO_EVICTION_ISSUE: &str = "No eviction policy set";
/// Issue of much resident memory for little in use.
pub const FRAGMENTATION_ISSUE: &str = "High memory fragmentation";

/// Memory in use per `maxmemory` above which it is high.
const HIGH_UTILIZATION: f64 = 0.9;
/// Memory in use per `maxmemory` after the suggested raise.
const WANTED_UTILIZATION: f64 = 0.75;
/// Resident memory per memory in use above which it is fragmented.
const HIGH_FRAGMENTATION: f64 = 1.5;
/// Memory in use from which on fragmentation means something, bytes.
const FRAGMENTATION_FROM: u64 = 64 * MIB;
/// Suggested limits are multiples of this, bytes.
const LIMIT_STEP: u64 = 64 * MIB;
const MIB: u64 = 1024 * 1024;

/// Facts of a cache, each absent where the server did not say it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CacheFacts<'a> {
    /// `used_memory`, bytes.
    pub used_memory: Option<u64>,
    /// `maxmemory`, bytes; 0 is no limit.
    pub maxmemory: Option<u64>,
    /// `maxmemory_policy`.
    pub policy: Option<&'a str>,
    /// `mem_fragmentation_ratio`.
    pub fragmentation: Option<f64>,
    /// Whether `activedefrag` is on.
    pub defragments: Option<bool>,
    /// Keys of all databases.
    pub keys: Option<u64>,
    /// Keys of all databases that have a time to live.
    pub expires: Option<u64>,
    /// Whether there are sessions, and whether each that was read has a time to live.
    pub sessions: Option<Sessions>,
    /// Whether there are keys so large that freeing one takes noticeable time.
    pub has_giants: bool,
}

/// What is known of the sessions in a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    /// How many there are; may be an estimate.
    pub count: u64,
    /// Whether each that was read has a time to live.
    pub all_expire: bool,
}

/// Recommendations in the seed's order, and the settings that they amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheAdvice {
    /// What to change.
    pub recommendations: Vec<CacheRecommendation>,
    /// Settings in the server's own spelling.
    pub suggested_config: IndexMap<String, String>,
}

impl CacheAdvice {
    fn recommend(&mut self, issue: &str, current: String, action: String) {
        self.recommendations.push(CacheRecommendation { issue: issue.to_owned(), current, action });
    }

    fn suggest(&mut self, setting: &str, value: impl Into<String>) {
        self.suggested_config.insert(setting.to_owned(), value.into());
    }
}

/// Judges the facts of a cache.
#[must_use]
pub fn advise(facts: &CacheFacts<'_>) -> CacheAdvice {
    let mut advice = CacheAdvice::default();
    utilization(facts, &mut advice);
    eviction(facts, &mut advice);
    fragmentation(facts, &mut advice);
    advice
}

fn utilization(facts: &CacheFacts<'_>, advice: &mut CacheAdvice) {
    let (Some(used), Some(limit)) = (facts.used_memory, facts.maxmemory.filter(|limit| *limit > 0)) else {
        return;
    };
    let utilization = used as f64 / limit as f64;
    if utilization <= HIGH_UTILIZATION {
        return;
    }
    let wanted = (used as f64 / WANTED_UTILIZATION / LIMIT_STEP as f64).ceil() as u64 * (LIMIT_STEP / MIB);
    advice.recommend(
        HIGH_UTILIZATION_ISSUE,
        format!("{:.1}%", utilization * 100.0),
        format!(
            "Increase maxmemory or review TTL policies; at {wanted} MiB the keys of today fill three quarters. Raise the memory limit of its container first"
        ),
    );
    advice.suggest("maxmemory", format!("{wanted}mb"));
}

/// What the keys without a time to live look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// There are none: every key can be missed.
    None,
    /// Sessions are among them.
    Sessions,
    /// Some, beside keys with a time to live: somebody chose which may go.
    Some,
    /// All keys.
    All,
    /// No keys yet, or the server does not say.
    Unknown,
}

fn lasting(facts: &CacheFacts<'_>) -> Lasting {
    if facts.sessions.is_some_and(|sessions| sessions.count > 0 && !sessions.all_expire) {
        return Lasting::Sessions;
    }
    match (facts.keys, facts.expires) {
        (None | Some(0), _) | (_, None) => Lasting::Unknown,
        (Some(keys), Some(expires)) if expires >= keys => Lasting::None,
        (Some(_), Some(0)) => Lasting::All,
        (Some(_), Some(_)) => Lasting::Some,
    }
}

fn eviction(facts: &CacheFacts<'_>, advice: &mut CacheAdvice) {
    if facts.policy != Some("noeviction") {
        return;
    }
    let (action, policy) = match lasting(facts) {
        Lasting::None => {
            ("Set to allkeys-lru for better cache behavior: every key has a TTL", Some("allkeys-lru"))
        }
        Lasting::Sessions => (
            "Do not set to allkeys-lru: there are sessions without a TTL, and evicting one logs somebody out. Give them a TTL, set to volatile-lru so that only keys with a TTL are evicted, or raise maxmemory",
            Some("volatile-lru").filter(|_| facts.expires.is_some_and(|expires| expires > 0)),
        ),
        Lasting::Some => (
            "Set to volatile-lru, which evicts only keys with a TTL; not to allkeys-lru: the keys without a TTL look like data",
            Some("volatile-lru"),
        ),
        Lasting::All => (
            "No key has a TTL: if they are data, keep noeviction and raise maxmemory in time; if each can be computed again, give them TTLs and set to allkeys-lru",
            None,
        ),
        Lasting::Unknown => {
            ("Set to allkeys-lru if every key can be computed again, to volatile-lru if some cannot", None)
        }
    };
    let mut action = action.to_owned();
    if facts.maxmemory == Some(0) {
        action.push_str(
            ". Without maxmemory no policy has an effect: set it below the memory limit of the container",
        );
    }
    if let Some(policy) = policy {
        advice.suggest("maxmemory-policy", policy);
        if facts.has_giants {
            action.push_str(". Set lazyfree-lazy-eviction to yes: there are keys so large that freeing one halts the server");
            advice.suggest("lazyfree-lazy-eviction", "yes");
        }
    }
    advice.recommend(NO_EVICTION_ISSUE, "noeviction".to_owned(), action);
}

fn fragmentation(facts: &CacheFacts<'_>, advice: &mut CacheAdvice) {
    let (Some(ratio), Some(used)) = (facts.fragmentation, facts.used_memory) else { return };
    if ratio <= HIGH_FRAGMENTATION || used < FRAGMENTATION_FROM {
        return;
    }
    let mut action = "Consider MEMORY DOCTOR or restart during maintenance".to_owned();
    if facts.defragments == Some(true) {
        action.push_str(
            "; activedefrag is on and has not kept up: keep it on and look at active-defrag-threshold-lower",
        );
        advice.suggest("activedefrag", "yes");
    }
    advice.recommend(FRAGMENTATION_ISSUE, format!("{ratio:.2}"), action);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> CacheFacts<'static> {
        CacheFacts {
            used_memory: Some(100 * MIB),
            maxmemory: Some(1024 * MIB),
            policy: Some("allkeys-lru"),
            fragmentation: Some(1.1),
            defragments: Some(false),
            keys: Some(1000),
            expires: Some(1000),
            sessions: Some(Sessions { count: 10, all_expire: true }),
            has_giants: false,
        }
    }

    fn config(advice: &CacheAdvice) -> Vec<(&str, &str)> {
        advice.suggested_config.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_healthy_cache_and_an_unknown_one_get_no_advice() {
        assert_eq!(advise(&facts()), CacheAdvice::default());
        assert_eq!(advise(&CacheFacts::default()), CacheAdvice::default());
    }

    #[test]
    fn utilization_is_high_above_nine_tenths_of_a_limit_that_is_set() {
        let full = |used, maxmemory| advise(&CacheFacts { used_memory: Some(used), maxmemory, ..facts() });
        assert!(full(922 * MIB, Some(1024 * MIB)).recommendations[0].current == "90.0%");
        assert!(full(921 * MIB, Some(1024 * MIB)).recommendations.is_empty());
        assert!(full(922 * MIB, Some(0)).recommendations.is_empty());
        let advice = full(960 * MIB, Some(1024 * MIB));
        assert_eq!(advice.recommendations[0].issue, "High memory utilization");
        assert_eq!(advice.recommendations[0].current, "93.8%");
        assert!(advice.recommendations[0].action.starts_with("Increase maxmemory or review TTL policies"));
        assert_eq!(config(&advice), [("maxmemory", "1280mb")]);
    }

    #[test]
    fn noeviction_is_advised_on_by_what_the_keys_without_ttl_look_like() {
        let sessions = |all_expire| Some(Sessions { count: 5, all_expire });
        for (keys, expires, sessions, policy, words) in [
            (Some(1000), Some(1000), sessions(true), Some("allkeys-lru"), "Set to allkeys-lru"),
            (Some(1000), Some(400), sessions(true), Some("volatile-lru"), "look like data"),
            (Some(1000), Some(400), sessions(false), Some("volatile-lru"), "logs somebody out"),
            (Some(1000), Some(0), sessions(false), None, "logs somebody out"),
            (Some(1000), Some(0), None, None, "keep noeviction"),
            (Some(0), Some(0), None, None, "if every key can be computed again"),
            (None, None, None, None, "if every key can be computed again"),
        ] {
            let facts = CacheFacts { policy: Some("noeviction"), keys, expires, sessions, ..facts() };
            let advice = advise(&facts);
            assert_eq!(advice.recommendations.len(), 1);
            let one = &advice.recommendations[0];
            assert_eq!((one.issue.as_str(), one.current.as_str()), ("No eviction policy set", "noeviction"));
            assert!(one.action.contains(words), "{one:?}");
            assert_eq!(
                advice.suggested_config.get("maxmemory-policy").map(String::as_str),
                policy,
                "{facts:?}"
            );
        }
    }

    #[test]
    fn without_a_limit_no_policy_has_an_effect_and_giants_are_freed_aside() {
        let facts =
            CacheFacts { policy: Some("noeviction"), maxmemory: Some(0), has_giants: true, ..facts() };
        let advice = advise(&facts);
        assert!(advice.recommendations[0].action.contains("Without maxmemory"));
        assert_eq!(config(&advice), [("maxmemory-policy", "allkeys-lru"), ("lazyfree-lazy-eviction", "yes")]);
    }

    #[test]
    fn fragmentation_of_a_small_server_means_nothing_and_defragmentation_is_named_where_it_is_on() {
        let high = |used, defragments| {
            advise(&CacheFacts { used_memory: Some(used), fragmentation: Some(1.62), defragments, ..facts() })
        };
        assert_eq!(high(2 * MIB, Some(true)), CacheAdvice::default());
        let advice = high(64 * MIB, Some(false));
        assert_eq!(advice.recommendations[0].issue, "High memory fragmentation");
        assert_eq!(advice.recommendations[0].current, "1.62");
        assert_eq!(advice.recommendations[0].action, "Consider MEMORY DOCTOR or restart during maintenance");
        assert_eq!(config(&advice), []);
        assert_eq!(config(&high(64 * MIB, None)), []);
        assert_eq!(config(&high(64 * MIB, Some(true))), [("activedefrag", "yes")]);
    }
}
