//! Real PostgreSQL servers of every supported version.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plimsoll_analysis::request::{
    BaselineRequest, DatabaseRequest, KeyKind, KeyRef, PostgresAccess, PostgresRequest, SslMode,
};
use plimsoll_collect::Keys;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::servers::{Process, folder, free_port, program, run_to_end};

/// Every supported version.
pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];
/// The superuser's password.
pub const ADMIN_PASSWORD: &str = "admin-canary-51c2";
/// The collector's role in tests, and its password.
pub const READER: &str = "reader";
pub const READER_PASSWORD: &str = "reader-canary-8e1f:@/%?#";
/// The database that is measured.
pub const DATABASE: &str = "smartdairy";
/// Longest until a server answers.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub struct Postgres {
    pub major: u32,
    pub port: u16,
    /// Holds `data` and the Unix socket.
    pub folder: PathBuf,
    pub bin: PathBuf,
    process: Process,
}

/// How to start one.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    pub major: u32,
    /// Beyond those that keep a test server quick.
    pub settings: Vec<(&'a str, String)>,
    /// Lines before the default one of `pg_hba.conf` (SCRAM over TCP).
    pub hba: &'a str,
    /// Encoding of the cluster.
    pub encoding: &'a str,
    pub preload: bool,
    /// Further files in the folder of the data, for its owner alone: keys and certificates.
    pub files: Vec<(&'a str, String)>,
}

impl Options<'_> {
    pub fn new(major: u32) -> Self {
        Self { major, settings: Vec::new(), hba: "", encoding: "UTF8", preload: true, files: Vec::new() }
    }
}

/// The folder of the programs of a version; `None` skips the test.
pub fn bin(major: u32) -> Option<PathBuf> {
    program(&format!("PLIMSOLL_POSTGRES_{major}"), Some(&format!("/usr/lib/postgresql/{major}/bin")))
}

impl Postgres {
    /// Starts a server with an empty database and the role of the collector, which has only `pg_monitor`.
    pub async fn start(options: &Options<'_>) -> Option<Self> {
        let server = Self::start_bare(options)?;
        server.sql("postgres", &format!("CREATE DATABASE {DATABASE}")).await;
        if options.preload {
            server.sql(DATABASE, "CREATE EXTENSION pg_stat_statements").await;
        }
        server
            .sql(
                DATABASE,
                &format!(
                    "CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'; GRANT pg_monitor TO {READER}"
                ),
            )
            .await;
        Some(server)
    }

    /// Starts a server as `initdb` makes it.
    pub fn start_bare(options: &Options<'_>) -> Option<Self> {
        let bin = bin(options.major)?;
        // A port that was free may be taken by the time the server asks for it.
        (0..5).find_map(|_| Self::try_start(&bin, options)).or_else(|| panic!("no port stays free"))
    }

