//! `CREATE TABLE`: columns, watermark, primary key, options, and `LIKE` or `AS`.
//!
//! A mistake in one column does not hide the next one's: reading goes on behind the comma.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::{
    ColumnDef, ColumnDefKind, CreateTable, DefinedBy, Feature, Like, Merge, OptionList, Spanned, Watermark,
};
use super::cursor::{Cursor, is_keyword};
use super::{alter, names, query, refusals, types};
use crate::error::{Error, Result, Span};

/// Mistakes shown of one statement: more would not be read, and each costs a look at what is before it.
const ERRORS_MAX: usize = 100;

/// Reads `CREATE [TEMPORARY] TABLE …` from behind `TABLE`.
///
/// # Errors
/// All mistakes that were found, in script order.
pub(super) fn create_table(cursor: &mut Cursor<'_>, temporary: bool) -> Result<CreateTable, Vec<Error>> {
    let mut errors = Vec::new();
    let mut table = head(cursor, temporary).map_err(|error| vec![error])?;
    let mut order = bare_names(cursor);
    if order.is_empty() && cursor.take(&Token::LParen) {
        elements(cursor, &mut table, &mut errors).map_err(|error| with(&mut errors, error))?;
    }
    let columns_written = !table.columns.is_empty() || !errors.is_empty() || !order.is_empty();
    tail(cursor, &mut table, &mut errors).map_err(|error| with(&mut errors, error))?;
    if let Some(DefinedBy::Query { order: of_query, .. }) = &mut table.from {
        *of_query = std::mem::take(&mut order);
    }
    errors.extend(order.iter().map(without_type));
    if !columns_written && table.from.is_none() {
        let error = Error::sql(format!("table \"{}\" has no columns", table.name.value))
            .at(table.name.span)
            .hint("declare them as in CREATE TABLE t (id STRING, ts TIMESTAMP(3)) WITH (…)");
        errors.push(error);
    }
    errors.extend(check(&mut table));
    match errors.is_empty() {
        true => Ok(table),
        false => Err(errors),
    }
}

/// Takes `(name, …)` without any type: the order of the columns of an `AS` query.
fn bare_names(cursor: &mut Cursor<'_>) -> Vec<Spanned<String>> {
    let mut ahead = cursor.clone();
    match ahead.names() {
        Ok(names) => {
            *cursor = ahead;
            names
        }
        Err(_) => Vec::new(),
    }
}

fn without_type(name: &Spanned<String>) -> Error {
    Error::sql(format!("column \"{}\" has no type", name.value))
        .at(name.span)
        .hint(format!("write a type behind it, as in {} STRING", names::quoted(&name.value)))
}

fn with(errors: &mut Vec<Error>, error: Error) -> Vec<Error> {
    let mut all = std::mem::take(errors);
    all.push(error);
    all
}

fn head(cursor: &mut Cursor<'_>, temporary: bool) -> Result<CreateTable> {
    let if_not_exists = if_not_exists(cursor)?;
    Ok(CreateTable {
        name: names::object_name(cursor, "a table name")?,
        replace: false,
        temporary,
        if_not_exists,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        comment: None,
        options: Vec::new(),
        from: None,
    })
}

/// `IF NOT EXISTS`.
pub(super) fn if_not_exists(cursor: &mut Cursor<'_>) -> Result<bool> {
    let written = cursor.take_keyword("IF");
    if written {
        cursor.expect_keywords(&["NOT", "EXISTS"])?;
    }
    Ok(written)
}

/// Reads what stands between the parentheses, and the closing one.
fn elements(cursor: &mut Cursor<'_>, table: &mut CreateTable, errors: &mut Vec<Error>) -> Result<()> {
    loop {
        let start = cursor.index();
        let ends = |cursor: &Cursor<'_>| match cursor.peek() {
            Some(Token::Comma | Token::RParen) => Ok(()),
            _ => Err(cursor.expected("\",\" or \")\"")),
        };
        if let Err(error) = element(cursor, table).and_then(|()| ends(cursor)) {
            errors.push(error);
            let computed = matches!(cursor.statement().get(start + 1), Some(t) if is_keyword(&t.token, "AS"));
            cursor.seek(start);
            let end = cursor.element_end(!computed && !cursor.at_keyword("WATERMARK"));
            cursor.seek(end);
            if cursor.is_done() || errors.len() >= ERRORS_MAX {
                return Err(errors.pop().unwrap_or_else(|| cursor.expected("\")\"")));
            }
        }
        if !cursor.take(&Token::Comma) {
            return match cursor.take(&Token::RParen) {
                true => Ok(()),
                false => Err(cursor.expected("\",\" or \")\"")),
            };
        }
    }
}

