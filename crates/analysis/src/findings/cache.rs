//! Rules on the cache. What concerns its configuration is judged by [`crate::cache_rules`] when the record is made, and
//! ranked here.

use super::{Rule, behind_requests, effect, entry, finding};
use crate::cache_rules::{FRAGMENTATION_ISSUE, HIGH_UTILIZATION_ISSUE, NO_EVICTION_ISSUE};
use crate::format::{count, mebibytes, percent};
use crate::indicator;
use crate::judgement::{Finding, Impact};
use crate::ranking::OTHERS;
use crate::record::{BaselineRecord, CacheAnalysis, CacheRecommendation, PrefixEstimate};

/// Part of the lookups that a cache should serve, percent; the seed's success criterion.
const HITS_PERCENT: f64 = 90.0;
/// Part of them below which it hardly serves as one, percent.
const FEW_HITS_PERCENT: f64 = 70.0;
/// Fewest lookups of which a hit ratio says anything.
const MIN_LOOKUPS: u64 = 100;
/// Part of a prefix's keys without an expiry from which on it seems to be forgotten, percent.
const WITHOUT_TTL_PERCENT: f64 = 50.0;
/// Part of the memory of all keys from which on a prefix matters, percent.
const MEMORY_SHARE_PERCENT: f64 = 10.0;
/// Memory of a prefix below which it never matters, MiB.
const MEMORY_MIB: f64 = 1.0;

const HIT_RATE: &str = "cache_metrics.hit_rate_window";
const ESTIMATES: &str = "cache_analysis.keyspace.estimates";
const RECOMMENDATIONS: &str = "cache_analysis.recommendations";

fn analysis(record: &BaselineRecord) -> Option<&CacheAnalysis> {
    record.cache_analysis.as_ref()
}

fn evicted(record: &BaselineRecord) -> u64 {
    record.cache_metrics.as_ref().and_then(|metrics| metrics.evicted_keys).unwrap_or(0)
}

/// Hits per hundred lookups where they are few, may be judged and rest on enough of them.
fn low_hits(record: &BaselineRecord) -> Option<f64> {
    let reading = indicator::read(record, "cache.hitRatio")?;
    let basis = reading.basis.filter(|_| reading.why_unjudged().is_none())?;
    if basis.samples.is_some_and(|lookups| lookups < MIN_LOOKUPS) {
        return None;
    }
    Some(reading.value? * 100.0).filter(|hits| *hits < HITS_PERCENT)
}

fn impact_of(hits: f64) -> Impact {
    if hits < FEW_HITS_PERCENT { Impact::High } else { Impact::Medium }
}

/// The prefix with the most memory, and its part of all keys' memory in percent.
fn largest_prefix(record: &BaselineRecord) -> Option<(&str, &PrefixEstimate, f64)> {
    let estimates = &analysis(record)?.keyspace.as_ref()?.estimates;
    let all: f64 = estimates.values().map(|one| one.size_mb).sum();
    let prefixes = estimates.iter().filter(|(prefix, _)| *prefix != OTHERS);
    let (prefix, largest) = prefixes.max_by(|a, b| a.1.size_mb.total_cmp(&b.1.size_mb))?;
    (all > 0.0).then(|| (prefix.as_str(), largest, largest.size_mb / all * 100.0))
}

