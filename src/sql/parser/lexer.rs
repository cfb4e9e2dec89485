//! Text to tokens, by Flink's lexical rules.
//!
//! sqlparser's own lexer accepts much that Flink refuses (`"x"`, `!=`, `::`, `R'…'`) and stops at the
//! first mistake, so this one makes sqlparser's tokens itself: no white space, no comments but hints
//! (`/*+ … */`, which sqlparser passes over as white space and [`super::hints`] reads), `>>` as two tokens, and every mistake an error beside the tokens. Columns count characters.

use std::ops::Range;

use datafusion::sql::sqlparser::tokenizer::{Location, Span as TokenSpan, Token, TokenWithSpan, Whitespace};

use super::ast::script_span;
use crate::error::{Error, Result, Span};
use crate::limits;

/// Operators at one level of one expression. Trees of sqlparser are as deep as such a chain is long, and
/// are walked recursively by everything behind the parser.
pub(super) const CHAIN_OPERATORS_MAX: usize = 500;

/// The tokens of a script.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// Tokens with their places.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Bytes of each token in the text.
    pub(super) bytes: Vec<Range<usize>>,
    /// Mistakes, each with the number of tokens before it.
    pub(super) errors: Vec<(usize, Error)>,
}

/// The tokens of `text`.
pub(super) fn tokenize(text: &str) -> Lexed {
    let mut lexer = Lexer { text, at: 0, line: 1, column: 1, out: Lexed::default() };
    while let Some(c) = lexer.peek() {
        lexer.token(c);
    }
    lexer.out
}

