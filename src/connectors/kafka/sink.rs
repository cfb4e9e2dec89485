//! A Kafka table as a sink at least once: rows become records, an epoch is safe when every record of it is acknowledged.
//!
//! Records are visible before their epoch is committed, and are written again after a crash. Retries happen inside
//! librdkafka, idempotently; what it gives up stops the job at the next barrier.

use arrow::array::RecordBatch;
use futures::future::BoxFuture;

use super::admin::Producer;
use super::options::{Guarantee, KafkaOptions};
use super::records::RowRecords;
use super::source::bootstrap;
use crate::connectors::{JobContext, Sink, SinkState};
use crate::error::Result;
use crate::table::TableSpec;

/// A table opened for writing.
pub(super) struct KafkaSink {
    wait_for_acks: bool,
    records: RowRecords,
    producer: Producer,
}

impl KafkaSink {
    /// Opens `table` without asking a broker yet.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub(super) fn open(table: &TableSpec, options: &KafkaOptions, job: &JobContext) -> Result<Self> {
        Ok(Self {
            wait_for_acks: options.guarantee != Guarantee::None,
            records: RowRecords::new(table, options, job)?,
            producer: Producer::connect(bootstrap(&options.bootstrap, job)?, options.properties.pairs())?,
        })
    }

    async fn send(&mut self, rows: RecordBatch) -> Result<()> {
        match self.producer.failure() {
            Some(failure) => Err(failure),
            None => self.records.send(&self.producer, &rows, &[], None).await,
        }
    }

    async fn acknowledged(&mut self, last: bool) -> Result<SinkState> {
        if self.wait_for_acks || last {
            self.producer.flush().await?;
        }
        match self.producer.failure() {
            Some(failure) if self.wait_for_acks => Err(failure),
            _ => Ok(SinkState::default()),
        }
    }
}

impl Sink for KafkaSink {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send(rows))
    }

    fn prepare(&mut self, _epoch: u64, last: bool) -> BoxFuture<'_, Result<SinkState>> {
        Box::pin(self.acknowledged(last))
    }

    fn commit(&mut self, _epoch: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn restore(&mut self, _state: Option<SinkState>) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.records.check_topics(&self.producer))
    }
}
