//! Aggregates that keep the values they see: a bag of rows per group, in the order they came, distinct ones only where
//! DISTINCT is written. What becomes of a bag is a [`Kind`]; `SUM(DISTINCT x)` is the sum of one.
//!
//! Invariants: the state columns are the values themselves, one list per argument and group; merging a state is taking
//! its values behind those that are there, so an empty group that takes a state is that state.

use std::collections::HashSet;
use std::fmt::{self, Debug, Formatter};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, StringBuilder, UInt32Array, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

use super::Make;
use crate::error::Error;
use crate::functions::bounded::Room;
use crate::functions::cast::nested::in_java_order;
use crate::functions::collection::lists::{bounds, comparable};
use crate::functions::collection::types::list_of;
use crate::functions::json::{Json, item as json_item};
use crate::table::map::{map_array, multiset_type};
use crate::time::zone::Zone;

/// What becomes of the values of a group.
pub(super) enum Kind {
    /// An array; NULL if there is no value.
    Array { nulls: bool },
    /// A multiset: how often each value occurs.
    Multiset,
    /// A text with a separator between; NULL if there is no value.
    Text { separator: String },
    /// A JSON array; `raw`: the values are JSON already.
    JsonArray { nulls: bool, raw: bool },
    /// A JSON object of keys and values.
    JsonObject { nulls: bool, raw: bool },
    /// Another aggregate, over the distinct values.
    Distinct(Box<dyn Make>),
}

/// An aggregate that collects.
pub(super) struct Collecting {
    kind: Kind,
    /// Which arguments are collected, and their types.
    inputs: Vec<usize>,
    types: Vec<DataType>,
    distinct: bool,
}

impl Collecting {
    /// Collects the arguments `inputs` of these types.
    pub(super) fn new(kind: Kind, inputs: Range<usize>, types: Vec<DataType>, distinct: bool) -> Self {
        Self { kind, inputs: inputs.collect(), types, distinct }
    }

    fn bags(self: &Arc<Self>) -> Bags {
        Bags { plan: Arc::clone(self), batches: Vec::new(), groups: Vec::new(), seen: Vec::new() }
    }

    fn result_type(&self) -> DataType {
        let value = self.types.first().cloned().unwrap_or(DataType::Null);
        match &self.kind {
            Kind::Array { .. } => list_of(value),
            Kind::Multiset => multiset_type(value),
            Kind::Text { .. } | Kind::JsonArray { .. } | Kind::JsonObject { .. } => DataType::Utf8,
            Kind::Distinct(inner) => inner.result_type(),
        }
    }

    /// Whether a row counts. `rows`: the collected columns.
    fn takes(&self, rows: &[ArrayRef], row: usize) -> Result<bool> {
        let first = rows.first().is_some_and(|column| !is_null(column, row));
        match &self.kind {
            Kind::Array { nulls } | Kind::JsonArray { nulls, .. } => Ok(*nulls || first),
            Kind::Multiset | Kind::Text { .. } | Kind::Distinct(_) => Ok(first),
            Kind::JsonObject { .. } if !first => {
                Err(Error::data("a key of JSON_OBJECTAGG is NULL").hint("add FILTER (WHERE key IS NOT NULL)").into())
            }
            Kind::JsonObject { nulls, .. } => Ok(*nulls || rows.get(1).is_some_and(|values| !is_null(values, row))),
        }
    }
}

fn is_null(column: &ArrayRef, row: usize) -> bool {
    column.is_null(row) || *column.data_type() == DataType::Null
}

/// Ready to make accumulators.
pub(super) struct Collected(pub(super) Arc<Collecting>);

impl Make for Collected {
    fn result_type(&self) -> DataType {
        self.0.result_type()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        let names = ["values", "more_values"].into_iter();
        names.zip(&self.0.types).map(|(name, data_type)| (name, list_of(data_type.clone()))).collect()
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(OneBag(self.0.bags()))
    }

    fn groups(&self) -> Option<Box<dyn GroupsAccumulator>> {
        Some(Box::new(self.0.bags()))
    }
}

/// Place of a row: batch and row in it.
type Place = (usize, usize);

