//! The order of one run: a first snapshot of what the server counts, everything else, and a second snapshot once the
//! time between them is over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_analysis::record::{
    BaselineRecord, Basis, BasisKind, Counters, DatabaseAnalysis, DatabaseCounters, DatabaseMetrics,
    SourceReason, TableCounter,
};
use plimsoll_analysis::request::DatabaseRequest;

use super::basis::{Bases, add_note, basis};
use super::error::GRANT;
use super::server::{Facts, clients, facts};
use super::session::Session;
use super::sql::{MARK, micros};
use super::statements::delta::{Snapshot, delta};
use super::statements::read::{Extension, extension, numbers, texts};
use super::statements::{Statements, wanted};
use super::{indexes, settings, tables};
use crate::failure::Failure;
use crate::progress::Progress;

/// How many steps are announced.
pub(crate) const STEPS: usize = 8;
/// Time that is kept for what follows the second snapshot.
const RESERVE: Duration = Duration::from_secs(15);

/// How often the server hears of us between the snapshots: it may end sessions that are idle for longer.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Counters of this database.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    at: Timestamp,
    reset: Option<Timestamp>,
    hit: u64,
    read: u64,
}

/// Both kinds of counters at one time; each absent where it could not be read.
#[derive(Debug, Default)]
struct Counted {
    blocks: Option<Blocks>,
    statements: Option<Snapshot>,
}

/// Reads the sections into the record.
pub(crate) async fn sections(
    session: &mut Session<'_>,
    sample_seconds: u64,
    request: &DatabaseRequest,
    progress: &dyn Progress,
    record: &mut BaselineRecord,
) {
    progress.step(0, STEPS, "database server");
    let Some(facts) = facts(session).await else { return };
    let mut bases = Bases::new(facts.server.started);
    progress.step(1, STEPS, "database counters");
    let extension = extension(session).await;
    let begun = Instant::now();
    let first = counted(session, &facts, extension.as_ref()).await;
    bases.reset = first.blocks.and_then(|blocks| blocks.reset);
    let mut metrics = DatabaseMetrics::default();
    let mut analysis = DatabaseAnalysis { server: Some(facts.server.clone()), ..DatabaseAnalysis::default() };
    let counters =
        instants(session, &facts, request, progress, (&mut metrics, &mut analysis, &mut bases)).await;
    progress.step(6, STEPS, "database sample");
    let second = match sample_seconds {
        0 => None,
        seconds => {
            wait(session, begun, Duration::from_secs(seconds)).await;
            Some(counted(session, &facts, extension.as_ref()).await)
        }
    };
    progress.step(7, STEPS, "database statements");
    cache_hits(&first, second.as_ref(), &mut analysis, &mut bases);
    let readings =
        Readings { facts: &facts, extension: extension.as_ref(), first: &first, second: second.as_ref() };
    let statements = readings.statements(session, request, (&mut metrics, &mut analysis, &mut bases)).await;
    record.counters = readings.counters(statements, counters);
    record.database_metrics = Some(metrics).filter(|found| *found != DatabaseMetrics::default());
    record.database_analysis = Some(analysis);
    record.basis.append(&mut bases.found);
}

/// Waits until the sample is over, but not beyond what the run's limit leaves.
async fn wait(session: &mut Session<'_>, begun: Instant, sample: Duration) {
    let left = sample.saturating_sub(begun.elapsed());
    let end = Instant::now() + left.min(session.limit().remaining().saturating_sub(RESERVE));
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A stop or a lost session ends the wait; what was read stays.
        if left.is_zero() || !session.stays(left.min(SIGN_OF_LIFE)).await {
            return;
        }
    }
}

/// Reads the counters.
async fn counted(session: &mut Session<'_>, facts: &Facts, extension: Option<&Extension>) -> Counted {
    let statements = match extension {
        None => None,
        Some(extension) => numbers(session, facts, extension).await,
    };
    let statement = format!(
        "SELECT {MARK} {} AS now, {} AS reset, d.blks_hit AS hit, d.blks_read AS missed \
         FROM pg_catalog.pg_stat_database d WHERE d.datid = {}",
        micros("clock_timestamp()"),
        micros("d.stats_reset"),
        facts.database
    );
    let rows = session.read("block reads", &statement).await;
    let blocks = rows.as_ref().and_then(|rows| rows.first()).and_then(|row| {
        Some(Blocks {
            at: row.time("now")?,
            reset: row.time("reset"),
            hit: row.count("hit")?,
            read: row.count("missed")?,
        })
    });
    Counted { blocks, statements }
}

