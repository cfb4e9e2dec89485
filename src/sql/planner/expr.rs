//! Logical expressions to physical ones, and to the text a person would write.
//!
//! Between SQL and plan an expression names the columns of a plan node by place (`#3`), so that names
//! that occur twice and qualifiers cannot confuse: [`place`] makes such a column, [`place_of`] reads it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{AggregateFunctionParams, ScalarFunction, WindowFunctionParams};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{AggregateUDF, Expr, Operator};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, create_physical_expr};

use crate::error::{Error, Result};
use crate::functions;
use crate::plan::{PlanAggregate, PlanExpr};
use crate::sql::types::flink_type;
use crate::stream::with_origin;

/// The column at `index` of a plan node.
pub(crate) fn place(index: usize) -> Expr {
    Expr::Column(Column::new_unqualified(format!("#{index}")))
}

/// The index of a column made by [`place`].
pub(crate) fn place_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) if column.relation.is_none() => column.name.strip_prefix('#')?.parse().ok(),
        _ => None,
    }
}

/// All places in an expression, with repetition.
pub(crate) fn places(expr: &Expr) -> Vec<usize> {
    let mut found = Vec::new();
    // the closure never fails, so neither does the walk
    drop(expr.apply(|e| {
        found.extend(place_of(e));
        Ok(TreeNodeRecursion::Continue)
    }));
    found
}

