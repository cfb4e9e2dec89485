//! Rows that wait for event time, taken at the cost of those that leave.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};

use super::columns::row_times;
use super::lateness::fires_at;
use crate::error::Result;
use crate::stream::Origin;
use crate::time::EventTime;

/// Of a row: the watermark at which it leaves, its event time if that counts, its partition and its offset.
pub(super) type Turn = (EventTime, EventTime, i32, i64);

pub(super) struct Waiting {
    rowtime: Option<usize>,
    /// Rows in the order of their turns, by the moment at which the first leaves and the number of the batch.
    batches: BTreeMap<(EventTime, u64), RecordBatch>,
    came: u64,
}

impl Waiting {
    /// Rows leave when the watermark has passed the one they were read at, and with `rowtime`, the place of a column,
    /// their own time too.
    pub(super) fn new(rowtime: Option<usize>) -> Self {
        Self { rowtime, batches: BTreeMap::new(), came: 0 }
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let turns = self.turns(&batch)?;
        let mut rows: Vec<u32> = (0..turns.len() as u32).collect();
        let batch = if turns.is_sorted() {
            batch
        } else {
            rows.sort_by_key(|row| turns[*row as usize]);
            take_record_batch(&batch, &UInt32Array::from(rows))?
        };
        if let Some(first) = turns.iter().min() {
            self.batches.insert((first.0, self.came), batch);
            self.came += 1;
        }
        Ok(())
    }

    /// Takes the rows out that leave at `watermark`, in the order of their turns.
    pub(super) fn take(&mut self, watermark: EventTime) -> Result<Option<RecordBatch>> {
        let (mut ready, mut left) = (Vec::new(), Vec::new());
        while let Some(first) = self.batches.first_entry().filter(|first| first.key().0 <= watermark) {
            let ((_, number), batch) = first.remove_entry();
            let turns = self.turns(&batch)?;
            let count = turns.partition_point(|turn| turn.0 <= watermark);
            if let Some(next) = turns.get(count) {
                left.push(((next.0, number), batch.slice(count, batch.num_rows() - count)));
            }
            ready.push(batch.slice(0, count));
        }
        self.batches.extend(left);
        if ready.len() < 2 {
            return Ok(ready.pop());
        }
        let mut places: Vec<(Turn, (usize, usize))> = Vec::new();
        for (number, batch) in ready.iter().enumerate() {
            places.extend(self.turns(batch)?.into_iter().enumerate().map(|(row, turn)| (turn, (number, row))));
        }
        places.sort_unstable();
        let places: Vec<(usize, usize)> = places.into_iter().map(|(_, place)| place).collect();
        Ok(Some(interleave_record_batch(&ready.iter().collect::<Vec<_>>(), &places)?))
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.batches.values()
    }

    pub(super) fn bytes(&self) -> usize {
        self.batches().map(RecordBatch::get_array_memory_size).sum()
    }

    pub(super) fn turns(&self, batch: &RecordBatch) -> Result<Vec<Turn>> {
        let origin = Origin::of(batch)?;
        let times = self.rowtime.map(|rowtime| row_times(batch, rowtime)).transpose()?;
        let turn = |row: usize| {
            let time = times.as_ref().map_or(EventTime::MIN, |times| times.value(row));
            let due = fires_at(time, origin.watermark.value(row));
            (due, time, origin.partition.value(row), origin.offset.value(row))
        };
        Ok((0..batch.num_rows()).map(turn).collect())
    }
}
