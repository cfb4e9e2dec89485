//! The accumulators of sessions, by number, in blocks: taking some out costs what their blocks hold, not what all do.
//!
//! Numbers rise, and so do the blocks. A block that few are left of joins the one before it, so a number is looked for
//! in the last block that begins at or before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::{concat, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};

use crate::error::{Error, Result};
use crate::operators::accumulate::{GroupSpec, Groups, take_rows};
use crate::plan::PlanAggregate;

/// Numbers of a block, and half of what one holds: few enough to be read for one of
/// them, enough to share what a set of groups costs.
const BLOCK: i64 = 256;

pub(super) struct Parts {
    /// Keyed by the number of an accumulator.
    spec: Arc<GroupSpec>,
    /// By the number a block began with.
    blocks: BTreeMap<i64, Groups>,
    next: i64,
}

impl Parts {
    pub(super) fn new(aggregates: &[PlanAggregate]) -> Result<Self> {
        let number = Arc::new(Field::new("part", DataType::Int64, false)) as FieldRef;
        Ok(Self { spec: Arc::new(GroupSpec::new(vec![number], aggregates)?), blocks: BTreeMap::new(), next: 0 })
    }

    pub(super) fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// The number of a new accumulator.
    pub(super) fn begin(&mut self) -> Result<i64> {
        let number = self.next;
        if self.blocks.is_empty() || number % BLOCK == 0 {
            self.blocks.insert(number, Groups::new(&self.spec)?);
        }
        self.next += 1;
        Ok(number)
    }

    /// Takes rows, of each the number of its accumulator and the columns of [`GroupSpec::arguments`].
    pub(super) fn update(&mut self, numbers: &[i64], arguments: &[ArrayRef]) -> Result<()> {
        self.each_block(numbers, arguments, |block, numbers, arguments| {
            let rows = numbers.len();
            block.update(&[Arc::new(numbers)], arguments, rows)
        })
    }

    /// Takes states, of each the number of its accumulator.
    pub(super) fn insert(&mut self, numbers: &[i64], states: &[ArrayRef]) -> Result<()> {
        self.each_block(numbers, states, |block, numbers, states| {
            let rows = numbers.len();
            let partial: Vec<ArrayRef> =
                std::iter::once(Arc::new(numbers) as ArrayRef).chain(states.to_vec()).collect();
            block.merge(&partial, rows)
        })
    }

    fn each_block(
        &mut self,
        numbers: &[i64],
        columns: &[ArrayRef],
        mut give: impl FnMut(&mut Groups, Int64Array, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let mut rows_of: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, number) in (0u32..).zip(numbers) {
            let (first, _) = self.blocks.range(..=number).next_back().ok_or_else(lost)?;
            rows_of.entry(*first).or_default().push(row);
        }
        let one = rows_of.len() == 1;
        for (first, rows) in rows_of {
            let block = self.blocks.get_mut(&first).ok_or_else(lost)?;
            let of_block = Int64Array::from_iter_values(rows.iter().map(|row| numbers[*row as usize]));
            if one {
                give(block, of_block, columns)?;
            } else {
                give(block, of_block, &take_rows(columns, &rows)?)?;
            }
        }
        Ok(())
    }