/// `expr` over the columns of a logical node, as one over what these columns stand for.
pub(crate) fn resolve(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> Result<Expr> {
    let resolved = expr.clone().transform_up(|e| match &e {
        Expr::Column(column) => {
            let index = schema.index_of_column(column)?;
            let column = columns.get(index).cloned();
            column.map(Transformed::yes).ok_or_else(|| Error::internal("a column without a place").into())
        }
        Expr::Alias(alias) => Ok(Transformed::yes(alias.expr.as_ref().clone())),
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(resolved.data)
}

/// `expr` with its places changed.
pub(crate) fn renumber(expr: &Expr, to: impl Fn(usize) -> Option<usize>) -> Result<Expr> {
    let renumbered = expr.clone().transform_up(|e| match place_of(&e) {
        Some(index) => {
            let index = to(index).ok_or_else(|| Error::internal("a column that was left out is used"))?;
            Ok(Transformed::yes(place(index)))
        }
        None => Ok(Transformed::no(e)),
    })?;
    Ok(renumbered.data)
}

/// The columns of a node, named by place.
fn by_place(schema: &Schema) -> Result<DFSchema> {
    let fields: Vec<Field> =
        schema.fields().iter().enumerate().map(|(i, f)| f.as_ref().clone().with_name(format!("#{i}"))).collect();
    Ok(DFSchema::try_from(Schema::new(fields))?)
}

/// Compiles expressions over the columns of one node.
pub(crate) struct Compiler {
    schema: SchemaRef,
    places: DFSchema,
    /// Place of the watermark that rows were read at, if they come with their origin.
    watermark: Option<usize>,
}

impl Compiler {
    /// Over rows on an edge: the node's columns, then the origin columns.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let with_origin = with_origin(schema);
        let watermark = with_origin.fields().len() - 1;
        Ok(Self { schema: Arc::clone(schema), places: by_place(&with_origin)?, watermark: Some(watermark) })
    }

    /// Over rows without origin columns.
    pub(crate) fn bare(schema: &SchemaRef) -> Result<Self> {
        Ok(Self { schema: Arc::clone(schema), places: by_place(schema)?, watermark: None })
    }

    /// A compiled expression with its text.
    pub(crate) fn expr(&self, expr: &Expr) -> Result<PlanExpr> {
        Ok(PlanExpr { expr: self.physical(expr)?, text: text(expr, &self.schema) })
    }

    /// The output column an expression makes.
    pub(crate) fn field(&self, name: &str, expr: &PlanExpr) -> Result<Field> {
        let data_type = expr.expr.data_type(self.places.as_arrow())?;
        Ok(Field::new(name, data_type, expr.expr.nullable(self.places.as_arrow())?))
    }

    fn physical(&self, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = &self.with_watermark(expr)?;
        Ok(create_physical_expr(expr, &self.places, &ExecutionProps::new(), &PhysicalPlanningContext::default())?)
    }

    /// Gives `CURRENT_WATERMARK` the watermark of the row.
    fn with_watermark(&self, expr: &Expr) -> Result<Expr> {
        let given = expr.clone().transform_up(|e| match e {
            Expr::ScalarFunction(mut call) if call.name() == "current_watermark" => match self.watermark {
                Some(watermark) => {
                    call.args.push(place(watermark));
                    Ok(Transformed::yes(Expr::ScalarFunction(call)))
                }
                None => {
                    Err(Error::sql("CURRENT_WATERMARK is not possible here").hint("use it in SELECT or WHERE").into())
                }
            },
            other => Ok(Transformed::no(other)),
        })?;
        Ok(given.data)
    }

    /// A compiled aggregate call of `GROUP BY` or `OVER`.
    pub(crate) fn aggregate(&self, call: &Call<'_>) -> Result<PlanAggregate> {
        let text = call.text(&self.schema);
        let args = call.args.iter().map(|arg| self.physical(arg)).collect::<Result<Vec<_>>>()?;
        let mut order_by = Vec::new();
        for sort in call.order_by {
            let options = arrow::compute::SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
            order_by.push(PhysicalSortExpr { expr: self.physical(&sort.expr)?, options });
        }
        let schema: SchemaRef = Arc::new(self.places.as_arrow().clone());
        let compiled = AggregateExprBuilder::new(Arc::clone(call.function), args)
            .schema(schema)
            .alias(text.clone())
            .order_by(order_by)
            .with_ignore_nulls(call.ignore_nulls)
            .with_distinct(call.distinct)
            .build()?;
        let filter = call.filter.map(|f| self.physical(f)).transpose()?;
        Ok(PlanAggregate { call: Arc::new(compiled), filter, text })
    }
}

/// An aggregate call, in `GROUP BY` or `OVER`.
pub(crate) struct Call<'a> {
    function: &'a Arc<AggregateUDF>,
    args: &'a [Expr],
    distinct: bool,
    filter: Option<&'a Expr>,
    order_by: &'a [datafusion::logical_expr::SortExpr],
    ignore_nulls: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn grouped(function: &'a Arc<AggregateUDF>, params: &'a AggregateFunctionParams) -> Self {
        Self {
            function,
            args: &params.args,
            distinct: params.distinct,
            filter: params.filter.as_deref(),
            order_by: &params.order_by,
            ignore_nulls: ignores_nulls(params.null_treatment),
        }
    }

    pub(crate) fn over(function: &'a Arc<AggregateUDF>, params: &'a WindowFunctionParams) -> Self {
        Self {
            function,
            args: &params.args,
            distinct: params.distinct,
            filter: params.filter.as_deref(),
            order_by: &[],
            ignore_nulls: ignores_nulls(params.null_treatment),
        }
    }

    fn text(&self, schema: &Schema) -> String {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        // COUNT(*) and ROW_NUMBER() are planned as a count of a constant
        let args = match (self.function.name(), self.args) {
            ("count", [Expr::Literal(..)]) => "*".into(),
            ("row_number" | "rank" | "dense_rank", _) => String::new(),
            _ => list(self.args, schema),
        };
        let order: Vec<String> = self
            .order_by
            .iter()
            .map(|s| format!("{}{}", text(&s.expr, schema), if s.asc { "" } else { " DESC" }))
            .collect();
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let filter = self.filter.map_or(String::new(), |f| format!(" FILTER (WHERE {})", text(f, schema)));
        let nulls = if self.ignore_nulls { " IGNORE NULLS" } else { "" };
        format!("{}({distinct}{args}{order}){filter}{nulls}", self.function.name().to_uppercase())
    }
}

fn ignores_nulls(treatment: Option<datafusion::logical_expr::expr::NullTreatment>) -> bool {
    treatment == Some(datafusion::logical_expr::expr::NullTreatment::IgnoreNulls)
}

fn list(exprs: &[Expr], schema: &Schema) -> String {
    exprs.iter().map(|e| text(e, schema)).collect::<Vec<_>>().join(", ")
}

/// The expression as SQL. Two expressions over the same columns have the same text only if they are equal:
/// a column whose name is not unique is written by place.
pub(crate) fn text(expr: &Expr, schema: &Schema) -> String {
    let t = |e: &Expr| text(e, schema);
    match expr {
        Expr::Column(column) => match place_of(expr).and_then(|i| schema.fields().get(i).map(|f| (i, f))) {
            Some((i, f)) if schema.fields().iter().filter(|o| o.name() == f.name()).count() > 1 => format!("${i}"),
            Some((_, f)) => f.name().clone(),
            None => column.name.clone(),
        },
        Expr::Literal(value, _) => literal(value),
        Expr::Alias(alias) => t(&alias.expr),
        Expr::BinaryExpr(b) => {
            let side = |e: &Expr| if is_operator(e) { format!("({})", t(e)) } else { t(e) };
            let flat = |e: &Expr| match e {
                // the same associative operator needs no parentheses
                Expr::BinaryExpr(inner) if inner.op == b.op && matches!(b.op, Operator::And | Operator::Or) => t(e),
                _ => side(e),
            };
            let op = if b.op == Operator::NotEq { "<>".to_owned() } else { b.op.to_string() };
            format!("{} {op} {}", flat(&b.left), side(&b.right))
        }
        Expr::Not(e) => format!("NOT ({})", t(e)),
        Expr::Negative(e) => format!("-({})", t(e)),
        Expr::IsNull(e) => format!("({}) IS NULL", t(e)),
        Expr::IsNotNull(e) => format!("({}) IS NOT NULL", t(e)),
        Expr::IsTrue(e) => format!("({}) IS TRUE", t(e)),
        Expr::IsFalse(e) => format!("({}) IS FALSE", t(e)),
        Expr::IsUnknown(e) => format!("({}) IS UNKNOWN", t(e)),
        Expr::IsNotTrue(e) => format!("({}) IS NOT TRUE", t(e)),
        Expr::IsNotFalse(e) => format!("({}) IS NOT FALSE", t(e)),
        Expr::IsNotUnknown(e) => format!("({}) IS NOT UNKNOWN", t(e)),
        Expr::Between(b) => {
            let not = if b.negated { "NOT " } else { "" };
            format!("{} {not}BETWEEN {} AND {}", t(&b.expr), t(&b.low), t(&b.high))
        }
        Expr::InList(i) => {
            format!("{} {}IN ({})", t(&i.expr), if i.negated { "NOT " } else { "" }, list(&i.list, schema))
        }
        Expr::Like(l) => {
            let escape = l.escape_char.map_or(String::new(), |c| format!(" ESCAPE '{c}'"));
            let not = if l.negated { "NOT " } else { "" };
            let like = if l.case_insensitive { "ILIKE" } else { "LIKE" };
            format!("{} {not}{like} {}{escape}", t(&l.expr), t(&l.pattern))
        }
        Expr::Cast(c) => format!("CAST({} AS {})", t(&c.expr), flink_type(c.field.data_type())),
        Expr::TryCast(c) => format!("TRY_CAST({} AS {})", t(&c.expr), flink_type(c.field.data_type())),
        Expr::Case(case) => {
            let mut out = String::from("CASE");
            if let Some(operand) = &case.expr {
                out.push_str(&format!(" {}", t(operand)));
            }
            for (when, then) in &case.when_then_expr {
                out.push_str(&format!(" WHEN {} THEN {}", t(when), t(then)));
            }
            if let Some(otherwise) = &case.else_expr {
                out.push_str(&format!(" ELSE {}", t(otherwise)));
            }
            out + " END"
        }
        Expr::ScalarFunction(f) => call_text(f, schema),
        other => other.to_string(),
    }
}

/// A call as it was written: casts and operators that the planner made calls of read as themselves.
fn call_text(call: &ScalarFunction, schema: &Schema) -> String {
    let t = |e: &Expr| text(e, schema);
    let side = |e: &Expr| if is_operator(e) { format!("({})", t(e)) } else { t(e) };
    match (call.name(), functions::operator_of(call.name()), &call.args[..]) {
        ("flink_cast" | "flink_cast_digits", _, [value, Expr::Literal(to, _), ..]) => {
            format!("CAST({} AS {})", t(value), flink_type(&to.data_type()))
        }
        ("flink_try_cast", _, [value, Expr::Literal(to, _)]) => {
            format!("TRY_CAST({} AS {})", t(value), flink_type(&to.data_type()))
        }
        (_, Some(op), [left, right]) => format!("{} {op} {}", side(left), side(right)),
        (name, _, args) => format!("{}({})", name.to_uppercase(), list(args, schema)),
    }
}

/// Whether an expression is written with an operator between two sides.
fn is_operator(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => functions::operator_of(call.name()).is_some(),
        other => matches!(other, Expr::BinaryExpr(_)),
    }
}

