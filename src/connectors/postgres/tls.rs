//! TLS to PostgreSQL, with libpq's ideas of whom to believe: nobody is checked (`prefer`, `require`), the authority is
//! (`verify-ca`), or the authority and the host's name (`verify-full`). Files are PEM.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::{Ssl, SslMode};
use crate::error::{Error, Result};

/// What makes TLS connections as the options say. Reads their files; blocks.
///
/// # Errors
/// `Config` if a file cannot be used.
pub(super) fn connector(ssl: &Ssl) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (ssl.mode, &ssl.root) {
        (SslMode::VerifyCa | SslMode::VerifyFull, Some(root)) => {
            let inner = authority(root, Arc::clone(&provider))?;
            if ssl.mode == SslMode::VerifyFull { inner } else { Arc::new(AnyName { inner }) }
        }
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
            return Err(Error::config("the server's certificate cannot be verified without \"sslrootcert\""));
        }
        _ => Arc::new(Anybody { algorithms: provider.signature_verification_algorithms }),
    };
    let unusable = |e: TlsError| Error::config(format!("TLS cannot be used: {e}"));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &ssl.client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
            config.with_client_auth_cert(chain, secret).map_err(unusable)?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all.map_err(|e| unreadable(path, &e))? {
        none if none.is_empty() => {
            Err(Error::config(format!("file \"{}\" holds no certificate in PEM", path.display())))
        }
        found => Ok(found),
    }
}

fn unreadable(path: &Path, error: &PemError) -> Error {
    let reason = match error {
        PemError::Io(e) => e.to_string(),
        _ => "it is not PEM, or lacks what is looked for".to_owned(),
    };
    Error::config(format!("file \"{}\" cannot be used for TLS: {reason}", path.display()))
}

fn authority(root: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let unusable =
        |reason: String| Error::config(format!("file \"{}\" cannot be used for TLS: {reason}", root.display()));
    let mut store = RootCertStore::empty();
    for certificate in certificates(root)? {
        store.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().map_err(|e| unusable(e.to_string()))
}

/// Believes the authority, whatever name the certificate has.
#[derive(Debug)]
struct AnyName {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // the name is looked at last
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Believes everybody who holds the key of the certificate shown.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
