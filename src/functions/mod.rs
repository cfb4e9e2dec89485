//! Functions with Flink's names, types and results. A name not on the list is refused, with the nearest one,
//! even if DataFusion has a function of that name.

mod aggregate;
mod cast;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

/// The aggregate functions, under their lower-case Flink names.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    aggregate::functions()
}
