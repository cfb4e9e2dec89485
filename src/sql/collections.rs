//! Rewrites for arrays, maps and rows: `(a, b)` is a row, but for a list of group keys; `=` between collections is
//! Flink's, which is not that of arrow's nested types.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::utils::disjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::sql::parser::dialect;
use crate::sql::registry::Registry;

/// `GROUP BY (a, b)` groups by both, `GROUP BY 1` by a constant.
pub(super) fn flatten_keys(group_by: &mut ast::GroupByExpr) {
    if let ast::GroupByExpr::Expressions(keys, _) = group_by {
        let flat = |key: ast::Expr| match key {
            ast::Expr::Tuple(keys) => keys,
            key => vec![key],
        };
        *keys = std::mem::take(keys).into_iter().flat_map(flat).map(constant).collect();
    }
}

/// A number among the keys is a constant in Flink, and a column's place to DataFusion.
fn constant(key: ast::Expr) -> ast::Expr {
    match key {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(..), .. }) => ast::Expr::Cast {
            kind: ast::CastKind::Cast,
            expr: Box::new(key),
            data_type: ast::DataType::Int(None),
            array: false,
            format: None,
        },
        key => key,
    }
}

/// `(a, b)` as the call `row(a, b)`.
pub(super) fn name_row(expr: &mut ast::Expr) {
    let ast::Expr::Tuple(values) = expr else { return };
    *expr = dialect::call("row", TokenSpan::empty(), std::mem::take(values));
}

/// `a[1].f` in the form DataFusion reads: the name of a field as a text. The names before the first bracket, as in
/// `t.a[1]`, it reads as those of a table and a column.
pub(super) fn name_fields(root: &ast::Expr, chain: &mut [ast::AccessExpr]) {
    let column = matches!(root, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_));
    let names = chain.iter().take_while(|access| column && matches!(access, ast::AccessExpr::Dot(_))).count();
    for access in chain.iter_mut().skip(names) {
        if let ast::AccessExpr::Dot(expr) = access
            && let ast::Expr::Identifier(name) = expr
        {
            let span = name.span;
            *expr = ast::Expr::Value(ast::Value::SingleQuotedString(name.value.clone()).with_span(span));
        }
    }
}

/// Whether a row is written out, as `ROW(a, b)` or `(a, b)`.
fn is_written(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.name() == "row")
}

/// `=`, `<>` or `IN` between collections as calls; `None` for anything else.
///
/// # Errors
/// What DataFusion says about types that are not known.
pub(super) fn comparison(expr: &Expr, schema: &DFSchema, registry: &Registry) -> DfResult<Option<Expr>> {
    let call = |function: &str, left: &Expr, right: &Expr| {
        registry.scalar(function).map(|function| Arc::clone(function).call(vec![left.clone(), right.clone()]))
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right }) => {
            if !left.get_type(schema)?.is_nested() || !right.get_type(schema)?.is_nested() {
                return Ok(None);
            }
            let function = match op {
                Operator::Eq if is_written(left) && is_written(right) => "__equal_fields",
                Operator::Eq => "__equal",
                _ => "__not_equal",
            };
            Ok(call(function, left, right))
        }
        Expr::InList(InList { expr, list, negated }) if expr.get_type(schema)?.is_nested() => {
            let function =
                |value: &Expr| if is_written(expr) && is_written(value) { "__equal_fields" } else { "__equal" };
            let equal = list.iter().map(|value| call(function(value), expr, value)).collect::<Option<Vec<_>>>();
            let any = equal.and_then(disjunction);
            Ok(any.map(|any| if *negated { Expr::Not(Box::new(any)) } else { any }))
        }
        _ => Ok(None),
    }
}
