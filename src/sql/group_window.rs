//! Group windows, Flink's older form: `GROUP BY TUMBLE(ts, …)` with `TUMBLE_START(ts, …)` in the select list.
//!
//! They become the window table function over the same rows, on syntax: `FROM t GROUP BY TUMBLE(ts, i), k` is
//! `FROM TABLE(TUMBLE((SELECT * FROM t), DESCRIPTOR(ts), i)) AS t GROUP BY window_start, window_end, window_time, k`.
//! The rows are the same: the table function neither drops nor adds any before `WHERE`.
//!
//! # Source
//! Flink SQL, "Group Window Aggregation" (deprecated, and in many files).

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, GroupByExpr, Ident, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::error::Error;
use crate::sql::parser::dialect::{TABLE_ARGUMENT, call_with};
use crate::sql::places::span_of;
use crate::sql::planner::window::GROUP_WINDOW_COLUMNS;
use crate::sql::planner::window_call::is_window_function;

/// Rewrites every group window of a query.
///
/// # Errors
/// `Sql` for a group window that is not over a column of one table, or whose parts do not fit it.
pub(crate) fn to_table_functions(query: &mut ast::Query) -> Vec<Error> {
    let mut selects = Selects(Vec::new());
    let ControlFlow::Continue(()) = query.visit(&mut selects);
    selects.0
}

struct Selects(Vec<Error>);

impl VisitorMut for Selects {
    type Break = Infallible;

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Infallible> {
        rewrite(select, &mut self.0);
        ControlFlow::Continue(())
    }
}

fn rewrite(select: &mut ast::Select, errors: &mut Vec<Error>) {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    let Some(at) = groups.iter().position(|group| window_call(group).is_some()) else { return };
    let call = groups.remove(at);
    let Some((name, args)) = window_call(&call) else { return };
    let wrong = alone(&name, groups).and_then(|()| read_through(&mut select.from, &call, &name, &args)).err();
    // what goes with a window that is refused is no mistake of its own
    groups.retain(|group| window_call(group).is_none());
    let columns = GROUP_WINDOW_COLUMNS.map(|column| Expr::Identifier(Ident::new(column)));
    groups.splice(at.min(groups.len())..at.min(groups.len()), columns);
    let refused = wrong.is_some();
    errors.extend(wrong);
    let mut parts = Parts { name: &name, args: &args, refused, errors };
    for item in &mut select.projection {
        let ControlFlow::Continue(()) = item.visit(&mut parts);
    }
    let ControlFlow::Continue(()) = select.having.visit(&mut parts);
}

/// What may stand beside a window in `GROUP BY`.
fn alone(name: &str, others: &[Expr]) -> Result<(), Error> {
    if let Some(second) = others.iter().find(|group| window_call(group).is_some()) {
        return Err(Error::sql("GROUP BY has two windows").or_at(span_of(second)).hint("group by one of them"));
    }
    let Some(sets) = others.iter().find(|group| is_grouping_set(group)) else { return Ok(()) };
    Err(Error::sql(format!("{name} in GROUP BY does not go with GROUPING SETS, ROLLUP or CUBE"))
        .or_at(span_of(sets))
        .detail("In Flink the result would be updated with every row, which is not supported yet.")
        .hint("write FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …)) GROUP BY window_start, window_end, ROLLUP (…)"))
}

/// Puts the one table of `FROM` through the window's table function.
fn read_through(from: &mut [ast::TableWithJoins], call: &Expr, name: &str, args: &[Expr]) -> Result<(), Error> {
    let time = args.first().and_then(column_name).ok_or_else(|| {
        Error::sql(format!("the first argument of {name} must be an event-time column"))
            .or_at(span_of(call))
            .hint(format!("write {name}(ts, INTERVAL '1' MINUTE), with the column of WATERMARK FOR"))
    })?;
    let one_table = match from {
        [ast::TableWithJoins { relation, joins }] if joins.is_empty() => windowed(relation, name, time, &args[1..]),
        _ => None,
    };
    one_table.ok_or_else(|| {
        Error::sql(format!("{name} in GROUP BY needs one table to read from"))
            .or_at(span_of(call))
            .hint("join in a view or a subquery, and group its rows")
    })
}

