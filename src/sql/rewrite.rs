//! Small rewrites that make DataFusion's planner mean what Flink means.
//!
//! On syntax, before planning: intervals in one plain form, `1e3` a DOUBLE, names for columns without
//! one. On the logical plan, after: an integer literal that fits is INT, a decimal literal has a digit
//! before its point, casts with Flink's results.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, Ident, SelectItem, Value, VisitMut, VisitorMut};

use crate::error::Error;
use crate::sql::planner::context::Registry;
use crate::sql::planner::errors::span_of;
use crate::sql::planner::interval;

/// Rewrites syntax in place.
///
/// # Errors
/// `Sql` for each literal that cannot be read.
pub(crate) fn prepare<V: VisitMut>(syntax: &mut V) -> Vec<Error> {
    let mut preparation = Preparation { errors: Vec::new() };
    let _: ControlFlow<()> = syntax.visit(&mut preparation);
    preparation.errors
}

struct Preparation {
    errors: Vec<Error>,
}

impl VisitorMut for Preparation {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Interval(literal) => match interval::parse(literal) {
                Ok(length) => {
                    if let ast::Expr::Value(value) = literal.value.as_mut() {
                        value.value = Value::SingleQuotedString(length.plain());
                    } else {
                        *literal.value = ast::Expr::value(Value::SingleQuotedString(length.plain()));
                    }
                    literal.leading_field = None;
                    literal.leading_precision = None;
                    literal.last_field = None;
                    literal.fractional_seconds_precision = None;
                }
                Err(error) => self.errors.push(error.or_at(span_of(expr))),
            },
            ast::Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n.contains(['e', 'E'])) => {
                if let Value::Number(number, _) = &value.value {
                    let text = Value::SingleQuotedString(number.clone()).with_span(value.span);
                    *expr = ast::Expr::Cast {
                        kind: ast::CastKind::Cast,
                        expr: Box::new(ast::Expr::Value(text)),
                        data_type: ast::DataType::Double(ast::ExactNumberInfo::None),
                        array: false,
                        format: None,
                    };
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Gives columns without a name the name Flink gives them: `EXPR$0` by place, and `a0` for a second `a`.
fn name_columns(items: &mut [SelectItem]) {
    let mut seen = HashSet::new();
    for (i, item) in items.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::ExprWithAlias { alias, .. } => {
                seen.insert(alias.value.clone());
                continue;
            }
            SelectItem::UnnamedExpr(expr) => match expr {
                ast::Expr::Identifier(ident) if seen.insert(ident.value.clone()) => continue,
                ast::Expr::Identifier(ident) => {
                    let name = unused(&ident.value, &mut seen);
                    (expr, name)
                }
                ast::Expr::CompoundIdentifier(idents) => {
                    let last = idents.last().map(|ident| ident.value.clone()).unwrap_or_default();
                    let name = if seen.insert(last.clone()) { last } else { unused(&last, &mut seen) };
                    (expr, name)
                }
                _ => (expr, format!("EXPR${i}")),
            },
            _ => continue,
        };
        let placeholder = ast::Expr::value(Value::Null);
        *item = SelectItem::ExprWithAlias { expr: std::mem::replace(expr, placeholder), alias: Ident::new(name) };
    }
}

fn unused(name: &str, seen: &mut HashSet<String>) -> String {
    let free = (0..).map(|n| format!("{name}{n}")).find(|candidate| !seen.contains(candidate));
    let free = free.unwrap_or_else(|| name.to_owned());
    seen.insert(free.clone());
    free
}

/// Rewrites the expressions of every node, from the leaves up. Column names do not change.
///
/// # Errors
/// What DataFusion says about types that do not fit.
pub(crate) fn rewrite_plan(plan: LogicalPlan, registry: &Registry) -> DfResult<LogicalPlan> {
    let rewritten = plan.transform_up(|node| {
        if matches!(node, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let changed = node.map_expressions(|expr| {
            let saved = names.save(&expr);
            let expr = expr.transform_up(|e| literal_or_cast(e, &schema, registry))?;
            Ok(expr.update_data(|e| saved.restore(e)))
        })?;
        changed.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

fn literal_or_cast(expr: Expr, schema: &DFSchema, registry: &Registry) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(n)), metadata) => Ok(match i32::try_from(n) {
            Ok(small) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(small)), metadata)),
            Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(n)), metadata)),
        }),
        Expr::Literal(ScalarValue::Decimal128(Some(n), precision, scale), metadata)
            if i16::from(precision) == i16::from(scale) && precision < 38 =>
        {
            Ok(Transformed::yes(Expr::Literal(ScalarValue::Decimal128(Some(n), precision + 1, scale), metadata)))
        }
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema)?;
            match cast_function(&from, cast.field.data_type(), registry) {
                Some(function) => Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
                    Arc::clone(function),
                    vec![*cast.expr],
                )))),
                None => Ok(Transformed::no(Expr::Cast(cast))),
            }
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The function that casts as Flink casts, where there is one.
fn cast_function<'a>(
    from: &DataType,
    to: &DataType,
    registry: &'a Registry,
) -> Option<&'a Arc<datafusion::logical_expr::ScalarUDF>> {
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if text(to) && !text(from) && *from != DataType::Null {
        return registry.scalar("flink_cast_string");
    }
    None
}
