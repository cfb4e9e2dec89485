//! What sqlparser is told about Flink SQL inside queries and expressions.
//!
//! Some forms that sqlparser's grammar lacks are read here and become what its AST can hold:
//!
//! | in the script | in the AST |
//! |---|---|
//! | `TABLE t` as argument of a function | call of [`TABLE_ARGUMENT`] with the table's name as identifier |
//! | `TABLE t PARTITION BY a, b`, `(SELECT …) PARTITION BY a, b` as argument | the same call, with `a`, `b` as further arguments |
//! | `MAP[k, v, …]` | call of [`MAP_CONSTRUCTOR`] with all keys and values |
//! | `(a - b) DAY TO SECOND` | call of `time_difference` with the unit, `a` and `b` |
//! | `JSON_VALUE(…)` and its like, `x IS JSON` | calls with plain arguments, see [`super::json`] |
//! | `x = ANY (a, b)`, `SOME`, `ALL` | `Expr::AnyOp` and `Expr::AllOp`, the list a tuple |
//! | `CAST(x AS type)`, `TRY_CAST` | `Expr::Cast`; a type sqlparser does not know is `DataType::Custom` with Flink's canonical text, which [`super::types::arrow_type_of`] reads |
//!
//! So `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))` is a `TableFactor::TableFunction`
//! whose call `TUMBLE` has the arguments `__table_arg(t)`, `DESCRIPTOR(ts)` and the interval; the bare
//! `FROM TUMBLE(…)` is a `TableFactor::Table` with these arguments, and named ones keep their names.
//! sqlparser takes errors of a hook for "try another way"; the first is kept for the reader.

use std::any::TypeId;
use std::cell::{Cell, RefCell};

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, TrimWhereField, Value,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span as TokenSpan, Token, TokenWithSpan};

use super::ast::script_span;
use super::cursor::{Cursor, is_keyword};
use super::{json, types};
use crate::error::Error;

/// Name of the call that stands for `TABLE t [PARTITION BY …]` in an argument list.
pub const TABLE_ARGUMENT: &str = "__table_arg";

/// Name of the call that stands for `MAP[key, value, …]`.
pub const MAP_CONSTRUCTOR: &str = "__map";

/// Expressions looked at per token before the parser gives up. sqlparser reads some nested forms twice per
/// level; ordinary queries need fewer than ten.
const STEPS_PER_TOKEN: usize = 200;

/// Flink's dialect, for the tokens of one query or expression.
#[derive(Debug)]
pub(super) struct FlinkDialect {
    tokens: Vec<TokenWithSpan>,
    /// The first error of a hook, and the token it is about.
    error: RefCell<Option<Error>>,
    steps_left: Cell<usize>,
}

impl FlinkDialect {
    pub(super) fn new(tokens: Vec<TokenWithSpan>) -> Self {
        let steps = tokens.len().saturating_add(100).saturating_mul(STEPS_PER_TOKEN);
        Self { tokens, error: RefCell::new(None), steps_left: Cell::new(steps) }
    }

