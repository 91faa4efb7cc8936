//! The cluster's own certificates, keys and tokens. Made once, all together.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{ClusterError, IoContext};
use crate::machine::HOST_ADDRESS;
use crate::tools::hex;

/// The node's name.
pub(crate) const NODE: &str = "plimsoll";

/// A user of the token file: name, group.
pub(crate) struct User {
    /// The name of its token's file, `NAME.token`.
    pub(crate) file: &'static str,
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
}

/// Every user with a token of its own: the audit log then says which component called.
pub(crate) const USERS: [User; 9] = [
    User { file: "admin", name: "plimsoll-local:admin", group: "system:masters" },
    User { file: "controller-manager", name: "system:kube-controller-manager", group: "" },
    User { file: "scheduler", name: "system:kube-scheduler", group: "" },
    User { file: "kubelet", name: "system:node:plimsoll", group: "system:nodes" },
    User { file: "kube-proxy", name: "system:kube-proxy", group: "" },
    User { file: "coredns", name: "plimsoll-local:coredns", group: "" },
    User { file: "metrics-server", name: "plimsoll-local:metrics-server", group: "" },
    User { file: "prometheus", name: "plimsoll-local:prometheus", group: "" },
    User { file: "prometheus-adapter", name: "plimsoll-local:prometheus-adapter", group: "" },
];

