//! `${VAR}`, `${file:PATH}`, both with `:-default`, in option values, `$${` for the characters `${` in any text.
//!
//! What they stand for may be a secret: no message shows the value of an option, only names.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::is_keyword;
use super::lexer::{span_of, variable_outside_options};
use crate::error::{Error, Result};

/// How the name of a variable begins whose value is the text of a file.
pub(in crate::sql) const FILE: &str = "file:";

/// Fills in the variables of the option values of one statement, and refuses those elsewhere.
pub(super) fn expand_statement(tokens: &mut [TokenWithSpan], variables: &dyn Fn(&str) -> Option<String>) -> Vec<Error> {
    let mut errors = Vec::new();
    let options = options(tokens);
    for index in 0..tokens.len() {
        let is_option = options.contains(&index) && index > 0 && tokens[index - 1].token == Token::Eq;
        let span = span_of(&tokens[index]);
        let Token::SingleQuotedString(text) = &mut tokens[index].token else { continue };
        if !text.contains("${") {
            continue;
        }
        let expanded = match is_option {
            true => expand(text, variables),
            false => expand(text, &|_| None).map_err(|_| variable_outside_options()),
        };
        match expanded {
            Ok(expanded) => *text = expanded,
            Err(error) => errors.push(error.at(span)),
        }
    }
    errors
}

/// The options of a `CREATE TABLE … WITH (…)` or `ALTER TABLE … SET (…)`: the tokens between the parentheses.
fn options(tokens: &[TokenWithSpan]) -> std::ops::Range<usize> {
    let word = |i: usize, word: &str| tokens.get(i).is_some_and(|t| is_keyword(&t.token, word));
    let creates = word(0, "CREATE") && (1..4).any(|i| word(i, "TABLE"));
    let opening = match creates {
        true => "WITH",
        false if word(0, "ALTER") && word(1, "TABLE") => "SET",
        false => return 0..0,
    };
    let (mut depth, mut start) = (0i64, None);
    for (i, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        match start {
            None if depth == 0 && word(i, opening) => start = Some(i),
            Some(start) if depth == 0 && i > start => return start..i,
            _ => {}
        }
    }
    start.map_or(0..0, |start| start..tokens.len())
}

/// `text` with its variables filled in.
fn expand(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        let Some((inside, after)) = after.split_once('}') else {
            return Err(Error::config("a variable is not closed").hint("end it with }"));
        };
        out.push_str(before);
        out.push_str(&value_of(inside, variables)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of `NAME`, `NAME:-default`, `file:PATH` or `file:PATH:-default`; a variable that is set but empty counts as unset only with a
/// default, as in the shell.
fn value_of(inside: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if let Some(path) = name.strip_prefix(FILE) {
        return match (variables(name).filter(|text| default.is_none() || !text.is_empty()), default) {
            (Some(text), _) => Ok(text),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(Error::config(format!("the file \"{path}\" of a variable cannot be read"))
                .hint("it must be there, readable, UTF-8, and not longer than 64 KiB")),
        };
    }
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Error::config(format!("\"{name}\" is no name of a variable"))
            .hint("write ${NAME}, ${NAME:-default} or ${file:PATH}, or $${ for the characters themselves"));
    }
    match (variables(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Error::config(format!("environment variable \"{name}\" is not set"))
            .hint(format!("export {name}=…, or write a default: ${{{name}:-…}}"))),
    }
}