/// Lookups that miss because keys were evicted.
pub(super) const EVICTION_LOSS: Rule = Rule {
    id: "cache-eviction-loss",
    fires: || {
        format!(
            "less than {HITS_PERCENT}% of at least {MIN_LOOKUPS} lookups hit and keys were evicted: named by the prefix with the most memory; High below {FEW_HITS_PERCENT}%"
        )
    },
    find: |record| {
        let evicted = evicted(record);
        let found = low_hits(record).filter(|_| evicted > 0).map(|hits| {
            let mut evidence = format!(
                "{} of lookups hit; {} keys evicted since the server started",
                percent(hits),
                count(evicted)
            );
            let mut paths = vec![HIT_RATE.to_owned(), "cache_metrics.evicted_keys".to_owned()];
            let subject = largest_prefix(record).map_or("all keys", |(prefix, one, share)| {
                evidence.push_str(&format!(
                    "; this prefix holds about {} in {} keys, {} of all keys' memory",
                    mebibytes(one.size_mb),
                    count(one.count),
                    percent(share)
                ));
                paths.push(entry(ESTIMATES, prefix));
                prefix
            });
            Finding {
                effect_percent: effect(100.0 - hits),
                evidence,
                action: "Memory is too short for what is looked up: make the values of this prefix smaller or their TTL shorter, or raise maxmemory (and the container's limit first)".to_owned(),
                paths,
                explains: behind_requests(&["cache.hitRatio"]),
                ..finding(&EVICTION_LOSS, impact_of(hits), subject)
            }
        });
        found.into_iter().collect()
    },
};

/// Lookups that miss though nothing was evicted.
pub(super) const MISSES: Rule = Rule {
    id: "cache-misses",
    fires: || {
        format!(
            "less than {HITS_PERCENT}% of at least {MIN_LOOKUPS} lookups hit and no key was evicted; High below {FEW_HITS_PERCENT}%"
        )
    },
    find: |record| {
        let found = low_hits(record).filter(|_| evicted(record) == 0).map(|hits| {
            let expired = record.cache_metrics.as_ref().and_then(|metrics| metrics.expired_keys);
            let expired = expired.map(|expired| format!("; {} expired since the server started", count(expired)));
            Finding {
                effect_percent: effect(100.0 - hits),
                evidence: format!(
                    "{} of lookups hit, no key was evicted{}",
                    percent(hits),
                    expired.unwrap_or_default()
                ),
                action: "Keys expire before they are read again, or were never written: lengthen the TTLs, fill the cache when data change, and look for code that asks for keys that nobody sets".to_owned(),
                paths: vec![HIT_RATE.to_owned(), "cache_metrics.evicted_keys".to_owned()],
                explains: behind_requests(&["cache.hitRatio"]),
                ..finding(&MISSES, impact_of(hits), "all keys")
            }
        });
        found.into_iter().collect()
    },
};

/// Keys that never expire.
pub(super) const KEYS_WITHOUT_TTL: Rule = Rule {
    id: "keys-without-ttl",
    fires: || {
        format!(
            "at least {WITHOUT_TTL_PERCENT}% of a prefix's keys have no TTL and the prefix holds at least {MEMORY_MIB} MiB and {MEMORY_SHARE_PERCENT}% of all keys' memory; Low where the policy evicts such keys"
        )
    },
    find: keys_without_ttl,
};

fn keys_without_ttl(record: &BaselineRecord) -> Vec<Finding> {
    let Some(analysis) = analysis(record) else { return Vec::new() };
    let Some(keyspace) = analysis.keyspace.as_ref() else { return Vec::new() };
    let all: f64 = keyspace.estimates.values().map(|one| one.size_mb).sum();
    let policy = analysis.current_config.as_ref().map(|config| config.eviction_policy.as_str());
    let is_evicted = policy.is_some_and(|policy| policy.starts_with("allkeys-"));
    let forgotten = keyspace.estimates.iter().filter(|(prefix, one)| {
        *prefix != OTHERS
            && one.without_ttl_percent >= WITHOUT_TTL_PERCENT
            && one.size_mb >= MEMORY_MIB
            && one.size_mb / all * 100.0 >= MEMORY_SHARE_PERCENT
    });
    let found = forgotten.map(|(prefix, one)| {
        let share = one.size_mb / all * 100.0;
        Finding {
            effect_percent: effect(share * one.without_ttl_percent / 100.0),
            evidence: format!(
                "{} of about {} keys have no TTL; about {} in all, {} of all keys' memory{}",
                percent(one.without_ttl_percent),
                count(one.count),
                mebibytes(one.size_mb),
                percent(share),
                policy.map(|policy| format!("; policy {policy}")).unwrap_or_default()
            ),
            action: "If these can be computed again, write them with a TTL (SET ... EX); if they are data, leave them and keep them out of the server that evicts".to_owned(),
            paths: vec![entry(ESTIMATES, prefix)],
            ..finding(
                &KEYS_WITHOUT_TTL,
                if is_evicted { Impact::Low } else { Impact::Medium },
                prefix.as_str(),
            )
        }
    });
    found.collect()
}

