//! Functions of `OVER` that look at the place of a row among those before it: `ROW_NUMBER`, `RANK`, `DENSE_RANK` and
//! `LAG`. They are aggregates over an unbounded frame.
//!
//! In the order of event time Flink 2.3 does not tell ranks from numbers: `RANK` and `DENSE_RANK` count the rows, and
//! those of the same time share the highest number.
//!
//! # Source
//! Flink `RowNumberAggFunction`, `RankAggFunction`, `DenseRankAggFunction`, `LagAggFunction`; ranks as seen by running
//! Flink 2.3.0.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

use crate::error::Error;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ordinal {
    RowNumber,
    Rank,
    DenseRank,
    Lag,
}

/// How each is written, and what it returns.
pub(super) const DOCS: &[(&str, &str)] = &[
    ("ROW_NUMBER() OVER (…)", "Number of the row, from 1."),
    ("RANK() OVER (…)", "Number of the row, from 1; rows of the same time share the highest, as in Flink 2.3."),
    ("DENSE_RANK() OVER (…)", "As RANK."),
    (
        "LAG(value [, offset [, default]]) OVER (…)",
        "The value so many rows before, 1 unless given; the default, or NULL, where there is none.",
    ),
];

/// All of them.
pub(super) fn functions() -> impl Iterator<Item = Arc<AggregateUDF>> {
    [Ordinal::RowNumber, Ordinal::Rank, Ordinal::DenseRank, Ordinal::Lag]
        .into_iter()
        .map(|ordinal| Arc::new(AggregateUDF::new_from_impl(Function::new(ordinal))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    ordinal: Ordinal,
    signature: Signature,
}

impl Function {
    fn new(ordinal: Ordinal) -> Self {
        Self { ordinal, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn states(&self, value: Option<&DataType>) -> Vec<(&'static str, DataType)> {
        match self.ordinal {
            Ordinal::RowNumber | Ordinal::Rank | Ordinal::DenseRank => vec![("rows", DataType::Int64)],
            Ordinal::Lag => {
                let value = value.cloned().unwrap_or(DataType::Null);
                vec![
                    ("values", DataType::new_list(value.clone(), true)),
                    ("default", value),
                    ("offset", DataType::Int64),
                ]
            }
        }
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        match self.ordinal {
            Ordinal::RowNumber => "row_number",
            Ordinal::Rank => "rank",
            Ordinal::DenseRank => "dense_rank",
            Ordinal::Lag => "lag",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let takes = |usage: &str| Error::sql(format!("function \"{}\" is written {usage}", self.name().to_uppercase()));
        match (self.ordinal, types) {
            (Ordinal::Lag, [value]) => Ok(vec![value.clone()]),
            (Ordinal::Lag, [value, offset]) if offset.is_integer() => Ok(vec![value.clone(), DataType::Int64]),
            (Ordinal::Lag, [value, offset, _]) if offset.is_integer() => {
                Ok(vec![value.clone(), DataType::Int64, value.clone()])
            }
            (Ordinal::Lag, _) => Err(takes("LAG(value [, offset [, default]])").into()),
            // the constant to count that the planner gives
            (_, [DataType::Boolean]) => Ok(types.to_vec()),
            _ => Err(takes("without arguments").into()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.ordinal, types) {
            (Ordinal::Lag, [value, ..]) => Ok(value.clone()),
            _ => Ok(DataType::Int64),
        }
    }

    fn is_nullable(&self) -> bool {
        self.ordinal == Ordinal::Lag
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let states = self.states(args.input_fields.first().map(|field| field.data_type()));
        let field = |(part, data_type)| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        Ok(states.into_iter().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let value = args.expr_fields.first().map(|field| ScalarValue::try_from(field.data_type())).transpose()?;
        let value = value.unwrap_or(ScalarValue::Null);
        Ok(match self.ordinal {
            Ordinal::RowNumber | Ordinal::Rank | Ordinal::DenseRank => Box::new(RowNumber { rows: 0 }),
            Ordinal::Lag => Box::new(Lag { values: VecDeque::new(), default: value.clone(), offset: 1, null: value }),
        })
    }
}

fn int64(column: Option<&ArrayRef>, row: usize) -> Result<i64> {
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let column = column.filter(|column| row < column.len());
    Ok(column.ok_or_else(|| Error::internal("the state of a ranking function has another form"))?.value(row))
}

#[derive(Debug)]
struct RowNumber {
    rows: i64,
}

impl Accumulator for RowNumber {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows += values.first().map_or(0, |column| column.len() as i64);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.rows)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.rows))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states.first().map_or(0, |column| column.len()) {
            self.rows += int64(states.first(), row)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Lag {
    /// The last values, the newest last: one more than the offset.
    values: VecDeque<ScalarValue>,
    default: ScalarValue,
    offset: usize,
    null: ScalarValue,
}

impl Accumulator for Lag {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [value, rest @ ..] = values else { return Err(Error::internal("LAG without a value").into()) };
        for row in 0..value.len() {
            if !rest.is_empty() {
                let offset = int64(rest.first(), row)?;
                self.offset = usize::try_from(offset)
                    .map_err(|_| Error::data(format!("the offset of LAG must not be negative, it is {offset}")))?;
            }
            if let Some(default) = rest.get(1) {
                self.default = ScalarValue::try_from_array(default, row)?;
            }
            self.values.push_back(ScalarValue::try_from_array(value, row)?);
            while self.values.len() > self.offset.saturating_add(1) {
                self.values.pop_front();
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let known = self.values.len().checked_sub(self.offset.saturating_add(1));
        Ok(known.and_then(|place| self.values.get(place)).unwrap_or(&self.default).clone())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.iter().map(ScalarValue::size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.iter().cloned().collect();
        let values = ScalarValue::new_list(&values, &self.null.data_type(), true);
        let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
        Ok(vec![ScalarValue::List(values), self.default.clone(), ScalarValue::Int64(Some(offset))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let list = states.first().and_then(|column| column.as_list_opt::<i32>());
        if let (Some(list), Some(default)) = (list.filter(|list| list.len() == 1), states.get(1)) {
            let values = list.value(0);
            self.values = (0..values.len()).map(|i| ScalarValue::try_from_array(&values, i)).collect::<Result<_>>()?;
            self.default = ScalarValue::try_from_array(default, 0)?;
            self.offset = usize::try_from(int64(states.get(2), 0)?).unwrap_or(usize::MAX);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};

    /// Feeds rows one by one, putting the state away and back before each.
    fn results(mut make: impl FnMut() -> Box<dyn Accumulator>, rows: &[Vec<ArrayRef>]) -> Vec<ScalarValue> {
        let mut accumulator = make();
        let mut results = Vec::new();
        for row in rows {
            let state: Vec<ArrayRef> = accumulator.state().unwrap().iter().map(|s| s.to_array().unwrap()).collect();
            accumulator = make();
            accumulator.merge_batch(&state).unwrap();
            accumulator.update_batch(row).unwrap();
            results.push(accumulator.evaluate().unwrap());
        }
        results
    }

    #[test]
    fn rows_are_counted() {
        let row = || vec![Arc::new(Int64Array::from(vec![3])) as ArrayRef];
        let found = results(|| Box::new(RowNumber { rows: 0 }), &[row(), row(), row()]);
        assert_eq!(found, [1, 2, 3].map(|n| ScalarValue::Int64(Some(n))));
    }

    #[test]
    fn lag_looks_back_or_gives_the_default() {
        let null = ScalarValue::Utf8(None);
        let lag = || -> Box<dyn Accumulator> {
            Box::new(Lag { values: VecDeque::new(), default: null.clone(), offset: 1, null: null.clone() })
        };
        let row = |value: Option<&str>| -> Vec<ArrayRef> {
            vec![
                Arc::new(StringArray::from(vec![value])),
                Arc::new(Int64Array::from(vec![2])),
                Arc::new(StringArray::from(vec!["none"])),
            ]
        };
        let found = results(lag, &[row(Some("a")), row(None), row(Some("c")), row(Some("d"))]);
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["none", "none", "a", "NULL"]);
    }
}
