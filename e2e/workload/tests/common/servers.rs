//! The example's own PostgreSQL and Redis on this machine: filled and configured by the very files of examples/, on ports
//! and in folders of the test.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use plimsoll_workload::data::{Database, Optimizations, Redis, Settings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::DEADLINE;

const APP: &str = "app's password";
const READER: &str = "reader's password";

/// PostgreSQL and Redis, stopped at the end of the test.
pub(crate) struct Servers {
    /// Both end before their folder goes: fields are dropped in this order.
    _postgres: Process,
    redis: Process,
    folder: tempfile::TempDir,
    user: User,
    postgres_bin: PathBuf,
    pub(crate) postgres_port: u16,
    pub(crate) redis_port: u16,
}

/// A server's process, which ends with this.
struct Process {
    child: Child,
    ended_by: Signal,
}

impl Process {
    fn end(&mut self) {
        // Whoever has ended may have left its number to another process.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), self.ended_by);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/smart-dairy/base")
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The servers' programs: PostgreSQL's folder and redis-server.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let program = |variable: &str, usual: &str| {
        let path = std::env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from);
        path.exists().then_some(path)
    };
    Some((
        program("PLIMSOLL_POSTGRES_15", "/usr/lib/postgresql/15/bin")?,
        program("PLIMSOLL_REDIS_7", "/usr/bin/redis-server")?,
    ))
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// An authority in `ca.crt`, and of a server `localhost` the certificate `tls.crt` and key `tls.key`.
fn write_certificates(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    // Names of their own: to OpenSSL a certificate whose issuer has its own name would be self-signed.
    ca.distinguished_name.push(DnType::CommonName, "authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.crt"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    server.distinguished_name.push(DnType::CommonName, "localhost");
    fs::write(folder.join("tls.crt"), server.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("tls.key"), Permissions::from_mode(0o600)).unwrap();
}

/// How often a server is started where another process takes its port first.
const TRIES: u32 = 5;

/// Starts a server on a port that is free; its process and the port. What listens there may be another test's server that
/// took the port in between, so the server's own log says whether it serves.
fn on_free_port(log: &Path, ended_by: Signal, command: impl Fn(u16) -> Command) -> (Process, u16) {
    for _ in 0..TRIES {
        let port = free_port();
        let file = fs::File::create(log).unwrap();
        let mut command = command(port);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut process = Process { child: command.spawn().unwrap(), ended_by };
        if serves(&mut process.child, log) {
            return (process, port);
        }
    }
    panic!("other processes took {TRIES} free ports before the server did: {}", said(log));
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned()
}

/// Waits until a server says that it serves; false where it ended because its port was taken.
fn serves(process: &mut Child, log: &Path) -> bool {
    let begun = Instant::now();
    loop {
        let has_ended = process.try_wait().unwrap().is_some();
        let said = said(log);
        if has_ended {
            assert!(said.contains("Address already in use"), "the server has ended: {said}");
            return false;
        }
        if said.to_lowercase().contains("ready to accept connections") {
            return true;
        }
        assert!(begun.elapsed() < DEADLINE, "the server does not say that it serves: {said}");
        std::thread::yield_now();
    }
}

impl Servers {
    /// Fills and starts both; nothing on a machine that lacks them, or where this is not root: PostgreSQL knows its
    /// superuser by the system's user of the same name.
    pub(crate) fn start() -> Option<Self> {
        let user = User::from_name("postgres").unwrap().filter(|_| Uid::effective().is_root());
        let (Some((postgres_bin, redis_server)), Some(user)) = (programs(), user) else {
            println!("SKIPPED: this needs root, PostgreSQL 15, Redis 7 and a user postgres");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (file, name) in [
            ("postgres/fill.sh", "fill.sh"),
            ("postgres/roles.sql", "roles.sql"),
            ("postgres/tables.sql", "tables.sql"),
            ("postgres/pg_hba.conf", "pg_hba.conf"),
            ("postgres/postgresql.conf", "postgresql.conf"),
            ("redis/redis.conf", "redis.conf"),
            ("redis/users.sh", "users.sh"),
        ] {
            fs::copy(base().join(file), root.join(name)).unwrap();
        }
        // Redis goes to its folder while it reads that line: an argument comes too late to name another.
        let conf = fs::read_to_string(root.join("redis.conf")).unwrap();
        let conf = conf.replace("/data", &root.display().to_string());
        fs::write(root.join("redis.conf"), conf).unwrap();
        write_certificates(root);
        for entry in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).chain([root.to_owned()]) {
            chown(entry, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        let as_user = |program: &Path| {
            let mut command = Command::new(program);
            let path = format!("{}:/usr/bin:/bin", postgres_bin.display());
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir(root).env_clear();
            command.env("PATH", path).env("TMPDIR", root).env("PGDATA", root.join("data"));
            command.env("APP_USERNAME", "smart_dairy").env("APP_PASSWORD", APP);
            command.env("READER_USERNAME", "plimsoll").env("READER_PASSWORD", READER);
            command.env("ACL_FILE", root.join("users.acl"));
            command
        };
        for script in ["fill.sh", "users.sh"] {
            let (ended_well, said) = run(as_user(Path::new("/bin/sh")).arg(root.join(script)));
            assert!(ended_well, "{script}: {said}");
        }
        let at = |name: &str| root.join(name).display().to_string();
        // Immediate shutdown, which ends its workers too.
        let (postgres, postgres_port) = on_free_port(&root.join("postgres.log"), Signal::SIGQUIT, |port| {
            let mut command = as_user(&postgres_bin.join("postgres"));
            command.args(["-D", &at("data"), "-c", &format!("config_file={}", at("postgresql.conf"))]);
            for setting in [
                format!("hba_file={}", at("pg_hba.conf")),
                format!("ssl_cert_file={}", at("tls.crt")),
                format!("ssl_key_file={}", at("tls.key")),
                format!("unix_socket_directories={}", root.display()),
                format!("port={port}"),
                "listen_addresses=127.0.0.1".to_owned(),
                "fsync=off".to_owned(),
            ] {
                command.args(["-c", &setting]);
            }
            command
        });
        let (redis, redis_port) = on_free_port(&root.join("redis.log"), Signal::SIGKILL, |port| {
            let mut command = as_user(&redis_server);
            command.arg(at("redis.conf")).args(["--tls-port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--tls-cert-file", &at("tls.crt"), "--tls-key-file", &at("tls.key")]);
            command.args(["--tls-ca-cert-file", &at("ca.crt"), "--aclfile", &at("users.acl")]);
            command
        });
        Some(Self { _postgres: postgres, redis, folder, user, postgres_bin, postgres_port, redis_port })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How the service is told of both.
    pub(crate) fn settings(&self, optimizations: Optimizations) -> Settings {
        Settings {
            database: Database {
                host: "localhost".to_owned(),
                port: self.postgres_port,
                name: "smartdairy".to_owned(),
                user: "smart_dairy".to_owned(),
                password: APP.to_owned(),
            },
            redis: Some(Redis {
                host: "localhost".to_owned(),
                port: self.redis_port,
                user: Some("smart_dairy".to_owned()),
                password: Some(APP.to_owned()),
            }),
            ca_file: Some(self.at("ca.crt")),
            optimizations,
        }
    }

    /// What psql prints as the superuser, over the socket.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let mut psql = Command::new(self.postgres_bin.join("psql"));
        psql.uid(self.user.uid.as_raw()).gid(self.user.gid.as_raw()).current_dir("/").env_clear();
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.arg("--host").arg(self.folder.path()).args(["--port", &self.postgres_port.to_string()]);
        let (ended_well, said) =
            run(psql.args(["--username", "postgres", "smartdairy", "--command", statement]));
        assert!(ended_well, "{statement}: {said}");
        said.trim().to_owned()
    }

    /// What psql says to the reader, who comes over the network, with sslmode as given; true if it worked.
    pub(crate) fn sql_as_reader(&self, ssl_mode: &str, statement: &str) -> (bool, String) {
        let mut psql = Command::new(self.postgres_bin.join("psql"));
        psql.env_clear().env("PGPASSWORD", READER).args(["--no-psqlrc", "--tuples-only", "--no-align"]);
        let target = format!(
            "host=localhost port={} user=plimsoll dbname=smartdairy sslmode={ssl_mode} sslrootcert={}",
            self.postgres_port,
            self.at("ca.crt").display()
        );
        run(psql.args([&target, "--command", statement]))
    }

    /// What Redis answers to `smart_dairy` or `plimsoll`.
    pub(crate) fn redis(&self, user: &str, command: &[&str]) -> String {
        let password = if user == "plimsoll" { READER } else { APP };
        let mut cli = Command::new("redis-cli");
        cli.env_clear().env("REDISCLI_AUTH", password).args(["-h", "localhost", "--tls", "--user", user]);
        cli.arg("--cacert").arg(self.at("ca.crt")).args(["-p", &self.redis_port.to_string()]);
        run(cli.args(command)).1.trim().to_owned()
    }

    /// Takes Redis away.
    pub(crate) fn stop_redis(&mut self) {
        self.redis.end();
    }
}