    fn try_start(bin: &Path, options: &Options<'_>) -> Option<Self> {
        let root = folder();
        let password = root.join("password");
        std::fs::write(&password, ADMIN_PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let (data, password) = (root.join("data"), password.display().to_string());
        let encoding = format!("--encoding={}", options.encoding);
        run_to_end(
            &root,
            &bin.join("initdb"),
            &[
                "--pgdata=data",
                "--username=postgres",
                "--auth=scram-sha-256",
                "--no-sync",
                "--locale=C",
                &encoding,
                &format!("--pwfile={password}"),
            ],
        );
        write_settings(&data, options);
        Self::run(options.major, bin, root)
    }

    /// Starts a replica of a server that was not written to yet, from a copy of its files.
    pub fn start_replica(&self, options: &Options<'_>) -> Self {
        let root = folder();
        run_to_end(
            &root,
            &self.bin.join("pg_basebackup"),
            &[
                "--pgdata=data",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--wal-method=stream",
                &format!(
                    "--dbname=host=127.0.0.1 port={} user=postgres password={ADMIN_PASSWORD}",
                    self.port
                ),
            ],
        );
        write_settings(&root.join("data"), options);
        Self::run(self.major, &self.bin, root).unwrap()
    }

    /// `None` where the port was taken.
    fn run(major: u32, bin: &Path, root: PathBuf) -> Option<Self> {
        let port = free_port();
        let command: Vec<OsString> = [
            bin.join("postgres").into_os_string(),
            "-D".into(),
            root.join("data").into_os_string(),
            "-p".into(),
            port.to_string().into(),
            "-k".into(),
            root.clone().into_os_string(),
        ]
        .into();
        let process = Process::start(&root, "INT", &command);
        let deadline = Instant::now() + START;
        loop {
            let log = process.log();
            if log.contains("database system is ready to accept") {
                return Some(Self { major, port, folder: root, bin: bin.to_owned(), process });
            }
            if log.contains("Address already in use") {
                return None;
            }
            assert!(
                !process.has_ended() && Instant::now() < deadline,
                "PostgreSQL {major} did not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A connection as superuser, ended when the client is dropped.
    pub async fn admin(&self, database: &str) -> Client {
        self.connect("postgres", ADMIN_PASSWORD, database).await
    }

    /// A connection, ended when the client is dropped.
    pub async fn connect(&self, user: &str, password: &str, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs statements as superuser on a connection of their own, and waits until the server has forgotten it.
    pub async fn sql(&self, database: &str, statements: &str) {
        let client = self.admin(database).await;
        client.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// The cells of the rows of the last statement, as text.
    pub async fn rows(&self, database: &str, statement: &str) -> Vec<Vec<Option<String>>> {
        rows(&self.admin(database).await, statement).await
    }

    /// The one cell of the only row, as text.
    pub async fn cell(&self, database: &str, statement: &str) -> String {
        self.rows(database, statement).await[0][0].clone().unwrap_or_default()
    }
}

/// The cells of the rows of a statement, as text.
pub async fn rows(client: &Client, statement: &str) -> Vec<Vec<Option<String>>> {
    let messages =
        client.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|cell| row.get(cell).map(str::to_owned)).collect())
        }
        _ => None,
    });
    rows.collect()
}

/// Waits until a statement's only cell is `t`: statistics reach the views late.
pub async fn wait_for(client: &Client, condition: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = rows(client, condition).await;
        if found.first().and_then(|row| row[0].as_deref()) == Some("t") {
            return;
        }
        assert!(Instant::now() < deadline, "not within 30 s: {condition}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn write_settings(data: &Path, options: &Options<'_>) {
    let mut settings = String::from(
        "listen_addresses = '127.0.0.1'\nfsync = off\nfull_page_writes = off\nsynchronous_commit = off\n\
         shared_buffers = '32MB'\nmax_connections = 40\nautovacuum = off\npassword_encryption = 'scram-sha-256'\n\
         max_wal_size = '256MB'\nlogging_collector = off\n",
    );
    if options.preload {
        settings.push_str("shared_preload_libraries = 'pg_stat_statements'\n");
    }
    for (name, value) in &options.settings {
        let _ = writeln!(settings, "{name} = '{}'", value.replace('\'', "''"));
    }
    let file = data.join("postgresql.auto.conf");
    // A replica keeps the lines that say where its primary is.
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(&file, settings + &kept).unwrap();
    let hba = format!(
        "{}\nlocal all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n",
        options.hba
    );
    std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
    write_files(data, &options.files);
}

/// Writes files that the server reads, for its owner alone.
pub fn write_files(data: &Path, files: &[(&str, String)]) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let owner = std::fs::metadata(data).unwrap();
    for (name, content) in files {
        let path = data.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

fn key(name: &str) -> KeyRef {
    KeyRef { kind: KeyKind::Secret, name: "pg".to_owned(), key: name.to_owned() }
}

/// A request for the database alone, one snapshot, as the collector's role with these credentials.
pub fn request_as(port: u16, database: &str, user: &str, password: &str) -> (BaselineRequest, Keys) {
    let mut request = super::request("http://unused");
    request.prometheus = None;
    request.web = None;
    request.api = None;
    request.postgres = Some(PostgresRequest {
        access: PostgresAccess::Parts {
            host: "127.0.0.1".to_owned(),
            port,
            database: database.to_owned(),
            username: key("username"),
            password: key("password"),
        },
        ssl_mode: SslMode::Disable,
        ca: None,
        server_name: None,
    });
    request.database = Some(DatabaseRequest {
        top_tables: 10,
        top_queries: 10,
        slow_query_threshold_ms: 100,
        latency_histogram: None,
        matchers: String::new(),
        statements: Vec::new(),
    });
    let values =
        [(key("username"), user.as_bytes().to_vec()), (key("password"), password.as_bytes().to_vec())];
    (request, Keys::from_map(values.into()))
}

/// The same as the role that [`Postgres::start`] makes.
pub fn request(server: &Postgres) -> (BaselineRequest, Keys) {
    request_as(server.port, DATABASE, READER, READER_PASSWORD)
}
