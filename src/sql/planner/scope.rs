//! What an error needs to know of the query around it: names given in SELECT, tables of FROM, widths of UNION and VALUES.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableAlias, TableFactor,
    Values, Visit, Visitor, visit_relations,
};

use crate::error::{Error, Span};
use crate::sql::places::{from_parser, span_of};

/// The expression that SELECT gives a name to.
pub(super) fn alias_of<V: Visit>(name: &str, syntax: &V) -> Option<Expr> {
    select(syntax, |select| {
        select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value == name => Some(expr.clone()),
            _ => None,
        })
    })
}

/// Place of the second column of a SELECT with a name.
pub(super) fn second<V: Visit>(name: &str, syntax: &V) -> Option<Span> {
    select(syntax, |select| {
        let named = select.projection.iter().filter(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value == name,
            SelectItem::UnnamedExpr(Expr::Identifier(column)) => column.value == name,
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().is_some_and(|p| p.value == name),
            _ => false,
        });
        named.skip(1).find_map(span_of)
    })
}

/// Names that columns of the first FROM of several tables can be told apart with.
pub(super) fn tables<V: Visit>(syntax: &V) -> Vec<String> {
    let names = |select: &Select| Some(names_of(select)).filter(|names| names.len() > 1);
    select(syntax, names).unwrap_or_default()
}

fn names_of(select: &Select) -> Vec<String> {
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    factors
        .filter_map(|factor| match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                Some(alias.name.value.clone())
            }
            TableFactor::Table { name, .. } => name.0.last()?.as_ident().map(|ident| ident.value.clone()),
            _ => None,
        })
        .collect()
}

fn select<V: Visit, T>(syntax: &V, found: impl Fn(&Select) -> Option<T>) -> Option<T> {
    struct Looking<F>(F);
    impl<T, F: Fn(&Select) -> Option<T>> Visitor for Looking<F> {
        type Break = T;

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<T> {
            (self.0)(select).map_or(ControlFlow::Continue(()), ControlFlow::Break)
        }
    }
    syntax.visit(&mut Looking(found)).break_value()
}

fn body<V: Visit, T>(syntax: &V, found: impl Fn(&SetExpr) -> Option<T>) -> Option<T> {
    struct Looking<F>(F);
    impl<T, F: Fn(&SetExpr) -> Option<T>> Visitor for Looking<F> {
        type Break = T;

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<T> {
            (self.0)(&query.body).map_or(ControlFlow::Continue(()), ControlFlow::Break)
        }
    }
    syntax.visit(&mut Looking(found)).break_value()
}

/// Columns of a query, where `*` does not hide how many there are.
fn width(body: &SetExpr) -> Option<usize> {
    match body {
        SetExpr::Select(select) => {
            let listed =
                |item: &&SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            (select.projection.iter().filter(listed).count() == select.projection.len())
                .then_some(select.projection.len())
        }
        SetExpr::SetOperation { left, .. } => width(left),
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        SetExpr::Query(query) => width(&query.body),
        _ => None,
    }
}

/// The columns of a query as one place.
fn columns(body: &SetExpr) -> Option<Span> {
    match body {
        SetExpr::Select(select) => {
            let (first, last) = (select.projection.first()?, select.projection.last()?);
            span_of(first).zip(span_of(last)).map(|(first, last)| first.to(last))
        }
        other => from_parser(other.span()),
    }
}

/// The sides of a UNION that do not fit in their number of columns.
pub(super) fn of_union<V: Visit>(syntax: &V) -> Error {
    fn uneven(body: &SetExpr) -> Option<(usize, usize, Option<Span>)> {
        let SetExpr::SetOperation { left, right, .. } = body else { return None };
        uneven(left).or_else(|| uneven(right)).or_else(|| {
            let (one, other) = (width(left)?, width(right)?);
            (one != other).then(|| (one, other, columns(right)))
        })
    }
    let hint = "give both the same columns; CAST(NULL AS type) stands for one that is not there";
    match body(syntax, uneven) {
        Some((one, other, place)) => {
            Error::sql(format!("the sides of UNION ALL have {one} and {other} columns")).or_at(place).hint(hint)
        }
        None => Error::sql("the sides of UNION ALL have different numbers of columns").hint(hint),
    }
}