/// The bags of all groups.
struct Bags {
    plan: Arc<Collecting>,
    /// The collected columns of rows, shared by all groups.
    batches: Vec<Vec<ArrayRef>>,
    /// The rows of each group, in order.
    groups: Vec<Vec<Place>>,
    /// With DISTINCT: the values each group has.
    seen: Vec<HashSet<Box<[u8]>>>,
}

impl Bags {
    fn grow(&mut self, groups: usize) {
        self.groups.resize_with(self.groups.len().max(groups), Vec::new);
        if self.plan.distinct {
            self.seen.resize_with(self.seen.len().max(groups), HashSet::new);
        }
    }

    /// Puts rows into groups: `rows` of `(row, group)`, over the collected columns.
    fn put(&mut self, columns: Vec<ArrayRef>, rows: impl Iterator<Item = (usize, usize)>) -> Result<()> {
        let keys = match (self.plan.distinct, columns.first()) {
            (true, Some(values)) => Some(comparable(values)?),
            _ => None,
        };
        let batch = self.batches.len();
        let mut taken: Vec<u32> = Vec::new();
        for (row, group) in rows {
            if !self.plan.takes(&columns, row)? {
                continue;
            }
            let wrong = || Error::internal("a group of an aggregate is not there");
            if let Some(keys) = &keys {
                let seen = self.seen.get_mut(group).ok_or_else(wrong)?;
                if !seen.insert(keys.row(row).as_ref().into()) {
                    continue;
                }
            }
            self.groups.get_mut(group).ok_or_else(wrong)?.push((batch, taken.len()));
            taken.push(u32::try_from(row).map_err(|_| wrong())?);
        }
        // rows that are in no bag must not be kept with it
        if taken.is_empty() {
            return Ok(());
        }
        let kept = if columns.first().is_some_and(|column| column.len() == taken.len()) {
            columns
        } else {
            let taken = UInt32Array::from(taken);
            columns.iter().map(|column| take(column, &taken, None)).collect::<Result<_, _>>()?
        };
        self.batches.push(kept);
        Ok(())
    }

    fn update(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) -> Result<()> {
        let missing = || Error::internal("an aggregate got too few columns");
        let columns = self.plan.inputs.iter().map(|input| values.get(*input).cloned().ok_or_else(missing));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let passes = |row: &(usize, usize)| filter.is_none_or(|f| f.is_valid(row.0) && f.value(row.0));
        self.put(columns, groups.iter().copied().enumerate().filter(passes))
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let wrong = || Error::internal("the state of an aggregate is no list");
        let lists = states.iter().map(|state| state.as_list_opt::<i32>().ok_or_else(wrong));
        let lists: Vec<&ListArray> = lists.collect::<Result<_, _>>()?;
        let (Some(first), true) = (lists.first(), lists.len() == self.plan.types.len()) else {
            return Err(wrong().into());
        };
        let fits = |(list, data_type): (&&ListArray, &DataType)| list.values().data_type() == data_type;
        if !lists.iter().zip(&self.plan.types).all(fits) {
            return Err(wrong().into());
        }
        // lists of one state are equally long and lie side by side, but for where they begin
        let mut rows = Vec::new();
        let mut picks: Vec<Vec<u32>> = vec![Vec::new(); lists.len()];
        for (row, group) in groups.iter().enumerate().filter(|(row, _)| first.is_valid(*row)) {
            let length = bounds(first.offsets(), row).len();
            for (list, picks) in lists.iter().zip(&mut picks) {
                let items = bounds(list.offsets(), row);
                if items.len() != length {
                    return Err(wrong().into());
                }
                picks.extend(items.filter_map(|item| u32::try_from(item).ok()));
            }
            rows.extend(std::iter::repeat_n(*group, length));
        }
        let columns = lists
            .iter()
            .zip(picks)
            .map(|(list, picks)| Ok(take(list.values(), &UInt32Array::from(picks), None)?))
            .collect::<Result<Vec<_>>>()?;
        self.put(columns, rows.into_iter().enumerate())
    }

