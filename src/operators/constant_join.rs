//! A join with rows that the plan holds (`VALUES`): a hash table over them that is never changed, so that nothing waits
//! and nothing is kept.
//!
//! Each row leaves as it comes, with its partners in the order of the script; what leaves does not depend on batches. Keys
//! are equal if their bits are, as those of Flink's joins: NULL equals nothing, NaN itself, and 0.0 is not -0.0. In
//! `NOT IN` a NULL may equal anything, so it rules a row out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take, take_arrays};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;

use super::columns::{condition, evaluate, evaluate_all};
use super::{Operator, Output};
use crate::error::{Error, Result};
use crate::limits::BATCH_ROWS_MAX;
use crate::plan::{ConstantJoin, JoinKind, PlanExpr};
use crate::stream::{user_columns, with_origin};

/// Pairs rows with constants.
pub struct ConstantJoinOperator {
    kind: JoinKind,
    kept: Vec<usize>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    condition: Option<Arc<dyn PhysicalExpr>>,
    constants: Vec<ArrayRef>,
    table: Table,
    /// What leaves.
    schema: SchemaRef,
    /// What the condition reads.
    pair: SchemaRef,
}

/// The places of the constants by their keys.
struct Table {
    converter: RowConverter,
    by_key: HashMap<Box<[u8]>, Vec<u32>>,
    /// All of them: the partners of a row where there are no keys.
    all: Vec<u32>,
    /// `NOT IN`: those without a key.
    unknown: Option<Vec<u32>>,
    /// Most partners that one row has.
    most: usize,
}

impl Table {
    fn new(plan: &ConstantJoin) -> Result<Self> {
        let places = 0..u32::try_from(plan.rows.num_rows()).unwrap_or(u32::MAX);
        let keys: Vec<ArrayRef> =
            plan.keys.iter().map(|(_, constant)| evaluate(&constant.expr, &plan.rows)).collect::<Result<_>>()?;
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let mut by_key: HashMap<Box<[u8]>, Vec<u32>> = HashMap::new();
        if !keys.is_empty() {
            let bytes = converter.convert_columns(&keys)?;
            for place in places.clone().filter(|place| are_known(&keys, *place)) {
                by_key.entry(bytes.row(place as usize).data().into()).or_default().push(place);
            }
        }
        let unknown =
            plan.unknown_joins.then(|| places.clone().filter(|place| !are_known(&keys, *place)).collect::<Vec<_>>());
        let most = match keys.is_empty() {
            true => plan.rows.num_rows(),
            false => by_key.values().map(Vec::len).max().unwrap_or(0) + unknown.as_ref().map_or(0, Vec::len),
        };
        Ok(Self { converter, by_key, all: places.collect(), unknown, most })
    }

    /// The constants that `take` is given for each row, in the order of rows: those with its key, or that may have it.
    fn partners(
        &self,
        keys: &[ArrayRef],
        rows: usize,
        mut take: impl FnMut(u32, [&[u32]; 2]) -> Result<()>,
    ) -> Result<()> {
        if keys.is_empty() {
            return (0..rows).try_for_each(|row| take(place(row), [&self.all, &[]]));
        }
        let bytes = self.converter.convert_columns(keys)?;
        for row in 0..rows {
            let found = match (are_known(keys, place(row)), &self.unknown) {
                (true, unknown) => {
                    let equal = self.by_key.get(bytes.row(row).data()).map_or(&[][..], Vec::as_slice);
                    [equal, unknown.as_deref().unwrap_or_default()]
                }
                (false, Some(_)) => [&self.all[..], &[]],
                (false, None) => [&[][..], &[]],
            };
            take(place(row), found)?;
        }
        Ok(())
    }
}

fn are_known(keys: &[ArrayRef], row: u32) -> bool {
    keys.iter().all(|key| key.is_valid(row as usize))
}

