//! The sink of a final SELECT: hands rows to whoever shows them.

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::connectors::{Sink, SinkState};
use crate::error::{Error, Result};

/// Sends rows on as they come; there is nothing to commit.
pub(crate) struct CollectSink {
    rows: mpsc::Sender<RecordBatch>,
}

impl CollectSink {
    pub(crate) fn new(rows: mpsc::Sender<RecordBatch>) -> Self {
        Self { rows }
    }
}

impl Sink for CollectSink {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.rows.send(rows).await.map_err(|_| Error::unavailable("nobody reads the result any more"))
        })
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
