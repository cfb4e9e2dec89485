//! Why no broker answers: what librdkafka says of failed connections, taken apart into a reason and what to change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{lower, now};
use super::handshake::{self, Authorities, Handshake};

/// How long the reason of a failed connection is believed. librdkafka keeps one that repeats itself to itself for
/// 30 s, and a question takes its own time.
const REFUSED_HOLDS: Duration = Duration::from_secs(60);

/// What the clients of one table know of their brokers: who is asked, and why nobody answers.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Addresses asked first.
    pub(super) servers: String,
    /// Whom it believes, for reasons of its own ([`handshake`]).
    authorities: Authorities,
    /// Whether a broker has ever answered.
    answered: AtomicBool,
    /// Why the last connection failed, and when; nothing once a broker has answered.
    refused: Mutex<Option<(Duration, Failure)>>,
}

impl Contact {
    /// Nothing known yet of the brokers that a client is to find.
    pub(super) fn new(config: &ClientConfig) -> Self {
        let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        Self { servers, authorities: Authorities::of(config), ..Self::default() }
    }

    /// Takes note of a connection that failed. A host may have two addresses and listen at one: what one of them says
    /// of security stands against a mere refusal of the other.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        let Some(failure) = Failure::of(error, reason) else { return };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let telling = |failure: &Failure| failure.hint.is_some() || failure.unclear.is_some();
        if !telling(&failure)
            && refused.as_ref().is_some_and(|(_, known)| known.broker == failure.broker && telling(known))
        {
            return;
        }
        *refused = Some((now(), failure));
    }

    /// Takes note of a line of librdkafka's log: a connection that was closed comes as nothing else. What says no more
    /// than that is left out.
    pub(super) fn note_log(&self, facility: &str, text: &str) {
        let closed = KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        let reason = text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, rest)| rest);
        if facility == "FAIL" && Failure::of(&closed, reason).is_some_and(|failure| failure.unclear.is_some()) {
            self.note(&closed, reason);
        }
    }

    /// Why no broker answers, as far as the last attempt before `now` tells: a failure of long ago says nothing.
    pub(super) fn refused(&self, now: Duration) -> Option<Failure> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|(then, _)| now.saturating_sub(*then) < REFUSED_HOLDS).map(|(_, why)| why.clone())
    }

    /// Finds out what librdkafka does not say of the last failure. Blocks for a few seconds at most.
    pub(super) fn clarify(&self) {
        let (then, failure) = {
            let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            match &*refused {
                Some((then, failure)) if failure.unclear.is_some() => (*then, failure.clone()),
                _ => return,
            }
        };
        let failure = failure.clarified(&self.authorities);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_some_and(|(_, newer)| newer.broker == failure.broker) {
            *refused = Some((then, failure));
        }
    }

    /// A broker has answered: what failed before is over.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether waiting mends nothing: no broker has ever answered, and the last one was refused for who it is, or has
    /// refused us for who we are.
    pub(super) fn hopeless(&self) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        !self.answered.load(Ordering::Relaxed) && refused.as_ref().is_some_and(|(_, why)| why.hint.is_some())
    }
}

/// A connection that failed, in a few words.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) broker: String,
    pub(super) reason: String,
    /// What to change, where no waiting helps.
    pub(super) hint: Option<&'static str>,
    /// What librdkafka leaves open.
    pub(super) unclear: Option<Unclear>,
}

/// What a handshake of our own can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// Why a certificate is not believed.
    Certificate,
    /// Whether a listener that hangs up at the first question wants TLS, or is none yet.
    Listener,
}

