//! Conditions on the number of a Top-N that stand above a join or a `UNION ALL`: `… JOIN … WHERE a.rn <= 2`.
//!
//! A number of the rows of a window is known only together with its bound, so the condition goes down to the
//! `ROW_NUMBER` it is about, where Flink's planner has it, too. It goes through nothing that it would mean something else
//! below: not to the side of an outer join whose rows stay without a partner. Other conditions stay where they are.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result as DfResult};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, Join, LogicalPlan, Operator, Projection, SubqueryAlias, Union,
};

use crate::sql::planner::rank::numbers_window;
use crate::sql::planner::window::unaliased;

/// Moves the conditions on numbers of windows down to them.
///
/// # Errors
/// What DataFusion says of a plan that cannot be built.
pub(super) fn to_numbers(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let moved = plan.transform_down(|node| match node {
        LogicalPlan::Filter(filter) => from_filter(filter),
        LogicalPlan::Join(join) => from_join(join),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(moved.data)
}

/// A comparison of a column with a constant, over any plan that has the column.
struct Bound {
    op: Operator,
    bound: Expr,
}

impl Bound {
    /// The column a condition is about, and what it says of it.
    fn of(condition: &Expr) -> Option<(&Expr, Self)> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
        let (column, op, bound) = match (unaliased(left), unaliased(right)) {
            (Expr::Column(_), Expr::Literal(..)) => (left, *op, right),
            (Expr::Literal(..), Expr::Column(_)) => (right, op.swap()?, left),
            _ => return None,
        };
        let bounds = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::Eq);
        bounds.then(|| (column.as_ref(), Self { op, bound: bound.as_ref().clone() }))
    }

    /// The rows of `plan` whose column `index` meets the condition; one filter has all bounds of a number.
    fn over(&self, plan: &Arc<LogicalPlan>, index: usize) -> DfResult<Arc<LogicalPlan>> {
        let column = Expr::from(plan.schema().qualified_field(index));
        let predicate = Expr::BinaryExpr(BinaryExpr::new(Box::new(column), self.op, Box::new(self.bound.clone())));
        let filter = match plan.as_ref() {
            LogicalPlan::Filter(filter) => {
                Filter::try_new(filter.predicate.clone().and(predicate), Arc::clone(&filter.input))?
            }
            _ => Filter::try_new(predicate, Arc::clone(plan))?,
        };
        Ok(Arc::new(LogicalPlan::Filter(filter)))
    }
}

fn place(plan: &LogicalPlan, expr: &Expr) -> Option<usize> {
    match unaliased(expr) {
        Expr::Column(column) => plan.schema().index_of_column(column).ok(),
        _ => None,
    }
}

fn from_filter(filter: Filter) -> DfResult<Transformed<LogicalPlan>> {
    let mut input = Arc::clone(&filter.input);
    let mut moved = false;
    let mut rest = Vec::new();
    for condition in split_conjunction(&filter.predicate) {
        let found = Bound::of(condition).and_then(|(column, bound)| Some((place(&input, column)?, bound)));
        match found.map(|(index, bound)| below(&input, index, &bound)).transpose()?.flatten() {
            Some(below) => {
                input = below;
                moved = true;
            }
            None => rest.push(condition.clone()),
        }
    }
    if !moved {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    Ok(Transformed::yes(match conjunction(rest) {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, input)?),
        None => match Arc::unwrap_or_clone(input) {
            // its own conditions come next
            LogicalPlan::Join(join) => from_join(join)?.data,
            other => other,
        },
    }))
}

/// Conditions of `ON` about the side whose rows do not stay without a partner.
fn from_join(mut join: Join) -> DfResult<Transformed<LogicalPlan>> {
    let Some(filter) = &join.filter else { return Ok(Transformed::no(LogicalPlan::Join(join))) };
    let middle = join.left.schema().fields().len();
    let names = join.left.schema().join(join.right.schema())?;
    let (mut moved, mut rest) = (false, Vec::new());
    for condition in split_conjunction(filter).into_iter().cloned().collect::<Vec<_>>() {
        let found = Bound::of(&condition).and_then(|(column, bound)| match unaliased(column) {
            Expr::Column(column) => Some((names.index_of_column(column).ok()?, bound)),
            _ => None,
        });
        let left = matches!(join.join_type, JoinType::Inner | JoinType::Right | JoinType::LeftSemi);
        let right = matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::LeftSemi);
        let taken = match found {
            Some((index, bound)) if index < middle && left => {
                bounded(&join.left, index, &bound)?.map(|l| join.left = l)
            }
            Some((index, bound)) if index >= middle && right => {
                bounded(&join.right, index - middle, &bound)?.map(|r| join.right = r)
            }
            _ => None,
        };
        match taken {
            Some(()) => moved = true,
            None => rest.push(condition),
        }
    }
    if !moved {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    join.filter = conjunction(rest);
    Ok(Transformed::yes(LogicalPlan::Join(join)))
}

