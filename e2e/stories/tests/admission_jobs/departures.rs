//! Departures from the shape of the operator's Job, each valid in Kubernetes.

use serde_json::{Value, json};

/// What is edited: a JSON pointer and what is put there; null removes.
type Edits = Vec<(String, Value)>;
/// A departure and its name.
type Departure = (&'static str, Edits);

/// All of them.
pub(crate) fn departures() -> Vec<Departure> {
    [job(), owner(), pod(), pod_security(), container(), container_security(), environment(), files()]
        .concat()
}

fn one(name: &'static str, pointer: &str, new: Value) -> Departure {
    (name, vec![(pointer.to_owned(), new)])
}

fn in_pod(name: &'static str, pointer: &str, new: Value) -> Departure {
    one(name, &of_pod(pointer), new)
}

fn in_container(name: &'static str, pointer: &str, new: Value) -> Departure {
    one(name, &of_container(pointer), new)
}

fn of_pod(pointer: &str) -> String {
    format!("/spec/template/spec{pointer}")
}

fn of_container(pointer: &str) -> String {
    of_pod(&format!("/containers/0{pointer}"))
}

fn job() -> Vec<Departure> {
    let failure = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    let indexed = ("/spec/completionMode".to_owned(), json!("Indexed"));
    vec![
        (
            "two pods",
            vec![("/spec/parallelism".to_owned(), json!(2)), ("/spec/completions".to_owned(), json!(2))],
        ),
        one("no pod", "/spec/parallelism", json!(0)),
        one("no number of completions", "/spec/completions", Value::Null),
        one("retries", "/spec/backoffLimit", json!(1)),
        one("retries by default", "/spec/backoffLimit", Value::Null),
        one("a failure policy", "/spec/podFailurePolicy", failure),
        one("another controller", "/spec/managedBy", json!("example.com/jobs")),
        one("no deadline", "/spec/activeDeadlineSeconds", Value::Null),
        one("a deadline of a day", "/spec/activeDeadlineSeconds", json!(86_400)),
        one("suspended", "/spec/suspend", json!(true)),
        ("indexed", vec![indexed.clone()]),
        ("retries an index", vec![indexed.clone(), ("/spec/backoffLimitPerIndex".to_owned(), json!(1))]),
        (
            "a success policy",
            vec![indexed, ("/spec/successPolicy".to_owned(), json!({"rules": [{"succeededCount": 1}]}))],
        ),
        one("replaced only when failed", "/spec/podReplacementPolicy", json!("Failed")),
        (
            "a selector that takes other pods",
            vec![
                ("/spec/manualSelector".to_owned(), json!(true)),
                (
                    "/spec/selector".to_owned(),
                    json!({"matchLabels": {"app.kubernetes.io/managed-by": "plimsoll"}}),
                ),
            ],
        ),
    ]
}

fn owner() -> Vec<Departure> {
    let second = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "9c2c7a4e-0b3f-4f5e-9a44-000000000002"});
    vec![
        one("no owner", "/metadata/ownerReferences", Value::Null),
        one("an owner of another group", "/metadata/ownerReferences/0/apiVersion", json!("apps/v1")),
        one(
            "an owner of a lookalike group",
            "/metadata/ownerReferences/0/apiVersion",
            json!("plimsoll.dev.example/v1"),
        ),
        one("an owner of another kind", "/metadata/ownerReferences/0/kind", json!("Other")),
        one("an owner that is not controller", "/metadata/ownerReferences/0/controller", json!(false)),
        one("a second owner", "/metadata/ownerReferences/-", second),
        one("not labelled as ours", "/metadata/labels/app.kubernetes.io~1managed-by", Value::Null),
        one("a finalizer", "/metadata/finalizers", json!(["example.com/stay"])),
        one("a finalizer of the pod", "/spec/template/metadata/finalizers", json!(["example.com/stay"])),
        one("a name for the pod", "/spec/template/metadata/name", json!("other")),
        one(
            "AppArmor by annotation",
            "/spec/template/metadata/annotations",
            json!({"container.apparmor.security.beta.kubernetes.io/plimsoll": "unconfined"}),
        ),
    ]
}

