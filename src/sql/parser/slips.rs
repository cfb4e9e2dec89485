//! Syntax errors in the reader's words, with a hint for the slip that is behind most of them.

use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::cursor::{Cursor, is_keyword};
use super::lexer::span_of;
use super::names;
use super::refusals;
use crate::error::{Error, Span};

/// Two words that can only stand at the start of a statement.
const STATEMENT_STARTS: [[&str; 2]; 11] = [
    ["INSERT", "INTO"],
    ["INSERT", "OVERWRITE"],
    ["EXECUTE", "STATEMENT"],
    ["EXECUTE", "INSERT"],
    ["BEGIN", "STATEMENT"],
    ["CREATE", "TABLE"],
    ["CREATE", "TEMPORARY"],
    ["CREATE", "VIEW"],
    ["DROP", "TABLE"],
    ["DROP", "VIEW"],
    ["DROP", "TEMPORARY"],
];

/// The beginning of a hint.
const COMMA_MISSING: &str = "is a comma missing before";

/// "expected `what`, found …" for the token at `index`, with a hint where the slip is known.
pub(super) fn expected(what: &str, tokens: &[TokenWithSpan], index: usize) -> Error {
    let found = tokens.get(index).map_or_else(|| "the end of the statement".to_owned(), |t| shown(&t.token));
    let hint = hint(what, tokens, index);
    // what may stand where a query could end, in the order in which it is likely
    let slip = hint.as_deref().is_some_and(|hint| hint.starts_with(COMMA_MISSING));
    let query = || tokens.iter().take(index).any(|t| is_keyword(&t.token, "SELECT"));
    let what = if slip && what.contains("the end") && query() { "\",\" or a clause" } else { what };
    let error = Error::sql(format!("expected {what}, found {found}"));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(what: &str, tokens: &[TokenWithSpan], index: usize) -> Option<String> {
    let token = tokens.get(index).map(|t| &t.token);
    let previous = index.checked_sub(1).and_then(|i| tokens.get(i)).map(|t| &t.token);
    let Some(token) = token else {
        return open_parenthesis(tokens)
            .map(|span| format!("the \"(\" in line {}, column {} is not closed", span.line, span.column));
    };
    let ends = what.contains("the end") || what == "\";\"";
    if let Some(hint) = foreign(token, previous) {
        return Some(hint);
    }
    if ends
        && let Some(Token::Word(word)) = previous
        && let Some(meant) = meant(word)
    {
        return Some(format!("did you mean {meant} instead of \"{}\"?", word.value));
    }
    if let Some(hint) = form(tokens.get(..index)?, token) {
        return Some(hint);
    }
    if *token == Token::LParen && matches!(previous, Some(Token::Word(word)) if takes_no_length(&word.value)) {
        return Some("the type takes no length: leave the parentheses out".to_owned());
    }
    let query = is_keyword(token, "SELECT") || is_keyword(token, "WITH");
    if ends && (starts_statement(tokens, index) || query && previous == Some(&Token::RParen)) {
        return Some(format!("is a \";\" missing before {}?", shown(token)));
    }
    if matches!(previous, Some(Token::Comma)) && (*token == Token::RParen || is_keyword(token, "FROM")) {
        return Some(format!("remove the comma before {}", shown(token)));
    }
    let before = |words: usize| index.checked_sub(words).and_then(|i| tokens.get(i)).map(|t| &t.token);
    if before(3) == Some(&Token::Mul) && before(2).is_some_and(|t| is_keyword(t, "EXCEPT")) {
        return Some("write the columns out: there is no * EXCEPT (…)".to_owned());
    }
    if *token == Token::RArrow {
        return Some("the argument behind \"=>\" cannot be read".to_owned());
    }
    if let Token::Word(word) = token
        && word.quote_style.is_none()
        && names::is_likely_name(&word.value)
        && (what.contains("name") || what.contains("identifier") || what.contains("expression"))
    {
        return Some(format!("as a name, put it in back-ticks: `{}`", word.value));
    }
    if *token == Token::RParen && open_parenthesis(tokens.get(..index)?).is_none() {
        return Some("this \")\" closes nothing".to_owned());
    }
    let closes = what.contains("\")\"");
    if closes && is_clause(token) {
        return open_parenthesis(tokens.get(..index)?)
            .map(|span| format!("the \"(\" in line {}, column {} is not closed", span.line, span.column));
    }
    if let Some(hint) = unfinished(what, token, previous) {
        return Some(hint.to_owned());
    }
    let starts_value = matches!(token, Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_));
    let list = closes || ends || what.contains("\",\"") || what.contains("\"]\"");
    (list && starts_value && !is_clause(token) && previous.is_some_and(ends_value))
        .then(|| format!("{COMMA_MISSING} {}?", shown(token)))
}