    pub(super) fn tokens(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    /// The error a hook has met, if the whole could not be read.
    pub(super) fn take_error(&self) -> Option<Error> {
        self.error.borrow_mut().take()
    }

    /// Keeps the first error of a hook, and gives sqlparser one that stands for it.
    pub(super) fn keep_error(&self, error: Error) -> ParserError {
        let message = error.message().to_owned();
        self.error.borrow_mut().get_or_insert(error);
        ParserError::ParserError(message)
    }

    fn table_argument(&self, parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
        let start = parser.next_token().span;
        let name = parser.parse_object_name(false)?;
        let parts = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect::<Vec<_>>();
        let mut arguments = vec![match <[Ident; 1]>::try_from(parts) {
            Ok([name]) => Expr::Identifier(name),
            Err(parts) => Expr::CompoundIdentifier(parts),
        }];
        if word_at(parser, 0, "PARTITION") && word_at(parser, 1, "BY") {
            arguments.extend(self.partition_columns(parser)?);
        }
        Ok(call(TABLE_ARGUMENT, start, arguments))
    }

    /// `(SELECT …) PARTITION BY a, b`.
    fn partitioned(&self, parser: &mut Parser<'_>, query: &Expr) -> Result<Expr, ParserError> {
        let start = parser.peek_token_ref().span;
        let mut arguments = vec![query.clone()];
        arguments.extend(self.partition_columns(parser)?);
        Ok(call(TABLE_ARGUMENT, start, arguments))
    }

    /// `PARTITION BY a, b`, as far as it belongs to a table.
    fn partition_columns(&self, parser: &mut Parser<'_>) -> Result<Vec<Expr>, ParserError> {
        parser.next_token();
        parser.next_token();
        let mut columns = Vec::new();
        let parenthesised = parser.consume_token(&Token::LParen);
        loop {
            columns.push(Expr::Identifier(parser.parse_identifier()?));
            // without parentheses the list ends where the next argument of the function begins
            let next_is_column = parenthesised || self.is_partition_column(parser);
            if !next_is_column || !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if parenthesised {
            parser.expect_token(&Token::RParen)?;
        }
        Ok(columns)
    }

    /// Behind the comma stands a column alone, not `DESCRIPTOR(…)`, `name => …` or an interval.
    fn is_partition_column(&self, parser: &Parser<'_>) -> bool {
        let [comma, word, next] = parser.peek_tokens();
        comma == Token::Comma && matches!(word, Token::Word(_)) && matches!(next, Token::Comma | Token::RParen)
    }

    fn map(&self, parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
        let start = parser.next_token().span;
        parser.expect_token(&Token::LBracket)?;
        let mut arguments = Vec::new();
        if !parser.consume_token(&Token::RBracket) {
            arguments = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RBracket)?;
        }
        Ok(call(MAP_CONSTRUCTOR, start, arguments))
    }

    /// `ARRAY[]`: an AST without a place for an error to point at.
    fn empty_array(&self, parser: &Parser<'_>) -> ParserError {
        let (first, last) = (parser.peek_token_ref().span, parser.peek_nth_token_ref(2).span);
        let error = Error::sql("ARRAY[] has no elements, and so no type").or_at(script_span(first.union(&last)));
        self.keep_error(error.hint("write ARRAY[CAST(NULL AS INT)], with the type of the elements"))
    }

    /// `(start, end) OVERLAPS (start, end)`, as a call.
    fn overlaps(&self, parser: &mut Parser<'_>, left: &Expr) -> Result<Expr, ParserError> {
        let place = parser.next_token().span;
        let right = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        let pair = |expr: &Expr| match expr {
            Expr::Tuple(both) if both.len() == 2 => Ok(both.clone()),
            _ => {
                let error = Error::sql("OVERLAPS compares two spans of time")
                    .hint("write (start, end) OVERLAPS (start, end)")
                    .or_at(script_span(place));
                let message = error.message().to_owned();
                self.error.borrow_mut().get_or_insert(error);
                Err(ParserError::ParserError(message))
            }
        };
        Ok(call("overlaps", place, [pair(left)?, pair(&right)?].concat()))
    }

    /// `TRIM(LEADING FROM text)`: without a character to take away it is the blank.
    fn trim_blanks(&self, parser: &mut Parser<'_>) -> Result<Expr, ParserError> {
        parser.next_token();
        parser.next_token();
        let sides = [
            ("BOTH", TrimWhereField::Both),
            ("LEADING", TrimWhereField::Leading),
            ("TRAILING", TrimWhereField::Trailing),
        ];
        let Some((_, side)) = sides.into_iter().find(|(word, _)| word_at(parser, 0, word)) else {
            return parser.expected("BOTH, LEADING or TRAILING", parser.peek_token());
        };
        parser.next_token();
        parser.next_token();
        let expr = Box::new(parser.parse_expr()?);
        parser.expect_token(&Token::RParen)?;
        let blank = Box::new(Expr::value(Value::SingleQuotedString(" ".to_owned())));
        Ok(Expr::Trim { expr, trim_where: Some(side), trim_what: Some(blank), trim_characters: None })
    }

    /// `(a - b) unit [TO unit]`, as a call.
    fn difference(&self, parser: &mut Parser<'_>, expr: &Expr) -> Result<Expr, ParserError> {
        let place = parser.next_token().span;
        let Some(unit) = self.token_at(place).and_then(interval_unit) else {
            return parser.expected("a unit of time", parser.peek_token());
        };
        let minus = match expr {
            Expr::Nested(inner) => match inner.as_ref() {
                Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => Some((left, right)),
                _ => None,
            },
            _ => None,
        };
        let Some((left, right)) = minus else {
            let error = Error::sql("a unit of time stands behind a value that is no difference of two times");
            return Err(self.keep_error(error.hint("write (a - b) DAY").or_at(script_span(place))));
        };
        for _ in 0..2 {
            if parser.consume_token(&Token::LParen) {
                parser.next_token();
                parser.expect_token(&Token::RParen)?;
            }
            if word_at(parser, 0, "TO") && interval_unit(&parser.peek_nth_token_ref(1).token).is_some() {
                parser.next_token();
                parser.next_token();
            }
        }
        let unit = Expr::value(Value::SingleQuotedString(unit.to_owned()));
        Ok(call("time_difference", place, vec![unit, left.as_ref().clone(), right.as_ref().clone()]))
    }

    fn token_at(&self, place: TokenSpan) -> Option<&Token> {
        self.tokens.iter().find(|token| token.span == place).map(|token| &token.token)
    }

    /// The comparison of `x = ANY (a, b)`: with the values of a list, not with the rows of a query.
    fn at_quantified(&self, parser: &Parser<'_>) -> Option<BinaryOperator> {
        let op = match parser.peek_token_ref().token {
            Token::Eq => BinaryOperator::Eq,
            Token::Neq => BinaryOperator::NotEq,
            Token::Lt => BinaryOperator::Lt,
            Token::LtEq => BinaryOperator::LtEq,
            Token::Gt => BinaryOperator::Gt,
            Token::GtEq => BinaryOperator::GtEq,
            _ => return None,
        };
        let named = ["ANY", "SOME", "ALL"].iter().any(|word| word_at(parser, 1, word));
        let opens = |ahead: &usize| parser.peek_nth_token_ref(*ahead).token == Token::LParen;
        let first = (2..).find(|ahead| !opens(ahead)).filter(|first| *first > 2)?;
        let query = ["SELECT", "WITH", "VALUES"].iter().any(|word| word_at(parser, first, word));
        (named && !query).then_some(op)
    }

    /// `x = ANY (a, b)`, `x > ALL (a, b)`.
    fn quantified(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        compare_op: BinaryOperator,
    ) -> Result<Expr, ParserError> {
        parser.next_token();
        let (all, is_some) = (word_at(parser, 0, "ALL"), word_at(parser, 0, "SOME"));
        parser.next_token();
        parser.expect_token(&Token::LParen)?;
        let list = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        let (left, right) = (Box::new(left.clone()), Box::new(Expr::Tuple(list)));
        Ok(match all {
            true => Expr::AllOp { left, compare_op, right },
            false => Expr::AnyOp { left, compare_op, right, is_some },
        })
    }

    /// Behind a closing parenthesis a unit is no name: `(a - b) DAY`.
    fn at_difference(&self, parser: &Parser<'_>) -> bool {
        let before = self.position(parser).checked_sub(1).and_then(|i| self.tokens.get(i)).map(|t| &t.token);
        before == Some(&Token::RParen) && interval_unit(&parser.peek_token_ref().token).is_some()
    }

    /// `BETWEEN SYMMETRIC low AND high` holds for the bounds in either order.
    fn between(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        negated: bool,
        symmetric: bool,
    ) -> Result<Expr, ParserError> {
        for _ in 0..usize::from(negated) + 2 {
            parser.next_token();
        }
        let low = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        parser.expect_keyword(Keyword::AND)?;
        let high = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        let between = |low: &Expr, high: &Expr, negated: bool| Expr::Between {
            expr: Box::new(expr.clone()),
            negated,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        if !symmetric {
            return Ok(between(&low, &high, negated));
        }
        let (one, other) = (between(&low, &high, negated), between(&high, &low, negated));
        let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
        Ok(Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(one), op, right: Box::new(other) })))
    }

    fn cast(&self, parser: &mut Parser<'_>, kind: CastKind) -> Result<Expr, ParserError> {
        parser.next_token();
        parser.expect_token(&Token::LParen)?;
        let expr = parser.parse_expr()?;
        if !word_at(parser, 0, "AS") {
            return parser.expected("AS", parser.peek_token());
        }
        parser.next_token();
        let data_type = self.cast_type(parser)?;
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Cast { kind, expr: Box::new(expr), data_type, array: false, format: None })
    }

    /// Reads the type by Flink's grammar, and as sqlparser's own type where both read the same tokens.
    pub(super) fn cast_type(&self, parser: &mut Parser<'_>) -> Result<DataType, ParserError> {
        let start = self.position(parser);
        let mut cursor = Cursor::new("", &self.tokens, &[]);
        cursor.seek(start);
        let parsed = types::parse_type(&mut cursor).map_err(|error| self.keep_error(error))?;
        let end = cursor.index();
        let known = parser.maybe_parse(|parser| {
            let known = parser.parse_data_type()?;
            match self.position(parser) == end && !matches!(known, DataType::Custom(..)) {
                true => Ok(known),
                false => Err(ParserError::ParserError(String::new())),
            }
        })?;
        if let Some(known) = known {
            return Ok(known);
        }
        while self.position(parser) < end {
            parser.next_token();
        }
        Ok(DataType::Custom(ObjectName::from(vec![Ident::new(parsed.text)]), vec![]))
    }

    /// Index of the parser's next token.
    fn position(&self, parser: &Parser<'_>) -> usize {
        let next = parser.peek_token_ref();
        match next.token {
            Token::EOF => self.tokens.len(),
            _ => self.tokens.partition_point(|token| token.span.start < next.span.start),
        }
    }

    /// The token before closes parentheses, which may be those of a query.
    fn follows_query(&self, parser: &Parser<'_>) -> bool {
        let before = self.position(parser).checked_sub(1).and_then(|i| self.tokens.get(i));
        before.is_some_and(|token| token.token == Token::RParen)
    }

    /// The next token is an argument's first.
    fn starts_argument(&self, parser: &Parser<'_>) -> bool {
        let before = self.position(parser).checked_sub(1).and_then(|i| self.tokens.get(i)).map(|t| &t.token);
        matches!(before, Some(Token::LParen | Token::Comma | Token::RArrow))
    }
}