fn pod() -> Vec<Departure> {
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}]}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}}}]);
    let dns = json!({"nameservers": ["192.0.2.1"]});
    let other = json!({"name": "other", "image": "registry.example/other:1"});
    vec![
        in_pod("a second container", "/containers/-", other.clone()),
        in_pod("an init container", "/initContainers", json!([other])),
        in_pod("a service account", "/serviceAccountName", json!("builder")),
        in_pod("a token", "/automountServiceAccountToken", json!(true)),
        in_pod("a token by default", "/automountServiceAccountToken", Value::Null),
        in_pod("the host's network", "/hostNetwork", json!(true)),
        in_pod("the host's processes", "/hostPID", json!(true)),
        in_pod("the host's IPC", "/hostIPC", json!(true)),
        in_pod("a user namespace chosen", "/hostUsers", json!(true)),
        in_pod("shared processes", "/shareProcessNamespace", json!(true)),
        in_pod("a node", "/nodeName", json!("node-1")),
        in_pod("host aliases", "/hostAliases", json!([{"ip": "192.0.2.1", "hostnames": ["prometheus"]}])),
        in_pod("a DNS configuration", "/dnsConfig", dns.clone()),
        ("no DNS", vec![(of_pod("/dnsPolicy"), json!("None")), (of_pod("/dnsConfig"), dns)]),
        in_pod("the node's DNS", "/dnsPolicy", json!("Default")),
        in_pod("a runtime class", "/runtimeClassName", json!("other")),
        in_pod("another scheduler", "/schedulerName", json!("other")),
        in_pod("a resource claim", "/resourceClaims", json!([{"name": "gpu", "resourceClaimName": "gpu"}])),
        in_pod("resources of the pod", "/resources", json!({"limits": {"cpu": "8", "memory": "8Gi"}})),
        in_pod("an affinity", "/affinity", affinity),
        in_pod("a spread", "/topologySpreadConstraints", spread),
        in_pod("a priority", "/priority", json!(1_000_000)),
        in_pod("a system priority", "/priorityClassName", json!("system-node-critical")),
        in_pod("a preemption policy", "/preemptionPolicy", json!("Never")),
        in_pod("a readiness gate", "/readinessGates", json!([{"conditionType": "example.com/x"}])),
        in_pod("a scheduling gate", "/schedulingGates", json!([{"name": "example.com/x"}])),
        in_pod("an overhead", "/overhead", json!({"cpu": "1"})),
        in_pod("a host name", "/hostname", json!("prometheus")),
        in_pod("a subdomain", "/subdomain", json!("prometheus")),
        in_pod("a full host name", "/setHostnameAsFQDN", json!(true)),
        in_pod("a host name over all", "/hostnameOverride", json!("prometheus")),
        in_pod("an operating system", "/os", json!({"name": "linux"})),
        in_pod("restarts", "/restartPolicy", json!("OnFailure")),
        in_pod("an hour to end", "/terminationGracePeriodSeconds", json!(3600)),
        in_pod("service links", "/enableServiceLinks", json!(true)),
        in_pod("no deadline of the pod", "/activeDeadlineSeconds", Value::Null),
        in_pod("a long deadline of the pod", "/activeDeadlineSeconds", json!(3601)),
    ]
}

fn pod_security() -> Vec<Departure> {
    vec![
        in_pod("no security context", "/securityContext", Value::Null),
        in_pod("root allowed", "/securityContext/runAsNonRoot", json!(false)),
        in_pod("root", "/securityContext/runAsUser", json!(0)),
        in_pod("another user", "/securityContext/runAsUser", json!(1000)),
        in_pod("the image's user", "/securityContext/runAsUser", Value::Null),
        in_pod("another group", "/securityContext/runAsGroup", json!(0)),
        in_pod("no seccomp profile", "/securityContext/seccompProfile", Value::Null),
        in_pod("unconfined", "/securityContext/seccompProfile", json!({"type": "Unconfined"})),
        in_pod(
            "a seccomp profile of the node",
            "/securityContext/seccompProfile",
            json!({"type": "Localhost", "localhostProfile": "x"}),
        ),
        in_pod("a group of files", "/securityContext/fsGroup", json!(0)),
        in_pod("further groups", "/securityContext/supplementalGroups", json!([0])),
        in_pod(
            "a kernel setting",
            "/securityContext/sysctls",
            json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
        ),
        in_pod("SELinux options", "/securityContext/seLinuxOptions", json!({"type": "spc_t"})),
        in_pod("no AppArmor", "/securityContext/appArmorProfile", json!({"type": "Unconfined"})),
    ]
}

