//! PostgreSQL and TimescaleDB: tables that are written, exactly once.
//!
//! An epoch is one transaction of the database: the rows are copied in binary form into a temporary table (`encode`),
//! merged into the table, and the marker row that says "epoch n is here" goes with them (`target`). Two connectors share
//! this folder: `jdbc` takes Flink's options, `postgres` host, port and database. What a column of the script may
//! become in the database is decided in `types`, what the database has is read in `catalog`.

mod catalog;
mod connection;
mod encode;
mod identifier;
mod numeric;
mod options;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod types;
mod url;

use self::options::PostgresOptions;
use self::target::PostgresTarget;
use crate::connectors::delivery::Outbox;
use crate::connectors::{JobContext, Sink, Usage};
use crate::error::{Error, Result};
use crate::table::TableSpec;

/// All problems of a table's options. No I/O.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    PostgresOptions::parse(table, usage).err().unwrap_or_default()
}

/// Where a table's rows are, without secrets.
pub fn place(table: &TableSpec) -> String {
    let name = table.options.get("table-name").unwrap_or("?");
    match PostgresOptions::parse(table, Usage::Sink) {
        Ok(options) => format!("postgres table {name} at {}", options.address()),
        Err(_) => format!("postgres table {name}"),
    }
}

/// Opens a table for writing.
///
/// # Errors
/// `Config` for wrong options.
pub fn open_sink(table: &TableSpec, sink: &str, job: &JobContext) -> Result<Box<dyn Sink>> {
    let options = PostgresOptions::parse(table, Usage::Sink).map_err(|errors| {
        Error::collect(errors).unwrap_or_else(|| Error::internal("options wrong without an error"))
    })?;
    let target = PostgresTarget::new(table, options)?;
    Ok(Box::new(Outbox::new(Box::new(target), table.sink_schema(), sink, job)))
}
