//! IF, IFNULL and COALESCE: rewritten to CASE while planning, so that the branch not taken is never computed and
//! `IF(d <> 0, n / d, 0)` does not divide by zero.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::functions::core;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::Error;

/// The reference of this theme.
pub(super) const DOCS: &[(&str, &str)] = &[
    ("IF(condition, then, else)", "One of two values; the other is not computed."),
    ("IFNULL(value, default)", "The value, or the default for NULL."),
    ("COALESCE(value, …)", "The first value that is not NULL."),
    ("NULLIF(value, other)", "The value, or NULL if it equals the other."),
];

#[derive(Debug, PartialEq, Eq, Hash)]
struct Condition {
    /// `if` takes the condition first; `ifnull` asks whether its first argument is one.
    name: &'static str,
    signature: Signature,
}

/// `IF(condition, then, else)` and `IFNULL(value, default)`.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    ["if", "ifnull"]
        .into_iter()
        .map(|name| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::new_from_impl(Condition { name, signature }))
        })
        .collect()
}

/// `COALESCE(value, …)`: DataFusion's, which also takes ROWs of different names; the planner gives them one type.
pub(super) fn coalesce() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Coalesce(core::coalesce())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coalesce(Arc<ScalarUDF>);

impl ScalarUDFImpl for Coalesce {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let row = |t: &DataType| matches!(t, DataType::Struct(_) | DataType::List(_) | DataType::Map(..));
        let mut known = types.iter().filter(|t| !t.is_null());
        match known.next() {
            // of a NULL beside BYTES DataFusion makes no type
            Some(first) if known.all(|t| t == first) => Ok(vec![first.clone(); types.len()]),
            Some(_) if types.iter().all(|t| row(t) || t.is_null()) => Ok(types.to_vec()),
            _ => self.0.coerce_types(types),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.0.simplify(args, info)
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.0.conditional_arguments(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.0.invoke_with_args(args)
    }
}

impl Condition {
    fn usage(&self) -> Error {
        let usage = if self.name == "if" { "IF(condition, then, else)" } else { "IFNULL(value, default)" };
        Error::sql(format!("wrong arguments of function \"{}\"", self.name.to_uppercase()))
            .hint(format!("write {usage}"))
    }

    /// The two branches.
    fn branches<'a>(&self, types: &'a [DataType]) -> Result<(&'a DataType, &'a DataType)> {
        match (self.name, types) {
            ("if", [DataType::Boolean | DataType::Null, then, other]) => Ok((then, other)),
            ("ifnull", [value, other]) => Ok((value, other)),
            _ => Err(self.usage().into()),
        }
    }
}

impl ScalarUDFImpl for Condition {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (then, other) = self.branches(types)?;
        let common = match (then, other) {
            (DataType::Null, other) => other.clone(),
            (then, DataType::Null) => then.clone(),
            // the planner gives them one type
            (then, other) if then.is_nested() && other.is_nested() => return Ok(types.to_vec()),
            (then, other) => comparison_coercion(then, other).ok_or_else(|| self.usage())?,
        };
        let condition = (self.name == "if").then_some(DataType::Boolean);
        Ok(condition.into_iter().chain([common.clone(), common]).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.branches(types)?.0.clone())
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (when, then, other) = match <[Expr; 3]>::try_from(args) {
            Ok([when, then, other]) => (when, then, other),
            Err(args) => match <[Expr; 2]>::try_from(args) {
                Ok([value, other]) => (value.clone().is_not_null(), value, other),
                Err(_) => return Err(self.usage().into()),
            },
        };
        Ok(ExprSimplifyResult::Simplified(Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(Box::new(when), Box::new(then))],
            else_expr: Some(Box::new(other)),
        })))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::internal(format!("{} was not rewritten to CASE", self.name.to_uppercase())).into())
    }
}