/// A name of `WITH` that is used where it is not known: in its own query, or before it.
pub(super) fn of_with<V: Visit>(name: &str, syntax: &V) -> Option<Error> {
    struct Declared<'a>(&'a str);
    impl Visitor for Declared<'_> {
        type Break = bool;

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<bool> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            let named = tables.into_iter().find(|table| table.alias.name.value == self.0);
            named.map_or(ControlFlow::Continue(()), |table| ControlFlow::Break(reads(self.0, &table.query)))
        }
    }
    let bare = name.rsplit('.').next().unwrap_or(name);
    Some(match syntax.visit(&mut Declared(bare)).break_value()? {
        true => recursive(&format!("\"{bare}\" of WITH"), bare),
        false => Error::sql(format!("\"{bare}\" is declared behind the place that reads it"))
            .hint("in WITH a query reads those before it: write it first"),
    })
}

/// What reads itself.
pub(crate) fn recursive(what: &str, name: &str) -> Error {
    Error::sql(format!("{what} reads itself, and recursion is not supported"))
        .hint(format!("read from another table than \"{name}\", or give one of them another name"))
}

/// Whether a query reads a table of that name.
pub(crate) fn reads<V: Visit>(name: &str, syntax: &V) -> bool {
    visit_relations(syntax, |table| match &table.0[..] {
        [only] if only.as_ident().is_some_and(|ident| ident.value == name) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// Names and aliases of all tables of the first FROM.
pub(super) fn all_tables<V: Visit>(syntax: &V) -> Vec<String> {
    select(syntax, |select| Some(names_of(select)).filter(|names| !names.is_empty())).unwrap_or_default()
}

/// Place of `name.*` in SELECT.
pub(super) fn qualified_star<V: Visit>(name: &str, syntax: &V) -> Option<Span> {
    select(syntax, |select| {
        select.projection.iter().find_map(|item| match item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                (of.to_string() == name).then(|| span_of(of)).flatten()
            }
            _ => None,
        })
    })
}

/// An alias with other columns than the rows it names have: `has` and `named` are the numbers of both.
pub(super) fn of_alias<V: Visit>(syntax: &V, has: &str, named: &str) -> Error {
    struct Aliases<'a>(&'a str);
    impl Visitor for Aliases<'_> {
        type Break = (String, Option<Span>);

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            tables
                .into_iter()
                .find_map(|table| self.found(&table.alias))
                .map_or(ControlFlow::Continue(()), ControlFlow::Break)
        }

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
            let alias = match factor {
                TableFactor::Table { alias, .. }
                | TableFactor::Derived { alias, .. }
                | TableFactor::TableFunction { alias, .. } => alias.as_ref(),
                _ => None,
            };
            alias.and_then(|alias| self.found(alias)).map_or(ControlFlow::Continue(()), ControlFlow::Break)
        }
    }
    impl Aliases<'_> {
        fn found(&self, alias: &TableAlias) -> Option<(String, Option<Span>)> {
            (alias.columns.len().to_string() == self.0)
                .then(|| (alias.name.value.clone(), from_parser(alias.name.span)))
        }
    }
    let (name, place) = syntax.visit(&mut Aliases(named)).break_value().unwrap_or_default();
    let columns = |n: &str| format!("{n} column{}", if n == "1" { "" } else { "s" });
    Error::sql(format!("\"{name}\" names {}, its rows have {has}", columns(named)))
        .or_at(place)
        .hint("name every column, or none")
}

/// What is wrong with rows of VALUES that have another number of values than the first.
pub(super) fn uneven(values: &Values) -> Option<Error> {
    let wanted = values.rows.first()?.content.len();
    let row = values.rows.iter().find(|row| row.content.len() != wanted)?;
    let place = row.content.first().zip(row.content.last());
    let place = place.and_then(|(first, last)| Some(span_of(first)?.to(span_of(last)?)));
    let given = row.content.len();
    let count = if given == 1 { "value" } else { "values" };
    let error = Error::sql(format!("a row of VALUES has {given} {count}, the first has {wanted}")).or_at(place);
    Some(error.hint("write NULL for a value that is not there"))
}
