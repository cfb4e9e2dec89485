//! stub
use futures::future::BoxFuture;
use arrow::array::RecordBatch;
use crate::connectors::*;
pub const METADATA: &[(&str, &str, bool)] = &[];
pub fn validate(_t: &TableSpec, _u: Usage) -> Vec<Error> { Vec::new() }
pub fn bounded(_t: &TableSpec) -> Result<bool> { Ok(true) }
pub struct DatagenSource;
impl DatagenSource { pub fn open(_t: &TableSpec) -> Result<Self> { Err(Error::internal("stub")) } }
impl Source for DatagenSource {
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>> { Box::pin(async { Ok(vec![]) }) }
    fn open<'a>(&'a mut self, _s: &'a Split, _at: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>> { Box::pin(async { Err(Error::internal("stub")) }) }
}