/// The recommendation of that name.
fn recommendation<'a>(record: &'a BaselineRecord, issue: &str) -> Option<&'a CacheRecommendation> {
    analysis(record)?.recommendations.as_ref()?.iter().find(|one| one.issue == issue)
}

/// A recommendation as a finding, which then has its words.
fn recommended(rule: &Rule, impact: Impact, one: &CacheRecommendation, evidence: String) -> Finding {
    Finding {
        evidence,
        action: one.action.clone(),
        paths: vec![RECOMMENDATIONS.to_owned()],
        ..finding(rule, impact, "cache")
    }
}

/// Memory near its limit.
pub(super) const FULL: Rule = Rule {
    id: "cache-memory",
    fires: || {
        "`recommendations` has High memory utilization (over 90% of `maxmemory`); High where nothing is evicted, since writes then fail".to_owned()
    },
    find: |record| {
        let found = recommendation(record, HIGH_UTILIZATION_ISSUE).map(|one| {
            let is_refused = analysis(record)
                .and_then(|analysis| analysis.current_config.as_ref())
                .is_some_and(|config| config.eviction_policy == "noeviction");
            let impact = if is_refused { Impact::High } else { Impact::Medium };
            let limit = analysis(record).and_then(|analysis| analysis.current_config.as_ref());
            let limit =
                limit.map(|config| format!(" of {}; policy {}", config.maxmemory, config.eviction_policy));
            let evidence = format!("memory in use is {}{}", one.current, limit.unwrap_or_default());
            let explains = behind_requests(&["cache.memory", "cache.hitRatio"]);
            Finding { explains, ..recommended(&FULL, impact, one, evidence) }
        });
        found.into_iter().collect()
    },
};

/// No eviction.
pub(super) const EVICTION_POLICY: Rule = Rule {
    id: "cache-eviction-policy",
    fires: || "`recommendations` has No eviction policy set (`noeviction`)".to_owned(),
    find: |record| {
        let found = recommendation(record, NO_EVICTION_ISSUE).map(|one| {
            let limit = analysis(record).and_then(|analysis| analysis.current_config.as_ref());
            let limit = limit.map(|config| format!(", maxmemory {}", config.maxmemory)).unwrap_or_default();
            let evidence = format!("policy {}{limit}: a full server refuses writes", one.current);
            recommended(&EVICTION_POLICY, Impact::Medium, one, evidence)
        });
        found.into_iter().collect()
    },
};

/// Fragmentation.
pub(super) const FRAGMENTATION: Rule = Rule {
    id: "cache-fragmentation",
    fires: || {
        "`recommendations` has High memory fragmentation (ratio above 1.5, from 64 MiB in use on)".to_owned()
    },
    find: |record| {
        let found = recommendation(record, FRAGMENTATION_ISSUE).map(|one| {
            let ratio = analysis(record).and_then(|analysis| analysis.fragmentation_ratio);
            let evidence = format!("{} bytes resident for each in use", one.current);
            Finding {
                // What is resident and not in use.
                effect_percent: ratio.and_then(|ratio| effect((1.0 - 1.0 / ratio) * 100.0)),
                ..recommended(&FRAGMENTATION, Impact::Low, one, evidence)
            }
        });
        found.into_iter().collect()
    },
};
