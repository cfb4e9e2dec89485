//! DataFusion's errors in the words of someone who writes Flink SQL, with their place in the script.

use std::ops::ControlFlow;

use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit, visit_expressions};

use crate::error::{Error, Span};
use crate::sql::places::{from_lines, span_of};
use crate::sql::planner::locate::Piece;
use crate::sql::planner::refuse::TableArguments;
use crate::sql::planner::scope;
use crate::sql::planner::wording::{in_sql_types, of_types};

/// The error as one of ours. `syntax` is what was planned: places that DataFusion forgot are looked up in it.
/// `piece` is the part of it that the error is about.
pub(crate) fn translate<V: Visit + Spanned>(
    error: &DataFusionError,
    tables: &[&str],
    piece: Option<&Piece>,
    syntax: &V,
) -> Error {
    let (error, given) = unwrap(error);
    // a piece without a column of that name only holds what misses it
    let missing = match error {
        DataFusionError::SchemaError(missing, _) => match missing.as_ref() {
            SchemaError::FieldNotFound { field, .. } => match piece {
                Some(piece) if column_place(&field.name, &piece.expr).is_none() => column_place(&field.name, syntax),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let place = missing.or_else(|| piece.and_then(|piece| span_of(&piece.expr))).or(given);
    let whole = || span_of(syntax);
    if let Some(own) = ours(error) {
        if own.message().contains("does not take (")
            && let Some(told) = piece.and_then(|piece| of_types(piece, own.message()))
        {
            return told.or_at(own.span()).or_at(place).or_at(whole());
        }
        return own.clone().or_at(place).or_at(whole());
    }
    if !matches!(error, DataFusionError::SchemaError(..))
        && let Some(told) = piece.and_then(|piece| about_types(&error.strip_backtrace(), piece))
    {
        return told.or_at(place).or_at(whole());
    }
    match error {
        DataFusionError::SchemaError(schema, _) => schema_error(schema, place, syntax),
        DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => {
            let error = plan_error(text, place, tables, syntax).or_at(whole());
            if is_dump(error.message()) { in_words(error.message(), piece).or_at(error.span()) } else { error }
        }
        DataFusionError::ArrowError(e, _) => of_cast(&e.to_string())
            .unwrap_or_else(|| in_words(&clean(&e.to_string()), piece))
            .or_at(place)
            .or_at(whole()),
        other => in_words(&clean(&other.strip_backtrace()), piece).or_at(place).or_at(whole()),
    }
}

/// A constant that does not become a value of the type another place asks for.
fn of_cast(text: &str) -> Option<Error> {
    let (value, to) = between(text, "Cannot cast string '", "'").zip(between(text, "to value of ", " type"))?;
    Some(
        Error::sql(format!("\"{value}\" cannot be converted to {}", in_sql_types(to)))
            .hint("write a value of that type, or CAST(… AS type)"),
    )
}

/// Whether a text holds a tree of the parser's or the planner's, which says nothing to a reader of SQL.
pub(crate) fn is_dump(text: &str) -> bool {
    ["unsupported ast node", "Ident {", "Expr::", "LogicalPlan", " { ", "logical expression"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// The text, unless it holds a tree: then what the tree stands for, as it was written.
fn in_words(text: &str, piece: Option<&Piece>) -> Error {
    match piece {
        _ if !is_dump(text) => Error::sql(text),
        Some(piece) => Error::sql(format!("this form of expression is not supported: \"{}\"", piece.expr)),
        None => Error::sql("this query has a form that is not supported"),
    }
}

/// What an error about types says, where the piece tells which these are.
fn about_types(text: &str, piece: &Piece) -> Option<Error> {
    let says = |word: &&str| text.contains(*word);
    [
        "coerce",
        "oercion",
        "non-boolean",
        "common argument types",
        "Cannot infer",
        "compatible",
        "compound identifier",
        "nary operator",
        "signature",
        "does not support",
        "argument",
        "common type",
    ]
    .iter()
    .any(says)
    .then(|| of_types(piece, text))
    .flatten()
}

/// An error of ours that went through DataFusion.
pub(crate) fn ours(error: &DataFusionError) -> Option<&Error> {
    match error {
        DataFusionError::External(e) => e.downcast_ref(),
        DataFusionError::Context(_, e) | DataFusionError::Diagnostic(_, e) => ours(e),
        DataFusionError::Collection(all) => all.iter().find_map(ours),
        _ => None,
    }
}

/// The innermost error, and the first place given on the way.
fn unwrap(error: &DataFusionError) -> (&DataFusionError, Option<Span>) {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let here = diagnostic.span.and_then(|s| from_lines(s.start.line, s.start.column, s.end.line, s.end.column));
            let (innermost, place) = unwrap(inner);
            (innermost, place.or(here))
        }
        DataFusionError::Context(_, inner) => unwrap(inner),
        DataFusionError::Shared(inner) => unwrap(inner),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => unwrap(first),
            None => (error, None),
        },
        other => (other, None),
    }
}

fn schema_error<V: Visit + Spanned>(error: &SchemaError, place: Option<Span>, syntax: &V) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let place = place.or_else(|| column_place(&field.name, syntax));
            let error = column_not_found(field, valid_fields);
            let own = |expr: &ast::Expr| column_place(&field.name, expr).is_some();
            let error = match scope::alias_of(&field.name, syntax) {
                Some(expr) if field.relation.is_none() && !own(&expr) => error.hint(format!(
                    "\"{}\" is a name given in SELECT, which is computed later: write {expr} here, or filter in an outer SELECT",
                    field.name
                )),
                _ => error,
            };
            error.or_at(place).or_at(span_of(syntax))
        }
        SchemaError::AmbiguousReference { field } => {
            let place = place.or_else(|| column_place(&field.name, syntax));
            Error::sql(format!("column \"{}\" is ambiguous", field.name))
                .hint(match &scope::tables(syntax)[..] {
                    [one, other, ..] => format!("say which one: {one}.{0} or {other}.{0}", field.name),
                    _ => format!("say which one: table.{}", field.name),
                })
                .or_at(place)
                .or_at(span_of(syntax))
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            let place = place.or_else(|| column_place(name, syntax));
            duplicate(name).or_at(place).or_at(span_of(syntax))
        }
    }
}

