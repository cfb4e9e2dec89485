//! The `blackhole` connector: takes rows and keeps nothing. For measuring everything before a sink.

use arrow::array::RecordBatch;
use futures::future::BoxFuture;

use crate::connectors::{Sink, SinkState, Usage};
use crate::error::{Error, Result};
use crate::table::TableSpec;

const NAMES: &[&str] = &["connector", "property-version"];

/// All problems of the table's options.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    if usage == Usage::Source {
        return vec![
            Error::config(format!("table \"{}\" cannot be read: connector \"blackhole\" is a sink", table.name))
                .or_at(table.options.span("connector").or(table.span)),
        ];
    }
    let unknown = table.options.keys().filter(|key| !NAMES.contains(key));
    let error = |key| {
        table
            .options
            .error(key, format!("connector \"blackhole\" has no option \"{key}\""))
            .nearest(key, NAMES.iter().copied())
    };
    unknown.map(error).collect()
}

/// A table that swallows rows.
pub struct BlackholeSink;

impl BlackholeSink {
    /// Checks the table's options.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec) -> Result<Self> {
        match Error::collect(validate(table, Usage::Sink)) {
            Some(error) => Err(error),
            None => Ok(Self),
        }
    }
}

impl Sink for BlackholeSink {
    fn write(&mut self, _rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn prepare(&mut self, _epoch: u64, _last: bool) -> BoxFuture<'_, Result<SinkState>> {
        Box::pin(async { Ok(SinkState::default()) })
    }

    fn commit(&mut self, _epoch: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn restore(&mut self, _state: Option<SinkState>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{OptionValue, Options};

    #[test]
    fn options_are_checked() {
        let options = |names: &[&str]| {
            Options(names.iter().map(|n| ((*n).to_owned(), OptionValue { value: "x".into(), span: None })).collect())
        };
        let mut table = TableSpec {
            name: "t".into(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            partitioned_by: Vec::new(),
            options: options(&["connector"]),
            span: None,
        };
        assert!(BlackholeSink::open(&table).is_ok());
        assert_eq!(validate(&table, Usage::Source).len(), 1);
        table.options = options(&["conector"]);
        assert_eq!(validate(&table, Usage::Sink)[0].hint_text(), Some("did you mean \"connector\"?"));
    }
}
