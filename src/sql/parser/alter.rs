//! `ALTER TABLE` and `ALTER VIEW`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::{Alteration, CreateTable, Elements, Position, Spanned, StatementKind, TableName, ViewAlteration};
use super::cursor::{Cursor, is_keyword};
use super::{ddl, names, query, refusals, statement};
use crate::error::Result;

/// Reads `[IF EXISTS] table change` behind `ALTER TABLE`.
pub(super) fn table(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let if_exists = statement::if_exists(cursor)?;
    let name = names::object_name(cursor, "a table name")?;
    let change = change(cursor, &name)?;
    Ok(StatementKind::AlterTable { name, if_exists, change })
}

fn change(cursor: &mut Cursor<'_>, table: &TableName) -> Result<Alteration> {
    if cursor.take_keywords(&["RENAME", "TO"]) {
        return names::object_name(cursor, "a table name").map(Alteration::RenameTo);
    }
    if cursor.take_keyword("RENAME") {
        let from = cursor.name("a column name")?;
        cursor.expect_keywords(&["TO"])?;
        return Ok(Alteration::RenameColumn { from, to: names::new_name(cursor, "a column name")? });
    }
    for words in [["ADD", "PARTITION"], ["DROP", "PARTITION"], ["ADD", "DISTRIBUTION"], ["DROP", "DISTRIBUTION"]] {
        if cursor.at_keywords(&words) || cursor.at_keywords(&["ADD", "IF"]) {
            return Err(refusals::unsupported(&format!("ALTER TABLE … {}", words.join(" ")), cursor.span())
                .hint("leave it out: partitions are made as rows need them"));
        }
    }
    if cursor.take_keyword("ADD") {
        return elements(cursor, table).map(Alteration::Add);
    }
    if cursor.take_keyword("MODIFY") {
        return elements(cursor, table).map(Alteration::Modify);
    }
    if cursor.take_keywords(&["DROP", "PRIMARY", "KEY"]) {
        return Ok(Alteration::DropPrimaryKey);
    }
    if cursor.take_keywords(&["DROP", "CONSTRAINT"]) {
        return cursor.name("the name of the constraint").map(|_| Alteration::DropPrimaryKey);
    }
    if cursor.take_keywords(&["DROP", "WATERMARK"]) {
        return Ok(Alteration::DropWatermark);
    }
    if cursor.take_keyword("DROP") {
        return match cursor.peek() {
            Some(Token::LParen) => cursor.names().map(Alteration::DropColumns),
            _ => Ok(Alteration::DropColumns(vec![cursor.name("a column name")?])),
        };
    }
    if cursor.take_keyword("SET") {
        return ddl::option_list(cursor).map(Alteration::Set);
    }
    if cursor.take_keyword("RESET") {
        return reset(cursor).map(Alteration::Reset);
    }
    Err(cursor.expected("RENAME, ADD, MODIFY, DROP, SET or RESET"))
}

fn reset(cursor: &mut Cursor<'_>) -> Result<Vec<Spanned<String>>> {
    cursor.expect(&Token::LParen)?;
    let mut keys = vec![ddl::option_name(cursor)?];
    while cursor.take(&Token::Comma) {
        keys.push(ddl::option_name(cursor)?);
    }
    cursor.expect(&Token::RParen)?;
    Ok(keys)
}

/// One element, or several in parentheses, columns with their positions.
fn elements(cursor: &mut Cursor<'_>, table: &TableName) -> Result<Elements> {
    let mut read = CreateTable {
        name: table.clone(),
        replace: false,
        temporary: false,
        if_not_exists: false,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        comment: None,
        options: Vec::new(),
        from: None,
    };
    let mut columns = Vec::new();
    let several = cursor.take(&Token::LParen);
    loop {
        cursor.take_keyword("COLUMN");
        ddl::element(cursor, &mut read)?;
        if let Some(column) = read.columns.pop() {
            columns.push((column, position(cursor)?));
        }
        if !several || !cursor.take(&Token::Comma) {
            break;
        }
    }
    if several {
        cursor.expect(&Token::RParen)?;
    }
    Ok(Elements { columns, watermark: read.watermark, primary_key: read.primary_key })
}

/// `FIRST` or `AFTER column`.
fn position(cursor: &mut Cursor<'_>) -> Result<Option<Position>> {
    if cursor.take_keyword("FIRST") {
        return Ok(Some(Position::First));
    }
    match cursor.take_keyword("AFTER") {
        true => Ok(Some(Position::After(cursor.name("a column name")?))),
        false => Ok(None),
    }
}

/// Where a position begins that ends the tokens of the cursor; their end if there is none.
pub(super) fn position_start(cursor: &Cursor<'_>) -> usize {
    let back = |n: usize| cursor.rest().iter().rev().nth(n).map(|token| &token.token);
    let at = |n: usize, word: &str| cursor.rest().len() > n + 1 && back(n).is_some_and(|token| is_keyword(token, word));
    match () {
        () if at(0, "FIRST") => cursor.end() - 1,
        () if at(1, "AFTER") && matches!(back(0), Some(Token::Word(_))) => cursor.end() - 2,
        () => cursor.end(),
    }
}

/// Reads `view change` behind `ALTER VIEW`.
pub(super) fn view(cursor: &mut Cursor<'_>) -> Result<StatementKind> {
    let name = names::object_name(cursor, "a view name")?;
    let change = if cursor.take_keywords(&["RENAME", "TO"]) {
        ViewAlteration::RenameTo(names::object_name(cursor, "a view name")?)
    } else if cursor.take_keyword("AS") {
        ViewAlteration::Query(query::parse_query(cursor)?)
    } else {
        return Err(cursor.expected("RENAME TO or AS"));
    };
    Ok(StatementKind::AlterView { name, change })
}
