//! What is Flink SQL and not supported yet, refused by name with what works instead.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::{Cursor, is_keyword};
use super::lexer::span_of;
use crate::error::{Error, Span};

/// Statements by their leading words, longest first among those with the same start; the hint says what
/// works instead.
const STATEMENTS: &[(&[&str], &str)] = &[
    (&["CREATE", "CATALOG"], "every script starts in \"default_catalog\": leave it out"),
    (&["CREATE", "MATERIALIZED", "TABLE"], "use CREATE TABLE and INSERT INTO"),
    (&["CREATE", "OR", "ALTER"], "use CREATE TABLE"),
    (&["CREATE", "MODEL"], MODELS),
    (&["CREATE", "TEMPORARY", "MODEL"], MODELS),
    (&["CREATE", "CONNECTION"], "write its options into WITH of each table"),
    (&["ALTER"], "change the CREATE statement itself"),
    (&["DROP", "CATALOG"], "leave it out: there is one catalog, \"default_catalog\""),
    (&["DROP", "FUNCTION"], FUNCTIONS),
    (&["DROP", "TEMPORARY", "FUNCTION"], FUNCTIONS),
    (&["DROP", "TEMPORARY", "SYSTEM", "FUNCTION"], FUNCTIONS),
    (&["DROP", "MATERIALIZED", "TABLE"], "use DROP TABLE"),
    (&["DROP", "MODEL"], "leave it out: there are no models"),
    (&["INSERT", "OVERWRITE"], "use INSERT INTO"),
    (&["LOAD", "MODULE"], "leave it out: all functions are there already"),
    (&["UNLOAD", "MODULE"], "leave it out: all functions stay"),
    (&["USE", "MODULES"], "leave it out: all functions are there already"),
    (&["ADD", "JAR"], "leave it out: connectors and formats are built in"),
    (&["REMOVE", "JAR"], "leave it out: connectors and formats are built in"),
    (&["ANALYZE", "TABLE"], "leave it out: statistics are not used"),
    (&["ANALYZE"], "leave it out: statistics are not used"),
    (&["COMPILE", "PLAN"], "run the script itself"),
    (&["COMPILE", "AND", "EXECUTE", "PLAN"], "run the script itself"),
    (&["EXECUTE", "PLAN"], "run the script itself"),
    (&["CALL"], "write what the procedure does as INSERT INTO … SELECT"),
    (&["DELETE"], "write the rows you want to keep with INSERT INTO … SELECT … WHERE"),
    (&["UPDATE"], "compute the new values in INSERT INTO … SELECT"),
    (&["TRUNCATE"], "empty the table in the system that has it"),
    (&["MERGE"], "write the rows with INSERT INTO a table with a PRIMARY KEY, which keeps one row of each key"),
    (&["STOP", "JOB"], "stop the program with Ctrl-C"),
    (&["REFRESH"], "use INSERT INTO: it goes on for as long as rows come"),
    (&["HELP"], "run streamer --help"),
    (&["QUIT"], "leave it out: the script ends where the file ends"),
    (&["EXIT"], "leave it out: the script ends where the file ends"),
];

const MODELS: &str = "write the formula of the model as an expression of SELECT";
const FUNCTIONS: &str = "only built-in functions can be called: write the expression with them";

/// The refusal of `CREATE … FUNCTION name AS 'class'`, which names both: the code is not here.
pub(super) fn function(cursor: &mut Cursor<'_>) -> Option<Error> {
    let start = cursor.index();
    for form in [
        &["CREATE", "FUNCTION"][..],
        &["CREATE", "TEMPORARY", "FUNCTION"],
        &["CREATE", "TEMPORARY", "SYSTEM", "FUNCTION"],
        &["CREATE", "SYSTEM", "FUNCTION"],
    ] {
        if cursor.take_keywords(form) {
            cursor.take_keywords(&["IF", "NOT", "EXISTS"]);
            let named = cursor.index();
            while !cursor.is_done() && !cursor.at_keyword("AS") && !cursor.at_keyword("USING") {
                cursor.advance();
            }
            let name = cursor.raw(named, cursor.index());
            let span = cursor.span_from(start);
            let class = cursor.take_keyword("AS").then(|| cursor.string("the class of the function").ok()).flatten();
            let what = class.map_or_else(String::new, |class| format!(" \"{}\"", class.value));
            let error = Error::sql(format!("function \"{name}\" cannot be created: its code{what} is made for Flink"));
            return Some(error.at(span).hint(FUNCTIONS));
        }
    }
    None
}

