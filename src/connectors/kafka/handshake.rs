//! Why TLS to a broker fails, asked by a handshake of our own: librdkafka says the same of every certificate it does not
//! believe, and of a listener that wants TLS only that it has hung up.
//!
//! Nothing goes through such a connection, and it decides nothing but the words of an error.

use std::io::Cursor;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConnection, Error as TlsError, RootCertStore};

use crate::time::moment_text;

/// For each of connecting, writing and reading: a broker that took so long has failed otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where systems keep the authorities they believe, as OpenSSL looks for them.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom a client believes.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    location: Option<String>,
    pem: Option<String>,
    /// Whether the certificate must name the host.
    names: bool,
}

/// What a handshake came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// TLS is spoken; nothing is wrong with the broker's certificate, or nothing that we can name.
    Tls,
    /// The certificate is not believed: a reason, and what to do.
    Doubt(String, &'static str),
    /// No answer, or one that is no TLS.
    Other,
}

const AUTHORITY_HINT: &str = "set \"properties.ssl.ca.location\" to the certificate of the brokers' authority, in PEM";
const EXPIRED_HINT: &str = "the brokers need a new certificate; \"properties.ssl.ca.location\" is not the reason";
const EARLY_HINT: &str = "compare the clock of this machine with that of the brokers";
const NAME_HINT: &str = "name the brokers in \"properties.bootstrap.servers\", and in their advertised.listeners, as \
                         their certificates do";

impl Authorities {
    /// As librdkafka's configuration says.
    pub(super) fn of(config: &ClientConfig) -> Self {
        let get = |name: &str| config.get(name).map(str::to_owned);
        let names = config.get("ssl.endpoint.identification.algorithm") != Some("none");
        Self { location: get("ssl.ca.location"), pem: get("ssl.ca.pem"), names }
    }

    fn store(&self) -> RootCertStore {
        let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
        let mut of_file = |path: &Path| {
            certificates.extend(CertificateDer::pem_file_iter(path).into_iter().flatten().flatten());
        };
        match (&self.pem, self.location.as_deref()) {
            (Some(pem), _) => certificates.extend(CertificateDer::pem_reader_iter(Cursor::new(pem)).flatten()),
            (None, Some(path)) if path != "probe" => of_file(Path::new(path)),
            _ => SYSTEM_AUTHORITIES.iter().for_each(|path| of_file(Path::new(path))),
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        store
    }
}

/// Asks `broker` (`host:port`) for its certificate; blocks for a few seconds at most.
pub(super) fn with(broker: &str, authorities: &Authorities) -> Handshake {
    let Some((host, _)) = broker.rsplit_once(':') else { return Handshake::Other };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match attempt(broker, host, authorities) {
        Some(Ok(())) => Handshake::Tls,
        Some(Err(error)) => judged(&error, host, authorities),
        None => Handshake::Other,
    }
}

/// The end of a handshake; `None` if there was no connection or it broke.
fn attempt(broker: &str, host: &str, authorities: &Authorities) -> Option<Result<(), TlsError>> {
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(authorities.store())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let address = broker.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    match connection.complete_io(&mut stream) {
        Ok(_) => Some(Ok(())),
        Err(error) => error.downcast::<TlsError>().ok().map(Err),
    }
}

fn judged(error: &TlsError, host: &str, authorities: &Authorities) -> Handshake {
    use CertificateError as C;
    let doubt = |reason: String, hint| Handshake::Doubt(format!("its certificate {reason}"), hint);
    match error {
        TlsError::InvalidCertificate(C::UnknownIssuer) => {
            doubt("is of an authority that is not known here".to_owned(), AUTHORITY_HINT)
        }
        TlsError::InvalidCertificate(C::Expired) => doubt("has expired".to_owned(), EXPIRED_HINT),
        TlsError::InvalidCertificate(C::ExpiredContext { not_after, .. }) => {
            doubt(format!("has expired, on {} UTC", day(*not_after)), EXPIRED_HINT)
        }
        TlsError::InvalidCertificate(C::NotValidYet) => doubt("is not valid yet".to_owned(), EARLY_HINT),
        TlsError::InvalidCertificate(C::NotValidYetContext { not_before, .. }) => {
            doubt(format!("is not valid before {} UTC", day(*not_before)), EARLY_HINT)
        }
        TlsError::InvalidCertificate(C::NotValidForName) if authorities.names => {
            doubt(format!("is not made out to \"{host}\""), NAME_HINT)
        }
        TlsError::InvalidCertificate(C::NotValidForNameContext { presented, .. }) if authorities.names => {
            let named: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
            let to = if named.is_empty() { String::new() } else { format!(", but to {}", named.join(", ")) };
            doubt(format!("is not made out to \"{host}\"{to}"), NAME_HINT)
        }
        TlsError::InvalidCertificate(_) | TlsError::AlertReceived(_) => Handshake::Tls,
        _ => Handshake::Other,
    }
}

/// `"h"` of `DnsName("h")`, as rustls tells names.
fn plain_name(name: &str) -> String {
    name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')')).to_owned()
}

fn day(time: UnixTime) -> String {
    let ms = i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000);
    moment_text(ms)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reasons_are_told_apart_each_with_its_own_remedy() {
        use CertificateError as C;
        let (strict, lax) = (Authorities { names: true, ..Authorities::default() }, Authorities::default());
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        let wrong_name = C::NotValidForNameContext {
            expected: ServerName::try_from("h").unwrap(),
            presented: vec!["DnsName(\"localhost\")".to_owned()],
        };
        for (error, reason, hint) in [
            (C::UnknownIssuer, "is of an authority that is not known here", AUTHORITY_HINT),
            (C::ExpiredContext { time, not_after: time }, "has expired, on 2023-11-14 22:13:20 UTC", EXPIRED_HINT),
            (C::NotValidYet, "is not valid yet", EARLY_HINT),
            (wrong_name.clone(), "is not made out to \"h\", but to \"localhost\"", NAME_HINT),
        ] {
            let told = judged(&TlsError::InvalidCertificate(error), "h", &strict);
            assert_eq!(told, Handshake::Doubt(format!("its certificate {reason}"), hint));
        }
        assert_eq!(judged(&TlsError::InvalidCertificate(wrong_name), "h", &lax), Handshake::Tls);
        assert_eq!(
            judged(&TlsError::AlertReceived(rustls::AlertDescription::HandshakeFailure), "h", &strict),
            Handshake::Tls
        );
    }

    /// What a listener answers to the first bytes of a handshake.
    fn asked(answer: &'static [u8]) -> Handshake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(answer).unwrap();
        });
        let found = with(&broker, &Authorities::default());
        server.join().unwrap();
        found
    }

    #[test]
    fn only_what_answers_with_tls_speaks_it() {
        // an alert "handshake failure"
        assert_eq!(asked(&[21, 3, 3, 0, 2, 2, 40]), Handshake::Tls);
        assert_eq!(asked(b""), Handshake::Other);
        assert_eq!(asked(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Handshake::Other);
        assert_eq!(with("127.0.0.1:1", &Authorities::default()), Handshake::Other);
        assert_eq!(with("no address", &Authorities::default()), Handshake::Other);
    }
}
