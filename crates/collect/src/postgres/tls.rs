//! TLS towards PostgreSQL by `sslMode`: verified by the roots of [`crate::tls`], or unverified where the mode says so.

use std::sync::Arc;

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::{PostgresRequest, SslMode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use url::Host;

use crate::failure::Failure;
use crate::keys::{Keys, described};

/// Whether and how a connection is encrypted.
#[derive(Clone)]
pub(crate) struct Tls {
    /// What to do where the server has no TLS.
    pub(crate) is_required: bool,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// What a request says of TLS; `None` for none at all.
pub(crate) fn tls(
    request: &PostgresRequest,
    host: &Host<String>,
    keys: &Keys,
) -> Result<Option<Tls>, Failure> {
    if request.ssl_mode == SslMode::Disable {
        return Ok(None);
    }
    let pem =
        request.ca.as_ref().map(|key| Ok::<_, Failure>((described(key), keys.require(key)?))).transpose()?;
    let ca = pem.as_ref().map(|(name, pem)| (name.as_str(), *pem));
    let config = match request.ssl_mode {
        SslMode::VerifyFull => crate::tls::config(ca)?,
        SslMode::VerifyCA => {
            let roots = Arc::new(crate::tls::roots(ca)?);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, crate::tls::provider()).build();
            let chain = chain.map_err(|error| {
                Failure::of_source(SourceReason::TLSFailed, format!("the certificate authority: {error}"))
            })?;
            verified_by(Lenient { chain: Some(chain), provider: crate::tls::provider() })
        }
        SslMode::Disable | SslMode::Prefer | SslMode::Require => {
            verified_by(Lenient { chain: None, provider: crate::tls::provider() })
        }
    };
    let name = match (&request.server_name, host) {
        (Some(name), _) => name.clone(),
        (None, Host::Domain(name)) => name.clone(),
        (None, Host::Ipv4(ip)) => ip.to_string(),
        (None, Host::Ipv6(ip)) => ip.to_string(),
    };
    let name = ServerName::try_from(name).map_err(|_| {
        let message = "the name to verify the server's certificate for is no DNS name and no address; \
                       set sources.postgres.tls.serverName to a name in the certificate";
        Failure::of_source(SourceReason::TLSFailed, message)
    })?;
    let is_required = request.ssl_mode != SslMode::Prefer;
    Ok(Some(Tls { is_required, config: Arc::new(config), name }))
}

fn verified_by(verifier: Lenient) -> ClientConfig {
    crate::tls::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

/// Verifies the chain to a root for whatever name (`verify-ca`), or nothing of the certificate (`require`, `prefer`).
/// That the server holds the certificate's key is verified always.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name comes last: the chain has been verified by then.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