struct Lexer<'a> {
    text: &'a str,
    /// Byte of the next character.
    at: usize,
    line: u64,
    column: u64,
    out: Lexed,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().nth(1)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn location(&self) -> Location {
        Location::new(self.line, self.column)
    }

    /// Consumes `count` characters and emits `token` for them.
    fn emit(&mut self, token: Token, count: usize) {
        let (start, byte) = (self.location(), self.at);
        for _ in 0..count {
            self.next();
        }
        self.push(token, start, byte);
    }

    fn push(&mut self, token: Token, start: Location, byte: usize) {
        let span = TokenSpan::new(start, self.location());
        self.out.tokens.push(TokenWithSpan::new(token, span));
        self.out.bytes.push(byte..self.at);
    }

    fn error(&mut self, error: Error, start: Location) {
        let span = TokenSpan::new(start, self.location());
        let error = error.or_at(script_span(span));
        self.out.errors.push((self.out.tokens.len(), error));
    }

    fn token(&mut self, c: char) {
        match (c, self.peek_second()) {
            ('\0', _) => {
                let start = self.location();
                self.next();
                self.error(Error::sql("the script contains a NUL character").hint("remove it"), start);
            }
            (c, _) if c.is_whitespace() => {
                self.next();
            }
            ('-', Some('-')) => {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.next();
                }
            }
            ('/', Some('*')) => self.comment(),
            ('\'', _) => self.string(),
            ('x' | 'X', Some('\'')) => self.hex_string(),
            // a text of the national character set is a text
            ('n' | 'N', Some('\'')) => {
                self.next();
                self.string();
            }
            ('u' | 'U', Some('&')) if self.rest().starts_with("&'") => self.unicode_string(),
            ('`', _) => self.quoted_word(),
            ('"', _) => self.double_quoted(),
            ('$', Some('{')) => self.stray_variable(),
            (c, _) if is_word_start(c) => self.word(),
            (c, _) if c.is_ascii_digit() => self.number(),
            ('.', Some(second)) if second.is_ascii_digit() && !self.follows_name() => self.number(),
            (c, second) => self.operator(c, second),
        }
    }

    /// The token before touches the next character and can have a member: `a.1` is no number `.1`.
    fn follows_name(&self) -> bool {
        let touches = self.out.bytes.last().is_some_and(|bytes| bytes.end == self.at);
        touches
            && matches!(
                self.out.tokens.last().map(|t| &t.token),
                Some(Token::Word(_) | Token::RParen | Token::RBracket)
            )
    }

    fn comment(&mut self) {
        let (start, byte) = (self.location(), self.at);
        let hint = self.text.get(self.at..).is_some_and(|rest| rest.starts_with("/*+"));
        self.next();
        self.next();
        let mut last = ' ';
        while let Some(c) = self.next() {
            if last == '*' && c == '/' {
                if hint {
                    let inside = self.text.get(byte + 3..self.at.saturating_sub(2)).unwrap_or("").to_owned();
                    self.push(Token::Whitespace(Whitespace::MultiLineComment(inside)), start, byte);
                }
                return;
            }
            last = c;
        }
        self.error(Error::sql("comment is not closed").hint("end it with */"), start);
    }

    /// Reads up to the closing `quote`, a doubled one stands for itself. `None` if it is never closed.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        self.next();
        while let Some(c) = self.next() {
            if c != quote {
                value.push(c);
            } else if self.peek() == Some(quote) {
                self.next();
                value.push(c);
            } else {
                return Some(value);
            }
        }
        None
    }

    fn string(&mut self) {
        let (start, byte) = (self.location(), self.at);
        match self.quoted('\'') {
            Some(value) => self.push(Token::SingleQuotedString(value), start, byte),
            None => self.unclosed("text is not closed", "end it with '; a quote inside text is written ''", start),
        }
    }

    fn hex_string(&mut self) {
        let (start, byte) = (self.location(), self.at);
        self.next();
        match self.quoted('\'') {
            Some(value) if value.len() % 2 == 0 && value.chars().all(|c| c.is_ascii_hexdigit()) => {
                self.push(Token::HexStringLiteral(value), start, byte);
            }
            Some(value) => {
                let error = Error::sql(format!("\"{value}\" is no hexadecimal text"))
                    .hint("write two digits of 0-9 and A-F per byte, as in X'48656C'");
                self.error(error, start);
            }
            None => self.unclosed("text is not closed", "end it with '", start),
        }
    }

    /// `U&'caf\00e9'`, or with another sign for the backslash `U&'caf!00e9' UESCAPE '!'`.
    fn unicode_string(&mut self) {
        let (start, byte) = (self.location(), self.at);
        self.next();
        self.next();
        let Some(value) = self.quoted('\'') else {
            return self.unclosed("text is not closed", "end it with '", start);
        };
        match self.unicode_escape().and_then(|escape| unescaped(&value, escape)) {
            Ok(text) => self.push(Token::SingleQuotedString(text), start, byte),
            Err(error) => self.error(error, start),
        }
    }

    /// The character that `UESCAPE` names behind a text, or the backslash.
    fn unicode_escape(&mut self) -> Result<char> {
        let behind = self.text.get(self.at..).unwrap_or("").trim_start();
        let word = behind.get(..7).filter(|word| word.eq_ignore_ascii_case("UESCAPE"));
        if word.is_none() {
            return Ok('\\');
        }
        while self.peek().is_some_and(|c| c != '\'') {
            self.next();
        }
        let sign = self.quoted('\'').filter(|sign| sign.chars().count() == 1);
        sign.and_then(|sign| sign.chars().next())
            .ok_or_else(|| Error::sql("UESCAPE takes one character").hint("write UESCAPE '!'"))
    }

    /// The text behind the next character.
    fn rest(&self) -> &str {
        let next = self.peek().map_or(0, char::len_utf8);
        self.text.get(self.at + next..).unwrap_or("")
    }

    fn quoted_word(&mut self) {
        let (start, byte) = (self.location(), self.at);
        match self.quoted('`') {
            Some(value) if value.is_empty() => {
                self.error(Error::sql("a name is empty").hint("write a name between the back-ticks"), start);
            }
            Some(value) if value.contains("${") => self.error(variable_outside_options(), start),
            Some(value) => self.push(Token::make_word(&value, Some('`')), start, byte),
            None => self.unclosed("name is not closed", "end it with `", start),
        }
    }

    fn double_quoted(&mut self) {
        let start = self.location();
        match self.quoted('"') {
            Some(value) => {
                let error = Error::sql(format!("\"{value}\" is in double quotes, which Flink SQL does not have"))
                    .hint(format!("use '{value}' for text, or `{value}` for a name"));
                self.error(error, start);
            }
            None => self.unclosed("double quote is not closed", "use 'x' for text, or `x` for a name", start),
        }
    }

    /// The rest of the script is gone: the mistake is shown where the quote opened.
    fn unclosed(&mut self, message: &str, hint: &str, start: Location) {
        let end = Location::new(start.line, start.column + 1);
        let span = script_span(TokenSpan::new(start, end));
        self.error(Error::sql(message).hint(hint).or_at(span), start);
    }

    fn stray_variable(&mut self) {
        let start = self.location();
        while self.peek().is_some_and(|c| c != '}' && c != '\n' && c != ';') {
            self.next();
        }
        if self.peek() == Some('}') {
            self.next();
        }
        self.error(variable_outside_options(), start);
    }

    fn word(&mut self) {
        let (start, byte) = (self.location(), self.at);
        while self.peek().is_some_and(is_word_part) && !self.text.get(self.at..).unwrap_or("").starts_with("${") {
            self.next();
        }
        let word = Token::make_word(self.text.get(byte..self.at).unwrap_or(""), None);
        self.push(word, start, byte);
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.next();
        }
    }

    fn number(&mut self) {
        let (start, byte) = (self.location(), self.at);
        self.digits();
        if self.peek() == Some('.') && !self.names_follow() {
            self.next();
            self.digits();
        }
        if self.exponent_follows() {
            self.next();
            self.next();
            self.digits();
        }
        let text = self.text.get(byte..self.at).unwrap_or("");
        self.push(Token::Number(text.to_owned(), false), start, byte);
    }

    /// Whether what follows the point is no fraction, which may be empty: `1.` is a DECIMAL.
    fn names_follow(&self) -> bool {
        self.peek_second().is_some_and(|c| c == '.' || c == '`' || c == '_' || c.is_alphabetic())
    }

    fn exponent_follows(&self) -> bool {
        let mut rest = self.text.get(self.at..).unwrap_or("").chars();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        matches!(rest.next(), Some('e' | 'E'))
            && match rest.next() {
                Some('+' | '-') => digit(rest.next()),
                second => digit(second),
            }
    }

    fn operator(&mut self, c: char, second: Option<char>) {
        let start = self.location();
        let (token, length) = match (c, second) {
            ('<', Some('>')) => (Token::Neq, 2),
            ('<', Some('=')) => (Token::LtEq, 2),
            ('>', Some('=')) => (Token::GtEq, 2),
            ('=', Some('>')) => (Token::RArrow, 2),
            ('|', Some('|')) => (Token::StringConcat, 2),
            ('!', Some('=')) => {
                self.emit(Token::Neq, 2);
                let error = Error::sql("operator \"!=\" does not exist in Flink SQL").hint("use <>");
                return self.error(error, start);
            }
            (':', Some(':')) => {
                self.emit(Token::Colon, 2);
                let error = Error::sql("operator \"::\" does not exist in Flink SQL").hint("use CAST(value AS type)");
                return self.error(error, start);
            }
            _ => (single(c), 1),
        };
        self.emit(token, length);
    }
}