/// A name that two columns have.
pub(crate) fn duplicate(name: &str) -> Error {
    Error::sql(format!("column \"{name}\" appears twice")).hint(format!("name one of them: {name} AS {name}_2"))
}

fn column_not_found(field: &Column, valid: &[Column]) -> Error {
    let mut relations: Vec<String> =
        valid.iter().filter_map(|c| c.relation.as_ref()).map(|r| r.table().to_owned()).collect();
    relations.dedup();
    if let Some(relation) = &field.relation {
        if !relations.is_empty() && !relations.iter().any(|r| r == relation.table()) {
            return Error::sql(format!("table or alias \"{relation}\" not found in FROM"))
                .nearest(relation.table(), relations.iter().map(String::as_str));
        }
        relations.retain(|r| r == relation.table());
    }
    let names = || valid.iter().map(|c| c.name.as_str());
    let message = match &relations[..] {
        [one] => format!("column \"{}\" not found in table \"{one}\"", field.name),
        _ => format!("column \"{}\" not found", field.name),
    };
    let error = Error::sql(message);
    let listed: Vec<&str> = names().collect();
    match crate::error::nearest(&field.name, listed.iter().copied()) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None if listed.is_empty() => error.hint("there is no FROM here: write SELECT … FROM table"),
        None => error.hint(format!("columns: {}", listed.join(", "))),
    }
}

/// A table that is not there, with the nearest, or with all if these are few.
pub(crate) fn unknown_table<'a>(name: &str, bare: &str, tables: impl Iterator<Item = &'a str>) -> Error {
    const LISTED_MAX: usize = 8;
    let tables: Vec<&str> = tables.collect();
    let error = Error::sql(format!("table or view \"{name}\" not found")).missing(name);
    match crate::error::nearest(bare, tables.iter().copied()) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None if (1..=LISTED_MAX).contains(&tables.len()) => error.hint(format!("declared: {}", tables.join(", "))),
        None => error,
    }
}

