//! TLS and SASL among `properties.*`: Java's stores and login modules in librdkafka's words.
//!
//! What can never work is refused when the script is read, before any connection; no value is part of a message,
//! except the names of a protocol or mechanism.

use super::properties::{PREFIX, Properties};
use crate::error::Error;
use crate::table::Options;

/// SASL mechanisms of this build. Kerberos would need a library of the machine, OAUTHBEARER a source of tokens.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Where librdkafka looks for the authorities of the machine itself: its own OpenSSL knows no folder of it.
const SYSTEM_AUTHORITIES: &str = "probe";

/// Whether [`stores`] reads this property.
pub(super) fn is_store(name: &str) -> bool {
    name.starts_with("ssl.truststore.") || name.starts_with("ssl.keystore.")
}

/// How the certificates of a store are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreKind {
    Pem,
    Pkcs12,
    Java,
}

/// The kind of a store by its declared type, else by the file's name, else as Java's default.
fn store_kind(declared: Option<&str>, location: &str) -> StoreKind {
    let ends = |ends: &[&str]| ends.iter().any(|end| location.to_ascii_lowercase().ends_with(end));
    match declared.map(str::to_ascii_uppercase).as_deref() {
        Some("PEM") => StoreKind::Pem,
        Some("PKCS12") => StoreKind::Pkcs12,
        Some(_) => StoreKind::Java,
        None if ends(&[".pem", ".crt", ".cer", ".cert"]) => StoreKind::Pem,
        None if ends(&[".p12", ".pfx"]) => StoreKind::Pkcs12,
        None => StoreKind::Java,
    }
}

/// Java's `ssl.truststore.*` and `ssl.keystore.*`.
pub(super) fn stores(properties: &mut Properties, options: &Options) {
    let get = |name: &str| options.get(&format!("{PREFIX}{name}")).map(str::trim);
    for name in options.keys().filter_map(|key| key.strip_prefix(PREFIX)).filter(|name| is_store(name)) {
        let value = get(name).unwrap_or_default();
        let taken: Result<Vec<(&str, String)>, Error> = match name {
            "ssl.truststore.type" | "ssl.keystore.type" => Ok(Vec::new()),
            "ssl.truststore.location" => match store_kind(get("ssl.truststore.type"), value) {
                StoreKind::Pem => Ok(vec![("ssl.ca.location", value.to_owned())]),
                StoreKind::Pkcs12 | StoreKind::Java => Err(trust_store()),
            },
            // Certificates of authorities are no secret: Java knows no password for them in PEM either.
            "ssl.truststore.password" => {
                properties.ignored.push(name.to_owned());
                Ok(Vec::new())
            }
            "ssl.truststore.certificates" => Ok(vec![("ssl.ca.pem", pem(value))]),
            "ssl.keystore.location" => match store_kind(get("ssl.keystore.type"), value) {
                // One file with the key and the chain, as Java reads it.
                StoreKind::Pem => {
                    Ok(vec![("ssl.certificate.location", value.to_owned()), ("ssl.key.location", value.to_owned())])
                }
                StoreKind::Pkcs12 => Ok(vec![("ssl.keystore.location", value.to_owned())]),
                StoreKind::Java => Err(key_store()),
            },
            "ssl.keystore.password" => Ok(vec![("ssl.keystore.password", value.to_owned())]),
            "ssl.keystore.key" => Ok(vec![("ssl.key.pem", pem(value))]),
            "ssl.keystore.certificate.chain" => Ok(vec![("ssl.certificate.pem", pem(value))]),
            _ => Err(Error::config(format!("the kafka client has no property \"{name}\""))
                .hint("stores have type, location, password, key, certificate.chain and certificates")),
        };
        match taken {
            Ok(values) => {
                for (name, value) in values {
                    properties.values.insert(name.to_owned(), value);
                }
            }
            Err(error) => properties.errors.push(error.or_at(options.span(&format!("{PREFIX}{name}")))),
        }
    }
}

