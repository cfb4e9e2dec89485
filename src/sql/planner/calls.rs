//! Calls that stand where they cannot be computed, or with arguments that no type is the matter with: on syntax, each at
//! its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    NullTreatment, UnaryOperator, Value,
};

use crate::error::{Error, Span};
use crate::functions;
use crate::sql::places::span_of;
use crate::sql::registry::Registry;

/// The clause of a SELECT that an expression stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// Computed before groups are made.
    Where,
    /// Says what groups are.
    GroupBy,
    /// SELECT, HAVING, QUALIFY and what is no clause.
    Other,
}

impl Clause {
    fn name(self) -> &'static str {
        match self {
            Self::Where => "WHERE",
            Self::GroupBy => "GROUP BY",
            Self::Other => "SELECT",
        }
    }
}

/// A clause of a call that the parser reads and nobody computes.
pub(super) fn foreign_clause(function: &Function, upper: &str, place: Option<Span>) -> Option<Error> {
    let refuse = |clause: &str, hint: &str| {
        Some(Error::sql(format!("{clause} in {upper} is not supported")).or_at(place).hint(hint))
    };
    let ignores = |treatment: &Option<NullTreatment>| *treatment == Some(NullTreatment::IgnoreNulls);
    if function.over.is_some() && ignores(&function.null_treatment) {
        return refuse("IGNORE NULLS with OVER", "filter NULLs out before: FROM (SELECT * FROM t WHERE v IS NOT NULL)");
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(_) => refuse("ORDER BY", "leave it out: values come in the order of the rows"),
        FunctionArgumentClause::Limit(_) => refuse("LIMIT", "leave it out"),
        FunctionArgumentClause::OnOverflow(_) => refuse("ON OVERFLOW", "leave it out: a text may be of any length"),
        FunctionArgumentClause::Having(_) => refuse("HAVING", "write FILTER (WHERE …)"),
        FunctionArgumentClause::Separator(_) => refuse("SEPARATOR", "write LISTAGG(v, ', ')"),
        FunctionArgumentClause::IgnoreOrRespectNulls(treatment) if function.over.is_some() => {
            ignores(&Some(*treatment)).then(|| refuse("IGNORE NULLS with OVER", "filter NULLs out before"))?
        }
        _ => None,
    })
}

/// What is wrong with a call where it stands; `upper` is its name in upper case.
pub(super) fn misplaced(
    function: &Function,
    upper: &str,
    clause: Clause,
    registry: &Registry,
    place: Option<Span>,
) -> Option<Error> {
    if upper == "UNNEST" {
        let array = arguments(function).next().map_or_else(|| "array".to_owned(), ToString::to_string);
        let error = Error::sql("UNNEST makes rows of an array: it stands in FROM, not in an expression").or_at(place);
        return Some(error.hint(format!("write FROM … CROSS JOIN UNNEST({array}) AS t (x), and x here")));
    }
    // what does not exist is told so
    if !function.within_group.is_empty() && registry.knows(upper) {
        let error = Error::sql(format!("{upper} … WITHIN GROUP is not supported")).or_at(place);
        return Some(error.hint("leave it out: values come in the order of the rows"));
    }
    if function.over.is_some() {
        return (clause != Clause::Other).then(|| {
            let clause = clause.name();
            Error::sql(format!("{upper} with OVER cannot be used in {clause}, which is computed before it"))
                .or_at(place)
                .hint(match upper {
                    "ROW_NUMBER" | "RANK" | "DENSE_RANK" => {
                        "write the condition as QUALIFY, or around (SELECT *, ROW_NUMBER() OVER (…) AS rn FROM …)"
                    }
                    _ => "compute it in a view or (SELECT …), and use its column",
                })
        });
    }
    if !registry.is_aggregate(upper) {
        return None;
    }
    if clause != Clause::Other {
        let error =
            Error::sql(format!("an aggregate cannot be used in {}, which is computed before it", clause.name()));
        return Some(error.or_at(place).hint(match clause {
            Clause::Where => "write the condition behind GROUP BY … as HAVING",
            _ => "compute it in a view or (SELECT …), and group by its column",
        }));
    }
    let inner = arguments(function).find_map(|argument| aggregate_in(argument, registry))?;
    Some(
        Error::sql(format!("{inner} stands inside {upper}: aggregates cannot be nested"))
            .or_at(place)
            .hint(format!("compute {inner} in a view or (SELECT …), and {upper} over its rows")),
    )
}

/// What is wrong with the arguments of a call, whatever their types are.
pub(super) fn wrong_arguments(function: &Function, upper: &str, place: Option<Span>) -> Option<Error> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let used = |error: Error| match functions::usage(upper) {
        Some(usage) => error.or_at(place).hint(format!("write {usage}")),
        None => error.or_at(place),
    };
    if upper == "COUNT" {
        let star = |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) && list.args.iter().any(star) {
            let error = Error::sql("COUNT(DISTINCT *) is not supported").or_at(place);
            return Some(error.hint("name the column whose values are counted: COUNT(DISTINCT column)"));
        }
        let error = || Error::sql("COUNT does not work without arguments").or_at(place);
        return list.args.is_empty().then(|| error().hint("write COUNT(*) for all rows, or COUNT(value)"));
    }
    let star = |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    if upper != "__TABLE_ARG" && list.args.iter().any(star) {
        return Some(used(Error::sql(format!("{upper} does not take *"))));
    }
    if ["TIMESTAMPADD", "TIMESTAMPDIFF"].contains(&upper)
        && let Some(unit @ Expr::Identifier(word)) = arguments(function).next()
    {
        return functions::check_unit(&word.value).err().map(|error| error.or_at(span_of(unit)));
    }
    if upper == "LAG"
        && let Some(offset) = arguments(function).nth(1)
        && !is_whole(offset)
    {
        let error =
            Error::sql(format!("the second argument of LAG must be a whole number from 0, and \"{offset}\" is none"));
        return Some(error.or_at(span_of(offset)).or_at(place).hint("write LAG(value, 1)"));
    }
    None
}

fn is_whole(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(n, _) if n.parse::<u64>().is_ok()),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => is_whole(expr),
        _ => false,
    }
}

/// The arguments that are values.
fn arguments(function: &Function) -> impl Iterator<Item = &Expr> {
    let list = match &function.args {
        FunctionArguments::List(list) => &list.args[..],
        _ => &[],
    };
    list.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

/// The name of an aggregate, but one with OVER, in an expression.
fn aggregate_in(expr: &Expr, registry: &Registry) -> Option<String> {
    let found = ast::visit_expressions(expr, |e| match e {
        Expr::Function(inner) if inner.over.is_none() => {
            let name = inner.name.to_string().replace('`', "");
            match registry.is_aggregate(&name) {
                true => ControlFlow::Break(name.to_uppercase()),
                false => ControlFlow::Continue(()),
            }
        }
        _ => ControlFlow::Continue(()),
    });
    found.break_value()
}
