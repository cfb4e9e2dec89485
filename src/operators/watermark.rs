//! stub
use crate::error::Result; use crate::stream::PartitionId; use crate::time::EventTime; use arrow::array::*;
pub struct WatermarkAssigner;
impl WatermarkAssigner { pub fn new(_s:&crate::plan::Source,_p:PartitionId,_w:EventTime)->Result<Self>{Ok(Self)}
 pub fn assign(&mut self, rows: RecordBatch, _o:&Int64Array,_t:Option<&Int64Array>)->Result<Assigned>{Ok(Assigned{batch:rows,casualties:vec![]})}
 pub fn watermark(&self)->EventTime{0} pub fn raise(&mut self,_f:EventTime){} }
pub struct Assigned { pub batch: RecordBatch, pub casualties: Vec<Casualty> }
pub struct Casualty { pub offset: i64, pub kind: CasualtyKind, pub code: &'static str, pub message: String, pub event_time: Option<EventTime>, pub watermark: EventTime }
pub enum CasualtyKind { Future, Bad }
