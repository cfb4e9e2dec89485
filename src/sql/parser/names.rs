//! Names: the words Flink reserves, and the catalog and database every table is in.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::ast::Spanned;
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

const CATALOG: &str = "default_catalog";
const DATABASE: &str = "default_database";
/// The database of the tables that jobs keep about themselves: `ledger.late`, `ledger.bad`, `ledger.future`.
const LEDGER: &str = "ledger";

/// `word` is a name only in back-ticks.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
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
pub(super) fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain =
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_');
    match plain && !is_reserved(name) {
        true => name.to_owned(),
        false => format!("`{}`", name.replace('`', "``")),
    }
}

/// The error about a reserved word that is used as a name.
pub(super) fn reserved(word: &str) -> Error {
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

/// `[[default_catalog.]default_database.]name`, without what stands before the name.
pub(super) fn object_name(cursor: &mut Cursor<'_>, what: &str) -> Result<Spanned<String>> {
    let start = cursor.index();
    let parts = name_parts(cursor, what)?;
    let span = cursor.span_from(start);
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    let name = local_name(&texts).map_err(|error| error.at(span))?.to_owned();
    Ok(Spanned::new(name, span))
}

/// The name of a table of the ledger, if one is named; only queries may.
pub(super) fn in_ledger<'a>(parts: &[&'a str]) -> Option<&'a str> {
    match parts {
        [LEDGER, name] | [CATALOG, LEDGER, name] => Some(name),
        _ => None,
    }
}

/// `[[default_catalog.]default_database.]name` without what stands before the name, or `ledger.name`.
pub(super) fn readable_name(cursor: &mut Cursor<'_>, what: &str) -> Result<Spanned<String>> {
    let start = cursor.index();
    let parts = name_parts(cursor, what)?;
    let texts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
    let span = cursor.span_from(start);
    let name = match in_ledger(&texts) {
        Some(name) => format!("{LEDGER}.{name}"),
        None => local_name(&texts).map_err(|error| error.at(span))?.to_owned(),
    };
    Ok(Spanned::new(name, span))
}

fn name_parts(cursor: &mut Cursor<'_>, what: &str) -> Result<Vec<Spanned<String>>> {
    let mut parts = vec![new_name(cursor, what)?];
    while cursor.take(&Token::Period) {
        parts.push(cursor.name("a name")?);
    }
    Ok(parts)
}

/// The name of a table within the only database there is.
///
/// # Errors
/// `Sql` if another catalog or database is named.
pub(super) fn local_name<'a>(parts: &[&'a str]) -> Result<&'a str> {
    let unknown = |kind: &str, name: &str| {
        Err(Error::sql(format!("{kind} \"{name}\" does not exist"))
            .hint(format!("all tables are in \"{CATALOG}.{DATABASE}\": write the table's name alone")))
    };
    if in_ledger(parts).is_some() {
        return Err(Error::sql("the ledger is kept by the job and can only be read")
            .hint("read it with \"streamer sql -f FILE -c 'SELECT * FROM ledger.late'\""));
    }
    match parts {
        [name] | [DATABASE, name] | [CATALOG, DATABASE, name] => Ok(name),
        [database, _] | [CATALOG, database, _] => unknown("database", database),
        [catalog, ..] => unknown("catalog", catalog),
        [] => unknown("catalog", ""),
    }
}

/// `name` is the catalog and database a script starts in; `USE` of them changes nothing.
pub(super) fn is_default(catalog: bool, parts: &[&str]) -> bool {
    match catalog {
        true => parts == [CATALOG],
        false => parts == [DATABASE] || parts == [CATALOG, DATABASE],
    }
}
