//! Aggregates as Flink takes them: which arguments have to be constants, and AVG of integers beside a variance, which is
//! taken apart into sums, so that it wraps.
//!
//! # Source  Calcite, `AggregateReduceFunctionsRule`, as a Flink 2.3 applies it

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};

use crate::error::Error;
use crate::functions;

/// Refuses a separator of LISTAGG that is no constant.
///
/// # Errors
/// `Sql`.
pub(super) fn check(expr: &Expr) -> DfResult<()> {
    let (name, args) = match expr {
        Expr::AggregateFunction(call) => (call.func.name(), &call.params.args),
        Expr::WindowFunction(window) => (window.fun.name(), &window.params.args),
        _ => return Ok(()),
    };
    match (name, &args[..]) {
        ("listagg", [_, separator]) if !matches!(separator, Expr::Literal(..)) => {
            Err(Error::sql("the separator of LISTAGG has to be a constant").hint("write LISTAGG(text, ', ')").into())
        }
        _ => Ok(()),
    }
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
    // in OVER AVG is made of sums, too
    let by_sums = |mut expr: Expr| {
        if let Expr::AggregateFunction(call) = &mut expr
            && let ("avg", [value]) = (call.func.name(), &call.params.args[..])
            && value.get_type(schema)?.is_integer()
            && let Some(other) = functions::in_over(&call.func)
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