/// Reads one column, watermark or primary key.
pub(super) fn element(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let start = cursor.index();
    if cursor.at_keywords(&["WATERMARK", "FOR"]) {
        let watermark = watermark(cursor)?;
        if table.watermark.is_some() {
            return Err(Error::sql("a table has one watermark at most").at(watermark.span).hint("remove one of them"));
        }
        table.watermark = Some(watermark);
        return Ok(());
    }
    if cursor.take_keyword("CONSTRAINT") {
        cursor.name("a name of the constraint")?;
    }
    if cursor.take_keywords(&["PRIMARY", "KEY"]) {
        let columns = cursor.names()?;
        not_enforced(cursor, start)?;
        return set_primary_key(table, columns, cursor.span_from(start));
    }
    if cursor.at_keyword("UNIQUE") {
        return Err(refusals::unsupported("UNIQUE", cursor.span()).hint("use PRIMARY KEY (…) NOT ENFORCED"));
    }
    column(cursor, table)
}

fn set_primary_key(table: &mut CreateTable, columns: Vec<Spanned<String>>, span: Span) -> Result<()> {
    if !table.primary_key.is_empty() {
        return Err(Error::sql("a table has one primary key at most")
            .at(span)
            .hint("name all its columns in one PRIMARY KEY (a, b) NOT ENFORCED"));
    }
    table.primary_key = columns;
    Ok(())
}

/// `NOT ENFORCED` behind the primary key that began at token `start`.
fn not_enforced(cursor: &mut Cursor<'_>, start: usize) -> Result<()> {
    let span = cursor.span_from(start);
    match cursor.take_keywords(&["NOT", "ENFORCED"]) {
        true => Ok(()),
        false => Err(Error::sql("a primary key cannot be enforced").at(span).hint("add NOT ENFORCED behind it")),
    }
}

fn watermark(cursor: &mut Cursor<'_>) -> Result<Watermark> {
    let start = cursor.index();
    cursor.expect_keywords(&["WATERMARK", "FOR"])?;
    let column = names::new_name(cursor, "a column name")?;
    if cursor.peek() == Some(&Token::Period) {
        return Err(refusals::unsupported("a watermark on a field of a row", cursor.span())
            .hint("declare a computed column for the field: ts AS payload.ts"));
    }
    cursor.expect_keywords(&["AS"])?;
    let end = cursor.element_end(false);
    let expr = query::parse_expr(&mut cursor.slice(cursor.index(), end))?;
    cursor.seek(end);
    Ok(Watermark { column, expr, span: cursor.span_from(start) })
}

