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
use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, SelectItem, Spanned, Value, Visit, VisitMut, Visitor, VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;

use crate::error::Error;
use crate::sql::parser::dialect::call;

/// Plannings spent on the errors of one query.
const ATTEMPTS_MAX: usize = 400;

/// Expressions planned in all of them, for rows of `VALUES` make long queries; but some attempts there are.
const EXPRESSIONS_MAX: usize = 200_000;
const ATTEMPTS_MIN: usize = 10;

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
    /// What directly holds it, with its parts; `None`: it is a column of SELECT, or the condition of WHERE.
    pub(crate) around: Option<(Expr, Vec<(Expr, DataType)>)>,
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
        // either of two would do: the second is the one too many, which the error names
        let twice = error.strip_backtrace().contains("unique expression names");
        let Some(place) = search.piece(&error).filter(|_| !twice) else {
            if found.is_empty() {
                found.push((error, None));
            }
            break;
        };
        // what is wrong only because a piece was left out is no mistake of the user's
        if found.is_empty() || !holds_null(&place.expr) {
            let piece = search.told(&place);
            found.push((error, Some(piece)));
        }
        if found.len() < ERRORS_MAX {
            leave_out(&mut search.syntax, &place.expr);
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
    let place = search.piece(error)?;
    search.without(&place.within, &place.expr)?.is_empty().then_some(place.expr)
}

struct Search<V, F> {
    syntax: V,
    plan: F,
    attempts_left: usize,
}

/// Where an error was found.
struct Found<V> {
    expr: Expr,
    /// What directly holds it, if an expression does.
    around: Option<Expr>,
    /// The syntax in which no other piece has the error.
    within: V,
}

impl<V, F> Search<V, F>
where
    V: VisitMut + Visit + Clone,
    F: Fn(&V) -> DfResult<()>,
{
    fn new(syntax: &V, plan: F) -> Self {
        let mut expressions = 1usize;
        let ControlFlow::Continue(()) = visit_expressions(syntax, |_| {
            expressions += 1;
            ControlFlow::<Infallible>::Continue(())
        });
        let attempts_left = (EXPRESSIONS_MAX / expressions).clamp(ATTEMPTS_MIN, ATTEMPTS_MAX);
        let mut search = Search { syntax: syntax.clone(), plan, attempts_left };
        let ControlFlow::Continue(()) = VisitMut::visit(&mut search.syntax, &mut Naming);
        search
    }

    /// The error of a planning, `None` once there were too many.
    fn attempt(&mut self, syntax: &V) -> Option<Option<DataFusionError>> {
        self.attempts_left = self.attempts_left.checked_sub(1)?;
        Some((self.plan)(syntax).err())
    }

    /// What is said without `expr`; an empty text if nothing is.
    fn without(&mut self, within: &V, expr: &Expr) -> Option<String> {
        let mut syntax = within.clone();
        leave_out(&mut syntax, expr);
        Some(self.attempt(&syntax)?.map_or_else(String::new, |error| error.strip_backtrace()))
    }

    /// The smallest expression whose absence makes the error go away.
    fn piece(&mut self, error: &DataFusionError) -> Option<Found<V>> {
        let (mut expr, left, within) = self.outermost(&error.strip_backtrace())?;
        let mut around = None;
        loop {
            let mut inner = None;
            for part in parts_of(&expr) {
                if self.without(&within, &part)? == left {
                    if inner.is_some() {
                        // each of two would do: they do not go together
                        return Some(Found { expr, around, within });
                    }
                    inner = Some(part);
                }
            }
            match inner {
                Some(part) => around = Some(std::mem::replace(&mut expr, part)),
                None => return Some(Found { expr, around, within }),
            }
        }
    }

    /// The expression that no other holds whose absence changes what is said, what is said then, and the syntax.
    fn outermost(&mut self, text: &str) -> Option<(Expr, String, V)> {
        let all = outermost(&self.syntax);
        let syntax = self.syntax.clone();
        let mut best: Option<(Expr, String)> = None;
        for expr in &all {
            let left = self.without(&syntax, expr)?;
            if left.is_empty() {
                return Some((expr.clone(), left, syntax));
            }
            if left != text && best.is_none() {
                best = Some((expr.clone(), left));
            }
        }
        if let Some((expr, left)) = best {
            return Some((expr, left, syntax));
        }
        // several have the same error: the last of them is the one whose absence counts without those before it
        let mut within = syntax;
        for expr in all {
            let left = self.without(&within, &expr)?;
            if left != text {
                return Some((expr, left, within));
            }
            leave_out(&mut within, &expr);
        }
        None
    }

    /// The piece with the types of its parts.
    fn told(&mut self, place: &Found<V>) -> Piece {
        Piece {
            parts: self.parts(place, &place.expr),
            own: self.types(place, &place.expr, vec![place.expr.clone()]).pop(),
            around: place.around.as_ref().map(|around| (around.clone(), self.parts(place, around))),
            expr: place.expr.clone(),
        }
    }

    /// The parts of an expression with their types.
    fn parts(&mut self, place: &Found<V>, expr: &Expr) -> Vec<(Expr, DataType)> {
        let parts = match expr {
            // a field of a row, where the row is the column
            Expr::CompoundIdentifier(names) => names.first().cloned().map(Expr::Identifier).into_iter().collect(),
            _ => parts_of(expr),
        };
        let types = self.types(place, expr, parts.clone());
        if types.len() == parts.len() { parts.into_iter().zip(types).collect() } else { Vec::new() }
    }

    /// The types of expressions, in the place of `at`; none if they have errors themselves.
    fn types(&mut self, place: &Found<V>, at: &Expr, exprs: Vec<Expr>) -> Vec<DataType> {
        if exprs.is_empty() {
            return Vec::new();
        }
        let asked = call(ASK, TokenSpan::empty(), exprs);
        let mut asking = place.within.clone();
        replace(&mut asking, at, &asked);
        if let Some(types) = self.attempt(&asking).flatten().as_ref().and_then(told) {
            return types;
        }
        // another error came first: without all else there is none
        for other in outermost(&place.within).into_iter().filter(|other| !holds(other, at)) {
            leave_out(&mut asking, &other);
        }
        self.attempt(&asking).flatten().as_ref().and_then(told).unwrap_or_default()
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

fn holds(expr: &Expr, part: &Expr) -> bool {
    let found = visit_expressions(expr, |e| match same(e, part) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn holds_null(expr: &Expr) -> bool {
    let null = |e: &Expr| matches!(e, Expr::Value(value) if value.value == Value::Null);
    let found = visit_expressions(expr, |e| if null(e) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    found.is_break()
}

fn leave_out<V: VisitMut>(syntax: &mut V, expr: &Expr) {
    replace(syntax, expr, &Expr::value(Value::Null));
}

/// Whether two expressions are one thing: calls are wherever they stand, names and values only at the same place.
fn same(expr: &Expr, other: &Expr) -> bool {
    let leaf = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_));
    expr == other && (!leaf || expr.span() == other.span())
}

/// Every expression equal to `from`: what SELECT says again of GROUP BY is one thing.
fn replace<V: VisitMut>(syntax: &mut V, from: &Expr, to: &Expr) {
    struct Replacing<'a>(&'a Expr, &'a Expr);
    impl VisitorMut for Replacing<'_> {
        type Break = Infallible;

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
            if same(expr, self.0) {
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