    /// The values of groups, one column per argument, and where each group begins.
    fn values(&self, groups: &[Vec<Place>]) -> Result<(Vec<ArrayRef>, OffsetBuffer<i32>)> {
        let mut offsets = vec![0i32];
        let mut places = Vec::new();
        let too_many = || Error::data("an aggregate collects more than 2147483647 values");
        for group in groups {
            places.extend_from_slice(group);
            offsets.push(i32::try_from(places.len()).map_err(|_| too_many())?);
        }
        let column = |(at, data_type): (usize, &DataType)| -> Result<ArrayRef> {
            let batches: Vec<&dyn Array> = self.batches.iter().filter_map(|b| b.get(at)).map(|c| c.as_ref()).collect();
            if places.is_empty() || batches.is_empty() {
                return Ok(new_empty_array(data_type));
            }
            Ok(interleave(&batches, &places)?)
        };
        let columns = self.plan.types.iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok((columns, OffsetBuffer::new(ScalarBuffer::from(offsets))))
    }

    fn states(&self, groups: &[Vec<Place>]) -> Result<Vec<ArrayRef>> {
        let (columns, offsets) = self.values(groups)?;
        columns.into_iter().map(|values| list(values, offsets.clone(), None)).collect()
    }

    fn results(&self, groups: &[Vec<Place>]) -> Result<ArrayRef> {
        let (columns, offsets) = self.values(groups)?;
        let Some(values) = columns.first() else { return Err(Error::internal("an aggregate of nothing").into()) };
        match &self.plan.kind {
            Kind::Array { .. } => {
                let nulls = groups.iter().map(|group| !group.is_empty()).collect::<NullBuffer>();
                list(Arc::clone(values), offsets, Some(nulls))
            }
            Kind::Multiset => multiset(values, &offsets),
            Kind::Text { separator } => joined(values, &offsets, separator),
            Kind::JsonArray { raw, .. } => texts(groups.len(), |group| {
                let item = |row| json_item(values, row, *raw, false, &Zone::UTC);
                let items = bounds(&offsets, group).map(item).collect::<Result<Vec<_>>>()?;
                Ok(Json::Array(items.into_iter().flatten().collect()))
            }),
            Kind::JsonObject { raw, .. } => json_objects(&columns, &offsets, groups.len(), *raw),
            Kind::Distinct(inner) => {
                let mut folded =
                    inner.groups().ok_or_else(|| Error::internal("DISTINCT of an aggregate without groups"))?;
                let ids: Vec<usize> = (0..groups.len()).flat_map(|g| bounds(&offsets, g).map(move |_| g)).collect();
                folded.update_batch(&columns, &ids, None, groups.len())?;
                folded.evaluate(EmitTo::All)
            }
        }
    }

    fn taken(&mut self, emit_to: EmitTo) -> Vec<Vec<Place>> {
        let groups = emit_to.take_needed(&mut self.groups);
        if self.plan.distinct {
            drop(emit_to.take_needed(&mut self.seen));
        }
        groups
    }

    fn bytes(&self) -> usize {
        let columns: usize = self.batches.iter().flatten().map(|column| column.get_array_memory_size()).sum();
        let places: usize = self.groups.iter().map(|group| group.capacity() * size_of::<Place>()).sum();
        let seen: usize = self.seen.iter().flatten().map(|key| key.len() + size_of::<Box<[u8]>>()).sum();
        columns + places + seen
    }
}

fn list(values: ArrayRef, offsets: OffsetBuffer<i32>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, nulls)?))
}

/// How often each value of each group occurs, in the order of their first places.
fn multiset(values: &ArrayRef, offsets: &OffsetBuffer<i32>) -> Result<ArrayRef> {
    let rows = comparable(values)?;
    let (mut picks, mut counts, mut ends) = (Vec::new(), Vec::<i32>::new(), vec![0i32]);
    for group in 0..offsets.len().saturating_sub(1) {
        let mut places = std::collections::HashMap::new();
        for row in bounds(offsets, group) {
            let place = *places.entry(rows.row(row)).or_insert_with(|| {
                picks.push(u32::try_from(row).unwrap_or(u32::MAX));
                counts.push(0);
                counts.len() - 1
            });
            if let Some(count) = counts.get_mut(place) {
                *count = count.saturating_add(1);
            }
        }
        ends.push(i32::try_from(picks.len()).unwrap_or(i32::MAX));
    }
    let (keys, counts) = (take(values, &UInt32Array::from(picks), None)?, Arc::new(Int32Array::from(counts)));
    let multiset = multiset_type(values.data_type().clone());
    in_java_order(&map_array(&multiset, OffsetBuffer::new(ScalarBuffer::from(ends)), keys, counts, None)?)
}

