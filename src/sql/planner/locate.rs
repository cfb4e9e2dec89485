//! Which piece of a query DataFusion's error is about. Its errors rarely say where; so pieces of the syntax are left
//! out, one at a time (a NULL stands for them), and the query planned again: the smallest piece without which the
//! error goes away is the one to point at. With it left out, the next error shows.
//!
//! Bounded by [`ATTEMPTS_MAX`] plannings; only queries with an error pay for it.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, Value, Visit, VisitMut, Visitor, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::error::Error;
use crate::sql::parser::dialect::call;

/// Plannings spent on the errors of one query.
const ATTEMPTS_MAX: usize = 400;

/// Errors of one query that are shown.
const ERRORS_MAX: usize = 20;

/// A piece of syntax that an error is about.
pub(crate) struct Piece {
    /// The expression.
    pub(crate) expr: Expr,
    /// Its direct parts, with their types; empty where these cannot be told.
    pub(crate) parts: Vec<(Expr, DataType)>,
    /// The type it has itself, if it has one.
    pub(crate) own: Option<DataType>,
    /// No other expression holds it: it is a column of SELECT, or the condition of WHERE.
    pub(crate) outermost: bool,
}

/// Every error of `syntax` that `plan` finds, with the piece it is about, where there is one. `first` is the first.
pub(crate) fn all<V, F>(syntax: &V, first: DataFusionError, plan: F) -> Vec<(DataFusionError, Option<Piece>)>
where
    V: VisitMut + Visit + Clone,
    F: Fn(&V) -> DfResult<()>,
{
    let mut search = Search::new(syntax, plan);
    let (mut found, mut next) = (Vec::new(), Some(first));
    while let Some(error) = next.take() {
        let Some((expr, outermost)) = search.piece(&error) else {
            if found.is_empty() {
                found.push((error, None));
            }
            break;
        };
        // what is wrong only because a piece was left out is no mistake of the user's
        if found.is_empty() || !holds_null(&expr) {
            let parts = search.parts(&expr);
            let own = search.types(&expr, vec![expr.clone()]).pop();
            found.push((error, Some(Piece { parts, own, expr: expr.clone(), outermost })));
        }
        if found.len() < ERRORS_MAX {
            leave_out(&mut search.syntax, &expr);
            next = search.attempt(&search.syntax.clone()).flatten();
        }
    }
    found
}

/// The piece of `syntax` without which `plan` finds nothing wrong; `error` is what it finds.
pub(crate) fn only<V, F>(syntax: &V, error: &DataFusionError, plan: F) -> Option<Expr>
where
    V: VisitMut + Visit + Clone,
    F: Fn(&V) -> DfResult<()>,
{
    let mut search = Search::new(syntax, plan);
    let (expr, _) = search.piece(error)?;
    search.without(&expr)?.is_empty().then_some(expr)
}

struct Search<V, F> {
    syntax: V,
    plan: F,
    attempts: usize,
}

