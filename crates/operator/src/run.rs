//! `plimsoll operator`: wiring, start and stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::join_all;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};
use plimsoll_api::PerformanceBaseline;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Health};
use crate::args::OperatorArgs;
use crate::context::{Context, Settings};
use crate::controller;
use crate::events::Publisher;
use crate::lease::Lease;
use crate::metrics::Metrics;

/// How long reconciles under way may take to end after a signal; the pod's grace period is 30 s.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// The API server cannot be reached, the CRDs are missing, the Lease is lost, or the port is taken.
pub async fn run(args: OperatorArgs) -> Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let client = Client::try_default().await.context("find the Kubernetes API server")?;
    let metrics = Arc::new(Metrics::new(args.max_objective_metrics));
    let health = Health::new(metrics.clone());
    let served = args.served();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?served, image = args.image, "starting");
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listen on {} for /livez, /readyz and /metrics", args.listen))?;
    let admin = tokio::spawn(admin::serve(listener, health.clone(), stop.clone()));
    check_crds(&client, served.first().map(String::as_str)).await?;
    let lease = Lease::new(client.clone(), &args.own_namespace, &args.lease, &args.identity)
        .await
        .with_context(|| format!("prepare the Lease {}/{}", args.own_namespace, args.lease))?;
    // A process that waits for the Lease is as it should be: a rollout must not wait for it to lead.
    health.set_ready(true);
    if !lease.acquire(&stop).await? {
        return Ok(());
    }
    metrics.leader.set(1);
    tracing::info!(lease = args.lease, "leading");
    let context = Context {
        client: client.clone(),
        clock: Arc::new(Timestamp::now),
        settings: Arc::new(settings(&args)),
        events: Publisher::new(client, Some(args.identity.clone())),
        metrics: metrics.clone(),
    };
    let mut controllers = tokio::spawn(controllers(context, served, args.concurrency, stop.clone()));
    let drained = CancellationToken::new();
    let result = {
        let held = lease.hold(&drained);
        tokio::pin!(held);
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            lost = &mut held => lost.map_err(anyhow::Error::from),
            served = admin => served.context("serve /livez").and_then(|served| {
                served.context("serve /livez, /readyz and /metrics")?;
                if stop.is_cancelled() { Ok(()) } else { bail!("/livez, /readyz and /metrics are served no more") }
            }),
            ended = &mut controllers => ended.context("run the controllers").and_then(|()| {
                if stop.is_cancelled() { Ok(()) } else { bail!("the controllers ended by themselves") }
            }),
        };
        health.set_ready(false);
        stop.cancel();
        // Renewed until the last reconcile has ended; where it is lost, another may lead, and ours end at once.
        let result = if result.is_ok() && !controllers.is_finished() {
            tokio::select! {
                ended = tokio::time::timeout(STOP_WITHIN, &mut controllers) => {
                    if ended.is_err() {
                        tracing::warn!("reconciles did not end in time; the next start takes up what they were doing");
                    }
                    Ok(())
                }
                lost = &mut held => lost.map_err(anyhow::Error::from),
            }
        } else {
            result
        };
        controllers.abort();
        result
    };
    metrics.leader.set(0);
    // Given back last, so that the next process starts at once and never beside our own last writes.
    lease.release().await;
    tracing::info!("stopped");
    result
}

async fn controllers(context: Context, served: Vec<String>, concurrency: u16, stop: CancellationToken) {
    let scopes: Vec<Option<String>> =
        if served.is_empty() { vec![None] } else { served.into_iter().map(Some).collect() };
    let runs = scopes.into_iter().map(|scope| {
        let (context, stop) = (context.clone(), stop.clone());
        async move {
            let shown = scope.clone().unwrap_or_else(|| "all".to_owned());
            let synced = move || tracing::info!(namespace = shown, "watching");
            controller::run(context, scope.as_deref(), concurrency, stop, synced).await;
        }
    });
    join_all(runs).await;
}

fn settings(args: &OperatorArgs) -> Settings {
    Settings {
        image: args.image.clone(),
        jobs: args.job_settings.clone(),
        reference_policy: args.reference_policy.clone().filter(|name| !name.is_empty()),
        allow_secrets_without_policy: args.allow_secrets_without_policy,
        api_server: api_server(),
    }
}

/// The API server's Service address as the kubelet gave it to this pod.
fn api_server() -> Vec<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) {
        (Some(host), Some(port)) if host.contains(':') => vec![format!("[{host}]:{port}")],
        (Some(host), Some(port)) => vec![format!("{host}:{port}")],
        _ => Vec::new(),
    }
}

/// Says plainly what is missing, instead of a watch that fails for ever.
async fn check_crds(client: &Client, namespace: Option<&str>) -> Result<()> {
    let api: Api<PerformanceBaseline> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    match api.list(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            bail!(
                "the API server does not know PerformanceBaselines: install the chart plimsoll-cluster first"
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            bail!("{}; check the chart's scope and namespaces", status.message)
        }
        // One object that cannot be read is looked at when it is reconciled.
        Err(kube::Error::SerdeError(_)) => Ok(()),
        Err(error) => Err(error).context("list PerformanceBaselines"),
    }
}

fn stop_on_signals(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        stop.cancel();
    });
    Ok(())
}
