//! `INFO` of Redis and Valkey: lines `name:value` in sections, read into what a record needs. Pure, and never fails:
//! what is missing, renamed or no number is absent.

use std::collections::BTreeMap;

/// Most bytes of an answer that are read. Honest ones have some kilobytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Most databases that are taken from `Keyspace`.
const MAX_DATABASES: usize = 1024;

/// What a server says of itself at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Info {
    /// `redis_version`; Valkey gives there the version of Redis that it is compatible with.
    pub(crate) redis_version: Option<String>,
    /// `valkey_version`.
    pub(crate) valkey_version: Option<String>,
    /// `server_name` of Valkey and of some services.
    pub(crate) server_name: Option<String>,
    /// `redis_mode` (`server_mode` in Valkey): `standalone`, `sentinel` or `cluster`.
    pub(crate) mode: Option<String>,
    /// `run_id`: new at each start.
    pub(crate) run_id: Option<String>,
    /// `uptime_in_seconds`.
    pub(crate) uptime_seconds: Option<u64>,
    /// `role`: `master` or `slave`.
    pub(crate) role: Option<String>,
    /// `master_link_status` of a replica: `up` or `down`.
    pub(crate) master_link: Option<String>,
    /// Whether `cluster_enabled` is 1.
    pub(crate) is_cluster: bool,
    /// Whether `loading` is 1.
    pub(crate) is_loading: bool,
    /// `connected_clients`.
    pub(crate) connected_clients: Option<u64>,
    /// `used_memory`, bytes.
    pub(crate) used_memory: Option<u64>,
    /// `used_memory_peak`, bytes.
    pub(crate) used_memory_peak: Option<u64>,
    /// `used_memory_dataset`, bytes: without the server's own and the keys' table entries.
    pub(crate) used_memory_dataset: Option<u64>,
    /// `mem_fragmentation_ratio`.
    pub(crate) fragmentation: Option<f64>,
    /// `maxmemory`, bytes; 0 is no limit.
    pub(crate) maxmemory: Option<u64>,
    /// `maxmemory_policy`.
    pub(crate) policy: Option<String>,
    /// `keyspace_hits`.
    pub(crate) hits: Option<u64>,
    /// `keyspace_misses`.
    pub(crate) misses: Option<u64>,
    /// `evicted_keys`.
    pub(crate) evicted: Option<u64>,
    /// `expired_keys`.
    pub(crate) expired: Option<u64>,
    /// Keys by number of the database; `None` where the section `Keyspace` is missing.
    pub(crate) databases: Option<BTreeMap<u32, Database>>,
}

/// One numbered database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Database {
    /// `keys`.
    pub(crate) keys: u64,
    /// `expires`: keys that have a time to live.
    pub(crate) expires: u64,
}

impl Info {
    /// Reads an answer. Lines beyond the first mebibyte are passed over, and so is whatever is not UTF-8.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(MAX_BYTES)];
        let mut info = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let line = line.trim_end_matches('\r');
            if line == "# Keyspace" {
                info.databases.get_or_insert_default();
            } else if let Some((name, value)) = line.split_once(':') {
                info.take(name, value);
            }
        }
        info
    }

    fn take(&mut self, name: &str, value: &str) {
        let text = || short(value);
        let number = || value.parse::<u64>().ok();
        match name {
            "redis_version" => self.redis_version = text(),
            "valkey_version" => self.valkey_version = text(),
            "server_name" => self.server_name = text(),
            "redis_mode" | "server_mode" => self.mode = text(),
            "run_id" => self.run_id = text(),
            "uptime_in_seconds" => self.uptime_seconds = number(),
            "role" => self.role = text(),
            "master_link_status" => self.master_link = text(),
            "cluster_enabled" => self.is_cluster = value == "1",
            "loading" | "async_loading" => self.is_loading |= value == "1",
            "connected_clients" => self.connected_clients = number(),
            "used_memory" => self.used_memory = number(),
            "used_memory_peak" => self.used_memory_peak = number(),
            "used_memory_dataset" => self.used_memory_dataset = number(),
            "mem_fragmentation_ratio" => self.fragmentation = ratio(value),
            "maxmemory" => self.maxmemory = number(),
            "maxmemory_policy" => self.policy = text(),
            "keyspace_hits" => self.hits = number(),
            "keyspace_misses" => self.misses = number(),
            "evicted_keys" => self.evicted = number(),
            "expired_keys" => self.expired = number(),
            _ => self.take_database(name, value),
        }
    }

    /// `db0:keys=2,expires=0,avg_ttl=0`; further fields come and go by version.
    fn take_database(&mut self, name: &str, value: &str) {
        let Some(Ok(index)) = name.strip_prefix("db").map(str::parse::<u32>) else { return };
        let fields: BTreeMap<&str, u64> = value
            .split(',')
            .filter_map(|field| field.split_once('='))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let Some(&keys) = fields.get("keys") else { return };
        let databases = self.databases.get_or_insert_default();
        if databases.len() < MAX_DATABASES {
            let expires = fields.get("expires").copied().unwrap_or_default().min(keys);
            databases.insert(index, Database { keys, expires });
        }
    }

    /// Keys of all databases, where the server lists them.
    pub(crate) fn total_keys(&self) -> Option<u64> {
        let databases = self.databases.as_ref()?;
        Some(databases.values().fold(0, |sum: u64, database| sum.saturating_add(database.keys)))
    }

    /// Hits per hundred lookups over the server's life; `None` without lookups.
    pub(crate) fn hit_percent(&self) -> Option<f64> {
        percent(self.hits?, self.misses?)
    }

    /// Whether the answer is one of a Redis at all.
    pub(crate) fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

