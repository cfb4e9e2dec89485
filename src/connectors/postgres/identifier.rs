//! Names in SQL text: the only way a name of the script gets there. Values never do.

use crate::error::{Error, Result};

/// PostgreSQL cuts longer names, without a word of complaint.
const BYTES_MAX: usize = 63;

/// A name as an identifier, whatever is in it.
///
/// # Errors
/// `Config` if the database would change it: empty, with NUL, or longer than 63 bytes.
pub(super) fn quote(name: &str) -> Result<String> {
    let wrong = if name.is_empty() {
        "is empty".to_owned()
    } else if name.contains('\0') {
        "holds a NUL character".to_owned()
    } else if name.len() > BYTES_MAX {
        format!("has {} bytes, and PostgreSQL keeps {BYTES_MAX}", name.len())
    } else {
        return Ok(format!("\"{}\"", name.replace('"', "\"\"")));
    };
    Err(Error::config(format!("the name \"{}\" {wrong}", name.replace('\0', "\\0"))))
}

/// A text as a literal. Only for names that functions take as text: values go as parameters.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) schema: String,
    pub(super) table: String,
}

impl TableName {
    /// Reads `alerts`, `public.alerts` or `"My Schema"."a.b"`.
    ///
    /// # Errors
    /// `Config` if it is no name.
    pub(super) fn parse(text: &str, default_schema: &str) -> Result<Self> {
        let mut parts = split(text).ok_or_else(|| {
            Error::config(format!("\"{text}\" is not a table name"))
                .hint("write table, schema.table or \"Schema\".\"Table\"")
        })?;
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop().unwrap_or_else(|| default_schema.to_owned());
        if !parts.is_empty() {
            return Err(Error::config(format!("\"{text}\" has more parts than a schema and a table"))
                .hint("the database is named by the URL or the option \"database\""));
        }
        quote(&table)?;
        quote(&schema)?;
        Ok(Self { schema, table })
    }

    /// `"schema"."table"`.
    ///
    /// # Errors
    /// As [`quote`].
    pub(super) fn quoted(&self) -> Result<String> {
        Ok(format!("{}.{}", quote(&self.schema)?, quote(&self.table)?))
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// The parts between dots that are not within quotes; `None` if a quote is not closed or stands in the middle.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut characters) = (Vec::new(), text.trim().chars().peekable());
    loop {
        let mut part = String::new();
        if characters.next_if_eq(&'"').is_some() {
            loop {
                match characters.next()? {
                    '"' if characters.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    other => part.push(other),
                }
            }
        } else {
            while let Some(character) = characters.next_if(|c| *c != '.' && *c != '"') {
                part.push(character);
            }
        }
        parts.push(part);
        match characters.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What PostgreSQL's lexer makes of a quoted identifier.
    fn read_back(quoted: &str) -> Option<String> {
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let mut text = String::new();
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            if character == '"' && characters.next() != Some('"') {
                return None;
            }
            text.push(character);
        }
        Some(text)
    }

    proptest! {
        #[test]
        fn every_name_comes_back_or_is_refused(name in any::<String>()) {
            match quote(&name) {
                Ok(quoted) => {
                    prop_assert_eq!(read_back(&quoted), Some(name.clone()));
                    let parsed = TableName::parse(&quoted, "public").unwrap();
                    prop_assert_eq!(parsed, TableName { schema: "public".into(), table: name });
                }
                Err(_) => prop_assert!(name.is_empty() || name.len() > 63 || name.contains('\0')),
            }
        }

        #[test]
        fn names_of_tables_never_panic(text in any::<String>()) {
            drop(TableName::parse(&text, "public"));
        }
    }

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(quote("a\"; DROP TABLE b; --").unwrap(), "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(quote("ünï").unwrap(), "\"ünï\"");
        assert!(quote(&"x".repeat(63)).is_ok());
        assert!(quote(&"ü".repeat(32)).unwrap_err().message().contains("64 bytes"));
        assert!(quote("a\0b").is_err() && quote("").is_err());
        assert_eq!(literal("it's \\"), " E'it''s \\\\'");
    }

    #[test]
    fn tables_have_schemas() {
        let name = |text| TableName::parse(text, "public").map(|name| (name.schema, name.table));
        assert_eq!(name("alerts").unwrap(), ("public".into(), "alerts".into()));
        assert_eq!(name("plant.alerts").unwrap(), ("plant".into(), "alerts".into()));
        assert_eq!(name("\"My \"\"Plant\"\"\".\"a.b\"").unwrap(), ("My \"Plant\"".into(), "a.b".into()));
        for wrong in ["", "a.", ".a", "a.b.c", "\"a", "a\"b", "\"a\"b"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
