//! Casts to types with a length: `CAST(x AS CHAR(5))` is a cast to STRING, and then `flink_trim_pad(…, 5)`.
//!
//! On syntax, because Arrow's types, which the logical plan has, know no length.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, DataType, Expr, Value, VisitMut, VisitorMut};

use crate::sql::parser::dialect::call;
use crate::sql::parser::types::arrow_type_of;
use crate::table::Length;

/// Rewrites every cast to a type with a length.
pub(crate) fn split_casts<V: VisitMut>(syntax: &mut V) {
    let ControlFlow::Continue(()) = syntax.visit(&mut Casts);
}

struct Casts;

impl VisitorMut for Casts {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::Cast { data_type, .. } = expr
            && let Some((length, without)) = split(data_type)
        {
            *data_type = without;
            let whole = std::mem::replace(expr, Expr::value(Value::Null));
            let size = Expr::value(Value::Number(length.size.to_string(), false));
            *expr = call(function(length), ast::Spanned::span(&whole), vec![whole, size]);
        }
        ControlFlow::Continue(())
    }
}

/// Name of the function that gives values a length.
pub(crate) fn function(length: Length) -> &'static str {
    if length.fixed { "flink_trim_pad" } else { "flink_trim" }
}

/// The length of a type, and the type without it; a wrong type is left for the planner.
fn split(data_type: &DataType) -> Option<(Length, DataType)> {
    let declared = arrow_type_of(data_type).ok()?;
    let length = Length::of(&declared.text)?;
    let binary = declared.data_type == arrow::datatypes::DataType::Binary;
    Some((length, if binary { DataType::Bytes(None) } else { DataType::String(None) }))
}
