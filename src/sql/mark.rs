//! Where a call or a cast stands in the script, carried from syntax into the function that computes it, so that a
//! value that breaks a running job is told with its place.
//!
//! DataFusion's expressions have no places. While syntax is prepared, what can fail is wrapped in a call whose name
//! holds the place ([`mark`]); the planner finds [`marker`] under that name; the first rewrite of the plan takes the
//! wrapping off and gives the place to the function inside ([`unmarked`]). Two markers are equal wherever they stand:
//! `GROUP BY` must find what `SELECT` repeats.
//!
//! In the same way a row of `VALUES` that is planned as a SELECT is known as one ([`mark_row`]) until types are agreed on.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::error::{Error, Span};
use crate::functions;
use crate::sql::parser::dialect::call;

const PREFIX: &str = "__at_";
const ROW: &str = "__row_of_values";

/// Wraps an expression in a call that knows its place.
pub(crate) fn mark(expr: &mut ast::Expr, place: Span) {
    let Span { line, column, end_line, end_column } = place;
    let inner = std::mem::replace(expr, ast::Expr::value(ast::Value::Null));
    *expr = call(&format!("{PREFIX}{line}_{column}_{end_line}_{end_column}"), TokenSpan::empty(), vec![inner]);
}

/// Wraps the first value of a row of `VALUES`.
pub(crate) fn mark_row(first: &mut ast::Expr) {
    let inner = std::mem::replace(first, ast::Expr::value(ast::Value::Null));
    *first = call(ROW, TokenSpan::empty(), vec![inner]);
}

/// Whether an expression is the first value of a row of `VALUES`, or made of it.
pub(crate) fn marks_row(first: &Expr) -> bool {
    first.exists(|part| Ok(row_inside(part).is_some())).unwrap_or(false)
}

/// An expression without the mark of a row.
pub(crate) fn without_row(expr: Expr) -> DfResult<Transformed<Expr>> {
    expr.transform_up(|part| match row_inside(&part) {
        Some(inner) => Ok(Transformed::yes(inner.clone())),
        None => Ok(Transformed::no(part)),
    })
}

fn row_inside(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(wrapped) = expr else { return None };
    wrapped.func.inner().downcast_ref::<Marker>().filter(|marker| marker.place.is_none())?;
    wrapped.args.first()
}

/// The function of a name that [`mark`] or [`mark_row`] has made.
pub(crate) fn marker(name: &str) -> Option<Arc<ScalarUDF>> {
    let signature = Signature::any(1, Volatility::Immutable);
    if name == ROW {
        return Some(Arc::new(ScalarUDF::new_from_impl(Marker { name: name.to_owned(), place: None, signature })));
    }
    let mut numbers = name.strip_prefix(PREFIX)?.split('_').map(str::parse);
    let mut number = || numbers.next()?.ok();
    let place = Span { line: number()?, column: number()?, end_line: number()?, end_column: number()? };
    Some(Arc::new(ScalarUDF::new_from_impl(Marker { name: name.to_owned(), place: Some(place), signature })))
}

/// What a marked expression is without its mark, its functions told where they stand; `Err`: it has no mark.
pub(crate) fn unmarked(mut wrapped: ScalarFunction) -> Result<Expr, ScalarFunction> {
    match (wrapped.func.inner().downcast_ref::<Marker>().and_then(|marker| marker.place), wrapped.args.pop()) {
        (Some(place), Some(inner)) => Ok(placed(inner, place)),
        (_, last) => {
            wrapped.args.extend(last);
            Err(wrapped)
        }
    }
}

/// The functions that one piece of syntax has become; those of other syntax inside have their places already.
fn placed(expr: Expr, place: Span) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) => match functions::placed(&call.func, place) {
            Some(function) => {
                call.func = function;
                call.args = call.args.into_iter().map(|argument| placed(argument, place)).collect();
                Expr::ScalarFunction(call)
            }
            None => Expr::ScalarFunction(call),
        },
        // a text that is compared with a number is cast
        Expr::BinaryExpr(mut both) => {
            *both.left = placed(*both.left, place);
            *both.right = placed(*both.right, place);
            Expr::BinaryExpr(both)
        }
        Expr::Not(inner) => Expr::Not(Box::new(placed(*inner, place))),
        // casts in aggregates have names
        Expr::Alias(mut named) => {
            *named.expr = placed(*named.expr, place);
            Expr::Alias(named)
        }
        other => other,
    }
}

#[derive(Debug)]
struct Marker {
    /// As it is called: DataFusion would put a name of its own over a function called by another.
    name: String,
    /// `None`: it marks a row.
    place: Option<Span>,
    signature: Signature,
}

impl PartialEq for Marker {
    fn eq(&self, other: &Self) -> bool {
        self.place.is_some() == other.place.is_some()
    }
}

impl Eq for Marker {}

impl Hash for Marker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.is_some().hash(state);
    }
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        &self.name
    }

    /// That of the expression inside: by it a column of `GROUP BY` is found again.
    fn schema_name(&self, args: &[Expr]) -> DfResult<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let only = args.arg_fields.first();
        only.cloned().ok_or_else(|| Error::internal("a place was marked without an expression").into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Ok(args.args.into_iter().next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::lit;

    #[test]
    fn a_mark_keeps_its_place_and_is_equal_to_others() {
        let place = Span::new(3, 7, 19);
        let mut syntax = ast::Expr::value(ast::Value::Null);
        mark(&mut syntax, place);
        let ast::Expr::Function(function) = &syntax else { panic!("{syntax}") };
        let one = marker(&function.name.to_string()).unwrap();
        assert_eq!(one.inner().downcast_ref::<Marker>().and_then(|marker| marker.place), Some(place));
        let other = marker("__at_1_1_1_2").unwrap();
        let (a, b) = (one.call(vec![lit(1)]), other.call(vec![lit(1)]));
        assert_eq!(a, b);
        assert_eq!(a.schema_name().to_string(), b.schema_name().to_string());
        assert_ne!(one.call(vec![lit(1)]), other.call(vec![lit(2)]));
        let row = marker(ROW).unwrap().call(vec![lit(1)]);
        assert!(marks_row(&row) && marks_row(&(row.clone() + lit(1))) && !marks_row(&a));
        assert_eq!(without_row(row).unwrap().data, lit(1));
        assert!(marker("upper").is_none() && marker("__at_x").is_none());
    }
}