/// The unit of an interval that a word names.
fn interval_unit(token: &Token) -> Option<&'static str> {
    ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"]
        .into_iter()
        .find(|unit| is_keyword(token, unit))
}

pub(super) fn word_at(parser: &Parser<'_>, ahead: usize, keyword: &str) -> bool {
    is_keyword(&parser.peek_nth_token_ref(ahead).token, keyword)
}

/// `name(arguments)`, at the place of the words it stands for.
pub(crate) fn call(name: &str, span: TokenSpan, arguments: Vec<Expr>) -> Expr {
    call_with(name, span, arguments.into_iter().map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a))).collect())
}

/// [`call`] with arguments that are more than expressions.
pub(crate) fn call_with(name: &str, span: TokenSpan, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_span(span, name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

impl Dialect for FlinkDialect {
    /// sqlparser asks this where a form has no switch of its own.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`'
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_' || c == '$'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_' || c == '$'
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let Some(steps) = self.steps_left.get().checked_sub(1) else {
            return Some(Err(ParserError::RecursionLimitExceeded));
        };
        self.steps_left.set(steps);
        let opens = parser.peek_nth_token_ref(1).token == Token::LParen;
        if opens && word_at(parser, 0, "CAST") {
            return Some(self.cast(parser, CastKind::Cast));
        }
        if opens && word_at(parser, 0, "TRY_CAST") {
            return Some(self.cast(parser, CastKind::TryCast));
        }
        if word_at(parser, 0, "MAP") && parser.peek_nth_token_ref(1).token == Token::LBracket {
            return Some(self.map(parser));
        }
        if word_at(parser, 0, "ARRAY")
            && parser.peek_nth_token_ref(1).token == Token::LBracket
            && parser.peek_nth_token_ref(2).token == Token::RBracket
        {
            return Some(Err(self.empty_array(parser)));
        }
        if opens && word_at(parser, 0, "TRIM") && word_at(parser, 3, "FROM") {
            return Some(self.trim_blanks(parser));
        }
        if json::at_call(parser) {
            return Some(json::function(self, parser));
        }
        let names_table = matches!(parser.peek_nth_token_ref(1).token, Token::Word(_));
        (word_at(parser, 0, "TABLE") && names_table && self.starts_argument(parser))
            .then(|| self.table_argument(parser))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, expr: &Expr, _precedence: u8) -> Option<Result<Expr, ParserError>> {
        if self.at_difference(parser) {
            return Some(self.difference(parser, expr));
        }
        if word_at(parser, 0, "OVERLAPS") {
            return Some(self.overlaps(parser, expr));
        }
        if let Some(op) = self.at_quantified(parser) {
            return Some(self.quantified(parser, expr, op));
        }
        if word_at(parser, 0, "PARTITION") {
            return matches!(expr, Expr::Subquery(_)).then(|| self.partitioned(parser, expr));
        }
        let negated = usize::from(word_at(parser, 0, "NOT"));
        let symmetric = word_at(parser, negated + 1, "SYMMETRIC");
        let between = word_at(parser, negated, "BETWEEN") && (symmetric || word_at(parser, negated + 1, "ASYMMETRIC"));
        match between {
            true => Some(self.between(parser, expr, negated == 1, symmetric)),
            false => json::predicate(parser, expr),
        }
    }

    /// A colon separates name and value of JSON_OBJECT, and nothing else.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        if parser.peek_token_ref().token == Token::Colon {
            return Some(Ok(self.prec_unknown()));
        }
        if self.at_difference(parser) {
            return Some(Ok(self.prec_value(Precedence::DoubleColon)));
        }
        let partitioned = word_at(parser, 0, "PARTITION") && word_at(parser, 1, "BY") && self.follows_query(parser);
        (partitioned || word_at(parser, 0, "OVERLAPS")).then(|| Ok(self.prec_value(Precedence::Between)))
    }

    /// Words whose form is an error when it cannot be read, never a name: the reader sees that error.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        use Keyword::{ARRAY, CASE, EXISTS, EXTRACT, INTERVAL, NOT, OVERLAY, POSITION, SUBSTRING, TRIM};
        [ARRAY, CASE, EXISTS, EXTRACT, INTERVAL, NOT, OVERLAY, POSITION, SUBSTRING, TRIM].contains(&keyword)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}
