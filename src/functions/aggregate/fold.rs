//! One pass over numbers: what a [`Fold`] says about one state makes both accumulators of DataFusion.
//!
//! Invariant: reading back what `write` wrote gives the same bits, and `merge` into `State::default()` copies.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

use super::Make;
use crate::error::Error;

/// An aggregate over a column of numbers.
pub(super) trait Fold: Send + Sync + 'static {
    /// Arrow type of the argument.
    type Input: ArrowPrimitiveType;
    /// Arrow type of the result.
    type Output: ArrowPrimitiveType;
    /// What a group remembers; the default has seen nothing.
    type State: Copy + Default + Debug + Send + Sync;

    /// Type of the result, with scale or zone.
    fn result_type(&self) -> DataType;
    /// Names and types of the state columns.
    fn state_types(&self) -> Vec<(&'static str, DataType)>;
    /// Takes in one value.
    fn add(&self, state: &mut Self::State, value: <Self::Input as ArrowPrimitiveType>::Native);
    /// Takes in what another state has seen; a bit for bit copy if `state` has seen nothing.
    fn merge(&self, state: &mut Self::State, other: Self::State);
    /// The result; `None` is NULL.
    fn finish(&self, state: &Self::State) -> Option<<Self::Output as ArrowPrimitiveType>::Native>;
    /// State columns of shape `[groups]`.
    fn write(&self, states: &[Self::State]) -> Vec<ArrayRef>;
    /// The states that `write` wrote.
    ///
    /// # Errors
    /// `Internal` if the columns are not those of `state_types`.
    fn read(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>>;
}

/// A [`Fold`] ready to make accumulators.
pub(super) struct Folded<F>(Arc<F>);

impl<F> Folded<F> {
    pub(super) fn new(fold: F) -> Self {
        Self(Arc::new(fold))
    }
}

impl<F: Fold> Make for Folded<F> {
    fn result_type(&self) -> DataType {
        self.0.result_type()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        self.0.state_types()
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(FoldOne { fold: Arc::clone(&self.0), state: F::State::default() })
    }

    fn groups(&self) -> Option<Box<dyn GroupsAccumulator>> {
        Some(Box::new(FoldGroups { fold: Arc::clone(&self.0), states: Vec::new() }))
    }
}

/// The primitive column at `index`.
///
/// # Errors
/// `Internal` if there is none of that type.
pub(super) fn column<T: ArrowPrimitiveType>(columns: &[ArrayRef], index: usize) -> Result<&PrimitiveArray<T>> {
    columns.get(index).and_then(|column| column.as_primitive_opt::<T>()).ok_or_else(|| {
        let found = columns.get(index).map(|column| column.data_type().to_string()).unwrap_or_default();
        Error::internal(format!("column {index} of an aggregate is \"{found}\", not \"{}\"", T::DATA_TYPE)).into()
    })
}

/// One group.
struct FoldOne<F: Fold> {
    fold: Arc<F>,
    state: F::State,
}

impl<F: Fold> Debug for FoldOne<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl<F: Fold> Accumulator for FoldOne<F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = column::<F::Input>(values, 0)?;
        if values.null_count() == 0 {
            values.values().iter().for_each(|value| self.fold.add(&mut self.state, *value));
        } else {
            values.iter().flatten().for_each(|value| self.fold.add(&mut self.state, value));
        }
        Ok(())
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let others = self.fold.read(columns)?;
        others.into_iter().for_each(|other| self.fold.merge(&mut self.state, other));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::new_primitive::<F::Output>(self.fold.finish(&self.state), &self.fold.result_type())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.fold.write(&[self.state]).iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Many groups: one state each, by place.
struct FoldGroups<F: Fold> {
    fold: Arc<F>,
    states: Vec<F::State>,
}

fn out_of_range(group: usize, groups: usize) -> DataFusionError {
    Error::internal(format!("group {group} of an aggregate is not among its {groups} groups")).into()
}

impl<F: Fold> GroupsAccumulator for FoldGroups<F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = column::<F::Input>(values, 0)?;
        self.states.resize(total_num_groups, F::State::default());
        let kept = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        for (row, (value, &group)) in values.values().iter().zip(group_indices).enumerate() {
            if values.is_valid(row) && kept(row) {
                let state = self.states.get_mut(group).ok_or_else(|| out_of_range(group, total_num_groups))?;
                self.fold.add(state, *value);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, columns: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.states.resize(total_num_groups, F::State::default());
        for (other, &group) in self.fold.read(columns)?.into_iter().zip(group_indices) {
            let state = self.states.get_mut(group).ok_or_else(|| out_of_range(group, total_num_groups))?;
            self.fold.merge(state, other);
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let states = emit_to.take_needed(&mut self.states);
        let results: PrimitiveArray<F::Output> = states.iter().map(|state| self.fold.finish(state)).collect();
        Ok(Arc::new(results.with_data_type(self.fold.result_type())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(self.fold.write(&emit_to.take_needed(&mut self.states)))
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut each = Self { fold: Arc::clone(&self.fold), states: Vec::new() };
        each.update_batch(values, &(0..rows).collect::<Vec<_>>(), opt_filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<F::State>()
    }
}
