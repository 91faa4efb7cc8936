//! What server it is, and how many clients it has.

use jiff::Timestamp;
use plimsoll_analysis::record::{ConnectionHeadroom, Connections, DatabaseServer, SourceReason};

use super::error::GRANT;
use super::session::Session;
use super::sql::{MARK, micros};
use crate::failure::Failure;

/// Oldest version that is supported, as `server_version_num` counts.
const OLDEST: u64 = 130_000;

/// What every further statement depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) server: DatabaseServer,
    /// The server's clock when it was asked.
    pub(crate) now: Timestamp,
    /// OID of the database.
    pub(crate) database: u64,
    /// `server_version_num`, for example 150018.
    pub(crate) version: u64,
    /// Bytes of a page.
    pub(crate) block_size: u64,
}

/// Reads the facts and settles how texts are taken.
pub(crate) async fn facts(session: &mut Session<'_>) -> Option<Facts> {
    let statement = format!(
        "SELECT {MARK} current_setting('server_version') AS version, \
         current_setting('server_version_num') AS number, getdatabaseencoding()::text AS encoding, \
         pg_is_in_recovery() AS replica, {} AS started, {} AS now, current_setting('is_superuser') AS superuser, \
         current_setting('block_size') AS block_size, current_setting('track_counts') AS counts, \
         current_setting('track_activities') AS activities, \
         (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) AS database",
        micros("pg_postmaster_start_time()"),
        micros("clock_timestamp()")
    );
    let rows = session.read("server", &statement).await?;
    let facts = rows.first().and_then(|row| {
        let version = row.plain("version")?;
        let server = DatabaseServer {
            // Debian adds its package: `15.18 (Debian 15.18-0+deb12u1)`.
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            replica: row.is("replica"),
            started: row.time("started"),
        };
        Some(Facts {
            server,
            now: row.time("now")?,
            database: row.count("database")?,
            version: row.count("number")?,
            block_size: row.count("block_size")?,
        })
    });
    let (Some(facts), Some(row)) = (facts, rows.first()) else {
        let message = "server: the answer lacks what PostgreSQL 13 to 18 say of themselves";
        session.failures.push(Failure::of_query(SourceReason::BadAnswer, message));
        return None;
    };
    if row.plain("encoding").as_deref() == Some("SQL_ASCII") {
        session.take_raw_texts();
    }
    if facts.version < OLDEST {
        let warning = format!("PostgreSQL {} is older than 13 and not supported", facts.server.version);
        session.warnings.push(warning);
    }
    if row.is("superuser") {
        let warning =
            format!("the role is a superuser; a role of its own with pg_monitor is enough: {GRANT}");
        session.warnings.push(warning);
    }
    if !row.is("counts") {
        session.warnings.push("track_counts is off: figures of tables and indexes stand still".to_owned());
    }
    if !row.is("activities") {
        session.warnings.push("track_activities is off: what connections do is unknown".to_owned());
    }
    Some(facts)
}

/// Clients of this database and of the whole server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clients {
    pub(crate) connections: Option<Connections>,
    pub(crate) headroom: Option<ConnectionHeadroom>,
}

/// Counts client backends without our own. What they do is hidden from a role without `pg_read_all_stats`: then their
/// number is known and their states are not, and no figure of states is better than a wrong one.
pub(crate) async fn clients(session: &mut Session<'_>) -> Clients {
    let statement = format!(
        "SELECT {MARK} \
         count(*) FILTER (WHERE a.here AND a.state = 'active') AS active, \
         count(*) FILTER (WHERE a.here AND a.state = 'idle') AS idle, \
         count(*) FILTER (WHERE a.here) AS total, \
         count(*) FILTER (WHERE a.here AND a.hidden) AS hidden, \
         count(*) AS used, \
         greatest(0, current_setting('max_connections')::bigint \
           - current_setting('superuser_reserved_connections')::bigint \
           - coalesce(current_setting('reserved_connections', true)::bigint, 0)) AS most \
         FROM (SELECT s.state, s.datname = current_database() AS here, s.backend_type IS NULL AS hidden \
           FROM pg_catalog.pg_stat_activity s \
           WHERE s.pid <> pg_backend_pid() AND s.usesysid IS NOT NULL AND s.datname IS NOT NULL \
           AND (s.backend_type = 'client backend' OR s.backend_type IS NULL)) a"
    );
    let Some(rows) = session.read("connections", &statement).await else { return Clients::default() };
    let Some(row) = rows.first() else { return Clients::default() };
    let count = |column: &str| row.count(column);
    let headroom = count("used").zip(count("most")).map(|(used, max)| ConnectionHeadroom { used, max });
    if count("hidden").is_some_and(|hidden| hidden > 0) {
        let message = format!(
            "connections: the role may not see what other roles' connections do; as an administrator: {GRANT}"
        );
        session.failures.push(Failure::of_query(SourceReason::Forbidden, message));
        return Clients { connections: None, headroom };
    }
    let connections = count("active")
        .zip(count("idle"))
        .zip(count("total"))
        .map(|((active, idle), total)| Connections { active, idle, total });
    Clients { connections, headroom }
}
