//! One statement at a time: which one it is, and its own grammar.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::{CreateTable, CreateView, Insert, ObjectKind, Show, Shown, Spanned, StatementKind};
use super::cursor::{Cursor, is_keyword};
use super::{alter, ddl, hints, names, query, refusals};
use crate::error::{Error, Result};

/// Reads one statement that takes all tokens of the cursor. `None` if it changes nothing, such as
/// `USE CATALOG default_catalog`.
///
/// # Errors
/// All mistakes that were found.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<StatementKind>, Vec<Error>> {
    let replace = cursor.take_keywords(&["CREATE", "OR", "REPLACE", "TABLE"]);
    if let Some(temporary) = if replace { Some(false) } else { take_create(cursor, "TABLE") } {
        let table = ddl::create_table(cursor, temporary)?;
        return Ok(Some(StatementKind::CreateTable(CreateTable { replace, ..table })));
    }
    parse_one(cursor).map_err(|error| vec![error])
}

fn parse_one(cursor: &mut Cursor<'_>) -> Result<Option<StatementKind>> {
    // Flink reads OR REPLACE before VIEW, and does not replace
    let new = cursor.take_keywords(&["CREATE", "OR", "REPLACE", "VIEW"]).then_some(false);
    let new = new.or_else(|| cursor.take_keywords(&["CREATE", "OR", "REPLACE", "TEMPORARY", "VIEW"]).then_some(true));
    if let Some(temporary) = new.or_else(|| take_create(cursor, "VIEW")) {
        return Ok(Some(StatementKind::CreateView(create_view(cursor, temporary)?)));
    }
    if let Some(error) = refusals::function(cursor).or_else(|| refusals::statement(cursor)) {
        return Err(error);
    }
    if cursor.at_keyword("INSERT") || cursor.at_keywords(&["EXECUTE", "INSERT"]) {
        return Ok(Some(StatementKind::Insert(insert(cursor)?)));
    }
    if cursor.take_keywords(&["USE", "CATALOG"]) {
        return use_catalog(cursor).map(|()| None);
    }
    let kind = if cursor.take_keyword("USE") {
        StatementKind::Use(names::database(cursor)?)
    } else if cursor.take_keyword("SET") {
        set(cursor)?
    } else if cursor.take_keyword("RESET") {
        reset(cursor)?
    } else if cursor.take_keywords(&["CREATE", "DATABASE"]) {
        create_database(cursor)?
    } else if cursor.take_keywords(&["DROP", "DATABASE"]) {
        drop_database(cursor)?
    } else if cursor.take_keyword("DROP") {
        drop(cursor)?
    } else if cursor.take_keywords(&["ALTER", "TABLE"]) {
        alter::table(cursor)?
    } else if cursor.take_keywords(&["ALTER", "VIEW"]) {
        alter::view(cursor)?
    } else if cursor.take_keyword("DESCRIBE") || cursor.take_keyword("DESC") {
        cursor.take_keyword("EXTENDED");
        StatementKind::Describe { name: names::readable_name(cursor, "a table name")? }
    } else if cursor.take_keyword("SHOW") {
        StatementKind::Show(show(cursor)?)
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
                if next.at_keyword("TEMPORARY") && next.peek_at(1).is_some() {
                    next.advance();
                }
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
    let temporary = cursor.take_keyword("TEMPORARY");
    let what = object_kind(cursor, ["TABLE", "VIEW"])?;
    let if_exists = if_exists(cursor)?;
    Ok(StatementKind::Drop { what, temporary, name: names::object_name(cursor, "a name")?, if_exists })
}

/// `IF EXISTS`.
pub(super) fn if_exists(cursor: &mut Cursor<'_>) -> Result<bool> {
    let written = cursor.take_keyword("IF");
    if written {
        cursor.expect_keywords(&["EXISTS"])?;
    }
    Ok(written)
}

fn create_database(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let if_not_exists = ddl::if_not_exists(cursor)?;
    let name = names::database(cursor)?;
    ddl::comment(cursor)?;
    if cursor.take_keyword("WITH") {
        // properties of a database have no meaning, in Flink's own catalog neither
        ddl::option_list(cursor)?;
    }
    Ok(StatementKind::CreateDatabase { name, if_not_exists })
}

fn drop_database(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let if_exists = if_exists(cursor)?;
    let name = names::database(cursor)?;
    let cascade = cursor.take_keyword("CASCADE") || {
        cursor.take_keyword("RESTRICT");
        false
    };
    Ok(StatementKind::DropDatabase { name, if_exists, cascade })
}

/// What follows `SHOW`.
fn show(cursor: &mut Cursor<'_>) -> Result<Show> {
    let what = shown(cursor)?;
    let lists = !matches!(what, Shown::Create(..) | Shown::CurrentCatalog | Shown::CurrentDatabase);
    let not = lists && cursor.take_keyword("NOT");
    let like = match lists && (cursor.take_keyword("LIKE") || cursor.take_keyword("ILIKE")) {
        true => Some((not, cursor.string("a pattern in single quotes")?.value)),
        false if not => return Err(cursor.expected("LIKE")),
        false => None,
    };
    Ok(Show { what, like })
}

fn shown(cursor: &mut Cursor<'_>) -> Result<Shown> {
    let within = |cursor: &mut Cursor<'_>| match cursor.take_keyword("FROM") || cursor.take_keyword("IN") {
        true => names::database(cursor).map(Some),
        false => Ok(None),
    };
    if cursor.take_keyword("TABLES") {
        return within(cursor).map(Shown::Tables);
    }
    if cursor.take_keyword("VIEWS") {
        return within(cursor).map(Shown::Views);
    }
    if cursor.take_keyword("COLUMNS") {
        if !cursor.take_keyword("FROM") {
            cursor.expect_keywords(&["IN"])?;
        }
        return names::readable_name(cursor, "a table name").map(Shown::Columns);
    }
    if cursor.take_keyword("CREATE") {
        let kind = object_kind(cursor, ["TABLE", "VIEW"])?;
        return Ok(Shown::Create(kind, names::object_name(cursor, "a name")?));
    }
    if cursor.take_keywords(&["USER", "FUNCTIONS"]) {
        return Ok(Shown::Nothing("function name".to_owned()));
    }
    for (words, shown) in [
        (&["DATABASES"][..], Shown::Databases),
        (&["CATALOGS"], Shown::Catalogs),
        (&["CURRENT", "CATALOG"], Shown::CurrentCatalog),
        (&["CURRENT", "DATABASE"], Shown::CurrentDatabase),
        (&["FUNCTIONS"], Shown::Functions),
        (&["JARS"], Shown::Nothing("jars".to_owned())),
        (&["JOBS"], Shown::Nothing("job id".to_owned())),
        (&["MODULES"], Shown::Nothing("module name".to_owned())),
        (&["FULL", "MODULES"], Shown::Nothing("module name".to_owned())),
        (&["PROCEDURES"], Shown::Nothing("procedure name".to_owned())),
        (&["MODELS"], Shown::Nothing("model name".to_owned())),
    ] {
        if cursor.take_keywords(words) {
            return Ok(shown);
        }
    }
    Err(cursor.expected("TABLES, VIEWS, COLUMNS, CREATE TABLE, CREATE VIEW, DATABASES, CATALOGS or FUNCTIONS"))
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

/// `USE CATALOG name`: only the one there is.
fn use_catalog(cursor: &mut Cursor<'_>) -> Result<()> {
    let name = cursor.name("the name of a catalog")?;
    cursor.expect_end()?;
    names::check_catalog(&name.value).map_err(|error| error.at(name.span))
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

/// Reads `[EXECUTE] INSERT INTO table [hint] [PARTITION (…)] [(columns)] query`.
pub(super) fn insert(cursor: &mut Cursor<'_>) -> Result<Insert> {
    let start = cursor.index();
    cursor.take_keyword("EXECUTE");
    if let Some(error) = refusals::statement(cursor) {
        return Err(error);
    }
    cursor.expect_keywords(&["INSERT", "INTO"])?;
    let table = names::object_name(cursor, "a table name")?;
    let options = hints::take_options(cursor)?;
    let partition = partition(cursor)?;
    let query_follows = matches!(cursor.peek_at(1), Some(Token::LParen))
        || ["SELECT", "WITH", "VALUES"].iter().any(|w| cursor.peek_at(1).is_some_and(|t| is_keyword(t, w)));
    let columns = match cursor.peek() {
        Some(Token::LParen) if !query_follows => cursor.names()?,
        _ => Vec::new(),
    };
    let query = query::parse_query(cursor)?;
    Ok(Insert { table, options, partition, columns, query, span: cursor.span_from(start) })
}

/// `PARTITION (column = literal, …)`.
fn partition(cursor: &mut Cursor<'_>) -> Result<Vec<(Spanned<String>, Expr)>> {
    let mut values = Vec::new();
    if !cursor.take_keyword("PARTITION") {
        return Ok(values);
    }
    cursor.expect(&Token::LParen)?;
    loop {
        let column = cursor.name("a column name")?;
        cursor.expect(&Token::Eq)?;
        let end = cursor.element_end(false);
        values.push((column, query::parse_expr(&mut cursor.slice(cursor.index(), end))?));
        cursor.seek(end);
        if !cursor.take(&Token::Comma) {
            break;
        }
    }
    cursor.expect(&Token::RParen)?;
    Ok(values)
}
