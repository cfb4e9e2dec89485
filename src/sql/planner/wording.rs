//! Errors about types, in SQL's types: what was given, what can be taken, what to write instead.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value};

use crate::error::Error;
use crate::functions;
use crate::sql::planner::expr::flink_type;
use crate::sql::planner::locate::Piece;

/// What is wrong with the types of a piece; `None` if its types do not tell. `text` is DataFusion's.
pub(crate) fn of_types(piece: &Piece, text: &str) -> Option<Error> {
    let given: Vec<String> = piece.parts.iter().map(|(part, known)| type_of(part, known)).collect();
    if text.contains("non-boolean") && piece.outermost {
        let own = type_of(&piece.expr, piece.own.as_ref()?);
        return Some(
            Error::sql(format!("a condition must be BOOLEAN, and \"{}\" is {own}", piece.expr))
                .hint(format!("compare it: {} = …", piece.expr)),
        );
    }
    match &piece.expr {
        Expr::Function(call) => {
            let name = call.name.to_string().replace('`', "").to_uppercase();
            if given.is_empty() && !piece.parts.is_empty() {
                return None;
            }
            let error = Error::sql(match &given[..] {
                [] => format!("{name} does not work without arguments"),
                _ => format!("{name} does not take ({})", given.join(", ")),
            });
            Some(match functions::usage(&name) {
                Some(usage) => error.hint(format!("write {usage}")),
                None => error,
            })
        }
        Expr::BinaryOp { left, op, right } => {
            let [one, other] = &given[..] else { return None };
            Some(of_operator(left, op, right, one, other))
        }
        Expr::Case { conditions, else_result, .. } => {
            let results = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            let types = results.map(|result| piece.parts.iter().find(|(part, _)| part == result));
            let mut types: Vec<String> = types.flatten().map(|(part, known)| type_of(part, known)).collect();
            types.dedup();
            (types.len() > 1).then(|| apart("the branches of CASE", &types))
        }
        Expr::InList { .. } => (given.len() > 1).then(|| apart("the values of IN", &given)),
        Expr::Between { .. } => (given.len() > 1).then(|| apart("the values of BETWEEN", &given)),
        Expr::Like { .. } | Expr::SimilarTo { .. } | Expr::ILike { .. } => {
            Some(Error::sql(format!("LIKE compares texts, not {}", given.join(" with "))).hint("write CAST(… AS STRING) LIKE …"))
        }
        Expr::Array(_) => (given.len() > 1).then(|| apart("the elements of ARRAY", &given)),
        Expr::UnaryOp { op, .. } => {
            let [only] = &given[..] else { return None };
            Some(Error::sql(format!("{op} does not take {only}")))
        }
        Expr::Cast { data_type, .. } | Expr::Convert { data_type: Some(data_type), .. } => {
            let [only] = &given[..] else { return None };
            Some(Error::sql(format!("{only} cannot be cast to {data_type}")))
        }
        _ => None,
    }
}

fn of_operator(left: &Expr, op: &BinaryOperator, right: &Expr, one: &str, other: &str) -> Error {
    use BinaryOperator as B;
    match op {
        B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::Spaceship => {
            Error::sql(format!("{one} and {other} cannot be compared")).hint(format!("convert one side: CAST({left} AS …) {op} {right}"))
        }
        B::And | B::Or | B::Xor => {
            let wrong = if one == "BOOLEAN" { other } else { one };
            Error::sql(format!("{op} takes conditions, not {wrong}")).hint("compare the value: … = …")
        }
        _ => {
            let error = Error::sql(format!("{op} does not take {one} and {other}"));
            match (one, other) {
                ("STRING", "STRING") if *op == B::Plus => error.hint(format!("join texts with {left} || {right}")),
                ("STRING", _) => error.hint(format!("convert the text: CAST({left} AS {}) {op} {right}", numeric(other))),
                (_, "STRING") => error.hint(format!("convert the text: {left} {op} CAST({right} AS {})", numeric(one))),
                _ => error,
            }
        }
    }
}

fn numeric(other: &str) -> &str {
    let number = ["TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"].contains(&other) || other.starts_with("DECIMAL");
    if number { other } else { "DOUBLE" }
}

fn apart(what: &str, types: &[String]) -> Error {
    Error::sql(format!("{what} have types that do not go together: {}", types.join(", ")))
        .hint("convert them to one type with CAST(… AS type)")
}

/// The type of an expression as a reader of SQL knows it: DataFusion reads every whole number as BIGINT.
fn type_of(expr: &Expr, known: &DataType) -> String {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.parse::<i32>().is_ok() => "INT".into(),
            _ => flink_type(known),
        },
        _ => flink_type(known),
    }
}

/// The text with SQL's names of types for Arrow's.
pub(crate) fn in_sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_uppercase()) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let inside = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '\'');
        let word = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let with_arguments = closing(from, word);
        let found = [with_arguments, Some(word)].into_iter().flatten().find_map(|end| {
            let known: DataType = from.get(..end)?.parse().ok()?;
            Some((end, flink_type(&known)))
        });
        match found {
            Some((end, name)) if !inside => {
                out.push_str(&name);
                rest = &from[end..];
            }
            _ => {
                out.push_str(&from[..word]);
                rest = &from[word..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The end of the parentheses that open at `at`.
fn closing(text: &str, at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (place, c) in text.get(at..)?.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + place + 1);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrow_types_become_sql_types() {
        for (given, expected) in [
            ("does not take (Utf8, Int64)", "does not take (STRING, BIGINT)"),
            ("from Timestamp(ms) to Date32", "from TIMESTAMP(3) to DATE"),
            ("Decimal128(10, 2) + List(Int32)", "DECIMAL(10, 2) + ARRAY<INT>"),
            ("column \"Utf8\" and Utf8Name stay, as does Map", "column \"Utf8\" and Utf8Name stay, as does Map"),
            ("(", "("),
        ] {
            assert_eq!(in_sql_types(given), expected);
        }
    }
}
