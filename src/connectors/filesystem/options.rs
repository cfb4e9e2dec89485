//! The options of the filesystem connector, by Flink's names. Options that would change what is written or
//! read and are not supported are refused by name; keys below the format's prefix belong to the format, and
//! as in Flink nobody checks their names.

use std::path::PathBuf;
use std::time::Duration;

use parquet::basic::{Compression, ZstdLevel};

use crate::connectors::{BadRecords, Usage};
use crate::error::{Error, Result};
use crate::table::{ColumnKind, Options, TableSpec};
use crate::time::{parse_bytes, parse_duration};

const NAMES: &[&str] = &[
    "connector",
    "path",
    "format",
    "bad-records",
    "partition.default-name",
    "sink.rolling-policy.file-size",
    "sink.rolling-policy.rollover-interval",
    "sink.rolling-policy.check-interval",
    "sink.parallelism",
    "sink.shuffle-by-partition.enable",
    "source.report-statistics",
    "auto-compaction",
    "compaction.file-size",
    "compaction.parallelism",
    "sink.partition-commit.trigger",
    "sink.partition-commit.delay",
    "sink.partition-commit.watermark-time-zone",
    "partition.time-extractor.kind",
    "partition.time-extractor.class",
    "partition.time-extractor.timestamp-pattern",
    "partition.time-extractor.timestamp-formatter",
];

/// Flink has them, this connector not yet; without them the harmless ones above have no effect.
const NOT_YET: &[(&str, &str)] = &[
    ("source.monitor-interval", "files are read once: remove the option"),
    ("source.path.regex-pattern", "put the files to read into a folder of their own"),
    ("sink.partition-commit.policy.kind", "files are visible as soon as they are committed: remove the option"),
    ("sink.partition-commit.policy.class", "files are visible as soon as they are committed: remove the option"),
    ("sink.partition-commit.policy.class.parameters", "remove the option"),
    ("sink.partition-commit.success-file.name", "remove the option"),
];

const FORMATS: &[&str] = &["json", "csv", "raw", "parquet"];

/// How the rows stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object per line.
    Json,
    /// One record per line, except that quoted fields may hold line ends.
    Csv,
    /// One value per line, for the one column there is.
    Raw,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// Its name, which is also the end of file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Raw => "raw",
            Self::Parquet => "parquet",
        }
    }
}

/// The typed options.
#[derive(Debug, Clone)]
pub(super) struct FileOptions {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) bad_records: BadRecords,
    /// Folder value that stands for NULL.
    pub(super) default_partition: String,
    /// A file is finished once it has so many bytes (measured before compression),
    pub(super) file_size_bytes: u64,
    /// or is so old.
    pub(super) rollover_interval: Duration,
    pub(super) compression: Compression,
}

impl FileOptions {
    /// Parses the options of a table.
    ///
    /// # Errors
    /// `Config`: all that is wrong.
    pub(super) fn parse(table: &TableSpec, usage: Usage) -> Result<Self> {
        let options = &table.options;
        let mut errors = names(options);
        errors.extend(partition_columns(table));
        errors.extend(values(options));
        if usage == Usage::Source && table.physical().next().is_none() {
            errors.push(Error::config(format!("table \"{}\" has no column to read", table.name)).or_at(table.span));
        }
        let mut keep = |error| errors.push(error);
        let parsed = Self {
            path: path(table).map_err(&mut keep).unwrap_or_default(),
            format: format(table).map_err(&mut keep).unwrap_or(Format::Json),
            bad_records: BadRecords::of(table).map_err(&mut keep).unwrap_or(BadRecords::Fail),
            default_partition: options.get("partition.default-name").unwrap_or("__DEFAULT_PARTITION__").into(),
            file_size_bytes: options.bytes("sink.rolling-policy.file-size", 128 << 20).map_err(&mut keep).unwrap_or(0),
            rollover_interval: options
                .duration("sink.rolling-policy.rollover-interval", Duration::from_secs(30 * 60))
                .map_err(&mut keep)
                .unwrap_or_default(),
            compression: compression(options).map_err(&mut keep).unwrap_or(Compression::UNCOMPRESSED),
        };
        match Error::collect(errors) {
            Some(error) => Err(error),
            None => Ok(parsed),
        }
    }
}

/// Unknown and unsupported names.
fn names(options: &Options) -> Vec<Error> {
    let mut errors = Vec::new();
    for key in options.keys() {
        let of_format = FORMATS.iter().any(|f| key.strip_prefix(f).is_some_and(|rest| rest.starts_with('.')));
        if of_format || NAMES.contains(&key) {
            continue;
        }
        errors.push(match NOT_YET.iter().find(|(name, _)| *name == key) {
            Some((_, hint)) => options.error(key, format!("option \"{key}\" is not supported yet")).hint(*hint),
            None => options
                .error(key, format!("connector \"filesystem\" has no option \"{key}\""))
                .nearest(key, NAMES.iter().copied()),
        });
    }
    errors
}

