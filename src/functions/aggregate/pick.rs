//! Aggregates that keep one of the values they see, of any type: `FIRST_VALUE`, `LAST_VALUE`, and `MIN`/`MAX` of
//! text and booleans. The state is that value; NULL before the first one.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, GroupsAccumulator};
use datafusion::scalar::ScalarValue;

use super::Make;
use crate::error::Error;

/// Which value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The first that is not NULL.
    First,
    /// The last that is not NULL.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

struct Picked {
    pick: Pick,
    data_type: DataType,
    empty: ScalarValue,
}

/// The aggregate over an argument type.
pub(super) fn picked(pick: Pick, argument: &DataType) -> Option<Box<dyn Make>> {
    let empty = ScalarValue::try_from(argument).ok()?;
    Some(Box::new(Picked { pick, data_type: argument.clone(), empty }))
}

/// `FIRST_VALUE` over an argument type.
pub(super) fn make_first(argument: &DataType) -> Option<Box<dyn Make>> {
    picked(Pick::First, argument)
}

/// `LAST_VALUE` over an argument type.
pub(super) fn make_last(argument: &DataType) -> Option<Box<dyn Make>> {
    picked(Pick::Last, argument)
}

impl Make for Picked {
    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn state_types(&self) -> Vec<(&'static str, DataType)> {
        vec![("value", self.data_type.clone())]
    }

    fn accumulator(&self) -> Box<dyn Accumulator> {
        Box::new(PickOne { pick: self.pick, value: self.empty.clone() })
    }

    fn groups(&self) -> Option<Box<dyn GroupsAccumulator>> {
        None
    }
}

/// One group.
#[derive(Debug)]
struct PickOne {
    pick: Pick,
    value: ScalarValue,
}

impl PickOne {
    fn compare(&mut self, values: &ArrayRef, better: Ordering) -> Result<()> {
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let value = ScalarValue::try_from_array(values, row)?;
            if self.value.is_null() || value.partial_cmp(&self.value) == Some(better) {
                self.value = value;
            }
        }
        Ok(())
    }
}

impl Accumulator for PickOne {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return Err(Error::internal("an aggregate got no column").into());
        };
        let mut rows = 0..values.len();
        let row = match self.pick {
            Pick::First if !self.value.is_null() => None,
            Pick::First => rows.find(|row| values.is_valid(*row)),
            Pick::Last => rows.rfind(|row| values.is_valid(*row)),
            Pick::Min => return self.compare(values, Ordering::Less),
            Pick::Max => return self.compare(values, Ordering::Greater),
        };
        if let Some(row) = row {
            self.value = ScalarValue::try_from_array(values, row)?;
            // a value of a list would otherwise keep the whole batch in memory
            self.value.compact();
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        // a state is a value, and no value is a NULL, which is skipped
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone()])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() - size_of_val(&self.value)
    }
}