/// The plan with the condition at the number that column `index` is; `None` if it is none, or stands there already.
fn below(plan: &Arc<LogicalPlan>, index: usize, bound: &Bound) -> DfResult<Option<Arc<LogicalPlan>>> {
    Ok(match plan.as_ref() {
        LogicalPlan::Projection(projection) => {
            let index = projection.expr.get(index).and_then(|expr| place(&projection.input, expr));
            let input = index.map(|index| below(&projection.input, index, bound)).transpose()?.flatten();
            let made = input.map(|input| Projection::try_new(projection.expr.clone(), input)).transpose()?;
            made.map(|made| Arc::new(LogicalPlan::Projection(made)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let input = below(&alias.input, index, bound)?;
            let made = input.map(|input| SubqueryAlias::try_new(input, alias.alias.clone())).transpose()?;
            made.map(|made| Arc::new(LogicalPlan::SubqueryAlias(made)))
        }
        LogicalPlan::Filter(filter) => {
            let input = below(&filter.input, index, bound)?;
            let made = input.map(|input| Filter::try_new(filter.predicate.clone(), input)).transpose()?;
            made.map(|made| Arc::new(LogicalPlan::Filter(made)))
        }
        LogicalPlan::Join(join) => below_join(join, index, bound)?.map(|join| Arc::new(LogicalPlan::Join(join))),
        LogicalPlan::Union(union) if union.inputs.iter().any(|input| numbers_window(input, index)) => {
            let inputs = union.inputs.iter().map(|input| match bounded(input, index, bound)? {
                Some(input) => Ok(input),
                None => bound.over(input, index),
            });
            let inputs = inputs.collect::<DfResult<Vec<_>>>()?;
            Some(Arc::new(LogicalPlan::Union(Union { inputs, schema: Arc::clone(&union.schema) })))
        }
        _ => None,
    })
}

/// `plan` with the condition on its column, if that is a number of a window.
fn bounded(plan: &Arc<LogicalPlan>, index: usize, bound: &Bound) -> DfResult<Option<Arc<LogicalPlan>>> {
    match below(plan, index, bound)? {
        Some(plan) => Ok(Some(plan)),
        None if numbers_window(plan, index) => bound.over(plan, index).map(Some),
        None => Ok(None),
    }
}

fn below_join(join: &Join, index: usize, bound: &Bound) -> DfResult<Option<Join>> {
    let middle = join.left.schema().fields().len();
    let of_left = index < middle;
    // a row without a partner has no number, and goes
    let join_type = match (join.join_type, of_left) {
        (JoinType::Inner, _) | (JoinType::Left, false) | (JoinType::Right, true) => JoinType::Inner,
        (JoinType::Left, true) | (JoinType::Full, true) => JoinType::Left,
        (JoinType::Right, false) | (JoinType::Full, false) => JoinType::Right,
        (JoinType::LeftSemi, true) => JoinType::LeftSemi,
        (JoinType::LeftAnti, true) => JoinType::LeftAnti,
        _ => return Ok(None),
    };
    let (mut left, mut right) = (Arc::clone(&join.left), Arc::clone(&join.right));
    let own = if of_left { index } else { index - middle };
    let side = if of_left { &mut left } else { &mut right };
    let Some(found) = bounded(side, own, bound)? else { return Ok(None) };
    *side = found;
    // the number of the other side that equals it has the same bound
    let equal = equal_columns(join).into_iter().find_map(|(one, other)| match of_left {
        true => (one == own).then_some(other),
        false => (other == own).then_some(one),
    });
    let other = if of_left { &mut right } else { &mut left };
    if let Some(index) = equal.filter(|_| join_type == JoinType::Inner)
        && let Some(found) = bounded(other, index, bound)?
    {
        *other = found;
    }
    Join::try_new(
        left,
        right,
        join.on.clone(),
        join.filter.clone(),
        join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
    .map(Some)
}

/// Columns of both sides that a join compares with `=`.
fn equal_columns(join: &Join) -> Vec<(usize, usize)> {
    let columns = |one: &Expr, other: &Expr| Some((place(&join.left, one)?, place(&join.right, other)?));
    let filter = join.filter.iter().flat_map(split_conjunction).filter_map(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            columns(left, right).or_else(|| columns(right, left))
        }
        _ => None,
    });
    join.on.iter().filter_map(|(one, other)| columns(one, other)).chain(filter).collect()
}
