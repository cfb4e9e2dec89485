//! The syntax of JSON functions, read as calls with plain arguments in the order their entries in `functions` name:
//!
//! | in the script | in the AST |
//! |---|---|
//! | `JSON_VALUE(d, p RETURNING INT DEFAULT 1 ON EMPTY)` | `json_value(d, p, 'DEFAULT', 1, 'NULL', NULL, CAST(NULL AS INT))` |
//! | `JSON_QUERY(d, p WITH WRAPPER)` | `json_query(d, p, 'UNCONDITIONAL', 'NULL', 'NULL', CAST(NULL AS STRING))` |
//! | `JSON_EXISTS(d, p TRUE ON ERROR)` | `json_exists(d, p, 'TRUE')` |
//! | `JSON_OBJECT(KEY k VALUE v, k : JSON_ARRAY(1))` | `json_object('NULL:vr', k, v, k, json_array(…))` |
//! | `JSON_ARRAYAGG(v NULL ON NULL)` | `json_arrayagg('NULL:v', v)` |
//! | `x IS NOT JSON ARRAY` | `NOT __is_json(x, 'ARRAY')` |

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArguments, Ident, ObjectName, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::dialect::{FlinkDialect, call, word_at};
use crate::functions::check_json_path;
use crate::sql::parser::ast::script_span;

type Parsed<T> = Result<T, ParserError>;

