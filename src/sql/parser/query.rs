//! The bridge to sqlparser: queries and expressions out of the tokens of a statement.
//!
//! What sqlparser reads but Flink does not have is refused here, and the default catalog is cut off table
//! names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Value,
    visit_expressions_mut, visit_relations_mut,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span as TokenSpan, Token};

use super::ast::script_span;
use super::cursor::Cursor;
use super::dialect::{FlinkDialect, TABLE_ARGUMENT};
use super::{hints, names, rows, slips};
use crate::error::{Error, Result};
use crate::limits;

/// Calls of sqlparser's recursive methods inside each other; a parenthesis needs up to four.
const RECURSION_MAX: usize = 4 * limits::SQL_DEPTH_MAX + 50;

/// Reads a query from the cursor to the end of its tokens.
pub(super) fn parse_query(cursor: &mut Cursor<'_>) -> Result<Box<Query>> {
    if !["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.at_keyword(word)) && cursor.peek() != Some(&Token::LParen)
    {
        let error = cursor.expected("SELECT, WITH or VALUES");
        return Err(if cursor.at_keyword("TABLE") { error.hint("write SELECT * FROM t") } else { error });
    }
    let start = cursor.index();
    let tokens = cursor.rest();
    let mut query = parse_rest(cursor, |parser| parser.parse_query())?;
    hints::attach(&mut query, tokens)?;
    let mut error = None;
    let relations = visit_relations_mut(&mut query, |name| keep_first(localize(name), &mut error));
    let expressions = visit_expressions_mut(&mut query, |expr| keep_first(check_expr(expr), &mut error));
    match (relations, expressions, error) {
        (.., Some(error)) => Err(error.or_at(Some(cursor.span_from(start)))),
        _ => Ok(query),
    }
}

/// Reads an expression that takes all tokens of the cursor.
pub(super) fn parse_expr(cursor: &mut Cursor<'_>) -> Result<Expr> {
    let mut expr = parse_rest(cursor, |parser| parser.parse_expr())?;
    let mut error = None;
    match (visit_expressions_mut(&mut expr, |expr| keep_first(check_expr(expr), &mut error)), error) {
        (_, Some(error)) => Err(error),
        _ => Ok(expr),
    }
}

fn keep_first(result: Result<()>, error: &mut Option<Error>) -> ControlFlow<()> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(e) => {
            *error = Some(e);
            ControlFlow::Break(())
        }
    }
}

fn parse_rest<T>(cursor: &mut Cursor<'_>, parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T> {
    let dialect = FlinkDialect::new(rows::in_parentheses(cursor.rest()));
    match run(&dialect, parse) {
        Ok(parsed) => {
            cursor.seek(cursor.end());
            Ok(parsed)
        }
        Err(error) => Err(subquery_error(cursor)
            .or_else(|| dialect.take_error())
            .unwrap_or_else(|| slips::translate(&error, cursor))),
    }
}

/// The mistake of the innermost subquery that has one: sqlparser tries other readings of a parenthesis it
/// cannot read as a subquery, and then names the last of them.
fn subquery_error(cursor: &Cursor<'_>) -> Option<Error> {
    let mut open = Vec::new();
    for (index, token) in cursor.statement().iter().enumerate().take(cursor.end()).skip(cursor.index()) {
        match token.token {
            Token::LParen => open.push(index + 1),
            Token::RParen => {
                let start = open.pop()?;
                let mut inner = cursor.slice(start, index);
                if inner.at_keyword("SELECT") || inner.at_keyword("WITH") {
                    let error = parse_alone(&mut inner).err();
                    if error.is_some() {
                        return error;
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Reads a query whose own subqueries are known to be right.
fn parse_alone(cursor: &mut Cursor<'_>) -> Result<()> {
    let dialect = FlinkDialect::new(rows::in_parentheses(cursor.rest()));
    run(&dialect, |parser| parser.parse_query())
        .map(|_| ())
        .map_err(|error| dialect.take_error().unwrap_or_else(|| slips::translate(&error, cursor)))
}

/// Reads all tokens of the dialect.
fn run<T>(
    dialect: &FlinkDialect,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, ParserError> {
    let tokens = dialect.tokens().to_vec();
    let mut parser = Parser::new(dialect).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens);
    let parsed = parse(&mut parser)?;
    match parser.peek_token_ref().token {
        Token::EOF => Ok(parsed),
        _ => parser.expected("end of statement", parser.peek_token()),
    }
}

/// Cuts the default catalog off a table's name.
fn localize(name: &mut ObjectName) -> Result<()> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    if texts.len() < 3 || texts.len() != name.0.len() {
        return Ok(());
    }
    names::local(&texts).map_err(|e| e.or_at(script_span(span_of_parts(parts))))?;
    name.0.remove(0);
    Ok(())
}

fn check_expr(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
            Err(Error::sql(format!("expected an expression, found \"{}\"", value.value)).or_at(script_span(value.span)))
        }
        Expr::Function(function) if function.name.to_string() == TABLE_ARGUMENT => localize_argument(expr),
        _ => Ok(()),
    }
}

/// Cuts the default catalog off `__table_arg(catalog.database.t)`.
fn localize_argument(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(table))) = list.args.first_mut() else { return Ok(()) };
    let Expr::CompoundIdentifier(parts) = table else { return Ok(()) };
    let span = script_span(span_of_parts(parts.iter()));
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    names::local(&texts).map_err(|error| error.or_at(span))?;
    if parts.len() == 3 {
        parts.remove(0);
    }
    Ok(())
}

fn span_of_parts<'a>(parts: impl IntoIterator<Item = &'a Ident>) -> TokenSpan {
    parts.into_iter().fold(TokenSpan::empty(), |span, part| span.union(&part.span))
}
