//! One statement at a time: which one it is, and its own grammar.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::{CreateView, Insert, ObjectKind, Spanned, StatementKind};
use super::cursor::{Cursor, is_keyword};
use super::{ddl, names, query, refusals};
use crate::error::{Error, Result};

/// Reads one statement that takes all tokens of the cursor. `None` if it changes nothing, such as
/// `USE CATALOG default_catalog`.
///
/// # Errors
/// All mistakes that were found.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<StatementKind>, Vec<Error>> {
    if let Some(temporary) = take_create(cursor, "TABLE") {
        return ddl::create_table(cursor, temporary).map(|table| Some(StatementKind::CreateTable(table)));
    }
    parse_one(cursor).map_err(|error| vec![error])
}

fn parse_one(cursor: &mut Cursor<'_>) -> Result<Option<StatementKind>> {
    if let Some(temporary) = take_create(cursor, "VIEW") {
        return Ok(Some(StatementKind::CreateView(create_view(cursor, temporary)?)));
    }
    let shows = cursor.at_keywords(&["SHOW", "TABLES"]) || cursor.at_keywords(&["SHOW", "VIEWS"]);
    if let Some(error) = refusals::statement(cursor).filter(|_| !shows) {
        return Err(error);
    }
    if cursor.at_keyword("INSERT") || cursor.at_keywords(&["EXECUTE", "INSERT"]) {
        return Ok(Some(StatementKind::Insert(insert(cursor)?)));
    }
    if cursor.take_keyword("USE") {
        return use_default(cursor).map(|()| None);
    }
    let kind = if cursor.take_keyword("SET") {
        set(cursor)?
    } else if cursor.take_keyword("RESET") {
        reset(cursor)?
    } else if cursor.take_keyword("DROP") {
        drop(cursor)?
    } else if cursor.take_keyword("DESCRIBE") || cursor.take_keyword("DESC") {
        cursor.take_keyword("EXTENDED");
        StatementKind::Describe { name: names::readable_name(cursor, "a table name")? }
    } else if cursor.take_keyword("SHOW") {
        StatementKind::Show(object_kind(cursor, ["TABLES", "VIEWS"])?)
    } else if starts_query(cursor) {
        StatementKind::Query(query::parse_query(cursor)?)
    } else {
        return Err(unknown(cursor));
    };
    cursor.expect_end()?;
    Ok(Some(kind))
}

fn starts_query(cursor: &Cursor<'_>) -> bool {
    ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.at_keyword(word)) || cursor.peek() == Some(&Token::LParen)
}

/// Takes `CREATE [TEMPORARY] what` and says whether it is temporary.
fn take_create(cursor: &mut Cursor<'_>, what: &str) -> Option<bool> {
    if cursor.take_keywords(&["CREATE", "TEMPORARY", what]) {
        return Some(true);
    }
    cursor.take_keywords(&["CREATE", what]).then_some(false)
}

/// The statement begins with a word that begins none.
fn unknown(cursor: &Cursor<'_>) -> Error {
    match cursor.peek() {
        Some(Token::Word(word)) => {
            let known = refusals::LEADING_WORDS.iter().any(|w| w.eq_ignore_ascii_case(&word.value));
            if known && cursor.peek_at(1).is_some() {
                let mut next = cursor.clone();
                next.advance();
                let kinds = ["TABLE", "VIEW", "TEMPORARY", "INTO", "STATEMENT"];
                let found = next.raw(next.index(), next.index() + 1).to_owned();
                let what = match word.value.to_ascii_uppercase().as_str() {
                    "CREATE" => "TABLE or VIEW",
                    "EXECUTE" | "BEGIN" => "STATEMENT SET",
                    _ => return Error::sql(format!("\"{}\" starts no statement here", word.value)).at(cursor.span()),
                };
                return next.expected(what).nearest(&found, kinds);
            }
            Error::sql(format!("\"{}\" starts no statement", word.value))
                .at(cursor.span())
                .nearest(&word.value, refusals::LEADING_WORDS)
        }
        _ => cursor.expected("a statement").hint("statements start with CREATE, INSERT, SELECT, SET, …"),
    }
}

/// `key = value` behind `SET`, quoted or bare.
fn set(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    if cursor.is_done() {
        return Ok(StatementKind::SetList);
    }
    let key = setting(cursor, "the name of a setting")?;
    if !cursor.take(&Token::Eq) {
        return Err(cursor.expected("\"=\"").hint(format!("write SET '{}' = 'value'", key.value)));
    }
    if let Some(Token::SingleQuotedString(_)) = cursor.peek() {
        let value = cursor.string("a value")?;
        return Ok(StatementKind::Set { key, value });
    }
    let start = cursor.index();
    let end = cursor.end();
    let value = cursor.raw(start, end).to_owned();
    if value.contains('\n') {
        return Err(Error::sql(format!("the value of setting \"{}\" runs over several lines", key.value))
            .at(cursor.span())
            .hint("is a \";\" missing behind it?"));
    }
    let span = cursor.span_at(start).to(cursor.span_at(end.saturating_sub(1).max(start)));
    cursor.seek(end);
    Ok(StatementKind::Set { key, value: Spanned::new(value, span) })
}

