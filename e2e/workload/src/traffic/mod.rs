//! Light real traffic at a constant rate: an open model, so that a slow answer never delays the next request.
//!
//! This keeps a system busy while it is measured; it is not the load generator of load tests.

mod pool;
mod report;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::draw::Draws;
use crate::routes::Role;
use pool::{ExchangeError, Pool};
pub use report::Report;
use report::{Outcome, Tally};
pub use target::{Target, TargetError};

/// Highest rate, in requests a second: enough to scale a demo, too little to hurt by mistake.
pub const MAX_RATE: f64 = 1_000.0;

/// Stream of the draws that choose a path.
const PATHS: u64 = 0x7061_7468;

/// What to send, where and how fast.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub target: Target,
    /// Requests a second; see [`Plan::check`].
    pub rate: f64,
    /// How long; until the stop when absent.
    pub duration: Option<Duration>,
    /// Paths with their weights; the target's own path when empty.
    pub paths: Vec<(String, u32)>,
    /// Seed of the order of the paths.
    pub seed: u64,
    /// Longest time of one request, from its planned instant.
    pub timeout: Duration,
    /// After the last planned instant or the stop, how long to wait for what is under way.
    pub drain: Duration,
    /// Requests under way at once; further ones are dropped and counted, never delayed.
    pub max_in_flight: u32,
    /// How long a connection is used.
    pub connection_max_age: Duration,
    /// Path that gets the load time of each page, as a browser's beacon would send it; none when absent.
    pub beacon: Option<String>,
}

/// Why a plan cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The rate is out of bounds.
    #[error("a rate of {0} requests a second is not possible; choose more than 0 and at most {MAX_RATE}")]
    Rate(f64),
    /// A path is not one.
    #[error("{0:?} is not a path of a URL; write for example /web/health")]
    Path(String),
}

impl Plan {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`PlanError`] names the value.
    pub fn check(&self) -> Result<(), PlanError> {
        if !(self.rate > 0.0 && self.rate <= MAX_RATE) {
            return Err(PlanError::Rate(self.rate));
        }
        let mut paths = self.paths.iter().map(|(path, _)| path).chain(&self.beacon);
        let bad =
            paths.find(|path| !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err());
        bad.map_or(Ok(()), |path| Err(PlanError::Path(path.clone())))
    }

    /// How many instants `start + i / rate` lie before the end; none when there is no end.
    fn instants(&self) -> Option<u64> {
        // The subtraction keeps 0.1 x 30, which is 3.0000000000000004, from becoming four.
        self.duration.map(|duration| (self.rate * duration.as_secs_f64() - 1e-9).ceil().max(0.0) as u64)
    }

    /// The path of request `i`.
    fn path(&self, i: u64) -> &str {
        let total = self.paths.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = Draws::of(self.seed, PATHS, i).below(total);
        for (path, weight) in &self.paths {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return path,
            }
        }
        self.target.path()
    }
}

/// The paths of a role, as often as people ask for them.
#[must_use]
pub fn mix(role: Role) -> Vec<(String, u32)> {
    role.routes().iter().map(|route| (route.path.to_owned(), route.weight)).collect()
}

/// Sends requests until the plan's end or until `stop` ends, waits for what is under way, and tells what happened.
///
/// # Errors
/// Those of [`Plan::check`], before anything is sent. A target that is slow, failing or away is no error: it is counted.
pub async fn run(plan: Plan, stop: impl Future<Output = ()>) -> Result<Report, PlanError> {
    plan.check()?;
    let sender = Arc::new(Sender {
        pool: Pool::new(plan.target.clone(), plan.connection_max_age),
        plan,
        tally: Tally::default(),
        failing: AtomicBool::new(false),
    });
    let plan = &sender.plan;
    let slots = Arc::new(Semaphore::new(plan.max_in_flight as usize));
    let instants = plan.instants();
    let start = Instant::now();
    tokio::pin!(stop);
    let mut planned = 0_u64;
    while instants.is_none_or(|instants| planned < instants) {
        let instant = start + Duration::from_secs_f64(planned as f64 / plan.rate);
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tokio::time::sleep_until(instant) => {}
        }
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let sender = Arc::clone(&sender);
                tokio::spawn(async move {
                    sender.request(planned, instant).await;
                    drop(slot);
                });
            }
            Err(_) => sender.tally.dropped(),
        }
        planned += 1;
    }
    let sending = start.elapsed();
    // All slots free means that nothing is under way.
    let _ = tokio::time::timeout(plan.drain, slots.acquire_many(plan.max_in_flight)).await;
    Ok(sender.tally.report(plan.target.authority(), planned, sending))
}

