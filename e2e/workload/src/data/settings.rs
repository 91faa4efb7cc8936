//! Where the database and the cache are.

use std::path::PathBuf;

use super::Optimizations;

/// A database, perhaps with a cache before it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database.
    pub database: Database,
    /// The cache, where there is one.
    pub redis: Option<Redis>,
    /// The authority that both servers' certificates come from, in PEM. Without it neither connection is encrypted.
    pub ca_file: Option<PathBuf>,
    /// What is done to be fast.
    pub optimizations: Optimizations,
}

/// A PostgreSQL database.
#[derive(Clone)]
pub struct Database {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name of the database.
    pub name: String,
    /// Who we are there.
    pub user: String,
    /// That user's password.
    pub password: String,
}

/// A Redis server.
#[derive(Clone)]
pub struct Redis {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who we are there; absent for the default user.
    pub user: Option<String>,
    /// That user's password, where one is asked for.
    pub password: Option<String>,
}

// A password is never part of what a log shows.
impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "postgresql://{}@{}:{}/{}", self.user, self.host, self.port, self.name)
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.user.as_deref().unwrap_or("default");
        write!(formatter, "redis://{user}@{}:{}", self.host, self.port)
    }
}