fn column(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<()> {
    let start = cursor.index();
    let name = names::new_name(cursor, "a column name")?;
    let kind = match cursor.take_keyword("AS") {
        true => ColumnDefKind::Computed(computed(cursor)?),
        // a watermark that lacks its second word
        false if name.value.eq_ignore_ascii_case("WATERMARK") && follows_as(cursor) => {
            return Err(cursor.expected("FOR"));
        }
        false => stored(cursor, &name, table)?,
    };
    let comment = comment(cursor)?;
    let span = cursor.span_from(start);
    table.columns.push(ColumnDef { name, kind, comment, span });
    Ok(())
}

/// Whether a word and AS come next.
fn follows_as(cursor: &Cursor<'_>) -> bool {
    matches!((cursor.peek(), cursor.peek_at(1)), (Some(Token::Word(_)), Some(next)) if is_keyword(next, "AS"))
}

fn computed(cursor: &mut Cursor<'_>) -> Result<Expr> {
    let mut end = cursor.element_end(false);
    end = alter::position_start(&cursor.slice(cursor.index(), end));
    let tail = cursor.slice(end.saturating_sub(2), end);
    let commented = tail.at_keyword("COMMENT") && matches!(tail.peek_at(1), Some(Token::SingleQuotedString(_)));
    if commented && end > cursor.index() + 2 {
        end -= 2;
    }
    let expr = query::parse_expr(&mut cursor.slice(cursor.index(), end))?;
    cursor.seek(end);
    Ok(expr)
}

/// A physical or metadata column from behind its name.
fn stored(cursor: &mut Cursor<'_>, name: &Spanned<String>, table: &mut CreateTable) -> Result<ColumnDefKind> {
    if matches!(cursor.peek(), Some(Token::Comma | Token::RParen) | None) {
        return Err(without_type(name));
    }
    let mut data_type = types::parse_type(cursor)?;
    let start = cursor.index();
    if cursor.take_keyword("METADATA") {
        let key = match cursor.take_keyword("FROM") {
            true => Some(cursor.string("the metadata key in single quotes")?),
            false => None,
        };
        let virtual_ = cursor.take_keyword("VIRTUAL");
        return Ok(ColumnDefKind::Metadata { data_type, key, virtual_ });
    }
    if cursor.take_keywords(&["PRIMARY", "KEY"]) {
        not_enforced(cursor, start)?;
        set_primary_key(table, vec![name.clone()], cursor.span_from(start))?;
        if !types::nullability(cursor)? {
            data_type.nullable = false;
        }
    }
    for word in ["UNIQUE", "DEFAULT", "CHECK", "REFERENCES", "GENERATED"] {
        if cursor.at_keyword(word) {
            return Err(Error::sql(format!("{word} does not exist in Flink SQL"))
                .at(cursor.span())
                .hint("a computed column is written: name AS expression"));
        }
    }
    Ok(ColumnDefKind::Physical(data_type))
}

/// `COMMENT 'text'`.
pub(super) fn comment(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.take_keyword("COMMENT") {
        true => Ok(Some(cursor.string("the comment in single quotes")?.value)),
        false => Ok(None),
    }
}

/// What stands behind the columns.
fn tail(cursor: &mut Cursor<'_>, table: &mut CreateTable, errors: &mut Vec<Error>) -> Result<()> {
    table.comment = comment(cursor)?;
    if cursor.at_keyword("DISTRIBUTED") {
        return Err(refusals::unsupported("DISTRIBUTED BY", cursor.span()).hint("leave it out"));
    }
    let start = cursor.index();
    if cursor.take_keywords(&["PARTITIONED", "BY"]) {
        if cursor.peek() != Some(&Token::LParen) {
            return Err(cursor.expected("\"(\""));
        }
        table.partitioned_by = cursor.names()?;
    } else if cursor.at_keywords(&["PARTITION", "BY"]) {
        return Err(cursor.expected("PARTITIONED BY, WITH or the end of the statement"));
    }
    if cursor.take_keyword("WITH") {
        options(cursor, &mut table.options, errors)?;
    }
    if cursor.take_keyword("LIKE") {
        table.from = Some(DefinedBy::Like(like(cursor)?));
    } else if cursor.take_keyword("AS") {
        table.from = Some(DefinedBy::Query { order: Vec::new(), query: query::parse_query(cursor)? });
    }
    let misplaced =
        ["COMMENT", "PARTITIONED"].into_iter().find(|word| cursor.at_keyword(word) && cursor.index() > start);
    if let Some(word) = misplaced {
        return Err(Error::sql(format!("{word} stands in the wrong place"))
            .at(cursor.span())
            .hint("the order is: (…) COMMENT … PARTITIONED BY (…) WITH (…)"));
    }
    cursor.expect_end()
}

/// `table [({INCLUDING | EXCLUDING | OVERWRITING} feature …)]` behind `LIKE`.
fn like(cursor: &mut Cursor<'_>) -> Result<Like> {
    let table = names::object_name(cursor, "a table name")?;
    let mut rules: Vec<(Feature, Merge)> = Vec::new();
    if cursor.take(&Token::LParen) {
        while !cursor.take(&Token::RParen) {
            let start = cursor.index();
            let rule = rule(cursor)?;
            if rules.iter().any(|(feature, _)| *feature == rule.0) {
                let span = cursor.span_from(start);
                return Err(Error::sql("each feature can be named once").at(span).hint("remove one of them"));
            }
            rules.push(rule);
        }
    }
    Ok(Like { table, rules })
}

fn rule(cursor: &mut Cursor<'_>) -> Result<(Feature, Merge)> {
    let merges =
        [("INCLUDING", Merge::Including), ("EXCLUDING", Merge::Excluding), ("OVERWRITING", Merge::Overwriting)];
    let start = cursor.index();
    let Some((word, merge)) = merges.into_iter().find(|(word, _)| cursor.take_keyword(word)) else {
        return Err(cursor.expected("INCLUDING, EXCLUDING, OVERWRITING or \")\""));
    };
    let features = [
        ("ALL", Feature::All),
        ("CONSTRAINTS", Feature::Constraints),
        ("DISTRIBUTION", Feature::Distribution),
        ("GENERATED", Feature::Generated),
        ("METADATA", Feature::Metadata),
        ("OPTIONS", Feature::Options),
        ("PARTITIONS", Feature::Partitions),
        ("WATERMARKS", Feature::Watermarks),
    ];
    let Some((name, feature)) = features.into_iter().find(|(word, _)| cursor.take_keyword(word)) else {
        let words: Vec<&str> = features.iter().map(|(word, _)| *word).collect();
        return Err(cursor.expected(&words.join(", ")));
    };
    let replaceable =
        matches!(feature, Feature::Generated | Feature::Metadata | Feature::Options | Feature::Watermarks);
    if merge == Merge::Overwriting && !replaceable {
        return Err(Error::sql(format!("{word} {name} is not possible"))
            .at(cursor.span_from(start))
            .hint(format!("write INCLUDING {name} or EXCLUDING {name}")));
    }
    Ok((feature, merge))
}

/// `('key' = 'value', …)`.
pub(super) fn option_list(cursor: &mut Cursor<'_>) -> Result<OptionList> {
    let (mut list, mut errors) = (OptionList::new(), Vec::new());
    options(cursor, &mut list, &mut errors)?;
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(list),
    }
}