fn place(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// Pairs of consecutive rows; all pairs of a row are in the same piece.
#[derive(Default)]
struct Piece {
    /// The rows, those without a partner, too.
    of: std::ops::Range<u32>,
    rows: Vec<u32>,
    constants: Vec<u32>,
}

impl ConstantJoinOperator {
    /// `schema` is the node's, without origin columns.
    ///
    /// # Errors
    /// `Internal` if the keys of the constants cannot be computed.
    pub fn new(plan: &ConstantJoin, schema: &Schema) -> Result<Self> {
        let constants = plan.rows.schema();
        let constants = constants.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let kept = schema.fields().iter().take(plan.kept.len()).map(|field| field.as_ref().clone());
        Ok(Self {
            kind: plan.kind,
            kept: plan.kept.clone(),
            keys: plan.keys.iter().map(|(value, _)| Arc::clone(&value.expr)).collect(),
            condition: plan.condition.as_ref().map(|condition: &PlanExpr| Arc::clone(&condition.expr)),
            constants: plan.rows.columns().to_vec(),
            table: Table::new(plan)?,
            schema: with_origin(schema),
            pair: with_origin(&Schema::new(kept.chain(constants).collect::<Vec<Field>>())),
        })
    }

    /// Columns of rows and of their partners, with the origin of the rows.
    fn columns(
        &self,
        batch: &RecordBatch,
        rows: &UInt32Array,
        constants: Option<&UInt32Array>,
    ) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.pair.fields().len());
        for place in &self.kept {
            columns.push(take(batch.column(*place), rows, None)?);
        }
        if let Some(constants) = constants {
            columns.extend(take_arrays(&self.constants, constants, None)?);
        }
        columns.extend(take_arrays(&batch.columns()[user_columns(batch)?..], rows, None)?);
        Ok(columns)
    }

    /// Takes the pairs out that do not meet the condition.
    fn meet(&self, batch: &RecordBatch, piece: &mut Piece) -> Result<()> {
        let Some(on) = self.condition.as_ref().filter(|_| !piece.rows.is_empty()) else { return Ok(()) };
        let (rows, constants) = (UInt32Array::from(piece.rows.clone()), UInt32Array::from(piece.constants.clone()));
        let pairs = self.columns(batch, &rows, Some(&constants))?;
        let met = condition(on, &RecordBatch::try_new(Arc::clone(&self.pair), pairs)?)?;
        let mut met = met.iter().map(|met| met == Some(true));
        let pairs = std::mem::take(&mut piece.rows).into_iter().zip(std::mem::take(&mut piece.constants));
        (piece.rows, piece.constants) = pairs.filter(|_| met.next() == Some(true)).unzip();
        Ok(())
    }

    /// Lets the rows of a piece go, with their partners.
    fn paired(&self, batch: &RecordBatch, mut piece: Piece, output: &mut Output) -> Result<()> {
        self.meet(batch, &mut piece)?;
        let (rows, constants): (Vec<u32>, Vec<Option<u32>>) = match self.kind {
            JoinKind::Left => {
                let mut pairs = piece.rows.into_iter().zip(piece.constants).peekable();
                let mut all = (Vec::new(), Vec::new());
                for row in piece.of {
                    let before = all.0.len();
                    while let Some((row, constant)) = pairs.next_if(|(of, _)| *of == row) {
                        all.0.push(row);
                        all.1.push(Some(constant));
                    }
                    if all.0.len() == before {
                        all.0.push(row);
                        all.1.push(None);
                    }
                }
                all
            }
            _ => (piece.rows, piece.constants.into_iter().map(Some).collect()),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let columns = self.columns(batch, &UInt32Array::from(rows), Some(&UInt32Array::from(constants)))?;
        output.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }

    /// Whether each row of a batch has a partner, `[n]`.
    fn joined(&self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let mut joined = vec![false; batch.num_rows()];
        let mut mark = |row: u32| {
            if let Some(joined) = joined.get_mut(row as usize) {
                *joined = true;
            }
        };
        if self.condition.is_some() {
            self.pieces(batch, |mut piece| {
                self.meet(batch, &mut piece)?;
                piece.rows.into_iter().for_each(&mut mark);
                Ok(())
            })?;
        } else {
            let keys = evaluate_all(&self.keys, batch)?;
            self.table.partners(&keys, batch.num_rows(), |row, partners| {
                if partners.into_iter().any(|found| !found.is_empty()) {
                    mark(row);
                }
                Ok(())
            })?;
        }
        Ok(joined)
    }

    /// Lets go the rows that have a partner, or those that have none.
    fn picked(&self, batch: &RecordBatch, joined: &[bool], output: &mut Output) -> Result<()> {
        let wanted = self.kind == JoinKind::Semi;
        let picked = BooleanArray::from(joined.iter().map(|joined| *joined == wanted).collect::<Vec<_>>());
        if picked.true_count() == 0 {
            return Ok(());
        }
        let user = user_columns(batch)?;
        let places: Vec<usize> = self.kept.iter().copied().chain(user..batch.num_columns()).collect();
        let rows = filter_record_batch(&batch.project(&places)?, &picked)?;
        output.batches.push(RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())?);
        Ok(())
    }

    /// Hands the pairs of a batch to `take`, in pieces.
    fn pieces(&self, batch: &RecordBatch, mut take: impl FnMut(Piece) -> Result<()>) -> Result<()> {
        let keys = evaluate_all(&self.keys, batch)?;
        let mut piece = Piece::default();
        self.table.partners(&keys, batch.num_rows(), |row, partners| {
            for constant in partners.into_iter().flatten() {
                piece.rows.push(row);
                piece.constants.push(*constant);
            }
            piece.of.end = row.saturating_add(1);
            if piece.rows.len() < BATCH_ROWS_MAX {
                return Ok(());
            }
            let next = piece.of.end;
            take(std::mem::replace(&mut piece, Piece { of: next..next, ..Piece::default() }))
        })?;
        take(piece)
    }
}

impl Operator for ConstantJoinOperator {
    fn name(&self) -> &str {
        "constant_join"
    }

    fn copies_max(&self, _: &RecordBatch) -> usize {
        match self.kind {
            JoinKind::Semi | JoinKind::Anti => 1,
            _ => self.table.most,
        }
    }

    fn process(&mut self, batch: RecordBatch, output: &mut Output) -> Result<()> {
        match self.kind {
            JoinKind::Inner | JoinKind::Left => self.pieces(&batch, |piece| self.paired(&batch, piece, output)),
            JoinKind::Semi | JoinKind::Anti => self.picked(&batch, &self.joined(&batch)?, output),
            JoinKind::Right | JoinKind::Full => Err(Error::internal("constants that wait for a partner")),
        }
    }
}

#[cfg(test)]
mod tests;