/// What is true at one instant or since a reset; the counters of tables for the next run.
async fn instants(
    session: &mut Session<'_>,
    facts: &Facts,
    request: &DatabaseRequest,
    progress: &dyn Progress,
    (metrics, analysis, bases): (&mut DatabaseMetrics, &mut DatabaseAnalysis, &mut Bases),
) -> Vec<TableCounter> {
    let at = facts.now;
    progress.step(2, STEPS, "database connections");
    let found = clients(session).await;
    metrics.connections = bases.at("database_metrics.connections", at, found.connections);
    analysis.connection_headroom = bases.at("database_analysis.connection_headroom", at, found.headroom);
    progress.step(3, STEPS, "database tables");
    if let Some(sizes) = tables::sizes(session, facts, request.top_tables).await {
        let note = (sizes.estimated > 0).then(|| {
            let note = format!(
                "{} of these tables were locked, so that their size is what the last VACUUM or ANALYZE saw",
                sizes.estimated
            );
            session.warnings.push(note.clone());
            note
        });
        bases.instant("database_metrics.top_tables", at, note);
        metrics.top_tables = Some(sizes.tables);
    }
    let mut counters = Vec::new();
    if let Some((missing, found)) = tables::scans(session).await {
        analysis.missing_indexes = bases.lifetime("database_analysis.missing_indexes", at, Some(missing));
        counters = found;
    }
    let found = tables::stale(session).await;
    analysis.stale_statistics = bases.at("database_analysis.stale_statistics", at, found);
    let found = tables::dead(session).await;
    analysis.dead_tuples = bases.at("database_analysis.dead_tuples", at, found);
    progress.step(4, STEPS, "database indexes");
    let found = indexes::unused(session, facts).await;
    analysis.unused_indexes = bases.lifetime("database_analysis.unused_indexes", at, found);
    if let Some(basis) =
        bases.found.get_mut("database_analysis.unused_indexes").filter(|_| facts.server.replica)
    {
        add_note(basis, "scans of this replica alone: the primary and other replicas may use the index");
    }
    let found = indexes::duplicate(session, facts).await;
    analysis.duplicate_indexes = bases.at("database_analysis.duplicate_indexes", at, found);
    let found = indexes::invalid(session, facts).await;
    analysis.invalid_indexes = bases.at("database_analysis.invalid_indexes", at, found);
    progress.step(5, STEPS, "database settings");
    let found = settings::settings(session).await;
    analysis.settings = bases.at("database_analysis.settings", at, found);
    counters
}