/// `('key' = 'value', …)`; keys may be bare.
fn options(cursor: &mut Cursor<'_>, options: &mut OptionList, errors: &mut Vec<Error>) -> Result<()> {
    cursor.expect(&Token::LParen)?;
    loop {
        let start = cursor.index();
        match option(cursor) {
            Err(error) if errors.len() + 1 >= ERRORS_MAX => return Err(error),
            Ok(option) => options.push(option),
            Err(error) => {
                errors.push(error);
                cursor.seek(start);
                cursor.seek(cursor.element_end(false));
            }
        }
        if !cursor.take(&Token::Comma) {
            return match cursor.take(&Token::RParen) {
                true => Ok(()),
                false => Err(cursor.expected("\",\" or \")\"")),
            };
        }
    }
}

fn option(cursor: &mut Cursor<'_>) -> Result<(Spanned<String>, Spanned<String>)> {
    let key = option_name(cursor)?;
    cursor.expect(&Token::Eq)?;
    let value = match cursor.peek() {
        Some(Token::Word(_) | Token::Number(..)) => {
            let raw = cursor.raw(cursor.index(), cursor.element_end(false)).to_owned();
            return Err(cursor.expected("the value in single quotes").hint(format!("write '{raw}'")));
        }
        _ => cursor.string("the value in single quotes")?,
    };
    Ok((key, value))
}

/// The name of an option: in quotes, or bare words with dots and dashes.
pub(super) fn option_name(cursor: &mut Cursor<'_>) -> Result<Spanned<String>> {
    let start = cursor.index();
    match cursor.peek() {
        Some(Token::SingleQuotedString(_)) => cursor.string("an option"),
        Some(Token::Word(_)) => {
            let names = |t: &Token| matches!(t, Token::Word(_) | Token::Number(..) | Token::Period | Token::Minus);
            while cursor.peek().is_some_and(names) {
                cursor.advance();
            }
            Ok(Spanned::new(cursor.raw(start, cursor.index()).replace('`', ""), cursor.span_from(start)))
        }
        _ => Err(cursor.expected("an option, as in 'connector' = 'kafka'")),
    }
}

/// Mistakes that show only in the whole table; marks the columns of the primary key as not nullable. What comes
/// from elsewhere may have the names that are not declared here.
fn check(table: &mut CreateTable) -> Vec<Error> {
    let columns = repeated(table.columns.iter().map(|column| &column.name)).map(|name| {
        let error = Error::sql(format!("column \"{}\" is declared twice", name.value)).at(name.span);
        error.hint("remove or rename one of them")
    });
    let options = repeated(table.options.iter().map(|(key, _)| key)).map(|key| {
        Error::sql(format!("option \"{}\" is given twice", key.value)).at(key.span).hint("remove one of them")
    });
    let declared: HashSet<&str> = table.columns.iter().map(|column| column.name.value.as_str()).collect();
    let named = table.primary_key.iter().chain(&table.partitioned_by).chain(table.watermark.iter().map(|w| &w.column));
    let unknown = named.filter(|name| !declared.contains(name.value.as_str())).map(|name| {
        Error::sql(format!("column \"{}\" is not declared in the table", name.value))
            .at(name.span)
            .nearest(&name.value, table.columns.iter().map(|column| column.name.value.as_str()))
    });
    let unknown = unknown.filter(|_| table.from.is_none());
    let keys = repeated(table.primary_key.iter()).map(|name| {
        Error::sql(format!("column \"{}\" is in the primary key twice", name.value))
            .at(name.span)
            .hint("remove one of them")
    });
    let errors = columns.chain(options).chain(unknown).chain(keys).take(ERRORS_MAX).collect();
    let key: HashSet<&str> = table.primary_key.iter().map(|name| name.value.as_str()).collect();
    for column in &mut table.columns {
        if let ColumnDefKind::Physical(data_type) = &mut column.kind
            && key.contains(column.name.value.as_str())
        {
            data_type.nullable = false;
        }
    }
    errors
}

/// The names that came before.
fn repeated<'a>(names: impl Iterator<Item = &'a Spanned<String>>) -> impl Iterator<Item = &'a Spanned<String>> {
    let mut seen = HashSet::new();
    names.filter(move |name| !seen.insert(name.value.as_str()))
}
