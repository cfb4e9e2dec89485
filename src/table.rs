//! What a `CREATE TABLE` says, as plain data: columns and options with their places in the script.
//!
//! `sql` fills it, `connectors` and `formats` read it, the plan carries it.

pub mod float;
pub mod java_map;
pub mod map;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::error::{Error, Result, Span};
use crate::time::{EventTime, WATERMARK_MIN, parse_bytes, parse_duration};

/// Key of the metadata of a field that says how many digits the fraction of a TIME or time stamp is declared with,
/// which Arrow's units cannot.
pub const DIGITS: &str = "digits";

/// Parts of the names of options whose values are secrets.
const SECRETS: [&str; 9] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "jaas",
    "key.pem",
    "keystore.key",
    "oauthbearer.config",
];

/// Whether the value of the option of this name is never to be shown.
pub fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    SECRETS.iter().any(|part| option.contains(part))
}

/// A declared table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// Name; with its database, `plant.readings`, if that is not the default one.
    pub name: String,
    /// Columns in declared order.
    pub columns: Vec<ColumnSpec>,
    /// Columns of `PRIMARY KEY … NOT ENFORCED`.
    pub primary_key: Vec<String>,
    /// Columns of `PARTITIONED BY`.
    pub partitioned_by: Vec<String>,
    /// The `WITH` options.
    pub options: Options,
    /// Where the table is declared.
    pub span: Option<Span>,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSpec {
    /// Name, case-sensitive.
    pub name: String,
    /// Type in Arrow's words; `FLINK_SQL` types map one to one (`TIMESTAMP(3)` is `Timestamp(ms)`).
    pub data_type: DataType,
    /// Type as the script writes it, upper case: `TIMESTAMP(3)`.
    pub sql_type: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Where its values come from.
    pub kind: ColumnKind,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// The message or file.
    Physical,
    /// The connector: `METADATA FROM 'key' [VIRTUAL]`.
    Metadata {
        /// Name of the metadata, as the connector knows it.
        key: String,
        /// Read only: not part of what is written.
        virtual_: bool,
    },
    /// An expression over the other columns; the plan holds it.
    Computed,
}

impl ColumnSpec {
    /// The column as an Arrow field.
    pub fn field(&self) -> FieldRef {
        Arc::new(Field::new(&self.name, self.data_type.clone(), self.nullable))
    }
}

/// The declared length of a text or of bytes. Arrow's types have none, so it lives in [`ColumnSpec::sql_type`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Characters (code points), or bytes.
    pub size: u32,
    /// `CHAR` and `BINARY`: shorter values are filled up.
    pub fixed: bool,
}

impl Length {
    /// The length that a type says: `CHAR(5)`, `VARBINARY(3)`; `None` for `STRING`, `BYTES` and all other types.
    pub fn of(sql_type: &str) -> Option<Self> {
        let (name, rest) = sql_type.split_once('(')?;
        let fixed = match name {
            "CHAR" | "BINARY" => true,
            "VARCHAR" | "VARBINARY" => false,
            _ => return None,
        };
        Some(Self { size: rest.strip_suffix(')')?.parse().ok()?, fixed })
    }
}

