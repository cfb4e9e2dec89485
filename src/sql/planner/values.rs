//! Rows that the script itself gives: `VALUES`, and the one row of a `SELECT` without `FROM`.
//!
//! On syntax, its columns get Flink's names and its literals Flink's types, which decide the type of a column over all
//! rows. As a plan, rows of constants are a source of their own (`connectors::values`), bounded and restorable like
//! any other; rows that are not (`VALUES (RAND())`) are projections of a source of one row, computed when the job runs.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Values};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    self, CastKind, ExactNumberInfo, GroupByExpr, Ident, Query, SelectFlavor, SelectItem, SetExpr, TableFactor,
    TableWithJoins, UnaryOperator, Value, VisitMut, VisitorMut,
};

use crate::connectors;
use crate::error::{Error, Result};
use crate::plan::{PlanExpr, Source};
use crate::sql::mark::mark_row;
use crate::sql::parser::dialect::MAP_CONSTRUCTOR;
use crate::sql::planner::expr::{Compiler, place};
use crate::sql::planner::scope;

/// Rows that are computed one by one when the job runs.
const COMPUTED_ROWS_MAX: usize = 1_000;

/// Gives every `VALUES` the column names `EXPR$0`, `EXPR$1`, … and its literals their types.
///
/// # Errors
/// `Sql` for each `VALUES` whose rows have different numbers of values.
pub(crate) fn name_columns(query: &mut Query) -> Vec<Error> {
    let mut naming = Naming { errors: Vec::new() };
    let ControlFlow::Continue(()) = query.visit(&mut naming);
    naming.errors
}

struct Naming {
    errors: Vec<Error>,
}

impl VisitorMut for Naming {
    type Break = Infallible;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        self.set_expr(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl Naming {
    /// Queries inside are done already; the operands of UNION ALL are not queries.
    fn set_expr(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.set_expr(left);
                self.set_expr(right);
            }
            SetExpr::Values(values) => {
                values.rows.iter_mut().for_each(spread);
                if let Some(error) = scope::uneven(values) {
                    self.errors.push(error);
                    return;
                }
                let plain = has_plain_columns(values);
                values.rows.iter_mut().for_each(|row| row.content.iter_mut().for_each(typed));
                let named = if plain { named(values) } else { each_row(&values.rows) };
                if let Some(named) = named {
                    *body = named;
                }
            }
            _ => {}
        }
    }
}

/// A row that is nothing but a `ROW(…)` is that row, in parentheses or without.
fn spread(row: &mut ast::Parens<Vec<ast::Expr>>) {
    let [ast::Expr::Function(function)] = &mut row.content[..] else { return };
    if !function.name.to_string().eq_ignore_ascii_case("row") {
        return;
    }
    let ast::FunctionArguments::List(list) = &mut function.args else { return };
    let values = list.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => Some(value.clone()),
        _ => None,
    });
    if let Some(values) = values.collect::<Option<Vec<_>>>() {
        row.content = values;
    }
}

/// Whether DataFusion knows the types of all columns as we do: those of numbers, texts, dates, or casts to one type.
fn has_plain_columns(values: &ast::Values) -> bool {
    let Some(first) = values.rows.first() else { return true };
    (0..first.content.len()).all(|column| {
        let mut kinds =
            values.rows.iter().filter_map(|row| row.content.get(column)).filter(|value| !is_null(value)).map(kind);
        let Some(first) = kinds.next() else { return true };
        values.rows.len() == 1 || first.is_some() && kinds.all(|kind| kind == first)
    })
}

fn is_null(value: &ast::Expr) -> bool {
    matches!(value, ast::Expr::Value(value) if value.value == Value::Null)
}

/// What a literal is; `None` for what has its type from elsewhere.
fn kind(value: &ast::Expr) -> Option<String> {
    Some(match value {
        ast::Expr::Value(value) => match &value.value {
            Value::Number(..) => "number".to_owned(),
            Value::SingleQuotedString(_) => "text".to_owned(),
            Value::Boolean(_) => "boolean".to_owned(),
            _ => return None,
        },
        ast::Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            return kind(expr).filter(|kind| kind == "number");
        }
        ast::Expr::TypedString(text) => text.data_type.to_string(),
        ast::Expr::Cast { data_type, .. } => data_type.to_string(),
        _ => return None,
    })
}

/// A `SELECT` for each row, and `UNION ALL` between them, which has our rules of types; the halves on both sides.
fn each_row(rows: &[ast::Parens<Vec<ast::Expr>>]) -> Option<SetExpr> {
    if let [row] = rows {
        let column = |(i, expr): (usize, &ast::Expr)| SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::new(format!("EXPR${i}")),
        };
        let mut columns: Vec<SelectItem> = row.content.iter().enumerate().map(column).collect();
        if let Some(SelectItem::ExprWithAlias { expr, .. }) = columns.first_mut() {
            mark_row(expr);
        }
        return Some(SetExpr::Select(Box::new(selecting(columns, Vec::new()))));
    }
    let (one, other) = rows.split_at(rows.len() / 2);
    Some(SetExpr::SetOperation {
        op: ast::SetOperator::Union,
        set_quantifier: ast::SetQuantifier::All,
        left: Box::new(each_row(one)?),
        right: Box::new(each_row(other)?),
    })
}