impl<V, F> Search<V, F>
where
    V: VisitMut + Visit + Clone,
    F: Fn(&V) -> DfResult<()>,
{
    fn new(syntax: &V, plan: F) -> Self {
        let mut search = Search { syntax: syntax.clone(), plan, attempts: 0 };
        let ControlFlow::Continue(()) = VisitMut::visit(&mut search.syntax, &mut Naming);
        search
    }

    /// The error of a planning, `None` once there were too many.
    fn attempt(&mut self, syntax: &V) -> Option<Option<DataFusionError>> {
        self.attempts += 1;
        (self.attempts <= ATTEMPTS_MAX).then(|| (self.plan)(syntax).err())
    }

    /// What is said without `expr`; an empty text if nothing is.
    fn without(&mut self, expr: &Expr) -> Option<String> {
        let mut syntax = self.syntax.clone();
        leave_out(&mut syntax, expr);
        Some(self.attempt(&syntax)?.map_or_else(String::new, |error| error.strip_backtrace()))
    }

    /// The smallest expression whose absence makes the error go away, and whether no other holds it.
    fn piece(&mut self, error: &DataFusionError) -> Option<(Expr, bool)> {
        let text = error.strip_backtrace();
        let mut best: Option<(Expr, String)> = None;
        for expr in outermost(&self.syntax) {
            let left = self.without(&expr)?;
            if left.is_empty() {
                best = Some((expr, left));
                break;
            }
            if left != text && best.is_none() {
                best = Some((expr, left));
            }
        }
        let (mut expr, left) = best?;
        let mut is_outermost = true;
        loop {
            let mut inner = None;
            for part in parts_of(&expr) {
                if self.without(&part)? == left {
                    if inner.is_some() {
                        // each of two would do: they do not go together
                        return Some((expr, is_outermost));
                    }
                    inner = Some(part);
                }
            }
            match inner {
                Some(part) => (expr, is_outermost) = (part, false),
                None => return Some((expr, is_outermost)),
            }
        }
    }

    /// The parts of an expression with their types.
    fn parts(&mut self, expr: &Expr) -> Vec<(Expr, DataType)> {
        let parts = parts_of(expr);
        let types = self.types(expr, parts.clone());
        if types.len() == parts.len() { parts.into_iter().zip(types).collect() } else { Vec::new() }
    }

    /// The types of expressions, in the place of `at`; none if they have errors themselves.
    fn types(&mut self, at: &Expr, exprs: Vec<Expr>) -> Vec<DataType> {
        if exprs.is_empty() {
            return Vec::new();
        }
        let mut syntax = self.syntax.clone();
        let asked = call(ASK, TokenSpan::empty(), exprs);
        replace(&mut syntax, at, &asked);
        match self.attempt(&syntax).flatten() {
            Some(error) => told(&error).unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

/// Columns of `SELECT` keep their names when they are left out.
struct Naming;

impl VisitorMut for Naming {
    type Break = Infallible;

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<Infallible> {
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let name = match expr {
                Expr::Identifier(name) => name.value.clone(),
                Expr::CompoundIdentifier(names) => names.last().map_or_else(String::new, |name| name.value.clone()),
                _ => continue,
            };
            let expr = std::mem::replace(expr, Expr::value(Value::Null));
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::new(name) };
        }
        ControlFlow::Continue(())
    }
}

/// Expressions that no other expression holds.
fn outermost<V: Visit>(syntax: &V) -> Vec<Expr> {
    let mut collecting = Collecting { depth: 0, wanted: 0, found: Vec::new() };
    let ControlFlow::Continue(()) = syntax.visit(&mut collecting);
    collecting.found
}

/// The direct parts of an expression.
fn parts_of(expr: &Expr) -> Vec<Expr> {
    let mut collecting = Collecting { depth: 0, wanted: 1, found: Vec::new() };
    let ControlFlow::Continue(()) = Visit::visit(expr, &mut collecting);
    collecting.found
}

struct Collecting {
    depth: usize,
    wanted: usize,
    found: Vec<Expr>,
}

impl Visitor for Collecting {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        if self.depth == self.wanted && !matches!(expr, Expr::Value(value) if value.value == Value::Null) {
            self.found.push(expr.clone());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Infallible> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

fn holds_null(expr: &Expr) -> bool {
    let null = |e: &Expr| matches!(e, Expr::Value(value) if value.value == Value::Null);
    let found = ast::visit_expressions(expr, |e| if null(e) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    found.is_break()
}

fn leave_out<V: VisitMut>(syntax: &mut V, expr: &Expr) {
    replace(syntax, expr, &Expr::value(Value::Null));
}

/// Every expression equal to `from`: what SELECT says again of GROUP BY is one thing.
fn replace<V: VisitMut>(syntax: &mut V, from: &Expr, to: &Expr) {
    struct Replacing<'a>(&'a Expr, &'a Expr);
    impl VisitorMut for Replacing<'_> {
        type Break = Infallible;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
            if expr == self.0 {
                *expr = self.1.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let ControlFlow::Continue(()) = syntax.visit(&mut Replacing(from, to));
}

/// A function that tells the types of its arguments by failing.
const ASK: &str = "__types";

/// The function that [`all`] asks for types with, under its name.
pub(crate) fn asked(name: &str) -> Option<Arc<ScalarUDF>> {
    let asking = || Asking { signature: Signature::variadic_any(Volatility::Immutable) };
    (name == ASK).then(|| Arc::new(ScalarUDF::new_from_impl(asking())))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Asking {
    signature: Signature,
}

impl ScalarUDFImpl for Asking {
    fn name(&self) -> &str {
        ASK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Err(DataFusionError::External(Box::new(Told(types.to_vec()))))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let types = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Err(DataFusionError::External(Box::new(Told(types))))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Err(Error::internal("a question about types was run").into())
    }
}

/// The answer of [`Asking`].
#[derive(Debug)]
struct Told(Vec<DataType>);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} types", self.0.len())
    }
}

impl std::error::Error for Told {}

fn told(error: &DataFusionError) -> Option<Vec<DataType>> {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Told>() {
            Some(Told(types)) => Some(types.clone()),
            None => told(inner.downcast_ref::<DataFusionError>()?),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => told(inner),
        DataFusionError::Shared(inner) => told(inner),
        DataFusionError::Collection(all) => all.iter().find_map(told),
        _ => None,
    }
}