impl TableSpec {
    /// As [`TableSpec::schema`], with the digits of times in the fields' metadata under [`DIGITS`].
    pub fn typed_schema(&self) -> SchemaRef {
        let field = |column: &ColumnSpec| {
            let digits = column.sql_type.strip_prefix("TIME").and_then(|rest| {
                let (_, digits) = rest.split_once('(')?;
                digits.split(')').next()
            });
            match digits {
                Some(digits) => {
                    let metadata = [(DIGITS.to_owned(), digits.to_owned())].into();
                    Arc::new(column.field().as_ref().clone().with_metadata(metadata))
                }
                None => column.field(),
            }
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// All columns, in declared order: what a query sees.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(ColumnSpec::field).collect::<Vec<_>>()))
    }

    /// Physical columns in declared order: what a format reads or writes.
    pub fn physical(&self) -> impl Iterator<Item = &ColumnSpec> {
        self.columns.iter().filter(|c| c.kind == ColumnKind::Physical)
    }

    /// What the connector delivers when the table is read: physical and metadata columns in declared order.
    pub fn source_schema(&self) -> SchemaRef {
        let read = self.columns.iter().filter(|c| c.kind != ColumnKind::Computed);
        Arc::new(Schema::new(read.map(ColumnSpec::field).collect::<Vec<_>>()))
    }

    /// Columns that are written when the table is a sink: physical and writable metadata columns in declared order.
    pub fn sink_columns(&self) -> impl Iterator<Item = &ColumnSpec> {
        self.columns.iter().filter(|c| match &c.kind {
            ColumnKind::Physical => true,
            ColumnKind::Metadata { virtual_, .. } => !virtual_,
            ColumnKind::Computed => false,
        })
    }

    /// [`TableSpec::sink_columns`] as a schema.
    pub fn sink_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.sink_columns().map(ColumnSpec::field).collect::<Vec<_>>()))
    }

    /// Watermarks up to this are not told.
    ///
    /// # Source
    /// Flink `WatermarkAssignerOperator`, which begins at 0; a Kafka source makes its watermarks itself.
    pub fn watermarks_above(&self) -> EventTime {
        match self.connector() {
            "kafka" => WATERMARK_MIN,
            _ => 0,
        }
    }

    /// The value of `connector`.
    pub fn connector(&self) -> &str {
        self.options.get("connector").unwrap_or_default()
    }
}

/// The `WITH` options of a table: name → value, with where each stands in the script.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options(pub BTreeMap<String, OptionValue>);

/// The value of one option.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionValue {
    /// The text, with variables filled in.
    pub value: String,
    /// Where key and value stand in the script.
    pub span: Option<Span>,
}

impl std::fmt::Debug for OptionValue {
    /// Values may be secrets (`properties.sasl.password`): never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Options {
    /// The text of an option.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|o| o.value.as_str())
    }

    /// Where an option stands in the script.
    pub fn span(&self, key: &str) -> Option<Span> {
        self.0.get(key).and_then(|o| o.span)
    }

    /// Names, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// An error about an option, at its place.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(message).or_at(self.span(key))
    }

    /// An option read by `parse`, or `default`; the error of `parse` gets the option's name and place.
    ///
    /// # Errors
    /// `Config` if the text is wrong.
    pub fn parsed<T>(&self, key: &str, default: T, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let Some(text) = self.get(key) else { return Ok(default) };
        parse(text).map_err(|e| {
            let error = self.error(key, format!("option \"{key}\": {}", e.message()));
            match e.hint_text() {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    /// A duration, or `default`.
    ///
    /// # Errors
    /// `Config` if the text is no duration.
    pub fn duration(&self, key: &str, default: Duration) -> Result<Duration> {
        self.parsed(key, default, parse_duration)
    }

    /// A size in bytes, or `default`.
    ///
    /// # Errors
    /// `Config` if the text is no size.
    pub fn bytes(&self, key: &str, default: u64) -> Result<u64> {
        self.parsed(key, default, parse_bytes)
    }

    /// `true` or `false`, or `default`.
    ///
    /// # Errors
    /// `Config` if the text is neither.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool> {
        self.parsed(key, default, |text| match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Error::config(format!("\"{text}\" is neither \"true\" nor \"false\""))),
        })
    }

    /// A number, or `default`.
    ///
    /// # Errors
    /// `Config` if the text is no such number.
    pub fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T> {
        self.parsed(key, default, |text| {
            text.trim().parse().map_err(|_| Error::config(format!("\"{text}\" is not a valid number")))
        })
    }

    /// One of the named values, or `default`.
    ///
    /// # Errors
    /// `Config` with the nearest or all valid values.
    pub fn one_of<T: Copy>(&self, key: &str, default: T, values: &[(&str, T)]) -> Result<T> {
        self.parsed(key, default, |text| {
            values.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())).map(|(_, v)| *v).ok_or_else(|| {
                let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
                let error = Error::config(format!("\"{text}\" is not a valid value"));
                let longer = || names.iter().find(|name| name.starts_with(text.trim())).copied();
                match crate::error::nearest(text, names.iter().copied()).or_else(longer) {
                    Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                    None => error.hint(format!("valid values: {}", names.join(", "))),
                }
            })
        })
    }
}