/// What is wrong with the form of a query, rather than with its columns or types.
fn statement_error<V: Visit + Spanned>(text: &str, place: Option<Span>, syntax: &V) -> Option<Error> {
    // a `*` hides how many columns a side has: only DataFusion has counted them
    if text.contains("different number of columns") {
        return Some(scope::of_union(syntax).or_at(place));
    }
    if let Some((has, named)) =
        between(text, "Source table contains ", " columns").zip(between(text, "but only ", " names"))
    {
        return Some(scope::of_alias(syntax, has, named).or_at(place));
    }
    if let Some(name) = between(text, "Invalid qualifier ", "\n")
        .or_else(|| text.split_once("Invalid qualifier ").map(|(_, name)| name))
    {
        let tables = scope::all_tables(syntax);
        let error = Error::sql(format!("table or alias \"{}\" not found in FROM", name.trim()));
        return Some(
            error
                .or_at(scope::qualified_star(name.trim(), syntax))
                .or_at(place)
                .hint(format!("FROM has {}", tables.join(", ")))
                .nearest(name.trim(), tables.iter().map(String::as_str)),
        );
    }
    None
}

fn plan_error<V: Visit + Spanned>(text: &str, place: Option<Span>, tables: &[&str], syntax: &V) -> Error {
    if let Some(name) = between(text, "table '", "' not found") {
        if let Some(error) = scope::of_with(name, syntax) {
            return error.or_at(place);
        }
        let in_ledger = name.starts_with("ledger.");
        if in_ledger && !tables.iter().any(|table| table.starts_with("ledger.")) {
            return Error::sql(format!("a job cannot read its ledger: \"{name}\""))
                .hint(format!("the ledger is read with \"streamer sql -f FILE -c 'SELECT * FROM {name}'\""))
                .or_at(place);
        }
        let bare = if in_ledger { name } else { name.rsplit('.').next().unwrap_or(name) };
        return unknown_table(name, bare, tables.iter().copied()).or_at(argument_place(bare, syntax)).or_at(place);
    }
    if let Some(error) = statement_error(text, place, syntax) {
        return error;
    }
    // which columns an expression with `*`, names of SELECT and places of GROUP BY means, only DataFusion has found out
    if text.contains("must appear in the GROUP BY clause") || text.contains("must be in GROUP BY") {
        let name =
            between(text, "column \"", "\"").or_else(|| between(text, "select list: Column '", "'")).unwrap_or("");
        let name = name.rsplit('.').next().unwrap_or(name);
        let place = place.or_else(|| column_place(name, syntax));
        return Error::sql(format!("column \"{name}\" is neither in GROUP BY nor inside an aggregate"))
            .hint(format!("add {name} to GROUP BY, or write MAX({name})"))
            .or_at(place);
    }
    // columns that a `*` stands for may repeat a name: only DataFusion has seen them all
    if text.contains("require unique expression names")
        && let Some(name) = between(text, "the expression \"", "\" at position")
    {
        let name = name.rsplit(['.', ' ']).next().unwrap_or(name);
        return duplicate(name).or_at(scope::second(name, syntax)).or_at(place.or_else(|| column_place(name, syntax)));
    }
    if let Some((told, _)) = text
        .split_once("coercion failed with: External error: ")
        .and_then(|(_, rest)| rest.split_once(" No function matches"))
        && let Some((message, usage)) = told.trim_end_matches('.').split_once(" (write ")
    {
        // one of our functions, told by DataFusion
        let message = message.trim_start_matches("function ").replace('"', "");
        let error = Error::sql(in_sql_types(&message)).or_at(place);
        return error.hint(format!("write {}", usage.strip_suffix(')').unwrap_or(usage)));
    }
    let place = place.or_else(|| call_place(text, syntax));
    let function = between(text, "call to '", "'")
        .or_else(|| between(text, "function '", "'"))
        .or_else(|| between(text, "for function ", " "));
    if let Some(function) = function
        && (text.contains("coerce") || text.contains("match") || text.contains("argument"))
    {
        let name = function.to_uppercase();
        return Error::sql(format!("{name} does not take these arguments")).detail(clean(text)).or_at(place);
    }
    if text.contains("common argument types")
        || text.contains("Cannot coerce")
        || text.contains("Cannot infer")
        || text.contains("are not compatible")
    {
        return Error::sql("these types do not go together")
            .detail(clean(text))
            .hint("convert one side with CAST(… AS type)")
            .or_at(place);
    }
    Error::sql(clean(text)).or_at(place)
}

