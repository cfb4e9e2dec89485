//! PARSE_URL with the parts `java.net.URL` finds, URL_ENCODE and URL_DECODE with the rules of HTML forms.

use arrow::array::ArrayRef;
use datafusion::error::Result;

use super::regex::pattern::Pattern;
use super::scalar::Takes::Text;
use super::scalar::{At, Call, Entry, entry};

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        takes: &[Text, Text],
        optional: &[Text],
        ..entry(
            "parse_url",
            "PARSE_URL(url, part [, key])",
            parse_url,
            "HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY or USERINFO of a URL, or a key of its QUERY; else NULL.",
        )
    },
    entry("url_encode", "URL_ENCODE(text)", url_encode, "The text as a value of a URL: \"a b&c\" is \"a+b%26c\"."),
    entry("url_decode", "URL_DECODE(text)", url_decode, "The text of a value of a URL; NULL if it is none."),
];

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    protocol: String,
    authority: Option<&'a str>,
    user: Option<&'a str>,
    host: &'a str,
    path: String,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

/// Protocols a plain Java can open; others are no URLs to it.
const PROTOCOLS: [&str; 7] = ["http", "https", "ftp", "file", "jar", "mailto", "jmod"];

impl<'a> Url<'a> {
    /// # Source  `java.net.URL` and `URLStreamHandler.parseURL` of OpenJDK 17
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(|c: char| c <= ' ');
        let text =
            if text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("url:")) { text.get(4..)? } else { text };
        let colon = text.find([':', '/']).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(':')))?;
        let protocol = text.get(..colon)?.to_ascii_lowercase();
        if !PROTOCOLS.contains(&protocol.as_str()) {
            return None;
        }
        let rest = text.get(colon + 1..)?;
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        match protocol.as_str() {
            // the rest is a URL of its own, kept whole
            "jar" => {
                let (inner, entry) = rest.rsplit_once("!/")?;
                Self::parse(inner)?;
                let path = format!("{inner}!/{entry}");
                Some(Self { protocol, authority: None, user: None, host: "", path, query: None, fragment })
            }
            "mailto" => {
                Some(Self { protocol, authority: None, user: None, host: "", path: rest.into(), query: None, fragment })
            }
            _ => Self::hierarchical(protocol, rest, fragment),
        }
    }

    fn hierarchical(protocol: String, rest: &'a str, fragment: Option<&'a str>) -> Option<Self> {
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let Some(after) = rest.strip_prefix("//").filter(|_| !rest.starts_with("////")) else {
            let path = rest.to_owned();
            return Some(Self { protocol, authority: None, user: None, host: "", path, query, fragment });
        };
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        let (user, place) = match authority.rsplit_once('@') {
            // two of them make neither a user nor a host
            Some((user, _)) if user.contains('@') => (None, ""),
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = if place.starts_with('[') {
            let end = place.find(']')? + 1;
            let (host, port) = place.split_at(end);
            if !port.is_empty() && !port.starts_with(':') {
                return None;
            }
            (host, port.strip_prefix(':'))
        } else {
            match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            }
        };
        let port = port.filter(|port| !port.is_empty()).map(str::parse::<i32>);
        if port.is_some_and(|port| port.is_ok_and(|port| port < -1) || port_is_wrong(place)) {
            return None;
        }
        Some(Self { protocol, authority: Some(authority), user, host, path: path.to_owned(), query, fragment })
    }
}

/// The text after the last colon is no number.
fn port_is_wrong(place: &str) -> bool {
    let port = place.rsplit(']').next().unwrap_or(place);
    port.split_once(':').is_some_and(|(_, port)| !port.is_empty() && port.parse::<i32>().is_err())
}

