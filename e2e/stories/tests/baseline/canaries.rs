//! Secrets are seen by the servers they are for and nowhere else.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, LogParams};
use plimsoll_stories::databases::{POSTGRES_SECRET, REDIS_SECRET};
use plimsoll_stories::environment::Environment;
use plimsoll_stories::gate::{Answer, Gate};
use plimsoll_stories::story::{SYSTEM, Story, tell};
use rcgen::generate_simple_self_signed;
use serde_json::json;

/// A word that a Secret holds, and where to look for it.
struct Canary {
    place: &'static str,
    word: String,
}

fn canary(place: &'static str) -> Canary {
    Canary { place, word: format!("canary-{:032x}", rand::random::<u128>()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_seen_anywhere_but_at_its_server() {
    tell("canaries", |story: Story| async move {
        let token = canary("bearer token");
        let header = canary("header");
        let password = canary("password");
        let user = canary("user name");
        let other = canary("a key that no spec names");
        let bundle = canary("CA bundle");
        let pem = generate_simple_self_signed(vec!["x".to_owned()])?.cert.pem();
        for (name, data) in [
            ("prom", json!({"token": token.word, "tenant": header.word, "other": other.word})),
            ("basic", json!({"username": user.word, "password": password.word})),
            ("ca", json!({"ca.crt": format!("# {}\n{pem}", bundle.word), "broken": bundle.word})),
        ] {
            story.create::<Secret>(json!({"metadata": {"name": name}, "stringData": data})).await?;
        }
        let gate =
            Gate::open(&story.environment.prometheus, Answer::Only(format!("Bearer {}", token.word))).await?;
        let headers =
            json!([{"name": "X-Scope-OrgID", "valueFrom": {"secretKeyRef": {"name": "prom", "key": "tenant"}}}]);
        let bearer = json!({"type": "Bearer", "bearer": {"secretKeyRef": {"name": "prom", "key": "token"}}});
        let basic = json!({"type": "Basic", "basic": {"secretRef": {"name": "basic"}}});
        let ca = |key: &str| json!({"ca": {"secretKeyRef": {"name": "ca", "key": key}}});
        // One that succeeds, one that is refused, and TLS that fails with a good and with a broken bundle.
        let secure = gate.url().replace("http:", "https:");
        for (name, url, auth, tls) in [
            ("accepted", gate.url(), &bearer, None),
            ("refused", gate.url(), &basic, None),
            ("untrusted", secure.clone(), &bearer, Some(ca("ca.crt"))),
            ("broken", secure, &basic, Some(ca("broken"))),
        ] {
            let mut spec = story.measuring(&url);
            let source = &mut spec["sources"]["prometheus"];
            source["auth"] = auth.clone();
            source["headers"] = headers.clone();
            if let Some(tls) = tls {
                source["tls"] = tls;
            }
            story.baseline(name, spec).await?;
        }
        story.until_ready("accepted").await?;
        story.until_fails("refused", "AuthenticationFailed", "Check the Secret").await?;
        story.until_fails("untrusted", "TLSFailed", "Check tls.ca").await?;
        story.until_fails("broken", "TLSFailed", "Check tls.ca").await?;

        let asked = gate.asked();
        let sent = |word: &str| {
            let mut values = asked.iter().flat_map(|request| request.headers.values());
            values.any(|value| value.to_str().is_ok_and(|value| value.contains(word)))
        };
        ensure!(sent(&token.word) && sent(&header.word), "the server got what is for it");
        let places = everything(&story).await?;
        let looked: usize = places.iter().map(|(_, text)| text.len()).sum();
        ensure!(places.iter().any(|(_, text)| text.contains("AuthenticationFailed")), "we look at the right things");
        for Canary { place, word } in [&token, &header, &password, &user, &other, &bundle] {
            for (shown, text) in &places {
                ensure!(!text.contains(word.as_str()), "the {place} is seen in {shown}");
                ensure!(!text.contains(&base64(word)), "the {place} is seen in {shown}, in base64");
            }
        }
        println!("6 canaries in none of {} places, {} KiB", places.len(), looked / 1024);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_literal_or_key_name_of_a_database_or_cache_is_seen_anywhere() {
    tell("db-canaries", |story: Story| async move {
        story.copy_database_access().await?;
        let literal = canary("literal of a query");
        let role = canary("password in a statement");
        let key = canary("name of a key");
        let wrong = canary("wrong password");
        let (sql_password, redis_password) =
            (story.password(POSTGRES_SECRET).await?, story.password(REDIS_SECRET).await?);
        // Slow enough to be on top of every list, and one of the kind that the server keeps with its literal.
        let name = story.namespace.replace('-', "_");
        story
            .sql(&format!(
                "SELECT pg_sleep(0.3), '{}' AS literal; CREATE ROLE {name} PASSWORD '{}'; DROP ROLE {name}",
                literal.word, role.word
            ))
            .await?;
        let kept = story.sql("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%canary-%'").await?;
        ensure!(kept != "0", "the server itself keeps a literal, so that there is something to leave out");
        for number in 0..50 {
            story.redis(&format!("SET session:{}{number} x EX 600", key.word)).await?;
        }
        let mut spec = story.measuring_databases();
        spec["sampleDuration"] = json!("2s");
        spec["database"] = json!({"topQueries": 100, "slowQueryThreshold": "1ms"});
        spec["cache"] = json!({"keyspace": {"sampleKeys": 100_000}});
        story.baseline("read", spec.clone()).await?;
        let ready = story.until_ready("read").await?;
        let record = story.record(&ready).await?.json;
        ensure!(record.to_string().contains("pg_sleep"), "the statement with the literal is recorded, without it");
        story
            .create::<Secret>(json!({"metadata": {"name": "wrong"}, "stringData": {"username": "plimsoll", "password": wrong.word}}))
            .await?;
        for source in ["postgres", "redis"] {
            spec["sources"][source]["credentials"]["secretRef"]["name"] = json!("wrong");
        }
        story.baseline("refused", spec).await?;
        story.until_fails("refused", "AuthenticationFailed", "Secret").await?;
        let places = everything(&story).await?;
        ensure!(places.iter().any(|(_, text)| text.contains("pg_sleep")), "we look at the right things");
        let passwords = [("password of PostgreSQL", sql_password), ("password of Redis", redis_password)]
            .map(|(place, word)| Canary { place, word });
        for Canary { place, word } in [literal, role, key, wrong].iter().chain(&passwords) {
            for (shown, text) in &places {
                ensure!(!text.contains(word.as_str()), "the {place} is seen in {shown}");
                ensure!(!text.contains(&base64(word)), "the {place} is seen in {shown}, in base64");
            }
        }
        println!("6 canaries in none of {} places", places.len());
        Ok(())
    })
    .await;
}

/// Every text in which a secret could be seen, with its name.
async fn everything(story: &Story) -> Result<Vec<(String, String)>> {
    let mut places = Vec::new();
    let kinds =
        story.kubectl_output(&["api-resources", "--namespaced", "--verbs=list", "--output=name"]).await?;
    let kinds: Vec<&str> =
        kinds.lines().filter(|kind| *kind != "secrets" && !kind.contains("metrics.k8s.io")).collect();
    ensure!(kinds.len() > 15, "{kinds:?}");
    let get = ["get", &kinds.join(","), "--output=yaml", "--show-managed-fields"];
    places.push(("objects of the namespace".to_owned(), story.kubectl_output(&get).await?));
    let get = ["get", "events", "--all-namespaces", "--output=yaml"];
    places.push(("events".to_owned(), story.kubectl_output(&get).await?));
    for pod in story.api::<Pod>().list(&ListParams::default()).await? {
        let name = pod.metadata.name.context("a name")?;
        let log = story.api::<Pod>().logs(&name, &LogParams::default()).await?;
        ensure!(log.contains("collecting"), "the log of {name} is there: {log}");
        places.push((format!("the log of {name}"), log));
    }
    let operators = Api::<Pod>::namespaced(story.admin.clone(), SYSTEM);
    for pod in operators.list(&ListParams::default()).await? {
        let name = pod.metadata.name.context("a name")?;
        places.push((format!("the log of {name}"), operators.logs(&name, &LogParams::default()).await?));
        let path = format!("/api/v1/namespaces/{SYSTEM}/pods/{name}:8080/proxy/metrics");
        places
            .push((format!("the metrics of {name}"), story.kubectl_output(&["get", "--raw", &path]).await?));
    }
    let folder = Environment::get()?.audit_log.parent().context("a folder")?.to_owned();
    for file in std::fs::read_dir(folder)? {
        let file = file?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit")) {
            places.push((
                file.display().to_string(),
                String::from_utf8_lossy(&std::fs::read(&file)?).into_owned(),
            ));
        }
    }
    Ok(places)
}

/// The word in base64 as far as it does not depend on what stands around it.
fn base64(word: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in word.as_bytes().chunks_exact(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        text.extend([18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63])));
    }
    text
}