/// A certificate authority with its key.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a leaf certificate is for.
enum Use {
    /// Serves under these names and addresses.
    Server(Vec<String>),
    /// Calls as this organization, which Kubernetes reads as a group.
    Client(&'static str),
}

fn failed(name: &str) -> impl Fn(rcgen::Error) -> ClusterError {
    let name = name.to_owned();
    move |error| ClusterError::Certificate { name: name.clone(), reason: error.to_string() }
}

impl Authority {
    fn new(name: &str) -> Result<Self, ClusterError> {
        let key = KeyPair::generate().map_err(failed(name))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = params.self_signed(&key).map_err(failed(name))?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate and its key, both as PEM.
    fn issue(&self, name: &str, purpose: Use) -> Result<(String, String), ClusterError> {
        let key = KeyPair::generate().map_err(failed(name))?;
        let (names, organization, usage) = match purpose {
            Use::Server(names) => (names, "", ExtendedKeyUsagePurpose::ServerAuth),
            Use::Client(organization) => (Vec::new(), organization, ExtendedKeyUsagePurpose::ClientAuth),
        };
        let mut params = CertificateParams::new(names).map_err(failed(name))?;
        params.distinguished_name.push(DnType::CommonName, name);
        if !organization.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed(name))?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// The certificates of the cluster: made in a folder beside `pki` and renamed, so that there are all or none.
pub(crate) fn create_cluster(pki: &Path) -> Result<(), ClusterError> {
    if pki.join("tokens.csv").exists() {
        return Ok(());
    }
    let parent = pki.parent().unwrap_or(Path::new("/"));
    let work = tempfile::tempdir_in(parent).during(|| format!("making a folder in {}", parent.display()))?;
    let folder = work.path();
    let ca = Authority::new("plimsoll-local")?;
    let front = Authority::new("plimsoll-local-front-proxy")?;
    write_secret(&folder.join("ca.crt"), &ca.pem)?;
    write_secret(&folder.join("front-proxy-ca.crt"), &front.pem)?;
    let names = |list: &[&str]| Use::Server(list.iter().map(|name| (*name).to_owned()).collect());
    let server_names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "10.96.0.1",
        HOST_ADDRESS,
        "127.0.0.1",
    ];
    let aggregated = ["metrics-server.kube-system.svc", "prometheus-adapter.kube-system.svc", HOST_ADDRESS];
    let leaves = [
        ("apiserver", &ca, names(&server_names)),
        ("kubelet", &ca, names(&[NODE, HOST_ADDRESS])),
        ("aggregated", &ca, names(&aggregated)),
        ("apiserver-kubelet-client", &ca, Use::Client("system:masters")),
        ("front-proxy-client", &front, Use::Client("")),
    ];
    for (name, authority, purpose) in leaves {
        let (certificate, key) = authority.issue(name, purpose)?;
        write_secret(&folder.join(format!("{name}.crt")), &certificate)?;
        write_secret(&folder.join(format!("{name}.key")), &key)?;
    }
    write_service_account_keys(folder)?;
    let mut tokens = String::new();
    for user in USERS {
        let token = random_token()?;
        tokens.push_str(&format!("{token},{},{},\"{}\"\n", user.name, user.file, user.group));
        write_secret(&folder.join(format!("{}.token", user.file)), &token)?;
    }
    write_secret(&folder.join("tokens.csv"), &tokens)?;
    let _ = fs::remove_dir_all(pki);
    fs::rename(folder, pki).during(|| format!("renaming {} to {}", folder.display(), pki.display()))
}

/// What an API server alone on a loopback port needs: `ca.crt`, `apiserver.crt` and `.key`, `sa.key` and `.pub`, `tokens.csv`.
/// Returns the administrator's token.
pub(crate) fn create_loopback(folder: &Path) -> Result<String, ClusterError> {
    let ca = Authority::new("plimsoll-apiserver")?;
    let names = ["localhost", "127.0.0.1", "10.96.0.1"].map(str::to_owned).to_vec();
    let (certificate, key) = ca.issue("apiserver", Use::Server(names))?;
    let token = random_token()?;
    let files = [
        ("ca.crt", ca.pem),
        ("apiserver.crt", certificate),
        ("apiserver.key", key),
        ("tokens.csv", format!("{token},plimsoll-local:admin,admin,\"system:masters\"\n")),
    ];
    for (name, content) in files {
        write_secret(&folder.join(name), &content)?;
    }
    write_service_account_keys(folder)?;
    Ok(token)
}

/// The key that signs ServiceAccount tokens, and its public half: the API server reads the latter from a file of its
/// own.
fn write_service_account_keys(folder: &Path) -> Result<(), ClusterError> {
    let key = KeyPair::generate().map_err(failed("service accounts"))?;
    write_secret(&folder.join("sa.key"), &key.serialize_pem())?;
    write_secret(&folder.join("sa.pub"), &key.public_key_pem())
}

/// Certificates of servers and of the authority that signed them, made for one another.
#[derive(Debug)]
pub struct ServerCertificates {
    /// The authority's certificate in PEM; its key is not kept.
    pub ca: String,
    /// Certificate and key of each server in PEM, in the order in which they were asked for.
    pub servers: Vec<(String, String)>,
}

/// Makes certificates for servers, each of which has the given names.
///
/// # Errors
/// A name is none.
pub fn server_certificates(
    authority: &str,
    servers: &[Vec<String>],
) -> Result<ServerCertificates, ClusterError> {
    let ca = Authority::new(authority)?;
    let issue = |names: &Vec<String>| {
        let name = names.first().map_or("server", String::as_str);
        ca.issue(name, Use::Server(names.clone()))
    };
    let servers = servers.iter().map(issue).collect::<Result<_, _>>()?;
    Ok(ServerCertificates { ca: ca.pem, servers })
}

/// 128 random bits as 32 hexadecimal digits, for a password or a token.
///
/// # Errors
/// The system has no random numbers.
pub fn random_token() -> Result<String, ClusterError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .during(|| "reading /dev/urandom".to_owned())?;
    Ok(hex(&bytes))
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, content: &str) -> Result<(), ClusterError> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .during(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_cluster_s_keys_are_made_once_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        create_cluster(&pki).unwrap();
        let first = fs::read(pki.join("ca.crt")).unwrap();
        create_cluster(&pki).unwrap();
        assert_eq!(fs::read(pki.join("ca.crt")).unwrap(), first);
        for name in ["sa.key", "apiserver.key", "tokens.csv", "admin.token"] {
            assert_eq!(fs::metadata(pki.join(name)).unwrap().permissions().mode() & 0o077, 0, "{name}");
        }
        assert_eq!(fs::read_to_string(pki.join("tokens.csv")).unwrap().lines().count(), USERS.len());
    }

    #[test]
    fn a_half_made_folder_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        fs::create_dir(&pki).unwrap();
        fs::write(pki.join("ca.crt"), "half").unwrap();
        create_cluster(&pki).unwrap();
        assert!(fs::read_to_string(pki.join("ca.crt")).unwrap().contains("BEGIN CERTIFICATE"));
    }

    #[test]
    fn two_tokens_differ() {
        let token = random_token().unwrap();
        assert_eq!(token.len(), 32);
        assert_ne!(token, random_token().unwrap());
    }
}
