//! PostgreSQL and Redis of the example, as a story's own baselines read them and as their administrators see them.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::story::Story;

/// Namespace of the example.
const EXAMPLE: &str = "smart-dairy";
/// Secret with the reader's user and password of PostgreSQL.
pub const POSTGRES_SECRET: &str = "postgres-plimsoll";
/// Secret with the reader's user and password of Redis.
pub const REDIS_SECRET: &str = "redis-plimsoll";
/// ConfigMap with the authority of both servers.
const CA: &str = "database-ca";

impl Story {
    /// Copies the readers' Secrets and the authority into the story's namespace, as an administrator would.
    ///
    /// # Errors
    /// The example has none, or the API server refused a copy.
    pub async fn copy_database_access(&self) -> Result<()> {
        for name in [POSTGRES_SECRET, REDIS_SECRET] {
            let secret = Api::<Secret>::namespaced(self.admin.clone(), EXAMPLE).get(name).await?;
            self.create::<Secret>(json!({"metadata": {"name": name}, "data": secret.data})).await?;
        }
        let ca = Api::<ConfigMap>::namespaced(self.admin.clone(), EXAMPLE).get(CA).await?;
        self.create::<ConfigMap>(json!({"metadata": {"name": CA}, "data": ca.data})).await?;
        Ok(())
    }

    /// Replaces the password in a copied Secret.
    ///
    /// # Errors
    /// The API server refused it.
    pub async fn set_password(&self, secret: &str, password: &str) -> Result<()> {
        let patch = json!({"stringData": {"password": password}});
        self.api::<Secret>().patch(secret, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// The password in a copied Secret.
    ///
    /// # Errors
    /// There is none.
    pub async fn password(&self, secret: &str) -> Result<String> {
        let data = self.api::<Secret>().get(secret).await?.data.context("data")?;
        Ok(String::from_utf8(data.get("password").context("a password")?.0.clone())?)
    }

    /// A spec that reads both servers and the cluster's Prometheus, with snapshots ten seconds apart.
    #[must_use]
    pub fn measuring_databases(&self) -> Value {
        let tls = json!({"ca": {"configMapKeyRef": {"name": CA, "key": "ca.crt"}}});
        let mut spec = self.measuring(&self.environment.prometheus);
        spec["sampleDuration"] = json!("10s");
        spec["sources"]["postgres"] = json!({
            "host": "postgres.smart-dairy", "database": "smartdairy",
            "credentials": {"secretRef": {"name": POSTGRES_SECRET}}, "tls": tls,
        });
        spec["sources"]["redis"] = json!({
            "host": "redis.smart-dairy", "credentials": {"secretRef": {"name": REDIS_SECRET}}, "tls": tls,
        });
        spec["database"] = json!({});
        spec["cache"] = json!({});
        spec
    }

    /// What the superuser of the example's PostgreSQL answers to SQL: rows as lines, columns by `|`.
    ///
    /// # Errors
    /// psql failed.
    pub async fn sql(&self, text: &str) -> Result<String> {
        let psql = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "smartdairy",
        ];
        self.exec("postgres-0", &psql, format!("{text};\n")).await
    }

    /// What Redis answers to a command of the application's user.
    ///
    /// # Errors
    /// redis-cli failed.
    pub async fn redis(&self, command: &str) -> Result<String> {
        let secret = Api::<Secret>::namespaced(self.admin.clone(), EXAMPLE).get("redis-smart-dairy").await?;
        let data = secret.data.context("data")?;
        let value = |key: &str| -> Result<String> {
            Ok(String::from_utf8(data.get(key).context("a user and a password")?.0.clone())?)
        };
        let login = format!("AUTH {} {}\n{command}\n", value("username")?, value("password")?);
        let cli = ["redis-cli", "--tls", "--cacert", "/etc/database-ca/ca.crt", "-h", "redis"];
        let answer = self.exec("redis-0", &cli, login).await?;
        Ok(answer.trim_start_matches("OK").trim().to_owned())
    }

    /// Runs a program in a pod of the example. What it is told goes by standard input: arguments are in the audit log.
    async fn exec(&self, pod: &str, program: &[&str], input: String) -> Result<String> {
        let mut kubectl = self.kubectl();
        kubectl.args(["exec", "--stdin", "--namespace=smart-dairy", pod, "--"]).args(program);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::task::spawn_blocking(move || {
            let mut child = kubectl.spawn().context("start kubectl")?;
            child.stdin.take().context("standard input")?.write_all(input.as_bytes())?;
            let output = child.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "kubectl exec: {}", said.trim());
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        })
        .await?
    }
}
