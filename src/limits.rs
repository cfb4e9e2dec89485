//! Every upper bound of the engine, named and explained. Nothing grows without one of these, a
//! watermark or a time to live.

use std::time::Duration;

/// Rows of one batch from a source: large enough that per-batch costs vanish (decoding and grouping are
/// flat from 4096 rows on), small enough that a batch of wide rows stays below a few MiB.
pub const BATCH_ROWS_MAX: usize = 8192;

/// Elements waiting on one edge between two tasks. A full edge is the back-pressure.
pub const CHANNEL_ELEMENTS_MAX: usize = 4;

/// Rows one partition may be read ahead of the slowest partition of its source that still has unread
/// rows. They wait in event-time operators, so this bounds memory at catch-up; it changes no result.
pub const ALIGNMENT_ROWS_MAX: u64 = 50_000;

/// Bytes librdkafka may hold ready for one partition.
pub const KAFKA_QUEUE_BYTES_MAX: usize = 2 << 20;

/// Bytes librdkafka may hold of records written and not acknowledged, per sink. A full queue is the back-pressure.
pub const KAFKA_PRODUCE_BYTES_MAX: usize = 32 << 20;

/// Bytes of one Kafka record or line of a file; larger ones go to the ledger of bad records.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// Raw bytes of a bad record kept in the ledger.
pub const BAD_RECORD_BYTES_MAX: usize = 64 << 10;

/// Late rows of a job remembered until every operator has met them, so that none counts twice; in JSON about
/// 110 bytes of the manifest each. Beyond it the oldest are given up: rows of a partition up to there that an
/// operator behind an OVER still finds late are kept in the ledger as in the count already, so it is never too high.
pub const LATE_ROWS_REMEMBERED_MAX: usize = 50_000;

/// Rows that come to a window of a Top-N before it is worth looking for those that cannot leave it.
pub const PRUNE_ROWS_MIN: usize = 4096;

/// Windows that one row may be in: every row, or every slice, is kept or merged once for each.
pub const WINDOWS_PER_ROW_MAX: i64 = 20_000;

/// Rows that a join may make of one window: beyond it the keys are too few, and memory would be next.
pub const JOIN_ROWS_MAX: usize = 10_000_000;

/// Rows of constants that a stream may be joined with: they are in the plan, and without keys each row meets them all.
pub const CONSTANT_ROWS_MAX: usize = 10_000;

/// Bytes a function may make of one value: a wrong number in a record must not take the machine's memory.
pub const RESULT_BYTES_MAX: usize = 16 << 20;

/// Bytes of all values of one column of text or bytes: its offsets have 32 bits.
pub const COLUMN_BYTES_MAX: usize = i32::MAX as usize;

/// Characters of one number of a JSON document, as Jackson has it.
pub const JSON_NUMBER_BYTES_MAX: usize = 1_000;

/// Bytes of one regular expression: its tree takes up to a thousand times as many (`\p{L}` has 600 ranges).
pub const REGEX_BYTES_MAX: usize = 64 << 10;

/// Nesting of JSON values.
pub const JSON_DEPTH_MAX: usize = 100;

/// Bytes of one script.
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// Bytes of a file whose text is the value of a variable of a script: a password, or certificates.
pub const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Nesting of parentheses and subqueries in a script.
pub const SQL_DEPTH_MAX: usize = 64;

/// Parallel instances of a keyed operator.
pub const PARALLELISM_MAX: usize = 64;

/// Partition folders one file sink may have open.
pub const OPEN_FOLDERS_MAX: usize = 1_000;

/// Epochs between two full snapshots of an operator's state; those between are changes only.
pub const FULL_SNAPSHOT_EPOCHS: u64 = 60;

/// Manifests kept behind the newest.
pub const MANIFESTS_KEPT: usize = 4;

/// Bytes of one HTTP request body, which nobody reads. A head may have about 400 KiB and 100 lines: hyper's bounds.
pub const HTTP_BODY_BYTES_MAX: usize = 64 << 10;

/// Connections the HTTP server holds at once; further ones wait until one ends.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// How long one connection of HTTP may take in all. Those who ask for metrics open another.
pub const HTTP_CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);

/// Time between two looks at idle partitions and at the source-wide watermark.
pub const SOURCE_TICK: Duration = Duration::from_millis(50);

/// Committed epochs of a sink that may wait for a system that is away; then the job waits too, and drops nothing.
pub const UNDELIVERED_EPOCHS_MAX: usize = 64;

/// How long one transient failure of a connector is retried before the job stops.
pub const RETRY_TIME_MAX: Duration = Duration::from_secs(60);

/// A time stamp further than this ahead of its record's own time stamp never moves the watermark. A day
/// covers every time zone a local time without zone can be in.
pub const FUTURE_SKEW_DEFAULT: Duration = Duration::from_secs(24 * 3600);
