//! Passwords and certificates of the example: made where they are missing, and kept from then on.

use std::collections::BTreeSet;

use anyhow::Result;
use plimsoll_cluster::{random_token, server_certificates};
use serde_json::{Value, json};

use crate::demo::{EXAMPLE, apply};
use crate::target::{Target, output};

/// Secrets with `username` and `password`, and the user of each.
const USERS: [(&str, &str); 4] = [
    ("postgres-smart-dairy", "smart_dairy"),
    ("postgres-plimsoll", "plimsoll"),
    ("redis-smart-dairy", "smart_dairy"),
    ("redis-plimsoll", "plimsoll"),
];
/// Servers with a certificate, in the Secret `NAME-tls`.
const SERVERS: [&str; 2] = ["postgres", "redis"];
/// The authority's certificate, which clients trust.
const CA: &str = "database-ca";

/// Makes what the example's namespace lacks, and says what that was.
pub(crate) fn make_missing(target: &Target) -> Result<Vec<String>> {
    let mut get = target.kubectl();
    get.args(["get", "secrets,configmaps", "--namespace", EXAMPLE, "--output", "name"]);
    let there: BTreeSet<String> = output(&mut get)?.lines().map(str::to_owned).collect();
    let objects = missing(&there)?;
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    // By standard input: arguments are seen by everybody on this machine.
    apply(target, &json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    Ok(objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

/// The objects that are not `there`, named as kubectl names them: `secret/NAME`, `configmap/NAME`.
fn missing(there: &BTreeSet<String>) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    // The authority's key is not kept, so that all of these are made together or not at all.
    let of_tls: Vec<String> = SERVERS
        .iter()
        .map(|server| format!("secret/{server}-tls"))
        .chain([format!("configmap/{CA}")])
        .collect();
    if !of_tls.iter().all(|name| there.contains(name)) {
        let names = SERVERS.map(|server| {
            ["", ".smart-dairy", ".smart-dairy.svc", ".smart-dairy.svc.cluster.local"]
                .map(|domain| format!("{server}{domain}"))
                .to_vec()
        });
        let made = server_certificates("smart-dairy", &names)?;
        objects.push(object("ConfigMap", CA, "data", &json!({"ca.crt": made.ca})));
        for (server, (certificate, key)) in SERVERS.iter().zip(made.servers) {
            let data = json!({"tls.crt": certificate, "tls.key": key});
            let mut secret = object("Secret", &format!("{server}-tls"), "stringData", &data);
            secret["type"] = json!("kubernetes.io/tls");
            objects.push(secret);
        }
    }
    for (name, user) in USERS.iter().filter(|(name, _)| !there.contains(&format!("secret/{name}"))) {
        let data = json!({"username": user, "password": random_token()?});
        objects.push(object("Secret", name, "stringData", &data));
    }
    Ok(objects)
}

fn object(kind: &str, name: &str, field: &str, data: &Value) -> Value {
    let labels = json!({"app.kubernetes.io/part-of": "smart-dairy"});
    let metadata = json!({"name": name, "namespace": EXAMPLE, "labels": labels});
    json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: data})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(objects: &[Value]) -> BTreeSet<String> {
        objects
            .iter()
            .map(|object| {
                let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
                format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn everything_is_made_once_and_then_kept() -> Result<()> {
        let first = missing(&BTreeSet::new())?;
        assert_eq!(first.len(), 7);
        assert_eq!(missing(&names(&first))?, Vec::<Value>::new());
        Ok(())
    }

    #[test]
    fn certificates_are_made_together_and_a_password_alone() -> Result<()> {
        let all = names(&missing(&BTreeSet::new())?);
        let without = |name: &str| {
            let mut there = all.clone();
            assert!(there.remove(name), "{name}");
            missing(&there).map(|objects| names(&objects))
        };
        let tls = ["configmap/database-ca", "secret/postgres-tls", "secret/redis-tls"];
        for name in tls {
            assert_eq!(without(name)?, BTreeSet::from(tls.map(str::to_owned)));
        }
        assert_eq!(without("secret/redis-plimsoll")?, BTreeSet::from(["secret/redis-plimsoll".to_owned()]));
        Ok(())
    }
}
