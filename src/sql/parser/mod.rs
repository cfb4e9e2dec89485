//! The script layer: text of a Flink SQL script to statements, and all its errors at once.
//!
//! The text becomes tokens ([`lexer`]), the tokens are cut at each `;`, variables are filled in, and every
//! piece is read on its own ([`statement`]), so that a mistake ends with its statement. Queries and
//! expressions are read by sqlparser ([`query`], [`dialect`]), everything around them here. A script of
//! any content ends in statements or errors: never a panic, never a stack that grows with the input.

pub mod ast;
pub mod dialect;
pub mod types;

mod alter;
mod cursor;
mod ddl;
pub(crate) mod hints;
mod json;
mod lexer;
pub(crate) mod names;
mod query;
mod refusals;
mod rows;
mod slips;
mod statement;
mod variables;

use std::ops::Range;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use ast::{Insert, Statement, StatementKind};
use cursor::Cursor;
pub(super) use variables::FILE;

use crate::error::{Error, Span};
use crate::limits;

/// All statements of a script that can be read, and all its errors, both in script order.
///
/// `variables` gives the value of an environment variable for `${NAME}` in option values, and of `file:PATH`.
pub fn parse_script(text: &str, variables: &dyn Fn(&str) -> Option<String>) -> (Vec<Statement>, Vec<Error>) {
    if text.len() > limits::SCRIPT_BYTES_MAX {
        let max = limits::SCRIPT_BYTES_MAX;
        let error = Error::sql(format!("the script has {} bytes, more than the {max} allowed", text.len()))
            .hint("split it into several scripts");
        return (Vec::new(), vec![error]);
    }
    let mut lexed = lexer::tokenize(text);
    let mut script = Script { statements: Vec::new(), errors: Vec::new(), open_set: None };
    let mut mistakes = std::mem::take(&mut lexed.errors).into_iter().peekable();
    let mut start = 0;
    while start <= lexed.tokens.len() {
        let rest = lexed.tokens.get(start..).unwrap_or(&[]);
        let end = start + rest.iter().position(|t| t.token == Token::SemiColon).unwrap_or(rest.len());
        // a mistake behind the last token belongs to the piece that ends there
        let before = script.errors.len();
        while let Some((_, error)) = mistakes.next_if(|(tokens_before, _)| *tokens_before <= end) {
            script.errors.push(error);
        }
        let tokens = lexed.tokens.get_mut(start..end).unwrap_or_default();
        script.errors.extend(variables::expand_statement(tokens, variables));
        let broken = script.errors.len() > before;
        script.piece(text, &lexed.tokens, &lexed.bytes, start..end, broken);
        start = end + 1;
    }
    script.finish()
}

/// What has been read so far.
struct Script {
    statements: Vec<Statement>,
    errors: Vec<Error>,
    /// The statement set whose `END` has not come yet.
    open_set: Option<OpenSet>,
}

/// A statement set between its `BEGIN` and `END`.
struct OpenSet {
    inserts: Vec<Insert>,
    /// From the first word to the last read.
    span: Span,
    /// `EXPLAIN` stands before it.
    explain: bool,
    /// An insert of it is wrong: the whole is left out.
    broken: bool,
}

impl Script {
    /// Reads the tokens of `range`, which are those between two `;`.
    fn piece(
        &mut self,
        text: &str,
        tokens: &[TokenWithSpan],
        bytes: &[Range<usize>],
        range: Range<usize>,
        broken: bool,
    ) {
        let piece = tokens.get(range.clone()).unwrap_or(&[]);
        if piece.is_empty() {
            return;
        }
        let mut cursor = Cursor::new(text, piece, bytes.get(range).unwrap_or(&[]));
        if self.open_set.is_none() {
            self.open(&mut cursor);
            if cursor.is_done() {
                return;
            }
        }
        let depth = lexer::check_depth(cursor.rest());
        let broken = broken || depth.is_err();
        self.errors.extend(depth.err());
        match &mut self.open_set {
            Some(set) if broken => set.broken = true,
            Some(_) => self.piece_of_set(&mut cursor),
            None if broken => {}
            None => self.single(&mut cursor),
        }
    }

