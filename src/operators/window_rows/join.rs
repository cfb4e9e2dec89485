//! Joins of two sides within a window: a hash table over the right side, the left side in order of arrival.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{take_arrays, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};

use super::{Window, arrival};
use crate::error::{Error, Result};
use crate::limits::{BATCH_ROWS_MAX, JOIN_ROWS_MAX};
use crate::operators::columns::condition;
use crate::operators::keys::{bits_of_key, type_of_bits};
use crate::plan::{JoinKind, PlanExpr, WindowJoin};
use crate::stream::user_columns;

/// Pairs of rows with equal window start and keys.
pub(super) struct Join {
    kind: JoinKind,
    keys: usize,
    left: usize,
    condition: Option<PlanExpr>,
    converter: RowConverter,
    /// Columns of both sides.
    pair: SchemaRef,
    /// Columns that leave.
    output: usize,
}

/// The rows of a window by side, in order of arrival.
struct Sides {
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Join {
    pub(super) fn new(plan: &WindowJoin, input: &SchemaRef, schema: &SchemaRef) -> Result<Self> {
        let first = WindowJoin::KEYS + plan.keys;
        let keys = std::iter::once(WindowJoin::WINDOW_START).chain(WindowJoin::KEYS..first);
        let field = |place: usize| {
            let field = input.fields().get(place).ok_or_else(|| Error::internal("a join without its columns"))?;
            Ok(SortField::new(type_of_bits(field.data_type())))
        };
        let pair: Vec<Field> =
            input.fields().iter().skip(first).map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Ok(Self {
            kind: plan.kind,
            keys: plan.keys,
            left: plan.left,
            condition: plan.condition.clone(),
            converter: RowConverter::new(keys.map(field).collect::<Result<_>>()?)?,
            pair: Arc::new(Schema::new(pair)),
            output: schema.fields().len(),
        })
    }

    fn sides(rows: &RecordBatch) -> Result<Sides> {
        let side = rows.column(WindowJoin::SIDE).as_boolean_opt();
        let side = side.ok_or_else(|| Error::internal("a joined row without a side"))?;
        let (left, right) = arrival(rows)?.into_iter().partition(|row| side.value(*row as usize));
        Ok(Sides { left, right })
    }

    /// Hands the pairs of rows that have the same start and keys, none of which is NULL, to `take`, in pieces: a window
    /// may hold far more pairs than rows.
    fn candidates(
        &self,
        rows: &RecordBatch,
        sides: &Sides,
        mut take: impl FnMut(Vec<u32>, Vec<u32>) -> Result<()>,
    ) -> Result<()> {
        let keys = &rows.columns()[WindowJoin::KEYS..WindowJoin::KEYS + self.keys];
        let mut columns = vec![Arc::clone(rows.column(WindowJoin::WINDOW_START))];
        columns.extend(keys.iter().map(bits_of_key));
        let bytes = self.converter.convert_columns(&columns)?;
        let joins = |row: u32| keys.iter().all(|key| key.is_valid(row as usize));
        let mut table: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for &row in sides.right.iter().filter(|row| joins(**row)) {
            table.entry(bytes.row(row as usize).data()).or_default().push(row);
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for &row in sides.left.iter().filter(|row| joins(**row)) {
            for part in table.get(bytes.row(row as usize).data()).into_iter().flat_map(|all| all.chunks(BATCH_ROWS_MAX))
            {
                right.extend_from_slice(part);
                left.resize(right.len(), row);
                if left.len() >= BATCH_ROWS_MAX {
                    take(std::mem::take(&mut left), std::mem::take(&mut right))?;
                }
            }
        }
        take(left, right)
    }

    /// Those of the pairs that meet the condition: their places, and their columns.
    fn met(&self, rows: &RecordBatch, left: Vec<u32>, right: Vec<u32>) -> Result<(Vec<u32>, Vec<u32>, RecordBatch)> {
        let pairs = self.pairs(rows, Some(&left), Some(&right))?;
        let Some(on) = &self.condition else { return Ok((left, right, pairs)) };
        let met = condition(&on.expr, &pairs)?;
        let kept: UInt32Array =
            (0..met.len()).filter(|i| met.is_valid(*i) && met.value(*i)).map(|i| i as u32).collect();
        let picked = |places: &[u32]| kept.values().iter().map(|at| places[*at as usize]).collect();
        Ok((picked(&left), picked(&right), take_record_batch(&pairs, &kept)?))
    }

    /// The columns of both sides; `None` for a side: NULL.
    fn pairs(&self, rows: &RecordBatch, left: Option<&[u32]>, right: Option<&[u32]>) -> Result<RecordBatch> {
        let users = user_columns(rows)?;
        let from = WindowJoin::KEYS + self.keys;
        let middle = from + self.left;
        let count = left.or(right).map_or(0, <[u32]>::len);
        let side = |columns: &[ArrayRef], places: Option<&[u32]>| -> Result<Vec<ArrayRef>> {
            match places {
                Some(places) => Ok(take_arrays(columns, &UInt32Array::from(places.to_vec()), None)?),
                None => Ok(columns.iter().map(|column| new_null_array(column.data_type(), count)).collect()),
            }
        };
        let mut columns = side(&rows.columns()[from..middle], left)?;
        columns.extend(side(&rows.columns()[middle..users], right)?);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.pair), columns, &options)?)
    }

    fn outputs(&self, pairs: &RecordBatch) -> Result<RecordBatch> {
        Ok(pairs.project(&(0..self.output).collect::<Vec<_>>())?)
    }
}

impl Window for Join {
    fn fire(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let sides = Self::sides(rows)?;
        let mut paired = vec![false; rows.num_rows()];
        let (mut made, mut count) = (Vec::new(), 0usize);
        self.candidates(rows, &sides, |left, right| {
            let (left, right, pairs) = self.met(rows, left, right)?;
            for place in left.into_iter().chain(right) {
                paired[place as usize] = true;
            }
            if !matches!(self.kind, JoinKind::Semi | JoinKind::Anti) {
                count += pairs.num_rows();
                made.push(self.outputs(&pairs)?);
            }
            match count <= JOIN_ROWS_MAX {
                true => Ok(()),
                false => Err(Error::data(format!("a join makes more than {JOIN_ROWS_MAX} rows of one window"))
                    .hint("compare more columns, or make the windows shorter")),
            }
        })?;
        let of = |side: &[u32], is: bool| -> Vec<u32> {
            side.iter().copied().filter(|place| paired[*place as usize] == is).collect()
        };
        if matches!(self.kind, JoinKind::Left | JoinKind::Full | JoinKind::Anti | JoinKind::Semi) {
            let alone = of(&sides.left, self.kind == JoinKind::Semi);
            made.push(self.outputs(&self.pairs(rows, Some(&alone), None)?)?);
        }
        if matches!(self.kind, JoinKind::Right | JoinKind::Full) {
            made.push(self.outputs(&self.pairs(rows, None, Some(&of(&sides.right, false)))?)?);
        }
        made.retain(|batch| batch.num_rows() > 0);
        Ok(made)
    }
}
