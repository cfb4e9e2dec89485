//! A place in the tokens of one statement, with the questions a hand-written parser asks.
//!
//! A cursor never moves past its end and never panics; at the end, [`Cursor::span`] is the place just
//! behind the last token.

use std::ops::Range;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::Spanned;
use super::lexer::span_of;
use super::slips;
use crate::error::{Error, Result, Span};

/// Reads the tokens of one statement from left to right.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
    bytes: &'a [Range<usize>],
    index: usize,
    /// Where reading ends: the end of the statement, or of the part of it that this cursor is for.
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [TokenWithSpan], bytes: &'a [Range<usize>]) -> Self {
        Self { text, tokens, bytes, index: 0, end: tokens.len() }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Moves to the token at `index`, at most to the end.
    pub(super) fn seek(&mut self, index: usize) {
        self.index = index.min(self.end);
    }

    pub(super) fn is_done(&self) -> bool {
        self.index >= self.end
    }

    /// Index behind the last token to read.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// All tokens of the statement, also those this cursor does not read.
    pub(super) fn statement(&self) -> &'a [TokenWithSpan] {
        self.tokens
    }

    /// The tokens not read yet.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens.get(self.index..self.end).unwrap_or(&[])
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.peek_at(0)
    }

    /// The token `ahead` tokens further on.
    pub(super) fn peek_at(&self, ahead: usize) -> Option<&'a Token> {
        self.rest().get(ahead).map(|t| &t.token)
    }

    pub(super) fn advance(&mut self) {
        self.seek(self.index + 1);
    }

    /// Where the next token stands.
    pub(super) fn span(&self) -> Span {
        self.span_at(self.index)
    }

    pub(super) fn span_at(&self, index: usize) -> Span {
        match (self.tokens.get(index), self.tokens.last()) {
            (Some(token), _) => span_of(token),
            (None, Some(last)) => {
                let last = span_of(last);
                Span { line: last.end_line, column: last.end_column, ..Span::new(last.end_line, last.end_column, 0) }
            }
            (None, None) => Span::new(1, 1, 2),
        }
    }

    /// From the token at `index` to the last token read.
    pub(super) fn span_from(&self, index: usize) -> Span {
        self.span_at(index).to(self.span_at(self.index.saturating_sub(1).max(index)))
    }

    /// The text between the token at `from` and the one before `to`, as written.
    pub(super) fn raw(&self, from: usize, to: usize) -> &'a str {
        match (self.bytes.get(from), to.checked_sub(1).and_then(|last| self.bytes.get(last))) {
            (Some(first), Some(last)) => self.text.get(first.start..last.end).unwrap_or(""),
            _ => "",
        }
    }

    /// A cursor that reads from `from` up to `to`, and knows what follows for its errors.
    pub(super) fn slice(&self, from: usize, to: usize) -> Cursor<'a> {
        let end = to.min(self.end);
        Cursor { index: from.min(end), end, ..self.clone() }
    }

    /// The next token is the unquoted word `keyword`.
    pub(super) fn at_keyword(&self, keyword: &str) -> bool {
        self.peek().is_some_and(|token| is_keyword(token, keyword))
    }

    /// The next tokens are these unquoted words.
    pub(super) fn at_keywords(&self, keywords: &[&str]) -> bool {
        keywords.iter().enumerate().all(|(i, k)| self.peek_at(i).is_some_and(|token| is_keyword(token, k)))
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        self.take_keywords(&[keyword])
    }

    pub(super) fn take_keywords(&mut self, keywords: &[&str]) -> bool {
        let found = self.at_keywords(keywords);
        if found {
            self.seek(self.index + keywords.len());
        }
        found
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_keywords(&mut self, keywords: &[&str]) -> Result<()> {
        keywords.iter().try_for_each(|keyword| match self.take_keyword(keyword) {
            true => Ok(()),
            false => Err(self.expected(keyword)),
        })
    }

    pub(super) fn expect(&mut self, token: &Token) -> Result<()> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.expected(&format!("\"{token}\""))),
        }
    }

    /// Refuses anything that follows.
    pub(super) fn expect_end(&self) -> Result<()> {
        match self.is_done() {
            true => Ok(()),
            false => Err(self.expected("the end of the statement")),
        }
    }

    /// A name, plain or in back-ticks.
    pub(super) fn name(&mut self, what: &str) -> Result<Spanned<String>> {
        let span = self.span();
        match self.peek() {
            Some(Token::Word(word)) => {
                self.advance();
                Ok(Spanned::new(word.value.clone(), span))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A text in single quotes.
    pub(super) fn string(&mut self, what: &str) -> Result<Spanned<String>> {
        let span = self.span();
        match self.peek() {
            Some(Token::SingleQuotedString(value)) => {
                self.advance();
                Ok(Spanned::new(value.clone(), span))
            }
            _ => Err(self.expected(what)),
        }
    }

    /// `(name, …)`.
    pub(super) fn names(&mut self) -> Result<Vec<Spanned<String>>> {
        self.expect(&Token::LParen)?;
        let mut names = vec![self.name("a column name")?];
        while self.take(&Token::Comma) {
            names.push(self.name("a column name")?);
        }
        self.expect(&Token::RParen)?;
        Ok(names)
    }

    /// Index of the `,` or `)` that ends the element at the cursor; the end if there is none. Brackets of
    /// types count only with `angles`: in expressions they are comparisons.
    pub(super) fn element_end(&self, angles: bool) -> usize {
        let mut depth = 0usize;
        for (i, token) in self.rest().iter().enumerate() {
            match &token.token {
                Token::Comma | Token::RParen if depth == 0 => return self.index + i,
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
                Token::Lt if angles => depth += 1,
                Token::Gt if angles => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.end
    }

    /// The error "expected …, found …" at the next token.
    pub(super) fn expected(&self, what: &str) -> Error {
        slips::expected(what, self.tokens, self.index).at(self.span())
    }
}

/// `token` is the unquoted word `keyword`, in any case.
pub(super) fn is_keyword(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword))
}
