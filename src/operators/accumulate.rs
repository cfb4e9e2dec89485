//! Aggregates per group, the same to the last bit however the rows are cut into batches.
//!
//! A function's own per-group accumulators take rows one after the other, so batches leave no trace.
//! A function without them runs one accumulator per group, fed row by row: fed with slices, sums of
//! floating-point numbers would depend on where a batch ends.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::{concat, take, take_arrays};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::columns::Arguments;
use super::keys::{bits_of_key, key_of_bits, schema_of_bits};
use crate::error::{Error, Result};
use crate::plan::PlanAggregate;

/// What a set of groups is made of: key columns and aggregates.
#[derive(Debug)]
pub(super) struct GroupSpec {
    pub(super) keys: SchemaRef,
    pub(super) calls: Vec<Arc<AggregateFunctionExpr>>,
    pub(super) arguments: Arguments,
    /// Number of state columns of each aggregate.
    states: Vec<usize>,
    /// Key columns, then the state columns of all aggregates.
    pub(super) partial: Vec<FieldRef>,
}

impl GroupSpec {
    pub(super) fn new(keys: Vec<FieldRef>, aggregates: &[PlanAggregate]) -> Result<Self> {
        let mut partial = keys.clone();
        let mut states = Vec::new();
        for (call, aggregate) in aggregates.iter().enumerate() {
            let fields = aggregate.call.state_fields()?;
            states.push(fields.len());
            partial.extend(fields.iter().enumerate().map(|(i, field)| {
                Arc::new(Field::new(format!("call{call}_{i}"), field.data_type().clone(), true)) as FieldRef
            }));
        }
        Ok(Self {
            keys: Arc::new(Schema::new(keys)),
            calls: aggregates.iter().map(|a| Arc::clone(&a.call)).collect(),
            arguments: Arguments::new(aggregates),
            states,
            partial,
        })
    }

    fn accumulators(&self) -> Result<Vec<Box<dyn GroupsAccumulator>>> {
        self.calls
            .iter()
            .map(|call| {
                if call.groups_accumulator_supported() {
                    Ok(call.create_groups_accumulator()?)
                } else {
                    Ok(Box::new(RowWise { call: Arc::clone(call), groups: Vec::new() }) as _)
                }
            })
            .collect()
    }
}

/// The columns of [`GroupSpec::partial`], and the number of rows (there may be no column at all).
pub(super) type Partial = (Vec<ArrayRef>, usize);

/// Groups in the order of their first rows, each with its accumulators.
pub(super) struct Groups {
    spec: Arc<GroupSpec>,
    /// `None` if there are no keys: one group. FLOAT and DOUBLE keys are here as their bits.
    values: Option<Box<dyn GroupValues>>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    ids: Vec<usize>,
    count: usize,
}

impl Groups {
    pub(super) fn new(spec: &Arc<GroupSpec>) -> Result<Self> {
        let values = match spec.keys.fields().is_empty() {
            true => None,
            false => Some(new_group_values(Arc::new(schema_of_bits(&spec.keys)), &GroupOrdering::None)?),
        };
        Ok(Self { spec: Arc::clone(spec), values, accumulators: spec.accumulators()?, ids: Vec::new(), count: 0 })
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Group of each of the rows last taken, `[n]`.
    pub(super) fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Takes rows: key columns, and the columns of [`GroupSpec::arguments`].
    pub(super) fn update(&mut self, keys: &[ArrayRef], arguments: &[ArrayRef], rows: usize) -> Result<()> {
        self.intern(keys, rows)?;
        for (call, accumulator) in self.accumulators.iter_mut().enumerate() {
            let (places, filter) = self.spec.arguments.call(call);
            let values: Vec<ArrayRef> = places.iter().map(|&p| Arc::clone(&arguments[p])).collect();
            let filter = match filter {
                Some(place) => Some(arguments[place].as_boolean_opt().ok_or_else(not_boolean)?),
                None => None,
            };
            accumulator.update_batch(&values, &self.ids, filter, self.count)?;
        }
        Ok(())
    }

    /// Takes partial results: the columns of [`GroupSpec::partial`].
    pub(super) fn merge(&mut self, partial: &[ArrayRef], rows: usize) -> Result<()> {
        let (keys, states) = partial.split_at(self.spec.keys.fields().len());
        self.intern(keys, rows)?;
        let mut from = 0;
        for (accumulator, count) in self.accumulators.iter_mut().zip(&self.spec.states) {
            accumulator.merge_batch(&states[from..from + count], &self.ids, self.count)?;
            from += count;
        }
        Ok(())
    }

    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        match &mut self.values {
            None => {
                self.ids.clear();
                self.ids.resize(rows, 0);
                self.count = self.count.max(usize::from(rows > 0));
            }
            Some(values) => {
                let keys: Vec<ArrayRef> = keys.iter().map(bits_of_key).collect();
                values.intern(&keys, &mut self.ids)?;
                self.count = values.len();
            }
        }
        Ok(())
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        match &mut self.values {
            None => Ok(Vec::new()),
            Some(values) => {
                Ok(values.emit(EmitTo::All)?.iter().zip(self.spec.keys.fields()).map(key_of_bits).collect())
            }
        }
    }