/// The name of a setting: in quotes, or bare words with dots and dashes.
fn setting(cursor: &mut Cursor<'_>, what: &str) -> Result<Spanned<String>> {
    if let Some(Token::SingleQuotedString(_)) = cursor.peek() {
        return cursor.string(what);
    }
    let start = cursor.index();
    let part = |t: &Token| matches!(t, Token::Word(_) | Token::Number(..) | Token::Period | Token::Minus);
    while cursor.peek().is_some_and(part) {
        cursor.advance();
    }
    let key = cursor.raw(start, cursor.index());
    if key.is_empty() || key.contains(char::is_whitespace) {
        cursor.seek(start);
        return Err(cursor.expected(what).hint("write SET 'key' = 'value'"));
    }
    Ok(Spanned::new(key.to_owned(), cursor.span_from(start)))
}

fn reset(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let key = match cursor.is_done() {
        true => None,
        false => Some(setting(cursor, "the name of a setting")?),
    };
    Ok(StatementKind::Reset { key })
}

fn drop(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    cursor.take_keyword("TEMPORARY");
    let what = object_kind(cursor, ["TABLE", "VIEW"])?;
    let if_exists = cursor.take_keyword("IF");
    if if_exists {
        cursor.expect_keywords(&["EXISTS"])?;
    }
    Ok(StatementKind::Drop { what, name: names::object_name(cursor, "a name")?, if_exists })
}

fn object_kind(cursor: &mut Cursor<'_>, [table, view]: [&str; 2]) -> Result<ObjectKind> {
    if cursor.take_keyword(table) {
        return Ok(ObjectKind::Table);
    }
    match cursor.take_keyword(view) {
        true => Ok(ObjectKind::View),
        false => Err(cursor.expected(&format!("{table} or {view}"))),
    }
}

/// `USE [CATALOG] name`: only the one there is.
fn use_default(cursor: &mut Cursor<'_>) -> Result<()> {
    let catalog = cursor.take_keyword("CATALOG");
    let start = cursor.index();
    let mut parts = vec![cursor.name("a name")?];
    while cursor.take(&Token::Period) {
        parts.push(cursor.name("a name")?);
    }
    let span = cursor.span_from(start);
    cursor.expect_end()?;
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    if names::is_default(catalog, &texts) {
        return Ok(());
    }
    let what = if catalog { "catalog" } else { "database" };
    Err(Error::sql(format!("{what} \"{}\" does not exist", texts.join(".")))
        .at(span)
        .hint("leave it out: all tables are in \"default_catalog.default_database\""))
}

fn create_view(cursor: &mut Cursor<'_>, temporary: bool) -> Result<CreateView> {
    let if_not_exists = ddl::if_not_exists(cursor)?;
    let name = names::object_name(cursor, "a view name")?;
    let columns = match cursor.peek() {
        Some(Token::LParen) => cursor.names()?,
        _ => Vec::new(),
    };
    ddl::comment(cursor)?;
    cursor.expect_keywords(&["AS"])?;
    let query = query::parse_query(cursor)?;
    Ok(CreateView { name, columns, query, temporary, if_not_exists })
}

/// Reads `[EXECUTE] INSERT INTO table [(columns)] query`.
pub(super) fn insert(cursor: &mut Cursor<'_>) -> Result<Insert> {
    let start = cursor.index();
    cursor.take_keyword("EXECUTE");
    if let Some(error) = refusals::statement(cursor) {
        return Err(error);
    }
    cursor.expect_keywords(&["INSERT", "INTO"])?;
    let table = names::object_name(cursor, "a table name")?;
    if cursor.at_keyword("PARTITION") {
        return Err(refusals::unsupported("INSERT … PARTITION (…)", cursor.span())
            .hint("select the partition's value as a column of the query"));
    }
    let query_follows = matches!(cursor.peek_at(1), Some(Token::LParen))
        || ["SELECT", "WITH", "VALUES"].iter().any(|w| cursor.peek_at(1).is_some_and(|t| is_keyword(t, w)));
    let columns = match cursor.peek() {
        Some(Token::LParen) if !query_follows => cursor.names()?,
        _ => Vec::new(),
    };
    let query = query::parse_query(cursor)?;
    Ok(Insert { table, columns, query, span: cursor.span_from(start) })
}
