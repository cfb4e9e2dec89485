//! Rows that wait until their partition's watermark has been passed, taken at the cost of those that leave.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};

use crate::error::Result;
use crate::stream::Origin;
use crate::time::EventTime;

/// Of a row: the watermark it was read at, its partition and its offset.
type Turn = (EventTime, i32, i64);

#[derive(Default)]
pub(super) struct Waiting {
    /// Rows in the order of their turns, by the watermark of the first and the number of the batch.
    batches: BTreeMap<(EventTime, u64), RecordBatch>,
    came: u64,
}

impl Waiting {
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let turns = turns(&batch)?;
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

    /// Takes the rows out whose watermark `watermark` has passed, in order.
    pub(super) fn take(&mut self, watermark: EventTime) -> Result<Option<RecordBatch>> {
        let (mut ready, mut left) = (Vec::new(), Vec::new());
        while let Some(first) = self.batches.first_entry().filter(|first| first.key().0 < watermark) {
            let ((_, number), batch) = first.remove_entry();
            let origin = Origin::of(&batch)?;
            let befores = origin.watermark.values();
            let count = befores.partition_point(|before| *before < watermark);
            if let Some(next) = befores.get(count) {
                left.push(((*next, number), batch.slice(count, batch.num_rows() - count)));
            }
            ready.push(batch.slice(0, count));
        }
        self.batches.extend(left);
        if ready.len() < 2 {
            return Ok(ready.pop());
        }
        let mut places: Vec<(Turn, (usize, usize))> = Vec::new();
        for (number, batch) in ready.iter().enumerate() {
            places.extend(turns(batch)?.into_iter().enumerate().map(|(row, turn)| (turn, (number, row))));
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
}

fn turns(batch: &RecordBatch) -> Result<Vec<Turn>> {
    let origin = Origin::of(batch)?;
    Ok((0..batch.num_rows())
        .map(|row| (origin.watermark.value(row), origin.partition.value(row), origin.offset.value(row)))
        .collect())
}
