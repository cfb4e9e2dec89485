//! A script as it may be shown: passwords that stand in it are stars. Errors show the lines they are about, and a line
//! of options may hold any of them. Lines and columns stay, so that the caret stays under what it points at.

use crate::table::is_secret;

/// `text` with stars for the values of options that are secrets, and for passwords in addresses.
pub(super) fn masked(text: &str) -> String {
    let mut hidden = Vec::new();
    let mut before = 0;
    for (start, end) in literals(text) {
        let (name, value) = (text.get(before..start).unwrap_or_default(), text.get(start..end).unwrap_or_default());
        let secret = option_name(name).is_some_and(is_secret);
        let found = match secret {
            true if value.starts_with("${") && value.ends_with('}') => None,
            true => Some((0, value.len())),
            false => in_address(value),
        };
        hidden.extend(found.map(|(from, to)| start + from..start + to));
        // The name of the next option begins with the quote of this literal, if it is one.
        before = start.saturating_sub(1);
    }
    let mut hidden = hidden.into_iter().peekable();
    let shown = |(at, letter): (usize, char)| {
        while hidden.next_if(|range| range.end <= at).is_some() {}
        let is_hidden = hidden.peek().is_some_and(|range| range.contains(&at));
        if is_hidden && letter != '\n' { '*' } else { letter }
    };
    text.char_indices().map(shown).collect()
}

/// Where the texts in single quotes are, without the quotes; comments have none.
fn literals(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let find = |from: usize, end: &str| text.get(from..).and_then(|rest| rest.find(end)).map(|at| from + at);
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        at = match byte {
            b'-' if rest.starts_with(b"--") => find(at, "\n").unwrap_or(bytes.len()),
            b'/' if rest.starts_with(b"/*") && !rest.starts_with(b"/*+") => {
                find(at + 2, "*/").map_or(bytes.len(), |end| end + 2)
            }
            b'\'' => {
                let start = at + 1;
                let mut end = find(start, "'").unwrap_or(bytes.len());
                while bytes.get(end + 1) == Some(&b'\'') {
                    end = find(end + 2, "'").unwrap_or(bytes.len());
                }
                found.push((start, end));
                end + 1
            }
            _ => at + 1,
        };
    }
    found
}

/// The name in `'name' = '` or `name = '`.
fn option_name(before: &str) -> Option<&str> {
    let name = before.strip_suffix('\'')?.trim_end().strip_suffix('=')?.trim_end();
    match name.strip_suffix('\'') {
        Some(quoted) => quoted.rsplit('\'').next(),
        None => name.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '`'))).next(),
    }
}

/// Where the password of `scheme://user:password@host` or of `…?password=…` is.
fn in_address(value: &str) -> Option<(usize, usize)> {
    let (_, authority) = value.split_once("://")?;
    let start = value.len() - authority.len();
    if let Some((user, _)) = authority.rsplit_once('@')
        && let Some(colon) = user.find(':')
    {
        return Some((start + colon + 1, start + user.len()));
    }
    let from = value.find("password=")? + "password=".len();
    let end = value.get(from..)?.find('&').map_or(value.len(), |end| from + end);
    Some((from, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_stars_of_their_length_and_nothing_else_is() {
        for (text, expected) in [
            (
                "WITH ('properties.sasl.password' = 'p''w', 'a'='b')",
                "WITH ('properties.sasl.password' = '****', 'a'='b')",
            ),
            ("WITH (password='pw', topic = 't')", "WITH (password='**', topic = 't')"),
            (
                "'a'='b','properties.sasl.jaas.config'='x \"pä\";','c'='d'",
                "'a'='b','properties.sasl.jaas.config'='*******','c'='d'",
            ),
            ("'properties.ssl.key.pem' = '-\nA\n'", "'properties.ssl.key.pem' = '*\n*\n'"),
            (
                "-- don't\n'password'='x' /* 'it' isn't */ 'secret'='y'",
                "-- don't\n'password'='*' /* 'it' isn't */ 'secret'='*'",
            ),
            ("/*+ OPTIONS('password'='x') */", "/*+ OPTIONS('password'='*') */"),
            ("'password'='${PW}'", "'password'='${PW}'"),
            ("'password' = 'open", "'password' = '****"),
            ("'url'='postgres://u:p@q@h:1/d'", "'url'='postgres://u:***@h:1/d'"),
            (
                "'url'='jdbc:postgresql://h/d?user=u&password=p&x=y'",
                "'url'='jdbc:postgresql://h/d?user=u&password=*&x=y'",
            ),
            ("'url'='jdbc:postgresql://h:5432/d'", "'url'='jdbc:postgresql://h:5432/d'"),
            ("WHERE password = 'x'", "WHERE password = '*'"),
            ("SELECT 'password', 'x' FROM t", "SELECT 'password', 'x' FROM t"),
            ("'a'='''' 'password'='''x'", "'a'='''' 'password'='***'"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_lines_and_columns(text in "(?s)('password'|=|'|--|/\\*|\\*/|://|@|:|.)*") {
            let shown = masked(&text);
            let widths = |text: &str| text.split('\n').map(|line| line.chars().count()).collect::<Vec<_>>();
            proptest::prop_assert_eq!(widths(&shown), widths(&text));
        }
    }
}
