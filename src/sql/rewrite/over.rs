//! Calls with OVER: what Flink refuses of them, and the functions that it computes otherwise there.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrameUnits, WindowFunctionDefinition};

use super::families::Family;
use crate::error::Error;
use crate::functions;
use crate::sql::types::flink_type;

/// The call with Flink's function.
///
/// # Errors
/// `Sql` for what Flink refuses.
pub(super) fn window(mut window: Box<WindowFunction>, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    check(&window, schema)?;
    let other = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => functions::in_over(function),
        WindowFunctionDefinition::WindowUDF(_) => None,
    };
    let changed = other.is_some();
    if let Some(function) = other {
        window.fun = WindowFunctionDefinition::AggregateUDF(function);
    }
    Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
}

fn check(window: &WindowFunction, schema: &DFSchema) -> DfResult<()> {
    let params = &window.params;
    if params.filter.is_some() {
        return Err(Error::sql("FILTER does not go with OVER")
            .hint("take what counts out of the rest: SUM(CASE WHEN condition THEN v END) OVER (…)")
            .into());
    }
    let ranged = params.window_frame.units == WindowFrameUnits::Range;
    for order in params.order_by.iter().filter(|_| ranged) {
        let data_type = order.expr.get_type(schema)?;
        // DataFusion has no range of them, and says so in its own words
        if matches!(data_type, DataType::Binary | DataType::Time32(_) | DataType::Time64(_)) || data_type.is_nested() {
            let own = flink_type(&data_type);
            return Err(Error::sql(format!("OVER must be ordered by an event-time column, not by {own}"))
                .hint("write ORDER BY ts, where ts has the WATERMARK")
                .into());
        }
    }
    match (window.fun.name(), &params.args[..]) {
        ("lag", [value, _, default]) => {
            let (own, other) = (value.get_type(schema)?, default.get_type(schema)?);
            match (Family::of(&own), Family::of(&other)) {
                (Some(one), Some(two)) if one != two => {
                    let (own, other) = (flink_type(&own), flink_type(&other));
                    Err(Error::sql(format!("the default of LAG is {other}, its value {own}"))
                        .hint(format!("write CAST(… AS {own}) for the default"))
                        .into())
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
