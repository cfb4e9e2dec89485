//! LIKE and SIMILAR TO.
//!
//! # Source  Flink, `SqlLikeUtils`: `_` is Java's `.`, so it does not match the end of a line, while `%` does

use arrow::array::ArrayRef;
use datafusion::error::Result;

use super::pattern::Pattern;
use super::set::LINE_ENDS;
use crate::error::Error;
use crate::functions::scalar::{At, Call, boolean};

/// An element of a LIKE pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Char(char),
    /// `_`
    One,
    /// `%`
    Any,
}

fn wrong_escape(pattern: &str, at: usize) -> Error {
    Error::data(format!("invalid escape sequence in \"{pattern}\" at character {}", at + 1))
        .hint("behind the ESCAPE character stands \"%\", \"_\" or itself")
}

/// The character after ESCAPE.
fn escape_of(text: Option<&str>) -> Result<Option<char>> {
    let Some(text) = text else { return Ok(None) };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Some(c)),
        _ => Err(Error::data(format!("\"{text}\" is not one character, as ESCAPE takes it")).into()),
    }
}

fn pieces(pattern: &str, escape: Option<char>) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars().enumerate();
    while let Some((at, c)) = chars.next() {
        pieces.push(if Some(c) == escape {
            match chars.next() {
                Some((_, next)) if next == '_' || next == '%' || Some(next) == escape => Piece::Char(next),
                _ => return Err(wrong_escape(pattern, at).into()),
            }
        } else {
            match c {
                '_' => Piece::One,
                '%' if pieces.last() == Some(&Piece::Any) => continue,
                '%' => Piece::Any,
                c => Piece::Char(c),
            }
        });
    }
    Ok(pieces)
}

/// How a pattern is looked for: most are a text with `%` around.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Like {
    Is(String),
    Starts(String),
    Ends(String),
    Contains(String),
    Pieces(Vec<Piece>),
}