impl Url<'_> {
    fn file(&self) -> String {
        match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn part(&self, name: &str) -> Option<String> {
        match name {
            "HOST" => Some(self.host.to_owned()),
            "PATH" => Some(self.path.clone()),
            "QUERY" => self.query.map(str::to_owned),
            "REF" => self.fragment.map(str::to_owned),
            "PROTOCOL" => Some(self.protocol.clone()),
            "FILE" => Some(self.file()),
            "AUTHORITY" => self.authority.map(str::to_owned),
            "USERINFO" => self.user.map(str::to_owned),
            _ => None,
        }
    }

    /// The value of a key, which is a regular expression to Flink.
    fn value(&self, key: &Pattern) -> Result<Option<String>> {
        let Some(query) = self.query else { return Ok(None) };
        Ok(key.first(query)?.and_then(|found| found.group(2)).map(str::to_owned))
    }
}

fn parse_url(call: &Call<'_>) -> Result<ArrayRef> {
    let (urls, names, keys) = (call.text(0)?, call.text(1)?, call.optional_text(2)?);
    let mut compiled: Option<(&str, Option<Pattern>)> = None;
    call.build_text(|row| {
        let Some((text, name)) = urls.at(row).zip(names.at(row)) else { return Ok(None) };
        let key = match keys.map(|keys| keys.at(row)) {
            Some(None) => return Ok(None),
            key => key.flatten(),
        };
        let Some(url) = Url::parse(text) else { return Ok(None) };
        Ok(match key {
            Some(key) if name == "QUERY" => {
                if compiled.as_ref().is_none_or(|(known, _)| *known != key) {
                    compiled = Some((key, Pattern::new(&format!("(&|^){key}=([^&]*)"))?));
                }
                match compiled.as_ref().and_then(|(_, pattern)| pattern.as_ref()) {
                    Some(pattern) => url.value(pattern)?,
                    None => None,
                }
            }
            Some(_) => None,
            None => url.part(name),
        })
    })
}

fn url_encode(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_text(|row| Ok(texts.at(row).map(encoded)))
}

/// # Source  `java.net.URLEncoder` with UTF-8
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn url_decode(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_text(|row| Ok(texts.at(row).and_then(decoded)))
}

/// # Source  `java.net.URLDecoder` with UTF-8
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                // Java reads the two with Integer.parseInt, and so "+f"
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits.strip_prefix('+').unwrap_or(digits), 16).ok()?
            }
            other => *other,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts that Flink 2.3 gave.
    #[test]
    fn parts_as_java_finds_them() {
        let part = |url: &str, name: &str| Url::parse(url).and_then(|url| url.part(name));
        let url = "http://user:pw@host.com:80/p/a.html?k=v&l=w#r";
        for (name, value) in [
            ("HOST", "host.com"),
            ("PATH", "/p/a.html"),
            ("QUERY", "k=v&l=w"),
            ("REF", "r"),
            ("PROTOCOL", "http"),
            ("FILE", "/p/a.html?k=v&l=w"),
            ("AUTHORITY", "user:pw@host.com:80"),
            ("USERINFO", "user:pw"),
        ] {
            assert_eq!(part(url, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(part("http://h?q=1", "FILE").as_deref(), Some("?q=1"));
        assert_eq!(part("http://[::1]:8/x", "HOST").as_deref(), Some("[::1]"));
        assert_eq!(part("file:/a/b", "HOST").as_deref(), Some(""));
        assert_eq!(part("url:http://h/p", "HOST").as_deref(), Some("h"));
        for none in ["abc", "mqtt://h/x", "http://h:x/", ""] {
            assert_eq!(part(none, "HOST"), None, "{none}");
        }
        let key = Pattern::new("(&|^)k=([^&]*)").unwrap().unwrap();
        assert_eq!(Url::parse("http://h/p?kk=1&k=2").unwrap().value(&key).unwrap().as_deref(), Some("2"));
    }

    #[test]
    fn form_encoding() {
        assert_eq!(encoded("a b&c=ü/~*-_."), "a+b%26c%3D%C3%BC%2F%7E*-_.");
        assert_eq!(decoded("a+b%26c%3D%C3%BC").as_deref(), Some("a b&c=ü"));
        assert_eq!((decoded("%"), decoded("%zz"), decoded("a%2")), (None, None, None));
    }
}