/// Words a statement can start with, for "did you mean".
pub(super) const LEADING_WORDS: [&str; 22] = [
    "SELECT", "INSERT", "CREATE", "SET", "RESET", "EXECUTE", "BEGIN", "END", "WITH", "VALUES", "EXPLAIN", "DROP",
    "DESCRIBE", "DESC", "SHOW", "USE", "ALTER", "LOAD", "ADD", "ANALYZE", "CALL", "UPDATE",
];

/// The refusal of the statement at the cursor, if it is one of Flink's.
pub(super) fn statement(cursor: &Cursor<'_>) -> Option<Error> {
    let (words, hint) = STATEMENTS.iter().find(|(words, _)| cursor.at_keywords(words))?;
    if *words == ["ALTER"] && (cursor.at_keywords(&["ALTER", "TABLE"]) || cursor.at_keywords(&["ALTER", "VIEW"])) {
        return None;
    }
    let object = matches!(*words, ["ALTER"]) && matches!(cursor.peek_at(1), Some(Token::Word(_)));
    let end = cursor.index() + words.len() + usize::from(object);
    let span = cursor.span().to(cursor.span_at(end - 1));
    let name = match object {
        true => cursor.raw(cursor.index(), end).to_ascii_uppercase(),
        false => words.join(" "),
    };
    Some(unsupported(&name, span).hint(*hint))
}

/// "`what` is not supported yet".
pub(super) fn unsupported(what: &str, span: Span) -> Error {
    Error::sql(format!("{what} is not supported yet")).at(span)
}

/// Parts of queries that sqlparser does not read, by the words they show in the script.
const CONSTRUCTS: &[(&[&str], &str, &str)] = &[
    (
        &["WITHIN", "INTERVAL"],
        "MATCH_RECOGNIZE … WITHIN",
        "bound the time in DEFINE, as in B.ts < A.ts + INTERVAL '1' MINUTE",
    ),
    (&["FORMAT", "JSON"], "FORMAT JSON", "write JSON(value) for a text that is JSON"),
    (&["MEMBER", "OF"], "MEMBER OF", "use ARRAY_CONTAINS(array, value)"),
    (&["SUBMULTISET"], "SUBMULTISET", "write CARDINALITY(ARRAY_EXCEPT(a, b)) = 0"),
    (&["WITHIN", "DISTINCT"], "WITHIN DISTINCT", "group by these columns in a subquery, and aggregate its rows"),
];

/// Tokens before the one the parser stopped at that a construct may begin with.
const TOKENS_BEFORE: usize = 2;

/// The refusal of a construct that made the parser stop at the token `index`, in or just behind its words.
pub(super) fn construct(tokens: &[TokenWithSpan], index: usize) -> Option<Error> {
    let at = |i: usize, words: &[&str]| {
        words.iter().enumerate().all(|(k, word)| tokens.get(i + k).is_some_and(|t| is_keyword(&t.token, word)))
    };
    for i in (index.saturating_sub(TOKENS_BEFORE)..=index).rev() {
        if let Some((words, what, hint)) = CONSTRUCTS.iter().find(|(words, ..)| at(i, words)) {
            let last = tokens.get(i + words.len() - 1)?;
            return Some(unsupported(what, span_of(tokens.get(i)?).to(span_of(last))).hint(*hint));
        }
    }
    None
}