/// What all requests of a run share.
struct Sender {
    plan: Plan,
    pool: Pool,
    tally: Tally,
    /// Whether the last request that ended had no answer; its changes are logged, and not every request.
    failing: AtomicBool,
}

impl Sender {
    /// Sends request `i`, and then the beacon of the page it loaded.
    async fn request(&self, i: u64, planned: Instant) {
        let path = self.plan.path(i);
        let sent = AtomicBool::new(false);
        let begun = Instant::now();
        let outcome = match self.exchange(path, None, &sent, planned + self.plan.timeout).await {
            Ok(status) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(path, status, "the target answers");
                }
                Outcome::Answered(status)
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(path, %error, "the target does not answer; traffic goes on");
                }
                Outcome::Failed(error.kind())
            }
        };
        self.tally.ended(&outcome, sent.load(Ordering::Relaxed), planned.elapsed());
        let (Some(beacon), Outcome::Answered(200)) = (&self.plan.beacon, outcome) else { return };
        let form = format!("page={path}&seconds={:.6}", begun.elapsed().as_secs_f64());
        let deadline = Instant::now() + self.plan.timeout;
        if let Ok(204) = self.exchange(beacon, Some(form), &sent, deadline).await {
            self.tally.beacon();
        }
    }

    /// Sends one request and gives the answer's status.
    async fn exchange(
        &self,
        path: &str,
        form: Option<String>,
        sent: &AtomicBool,
        deadline: Instant,
    ) -> Result<u16, ExchangeError> {
        let request = build(&self.plan, path, form)?;
        match tokio::time::timeout_at(deadline, self.pool.exchange(request, sent)).await {
            Ok(answer) => answer,
            Err(_) => Err(ExchangeError::Timeout(self.plan.timeout)),
        }
    }
}

/// A GET, or a POST of a form.
fn build(plan: &Plan, path: &str, form: Option<String>) -> http::Result<Request<Full<Bytes>>> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, plan.target.authority())
        .header(header::USER_AGENT, concat!("plimsoll-workload/", env!("CARGO_PKG_VERSION")));
    match form {
        None => request.body(Full::default()),
        Some(form) => request
            .method("POST")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rate: f64, duration: Option<u64>) -> Plan {
        Plan {
            target: "http://localhost:1/own".parse().unwrap(),
            rate,
            duration: duration.map(Duration::from_secs),
            paths: mix(Role::Odoo),
            seed: 1,
            timeout: Duration::from_secs(1),
            drain: Duration::from_secs(1),
            max_in_flight: 1,
            connection_max_age: Duration::from_secs(1),
            beacon: None,
        }
    }

    #[test]
    fn as_many_instants_are_planned_as_lie_before_the_end() {
        for (rate, seconds, instants) in
            [(20.0, 3, 60), (0.1, 30, 3), (0.3, 10, 3), (1.5, 1, 2), (0.1, 1, 1), (7.0, 0, 0)]
        {
            assert_eq!(plan(rate, Some(seconds)).instants(), Some(instants), "{rate} for {seconds}");
        }
        assert_eq!(plan(1.0, None).instants(), None);
    }

    #[test]
    fn paths_come_as_often_as_their_weights_say() {
        let plan = plan(1.0, None);
        let requests = 60_000_u64;
        let total: u32 = plan.paths.iter().map(|(_, weight)| weight).sum();
        for (path, weight) in &plan.paths {
            let share = f64::from(*weight) / f64::from(total);
            let got = (0..requests).filter(|&i| plan.path(i) == path).count() as f64 / requests as f64;
            // Four standard errors of a binomial share.
            assert!(
                (got - share).abs() < 4.0 * (share * (1.0 - share) / requests as f64).sqrt(),
                "{path}: {got}"
            );
        }
    }

    #[test]
    fn without_paths_the_targets_own_is_asked_for() {
        let plan = Plan { paths: Vec::new(), ..plan(1.0, None) };
        assert_eq!((plan.path(0), plan.path(1)), ("/own", "/own"));
    }

    #[test]
    fn impossible_plans_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1_000.1] {
            assert!(matches!(plan(rate, None).check(), Err(PlanError::Rate(_))), "{rate}");
        }
        for path in ["web", "http://example.com/", "/a b", ""] {
            let plan = Plan { paths: vec![(path.to_owned(), 1)], ..plan(1.0, None) };
            assert_eq!(plan.check(), Err(PlanError::Path(path.to_owned())));
        }
        assert_eq!(plan(MAX_RATE, None).check(), Ok(()));
    }
}