/// Name (upper case) and arguments of a call of a window function.
fn window_call(expr: &Expr) -> Option<(String, Vec<Expr>)> {
    let Expr::Function(function) = expr else { return None };
    let name = function.name.to_string();
    is_window_function(&name).then(|| (name.to_ascii_uppercase(), arguments(function)))
}

fn arguments(function: &ast::Function) -> Vec<Expr> {
    let ast::FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let plain = |arg: &ast::FunctionArg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().filter_map(plain).collect()
}

fn is_grouping_set(expr: &Expr) -> bool {
    matches!(expr, Expr::GroupingSets(_) | Expr::Rollup(_) | Expr::Cube(_))
}

/// A column by its name alone: the table function has one input.
fn column_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().cloned(),
        _ => None,
    }
}

/// Puts the rows of a table or a subquery through the table function, under the name they had; `None` for others.
fn windowed(relation: &mut TableFactor, name: &str, time: Ident, lengths: &[Expr]) -> Option<()> {
    let unnamed = |expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr));
    let (rows, alias) = match relation {
        TableFactor::Table { name, alias, args: None, version: None, .. } => {
            let path: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident()).cloned().collect();
            let alias = alias.clone().or_else(|| path.last().cloned().map(named));
            (Expr::CompoundIdentifier(path), alias)
        }
        TableFactor::Derived { lateral: false, subquery, alias, .. } => {
            (Expr::Subquery(subquery.clone()), alias.clone())
        }
        _ => return None,
    };
    if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
        return None;
    }
    let descriptor = call("DESCRIPTOR", vec![unnamed(Expr::Identifier(time))]);
    // sessions are those of the keys of GROUP BY, and HOP may leave gaps
    let rows = vec![unnamed(rows), ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)];
    let mut args = vec![unnamed(call(TABLE_ARGUMENT, rows)), unnamed(descriptor)];
    args.extend(lengths.iter().cloned().map(unnamed));
    *relation = TableFactor::TableFunction { expr: call(name, args), alias };
    Some(())
}

fn named(name: Ident) -> ast::TableAlias {
    ast::TableAlias { explicit: true, name, columns: Vec::new(), at: None }
}

fn call(name: &str, args: Vec<ast::FunctionArg>) -> Expr {
    call_with(name, TokenSpan::empty(), args)
}

/// Replaces `TUMBLE_START(…)` and the like by the column of the window, if the arguments are those of the window.
struct Parts<'a> {
    name: &'a str,
    args: &'a [Expr],
    /// The window itself is refused.
    refused: bool,
    errors: &'a mut Vec<Error>,
}

impl VisitorMut for Parts<'_> {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let called = function.name.to_string().to_ascii_uppercase();
        let column = match called.split_once('_') {
            Some((window, "START")) if is_window_function(window) => 0,
            Some((window, "END")) if is_window_function(window) => 1,
            Some((window, "ROWTIME" | "PROCTIME")) if is_window_function(window) => 2,
            _ => return ControlFlow::Continue(()),
        };
        let text = |args: &[Expr]| args.iter().map(ToString::to_string).collect::<Vec<_>>();
        let args = text(self.args);
        if !self.refused && (!called.starts_with(self.name) || text(&arguments(function)) != args) {
            self.errors.push(
                Error::sql(format!("{called} does not belong to the window of GROUP BY"))
                    .or_at(span_of(&*expr))
                    .hint(format!("give it the same arguments: {}", args.join(", "))),
            );
        }
        // In parentheses it is an expression, whose column has no name of its own.
        *expr = Expr::Nested(Box::new(Expr::Identifier(Ident::new(GROUP_WINDOW_COLUMNS[column]))));
        ControlFlow::Continue(())
    }
}