/// Functions that are written with words, and how.
const FORMS: [(&str, &str); 9] = [
    ("CAST", "CAST(value AS type)"),
    ("TRY_CAST", "TRY_CAST(value AS type)"),
    ("SUBSTRING", "SUBSTRING(text, start [, length])"),
    ("TRIM", "TRIM(text), or TRIM(BOTH | LEADING | TRAILING characters FROM text)"),
    ("POSITION", "POSITION(search IN text)"),
    ("OVERLAY", "OVERLAY(text PLACING other FROM start [FOR length])"),
    ("EXTRACT", "EXTRACT(unit FROM time), as EXTRACT(HOUR FROM ts)"),
    ("CEIL", "CEIL(number), or CEIL(time TO unit), as CEIL(ts TO HOUR)"),
    ("FLOOR", "FLOOR(number), or FLOOR(time TO unit), as FLOOR(ts TO HOUR)"),
];

/// How the function is written whose parenthesis is open before `token`, if it has words of its own.
fn form(before: &[TokenWithSpan], token: &Token) -> Option<String> {
    let open = last_open(before)?;
    let name = &before.get(open.checked_sub(1)?)?.token;
    // a word that begins a clause stands behind a call that was not closed
    let closed = !is_clause(token) || ["AS", "FROM", "FOR", "IN", "TO"].iter().any(|word| is_keyword(token, word));
    let (_, usage) = FORMS.iter().find(|(form, _)| is_keyword(name, form)).filter(|_| closed)?;
    Some(format!("write {usage}"))
}

fn takes_no_length(name: &str) -> bool {
    ["TINYINT", "SMALLINT", "INT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "STRING", "BYTES", "BOOLEAN", "DATE"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// What is missing where a construct was begun and not finished.
fn unfinished(what: &str, token: &Token, previous: Option<&Token>) -> Option<&'static str> {
    let behind = |word: &str| previous.is_some_and(|previous| is_keyword(previous, word));
    Some(match what {
        "END" => "a CASE ends with END: CASE WHEN condition THEN value ELSE other END",
        "AND" => "write BETWEEN low AND high",
        _ if what.starts_with(AFTER_IS) => "write IS NULL, IS NOT NULL, IS TRUE or IS FALSE; compare with = otherwise",
        _ if what.contains("expression") && is_keyword(token, "FROM") && behind("SELECT") => {
            "name columns behind SELECT, or write SELECT * for all"
        }
        _ if what.contains("expression") && *token == Token::RParen && previous == Some(&Token::LParen) => {
            "write a value between the parentheses"
        }
        "\"(\"" if is_keyword(token, "SELECT") => "a query of WITH stands in parentheses: WITH name AS (SELECT …)",
        _ if what.contains("the end") && is_keyword(token, "END") => "is a \";\" missing before END?",
        _ if what.contains("the end") && *token == Token::LParen => {
            "options stand behind the word WITH: WITH ('key' = 'value')"
        }
        _ => return None,
    })
}

/// How the sentence about what may follow IS begins.
const AFTER_IS: &str = "NULL, TRUE";

/// The clause behind FROM that a word was meant to begin; sqlparser has taken it for an alias.
fn meant(word: &Word) -> Option<&'static str> {
    const CLAUSES: [&str; 9] =
        ["FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "WINDOW", "UNION ALL", "JOIN", "LIMIT"];
    if word.quote_style.is_some() {
        return None;
    }
    let written = word.value.to_ascii_uppercase();
    let near = |clause: &&&str| {
        let first = clause.split(' ').next().unwrap_or_default();
        **clause != written && clause.replace(' ', "") == written || strsim::damerau_levenshtein(first, &written) == 1
    };
    CLAUSES.iter().find(near).copied()
}

/// What another language writes so, or a word processor.
fn foreign(token: &Token, previous: Option<&Token>) -> Option<String> {
    Some(match token {
        Token::Eq if previous == Some(&Token::Eq) => "write one = to compare".to_owned(),
        Token::DoubleEq => "write one = to compare".to_owned(),
        Token::Ampersand | Token::Overlap => "write AND".to_owned(),
        Token::Word(word)
            if word.value.eq_ignore_ascii_case("DIV")
                && word.quote_style.is_none()
                && previous.is_some_and(ends_value) =>
        {
            "write a / b: whole numbers divide to a whole number".to_owned()
        }
        Token::Char('‘' | '’' | '“' | '”' | '´') => "texts stand in plain quotes: '…'".to_owned(),
        Token::Char(c) if ('\u{ff01}'..='\u{ff5e}').contains(c) => {
            let plain = u32::from(*c).checked_sub(0xfee0).and_then(char::from_u32)?;
            format!("write \"{plain}\": this one is its full-width form")
        }
        _ => return None,
    })
}

/// A value, a name or a type can end with `token`.
fn ends_value(token: &Token) -> bool {
    match token {
        Token::Word(_) => !is_clause(token),
        Token::Number(..) | Token::SingleQuotedString(_) => true,
        Token::RParen | Token::RBracket | Token::Gt => true,
        _ => false,
    }
}

/// A word that begins a clause and is never meant as a name.
fn is_clause(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none()
        && names::is_reserved(&word.value)
        && !names::is_likely_name(&word.value))
}