/// DataFusion's text without its prefixes, first line only.
fn clean(text: &str) -> String {
    let mut text = text;
    loop {
        let before = text;
        for prefix in [
            "Error during planning: ",
            "This feature is not implemented: ",
            "type_coercion\ncaused by\n",
            "type_coercion",
            "Execution error: ",
            "Invalid argument error: ",
            "Optimizer rule 'simplify_expressions' failed\ncaused by\n",
            "caused by\n",
            "\n",
        ] {
            text = text.strip_prefix(prefix).unwrap_or(text);
        }
        if text == before {
            break;
        }
    }
    let line = text.lines().next().unwrap_or(text).trim().trim_end_matches('.');
    let mut chars = line.chars();
    let lower = match chars.next() {
        Some(first) if !line.chars().nth(1).is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => line.to_owned(),
    };
    in_sql_types(&lower)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

/// First place where a table of that name is given to a window function.
fn argument_place<V: Visit>(name: &str, syntax: &V) -> Option<Span> {
    let mut arguments = TableArguments(Vec::new());
    let ControlFlow::Continue(()) = syntax.visit(&mut arguments);
    let last =
        |table: &&ast::ObjectName| table.0.last().and_then(|part| part.as_ident()).is_some_and(|i| i.value == name);
    arguments.0.iter().find(last).and_then(span_of)
}

/// First place where a column of that name is used.
pub(crate) fn column_place<V: Visit>(name: &str, syntax: &V) -> Option<Span> {
    let found = visit_expressions(syntax, |expr| {
        let ident = match expr {
            ast::Expr::Identifier(ident) => Some(ident),
            ast::Expr::CompoundIdentifier(idents) => idents.last(),
            _ => None,
        };
        match ident {
            Some(ident) if ident.value == name => ControlFlow::Break(span_of(expr)),
            _ => ControlFlow::Continue(()),
        }
    });
    found.break_value().flatten()
}

/// First place where a function named in `text` is called.
fn call_place<V: Visit>(text: &str, syntax: &V) -> Option<Span> {
    let text = text.to_lowercase();
    let found = visit_expressions(syntax, |expr| {
        let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function.name.to_string().to_lowercase();
        let forms = [format!("'{name}'"), format!("{name}("), format!("function {name} ")];
        if forms.iter().any(|form| text.contains(form)) {
            return ControlFlow::Break(span_of(function));
        }
        ControlFlow::Continue(())
    });
    found.break_value().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datafusion_prefixes_go() {
        assert_eq!(clean("type_coercion\ncaused by\nError during planning: Cannot coerce x.\nmore"), "cannot coerce x");
        assert_eq!(clean("INTERVAL is odd"), "INTERVAL is odd");
    }

    #[test]
    fn a_missing_column_names_its_table_and_the_nearest() {
        let valid = [Column::new(Some("readings"), "temperature"), Column::new(Some("readings"), "id")];
        let error = column_not_found(&Column::new_unqualified("temprature"), &valid);
        assert_eq!(error.message(), "column \"temprature\" not found in table \"readings\"");
        assert_eq!(error.hint_text(), Some("did you mean \"temperature\"?"));
        let error = column_not_found(&Column::new(Some("r"), "id"), &valid);
        assert_eq!(error.message(), "table or alias \"r\" not found in FROM");
    }
}
