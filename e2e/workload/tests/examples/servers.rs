//! Database and cache of the example.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Service;

use crate::manifests::{
    Kustomization, all, assert_restricted, documents, documents_of, pod, referenced, smart_dairy, typed,
};

#[test]
fn database_and_cache_are_restricted_and_take_what_the_demo_makes() {
    let documents = documents(&smart_dairy().join("base"));
    let servers: Vec<StatefulSet> = all(&documents, "StatefulSet");
    let services: Vec<Service> = all(&documents, "Service");
    let expected = [
        ("postgres", 5432, ["secret/postgres-tls", "configmap/postgres-files"].as_slice()),
        ("redis", 6379, &["secret/redis-tls", "configmap/redis-files", "configmap/database-ca"]),
    ];
    assert_eq!(servers.len(), expected.len());
    for (server, (name, number, names)) in servers.iter().zip(expected) {
        assert_eq!(server.metadata.name.as_deref(), Some(name));
        let spec = server.spec.as_ref().unwrap();
        let labels = spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
        for labels in [labels, server.metadata.labels.as_ref().unwrap()] {
            assert_eq!(labels["app.kubernetes.io/part-of"], "smart-dairy");
        }
        let pod = spec.template.spec.as_ref().unwrap();
        assert_restricted(pod, 999, name);
        let mut taken: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        for role in ["smart-dairy", "plimsoll"] {
            taken.extend(["username", "password"].map(|key| format!("secret/{name}-{role}/{key}")));
        }
        assert_eq!(referenced(pod), taken, "{name}");
        // Every file that a container names is one of the generated ConfigMap's.
        let files = smart_dairy().join("base").join(name);
        let words = pod.init_containers.iter().flatten().chain(&pod.containers);
        let words = words.flat_map(|container| container.command.iter().flatten());
        let named: Vec<_> = words.filter_map(|word| word.split_once("/etc/smart-dairy/")).collect();
        assert_eq!(named.len(), 2, "{name}");
        for (_, file) in named {
            assert!(files.join(file).exists(), "{file}");
        }
        let service = services.iter().find(|service| service.metadata.name.as_deref() == Some(name)).unwrap();
        assert_eq!(service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].port, number);
    }
    for deployment in all::<Deployment>(&documents, "Deployment") {
        let taken = referenced(pod(&deployment));
        assert!(
            taken.contains("configmap/database-ca") && taken.contains("secret/redis-smart-dairy/password")
        );
        // The application never sees the reader's password, nor the other way round.
        assert!(taken.iter().all(|name| !name.contains("plimsoll")), "{taken:?}");
        let environment = pod(&deployment).containers[0].env.as_ref().unwrap();
        let value = |name: &str| {
            environment
                .iter()
                .find(|variable| variable.name == name)
                .and_then(|variable| variable.value.clone())
        };
        assert_eq!(value("DB_HOST").as_deref(), Some("postgres"));
        assert_eq!(value("REDIS_HOST").as_deref(), Some("redis"));
    }
}

#[test]
fn files_of_database_and_cache_are_all_delivered() {
    let kustomization = smart_dairy().join("base/kustomization.yaml");
    let text = std::fs::read_to_string(&kustomization).unwrap();
    let kustomization: Kustomization = typed(&documents_of(&text, &kustomization)[0].value).unwrap();
    let delivered: BTreeSet<String> =
        kustomization.config_map_generator.iter().flat_map(|generator| generator.files.clone()).collect();
    let mut written = BTreeSet::new();
    for folder in ["postgres", "redis"] {
        for entry in std::fs::read_dir(smart_dairy().join("base").join(folder)).unwrap() {
            written.insert(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    assert_eq!(delivered, written);
}