fn container() -> Vec<Departure> {
    let get = json!({"tcpSocket": {"port": 80}});
    let cpu = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1"}});
    vec![
        in_container("another name", "/name", json!("other")),
        in_container("another image", "/image", json!("registry.example/other:1")),
        in_container("another tag", "/image", json!("registry.example/plimsoll:testing")),
        in_container(
            "an image by digest",
            "/image",
            json!(format!("registry.example/plimsoll:test@sha256:{}", "0".repeat(64))),
        ),
        in_container("an image never pulled", "/imagePullPolicy", json!("Never")),
        in_container("a command", "/command", json!(["/bin/sh"])),
        in_container("another argument", "/args", json!(["operator"])),
        in_container("a further argument", "/args/-", json!("--help")),
        in_container("no argument", "/args", Value::Null),
        in_container("a folder", "/workingDir", json!("/tmp")),
        in_container("a hook", "/lifecycle", json!({"preStop": {"exec": {"command": ["x"]}}})),
        in_container("a liveness probe", "/livenessProbe", get.clone()),
        in_container("a readiness probe", "/readinessProbe", get.clone()),
        in_container("a startup probe", "/startupProbe", get),
        in_container("a port", "/ports", json!([{"containerPort": 8080}])),
        in_container("standard input", "/stdin", json!(true)),
        in_container("a terminal", "/tty", json!(true)),
        in_container("no resources", "/resources", Value::Null),
        in_container("no limit of memory", "/resources", cpu),
        (
            "a claimed device",
            vec![
                (of_pod("/resourceClaims"), json!([{"name": "gpu", "resourceClaimName": "gpu"}])),
                (of_container("/resources/claims"), json!([{"name": "gpu"}])),
            ],
        ),
        in_container(
            "a resize policy",
            "/resizePolicy",
            json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
        ),
        in_container("another message file", "/terminationMessagePath", json!("/etc/passwd")),
        in_container("the log as message", "/terminationMessagePolicy", json!("FallbackToLogsOnError")),
        in_container("a restart policy", "/restartPolicy", json!("Never")),
    ]
}

fn container_security() -> Vec<Departure> {
    vec![
        in_container("no security context of the container", "/securityContext", Value::Null),
        (
            "privileged",
            vec![
                (of_container("/securityContext/privileged"), json!(true)),
                (of_container("/securityContext/allowPrivilegeEscalation"), json!(true)),
            ],
        ),
        in_container("escalation", "/securityContext/allowPrivilegeEscalation", json!(true)),
        in_container("escalation by default", "/securityContext/allowPrivilegeEscalation", Value::Null),
        in_container("an added capability", "/securityContext/capabilities/add", json!(["NET_RAW"])),
        in_container("capabilities kept", "/securityContext/capabilities", Value::Null),
        in_container("one capability dropped", "/securityContext/capabilities/drop", json!(["NET_RAW"])),
        in_container("a writable root", "/securityContext/readOnlyRootFilesystem", json!(false)),
        in_container("root allowed in the container", "/securityContext/runAsNonRoot", json!(false)),
        in_container("root in the container", "/securityContext/runAsUser", json!(0)),
        in_container(
            "the container unconfined",
            "/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
        ),
        in_container(
            "the container without AppArmor",
            "/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
        ),
        (
            "all of /proc",
            vec![
                (of_pod("/hostUsers"), json!(false)),
                (of_container("/securityContext/procMount"), json!("Unmasked")),
            ],
        ),
    ]
}