impl Like {
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Result<Self> {
        let pieces = pieces(pattern, escape)?;
        let begins = pieces.first() == Some(&Piece::Any);
        let ends = pieces.last() == Some(&Piece::Any) && pieces.len() > 1;
        let middle = pieces.get(usize::from(begins)..pieces.len() - usize::from(ends)).unwrap_or_default();
        let plain = |piece: &Piece| if let Piece::Char(c) = piece { Some(*c) } else { None };
        Ok(match (middle.iter().map(plain).collect::<Option<String>>(), begins, ends) {
            (Some(text), false, false) => Self::Is(text),
            (Some(text), false, true) => Self::Starts(text),
            (Some(text), true, false) => Self::Ends(text),
            (Some(text), true, true) => Self::Contains(text),
            (None, ..) => Self::Pieces(pieces),
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Is(whole) => text == whole,
            Self::Starts(begin) => text.starts_with(begin.as_str()),
            Self::Ends(end) => text.ends_with(end.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Pieces(pieces) => matches(pieces, text),
        }
    }
}

/// Goes on greedily and returns only to the last `%`: time is at most the product of both lengths.
fn matches(pieces: &[Piece], text: &str) -> bool {
    let (mut piece, mut rest) = (0, text.chars());
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let before = rest.clone();
        let fits = match (pieces.get(piece), rest.next()) {
            (Some(Piece::Any), _) => {
                retry = Some((piece, before.clone()));
                rest = before;
                piece += 1;
                continue;
            }
            (None, None) => return true,
            (Some(Piece::Char(wanted)), Some(c)) => *wanted == c,
            (Some(Piece::One), Some(c)) => !LINE_ENDS.contains(&c),
            _ => false,
        };
        if fits {
            piece += 1;
            continue;
        }
        let Some((any, from)) = retry.as_mut() else { return false };
        if from.next().is_none() {
            return false;
        }
        (piece, rest) = (*any + 1, from.clone());
    }
}

/// `text LIKE pattern [ESCAPE c]`.
pub(super) fn like(call: &Call<'_>) -> Result<ArrayRef> {
    each(call, Like::new, |like, text| Ok(like.matches(text)))
}

/// `text SIMILAR TO pattern [ESCAPE c]`.
pub(super) fn similar(call: &Call<'_>) -> Result<ArrayRef> {
    let compile = |pattern: &str, escape: Option<char>| {
        let java = to_java(pattern, escape)?;
        let refused = || Error::data(format!("\"{pattern}\" is no pattern for SIMILAR TO"));
        Ok(Pattern::new(&java)?.ok_or_else(refused)?)
    };
    each(call, compile, |pattern, text| Ok(pattern.occurs(text)?))
}

fn each<T>(
    call: &Call<'_>,
    compile: impl Fn(&str, Option<char>) -> Result<T>,
    test: impl Fn(&T, &str) -> Result<bool>,
) -> Result<ArrayRef> {
    let (texts, patterns, escapes) = (call.text(0)?, call.text(1)?, call.optional_text(2)?);
    let mut last: Option<(&str, Option<char>, T)> = None;
    boolean(call, |row| {
        let Some((text, pattern)) = texts.at(row).zip(patterns.at(row)) else { return Ok(None) };
        let escape = match escapes.map(|escapes| escapes.at(row)) {
            Some(None) => return Ok(None),
            given => escape_of(given.flatten())?,
        };
        let known = last.take().filter(|(known, with, _)| *known == pattern && *with == escape);
        let compiled = match known {
            Some((_, _, compiled)) => compiled,
            None => compile(pattern, escape)?,
        };
        let found = test(&compiled, text)?;
        last = Some((pattern, escape, compiled));
        Ok(Some(found))
    })
}

/// Names of classes inside `[[:…:]]`.
const CLASSES: &[(&str, &str)] = &[
    ("[:ALPHA:]", "\\p{Alpha}"),
    ("[:alpha:]", "\\p{Alpha}"),
    ("[:UPPER:]", "\\p{Upper}"),
    ("[:upper:]", "\\p{Upper}"),
    ("[:LOWER:]", "\\p{Lower}"),
    ("[:lower:]", "\\p{Lower}"),
    ("[:DIGIT:]", "\\d"),
    ("[:digit:]", "\\d"),
    ("[:SPACE:]", " "),
    ("[:space:]", " "),
    ("[:WHITESPACE:]", "\\s"),
    ("[:whitespace:]", "\\s"),
    ("[:ALNUM:]", "\\p{Alnum}"),
    ("[:alnum:]", "\\p{Alnum}"),
];

/// A pattern of SIMILAR TO as one of Java that has to fit the whole text.
///
/// # Source  Flink, `SqlLikeUtils.sqlToRegexSimilar`: all but `_`, `%`, classes and the escape goes through as it is
pub(super) fn to_java(pattern: &str, escape: Option<char>) -> Result<String> {
    const SPECIAL: &str = "[]()|^-+*_%?{}";
    let mut out = String::from("\\A(?:");
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let at = pattern.chars().count() - rest.chars().count();
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        if Some(c) == escape {
            let next = rest.chars().next().filter(|next| SPECIAL.contains(*next) || Some(*next) == escape);
            let next = next.ok_or_else(|| wrong_escape(pattern, at))?;
            rest = rest.get(next.len_utf8()..).unwrap_or("");
            if SPECIAL.contains(next) {
                out.push('\\');
            }
            out.push(next);
            continue;
        }
        if in_class && c == '[' {
            let whole = format!("[{rest}");
            let found = CLASSES.iter().find(|(name, _)| whole.starts_with(name));
            let (name, java) = found.ok_or_else(|| wrong_escape(pattern, at))?;
            out.push_str(java);
            rest = rest.get(name.len() - 1..).unwrap_or("");
            continue;
        }
        match c {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        match c {
            '_' if !in_class => out.push('.'),
            '%' if !in_class => out.push_str("(?s:.*)"),
            c => out.push(c),
        }
    }
    out.push_str(")\\z");
    Ok(out)
}
