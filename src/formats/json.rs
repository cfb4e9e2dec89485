//! stub
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use crate::error::{Error, Result};
use crate::formats::{BadValue, Decoder, EncodedRows, Encoder};
use crate::table::Options;
pub const OPTIONS: &[&str] = &[];
pub struct JsonDecoder;
impl JsonDecoder { pub fn new(_s: SchemaRef, _o: &Options, _p: &str) -> Result<Self> { Err(Error::internal("stub")) } }
impl Decoder for JsonDecoder {
    fn push(&mut self, _m: &[u8]) -> Result<usize, BadValue> { Ok(0) }
    fn rows(&self) -> usize { 0 }
    fn finish(&mut self) -> Result<RecordBatch> { Err(Error::internal("stub")) }
}
pub struct JsonEncoder;
impl JsonEncoder { pub fn new(_s: SchemaRef, _o: &Options, _p: &str) -> Result<Self> { Err(Error::internal("stub")) } }
impl Encoder for JsonEncoder { fn encode(&mut self, _b: &RecordBatch) -> Result<EncodedRows> { Err(Error::internal("stub")) } }