impl Failure {
    /// `host:port/bootstrap: Connect to ipv4#… failed: Connection refused (after 0ms in state CONNECT)`, taken
    /// apart; `None` if the error is another one.
    pub(super) fn of(error: &KafkaError, text: &str) -> Option<Self> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code()?;
        if !matches!(
            code,
            Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::BadMessage
                | Code::SSL
                | Code::Authentication
                | Code::SaslAuthenticationFailed
        ) {
            return None;
        }
        let (broker, reason) = text.split_once(": ")?;
        let broker = broker.rsplit('/').find(|part| part.contains(':')).unwrap_or(broker).to_owned();
        let (reason, when) = reason.rsplit_once(" (after ").unwrap_or((reason, ""));
        if let Some((reason, hint)) = secured(code, &broker, reason) {
            let unclear = (hint == CERTIFICATE_HINT).then_some(Unclear::Certificate);
            return Some(Self { broker, reason, hint: Some(hint), unclear });
        }
        if code == Code::BadMessage {
            // any other answer that is none says nothing of the connection
            let hint = is_alert(reason).then_some(TLS_HINT)?;
            return Some(Self { broker, reason: WANTS_TLS.to_owned(), hint: Some(hint), unclear: None });
        }
        let first_question = reason.starts_with("Disconnected") && when.contains("in state APIVERSION_QUERY");
        if first_question || reason.contains("security.protocol") {
            let (reason, unclear) = (HANGS_UP.to_owned(), Some(Unclear::Listener));
            return Some(Self { broker, reason, hint: None, unclear });
        }
        let reason = reason.rsplit_once(" failed: ").map_or(reason, |(_, reason)| reason);
        Some(Self { broker, reason: lower(reason), hint: None, unclear: None })
    }

    /// The failure with what a handshake tells of it.
    fn clarified(self, authorities: &Authorities) -> Self {
        let Some(unclear) = self.unclear else { return self };
        match (handshake::with(&self.broker, authorities), unclear) {
            (Handshake::Doubt(reason, hint), Unclear::Certificate) => {
                Self { reason, hint: Some(hint), unclear: None, ..self }
            }
            (Handshake::Doubt(..) | Handshake::Tls, Unclear::Listener) => {
                Self { reason: WANTS_TLS.to_owned(), hint: Some(TLS_HINT), unclear: None, ..self }
            }
            _ => self,
        }
    }
}

/// Whether librdkafka has taken an alert of TLS for the length of an answer: its first bytes are 21 and 3.
fn is_alert(reason: &str) -> bool {
    let size = reason.split_once("Invalid response size ").and_then(|(_, rest)| rest.split(' ').next());
    size.and_then(|size| size.parse::<u32>().ok()).is_some_and(|size| size >> 16 == 0x1503)
}

/// What is wrong with the security of a connection, and what to change; `None` if it is something else.
fn secured(code: RDKafkaErrorCode, broker: &str, reason: &str) -> Option<(String, &'static str)> {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    if reason.contains("certificate verify failed") {
        return Some((
            format!(
                "its certificate cannot be trusted: it is of no known authority, out of date, or not made out to \"{host}\""
            ),
            CERTIFICATE_HINT,
        ));
    }
    // Without a certificate, with one of an authority that the broker does not know, or with an old one: brokers tell
    // them apart in their own log only.
    if reason.contains("alert handshake failure") || (reason.contains(" alert ") && reason.contains("certificate")) {
        return Some(("it wants a client certificate that it trusts".to_owned(), CLIENT_CERTIFICATE_HINT));
    }
    if let Some((_, offered)) = reason.split_once("broker's supported mechanisms:") {
        let offered = match offered.trim() {
            "" => String::new(),
            offered => format!("; it offers {offered}"),
        };
        return Some((format!("it does not take this SASL mechanism{offered}"), PROTOCOL_HINT));
    }
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            // The brokers' own words end the sentence; librdkafka's say where it was.
            let reason = reason.rsplit_once("SASL authentication error: ").map_or(reason, |(_, reason)| reason);
            Some((lower(reason), LOGIN_HINT))
        }
        RDKafkaErrorCode::SSL => {
            let reason = reason.rsplit_once("SSL routines::").map_or(reason, |(_, reason)| reason);
            Some((format!("TLS fails: {reason}"), PROTOCOL_HINT))
        }
        _ => None,
    }
}

/// A listener that may want TLS or SASL, or whose broker is not up yet.
pub(super) const HANGS_UP: &str = "it hangs up at the first question, as a listener does that wants TLS or SASL";

/// A listener that is known to want TLS.
pub(super) const WANTS_TLS: &str = "its listener wants TLS";

/// A connection without TLS where it is wanted.
pub(super) const TLS_HINT: &str = "set \"properties.security.protocol\" to SSL or SASL_SSL, or take the port of a listener \
                        without TLS";

/// A broker's certificate that is not believed.
pub(super) const CERTIFICATE_HINT: &str = "set \"properties.ssl.ca.location\" to the certificate of the brokers' authority, and \
                                name them in \"properties.bootstrap.servers\" as their certificates do";

/// A broker that wants to know who we are.
pub(super) const CLIENT_CERTIFICATE_HINT: &str = "set \"properties.ssl.certificate.location\" and \"properties.ssl.key.location\" \
                                       to a certificate that the brokers trust, and its key";

/// A user or password that is wrong.
pub(super) const LOGIN_HINT: &str =
    "check \"properties.sasl.mechanism\", \"properties.sasl.username\" and its password";

/// A listener that speaks something else.
pub(super) const PROTOCOL_HINT: &str = "check \"properties.security.protocol\", \"properties.sasl.mechanism\" and the port: a listener \
                             speaks one protocol";