/// Hits per hundred lookups; `None` without lookups.
pub(crate) fn percent(hits: u64, misses: u64) -> Option<f64> {
    let total = hits as f64 + misses as f64;
    (total > 0.0).then(|| hits as f64 / total * 100.0)
}

fn ratio(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// A word of the server's: printable, at most 64 characters.
fn short(value: &str) -> Option<String> {
    let is_fit = !value.is_empty() && value.len() <= 64 && value.chars().all(|c| c.is_ascii_graphic());
    is_fit.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REDIS_7: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:5a1e\r\n\
        server_time_usec:1764000000000000\r\nuptime_in_seconds:90\r\n\r\n# Clients\r\nconnected_clients:3\r\n\r\n\
        # Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nused_memory_peak:2097152\r\n\
        maxmemory:0\r\nmaxmemory_policy:noeviction\r\nmem_fragmentation_ratio:9.41\r\n\r\n# Persistence\r\n\
        loading:0\r\n\r\n# Stats\r\nkeyspace_hits:3\r\nkeyspace_misses:1\r\nevicted_keys:0\r\nexpired_keys:7\r\n\r\n\
        # Replication\r\nrole:master\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n\
        db0:keys=20,expires=5,avg_ttl=120\r\ndb3:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n";

    #[test]
    fn every_figure_of_an_answer_is_read() {
        let info = Info::parse(REDIS_7.as_bytes());
        assert_eq!(info.redis_version.as_deref(), Some("7.0.15"));
        assert_eq!(info.used_memory, Some(1_048_576));
        assert_eq!(info.fragmentation, Some(9.41));
        assert_eq!(info.total_keys(), Some(21));
        assert_eq!(info.hit_percent(), Some(75.0));
        let databases = info.databases.as_ref().unwrap();
        assert_eq!(databases[&0], Database { keys: 20, expires: 5 });
        assert_eq!(databases.len(), 2);
        assert!(!info.is_cluster && !info.is_loading && info.is_any());
    }

    #[test]
    fn what_is_missing_or_no_number_is_absent() {
        assert!(!Info::parse(b"").is_any());
        assert!(!Info::parse(b"<html>no</html>").is_any());
        let odd = "used_memory:99999999999999999999999\r\nkeyspace_hits:-1\r\nmem_fragmentation_ratio:nan\r\n\
                   maxmemory_policy:a b\r\ndbx:keys=1\r\ndb1:expires=1\r\ndb2:keys=-4\r\nrole:";
        assert!(!Info::parse(odd.as_bytes()).is_any(), "{:?}", Info::parse(odd.as_bytes()));
        assert_eq!(Info::parse(b"# Keyspace\r\n").total_keys(), Some(0));
        assert_eq!(Info::parse(b"# Server\r\nrun_id:x").total_keys(), None);
        assert_eq!(percent(0, 0), None);
        let huge = format!("db0:keys={0}\ndb1:keys={0}\n", u64::MAX);
        assert_eq!(Info::parse(huge.as_bytes()).total_keys(), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Info::parse(&bytes);
        }

        #[test]
        fn lines_of_any_form_are_read_in_any_order(
            mut lines in Just(REDIS_7.split("\r\n").map(str::to_owned).collect::<Vec<_>>()).prop_shuffle(),
            noise in "[a-z_]{0,12}:?[ -~]{0,30}",
            at in 0_usize..30,
        ) {
            prop_assume!(!noise.starts_with("db"));
            let known = Info::parse(REDIS_7.as_bytes());
            lines.insert(at.min(lines.len()), format!("x{noise}"));
            prop_assert_eq!(Info::parse(lines.join("\n").as_bytes()), known);
        }
    }
}
