//! TLS towards a source: ring, and the public roots or the CA that the request names.

use std::sync::Arc;

use plimsoll_analysis::record::SourceReason;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::failure::Failure;

/// Builds the configuration with its own crypto provider, so that none is needed for the whole process.
///
/// `ca` is a name for messages and a PEM bundle, which replaces the public roots. Those are built in: a static image
/// has no store of the system's. The certificate is always verified.
pub(crate) fn config(ca: Option<(&str, &[u8])>) -> Result<ClientConfig, Failure> {
    let roots = roots(ca)?;
    let config = builder().with_root_certificates(roots).with_no_client_auth();
    Ok(config)
}

/// The public roots, or the certificates of a bundle instead.
pub(crate) fn roots(ca: Option<(&str, &[u8])>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some((name, pem)) => add_bundle(&mut roots, name, pem)?,
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3 by ring, before it is said how certificates are verified.
pub(crate) fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
}

/// The one crypto provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn add_bundle(roots: &mut RootCertStore, name: &str, pem: &[u8]) -> Result<(), Failure> {
    let failure = |why: &str| {
        Failure::of_source(
            SourceReason::TLSFailed,
            format!("{name} {why}; put the certificate authority there in PEM (-----BEGIN CERTIFICATE-----)"),
        )
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| failure("is not well-formed PEM"))?;
        roots.add(certificate).map_err(|_| failure("holds a certificate that cannot be read"))?;
    }
    if roots.is_empty() {
        return Err(failure("holds no certificate"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_roots_need_no_store_of_the_system() {
        assert!(config(None).is_ok());
    }

    #[test]
    fn a_bundle_that_is_none_is_refused_with_its_name() {
        for (pem, why) in [
            ("", "holds no certificate"),
            ("hello", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
        ] {
            let failure = config(Some(("key ca.crt of ConfigMap ca", pem.as_bytes()))).unwrap_err();
            assert_eq!(failure.reason, SourceReason::TLSFailed);
            assert!(failure.message.contains(why), "{failure}");
            assert!(failure.message.contains("ConfigMap ca"), "{failure}");
        }
    }

    #[test]
    fn an_authority_of_ones_own_is_accepted() {
        let certificate = rcgen::generate_simple_self_signed(vec!["prom".to_owned()]).unwrap();
        assert!(config(Some(("ca", certificate.cert.pem().as_bytes()))).is_ok());
    }
}
