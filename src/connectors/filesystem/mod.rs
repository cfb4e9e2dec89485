//! The `filesystem` connector: a folder of JSON, CSV or Parquet files as a table.
//!
//! Reading ends by itself; rows are numbered in the order of paths and rows. Writing shows a file only
//! when the epochs in it are committed; until then its rows wait in a hidden staging file.
//!
//! One deliberate difference from Flink: the rolling policy holds for Parquet too. Flink finishes Parquet
//! files at every checkpoint, which at one checkpoint a second would make a file a second.

mod files;
mod fingerprint;
mod options;
mod parquet_file;
mod parquet_map;
mod publish;
mod sink;
mod source;
mod text;

pub use publish::last_epoch;
pub use sink::{FileSink, STAGING};
pub use source::FileSource;

use std::path::PathBuf;

use crate::connectors::Usage;
use crate::connectors::filesystem::options::FileOptions;
use crate::error::{Error, Result};
use crate::table::TableSpec;

/// The files of a table that a reader sees now, in order; none if its path is not there yet.
///
/// # Errors
/// `Config` for wrong options, `Unavailable` if a folder cannot be read.
pub fn visible_files(table: &TableSpec) -> Result<Vec<PathBuf>> {
    let options = FileOptions::parse(table, Usage::Source)?;
    if !options.path.try_exists()? {
        return Ok(Vec::new());
    }
    let listed = files::list(&options.path, &table.partitioned_by, &options.default_partition)?;
    Ok(listed.into_iter().map(|file| file.path).collect())
}

/// The file or folder of a table.
///
/// # Errors
/// `Config` for wrong options.
pub fn path(table: &TableSpec, usage: Usage) -> Result<PathBuf> {
    FileOptions::parse(table, usage).map(|options| options.path)
}

/// Metadata columns: (key, type as the script writes it, writable).
pub const METADATA: &[(&str, &str, bool)] = &[
    ("file.path", "STRING", false),
    ("file.name", "STRING", false),
    ("file.size", "BIGINT", false),
    ("file.modification-time", "TIMESTAMP_LTZ(3)", false),
];

/// All problems of the table's options. No I/O.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    let checked = FileOptions::parse(table, usage).and_then(|options| match usage {
        Usage::Source => source::check(table, &options),
        Usage::Sink => publish::Layout::new(table, &options).map(drop),
    });
    checked.err().map(Error::flatten).unwrap_or_default()
}
