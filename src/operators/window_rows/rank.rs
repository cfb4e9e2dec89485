//! Top-N and deduplication: the first rows of a key in an order.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::physical_expr::PhysicalExpr;

use super::{Window, arrival};
use crate::error::Result;
use crate::operators::columns::{evaluate, evaluate_all};
use crate::plan::{PlanExpr, WindowRank};

/// The rows numbered `first` to `last` per window and key.
pub(super) struct Rank {
    window_end: usize,
    window_start: usize,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    key_rows: RowConverter,
    order: Vec<Arc<dyn PhysicalExpr>>,
    order_rows: RowConverter,
    latest_first: bool,
    first: u64,
    last: u64,
}

impl Rank {
    pub(super) fn new(plan: &WindowRank, input: &SchemaRef) -> Result<Self> {
        let field = |expr: &PlanExpr, options| Ok(SortField::new_with_options(expr.expr.data_type(input)?, options));
        let bounds =
            [plan.window_end, plan.window_start].map(|place| SortField::new(input.field(place).data_type().clone()));
        let keys = plan.keys.iter().map(|key| field(key, SortOptions::default())).collect::<Result<Vec<_>>>()?;
        let order = plan
            .order
            .iter()
            .map(|key| field(&key.expr, SortOptions { descending: key.descending, nulls_first: key.nulls_first }));
        let order = order.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            window_end: plan.window_end,
            window_start: plan.window_start,
            keys: plan.keys.iter().map(|key| Arc::clone(&key.expr)).collect(),
            key_rows: RowConverter::new(bounds.into_iter().chain(keys).collect())?,
            order: plan.order.iter().map(|key| Arc::clone(&key.expr.expr)).collect(),
            order_rows: RowConverter::new(order)?,
            latest_first: plan.latest_first,
            first: plan.first,
            last: plan.last,
        })
    }

    /// Places of the rows numbered up to `last` and their numbers, in the order of the keys.
    fn numbered(&self, rows: &RecordBatch) -> Result<Vec<(u32, u64)>> {
        let mut columns = vec![Arc::clone(rows.column(self.window_end)), Arc::clone(rows.column(self.window_start))];
        columns.extend(evaluate_all(&self.keys, rows)?);
        let keys = self.key_rows.convert_columns(&columns)?;
        // without an order that of arrival counts; the converter makes no rows of no columns
        let order: Vec<ArrayRef> = self.order.iter().map(|expr| evaluate(expr, rows)).collect::<Result<_>>()?;
        let order = if order.is_empty() { None } else { Some(self.order_rows.convert_columns(&order)?) };
        let mut places = arrival(rows)?;
        if self.latest_first {
            places.reverse();
        }
        let compare = |rows: &Rows, a: u32, b: u32| rows.row(a as usize).cmp(&rows.row(b as usize));
        let ordered = |a: u32, b: u32| order.as_ref().map_or(Ordering::Equal, |order| compare(order, a, b));
        places.sort_by(|&a, &b| compare(&keys, a, b).then_with(|| ordered(a, b)));
        let (mut numbered, mut number, mut before) = (Vec::new(), 0, None);
        for place in places {
            let same = before.is_some_and(|before| compare(&keys, before, place) == Ordering::Equal);
            number = if same { number + 1 } else { 1 };
            before = Some(place);
            if number <= self.last {
                numbered.push((place, number));
            }
        }
        Ok(numbered)
    }
}

impl Window for Rank {
    fn fire(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let mut numbered = self.numbered(rows)?;
        numbered.retain(|(_, number)| *number >= self.first);
        if numbered.is_empty() {
            return Ok(Vec::new());
        }
        let (places, numbers): (Vec<u32>, Vec<i64>) =
            numbered.into_iter().map(|(place, number)| (place, i64::try_from(number).unwrap_or(i64::MAX))).unzip();
        let taken = take_record_batch(rows, &UInt32Array::from(places))?;
        let users = crate::stream::user_columns(&taken)?;
        let mut columns: Vec<(String, ArrayRef)> =
            (0..users).map(|i| (format!("{i}"), Arc::clone(taken.column(i)))).collect();
        columns.push(("number".into(), Arc::new(Int64Array::from(numbers))));
        Ok(vec![RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )?])
    }

    fn prune(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>> {
        if self.last == u64::MAX {
            return Ok(None);
        }
        let mut kept: Vec<u32> = self.numbered(rows)?.into_iter().map(|(place, _)| place).collect();
        kept.sort_unstable();
        Ok(Some(take_record_batch(rows, &UInt32Array::from(kept))?))
    }
}
