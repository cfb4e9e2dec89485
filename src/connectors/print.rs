//! stub
use futures::future::BoxFuture;
use arrow::array::RecordBatch;
use crate::connectors::*;
pub const METADATA: &[(&str, &str, bool)] = &[];
pub fn validate(_t: &TableSpec, _u: Usage) -> Vec<Error> { Vec::new() }
pub fn bounded(_t: &TableSpec) -> Result<bool> { Ok(true) }
pub struct PrintSink;
impl PrintSink { pub fn open(_t: &TableSpec) -> Result<Self> { Err(Error::internal("stub")) } }
impl Sink for PrintSink {
    fn write(&mut self, _r: RecordBatch) -> BoxFuture<'_, Result<()>> { Box::pin(async { Ok(()) }) }
    fn prepare(&mut self, _e: u64, _l: bool) -> BoxFuture<'_, Result<SinkState>> { Box::pin(async { Ok(SinkState::default()) }) }
    fn commit(&mut self, _e: u64) -> BoxFuture<'_, Result<()>> { Box::pin(async { Ok(()) }) }
    fn restore(&mut self, _s: Option<SinkState>) -> BoxFuture<'_, Result<()>> { Box::pin(async { Ok(()) }) }
}