/// `SELECT column1 AS EXPR$0, … FROM (VALUES …)`.
fn named(values: &ast::Values) -> Option<SetExpr> {
    let width = values.rows.first()?.content.len();
    let empty = |body| Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    };
    let subquery = Box::new(empty(SetExpr::Values(values.clone())));
    let relation = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    let column = |i: usize| SelectItem::ExprWithAlias {
        expr: ast::Expr::Identifier(Ident::new(format!("column{}", i + 1))),
        alias: Ident::new(format!("EXPR${i}")),
    };
    let from = vec![TableWithJoins { relation, joins: Vec::new() }];
    Some(SetExpr::Select(Box::new(selecting((0..width).map(column).collect(), from))))
}

/// A `SELECT` of these items and of nothing else.
fn selecting(projection: Vec<SelectItem>, from: Vec<TableWithJoins>) -> ast::Select {
    ast::Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// A number with the type it has in Flink, in an array, a map or a row, too: DataFusion would widen a column to its own
/// type of the literal.
fn typed(expr: &mut ast::Expr) {
    match expr {
        ast::Expr::Array(array) => array.elem.iter_mut().for_each(typed),
        ast::Expr::Tuple(parts) => parts.iter_mut().for_each(typed),
        ast::Expr::Function(function) if is_constructor(function) => {
            let ast::FunctionArguments::List(list) = &mut function.args else { return };
            for arg in &mut list.args {
                if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(part)) = arg {
                    typed(part);
                }
            }
        }
        _ => typed_number(expr),
    }
}

/// Whether a call is a `MAP[…]` or a `ROW(…)`.
fn is_constructor(function: &ast::Function) -> bool {
    let name = function.name.to_string();
    name == MAP_CONSTRUCTOR || name.eq_ignore_ascii_case("row")
}

fn typed_number(expr: &mut ast::Expr) {
    let number = match &*expr {
        ast::Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => expr.as_ref(),
        other => other,
    };
    let ast::Expr::Value(value) = number else { return };
    let Value::Number(digits, _) = &value.value else { return };
    let data_type = match digits.split_once('.') {
        _ if digits.contains(['e', 'E']) => return,
        None if digits.parse::<i32>().is_ok() => ast::DataType::Int(None),
        None if digits.parse::<i64>().is_ok() => ast::DataType::BigInt(None),
        None => return,
        Some((whole, fraction)) => {
            let scale = fraction.len();
            let precision = (whole.trim_start_matches('0').len() + scale).max(scale + 1);
            let Some((precision, scale)) = u64::try_from(precision).ok().zip(i64::try_from(scale).ok()) else { return };
            ast::DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale))
        }
    };
    let literal = std::mem::replace(expr, ast::Expr::value(Value::Null));
    *expr = ast::Expr::Cast { kind: CastKind::Cast, expr: Box::new(literal), data_type, array: false, format: None };
}

/// Rows of constants; `None` if some are not.
///
/// # Errors
/// `Sql` for a constant that fails, such as a wrong CAST.
pub(super) fn constant_rows(values: &Values) -> Result<Option<RecordBatch>> {
    let schema = values.schema.inner();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (i, field) in schema.fields().iter().enumerate() {
        let mut cells = Vec::new();
        for row in &values.values {
            let Some(cell) = row.get(i).and_then(constant) else { return Ok(None) };
            cells.push(if cell.data_type() == *field.data_type() { cell } else { cell.cast_to(field.data_type())? });
        }
        columns.push(ScalarValue::iter_to_array(cells)?);
    }
    let fields: Vec<Field> =
        schema.fields().iter().zip(&columns).map(|(f, column)| known(f.name(), column.data_type())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(values.values.len()));
    Ok(Some(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?))
}

fn known(name: &str, data_type: &DataType) -> Field {
    Field::new(name, data_type.clone(), true)
}

fn constant(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}

/// The expressions of rows that are not constant, in rows.
///
/// # Errors
/// `Sql` if there are too many.
pub(super) fn computed_rows(values: &Values) -> Result<&[Vec<Expr>]> {
    match values.values.len() {
        n if n <= COMPUTED_ROWS_MAX => Ok(&values.values),
        n => Err(Error::sql(format!("VALUES has {n} rows that are computed; {COMPUTED_ROWS_MAX} are possible"))
            .hint("write the rows into a file, and read it with a table of connector filesystem")),
    }
}

/// One row without meaning, for what reads no table.
pub(super) fn one_row() -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter([("row", Arc::new(Int32Array::from(vec![0])) as ArrayRef)])?)
}

/// The source of these rows.
///
/// # Errors
/// `Internal` if they cannot be kept in the plan.
pub(super) fn source(rows: &RecordBatch) -> Result<Source> {
    let table = connectors::values::table(rows)?;
    let compiler = Compiler::new(&table.source_schema())?;
    let columns = (0..rows.num_columns()).map(|i| compiler.expr(&place(i))).collect::<Result<Vec<PlanExpr>>>()?;
    Ok(Source { table: Arc::new(table), columns, watermark: None, proctime: None })
}
