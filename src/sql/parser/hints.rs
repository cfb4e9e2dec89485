//! Hints: `/*+ OPTIONS('key' = 'value', …) */` behind a table's name changes that one reference; hints behind
//! `SELECT` choose ways of computing the same rows, of which there is one here.
//!
//! sqlparser passes over the token of a hint. Which table it stands behind is found by places, and its options
//! become `with_hints` of that table in the AST, each a comparison of two texts. Of a name that `WITH` declares they have no
//! effect, as in Flink.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, TableFactor, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Whitespace};

use super::ast::{OptionList, Spanned};
use super::cursor::{Cursor, is_keyword};
use super::ddl;
use super::lexer::{self, span_of};
use crate::error::{Error, Result, Span};

/// What stands between `/*+` and `*/`, if the token is a hint.
fn inside(token: &Token) -> Option<&str> {
    match token {
        Token::Whitespace(Whitespace::MultiLineComment(text)) => Some(text),
        _ => None,
    }
}

/// The options of the hint at the cursor; empty if there is none.
pub(super) fn take_options(cursor: &mut Cursor<'_>) -> Result<OptionList> {
    let mut options = OptionList::new();
    while let Some(text) = cursor.peek().and_then(inside) {
        options.extend(read(text, cursor.span())?);
        cursor.advance();
    }
    Ok(options)
}

/// Puts the options of hints to the tables they stand behind; `tokens` are those of the query.
pub(super) fn attach(query: &mut Query, tokens: &[TokenWithSpan]) -> Result<()> {
    let mut behind = BTreeMap::new();
    for (i, token) in tokens.iter().enumerate() {
        let Some(text) = inside(&token.token) else { continue };
        let options = read(text, span_of(token))?;
        let before = i.checked_sub(1).and_then(|before| tokens.get(before));
        match before {
            Some(before) if is_keyword(&before.token, "SELECT") => {}
            Some(before) => {
                behind.insert(before.span.end, (span_of(token), options));
            }
            None => return Err(misplaced(span_of(token))),
        }
    }
    if behind.is_empty() {
        return Ok(());
    }
    let mut attaching = Attaching { behind };
    let ControlFlow::Continue(()) = query.visit(&mut attaching);
    match attaching.behind.into_values().next() {
        Some((span, _)) => Err(misplaced(span)),
        None => Ok(()),
    }
}

fn misplaced(span: Span) -> Error {
    Error::sql("a hint cannot stand here")
        .at(span)
        .hint("write OPTIONS(…) directly behind the name of a table, before its alias, and other hints behind SELECT")
}

struct Attaching {
    /// Options by the place where the token before them ends.
    behind: BTreeMap<Location, (Span, OptionList)>,
}

impl VisitorMut for Attaching {
    type Break = std::convert::Infallible;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, with_hints, args: None, .. } = factor
            && let Some(last) = name.0.last().and_then(|part| part.as_ident())
            && let Some((_, options)) = self.behind.remove(&last.span.end)
        {
            let text = |text: Spanned<String>| Box::new(Expr::value(Value::SingleQuotedString(text.value)));
            let option = |(key, value)| Expr::BinaryOp { left: text(key), op: BinaryOperator::Eq, right: text(value) };
            with_hints.extend(options.into_iter().map(option));
        }
        ControlFlow::Continue(())
    }
}

/// The options of a table's hints, as [`attach`] has put them there.
pub(crate) fn options_of(with_hints: &[Expr], span: Span) -> OptionList {
    let text = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(Spanned::new(text.clone(), span)),
            _ => None,
        },
        _ => None,
    };
    let option = |hint: &Expr| match hint {
        Expr::BinaryOp { left, right, .. } => text(left).zip(text(right)),
        _ => None,
    };
    with_hints.iter().filter_map(option).collect()
}

/// Hints of Flink that choose a way to the same rows.
const NEUTRAL: [&str; 8] =
    ["BROADCAST", "LOOKUP", "MULTI_JOIN", "NEST_LOOP", "NO_BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "STATE_TTL"];

/// `NAME[(argument, …)] …`: the arguments of `OPTIONS`; those of [`NEUTRAL`] are passed over.
fn read(text: &str, span: Span) -> Result<OptionList> {
    let wrong = |error: Error| {
        let plain = Error::sql(format!("the hint cannot be read: {}", error.message())).at(span);
        plain.hint("write /*+ OPTIONS('key' = 'value', …) */")
    };
    let lexed = lexer::tokenize(text);
    if let Some((_, error)) = lexed.errors.into_iter().next() {
        return Err(wrong(error));
    }
    let mut cursor = Cursor::new(text, &lexed.tokens, &lexed.bytes);
    let mut options = OptionList::new();
    while !cursor.is_done() {
        let name = cursor.name("the name of a hint").map_err(wrong)?;
        let table_options = name.value.eq_ignore_ascii_case("OPTIONS");
        if !table_options && !NEUTRAL.iter().any(|known| known.eq_ignore_ascii_case(&name.value)) {
            let known = NEUTRAL.iter().copied().chain(["OPTIONS"]);
            return Err(Error::sql(format!("unknown hint \"{}\"", name.value)).at(span).nearest(&name.value, known));
        }
        if !table_options {
            skip_arguments(&mut cursor).map_err(wrong)?;
        } else {
            cursor.expect(&Token::LParen).map_err(wrong)?;
            loop {
                let (key, value) = option(&mut cursor).map_err(wrong)?;
                if value.contains("${") {
                    return Err(lexer::variable_outside_options().at(span));
                }
                options.push((Spanned::new(key, span), Spanned::new(value, span)));
                if !cursor.take(&Token::Comma) {
                    break;
                }
            }
            cursor.expect(&Token::RParen).map_err(wrong)?;
        }
        cursor.take(&Token::Comma);
    }
    Ok(options)
}

fn option(cursor: &mut Cursor<'_>) -> Result<(String, String)> {
    let key = ddl::option_name(cursor)?;
    cursor.expect(&Token::Eq)?;
    Ok((key.value, cursor.string("the value in single quotes")?.value))
}

fn skip_arguments(cursor: &mut Cursor<'_>) -> Result<()> {
    if !cursor.take(&Token::LParen) {
        return Ok(());
    }
    let mut depth = 1usize;
    while depth > 0 {
        match cursor.peek() {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth -= 1,
            Some(_) => {}
            None => return Err(cursor.expected("\")\"")),
        }
        cursor.advance();
    }
    Ok(())
}
