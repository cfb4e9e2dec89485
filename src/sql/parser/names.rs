//! Names: the words Flink reserves, and the paths of tables.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::{Spanned, TableName};
use super::cursor::Cursor;
use crate::error::{Error, Result};

/// Words that name a column only in back-ticks. Those of the second group were tried on Flink 2.3; the
/// first is the skeleton of SQL.
const RESERVED: [&str; 134] = [
    "all",
    "and",
    "any",
    "as",
    "between",
    "both",
    "by",
    "case",
    "cast",
    "coalesce",
    "column",
    "constraint",
    "create",
    "cross",
    "delete",
    "describe",
    "distinct",
    "drop",
    "else",
    "escape",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "full",
    "grant",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "lateral",
    "leading",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "on",
    "only",
    "or",
    "outer",
    "primary",
    "references",
    "select",
    "set",
    "some",
    "then",
    "trailing",
    "union",
    "unique",
    "unnest",
    "update",
    "using",
    "when",
    "where",
    "with",
    "without",
    //
    "array",
    "at",
    "avg",
    "begin",
    "classifier",
    "comment",
    "condition",
    "count",
    "current",
    "date",
    "day",
    "define",
    "element",
    "end",
    "exists",
    "floor",
    "from",
    "function",
    "group",
    "hour",
    "interval",
    "language",
    "left",
    "local",
    "match",
    "max",
    "measures",
    "method",
    "min",
    "minute",
    "models",
    "month",
    "modules",
    "new",
    "next",
    "offset",
    "old",
    "order",
    "overlaps",
    "parameter",
    "partition",
    "pattern",
    "per",
    "percent",
    "period",
    "position",
    "power",
    "prev",
    "range",
    "rank",
    "reset",
    "result",
    "right",
    "row",
    "rows",
    "running",
    "second",
    "skip",
    "start",
    "sum",
    "system",
    "table",
    "time",
    "timestamp",
    "to",
    "true",
    "user",
    "value",
    "values",
    "window",
    "year",
    "multiset",
];

/// Character sets that a text may name before its quote, `_UTF8'…'`: a text is Unicode in any case.
const CHARACTER_SETS: [&str; 3] = ["UTF8", "UTF16", "LATIN1"];

/// Whether the prefix of a text names a character set.
pub(crate) fn is_character_set(prefix: &Ident) -> bool {
    let name = prefix.value.strip_prefix('_').unwrap_or("");
    CHARACTER_SETS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The only catalog.
pub(crate) const CATALOG: &str = "default_catalog";
/// The database a script starts in.
pub(crate) const DATABASE: &str = "default_database";
/// The database of the tables that jobs keep about themselves: `ledger.late`, `ledger.bad`, `ledger.future`.
pub(crate) const LEDGER: &str = "ledger";

/// `word` is a name only in back-ticks.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// `word` is no column in an expression unless it stands in back-ticks. Units of time are words of functions, too.
pub(crate) fn is_no_column(word: &str) -> bool {
    const UNITS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
    is_reserved(word) && !UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(word))
}

/// `word` is reserved, and a reader who writes it where it cannot stand may well mean a name: `value`,
/// `timestamp`, but not `FROM`.
pub(super) fn is_likely_name(word: &str) -> bool {
    const CLAUSES: [&str; 12] =
        ["array", "at", "begin", "end", "exists", "from", "group", "interval", "order", "table", "to", "window"];
    let lower = word.to_ascii_lowercase();
    let tried = RESERVED.iter().skip_while(|reserved| **reserved != "array");
    tried.into_iter().any(|reserved| *reserved == lower) && !CLAUSES.contains(&lower.as_str())
}

/// `name` as it is written in a script: in back-ticks where it needs them.
pub(crate) fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain =
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_');
    match plain && !is_reserved(name) {
        true => name.to_owned(),
        false => format!("`{}`", name.replace('`', "``")),
    }
}

/// The error about a reserved word that is used as a name.
pub(crate) fn reserved(word: &str) -> Error {
    Error::sql(format!("\"{word}\" is a reserved word")).hint(format!("as a name, put it in back-ticks: `{word}`"))
}

/// A name that is being given: a reserved word needs back-ticks.
pub(super) fn new_name(cursor: &mut Cursor<'_>, what: &str) -> Result<Spanned<String>> {
    match cursor.peek() {
        Some(Token::Word(word)) if word.quote_style.is_none() && is_reserved(&word.value) => {
            Err(reserved(&word.value).at(cursor.span()))
        }
        _ => cursor.name(what),
    }
}

/// The name of a table or view that is made, changed or written.
pub(super) fn object_name(cursor: &mut Cursor<'_>, what: &str) -> Result<TableName> {
    let name = readable_name(cursor, what)?;
    match name.database.as_deref() {
        Some(LEDGER) => Err(Error::sql("the ledger is kept by the job and can only be read")
            .at(name.span)
            .hint("read it with \"streamer sql -f FILE -c 'SELECT * FROM ledger.late'\"")),
        _ => Ok(name),
    }
}

/// The name of a table or view that is read: one of the ledger, too.
pub(super) fn readable_name(cursor: &mut Cursor<'_>, what: &str) -> Result<TableName> {
    let start = cursor.index();
    let mut parts = vec![new_name(cursor, what)?];
    while cursor.take(&Token::Period) {
        parts.push(cursor.name("a name")?);
    }
    let span = cursor.span_from(start);
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    let (database, name) = local(&texts).map_err(|error| error.at(span))?;
    Ok(TableName { database: database.map(str::to_owned), value: name.to_owned(), span })
}

/// `[default_catalog.]database`, without the catalog.
pub(super) fn database(cursor: &mut Cursor<'_>) -> Result<Spanned<String>> {
    let start = cursor.index();
    let first = new_name(cursor, "the name of a database")?;
    if !cursor.take(&Token::Period) {
        return Ok(first);
    }
    let name = cursor.name("the name of a database")?;
    check_catalog(&first.value).map_err(|error| error.at(first.span))?;
    Ok(Spanned::new(name.value, cursor.span_from(start)))
}

/// Database, if one is written, and name of a table's path.
///
/// # Errors
/// `Sql` if another catalog is named.
pub(super) fn local<'a>(parts: &[&'a str]) -> Result<(Option<&'a str>, &'a str)> {
    match parts {
        [name] => Ok((None, name)),
        [database, name] => Ok((Some(database), name)),
        [catalog, database, name] => check_catalog(catalog).map(|()| (Some(*database), *name)),
        _ => Err(Error::sql("the name of a table has three parts at most").hint("catalog.database.table")),
    }
}

/// There is one catalog.
///
/// # Errors
/// `Sql` if it is not the one.
pub(super) fn check_catalog(name: &str) -> Result<()> {
    match name {
        CATALOG => Ok(()),
        other => Err(Error::sql(format!("catalog \"{other}\" does not exist"))
            .hint(format!("there is one, \"{CATALOG}\": leave the catalog out of the name"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_set_is_known_in_any_case_and_only_behind_an_underscore() {
        for (prefix, known) in [("_UTF16", true), ("_utf8", true), ("_Latin1", true), ("UTF8", false), ("_KOI8", false)]
        {
            assert_eq!(is_character_set(&Ident::new(prefix)), known, "{prefix}");
        }
    }
}