/// A text with its characters in place of their numbers: four hexadecimal digits, of UTF-16.
fn unescaped(text: &str, escape: char) -> Result<String> {
    let mut units = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != escape {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        let behind = rest.as_str();
        if behind.starts_with(escape) {
            rest.next();
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        let digits = behind.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        units.push(unit.ok_or_else(|| {
            Error::sql(format!("\"{escape}\" in a text of U&'…' is not followed by four hexadecimal digits"))
                .hint(format!("write {escape}00e9 for é, and {escape}{escape} for {escape} itself"))
        })?);
        rest = behind.get(4..).unwrap_or("").chars();
    }
    String::from_utf16(&units).map_err(|_| Error::sql("a text of U&'…' has half of a character of UTF-16"))
}

fn single(c: char) -> Token {
    match c {
        '<' => Token::Lt,
        '>' => Token::Gt,
        '=' => Token::Eq,
        '+' => Token::Plus,
        '-' => Token::Minus,
        '*' => Token::Mul,
        '/' => Token::Div,
        '%' => Token::Mod,
        '(' => Token::LParen,
        ')' => Token::RParen,
        '[' => Token::LBracket,
        ']' => Token::RBracket,
        '{' => Token::LBrace,
        '}' => Token::RBrace,
        ',' => Token::Comma,
        '.' => Token::Period,
        ';' => Token::SemiColon,
        ':' => Token::Colon,
        '|' => Token::Pipe,
        '&' => Token::Ampersand,
        '^' => Token::Caret,
        '!' => Token::ExclamationMark,
        // what sqlparser reads as a quantifier of MATCH_RECOGNIZE
        '?' => Token::Placeholder("?".to_owned()),
        other => Token::Char(other),
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The error of a `${…}` that is not in an option value.
pub(super) fn variable_outside_options() -> Error {
    Error::sql("a variable can only stand in an option value")
        .hint("write it as in WITH ('topic' = '${TOPIC:-readings}'), or $${ for the characters themselves")
}

/// Refuses what would make a tree too deep to walk: nested parentheses and types, and long chains of
/// operators. One pass without recursion.
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), Error> {
    let mut levels = vec![Level::default()];
    let mut types = 0usize;
    for (index, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace if levels.len() > 1 => {
                let inner = levels.pop().map_or(0, |level| level.depth());
                if let Some(outer) = levels.last_mut() {
                    outer.inner = outer.inner.max(inner);
                }
            }
            Token::Comma => levels.last_mut().into_iter().for_each(Level::next_element),
            Token::Lt if index > 0 && opens_type(&tokens[index - 1].token) => types += 1,
            Token::Gt => types = types.saturating_sub(1),
            token if is_operator(token) => levels.last_mut().into_iter().for_each(|l| l.operators += 1),
            _ => {}
        }
        let depth = levels.len() - 1 + types;
        if depth > limits::SQL_DEPTH_MAX {
            let max = limits::SQL_DEPTH_MAX;
            return Err(Error::sql(format!("more than {max} parentheses or types inside each other"))
                .or_at(script_span(token.span))
                .hint("move inner queries into views"));
        }
        if levels.last().is_some_and(|level| level.depth() > CHAIN_OPERATORS_MAX) {
            return Err(Error::sql(format!("more than {CHAIN_OPERATORS_MAX} operators in one expression"))
                .or_at(script_span(token.span))
                .hint("use IN (…), a CASE, or a view for a part of it"));
        }
    }
    Ok(())
}

/// What is known of one open parenthesis.
#[derive(Debug, Default)]
struct Level {
    /// Depth of the deepest element before the current one.
    before: usize,
    /// Depth of the deepest parenthesis within the current element.
    inner: usize,
    /// Operators in the current element.
    operators: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.inner + self.operators)
    }

    fn next_element(&mut self) {
        *self = Self { before: self.depth(), inner: 0, operators: 0 };
    }
}