fn environment() -> Vec<Departure> {
    let further = |source: Value| json!({"name": "PLIMSOLL_FURTHER", "valueFrom": source});
    let secret = json!({"secretKeyRef": {"name": "foreign", "key": "k"}});
    vec![
        in_container("an environment from a Secret", "/envFrom", json!([{"secretRef": {"name": "foreign"}}])),
        in_container(
            "a further variable",
            "/env/-",
            json!({"name": "HTTPS_PROXY", "value": "http://192.0.2.1"}),
        ),
        in_container(
            "a further variable of ours",
            "/env/-",
            json!({"name": "PLIMSOLL_FURTHER", "value": "x"}),
        ),
        in_container("a variable twice", "/env/-", json!({"name": "PLIMSOLL_NONCE", "value": "x"})),
        in_container("a variable from a Secret", "/env/-", further(secret.clone())),
        in_container(
            "a variable from the node",
            "/env/-",
            further(json!({"fieldRef": {"fieldPath": "status.hostIP"}})),
        ),
        in_container(
            "the request from a Secret",
            "/env/0",
            json!({"name": "PLIMSOLL_REQUEST", "valueFrom": secret.clone()}),
        ),
        in_container("no request", "/env/0", Value::Null),
        in_container(
            "the Job's UID from a Secret",
            "/env/3",
            json!({"name": "PLIMSOLL_JOB_UID", "valueFrom": secret}),
        ),
        in_container(
            "the Job's UID as a literal",
            "/env/3",
            json!({"name": "PLIMSOLL_JOB_UID", "value": "x"}),
        ),
        in_container(
            "the Job's UID from another field",
            "/env/3",
            json!({"name": "PLIMSOLL_JOB_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}),
        ),
    ]
}

fn files() -> Vec<Departure> {
    let token = json!({"sources": [{"serviceAccountToken": {"path": "token"}}]});
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let block = json!([{"name": "further", "devicePath": "/dev/xvda"}]);
    let further = |source: &'static str, content: Value| {
        let mut volume = json!({"name": "further"});
        volume[source] = content;
        vec![(of_pod("/volumes/-"), volume)]
    };
    let mut devices = further("persistentVolumeClaim", json!({"claimName": "x"}));
    devices.push((of_container("/volumeDevices"), block));
    vec![
        ("a folder of the node", further("hostPath", json!({"path": "/etc"}))),
        ("a projected token", further("projected", token)),
        ("a folder in memory", further("emptyDir", json!({}))),
        ("a claim", further("persistentVolumeClaim", json!({"claimName": "x"}))),
        ("a claim of its own", further("ephemeral", json!({"volumeClaimTemplate": claim}))),
        ("a device", devices),
        ("a CSI volume", further("csi", json!({"driver": "x.example.com"}))),
        (
            "the downward API",
            further(
                "downwardAPI",
                json!({"items": [{"path": "x", "fieldRef": {"fieldPath": "metadata.name"}}]}),
            ),
        ),
        ("a network volume", further("nfs", json!({"server": "192.0.2.1", "path": "/"}))),
        ("an image as a volume", further("image", json!({"reference": "registry.example/other:1"}))),
        in_pod("a whole ConfigMap", "/volumes/1/configMap/items", Value::Null),
        in_pod("a whole Secret", "/volumes/0/secret/items", Value::Null),
        in_container(
            "a Secret where a token is",
            "/volumeMounts/0/mountPath",
            json!("/var/run/secrets/kubernetes.io/serviceaccount"),
        ),
        in_container(
            "a Secret beside its folder",
            "/volumeMounts/0/mountPath",
            json!("/var/run/plimsoll/secretsx/a"),
        ),
        in_container(
            "a mount that climbs out",
            "/volumeMounts/0/mountPath",
            json!("/var/run/plimsoll/secrets/../../secrets/kubernetes.io/serviceaccount"),
        ),
        in_container("a writable mount", "/volumeMounts/0/readOnly", json!(false)),
        in_container("a part of a volume", "/volumeMounts/0/subPath", json!("token")),
        in_container("mounts from the node", "/volumeMounts/0/mountPropagation", json!("HostToContainer")),
    ]
}
