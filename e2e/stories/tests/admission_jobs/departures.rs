//! Departures from the shape of the operator's Job, each valid in Kubernetes.

use serde_json::{Value, json};

/// What is edited: a JSON pointer and what is put there; null removes.
type Edits = Vec<(&'static str, Value)>;
/// A departure and its name.
type Departure = (&'static str, Edits);

/// All of them.
pub(crate) fn departures() -> Vec<Departure> {
    [job(), owner(), pod(), pod_security(), container(), container_security(), environment(), files()]
        .concat()
}

fn one(name: &'static str, pointer: &'static str, new: Value) -> Departure {
    (name, vec![(pointer, new)])
}

fn job() -> Vec<Departure> {
    let failure = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    let indexed = ("/spec/completionMode", json!("Indexed"));
    vec![
        ("two pods", vec![("/spec/parallelism", json!(2)), ("/spec/completions", json!(2))]),
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
        ("retries an index", vec![indexed.clone(), ("/spec/backoffLimitPerIndex", json!(1))]),
        (
            "a success policy",
            vec![indexed, ("/spec/successPolicy", json!({"rules": [{"succeededCount": 1}]}))],
        ),
        one("replaced only when failed", "/spec/podReplacementPolicy", json!("Failed")),
        (
            "a selector that takes other pods",
            vec![
                ("/spec/manualSelector", json!(true)),
                ("/spec/selector", json!({"matchLabels": {"app.kubernetes.io/managed-by": "plimsoll"}})),
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
        one("a second container", "/spec/template/spec/containers/-", other.clone()),
        one("an init container", "/spec/template/spec/initContainers", json!([other])),
        one("a service account", "/spec/template/spec/serviceAccountName", json!("builder")),
        one("a token", "/spec/template/spec/automountServiceAccountToken", json!(true)),
        one("a token by default", "/spec/template/spec/automountServiceAccountToken", Value::Null),
        one("the host's network", "/spec/template/spec/hostNetwork", json!(true)),
        one("the host's processes", "/spec/template/spec/hostPID", json!(true)),
        one("the host's IPC", "/spec/template/spec/hostIPC", json!(true)),
        one("a user namespace chosen", "/spec/template/spec/hostUsers", json!(true)),
        one("shared processes", "/spec/template/spec/shareProcessNamespace", json!(true)),
        one("a node", "/spec/template/spec/nodeName", json!("node-1")),
        one(
            "host aliases",
            "/spec/template/spec/hostAliases",
            json!([{"ip": "192.0.2.1", "hostnames": ["prometheus"]}]),
        ),
        one("a DNS configuration", "/spec/template/spec/dnsConfig", dns.clone()),
        (
            "no DNS",
            vec![("/spec/template/spec/dnsPolicy", json!("None")), ("/spec/template/spec/dnsConfig", dns)],
        ),
        one("the node's DNS", "/spec/template/spec/dnsPolicy", json!("Default")),
        one("a runtime class", "/spec/template/spec/runtimeClassName", json!("other")),
        one("another scheduler", "/spec/template/spec/schedulerName", json!("other")),
        one(
            "a resource claim",
            "/spec/template/spec/resourceClaims",
            json!([{"name": "gpu", "resourceClaimName": "gpu"}]),
        ),
        one(
            "resources of the pod",
            "/spec/template/spec/resources",
            json!({"limits": {"cpu": "8", "memory": "8Gi"}}),
        ),
        one("an affinity", "/spec/template/spec/affinity", affinity),
        one("a spread", "/spec/template/spec/topologySpreadConstraints", spread),
        one("a priority", "/spec/template/spec/priority", json!(1_000_000)),
        one("a system priority", "/spec/template/spec/priorityClassName", json!("system-node-critical")),
        one("a preemption policy", "/spec/template/spec/preemptionPolicy", json!("Never")),
        one(
            "a readiness gate",
            "/spec/template/spec/readinessGates",
            json!([{"conditionType": "example.com/x"}]),
        ),
        one("a scheduling gate", "/spec/template/spec/schedulingGates", json!([{"name": "example.com/x"}])),
        one("an overhead", "/spec/template/spec/overhead", json!({"cpu": "1"})),
        one("a host name", "/spec/template/spec/hostname", json!("prometheus")),
        one("a subdomain", "/spec/template/spec/subdomain", json!("prometheus")),
        one("a full host name", "/spec/template/spec/setHostnameAsFQDN", json!(true)),
        one("a host name over all", "/spec/template/spec/hostnameOverride", json!("prometheus")),
        one("an operating system", "/spec/template/spec/os", json!({"name": "linux"})),
        one("restarts", "/spec/template/spec/restartPolicy", json!("OnFailure")),
        one("an hour to end", "/spec/template/spec/terminationGracePeriodSeconds", json!(3600)),
        one("service links", "/spec/template/spec/enableServiceLinks", json!(true)),
        one("no deadline of the pod", "/spec/template/spec/activeDeadlineSeconds", Value::Null),
        one("a long deadline of the pod", "/spec/template/spec/activeDeadlineSeconds", json!(3601)),
    ]
}

fn pod_security() -> Vec<Departure> {
    vec![
        one("no security context", "/spec/template/spec/securityContext", Value::Null),
        one("root allowed", "/spec/template/spec/securityContext/runAsNonRoot", json!(false)),
        one("root", "/spec/template/spec/securityContext/runAsUser", json!(0)),
        one("another user", "/spec/template/spec/securityContext/runAsUser", json!(1000)),
        one("the image's user", "/spec/template/spec/securityContext/runAsUser", Value::Null),
        one("another group", "/spec/template/spec/securityContext/runAsGroup", json!(0)),
        one("no seccomp profile", "/spec/template/spec/securityContext/seccompProfile", Value::Null),
        one(
            "unconfined",
            "/spec/template/spec/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
        ),
        one(
            "a seccomp profile of the node",
            "/spec/template/spec/securityContext/seccompProfile",
            json!({"type": "Localhost", "localhostProfile": "x"}),
        ),
        one("a group of files", "/spec/template/spec/securityContext/fsGroup", json!(0)),
        one("further groups", "/spec/template/spec/securityContext/supplementalGroups", json!([0])),
        one(
            "a kernel setting",
            "/spec/template/spec/securityContext/sysctls",
            json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
        ),
        one(
            "SELinux options",
            "/spec/template/spec/securityContext/seLinuxOptions",
            json!({"type": "spc_t"}),
        ),
        one(
            "no AppArmor",
            "/spec/template/spec/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
        ),
    ]
}

fn container() -> Vec<Departure> {
    let get = json!({"tcpSocket": {"port": 80}});
    let cpu = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1"}});
    vec![
        one("another name", "/spec/template/spec/containers/0/name", json!("other")),
        one("another image", "/spec/template/spec/containers/0/image", json!("registry.example/other:1")),
        one(
            "another tag",
            "/spec/template/spec/containers/0/image",
            json!("registry.example/plimsoll:testing"),
        ),
        one(
            "an image by digest",
            "/spec/template/spec/containers/0/image",
            json!(format!("registry.example/plimsoll:test@sha256:{}", "0".repeat(64))),
        ),
        one("an image never pulled", "/spec/template/spec/containers/0/imagePullPolicy", json!("Never")),
        one("a command", "/spec/template/spec/containers/0/command", json!(["/bin/sh"])),
        one("another argument", "/spec/template/spec/containers/0/args", json!(["operator"])),
        one("a further argument", "/spec/template/spec/containers/0/args/-", json!("--help")),
        one("no argument", "/spec/template/spec/containers/0/args", Value::Null),
        one("a folder", "/spec/template/spec/containers/0/workingDir", json!("/tmp")),
        one(
            "a hook",
            "/spec/template/spec/containers/0/lifecycle",
            json!({"preStop": {"exec": {"command": ["x"]}}}),
        ),
        one("a liveness probe", "/spec/template/spec/containers/0/livenessProbe", get.clone()),
        one("a readiness probe", "/spec/template/spec/containers/0/readinessProbe", get.clone()),
        one("a startup probe", "/spec/template/spec/containers/0/startupProbe", get),
        one("a port", "/spec/template/spec/containers/0/ports", json!([{"containerPort": 8080}])),
        one("standard input", "/spec/template/spec/containers/0/stdin", json!(true)),
        one("a terminal", "/spec/template/spec/containers/0/tty", json!(true)),
        one("no resources", "/spec/template/spec/containers/0/resources", Value::Null),
        one("no limit of memory", "/spec/template/spec/containers/0/resources", cpu),
        (
            "a claimed device",
            vec![
                ("/spec/template/spec/resourceClaims", json!([{"name": "gpu", "resourceClaimName": "gpu"}])),
                ("/spec/template/spec/containers/0/resources/claims", json!([{"name": "gpu"}])),
            ],
        ),
        one(
            "a resize policy",
            "/spec/template/spec/containers/0/resizePolicy",
            json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]),
        ),
        one(
            "another message file",
            "/spec/template/spec/containers/0/terminationMessagePath",
            json!("/etc/passwd"),
        ),
        one(
            "the log as message",
            "/spec/template/spec/containers/0/terminationMessagePolicy",
            json!("FallbackToLogsOnError"),
        ),
        one("a restart policy", "/spec/template/spec/containers/0/restartPolicy", json!("Never")),
    ]
}

fn container_security() -> Vec<Departure> {
    let at = "/spec/template/spec/containers/0/securityContext";
    vec![
        one("no security context of the container", at, Value::Null),
        (
            "privileged",
            vec![
                ("/spec/template/spec/containers/0/securityContext/privileged", json!(true)),
                ("/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
            ],
        ),
        one(
            "escalation",
            "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
            json!(true),
        ),
        one(
            "escalation by default",
            "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
            Value::Null,
        ),
        one(
            "an added capability",
            "/spec/template/spec/containers/0/securityContext/capabilities/add",
            json!(["NET_RAW"]),
        ),
        one(
            "capabilities kept",
            "/spec/template/spec/containers/0/securityContext/capabilities",
            Value::Null,
        ),
        one(
            "one capability dropped",
            "/spec/template/spec/containers/0/securityContext/capabilities/drop",
            json!(["NET_RAW"]),
        ),
        one(
            "a writable root",
            "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
            json!(false),
        ),
        one(
            "root allowed in the container",
            "/spec/template/spec/containers/0/securityContext/runAsNonRoot",
            json!(false),
        ),
        one("root in the container", "/spec/template/spec/containers/0/securityContext/runAsUser", json!(0)),
        one(
            "the container unconfined",
            "/spec/template/spec/containers/0/securityContext/seccompProfile",
            json!({"type": "Unconfined"}),
        ),
        one(
            "the container without AppArmor",
            "/spec/template/spec/containers/0/securityContext/appArmorProfile",
            json!({"type": "Unconfined"}),
        ),
        (
            "all of /proc",
            vec![
                ("/spec/template/spec/hostUsers", json!(false)),
                ("/spec/template/spec/containers/0/securityContext/procMount", json!("Unmasked")),
            ],
        ),
    ]
}

fn environment() -> Vec<Departure> {
    let further = |source: Value| json!({"name": "PLIMSOLL_FURTHER", "valueFrom": source});
    let secret = json!({"secretKeyRef": {"name": "foreign", "key": "k"}});
    vec![
        one(
            "an environment from a Secret",
            "/spec/template/spec/containers/0/envFrom",
            json!([{"secretRef": {"name": "foreign"}}]),
        ),
        one(
            "a further variable",
            "/spec/template/spec/containers/0/env/-",
            json!({"name": "HTTPS_PROXY", "value": "http://192.0.2.1"}),
        ),
        one(
            "a further variable of ours",
            "/spec/template/spec/containers/0/env/-",
            json!({"name": "PLIMSOLL_FURTHER", "value": "x"}),
        ),
        one(
            "a variable twice",
            "/spec/template/spec/containers/0/env/-",
            json!({"name": "PLIMSOLL_NONCE", "value": "x"}),
        ),
        one("a variable from a Secret", "/spec/template/spec/containers/0/env/-", further(secret.clone())),
        one(
            "a variable from the node",
            "/spec/template/spec/containers/0/env/-",
            further(json!({"fieldRef": {"fieldPath": "status.hostIP"}})),
        ),
        one(
            "the request from a Secret",
            "/spec/template/spec/containers/0/env/0",
            json!({"name": "PLIMSOLL_REQUEST", "valueFrom": secret.clone()}),
        ),
        one("no request", "/spec/template/spec/containers/0/env/0", Value::Null),
        one(
            "the Job's UID from a Secret",
            "/spec/template/spec/containers/0/env/3",
            json!({"name": "PLIMSOLL_JOB_UID", "valueFrom": secret}),
        ),
        one(
            "the Job's UID as a literal",
            "/spec/template/spec/containers/0/env/3",
            json!({"name": "PLIMSOLL_JOB_UID", "value": "x"}),
        ),
        one(
            "the Job's UID from another field",
            "/spec/template/spec/containers/0/env/3",
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
        vec![("/spec/template/spec/volumes/-", volume)]
    };
    let mut devices = further("persistentVolumeClaim", json!({"claimName": "x"}));
    devices.push(("/spec/template/spec/containers/0/volumeDevices", block));
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
        one("a whole ConfigMap", "/spec/template/spec/volumes/1/configMap/items", Value::Null),
        one("a whole Secret", "/spec/template/spec/volumes/0/secret/items", Value::Null),
        one(
            "a Secret where a token is",
            "/spec/template/spec/containers/0/volumeMounts/0/mountPath",
            json!("/var/run/secrets/kubernetes.io/serviceaccount"),
        ),
        one(
            "a Secret beside its folder",
            "/spec/template/spec/containers/0/volumeMounts/0/mountPath",
            json!("/var/run/plimsoll/secretsx/a"),
        ),
        one("a writable mount", "/spec/template/spec/containers/0/volumeMounts/0/readOnly", json!(false)),
        one("a part of a volume", "/spec/template/spec/containers/0/volumeMounts/0/subPath", json!("token")),
        one(
            "mounts from the node",
            "/spec/template/spec/containers/0/volumeMounts/0/mountPropagation",
            json!("HostToContainer"),
        ),
    ]
}
