//! Aggregates that Flink takes apart into sums, which are of the argument's type and so wrap, cut and round: all of AVG,
//! VAR and STDDEV in OVER, and in a window AVG of integers where a VAR or STDDEV stands in the same SELECT.
//!
//! # Source  Calcite, `AggregateReduceFunctionsRule`, as a Flink 2.3 applies it

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, WindowFunctionDefinition};

use crate::functions;

pub(super) fn in_over(mut window: Box<WindowFunction>) -> Transformed<Expr> {
    let other = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => functions::by_sums(function),
        WindowFunctionDefinition::WindowUDF(_) => None,
    };
    let changed = other.is_some();
    if let Some(function) = other {
        window.fun = WindowFunctionDefinition::AggregateUDF(function);
    }
    Transformed::new_transformed(Expr::WindowFunction(window), changed)
}

/// The aggregate, with what stands beside a variance as Flink computes it.
pub(super) fn beside_variance(mut aggregate: Aggregate) -> DfResult<Aggregate> {
    let varies = |expr: &Expr| {
        expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(call) if functions::is_variance(call.func.name()))))
    };
    if !aggregate.aggr_expr.iter().map(varies).collect::<DfResult<Vec<_>>>()?.contains(&true) {
        return Ok(aggregate);
    }
    let schema = aggregate.input.schema();
    let by_sums = |mut expr: Expr| {
        if let Expr::AggregateFunction(call) = &mut expr
            && let ("avg", [value]) = (call.func.name(), &call.params.args[..])
            && value.get_type(schema)?.is_integer()
            && let Some(other) = functions::by_sums(&call.func)
        {
            call.func = other;
            return Ok(Transformed::yes(expr));
        }
        Ok(Transformed::no(expr))
    };
    let calls = std::mem::take(&mut aggregate.aggr_expr).into_iter();
    aggregate.aggr_expr = calls.map(|expr| expr.transform_up(by_sums).map(|e| e.data)).collect::<DfResult<_>>()?;
    Ok(aggregate)
}
