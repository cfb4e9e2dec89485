//! Numbers with a point as keys of joins.
//!
//! A comparison of such numbers is a call, in which 0.0 equals -0.0 and NaN nothing. What a join compares with `=` between
//! its sides is its key in Flink, wherever it is written, and keys are equal if their bits are: it becomes a plain `=`, which
//! the rules that look for keys know.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, Result as DfResult};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::functions;

/// Makes the comparisons of a join's sides plain ones.
#[derive(Debug)]
pub(super) struct PlainJoinKeys;

impl OptimizerRule for PlainJoinKeys {
    fn name(&self) -> &str {
        "plain_join_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> DfResult<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(filter) => {
                let LogicalPlan::Join(join) = filter.input.as_ref() else {
                    return Ok(Transformed::no(LogicalPlan::Filter(filter)));
                };
                Ok(match plain(&filter.predicate, join)? {
                    Some(predicate) => Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)),
                    None => Transformed::no(LogicalPlan::Filter(filter)),
                })
            }
            LogicalPlan::Join(mut join) => {
                let found = join.filter.as_ref().map(|filter| plain(filter, &join)).transpose()?.flatten();
                Ok(match found {
                    Some(filter) => {
                        join.filter = Some(filter);
                        Transformed::yes(LogicalPlan::Join(join))
                    }
                    None => Transformed::no(LogicalPlan::Join(join)),
                })
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// A condition over a join, its keys compared plainly; `None`: it has none that are not.
fn plain(condition: &Expr, join: &Join) -> DfResult<Option<Expr>> {
    let mut changed = false;
    let mut parts = Vec::new();
    for part in split_conjunction(condition) {
        let key = match compared(part) {
            Some((left, right)) if joins(join, left, right)? => {
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), Operator::Eq, Box::new(right.clone()))))
            }
            _ => None,
        };
        changed |= key.is_some();
        parts.push(key.unwrap_or_else(|| part.clone()));
    }
    Ok(conjunction(parts).filter(|_| changed))
}

/// The sides of a call that compares with `=`.
fn compared(part: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::ScalarFunction(call) = part else { return None };
    match &call.args[..] {
        [left, right] if functions::operator_of(call.name()) == Some("=") => Some((left, right)),
        _ => None,
    }
}

/// Whether the expressions are of both sides of a join, or of one that it joins further.
fn joins(join: &Join, left: &Expr, right: &Expr) -> DfResult<bool> {
    if find_valid_equijoin_key_pair(left, right, join.left.schema(), join.right.schema())?.is_some() {
        return Ok(true);
    }
    for side in [&join.left, &join.right] {
        if let LogicalPlan::Join(inner) = side.as_ref()
            && inner.join_type == JoinType::Inner
            && joins(inner, left, right)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}
