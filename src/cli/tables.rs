//! A script's tables as DataFusion tables: bounded readings of what is there now.
//!
//! Parquet goes through DataFusion's own reader, which skips row groups and columns; everything else is read
//! by the connector that the job uses, so that an ad-hoc answer is made of the same rows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::cli::script::StateLayout;
use crate::connectors::{self, Fetched, Gap, JobContext, StartAt, filesystem};
use crate::error::{Error, Result};
use crate::plan::Source;
use crate::runtime::ledger::{self, LEDGER_KINDS};
use crate::sql::{Script, Session, session};
use crate::table::{OptionValue, TableSpec};
use crate::time::{Clock, system_clock};

/// A session over the script's tables and the ledger of its job.
pub(super) fn open(script: &Script, layout: &StateLayout) -> Result<Session> {
    let mut session = session(script, provider)?;
    for kind in LEDGER_KINDS {
        let table = ledger::table(&layout.ledger(), kind);
        session.register(&format!("ledger.{}", kind.name()), parquet(&table)?);
    }
    Ok(session)
}

fn provider(table: &TableSpec, source: Source) -> Result<Arc<dyn TableProvider>> {
    match table.connector() {
        "filesystem" if table.options.get("format") == Some("parquet") && table.partitioned_by.is_empty() => {
            parquet(table)
        }
        "filesystem" | "datagen" | "kafka" => streaming(bounded(table)?, source),
        other => nothing(table, format!("a table of connector \"{other}\" keeps no rows")),
    }
}

/// The table read from its beginning to its present end.
fn bounded(table: &TableSpec) -> Result<TableSpec> {
    let mut table = table.clone();
    if table.connector() == "kafka" {
        let ranges = [("scan.startup.mode", "earliest-offset"), ("scan.bounded.mode", "latest-offset")];
        for (key, value) in ranges {
            table.options.0.insert(key.to_owned(), OptionValue { value: value.to_owned(), span: None });
        }
    }
    Ok(table)
}

fn parquet(table: &TableSpec) -> Result<Arc<dyn TableProvider>> {
    let schema = table.sink_schema();
    let files = filesystem::visible_files(table)?;
    if files.is_empty() {
        return Ok(Arc::new(MemTable::try_new(schema, vec![Vec::new()])?));
    }
    let urls = files.iter().map(|file| file_url(file)).collect::<Result<Vec<_>>>()?;
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

fn file_url(file: &Path) -> Result<ListingTableUrl> {
    let path = std::path::absolute(file)?;
    Ok(ListingTableUrl::parse(path.to_string_lossy())?)
}

fn streaming(table: TableSpec, source: Source) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let reading: Arc<dyn PartitionStream> = Arc::new(Reading { table, source, schema: Arc::clone(&schema) });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![reading])?))
}

/// A table that can be named but not read: the reason comes when it is.
fn nothing(table: &TableSpec, reason: String) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let refused: Arc<dyn PartitionStream> = Arc::new(Refused { schema: Arc::clone(&schema), reason });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![refused])?))
}

/// All partitions of a table, one after the other.
struct Reading {
    table: TableSpec,
    source: Source,
    schema: SchemaRef,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({})", self.table.name)
    }
}

impl PartitionStream for Reading {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let (rows, table) = (builder.tx(), self.table.clone());
        let (source, schema) = (self.source.clone(), Arc::clone(&self.schema));
        let clock = system_clock();
        builder.spawn(async move {
            let mut open =
                connectors::open_source(&table, &JobContext { pipeline: "sql".into(), ..JobContext::default() })?;
            for split in open.splits().await? {
                let mut reader = open.open(&split, StartAt::Configured).await?;
                loop {
                    let batch = match reader.next().await? {
                        Fetched::Rows(batch) => batch,
                        // retention went over the rows while they were read: an answer without them would be wrong
                        Fetched::Gap(gap) => return Err(lost(&table.name, &gap).into()),
                        Fetched::End => break,
                    };
                    let declared = declared(&source, &schema, &batch.rows, &clock)?;
                    if declared.num_rows() > 0 && rows.send(Ok(declared)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

fn lost(table: &str, gap: &Gap) -> Error {
    Error::data(format!("records of \"{table}\" from offset {} to {} are gone: {}", gap.first, gap.next, gap.message))
        .hint("ask again")
}

/// The declared columns of rows that the connector delivered; a `PROCTIME()` column has the time of this query.
fn declared(source: &Source, schema: &SchemaRef, rows: &RecordBatch, clock: &Clock) -> Result<RecordBatch> {
    let count = rows.num_rows();
    let columns = source.columns.iter().enumerate().map(|(place, column)| match source.proctime == Some(place) {
        true => {
            Ok(ScalarValue::TimestampMillisecond(Some(clock.now_ms()), Some("UTC".into())).to_array_of_size(count)?)
        }
        false => Ok(column.expr.evaluate(rows)?.into_array(count)?),
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>>>()?)?)
}

#[derive(Debug)]
struct Refused {
    schema: SchemaRef,
    reason: String,
}

impl PartitionStream for Refused {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let error: DataFusionError = Error::config(self.reason.clone()).into();
        let stream = futures::stream::once(async move { Err(error) });
        Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}
