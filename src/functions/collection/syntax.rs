//! `ARRAY[…]`, `a[i]`, `m['k']`, `r.f` and `t.r.f` as calls of the functions of this folder.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, ScalarValue, Span, TableReference};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, ScalarUDF, lit};

use crate::error::{self, Error};

/// The functions that the syntax stands for.
#[derive(Debug)]
pub(in crate::functions) struct Collections {
    pub(in crate::functions) array: Option<Arc<ScalarUDF>>,
    item: Option<Arc<ScalarUDF>>,
    field: Option<Arc<ScalarUDF>>,
}

fn missing() -> DataFusionError {
    Error::internal("a function of collections is not registered").into()
}

/// Where the column at the root of an access stands.
fn place(expr: &Expr) -> Option<error::Span> {
    let root = match expr {
        Expr::ScalarFunction(call) => return call.args.first().and_then(place),
        Expr::Column(column) => column.spans.first()?,
        _ => return None,
    };
    let Span { start, end } = root;
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) = (small(start.line), small(start.column));
    Some(error::Span { line, column, end_line: small(end.line), end_column: small(end.column) })
}

/// A whole number that is written out.
fn constant(index: &Expr) -> Option<i64> {
    match index {
        Expr::Literal(ScalarValue::Int64(value), _) => *value,
        Expr::Literal(ScalarValue::Int32(value), _) => value.map(i64::from),
        Expr::Negative(inner) => constant(inner)?.checked_neg(),
        _ => None,
    }
}

impl Collections {
    pub(in crate::functions) fn new(named: impl Fn(&str) -> Option<Arc<ScalarUDF>>) -> Self {
        Self { array: named("__array"), item: named("__item"), field: named("__field") }
    }

    fn item_of(&self, collection: Expr, key: Expr) -> Result<Expr> {
        Ok(self.item.as_ref().ok_or_else(missing)?.call(vec![collection, key]))
    }

    fn field_of(&self, row: Expr, row_type: &DataType, name: &str) -> Result<(Expr, DataType)> {
        let DataType::Struct(fields) = row_type else {
            return Err(Error::sql(format!("\"{name}\" is asked for as a field of a value that is no ROW"))
                .or_at(place(&row))
                .into());
        };
        let Some(field) = fields.iter().find(|field| field.name() == name) else {
            return Err(Error::sql(format!("the row has no field \"{name}\""))
                .nearest(name, fields.iter().map(|field| field.name().as_str()))
                .or_at(place(&row))
                .into());
        };
        let data_type = field.data_type().clone();
        let call = self.field.as_ref().ok_or_else(missing)?.call(vec![row, lit(name)]);
        Ok((call, data_type))
    }

    /// `expr[key]` or `expr.name`.
    pub(in crate::functions) fn access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { expr, field_access } = access;
        let data_type = expr.get_type(schema)?;
        let planned = match field_access {
            // a name in brackets is a field of a row, too
            GetFieldAccess::NamedStructField { name } if matches!(data_type, DataType::Struct(_)) => {
                self.field_of(expr, &data_type, name.try_as_str().flatten().unwrap_or_default())?.0
            }
            GetFieldAccess::NamedStructField { name } => self.item_of(expr, Expr::Literal(name, None))?,
            GetFieldAccess::ListIndex { key } => {
                let array = matches!(data_type, DataType::List(_));
                if let Some(index) = constant(&key).filter(|index| array && *index <= 0) {
                    return Err(Error::sql(format!("the first element of an array is [1], there is no [{index}]"))
                        .or_at(place(&expr))
                        .hint("elements are counted from 1")
                        .into());
                }
                self.item_of(expr, *key)?
            }
            GetFieldAccess::ListRange { .. } => {
                return Err(Error::sql("a part of an array cannot be written with a colon")
                    .or_at(place(&expr))
                    .hint("write ARRAY_SLICE(array, start, end)")
                    .into());
            }
        };
        Ok(PlannerResult::Planned(planned))
    }

    /// `row.field.field`, of a column.
    pub(in crate::functions) fn compound(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let column = Expr::Column(Column::from((qualifier, field)));
        let start = (column, field.data_type().clone());
        let (expr, _) =
            nested.iter().try_fold(start, |(expr, data_type), name| self.field_of(expr, &data_type, name))?;
        Ok(PlannerResult::Planned(expr))
    }
}
