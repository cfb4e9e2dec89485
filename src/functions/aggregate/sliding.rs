//! Aggregates over a frame that slides, for ad-hoc queries: DataFusion asks such an accumulator to take values
//! back. None of ours can, so the frame's values are kept and folded anew for each result.

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::Make;

/// The values of a frame; a result costs as much as the frame is long.
pub(super) struct Sliding {
    make: Box<dyn Make>,
    /// In order of arrival: of each batch, a column per argument.
    values: Vec<Vec<ArrayRef>>,
}

impl Sliding {
    pub(super) fn new(make: Box<dyn Make>) -> Self {
        Self { make, values: Vec::new() }
    }

    /// An accumulator that has seen the frame and nothing else.
    fn folded(&mut self) -> Result<Box<dyn Accumulator>> {
        if let [first, _, ..] = &self.values[..] {
            let column = |at: usize| -> Result<ArrayRef> {
                let parts: Vec<&dyn Array> = self.values.iter().filter_map(|b| b.get(at)).map(AsRef::as_ref).collect();
                Ok(concat(&parts)?)
            };
            self.values = vec![(0..first.len()).map(column).collect::<Result<_>>()?];
        }
        let mut folded = self.make.accumulator();
        if let Some(values) = self.values.first() {
            folded.update_batch(values)?;
        }
        Ok(folded)
    }
}

impl std::fmt::Debug for Sliding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sliding({} arrays)", self.values.len())
    }
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.first().is_some_and(|v| !v.is_empty()) {
            self.values.push(values.to_vec());
        }
        Ok(())
    }

    /// The values that leave are the oldest.
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut left = values.first().map_or(0, |v| v.len());
        while left > 0 {
            let Some(oldest) = self.values.first_mut() else { break };
            let length = oldest.first().map_or(0, |v| v.len());
            if length > left {
                oldest.iter_mut().for_each(|column| *column = column.slice(left, length - left));
                break;
            }
            self.values.remove(0);
            left -= length;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(crate::error::Error::internal("a sliding frame is not merged").into())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.folded()?.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.folded()?.state()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.iter().flatten().map(|v| v.get_array_memory_size()).sum::<usize>()
    }
}
