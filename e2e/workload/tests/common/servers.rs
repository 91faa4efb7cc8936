//! The example's own PostgreSQL and Redis on this machine: filled and configured by the very files of examples/, on ports
//! and in folders of the test.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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
    folder: tempfile::TempDir,
    user: User,
    postgres_bin: PathBuf,
    pub(crate) postgres_port: u16,
    pub(crate) redis_port: u16,
    postgres: Child,
    redis: Child,
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

fn wait_for(port: u16, process: &mut Child, log: &Path) {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let said = || fs::read_to_string(log).unwrap();
        assert!(process.try_wait().unwrap().is_none(), "the server has ended: {}", said());
        assert!(begun.elapsed() < DEADLINE, "nothing listens on port {port}");
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
        let (postgres_port, redis_port) = (free_port(), free_port());
        let at = |name: &str| root.join(name).display().to_string();
        let mut postgres = as_user(&postgres_bin.join("postgres"));
        postgres.args(["-D", &at("data"), "-c", &format!("config_file={}", at("postgresql.conf"))]);
        for setting in [
            format!("hba_file={}", at("pg_hba.conf")),
            format!("ssl_cert_file={}", at("tls.crt")),
            format!("ssl_key_file={}", at("tls.key")),
            format!("unix_socket_directories={}", root.display()),
            format!("port={postgres_port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
        ] {
            postgres.args(["-c", &setting]);
        }
        let mut redis = as_user(&redis_server);
        redis.arg(at("redis.conf")).args(["--tls-port", &redis_port.to_string(), "--bind", "127.0.0.1"]);
        redis.args(["--tls-cert-file", &at("tls.crt"), "--tls-key-file", &at("tls.key")]);
        redis.args(["--tls-ca-cert-file", &at("ca.crt"), "--aclfile", &at("users.acl")]);
        let start = |command: &mut Command, log: &str| {
            let log = fs::File::create(root.join(log)).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
        };
        let (postgres, redis) = (start(&mut postgres, "postgres.log"), start(&mut redis, "redis.log"));
        let mut servers = Self { folder, user, postgres_bin, postgres_port, redis_port, postgres, redis };
        let (of_postgres, of_redis) = (servers.at("postgres.log"), servers.at("redis.log"));
        wait_for(servers.postgres_port, &mut servers.postgres, &of_postgres);
        wait_for(servers.redis_port, &mut servers.redis, &of_redis);
        servers.wait_until_postgres_answers();
        Some(servers)
    }

    /// It listens before it lets anybody in.
    fn wait_until_postgres_answers(&self) {
        let begun = Instant::now();
        let mut ask = Command::new(self.postgres_bin.join("pg_isready"));
        ask.arg("--host").arg(self.folder.path()).args(["--port", &self.postgres_port.to_string()]);
        while !run(&mut ask).0 {
            assert!(begun.elapsed() < DEADLINE, "PostgreSQL lets nobody in");
        }
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
        self.redis.kill().unwrap();
        self.redis.wait().unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
        // Immediate shutdown, so that the workers end before the folder goes.
        let _ = kill(Pid::from_raw(self.postgres.id().cast_signed()), Signal::SIGQUIT);
        let _ = self.postgres.wait();
    }
}
