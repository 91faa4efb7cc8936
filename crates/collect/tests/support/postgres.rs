//! A private PostgreSQL of Debian's version, as [`super::pg`] starts it.

use std::time::{Duration, Instant};

use plimsoll_analysis::request::BaselineRequest;
use plimsoll_collect::Keys;
use tokio_postgres::Client;

use super::pg;

/// Password of the collector's role.
pub const PASSWORD: &str = pg::READER_PASSWORD;

/// How to start a server.
#[derive(Debug, Default)]
pub struct Options {
    /// Settings beyond those of [`pg::Options`].
    pub settings: Vec<(&'static str, String)>,
}

/// A running server.
pub struct Postgres {
    pub port: u16,
    server: pg::Postgres,
}

/// Starts a server; `None` skips the test.
pub async fn start(options: &Options) -> Option<Postgres> {
    let mut wanted = pg::Options::new(15);
    wanted.settings = vec![("max_connections", "100".to_owned()), ("shared_buffers", "128MB".to_owned())];
    wanted.settings.extend(options.settings.iter().map(|(name, value)| (*name, value.clone())));
    let server = pg::Postgres::start_bare(&wanted)?;
    Some(Postgres { port: server.port, server })
}

impl Postgres {
    /// Runs statements one by one, each in a transaction of its own.
    pub async fn execute(&self, database: &str, statements: &[&str]) {
        for statement in statements {
            self.server.sql(database, statement).await;
        }
    }

    /// Makes the collector's role `reader` with `pg_monitor` and nothing more.
    pub async fn create_reader(&self, database: &str) {
        let statement = format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT pg_monitor TO reader");
        self.server.sql(database, &statement).await;
    }

    /// A connection as superuser.
    pub async fn admin(&self, database: &str) -> Client {
        self.server.admin(database).await
    }

    /// Waits until a statement gives a value.
    pub async fn until(&self, database: &str, statement: &str, expected: &str) {
        let client = self.admin(database).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while value(&client, statement).await != expected {
            assert!(Instant::now() < deadline, "not within 30 s: {statement} = {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The only cell of a statement's answer.
pub async fn value(client: &Client, statement: &str) -> String {
    pg::rows(client, statement).await[0][0].clone().unwrap_or_default()
}

/// A request for the database alone, one snapshot.
pub fn request(port: u16, database: &str) -> BaselineRequest {
    pg::request_as(port, database, "", "").0
}

/// The keys of a request.
pub fn keys(user: &str, password: &str) -> Keys {
    pg::request_as(0, "", user, password).1
}
