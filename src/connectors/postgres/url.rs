//! `jdbc:postgresql://host:port/database?…` and `postgres://user:password@host:port/database?…`.
//!
//! A URL may hold a password: no message quotes one, also not in part.

use crate::error::{Error, Result};

/// Port of PostgreSQL.
pub(super) const PORT_DEFAULT: u16 = 5432;

/// What a URL says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Url {
    /// With their ports; tried one after the other.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Parameters, in the order written.
    pub(super) parameters: Vec<(String, String)>,
}

impl Url {
    /// Reads a URL that begins with one of `schemes` (`jdbc:postgresql:`).
    ///
    /// # Errors
    /// `Config`, without the URL.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Result<Self> {
        let text = text.trim();
        let example = schemes.first().copied().unwrap_or_default();
        let hint = format!("write {example}//host:{PORT_DEFAULT}/database");
        let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            let named = text.split_once("//").map_or(text, |(scheme, _)| scheme);
            let scheme: String =
                named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == ':').take(40).collect();
            return Err(match scheme.strip_prefix("jdbc:").and_then(|rest| rest.strip_suffix(':')) {
                Some(other) if other != "postgresql" => Error::config(format!("database \"{other}\" is not supported"))
                    .hint("supported: jdbc:postgresql (PostgreSQL and TimescaleDB)"),
                _ => Error::config("the URL does not begin as it must").hint(hint),
            });
        };
        let Some(rest) = rest.strip_prefix("//") else {
            return Err(Error::config("the URL names no host").hint(hint));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
                (Some(decoded(user)?), password.map(decoded).transpose()?, hosts)
            }
            None => (None, None, authority),
        };
        let mut url = Self {
            hosts: hosts.split(',').map(host).collect::<Result<Vec<_>>>()?,
            database: Some(decoded(database)?).filter(|name| !name.is_empty()),
            user: user.filter(|user| !user.is_empty()),
            password,
            parameters: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key)?, decoded(value)?);
            match key.as_str() {
                "user" => url.user = Some(value),
                "password" => url.password = Some(value),
                _ => url.parameters.push((key, value)),
            }
        }
        Ok(url)
    }
}

impl std::fmt::Debug for Url {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Url").field("hosts", &self.hosts).field("database", &self.database).finish_non_exhaustive()
    }
}

/// `host`, `host:port` or `[address]:port`.
fn host(text: &str) -> Result<(String, u16)> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let name = decoded(name)?;
    let port = port.map_or(Some(PORT_DEFAULT), |port| port.parse().ok().filter(|port| *port > 0));
    match port {
        Some(port) if !name.is_empty() => Ok((name, port)),
        Some(_) => Err(Error::config("the URL names no host")),
        None => Err(Error::config("the port in the URL is no number from 1 to 65535")),
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> Result<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.bytes());
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(Error::config("the URL has a \"%\" without two hex digits").hint("write % as %25")),
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::config("the URL is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jdbc(text: &str) -> Result<Url> {
        Url::parse(text, &["jdbc:postgresql:"])
    }

    #[test]
    fn both_forms() {
        let url = jdbc("jdbc:postgresql://db.plant:5433/iot?user=me&password=p%26w&sslmode=require").unwrap();
        assert_eq!(url.hosts, [("db.plant".to_owned(), 5433)]);
        assert_eq!((url.database.as_deref(), url.user.as_deref()), (Some("iot"), Some("me")));
        assert_eq!(url.password.as_deref(), Some("p&w"));
        assert_eq!(url.parameters, [("sslmode".to_owned(), "require".to_owned())]);
        let url = Url::parse("postgres://me:p%40w@[::1],b:99/a%20b", &["postgres:", "postgresql:"]).unwrap();
        assert_eq!(url.hosts, [("::1".to_owned(), 5432), ("b".to_owned(), 99)]);
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me"), Some("p@w")));
        assert_eq!(url.database.as_deref(), Some("a b"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for (text, words) in [
            ("jdbc:mysql://h/hidden", "database \"mysql\" is not supported"),
            ("postgres://me:hidden@h/d", "does not begin as it must"),
            ("jdbc:postgresql:hidden", "names no host"),
            ("jdbc:postgresql://me:hidden@/d", "names no host"),
            ("jdbc:postgresql://h:hidden/d", "is no number"),
            ("jdbc:postgresql://h:0/d", "is no number"),
            ("jdbc:postgresql://h/d?password=%hidden", "without two hex digits"),
        ] {
            let error = jdbc(text).unwrap_err();
            assert!(error.message().contains(words), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
        }
        let url = jdbc("jdbc:postgresql://h/d?user=me&password=hidden").unwrap();
        assert!(!format!("{url:?}").contains("hidden"));
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            drop(Url::parse(&format!("postgres://{text}"), &["postgres:"]));
            drop(jdbc(&text));
        }
    }
}