fn opens_type(token: &Token) -> bool {
    const TYPES: [&str; 5] = ["ARRAY", "MAP", "MULTISET", "ROW", "STRUCT"];
    matches!(token, Token::Word(w) if w.quote_style.is_none() && TYPES.iter().any(|t| w.value.eq_ignore_ascii_case(t)))
}

fn is_operator(token: &Token) -> bool {
    const WORDS: [&str; 20] = [
        "AND",
        "OR",
        "NOT",
        "IS",
        "LIKE",
        "SIMILAR",
        "BETWEEN",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "MINUS",
        "CASE",
        "INTERVAL",
        "JOIN",
        "WITH",
        "SELECT",
        "IN",
        "AT",
        "COLLATE",
        "OVER",
    ];
    match token {
        Token::Word(w) => w.quote_style.is_none() && WORDS.iter().any(|word| w.value.eq_ignore_ascii_case(word)),
        Token::Lt | Token::Gt | Token::Eq | Token::Neq | Token::LtEq | Token::GtEq | Token::Plus | Token::Minus => true,
        Token::Mul | Token::Div | Token::Mod | Token::StringConcat | Token::Pipe | Token::Ampersand => true,
        Token::Caret | Token::ExclamationMark | Token::Colon | Token::RArrow => true,
        _ => false,
    }
}

/// Where `token` stands.
pub(super) fn span_of(token: &TokenWithSpan) -> Span {
    script_span(token.span).unwrap_or_else(|| Span::new(1, 1, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_by_their_numbers() {
        assert_eq!(unescaped("\\00e9x\\00E9", '\\').unwrap(), "éxé");
        assert_eq!(unescaped("a!00e9!!", '!').unwrap(), "aé!");
        assert_eq!(unescaped("\\d83d\\de00", '\\').unwrap(), "😀");
        for wrong in ["\\zz", "\\00", "\\", "\\é00e", "\\d83d"] {
            assert!(unescaped(wrong, '\\').is_err(), "{wrong}");
        }
    }
}