fn literal(value: &ScalarValue) -> String {
    match value {
        _ if value.is_null() => "NULL".into(),
        ScalarValue::Utf8(Some(s)) | ScalarValue::LargeUtf8(Some(s)) | ScalarValue::Utf8View(Some(s)) => {
            format!("'{}'", s.replace('\'', "''"))
        }
        ScalarValue::Boolean(Some(b)) => if *b { "TRUE" } else { "FALSE" }.into(),
        ScalarValue::Float64(Some(x)) => format!("{x:e}"),
        ScalarValue::Decimal128(Some(unscaled), _, scale) => decimal(*unscaled, *scale),
        ScalarValue::IntervalMonthDayNano(Some(i)) => {
            let ms = i64::from(i.days) * 86_400_000 + i.nanoseconds / 1_000_000;
            match (i.months, ms) {
                (0, ms) if ms % 1000 == 0 => format!("INTERVAL '{}' SECOND", ms / 1000),
                (0, ms) => {
                    let sign = if ms < 0 { "-" } else { "" };
                    format!("INTERVAL '{sign}{}.{:03}' SECOND", (ms / 1000).abs(), (ms % 1000).abs())
                }
                (months, 0) => format!("INTERVAL '{months}' MONTH"),
                _ => value.to_string(),
            }
        }
        other => match other.data_type() {
            DataType::Timestamp(..) => format!("TIMESTAMP '{other}'"),
            DataType::Date32 => format!("DATE '{other}'"),
            _ => other.to_string(),
        },
    }
}

fn decimal(unscaled: i128, scale: i8) -> String {
    let Ok(scale) = usize::try_from(scale) else { return format!("{unscaled}e{}", -i32::from(scale)) };
    if scale == 0 {
        return unscaled.to_string();
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::lit;

    #[test]
    fn text_reads_as_sql_and_tells_equal_names_apart() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Int32, true),
            Field::new("a", DataType::Int32, true),
        ]);
        assert_eq!(
            text(&place(1).gt(lit(2.5)).and(place(0).eq(lit("it's"))), &schema),
            "(b > 2.5e0) AND ($0 = 'it''s')"
        );
        assert_ne!(text(&place(0), &schema), text(&place(2), &schema));
        assert_eq!(literal(&ScalarValue::Decimal128(Some(-5), 3, 2)), "-0.05");
        assert_eq!(literal(&ScalarValue::new_interval_mdn(0, 0, 90_500_000_000)), "INTERVAL '90.500' SECOND");
    }
}