    /// The states of these accumulators, in their order; the accumulators are gone then, unless they are to stay.
    pub(super) fn states(&mut self, numbers: &[i64], stay: bool) -> Result<Vec<ArrayRef>> {
        let mut wanted: Vec<(i64, usize)> = numbers.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let (mut pieces, mut place, mut from): (Vec<Vec<ArrayRef>>, _, _) = (Vec::new(), vec![0u32; numbers.len()], 0);
        while let Some(&(number, _)) = wanted.get(from) {
            let (first, block) = self.take_block(number)?;
            let next = self.blocks.range(first..).next().map(|(next, _)| *next);
            let to = next.map_or(wanted.len(), |next| wanted.partition_point(|(number, _)| *number < next));
            // an empty accumulator that takes a state is that state: reading it leaves no trace
            let (columns, count) = block.into_partial()?;
            let row_of: BTreeMap<i64, u32> = numbers_of(&columns)?.values().iter().copied().zip(0u32..).collect();
            let mut rows = Vec::with_capacity(to - from);
            for ((number, at), row) in wanted[from..to].iter().zip(from as u32..) {
                place[*at] = row;
                rows.push(*row_of.get(number).ok_or_else(lost)?);
            }
            let mut left = vec![true; count];
            rows.iter().filter(|_| !stay).for_each(|row| left[*row as usize] = false);
            let left: Vec<u32> = (0u32..).zip(left).filter(|(_, left)| *left).map(|(row, _)| row).collect();
            self.put_back(first, &take_rows(&columns, &left)?, left.len())?;
            pieces.push(take_rows(&columns[1..], &rows)?);
            from = to;
        }
        let columns = (0..self.spec.partial.len() - 1).map(|column| {
            let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| piece[column].as_ref()).collect();
            Ok(concat(&pieces)?)
        });
        let columns = if pieces.is_empty() { return self.no_states() } else { columns.collect::<Result<Vec<_>>>()? };
        Ok(take_arrays(&columns, &UInt32Array::from(place), None)?)
    }

    fn no_states(&self) -> Result<Vec<ArrayRef>> {
        Ok(self.spec.partial[1..].iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect())
    }

    fn take_block(&mut self, number: i64) -> Result<(i64, Groups)> {
        let first = self.blocks.range(..=number).next_back().map(|(first, _)| *first).ok_or_else(lost)?;
        Ok((first, self.blocks.remove(&first).ok_or_else(lost)?))
    }

    /// What is left of the block that began with `first`.
    fn put_back(&mut self, first: i64, partial: &[ArrayRef], rows: usize) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        match self.blocks.range_mut(..first).next_back() {
            Some((_, before)) if before.len() + rows <= BLOCK as usize => before.merge(partial, rows),
            _ => {
                let mut block = Groups::new(&self.spec)?;
                block.merge(partial, rows)?;
                self.blocks.insert(first, block);
                Ok(())
            }
        }
    }

    /// The results of sessions given by their accumulators, in their order; these accumulators are gone then.
    pub(super) fn take_results<'a>(&mut self, sessions: impl Iterator<Item = &'a [i64]>) -> Result<Vec<ArrayRef>> {
        let (mut numbers, mut session_of) = (Vec::new(), Vec::new());
        for (session, parts) in (0i64..).zip(sessions) {
            numbers.extend_from_slice(parts);
            session_of.resize(numbers.len(), session);
        }
        let mut partial = vec![Arc::new(Int64Array::from(session_of)) as ArrayRef];
        partial.extend(self.states(&numbers, false)?);
        let mut merged = Groups::new(&self.spec)?;
        merged.merge(&partial, numbers.len())?;
        Ok(merged.into_results()?.1)
    }

    /// Forgets all accumulators but these.
    pub(super) fn retain(&mut self, live: &BTreeSet<i64>) -> Result<()> {
        for (first, block) in std::mem::take(&mut self.blocks) {
            let (columns, _) = block.into_partial()?;
            let numbers = (0u32..).zip(numbers_of(&columns)?.values());
            let rows: Vec<u32> = numbers.filter(|(_, part)| live.contains(part)).map(|(row, _)| row).collect();
            self.put_back(first, &take_rows(&columns, &rows)?, rows.len())?;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.values().map(Groups::bytes).sum()
    }
}

/// The numbers of accumulators in a partial.
fn numbers_of(columns: &[ArrayRef]) -> Result<&Int64Array> {
    columns.first().and_then(|column| column.as_primitive_opt()).ok_or_else(lost)
}

fn lost() -> Error {
    Error::internal("a session without its accumulator")
}
