//! `VALUES 1, 2`: rows of one value without parentheses, which sqlparser's grammar lacks. They get them before it reads.

use datafusion::sql::sqlparser::tokenizer::{Location, Span as TokenSpan, Token, TokenWithSpan};

use super::cursor::is_keyword;

/// Words that end the rows of a `VALUES`.
const BEHIND: [&str; 7] = ["UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET", "FETCH"];

/// The tokens, each row of a `VALUES` in parentheses. A parenthesis that was not written has the place of what it is
/// written around.
pub(super) fn in_parentheses(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut made = Vec::with_capacity(tokens.len());
    // the rows that are open around the current place: where they began, and how deep
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut depth = 0usize;
    for token in tokens {
        let of_values = open.last().is_some_and(|(_, at)| *at == depth);
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => {
                if of_values {
                    close(&mut made, open.pop());
                }
                depth = depth.saturating_sub(1);
            }
            Token::Comma if of_values => {
                close(&mut made, open.pop());
                made.push(token.clone());
                open.push((made.len(), depth));
                continue;
            }
            Token::SemiColon | Token::EOF if of_values => close(&mut made, open.pop()),
            word if of_values && BEHIND.iter().any(|behind| is_keyword(word, behind)) => close(&mut made, open.pop()),
            _ => {}
        }
        made.push(token.clone());
        if is_keyword(&token.token, "VALUES") {
            open.push((made.len(), depth));
        }
    }
    while let Some(row) = open.pop() {
        close(&mut made, Some(row));
    }
    made
}

/// Puts a row in parentheses, unless it has some, or is nothing.
fn close(made: &mut Vec<TokenWithSpan>, row: Option<(usize, usize)>) {
    let Some(row) = row.and_then(|(from, _)| made.get(from..).map(|row| (from, row))) else { return };
    let (from, row) = row;
    let (Some(first), Some(last)) = (row.first(), row.last()) else { return };
    if is_whole(row) {
        return;
    }
    let begin = TokenWithSpan::new(Token::LParen, at(first.span.start));
    let end = TokenWithSpan::new(Token::RParen, at(last.span.end));
    made.push(end);
    made.insert(from, begin);
}

fn at(place: Location) -> TokenSpan {
    TokenSpan::new(place, place)
}

/// Whether tokens are `(…)`, or `ROW (…)`.
fn is_whole(row: &[TokenWithSpan]) -> bool {
    let row = match row {
        [word, rest @ ..] if is_keyword(&word.token, "ROW") => rest,
        row => row,
    };
    let mut depth = 0usize;
    let closed = row.iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    closed.is_some_and(|closed| closed > 0 && closed + 1 == row.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    #[test]
    fn each_row_of_one_value_gets_its_parentheses() {
        for (written, read) in [
            ("VALUES 1, 2", "VALUES(1),(2)"),
            ("VALUES (1, 2), (3, 4)", "VALUES(1,2),(3,4)"),
            ("VALUES (1), 2", "VALUES(1),(2)"),
            ("VALUES ROW(1, 2), (3, 4)", "VALUESROW(1,2),(3,4)"),
            ("VALUES (1) + (2), f(3, 4)", "VALUES((1)+(2)),(f(3,4))"),
            ("VALUES ARRAY[1, 2]", "VALUES(ARRAY[1,2])"),
            ("SELECT a FROM (VALUES 1, 2) WHERE b IN (VALUES 3)", "SELECTaFROM(VALUES(1),(2))WHEREbIN(VALUES(3))"),
            ("VALUES 1 UNION ALL VALUES 2, 3 ORDER BY 1", "VALUES(1)UNIONALLVALUES(2),(3)ORDERBY1"),
            ("VALUES (SELECT 1 FROM (VALUES 4, 5)), 2", "VALUES(SELECT1FROM(VALUES(4),(5))),(2)"),
            ("VALUES", "VALUES"),
            ("SELECT f(a, b), `values` FROM t", "SELECTf(a,b),`values`FROMt"),
        ] {
            let tokens = Tokenizer::new(&GenericDialect {}, written).tokenize_with_location().unwrap();
            let tokens: Vec<_> =
                tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
            let found: String = in_parentheses(&tokens).iter().map(|token| token.token.to_string()).collect();
            assert_eq!(found, read, "{written}");
        }
    }
}