/// What reads the inside of the parentheses of a function, by name.
type Reader = fn(&FlinkDialect, &mut Parser<'_>) -> Parsed<Vec<Expr>>;

const READERS: [(&str, Reader); 7] = [
    ("JSON_VALUE", value),
    ("JSON_QUERY", query),
    ("JSON_EXISTS", exists),
    ("JSON_OBJECT", |_, parser| members(parser, "NULL", false)),
    ("JSON_OBJECTAGG", |_, parser| members(parser, "NULL", true)),
    ("JSON_ARRAY", |_, parser| elements(parser, false)),
    ("JSON_ARRAYAGG", |_, parser| elements(parser, true)),
];

/// Whether the next tokens call one of the functions of this file.
pub(super) fn at_call(parser: &Parser<'_>) -> bool {
    parser.peek_nth_token_ref(1).token == Token::LParen && READERS.iter().any(|(name, _)| word_at(parser, 0, name))
}

/// Reads the call at the parser.
pub(super) fn function(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Expr> {
    let Some((name, read)) = READERS.iter().find(|(name, _)| word_at(parser, 0, name)) else {
        return parser.expected("a JSON function", parser.peek_token());
    };
    let span = parser.next_token().span;
    parser.expect_token(&Token::LParen)?;
    let arguments = read(dialect, parser)?;
    parser.expect_token(&Token::RParen)?;
    let mut expr = call(&name.to_lowercase(), span, arguments);
    if let Expr::Function(function) = &mut expr
        && name.ends_with("AGG")
        && take(parser, &["FILTER"])
    {
        parser.expect_token(&Token::LParen)?;
        expect(parser, &["WHERE"])?;
        function.filter = Some(Box::new(parser.parse_expr()?));
        parser.expect_token(&Token::RParen)?;
    }
    Ok(expr)
}

/// Reads `IS [NOT] JSON [VALUE | SCALAR | ARRAY | OBJECT]` behind an expression, if it stands there.
pub(super) fn predicate(parser: &mut Parser<'_>, expr: &Expr) -> Option<Parsed<Expr>> {
    let negated = word_at(parser, 1, "NOT");
    if !word_at(parser, 0, "IS") || !word_at(parser, 1 + usize::from(negated), "JSON") {
        return None;
    }
    let span = parser.next_token().span;
    if negated {
        parser.next_token();
    }
    parser.next_token();
    let kinds = ["VALUE", "SCALAR", "ARRAY", "OBJECT"];
    let kind = kinds.into_iter().find(|kind| take(parser, &[kind])).unwrap_or("VALUE");
    let test = call("__is_json", span, vec![expr.clone(), text(kind)]);
    Some(Ok(match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(test) },
        false => test,
    }))
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// The next tokens are these words, and are read.
fn take(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let there = words.iter().enumerate().all(|(ahead, word)| word_at(parser, ahead, word));
    if there {
        words.iter().for_each(|_| drop(parser.next_token()));
    }
    there
}

fn expect(parser: &mut Parser<'_>, words: &[&str]) -> Parsed<()> {
    match take(parser, words) {
        true => Ok(()),
        false => parser.expected(&words.join(" "), parser.peek_token()),
    }
}

/// The document, and the path, whose mistakes are known at once if it is written out.
fn document_and_path(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Vec<Expr>> {
    let document = parser.parse_expr()?;
    parser.expect_token(&Token::Comma)?;
    let token = parser.peek_token();
    if let Token::SingleQuotedString(path) = &token.token
        && let Err(error) = check_json_path(path)
    {
        return Err(dialect.keep_error(error.or_at(script_span(token.span))));
    }
    Ok(vec![document, parser.parse_expr()?])
}

/// `RETURNING type` as a NULL of that type; STRING if there is none.
fn returning(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Expr> {
    let data_type = match take(parser, &["RETURNING"]) {
        true => dialect.cast_type(parser)?,
        false => DataType::Custom(ObjectName::from(vec![Ident::new("STRING")]), vec![]),
    };
    let null = Box::new(Expr::value(Value::Null));
    Ok(Expr::Cast { kind: CastKind::Cast, expr: null, data_type, array: false, format: None })
}

/// What `… ON EMPTY` and `… ON ERROR` ask for: a word, and the value of DEFAULT.
struct Behaviours {
    on_empty: (String, Expr),
    on_error: (String, Expr),
}

/// Reads behaviours: one of `words`, or `DEFAULT value` where that is possible.
fn behaviours(parser: &mut Parser<'_>, words: &[&'static str], default: bool) -> Parsed<Behaviours> {
    let null = || ("NULL".to_owned(), Expr::value(Value::Null));
    let mut read = Behaviours { on_empty: null(), on_error: null() };
    loop {
        let parts = |word: &'static str| word.split(' ').collect::<Vec<_>>();
        let found = if default && take(parser, &["DEFAULT"]) {
            ("DEFAULT".to_owned(), parser.parse_expr()?)
        } else {
            match words.iter().find(|word| take(parser, &parts(word))) {
                Some(word) => ((*word).to_owned(), Expr::value(Value::Null)),
                None => return Ok(read),
            }
        };
        expect(parser, &["ON"])?;
        if take(parser, &["EMPTY"]) {
            read.on_empty = found;
        } else {
            expect(parser, &["ERROR"])?;
            read.on_error = found;
        }
    }
}

fn value(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Vec<Expr>> {
    let mut arguments = document_and_path(dialect, parser)?;
    let returned = returning(dialect, parser)?;
    let Behaviours { on_empty, on_error } = behaviours(parser, &["NULL", "ERROR"], true)?;
    arguments.extend([text(&on_empty.0), on_empty.1, text(&on_error.0), on_error.1, returned]);
    Ok(arguments)
}

fn query(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Vec<Expr>> {
    let mut arguments = document_and_path(dialect, parser)?;
    let returned = returning(dialect, parser)?;
    let mut wrapper = "WITHOUT";
    if take(parser, &["WITHOUT"]) {
        take(parser, &["ARRAY"]);
        expect(parser, &["WRAPPER"])?;
    } else if take(parser, &["WITH"]) {
        wrapper = if take(parser, &["CONDITIONAL"]) { "CONDITIONAL" } else { "UNCONDITIONAL" };
        take(parser, &["UNCONDITIONAL"]);
        take(parser, &["ARRAY"]);
        expect(parser, &["WRAPPER"])?;
    }
    let words = ["NULL", "ERROR", "EMPTY ARRAY", "EMPTY OBJECT"];
    let Behaviours { on_empty, on_error } = behaviours(parser, &words, false)?;
    arguments.extend([text(wrapper), text(&on_empty.0), text(&on_error.0), returned]);
    Ok(arguments)
}

fn exists(dialect: &FlinkDialect, parser: &mut Parser<'_>) -> Parsed<Vec<Expr>> {
    let mut arguments = document_and_path(dialect, parser)?;
    let words = ["TRUE", "FALSE", "UNKNOWN", "ERROR"];
    let word = words.into_iter().find(|word| take(parser, &[word]));
    if word.is_some() {
        expect(parser, &["ON", "ERROR"])?;
    }
    arguments.push(text(word.unwrap_or("FALSE")));
    Ok(arguments)
}

/// `NULL ON NULL` or `ABSENT ON NULL`.
fn on_null(parser: &mut Parser<'_>, default: &str) -> String {
    if take(parser, &["NULL", "ON", "NULL"]) {
        return "NULL".to_owned();
    }
    if take(parser, &["ABSENT", "ON", "NULL"]) { "ABSENT".to_owned() } else { default.to_owned() }
}

/// A value, and whether it is JSON text already: a call of JSON_OBJECT, JSON_ARRAY or JSON.
fn member(parser: &mut Parser<'_>) -> Parsed<(Expr, bool)> {
    if word_at(parser, 0, "JSON") && parser.peek_nth_token_ref(1).token == Token::LParen {
        parser.next_token();
        parser.expect_token(&Token::LParen)?;
        let expr = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        return Ok((expr, true));
    }
    let expr = parser.parse_expr()?;
    let raw = matches!(&expr, Expr::Function(function)
        if !matches!(function.args, FunctionArguments::None)
            && ["json_object", "json_array", "json_objectagg", "json_arrayagg"].contains(&function.name.to_string().as_str()));
    Ok((expr, raw))
}

/// The first argument: what becomes of NULLs, and which values are JSON text.
fn options(nulls: &str, raw: &[bool]) -> Expr {
    let kinds: String = raw.iter().map(|raw| if *raw { 'r' } else { 'v' }).collect();
    text(&format!("{nulls}:{kinds}"))
}

/// `[KEY] name VALUE value` or `name : value`, with commas between; `one`: exactly one.
fn members(parser: &mut Parser<'_>, default: &str, one: bool) -> Parsed<Vec<Expr>> {
    let (mut arguments, mut raw) = (Vec::new(), Vec::new());
    while parser.peek_token_ref().token != Token::RParen {
        let key_is_word = word_at(parser, 0, "KEY")
            && !word_at(parser, 1, "VALUE")
            && parser.peek_nth_token_ref(1).token != Token::Colon;
        if key_is_word {
            parser.next_token();
        }
        arguments.push(parser.parse_expr()?);
        if !parser.consume_token(&Token::Colon) {
            expect(parser, &["VALUE"])?;
        }
        let (value, is_raw) = member(parser)?;
        arguments.push(value);
        raw.push(is_raw);
        if one || !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let nulls = on_null(parser, default);
    arguments.insert(0, options(&nulls, &raw));
    Ok(arguments)
}

/// Values with commas between; `one`: exactly one.
fn elements(parser: &mut Parser<'_>, one: bool) -> Parsed<Vec<Expr>> {
    let (mut arguments, mut raw) = (Vec::new(), Vec::new());
    let clause = |parser: &Parser<'_>| word_at(parser, 0, "NULL") && word_at(parser, 1, "ON");
    while parser.peek_token_ref().token != Token::RParen && !clause(parser) && !word_at(parser, 0, "ABSENT") {
        let (value, is_raw) = member(parser)?;
        arguments.push(value);
        raw.push(is_raw);
        if one || !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let nulls = on_null(parser, "ABSENT");
    arguments.insert(0, options(&nulls, &raw));
    Ok(arguments)
}
