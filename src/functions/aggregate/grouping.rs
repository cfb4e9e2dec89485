//! `GROUPING` and `GROUPING_ID`: which keys a row of `GROUPING SETS` leaves out. The planner puts a constant per set in
//! their place; as aggregates they have a name and a type only.

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::error::Error;

/// How they are written, and what they return.
pub(super) const DOC: (&str, &str) = (
    "GROUPING(key, …), GROUPING_ID(key, …)",
    "A number whose bits, the last key's the lowest, are 1 for keys that the grouping set of the row leaves out.",
);

/// The function, under both names.
pub(super) fn function() -> AggregateUDF {
    AggregateUDF::new_from_impl(Grouping {
        signature: Signature::user_defined(Volatility::Immutable),
        aliases: vec!["grouping_id".to_owned()],
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Grouping {
    signature: Signature,
    aliases: Vec<String>,
}

impl AggregateUDFImpl for Grouping {
    fn name(&self) -> &str {
        "grouping"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types.is_empty() {
            true => Err(Error::sql("GROUPING takes columns of GROUP BY").into()),
            false => Ok(types.to_vec()),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Err(Error::sql("GROUPING needs GROUPING SETS, ROLLUP or CUBE in GROUP BY").into())
    }
}