fn trust_store() -> Error {
    Error::config("option \"properties.ssl.truststore.location\" names a Java trust store")
        .hint("convert it with \"keytool -exportcert -rfc\" and set 'properties.ssl.ca.location' to the PEM file")
}

fn key_store() -> Error {
    Error::config("option \"properties.ssl.keystore.location\" names a Java key store").hint(
        "convert it with \"keytool -importkeystore -deststoretype PKCS12\" and set 'properties.ssl.keystore.type' = \
         'PKCS12', or set 'properties.ssl.certificate.location' and 'properties.ssl.key.location' to PEM files",
    )
}

/// PEM as OpenSSL reads it. Property files often hold it in one line, with spaces for the ends of lines.
pub(super) fn pem(value: &str) -> String {
    if value.contains('\n') {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + value.len() / 32);
    for (index, part) in value.split("-----").enumerate() {
        if index % 2 == 1 {
            text.push_str("-----");
            text.push_str(part);
            text.push_str("-----\n");
            continue;
        }
        for (at, letter) in part.chars().filter(|c| !c.is_whitespace()).enumerate() {
            if at > 0 && at % 64 == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// User and password of `…LoginModule required username="u" password="p";`.
///
/// # Errors
/// `Config` for other modules and for what is no such text.
pub(super) fn login(value: &str) -> Result<[(&'static str, String); 2], Error> {
    let wrong = || {
        Error::config(
            "option \"properties.sasl.jaas.config\" is not a user and password of the PLAIN or SCRAM login module",
        )
        .hint("set 'properties.sasl.username' and 'properties.sasl.password'")
    };
    let mut tokens = jaas_tokens(value).ok_or_else(wrong)?.into_iter();
    let (Some(Token::Word(module)), Some(Token::Word(_))) = (tokens.next(), tokens.next()) else { return Err(wrong()) };
    if !["PlainLoginModule", "ScramLoginModule"].iter().any(|known| module.rsplit('.').next() == Some(known)) {
        return Err(wrong());
    }
    let (mut user, mut password) = (None, None);
    loop {
        let name = match tokens.next() {
            Some(Token::End) => break,
            Some(Token::Word(name)) => name,
            _ => return Err(wrong()),
        };
        let (Some(Token::Equals), Some(Token::Word(text))) = (tokens.next(), tokens.next()) else {
            return Err(wrong());
        };
        match name.as_str() {
            "username" => user = Some(text),
            "password" => password = Some(text),
            "tokenauth" if text == "true" => {
                return Err(Error::config(
                    "option \"properties.sasl.jaas.config\": delegation tokens are not supported",
                )
                .hint("use a user and a password"));
            }
            _ => {}
        }
    }
    match (user, password, tokens.next()) {
        (Some(user), Some(password), None) => Ok([("sasl.username", user), ("sasl.password", password)]),
        _ => Err(wrong()),
    }
}

/// A piece of a JAAS configuration.
enum Token {
    Word(String),
    Equals,
    End,
}

/// The pieces of a JAAS configuration, as Java's `StreamTokenizer` cuts them; `None` if a quote is not closed.
fn jaas_tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '=' => tokens.push(Token::Equals),
            ';' => tokens.push(Token::End),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next()? {
                        '\\' => word.push(match chars.next()? {
                            'n' => '\n',
                            't' => '\t',
                            'r' => '\r',
                            other => other,
                        }),
                        end if end == c => break,
                        other => word.push(other),
                    }
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'')) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Some(tokens)
}

/// Refuses combinations that can never connect, and names the authorities to believe where the table names none.
pub(super) fn check(properties: &mut Properties, options: &Options) {
    let protocol = properties.get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    let (sasl, tls) = (protocol.starts_with("SASL_"), protocol.ends_with("SSL"));
    let mut errors = Vec::new();
    let mechanism = properties.get("sasl.mechanisms").map(str::to_owned);
    match &mechanism {
        Some(mechanism) if !MECHANISMS.contains(&mechanism.as_str()) => {
            let key = ["properties.sasl.mechanism", "properties.sasl.mechanisms"];
            let key = if options.get(key[0]).is_some() { key[0] } else { key[1] };
            let error = options.error(key, format!("SASL mechanism \"{mechanism}\" is not supported"));
            errors.push(error.hint(format!("valid values: {}", MECHANISMS.join(", "))));
        }
        None if sasl => errors.push(
            options
                .error(
                    "properties.security.protocol",
                    format!("security protocol \"{protocol}\" needs option \"properties.sasl.mechanism\""),
                )
                .hint(format!("valid values: {}", MECHANISMS.join(", "))),
        ),
        _ => {}
    }
    let given = |name: &str| properties.get(name).is_some();
    let user = given("sasl.username") && given("sasl.password");
    if sasl && !user && options.get("properties.sasl.jaas.config").is_none() {
        errors.push(
            options
                .error(
                    "properties.security.protocol",
                    format!("security protocol \"{protocol}\" needs a user and a password"),
                )
                .hint("add 'properties.sasl.username' = '…' and 'properties.sasl.password' = '${VARIABLE}'"),
        );
    }
    let certificate = given("ssl.certificate.location") || given("ssl.certificate.pem");
    let key = given("ssl.key.location") || given("ssl.key.pem");
    if tls && certificate != key {
        let lacks = if key { "certificate" } else { "key" };
        errors.push(
            options
                .error(
                    "properties.security.protocol",
                    format!("a client certificate needs option \"properties.ssl.{lacks}.location\", too"),
                )
                .hint("set 'properties.ssl.certificate.location' and 'properties.ssl.key.location' to PEM files"),
        );
    }
    if tls && !given("ssl.ca.location") && !given("ssl.ca.pem") {
        properties.values.insert("ssl.ca.location".into(), SYSTEM_AUTHORITIES.into());
    }
    properties.errors.append(&mut errors);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(value: &str) -> Option<(String, String)> {
        login(value).ok().map(|[(_, user), (_, password)]| (user, password))
    }

    #[test]
    fn login_modules_are_read_as_java_reads_them() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let shaded = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule";
        for (text, expected) in [
            (format!("{plain} required username=\"u\" password=\"p;=\";"), Some(("u", "p;="))),
            (format!("{shaded}\n  required\n  username = 'a b'\n  password=\"q\\\"\\\\\" ;"), Some(("a b", "q\"\\"))),
            (format!("{plain} required password=\"username=x\" username=u;"), Some(("u", "username=x"))),
            (format!("{plain} required username=\"u\" password=\"\" x=y;"), Some(("u", ""))),
            (format!("{plain} required username=\"u\" password=\"p\""), None),
            (format!("{plain} required username=\"u\" password=\"p;"), None),
            (format!("{plain} required username=\"u\";"), None),
            (format!("{plain} required username=\"u\" password=\"p\"; {plain} required;"), None),
            (format!("{shaded} required username=\"u\" password=\"p\" tokenauth=\"true\";"), None),
            ("com.example.NotPlainLoginModule required username=\"u\" password=\"p\";".to_owned(), None),
            (String::new(), None),
        ] {
            let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
            assert_eq!(user(&text), expected, "{text}");
        }
    }

    #[test]
    fn pem_of_one_line_becomes_pem_of_many() {
        let body = "A".repeat(70);
        let line = format!(
            "-----BEGIN CERTIFICATE----- {body} -----END CERTIFICATE----- -----BEGIN X----- QQ== -----END X-----"
        );
        let expected = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n{}\n-----END CERTIFICATE-----\n-----BEGIN X-----\nQQ==\n-----END X-----\n",
            "A".repeat(64),
            "A".repeat(6)
        );
        assert_eq!(pem(&line), expected);
        assert_eq!(pem(&expected), expected);
        assert_eq!(pem("nonsense"), "nonsense\n");
        assert_eq!(pem(""), "");
    }

    proptest::proptest! {
        #[test]
        fn any_password_comes_through_its_quotes(password in "\\PC*") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("x.ScramLoginModule required username=\"u\" password=\"{quoted}\";");
            proptest::prop_assert_eq!(user(&text), Some(("u".to_owned(), password)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _read = (user(&text), pem(&text));
        }
    }
}