    /// Partial results, one row per group.
    pub(super) fn into_partial(mut self) -> Result<Partial> {
        let mut columns = self.take_keys()?;
        for accumulator in &mut self.accumulators {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        Ok((columns, self.count))
    }

    /// Keys and results, one row per group.
    pub(super) fn into_results(mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let keys = self.take_keys()?;
        let results = self.accumulators.iter_mut().map(|a| Ok(a.evaluate(EmitTo::All)?)).collect::<Result<_>>()?;
        Ok((keys, results))
    }

    /// Groups made of partial results, of which a later row replaces an earlier one of the same key.
    ///
    /// An empty accumulator that takes a state *is* that state, bit for bit; so reading the state out of
    /// live groups and putting it back leaves no trace.
    pub(super) fn from_partials(spec: &Arc<GroupSpec>, partials: &[Partial]) -> Result<Self> {
        let mut order = Self::new(spec)?;
        let mut newest: Vec<u32> = Vec::new();
        let mut row = 0u32;
        for (columns, rows) in partials {
            order.intern(&columns[..spec.keys.fields().len()], *rows)?;
            for &group in &order.ids {
                newest.resize(newest.len().max(group + 1), 0);
                newest[group] = row;
                row += 1;
            }
        }
        let newest = UInt32Array::from(newest);
        let columns = (0..spec.partial.len())
            .map(|c| {
                let pieces: Vec<&dyn Array> = partials.iter().map(|(columns, _)| columns[c].as_ref()).collect();
                Ok(take(&concat(&pieces)?, &newest, None)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut groups = Self::new(spec)?;
        groups.merge(&columns, newest.len())?;
        Ok(groups)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.values.as_ref().map_or(0, |v| v.size()) + self.accumulators.iter().map(|a| a.size()).sum::<usize>()
    }
}

fn not_boolean() -> Error {
    Error::internal("the filter of an aggregate is no condition")
}

/// Rows `rows` of each column.
pub(super) fn take_rows(columns: &[ArrayRef], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    Ok(take_arrays(columns, &UInt32Array::from(rows.to_vec()), None)?)
}

/// One accumulator per group for a function that has no per-group form.
struct RowWise {
    call: Arc<AggregateFunctionExpr>,
    groups: Vec<Box<dyn Accumulator>>,
}

type Datafusion<T> = datafusion::common::Result<T>;

impl RowWise {
    fn grow(&mut self, count: usize) -> Datafusion<()> {
        while self.groups.len() < count {
            self.groups.push(self.call.create_accumulator()?);
        }
        Ok(())
    }

    fn row(values: &[ArrayRef], row: usize) -> Vec<ArrayRef> {
        values.iter().map(|v| v.slice(row, 1)).collect()
    }
}

impl GroupsAccumulator for RowWise {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Datafusion<()> {
        self.grow(count)?;
        for (row, &group) in group_indices.iter().enumerate() {
            if filter.is_none_or(|f| f.is_valid(row) && f.value(row)) {
                self.groups[group].update_batch(&Self::row(values, row))?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], count: usize) -> Datafusion<()> {
        self.grow(count)?;
        for (row, &group) in group_indices.iter().enumerate() {
            self.groups[group].merge_batch(&Self::row(values, row))?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Datafusion<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        if groups.is_empty() {
            return Ok(new_empty_array(self.call.field().data_type()));
        }
        let results = groups.into_iter().map(|mut g| g.evaluate()).collect::<Datafusion<Vec<_>>>()?;
        ScalarValue::iter_to_array(results)
    }

    fn state(&mut self, emit_to: EmitTo) -> Datafusion<Vec<ArrayRef>> {
        let fields = self.call.state_fields()?;
        let groups = emit_to.take_needed(&mut self.groups);
        let states = groups.into_iter().map(|mut g| g.state()).collect::<Datafusion<Vec<_>>>()?;
        let column = |(place, field): (usize, &FieldRef)| match states.is_empty() {
            true => Ok(new_empty_array(field.data_type())),
            false => ScalarValue::iter_to_array(states.iter().map(|s| s[place].clone())),
        };
        fields.iter().enumerate().map(column).collect()
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Datafusion<Vec<ArrayRef>> {
        Err(Error::internal("partial results of single rows are not made").into())
    }

    fn size(&self) -> usize {
        self.groups.iter().map(|g| g.size()).sum()
    }
}