fn joined(values: &ArrayRef, offsets: &OffsetBuffer<i32>, separator: &str) -> Result<ArrayRef> {
    let values = values.as_string_opt::<i32>().ok_or_else(|| Error::internal("LISTAGG of something else than text"))?;
    let mut out = StringBuilder::new();
    let mut room = Room::new();
    for group in 0..offsets.len().saturating_sub(1) {
        let texts: Vec<&str> = bounds(offsets, group).map(|row| values.value(row)).collect();
        let bytes = texts.iter().map(|text| text.len().saturating_add(separator.len()));
        room.take(bytes.fold(0, usize::saturating_add))?;
        out.append_option((!texts.is_empty()).then(|| texts.join(separator)));
    }
    Ok(Arc::new(out.finish()))
}

fn texts(groups: usize, value: impl Fn(usize) -> Result<Json>) -> Result<ArrayRef> {
    let mut out = StringBuilder::new();
    let mut room = Room::new();
    for group in 0..groups {
        let text = value(group)?.text();
        room.take(text.len())?;
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

fn json_objects(columns: &[ArrayRef], offsets: &OffsetBuffer<i32>, groups: usize, raw: bool) -> Result<ArrayRef> {
    let [keys, values] = columns else { return Err(Error::internal("JSON_OBJECTAGG takes two columns").into()) };
    let keys = keys.as_string_opt::<i32>().ok_or_else(|| Error::internal("a key of JSON_OBJECTAGG is no text"))?;
    texts(groups, |group| {
        let mut fields = Vec::new();
        let mut seen = HashSet::new();
        for row in bounds(offsets, group) {
            let key = keys.value(row);
            if !seen.insert(key) {
                return Err(Error::data(format!("JSON_OBJECTAGG has the key \"{key}\" twice"))
                    .hint("keys of a group must differ")
                    .into());
            }
            fields.extend(json_item(values, row, raw, false, &Zone::UTC)?.map(|value| (key.to_owned(), value)));
        }
        Ok(Json::Object(fields))
    })
}

impl GroupsAccumulator for Bags {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.grow(count);
        self.update(values, group_indices, filter)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], count: usize) -> Result<()> {
        self.grow(count);
        self.merge(values, group_indices)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.taken(emit_to);
        self.results(&groups)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.taken(emit_to);
        self.states(&groups)
    }

    fn convert_to_state(&self, _: &[ArrayRef], _: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        Err(Error::internal("partial results of single rows are not made").into())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes()
    }
}

/// One group.
struct OneBag(Bags);

impl Debug for OneBag {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "OneBag({} rows)", self.0.groups.first().map_or(0, Vec::len))
    }
}

impl OneBag {
    /// The rows of the group.
    fn group(&mut self) -> Vec<Vec<Place>> {
        self.0.grow(1);
        self.0.groups.clone()
    }

    /// Batches of one row each, of which a running frame makes many, become one.
    fn compact(&mut self) -> Result<()> {
        const BATCHES_MAX: usize = 64;
        if self.0.batches.len() < BATCHES_MAX {
            return Ok(());
        }
        let group = self.group();
        let (columns, _) = self.0.values(&group)?;
        let rows = group.first().map_or(0, Vec::len);
        self.0.groups = vec![(0..rows).map(|row| (0, row)).collect()];
        self.0.batches = vec![columns];
        Ok(())
    }
}

impl Accumulator for OneBag {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.0.grow(1);
        self.0.update(values, &vec![0; rows], None)?;
        self.compact()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.0.grow(1);
        self.0.merge(states, &vec![0; rows])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let group = self.group();
        ScalarValue::try_from_array(&self.0.results(&group)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let group = self.group();
        self.0.states(&group)?.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.bytes()
    }
}