    /// Takes the opening of a statement set, if the cursor is at one.
    fn open(&mut self, cursor: &mut Cursor<'_>) {
        let start = cursor.clone();
        let explain = take_explain(cursor);
        let execute = cursor.take_keyword("EXECUTE");
        if (explain || execute) && cursor.take_keywords(&["STATEMENT", "SET", "BEGIN"])
            || !execute && cursor.take_keywords(&["BEGIN", "STATEMENT", "SET"])
        {
            let span = cursor.span_from(start.index());
            self.open_set = Some(OpenSet { inserts: Vec::new(), span, explain, broken: false });
        } else {
            *cursor = start;
        }
    }

    /// An insert of the open statement set, or its `END`.
    fn piece_of_set(&mut self, cursor: &mut Cursor<'_>) {
        let Some(mut set) = self.open_set.take() else { return };
        set.span = set.span.to(cursor.span());
        if cursor.at_keyword("END") {
            cursor.advance();
            self.errors.extend(cursor.expect_end().err());
            return self.close(set);
        }
        let insert = match cursor.at_keyword("INSERT") || cursor.at_keyword("EXECUTE") {
            true => statement::insert(cursor),
            false => Err(Error::sql("a statement set holds INSERT INTO statements only")
                .at(cursor.span())
                .hint("write it before the statement set; the set ends with END;")),
        };
        match insert {
            Ok(insert) => set.inserts.push(insert),
            Err(error) => {
                self.errors.push(error);
                set.broken = true;
            }
        }
        self.open_set = Some(set);
    }

    fn close(&mut self, set: OpenSet) {
        if set.broken {
            return;
        }
        if set.inserts.is_empty() {
            let error = Error::sql("the statement set is empty").at(set.span);
            return self.errors.push(error.hint("write INSERT INTO statements between BEGIN and END"));
        }
        let mut statement = Statement { kind: StatementKind::StatementSet(set.inserts), span: set.span };
        if set.explain {
            let span = statement.span;
            statement = Statement { kind: StatementKind::Explain { statement: Box::new(statement) }, span };
        }
        self.statements.push(statement);
    }

    /// A statement outside a statement set.
    fn single(&mut self, cursor: &mut Cursor<'_>) {
        let span = cursor.span_from(0).to(cursor.span_at(cursor.end().saturating_sub(1)));
        if cursor.at_keyword("END") {
            let error = Error::sql("END without a statement set").at(cursor.span());
            return self.errors.push(error.hint("open the set with EXECUTE STATEMENT SET BEGIN"));
        }
        let explain = take_explain(cursor);
        let inner = cursor.span().to(span);
        let allowed = if explain { explainable(cursor).map_err(|error| vec![error]) } else { Ok(()) };
        match allowed.and_then(|()| statement::parse(cursor)) {
            Ok(Some(kind)) if explain => {
                let statement = Box::new(Statement { kind, span: inner });
                self.statements.push(Statement { kind: StatementKind::Explain { statement }, span });
            }
            Ok(Some(kind)) => self.statements.push(Statement { kind, span }),
            Ok(None) => {}
            Err(errors) => self.errors.extend(errors),
        }
    }

    fn finish(mut self) -> (Vec<Statement>, Vec<Error>) {
        if let Some(set) = self.open_set.take() {
            let error = Error::sql("the statement set is not closed").at(set.span);
            self.errors.push(error.hint("end it with END;"));
        }
        self.errors.sort_by_key(Error::span);
        (self.statements, self.errors)
    }
}

/// Takes `EXPLAIN [PLAN FOR | ESTIMATED_COST, CHANGELOG_MODE, …]`.
fn take_explain(cursor: &mut Cursor<'_>) -> bool {
    let explain = cursor.take_keyword("EXPLAIN");
    if explain && !cursor.take_keywords(&["PLAN", "FOR"]) {
        // details of Flink's planner: there is one plan here, whatever is asked for
        let details = ["ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE"];
        while details.iter().any(|word| cursor.take_keyword(word)) {
            cursor.take(&Token::Comma);
        }
    }
    explain
}

/// Only what makes a plan can be explained.
fn explainable(cursor: &Cursor<'_>) -> Result<(), Error> {
    let words = ["SELECT", "WITH", "VALUES", "INSERT", "EXECUTE"];
    match words.iter().any(|word| cursor.at_keyword(word)) || cursor.peek() == Some(&Token::LParen) {
        true => Ok(()),
        false => Err(cursor.expected("a query, INSERT INTO or STATEMENT SET")),
    }
}

#[cfg(test)]
mod tests;
