//! What travels on an edge, and where a row came from.
//!
//! An edge carries [`StreamElement`]s: batches with watermarks and barriers among them, in order.
//! Every batch ends with three *origin columns*, which no query can name: the partition a row was
//! read from, its offset there, and the watermark of that partition just before the row. With them
//! lateness and the order of ties are functions of the input log alone, whatever the interleaving.

use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::EventTime;

/// One thing on an edge. Schema never changes, watermarks never fall, epochs rise by one, and nothing
/// follows `EndOfInput`.
#[derive(Debug, Clone)]
pub enum StreamElement {
    /// Rows: the node's columns, then the origin columns.
    Batch(RecordBatch),
    /// No later row of this edge is older and still on time.
    Watermark(EventTime),
    /// Everything before belongs to the barrier's epoch or an earlier one.
    Barrier(Barrier),
    /// Nothing follows.
    EndOfInput,
}

/// The end of an epoch, travelling with the rows (Chandy & Lamport 1985; Carbone et al. 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// Number of the epoch that ends here; rises by one.
    pub epoch: u64,
    /// The pipeline stops after this one: no row follows.
    pub last: bool,
}

/// A partition of a source, numbered so that the order of ties (time, partition, offset) is fixed:
/// the source's place in the plan, the topic's place in the source, and the partition number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId(pub i32);

impl PartitionId {
    /// Packs the three numbers: 7, 8 and 16 bits.
    ///
    /// # Errors
    /// `Config` if one of them is out of range.
    pub fn new(source: usize, topic: usize, partition: i32) -> Result<Self> {
        if source > 127 || topic > 255 || !(0..=0xffff).contains(&partition) {
            return Err(Error::config(format!(
                "partition {partition} of topic number {topic} of source number {source} is beyond the limit of \
                 65536 partitions, 256 topics and 128 sources"
            )));
        }
        Ok(Self(((source as i32) << 24) | ((topic as i32) << 16) | partition))
    }

    /// Number of the topic in its source.
    pub fn topic(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    /// Place of the source among the plan's sources.
    pub fn source(self) -> usize {
        (self.0 >> 24) as usize
    }
}

/// Name of the origin column that holds the [`PartitionId`].
pub const ORIGIN_PARTITION: &str = "$partition";
/// Name of the origin column that holds the offset in the partition.
pub const ORIGIN_OFFSET: &str = "$offset";
/// Name of the origin column that holds the partition's watermark just before the row.
pub const ORIGIN_WATERMARK: &str = "$watermark";
/// How many origin columns end every batch.
pub const ORIGIN_COLUMNS: usize = 3;

static ORIGIN_FIELDS: LazyLock<[FieldRef; ORIGIN_COLUMNS]> = LazyLock::new(|| {
    [
        Arc::new(Field::new(ORIGIN_PARTITION, DataType::Int32, false)),
        Arc::new(Field::new(ORIGIN_OFFSET, DataType::Int64, false)),
        Arc::new(Field::new(ORIGIN_WATERMARK, DataType::Int64, false)),
    ]
});

/// The schema of batches on an edge whose node has the columns `schema`.
pub fn with_origin(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(ORIGIN_FIELDS.iter().cloned()).collect();
    Arc::new(Schema::new(fields))
}

/// The node's columns of a batch, without the origin columns.
///
/// # Errors
/// `Internal` if the batch has no origin columns.
pub fn without_origin(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = user_columns(batch)?;
    Ok(batch.project(&(0..columns).collect::<Vec<_>>())?)
}

/// Number of columns before the origin columns.
///
/// # Errors
/// `Internal` if the batch has no origin columns.
pub fn user_columns(batch: &RecordBatch) -> Result<usize> {
    batch
        .num_columns()
        .checked_sub(ORIGIN_COLUMNS)
        .ok_or_else(|| Error::internal("a batch on an edge has no origin columns"))
}

/// The origin columns of a batch, `[n]` each.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    /// [`PartitionId`] of each row.
    pub partition: &'a Int32Array,
    /// Offset of each row in its partition.
    pub offset: &'a Int64Array,
    /// Watermark (ms) of its partition before each row; `i64::MIN` where none is known yet.
    pub watermark: &'a Int64Array,
}

impl<'a> Origin<'a> {
    /// Reads the last three columns of `batch`.
    ///
    /// # Errors
    /// `Internal` if they are not the origin columns.
    pub fn of(batch: &'a RecordBatch) -> Result<Self> {
        let first = user_columns(batch)?;
        let missing = || Error::internal("a batch on an edge does not end with the origin columns");
        Ok(Self {
            partition: batch.column(first).as_primitive_opt::<Int32Type>().ok_or_else(missing)?,
            offset: batch.column(first + 1).as_primitive_opt::<Int64Type>().ok_or_else(missing)?,
            watermark: batch.column(first + 2).as_primitive_opt::<Int64Type>().ok_or_else(missing)?,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offset.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that came after its time: kept in the ledger, never silently away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LateRow {
    /// Where it was read.
    pub partition: PartitionId,
    /// Offset in that partition.
    pub offset: i64,
    /// Its event time, ms since the epoch.
    pub event_time: i64,
    /// The watermark of its partition when it was read, ms since the epoch.
    pub watermark: i64,
    /// Name of the operator that could not take it any more.
    pub operator: String,
}

/// How far one partition has been read, as the manifest keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Name of the table.
    pub table: String,
    /// Topic, or file name.
    pub topic: String,
    /// Partition number in the topic; 0 for files.
    pub partition: i32,
    /// Number used in the origin columns.
    pub id: PartitionId,
    /// The first offset not read yet.
    pub next_offset: i64,
    /// The partition's watermark, ms since the epoch; `i64::MIN` before the first.
    pub watermark: i64,
    /// Nothing more will come (bounded input).
    pub finished: bool,
    /// What the connector knows its input by: a topic's id, the files read. A restart compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<serde_json::Value>,
    /// Rows read, and what became of them.
    pub counts: RowCounts,
}

/// The row ledger of one partition: `read = processed + late + bad + future + tombstones`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Records read from the partition, as the connector counted them when it took them; an array message of n
    /// rows counts n, as its decoder found them.
    pub read: u64,
    /// Rows taken by every operator that saw them.
    pub processed: u64,
    /// Rows at least one operator could not take any more, each counted once.
    pub late: u64,
    /// Records that could not be decoded.
    pub bad: u64,
    /// Rows with a time stamp too far in the future.
    pub future: u64,
    /// Records without a value.
    pub tombstones: u64,
}

impl RowCounts {
    /// Whether every row is accounted for.
    pub fn balanced(&self) -> bool {
        self.read == self.processed + self.late + self.bad + self.future + self.tombstones
    }
}

impl std::ops::AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.processed += other.processed;
        self.late += other.late;
        self.bad += other.bad;
        self.future += other.future;
        self.tombstones += other.tombstones;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_ids_sort_by_source_topic_partition() -> Result<()> {
        let ids = [PartitionId::new(0, 0, 3)?, PartitionId::new(0, 1, 0)?, PartitionId::new(1, 0, 0)?];
        assert!(ids.is_sorted());
        assert_eq!(ids[2].source(), 1);
        assert!(PartitionId::new(0, 0, 70_000).is_err());
        Ok(())
    }

    #[test]
    fn a_missing_row_unbalances_the_ledger() {
        let counts = RowCounts { read: 10, processed: 7, late: 1, bad: 1, future: 0, tombstones: 1 };
        assert!(counts.balanced());
        assert!(!RowCounts { read: 11, ..counts }.balanced());
    }
}
