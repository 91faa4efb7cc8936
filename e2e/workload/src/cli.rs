//! The command line: `plimsoll-workload serve` and `plimsoll-workload traffic`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use plimsoll_analysis::duration;

use crate::data::{Database, Optimizations, Redis, Settings};
use crate::routes::Role;
use crate::server::{Config, Server};
use crate::signal;
use crate::traffic::{self, Plan, Target};
use crate::work::MAX_ROUNDS;

/// The system under measurement: a small real web and API service, and its traffic.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer as the web application or as the API, with metrics under /metrics.
    Serve(Serve),
    /// Send requests at a constant rate to this machine or to a Service, and print what happened as JSON.
    Traffic(Traffic),
}

#[derive(Args)]
struct Serve {
    /// What to be.
    #[arg(long, value_enum)]
    role: Role,
    /// Address to listen on; by default every address, port 8069 for odoo and 8080 for api.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Seed of what requests do.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hash rounds of an ordinary request; the default is 1 to 3 ms of a core.
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_ROUNDS)))]
    work_rounds: u32,
    /// Requests worked on at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// After SIGTERM, how long requests are still accepted while /readyz says no.
    #[arg(long, default_value = "5s", value_parser = duration::parse)]
    drain_delay: Duration,
    /// After that, how long requests under way may take.
    #[arg(long, default_value = "20s", value_parser = duration::parse)]
    drain_timeout: Duration,
    #[command(flatten)]
    data: Data,
}

/// Where database and cache are. Passwords come from the environment alone, DB_PASSWORD and REDIS_PASSWORD: arguments are
/// seen by everybody on a machine.
#[derive(Args)]
struct Data {
    /// Name or address of PostgreSQL; without it a query is a timed wait.
    #[arg(long, env = "DB_HOST")]
    db_host: Option<String>,
    /// Its port.
    #[arg(long, env = "DB_PORT", default_value_t = 5432)]
    db_port: u16,
    /// Name of the database.
    #[arg(long, env = "DB_NAME", default_value = "smartdairy")]
    db_name: String,
    /// Who we are there.
    #[arg(long, env = "DB_USER", default_value = "smart_dairy")]
    db_user: String,
    /// Name or address of Redis; without it nothing is cached.
    #[arg(long, env = "REDIS_HOST", requires = "db_host")]
    redis_host: Option<String>,
    /// Its port.
    #[arg(long, env = "REDIS_PORT", default_value_t = 6379)]
    redis_port: u16,
    /// Who we are there; the default user when absent.
    #[arg(long, env = "REDIS_USER")]
    redis_user: Option<String>,
    /// PEM file of the authority of both servers' certificates; without it neither connection is encrypted.
    #[arg(long, env = "DATABASE_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// What is done to be fast: some of index, cache and view with commas between, or none.
    #[arg(long, env = "OPTIMIZATIONS", default_value = "index,cache,view")]
    optimizations: Optimizations,
}

impl Data {
    fn settings(self) -> Option<Settings> {
        let password = |name| std::env::var(name).ok().filter(|password| !password.is_empty());
        let database = Database {
            host: self.db_host?,
            port: self.db_port,
            name: self.db_name,
            user: self.db_user,
            password: password("DB_PASSWORD").unwrap_or_default(),
        };
        let redis = self.redis_host.map(|host| Redis {
            host,
            port: self.redis_port,
            user: self.redis_user,
            password: password("REDIS_PASSWORD"),
        });
        Some(Settings { database, redis, ca_file: self.ca_file, optimizations: self.optimizations })
    }
}

#[derive(Args)]
struct Traffic {
    /// Where to: http://localhost:PORT, http://SERVICE:PORT or http://SERVICE.NAMESPACE.svc:PORT.
    #[arg(long)]
    target: Target,
    /// Requests a second, at most 1000; fractions are allowed.
    #[arg(long)]
    rate: f64,
    /// How long; until SIGTERM when absent.
    #[arg(long, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Ask for the pages or endpoints of a role, as often as people do.
    #[arg(long, value_enum, conflicts_with = "path")]
    mix: Option<Role>,
    /// Ask for this path; repeated, each equally often. By default the target's own path.
    #[arg(long)]
    path: Vec<String>,
    /// Send the load time of each page to this path, as browsers do for real user monitoring.
    #[arg(long, value_name = "PATH")]
    beacon: Option<String>,
    /// Seed of the order of the paths.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest time of one request, from its planned instant.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// At the end, how long to wait for requests under way.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    drain: Duration,
    /// Requests under way at once; further ones are dropped and counted.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_in_flight: u32,
    /// How long a connection is used before another one is opened, so that new pods get their share.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    connection_max_age: Duration,
}

impl Cli {
    /// Does what the arguments say, to its end or until SIGTERM.
    ///
    /// # Errors
    /// What failed and what to do: [`crate::server::ServeError`], [`traffic::PlanError`] or the operating system's.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let ended = runtime.block_on(async {
            match self.command {
                Command::Serve(args) => serve(args).await,
                Command::Traffic(args) => send(args).await,
            }
        });
        // Work that was cut off is not waited for: the time for it is over.
        runtime.shutdown_background();
        ended
    }
}

async fn serve(args: Serve) -> anyhow::Result<()> {
    let stop = signal::stop_requested().context("cannot wait for SIGTERM")?;
    let server = Server::bind(Config {
        role: args.role,
        listen: args.listen.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), args.role.port())),
        seed: args.seed,
        work_rounds: args.work_rounds,
        workers: args.workers.into(),
        drain_delay: args.drain_delay,
        drain_timeout: args.drain_timeout,
        data: args.data.settings(),
    })
    .await?;
    tracing::info!(address = %server.address(), role = ?args.role, "listening");
    let summary = server
        .run(async {
            stop.await;
            tracing::info!("stopping");
        })
        .await?;
    tracing::info!(requests = summary.requests, errors = summary.errors, "stopped");
    Ok(())
}

async fn send(args: Traffic) -> anyhow::Result<()> {
    let stop = signal::stop_requested().context("cannot wait for SIGTERM")?;
    let paths = match args.mix {
        Some(role) => traffic::mix(role),
        None => args.path.into_iter().map(|path| (path, 1)).collect(),
    };
    let plan = Plan {
        target: args.target,
        rate: args.rate,
        duration: args.duration,
        paths,
        seed: args.seed,
        timeout: args.timeout,
        drain: args.drain,
        max_in_flight: args.max_in_flight,
        connection_max_age: args.connection_max_age,
        beacon: args.beacon,
    };
    tracing::info!(target_service = plan.target.authority(), rate = plan.rate, "sending");
    let report = traffic::run(plan, stop).await?;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)
        .map_err(std::io::Error::from)
        .and_then(|()| writeln!(out))
        .context("cannot write the result to standard output")
}