/// Options that are checked although nothing is done with them.
fn values(options: &Options) -> Vec<Error> {
    let mut errors = Vec::new();
    match options.boolean("auto-compaction", false) {
        Ok(true) => errors.push(
            options
                .error("auto-compaction", "option \"auto-compaction\" = \"true\" is not supported yet")
                .hint("raise \"sink.rolling-policy.rollover-interval\" for fewer, larger files"),
        ),
        Ok(false) => {}
        Err(e) => errors.push(e),
    }
    errors.extend(options.boolean("sink.shuffle-by-partition.enable", false).err());
    errors.extend(options.parsed("compaction.file-size", 0, parse_bytes).err());
    errors.extend(options.parsed("sink.rolling-policy.check-interval", Duration::ZERO, parse_duration).err());
    errors.extend(options.number("sink.parallelism", 1u32).err());
    errors
}

fn partition_columns(table: &TableSpec) -> Vec<Error> {
    let physical: Vec<&str> = table.physical().map(|c| c.name.as_str()).collect();
    let mut errors = Vec::new();
    for name in &table.partitioned_by {
        if !physical.contains(&name.as_str()) {
            let message = match table.columns.iter().find(|c| c.name == *name).map(|c| &c.kind) {
                Some(ColumnKind::Computed | ColumnKind::Metadata { .. }) => {
                    format!("partition column \"{name}\" of table \"{}\" is not a plain column", table.name)
                }
                _ => format!("partition column \"{name}\" not found in table \"{}\"", table.name),
            };
            errors.push(Error::config(message).or_at(table.span).nearest(name, physical.iter().copied()));
        }
    }
    if errors.is_empty() && !physical.is_empty() && table.partitioned_by.len() >= physical.len() {
        errors.push(
            Error::config(format!("all columns of table \"{}\" are partition columns", table.name))
                .or_at(table.span)
                .hint("leave at least one column out of PARTITIONED BY"),
        );
    }
    errors
}

fn path(table: &TableSpec) -> Result<PathBuf> {
    let Some(text) = table.options.get("path").map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(Error::config(format!("table \"{}\" has no option \"path\"", table.name))
            .or_at(table.options.span("path").or(table.span))
            .hint("add 'path' = 'data/…' to WITH"));
    };
    let local = match text.split_once(':') {
        Some(("file", rest)) => match rest.strip_prefix("//") {
            Some(after) if after.starts_with('/') => after,
            Some(_) => {
                return Err(table
                    .options
                    .error("path", format!("path \"{text}\" names a host"))
                    .hint("write \"file:///absolute/path\""));
            }
            None => rest,
        },
        Some((scheme, rest)) if rest.starts_with("//") => {
            return Err(table
                .options
                .error("path", format!("path \"{text}\": file system \"{scheme}\" is not supported yet"))
                .hint("write a local path: \"data/out\", \"/data/out\" or \"file:///data/out\""));
        }
        _ => text,
    };
    if local.contains('\0') {
        return Err(table.options.error("path", "option \"path\" holds a NUL character"));
    }
    Ok(PathBuf::from(local))
}

fn format(table: &TableSpec) -> Result<Format> {
    let Some(name) = table.options.get("format") else {
        return Err(Error::config(format!("table \"{}\" has no option \"format\"", table.name))
            .or_at(table.span)
            .hint(format!("add 'format' = '…' to WITH; supported: {}", FORMATS.join(", "))));
    };
    match name {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        "raw" => Ok(Format::Raw),
        "parquet" => Ok(Format::Parquet),
        _ => {
            let error = table.options.error("format", format!("format \"{name}\" is not supported for files"));
            Err(match crate::error::nearest(name, FORMATS.iter().copied()) {
                Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                None => error.hint(format!("supported: {}", FORMATS.join(", "))),
            })
        }
    }
}

fn compression(options: &Options) -> Result<Compression> {
    let zstd = || Ok(Compression::ZSTD(ZstdLevel::default()));
    let Some(name) = options.get("parquet.compression") else { return zstd() };
    match name.to_ascii_lowercase().as_str() {
        "zstd" => zstd(),
        "snappy" => Ok(Compression::SNAPPY),
        "lz4_raw" => Ok(Compression::LZ4_RAW),
        "uncompressed" | "none" => Ok(Compression::UNCOMPRESSED),
        _ => Err(options
            .error("parquet.compression", format!("Parquet compression \"{name}\" is not supported"))
            .hint("supported: zstd, snappy, lz4_raw, uncompressed")),
    }
}