/// The last `(` that is not closed.
fn open_parenthesis(tokens: &[TokenWithSpan]) -> Option<Span> {
    last_open(tokens).and_then(|at| tokens.get(at)).map(span_of)
}

/// Its place among the tokens.
fn last_open(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => open.push(at),
            Token::RParen => {
                open.pop();
            }
            _ => {}
        }
    }
    open.last().copied()
}

fn starts_statement(tokens: &[TokenWithSpan], index: usize) -> bool {
    let at = |offset: usize, word: &str| tokens.get(index + offset).is_some_and(|t| is_keyword(&t.token, word));
    index > 0 && STATEMENT_STARTS.iter().any(|[first, second]| at(0, first) && at(1, second))
}

/// A token as people name it.
fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("\"{}\"", word.value),
        Token::SingleQuotedString(text) => format!("'{text}'"),
        Token::EOF => "the end of the statement".to_owned(),
        other => format!("\"{other}\""),
    }
}

/// The script's error for sqlparser's about the tokens the cursor had to read.
pub(super) fn translate(error: &ParserError, cursor: &Cursor<'_>) -> Error {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::sql("the query is nested too deeply")
                .at(cursor.span().to(cursor.span_at(cursor.end().saturating_sub(1))))
                .hint("move inner queries into views");
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let tokens = cursor.statement();
    let (message, place) = split_location(text);
    let mut index = place.and_then(|place| position_of(tokens, place)).unwrap_or_else(|| cursor.end());
    if message.starts_with("Expected an expression, found") {
        // of this message alone sqlparser gives the place behind
        index = index.saturating_sub(1);
    }
    if message == "Expected 'FROM' or ','"
        && let Some(at) = extract_without_from(tokens)
    {
        return expected("FROM", tokens, at).at(cursor.span_at(at));
    }
    if let Some(error) = refusals::construct(tokens, index) {
        return error;
    }
    let mut inside = cursor.index() + 1..cursor.end().min(index + 2);
    if let Some(start) = inside.find(|&i| starts_statement(tokens, i)) {
        return expected("\";\"", tokens, start).at(cursor.span_at(start));
    }
    let span = cursor.span_at(index);
    let what = message.strip_prefix("Expected").and_then(|m| m.split_once(", found: ")).map(|(what, _)| what);
    let what = what.map(|what| what.trim_start_matches([':', ' ']));
    match what {
        Some(what) => expected(&in_words(what), tokens, index).at(span),
        None if message.starts_with("INTERVAL requires a unit") => {
            let units = ["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"];
            let error = match tokens.get(index).map(|token| &token.token) {
                Some(Token::Word(word)) if !is_clause(&tokens[index].token) => {
                    let near = units
                        .iter()
                        .find(|unit| strsim::damerau_levenshtein(unit, &word.value.to_ascii_uppercase()) <= 3);
                    let error = Error::sql(format!("\"{}\" is no unit of an interval", word.value)).at(span);
                    return match near {
                        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                        None => error.hint("write one of SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, YEAR"),
                    };
                }
                _ => Error::sql("an interval needs a unit"),
            };
            error.at(span).hint("write it behind the text, as in INTERVAL '5' MINUTE")
        }
        None if message.starts_with("No infix parser") => expected("the end of the expression", tokens, index).at(span),
        None => Error::sql(lowercase(message)).at(span),
    }
}

/// The token behind `EXTRACT(unit` that is not FROM: here sqlparser gives no place.
fn extract_without_from(tokens: &[TokenWithSpan]) -> Option<usize> {
    let at = tokens.windows(4).position(|window| match window {
        [name, open, _, from] => {
            is_keyword(&name.token, "EXTRACT") && open.token == Token::LParen && !is_keyword(&from.token, "FROM")
        }
        _ => false,
    });
    at.map(|at| at + 3)
}

fn split_location(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let place =
        place.split_once(", Column: ").and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    (message, place)
}

fn position_of(tokens: &[TokenWithSpan], (line, column): (u64, u64)) -> Option<usize> {
    tokens.iter().position(|t| t.span.start.line == line && t.span.start.column == column)
}

/// What sqlparser expected, with its symbols in double quotes.
fn in_words(what: &str) -> String {
    match what {
        "end of statement" => "the end of the statement".to_owned(),
        "identifier" => "a name".to_owned(),
        "date/time field" => "a unit of time".to_owned(),
        choice if choice.starts_with("[NOT] NULL | TRUE") => format!("{AFTER_IS}, FALSE, UNKNOWN or DISTINCT FROM"),
        symbol if symbol.chars().all(|c| c.is_ascii_punctuation()) => format!("\"{symbol}\""),
        other => other.to_owned(),
    }
}

fn lowercase(message: &str) -> String {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message).trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}
