//! What the service offers, and what one request of each does.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::draw::Draws;

/// Which of the two services of Smart Dairy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The web application.
    Odoo,
    /// The API beside it.
    Api,
}

/// A page or an endpoint.
#[derive(Debug, PartialEq)]
pub struct Route {
    /// Its path, which is also the value of its metric label.
    pub path: &'static str,
    /// CPU work in parts of the configured rounds.
    pub work: f64,
    /// Database queries, one after the other.
    pub queries: &'static [Query],
    /// The share of requests that fail, and how.
    pub failure: Option<Failure>,
    /// How often people ask for it, in parts of the sum over a role.
    pub weight: u32,
}

/// A database query of a route.
#[derive(Debug, PartialEq)]
pub struct Query {
    /// The value of its metric label.
    pub name: &'static str,
    /// Mean time without the slow ones, in milliseconds.
    pub mean_ms: f64,
}

/// How a route fails now and then.
#[derive(Debug, PartialEq)]
pub struct Failure {
    /// From 0 to 1.
    pub share: f64,
    /// HTTP status of a failed request, 500 to 599.
    pub status: u16,
}

/// What one request does.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Queries and how long each takes.
    pub queries: Vec<(&'static str, Duration)>,
    /// Rounds of [`crate::work::burn`].
    pub rounds: u32,
    /// HTTP status of the answer.
    pub status: u16,
    /// Decides about whom or what the queries ask.
    pub choice: u64,
}

const fn query(name: &'static str, mean_ms: f64) -> Query {
    Query { name, mean_ms }
}

const ODOO: [Route; 5] = [
    Route { path: "/web/health", work: 1.0, queries: &[], failure: None, weight: 2 },
    Route {
        path: "/web",
        work: 1.0,
        queries: &[query("session", 1.0), query("menu", 2.0)],
        failure: None,
        weight: 4,
    },
    Route { path: "/web/login", work: 0.5, queries: &[query("user", 2.0)], failure: None, weight: 1 },
    Route {
        path: "/shop",
        work: 1.5,
        queries: &[query("session", 1.0), query("products", 6.0), query("prices", 3.0)],
        failure: None,
        weight: 3,
    },
    Route {
        path: "/my/orders",
        work: 1.5,
        queries: &[query("session", 1.0), query("orders", 10.0)],
        failure: Some(Failure { share: 0.04, status: 500 }),
        weight: 2,
    },
];

const API: [Route; 6] = [
    Route { path: "/api/v1/health", work: 0.5, queries: &[], failure: None, weight: 1 },
    Route {
        path: "/api/v1/collections",
        work: 1.0,
        queries: &[query("farmer_history", 4.0)],
        failure: None,
        weight: 6,
    },
    Route { path: "/api/v1/farmers", work: 0.5, queries: &[query("farmer", 2.0)], failure: None, weight: 3 },
    Route {
        path: "/api/v1/payments",
        work: 1.0,
        queries: &[query("farmer", 2.0), query("payment_period", 6.0)],
        failure: Some(Failure { share: 0.04, status: 503 }),
        weight: 2,
    },
    Route { path: "/api/v1/centers", work: 0.5, queries: &[query("centers", 1.0)], failure: None, weight: 1 },
    Route {
        path: "/api/v1/reports/daily",
        work: 2.0,
        queries: &[query("daily_summary", 20.0)],
        failure: None,
        weight: 1,
    },
];

impl Role {
    /// Its pages or endpoints.
    #[must_use]
    pub fn routes(self) -> &'static [Route] {
        match self {
            Self::Odoo => &ODOO,
            Self::Api => &API,
        }
    }

    /// The port of its Service.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Odoo => 8069,
            Self::Api => 8080,
        }
    }
}

impl Route {
    /// What request `n` of this route does, the same for the same seed on every machine.
    ///
    /// `rounds` is the work of a route of weight 1. Each query takes half its mean and an exponential time of the same
    /// mean again; one in a hundred takes eight times as long, as a plan gone wrong or a lock would, and none longer than
    /// two seconds.
    #[must_use]
    pub fn script(&self, seed: u64, n: u64, rounds: u32) -> Script {
        let mut draws = Draws::of(seed, stream(self.path), n);
        let failed = self.failure.as_ref().filter(|failure| draws.chance(failure.share));
        let queries = self
            .queries
            .iter()
            .map(|query| {
                let slow = if draws.chance(0.01) { 8.0 } else { 1.0 };
                let half = query.mean_ms / 2.0;
                let millis = (half + draws.exponential(half)) * slow;
                (query.name, Duration::from_secs_f64(millis.min(2_000.0) / 1_000.0))
            })
            .collect();
        Script {
            queries,
            // A float cast saturates, and `burn` has a bound of its own.
            rounds: (f64::from(rounds) * self.work) as u32,
            status: failed.map_or(200, |failure| failure.status),
            choice: draws.bits(),
        }
    }
}

/// A number of its own for each path: FNV-1a, 64 bits.
fn stream(path: &str) -> u64 {
    path.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_failures_is_the_declared_one() {
        for role in [Role::Odoo, Role::Api] {
            for route in role.routes() {
                let requests = 50_000_u64;
                let failed = (0..requests).filter(|&n| route.script(1, n, 0).status != 200).count() as f64;
                let share = route.failure.as_ref().map_or(0.0, |failure| failure.share);
                // Four standard errors of a binomial share.
                let allowed = 4.0 * (share * (1.0 - share) / requests as f64).sqrt();
                assert!((failed / requests as f64 - share).abs() <= allowed, "{}", route.path);
            }
        }
    }

    #[test]
    fn some_requests_fail_and_some_queries_are_slow_but_none_hangs() {
        for role in [Role::Odoo, Role::Api] {
            let failures = role.routes().iter().filter(|route| route.failure.is_some()).count();
            assert_eq!(failures, 1, "{role:?}");
            for route in role.routes() {
                for n in 0..2_000 {
                    let script = route.script(3, n, 1_000);
                    assert!(script.queries.iter().all(|(_, time)| *time <= Duration::from_secs(2)));
                    assert_eq!(script.queries.len(), route.queries.len());
                    assert_eq!(script.rounds, (1_000.0 * route.work) as u32);
                }
            }
        }
    }

    #[test]
    fn a_script_depends_on_seed_and_number_alone() {
        let route = &Role::Odoo.routes()[3];
        assert_eq!(route.script(1, 5, 10), route.script(1, 5, 10));
        assert_ne!(route.script(1, 5, 10), route.script(2, 5, 10));
        assert_ne!(route.script(1, 5, 10), route.script(1, 6, 10));
        let [first, second] = [&Role::Odoo.routes()[1], &Role::Odoo.routes()[3]];
        assert_ne!(first.script(1, 0, 10).queries[0], second.script(1, 0, 10).queries[0]);
    }

    #[test]
    fn paths_are_told_apart_and_every_route_is_asked_for() {
        for role in [Role::Odoo, Role::Api] {
            let mut paths: Vec<_> = role.routes().iter().map(|route| route.path).collect();
            assert!(role.routes().iter().all(|route| route.weight > 0));
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), role.routes().len());
        }
    }
}