/// Part of block reads that shared buffers served: between the snapshots where there are two with reads and no reset
/// between, since the reset otherwise.
fn cache_hits(first: &Counted, second: Option<&Counted>, analysis: &mut DatabaseAnalysis, bases: &mut Bases) {
    const PATH: &str = "database_analysis.cache_hit_ratio";
    let second = second.and_then(|counted| counted.blocks);
    let sampled = first.blocks.zip(second).and_then(|(before, after)| {
        let (hit, read) = (after.hit.checked_sub(before.hit)?, after.read.checked_sub(before.read)?);
        let ratio = ratio(hit, read).filter(|_| before.reset == after.reset)?;
        let samples = Some(hit.saturating_add(read));
        Some((ratio, Basis { samples, ..basis(BasisKind::Sampled, before.at, after.at) }))
    });
    let lifetime = || {
        let blocks = second.or(first.blocks)?;
        let samples = Some(blocks.hit.saturating_add(blocks.read));
        let basis = Basis { samples, ..bases.since(blocks.reset, blocks.at) };
        Some((ratio(blocks.hit, blocks.read)?, basis))
    };
    if let Some((ratio, basis)) = sampled.or_else(lifetime) {
        analysis.cache_hit_ratio = Some(ratio);
        bases.set(PATH, basis);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn ratio(hit: u64, read: u64) -> Option<f64> {
    let all = hit as f64 + read as f64;
    (all > 0.0).then(|| hit as f64 / all)
}

/// What the run has read when its snapshots are over.
struct Readings<'a> {
    facts: &'a Facts,
    extension: Option<&'a Extension>,
    first: &'a Counted,
    second: Option<&'a Counted>,
}

impl Readings<'_> {
    /// The latest snapshot of statements.
    fn latest(&self) -> Option<&Snapshot> {
        self.second.and_then(|counted| counted.statements.as_ref()).or(self.first.statements.as_ref())
    }

    /// Figures of statements: between the snapshots where there are two, since the reset otherwise. Gives the latest
    /// counters for the next run.
    async fn statements(
        &self,
        session: &mut Session<'_>,
        request: &DatabaseRequest,
        (metrics, analysis, bases): (&mut DatabaseMetrics, &mut DatabaseAnalysis, &mut Bases),
    ) -> Option<DatabaseCounters> {
        let latest = self.latest()?;
        let before = self.first.statements.as_ref();
        let second = self.second.and_then(|counted| counted.statements.as_ref());
        let (known, rest, mut basis) = match before.zip(second) {
            Some((before, after)) => {
                let delta = delta(before, after);
                let mut basis = basis(BasisKind::Sampled, delta.from, after.at);
                if delta.is_reset {
                    add_note(&mut basis, "the statistics were reset in between: counted from there");
                }
                if delta.thrown_out > 0 {
                    add_note(
                        &mut basis,
                        "pg_stat_statements is full and threw entries out; raise pg_stat_statements.max",
                    );
                }
                (delta.statements, delta.rest, basis)
            }
            None => {
                let known = latest.statements.values().map(|one| one.counter.clone()).collect();
                let rest = latest.others.iter().chain(&latest.hidden).cloned().collect();
                (known, rest, bases.since(latest.reset, latest.at))
            }
        };
        if latest.hidden.is_some() {
            let message = format!(
                "statements: the role may not see those of other roles; as an administrator: {GRANT}"
            );
            session.failures.push(Failure::of_query(SourceReason::Forbidden, message));
            add_note(&mut basis, "statements of other roles are hidden from the role");
        }
        let texts = match self.extension {
            None => None,
            Some(extension) => {
                let wanted = wanted(&known, latest, request);
                texts(session, self.facts, extension, &wanted).await
            }
        };
        if texts.is_none() {
            add_note(
                &mut basis,
                "the texts could not be read, so that utility statements and our own are included",
            );
        }
        let statements = Statements { known: &known, rest: &rest, texts: texts.as_ref() };
        let figures = statements.figures(request);
        metrics.slow_queries = Some(figures.by_mean);
        analysis.slow_queries = Some(figures.slow);
        analysis.top_statements = Some(figures.top);
        analysis.execution_time_ms = Some(figures.total_ms);
        metrics.query_time_p95_ms = figures.query_time;
        for path in [
            "database_metrics.slow_queries",
            "database_analysis.slow_queries",
            "database_analysis.top_statements",
            "database_analysis.execution_time_ms",
        ] {
            bases.set(path, basis.clone());
        }
        basis.samples = Some(figures.calls);
        if figures.calls == 0 {
            add_note(&mut basis, "no statement ran");
        }
        bases.set("database_metrics.query_time_p95_ms", basis);
        let (statements, others) = statements.counters(latest);
        Some(DatabaseCounters {
            at: latest.at,
            database: self.facts.database,
            started: self.facts.server.started,
            database_reset: None,
            statements_reset: latest.reset,
            dealloc: latest.dealloc,
            blks_hit: 0,
            blks_read: 0,
            statements,
            others,
            tables: Vec::new(),
        })
    }

    /// The counters of this run, where those of blocks were read.
    fn counters(&self, statements: Option<DatabaseCounters>, tables: Vec<TableCounter>) -> Option<Counters> {
        let blocks = self.second.and_then(|counted| counted.blocks).or(self.first.blocks)?;
        let statements = statements.unwrap_or_else(|| DatabaseCounters {
            at: blocks.at,
            database: self.facts.database,
            started: self.facts.server.started,
            database_reset: None,
            statements_reset: None,
            dealloc: None,
            blks_hit: 0,
            blks_read: 0,
            statements: Vec::new(),
            others: None,
            tables: Vec::new(),
        });
        let database = DatabaseCounters {
            database_reset: blocks.reset,
            blks_hit: blocks.hit,
            blks_read: blocks.read,
            tables,
            ..statements
        };
        Some(Counters { database: Some(database), cache: None })
    }
}
