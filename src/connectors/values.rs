//! The rows of `VALUES`: a source whose rows are part of the plan.
//!
//! It has no name in `CREATE TABLE`. The rows are an option of the table like any other, as Arrow's own stream in
//! hexadecimal digits, so a plan stays plain data that can be opened again; their hash is part of the table's name,
//! so that a state made with other rows does not fit.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use futures::future::BoxFuture;

use crate::connectors::{Fetched, Source, SourceBatch, Split, SplitReader, StartAt};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options, TableSpec};

/// Value of the option `connector` of these tables.
pub const CONNECTOR: &str = "values";
const ROWS: &str = "rows";

/// A table of these rows.
///
/// # Errors
/// `Internal` if Arrow cannot write them.
pub fn table(rows: &RecordBatch) -> Result<TableSpec> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    let bytes = writer.into_inner()?;
    let schema = rows.schema();
    let columns = schema.fields().iter().map(|field| ColumnSpec {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        sql_type: String::new(),
        nullable: true,
        kind: ColumnKind::Physical,
    });
    let option = |value: String| OptionValue { value, span: None };
    Ok(TableSpec {
        name: format!("values_{:016x}", hash(&bytes)),
        columns: columns.collect(),
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        options: Options(
            [("connector", CONNECTOR.to_owned()), (ROWS, to_hex(&bytes))]
                .map(|(key, value)| (key.to_owned(), option(value)))
                .into(),
        ),
        span: None,
    })
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv).
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    for byte in bytes {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// The rows of `VALUES`.
pub struct ValuesSource {
    rows: RecordBatch,
    table: String,
}

impl ValuesSource {
    /// Reads the rows of a table made by [`table`].
    ///
    /// # Errors
    /// `Internal` if it was not.
    pub fn open(table: &TableSpec) -> Result<Self> {
        let broken = || Error::internal(format!("the rows of \"{}\" cannot be read", table.name));
        let bytes = table.options.get(ROWS).and_then(from_hex).ok_or_else(broken)?;
        let rows = StreamReader::try_new(&bytes[..], None)?.next().ok_or_else(broken)??;
        let rows = RecordBatch::try_new(table.source_schema(), rows.columns().to_vec())?;
        Ok(Self { rows, table: table.name.clone() })
    }
}

impl Source for ValuesSource {
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>> {
        Box::pin(async { Ok(vec![Split { topic: self.table.clone(), partition: 0, topic_index: 0 }]) })
    }

    fn open<'a>(&'a mut self, _split: &'a Split, start: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>> {
        let next = match start {
            StartAt::Offset(offset) => usize::try_from(offset).unwrap_or(0).min(self.rows.num_rows()),
            StartAt::Configured | StartAt::Earliest => 0,
        };
        let reader = ValuesReader { rows: self.rows.clone(), next };
        Box::pin(async move { Ok(Box::new(reader) as Box<dyn SplitReader>) })
    }
}

struct ValuesReader {
    rows: RecordBatch,
    /// The first row that was not given.
    next: usize,
}

fn offset(row: usize) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

impl SplitReader for ValuesReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>> {
        let count = (self.rows.num_rows() - self.next).min(BATCH_ROWS_MAX);
        if count == 0 {
            return Box::pin(async { Ok(Fetched::End) });
        }
        let start = self.next;
        self.next += count;
        let batch = SourceBatch {
            rows: self.rows.slice(start, count),
            offsets: (start..self.next).map(offset).collect::<Vec<i64>>().into(),
            timestamps: None,
            bad: Vec::new(),
            tombstones: 0,
            read: count as u64,
            next_offset: offset(self.next),
        };
        Box::pin(async move { Ok(Fetched::Rows(Box::new(batch))) })
    }

    fn next_offset(&self) -> i64 {
        offset(self.next)
    }

    fn lag(&self) -> Option<u64> {
        Some((self.rows.num_rows() - self.next) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, Int32Array, StringArray};

    fn rows() -> RecordBatch {
        let decimals = Decimal128Array::from(vec![Some(15), None, Some(-1)]).with_precision_and_scale(38, 2).unwrap();
        RecordBatch::try_from_iter_with_nullable([
            ("EXPR$0", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef, true),
            ("EXPR$1", Arc::new(StringArray::from(vec![Some("ä"), Some(""), None])) as _, true),
            ("EXPR$2", Arc::new(decimals) as _, true),
        ])
        .unwrap()
    }

    #[tokio::test]
    async fn rows_come_back_from_any_position() -> Result<()> {
        let (rows, table) = (rows(), table(&rows())?);
        for start in 0..=3 {
            let mut source = ValuesSource::open(&table)?;
            let split = source.splits().await?.remove(0);
            let mut reader = source.open(&split, StartAt::Offset(offset(start))).await?;
            match reader.next().await? {
                Fetched::Rows(batch) => assert_eq!(batch.rows, rows.slice(start, 3 - start)),
                Fetched::Gap(_) | Fetched::End => assert_eq!(start, 3),
            }
            assert!(matches!(reader.next().await?, Fetched::End));
            assert_eq!(reader.next_offset(), 3);
        }
        Ok(())
    }

    #[test]
    fn other_rows_are_another_table() -> Result<()> {
        let whole = table(&rows())?;
        assert_eq!(whole, table(&rows())?);
        assert_ne!(whole.name, table(&rows().slice(0, 2))?.name);
        Ok(())
    }

    #[test]
    fn what_is_no_table_of_rows_is_no_panic() -> Result<()> {
        for text in ["", "0", "zz", "00", "ffffffff10"] {
            let mut broken = table(&rows())?;
            broken.options.0.insert(ROWS.to_owned(), OptionValue { value: text.to_owned(), span: None });
            assert!(ValuesSource::open(&broken).is_err(), "{text}");
        }
        Ok(())
    }
}
