//! Expressions that sqlparser reads and nobody plans: refused before planning, in the user's own text, with the form
//! that works. What is not named here is shown as it was written; no message holds the parser's tree.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Value, visit_expressions,
};

use crate::error::{Error, Span};
use crate::functions;
use crate::sql::parser::names::is_character_set;
use crate::sql::places::{from_parser, span_of};

/// The refusal of a form that cannot be planned; `None`: it can, or another check speaks.
pub(super) fn refused(expr: &Expr) -> Option<Error> {
    operator(expr).or_else(|| literal(expr)).or_else(|| construct(expr))
}

fn unsupported(what: &str, expr: &Expr, hint: impl Into<String>) -> Error {
    Error::sql(format!("{what} is not supported: \"{expr}\"")).or_at(place_of(expr)).hint(hint)
}

/// The place of an expression; where the parser has kept none, from its first part to its last.
fn place_of(expr: &Expr) -> Option<Span> {
    span_of(expr).or_else(|| {
        let mut found: Option<Span> = None;
        let ControlFlow::Continue(()) = visit_expressions(expr, |part| {
            found = match (found, span_of(part)) {
                (Some(from), Some(to)) => Some(if from < to { from.to(to) } else { to.to(from) }),
                (from, to) => from.or(to),
            };
            ControlFlow::<Infallible>::Continue(())
        });
        found
    })
}

fn operator(expr: &Expr) -> Option<Error> {
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    Some(match expr {
        Expr::RLike { negated, expr: text, pattern, regexp } => {
            let name = if *regexp { "REGEXP" } else { "RLIKE" };
            let hint = format!("write {}REGEXP({text}, {pattern})", not(negated));
            unsupported(&format!("operator {name}"), expr, hint)
        }
        Expr::Like { negated, any: true, expr: text, .. } | Expr::ILike { negated, any: true, expr: text, .. } => {
            let join = if *negated { "AND" } else { "OR" };
            let like = format!("{text} {}LIKE …", not(negated));
            unsupported("LIKE ANY", expr, format!("write {like} {join} {like}"))
        }
        Expr::ILike { negated, expr: text, pattern, .. } => {
            let hint = format!("write LOWER({text}) {}LIKE LOWER({pattern})", not(negated));
            unsupported("ILIKE", expr, hint)
        }
        Expr::BinaryOp {
            op: op @ (BinaryOperator::BitwiseAnd | BinaryOperator::BitwiseOr | BinaryOperator::BitwiseXor),
            ..
        } => unsupported(&format!("operator {op}"), expr, "Flink has no operators of bits"),
        Expr::AnyOp { left, compare_op, right, .. } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            of_subquery(&format!("{compare_op} ANY"), right, format!("write {left} IN (SELECT …) for = ANY"))
        }
        Expr::AllOp { left, compare_op, right } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            of_subquery(&format!("{compare_op} ALL"), right, format!("write {left} NOT IN (SELECT …) for <> ALL"))
        }
        Expr::AnyOp { left, compare_op, right, .. } => {
            let array = array(right)?;
            Error::sql(format!("{compare_op} ANY of an array is not supported: \"{left} {compare_op} ANY ({array})\""))
                .or_at(place_of(expr))
                .hint(format!("write ARRAY_CONTAINS({array}, {left}), or {left} IN (…)"))
        }
        Expr::AllOp { left, compare_op, right } => {
            let array = array(right)?;
            Error::sql(format!("{compare_op} ALL of an array is not supported: \"{left} {compare_op} ALL ({array})\""))
                .or_at(place_of(expr))
                .hint(format!("write {left} {compare_op} ALL (…) with the values in parentheses"))
        }
        Expr::Like { escape_char: Some(escape), .. } | Expr::SimilarTo { escape_char: Some(escape), .. } if matches!(&escape.value, Value::SingleQuotedString(text) if text.chars().count() != 1) => {
            Error::sql(format!("ESCAPE takes one character, and {escape} is none"))
                .or_at(from_parser(escape.span).or_else(|| place_of(expr)))
                .hint("write one behind it, as in ESCAPE '!'")
        }
        Expr::MemberOf(member) => {
            let hint = format!("write ARRAY_CONTAINS({}, {})", plain(&member.array), member.value);
            unsupported("MEMBER OF", expr, hint)
        }
        Expr::InUnnest { expr: value, array_expr, negated, .. } => {
            let hint = format!("write {}ARRAY_CONTAINS({array_expr}, {value})", not(negated));
            unsupported("IN UNNEST", expr, hint)
        }
        Expr::IsNormalized { .. } => {
            unsupported("IS NORMALIZED", expr, "texts are compared by their characters: compare with =")
        }
        Expr::Collate { expr: text, .. } => {
            unsupported("COLLATE", expr, format!("leave it out: texts are compared by their characters, as {text}"))
        }
        Expr::AtTimeZone { .. } => Error::sql("AT TIME ZONE is not supported")
            .or_at(span_of(expr))
            .hint("use CONVERT_TZ, or SET 'table.local-time-zone'"),
        Expr::JsonAccess { value, .. } => {
            unsupported("this access to JSON", expr, format!("write JSON_VALUE({value}, '$.field')"))
        }
        Expr::OuterJoin(_) | Expr::Prior(_) | Expr::Lambda(_) | Expr::MatchAgainst { .. } => {
            unsupported("this form of expression", expr, "it is no Flink SQL")
        }
        _ => return None,
    })
}

/// The refusal of a comparison with all rows of a subquery, at the place of the subquery.
fn of_subquery(what: &str, subquery: &Expr, hint: String) -> Error {
    Error::sql(format!("{what} (SELECT …) is not supported on streams")).or_at(span_of(subquery)).hint(hint)
}

/// The array that is all of a list behind ANY or ALL.
fn array(list: &Expr) -> Option<&Expr> {
    match list {
        Expr::Tuple(values) => match &values[..] {
            [only @ Expr::Array(_)] => Some(only),
            _ => None,
        },
        _ => None,
    }
}

/// Without the parentheses around it.
fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => plain(inner),
        other => other,
    }
}

fn literal(expr: &Expr) -> Option<Error> {
    Some(match expr {
        Expr::Prefixed { prefix, .. } if is_character_set(prefix) => return None,
        Expr::Prefixed { prefix, value } => {
            let place = match (from_parser(prefix.span), span_of(value.as_ref())) {
                (Some(prefix), Some(value)) => Some(prefix.to(value)),
                (prefix, value) => prefix.or(value),
            };
            Error::sql(format!("\"{prefix}\" before a text is no character set"))
                .or_at(place)
                .hint(format!("write the text alone: {value}"))
        }
        Expr::Struct { values, .. } => unsupported("STRUCT", expr, format!("write ROW({})", list(values))),
        Expr::Dictionary(_) | Expr::Map(_) => unsupported("{…}", expr, "write MAP[key, value, …]"),
        Expr::Named { expr: value, name } => {
            unsupported("a name inside a value", expr, format!("write {value} AS {name} in a list of columns"))
        }
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
            Error::sql("* stands for the columns of SELECT, or all of COUNT(*)")
                .or_at(span_of(expr))
                .hint("name a column")
        }
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(_)
            | Value::Number(..)
            | Value::Boolean(_)
            | Value::Null
            | Value::HexStringLiteral(_)
            | Value::Placeholder(_) => return None,
            _ => unsupported("this form of a text", expr, "texts stand in plain quotes: '…'"),
        },
        _ => return None,
    })
}

fn list(values: &[Expr]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn construct(expr: &Expr) -> Option<Error> {
    Some(match expr {
        Expr::Convert { charset: Some(_), expr: text, .. } => unsupported(
            "CONVERT … USING",
            expr,
            format!("texts are Unicode; ENCODE({text}, 'UTF-8') gives their bytes"),
        ),
        Expr::Convert { expr: value, data_type, .. } => {
            let to = data_type.as_ref().map_or_else(|| "type".to_owned(), ToString::to_string);
            unsupported("CONVERT", expr, format!("write CAST({value} AS {to})"))
        }
        Expr::Cast { kind: CastKind::SafeCast, expr: value, data_type, .. } => {
            unsupported("SAFE_CAST", expr, format!("write TRY_CAST({value} AS {data_type})"))
        }
        Expr::Cast { format: Some(_), .. } | Expr::Cast { array: true, .. } => {
            unsupported("this form of CAST", expr, "write CAST(… AS type)")
        }
        Expr::Substring { substring_from: None, substring_for: None, .. } => {
            Error::sql("SUBSTRING does not work without a start")
                .or_at(place_of(expr))
                .hint("write SUBSTRING(text, start [, length])")
        }
        Expr::Extract { field, expr: value, .. } => return unit(field, expr, value),
        Expr::Floor { field: CeilFloorKind::DateTimeField(field), expr: value }
        | Expr::Ceil { field: CeilFloorKind::DateTimeField(field), expr: value }
            if *field != DateTimeField::NoDateTime =>
        {
            return unit(field, expr, value);
        }
        Expr::Floor { field: CeilFloorKind::Scale(digits), expr: value }
        | Expr::Ceil { field: CeilFloorKind::Scale(digits), expr: value } => {
            unsupported("FLOOR or CEIL to digits", expr, format!("write ROUND({value}, {digits})"))
        }
        _ => return None,
    })
}

/// What is wrong with the unit of time that a word of a form names.
fn unit(field: &DateTimeField, expr: &Expr, value: &Expr) -> Option<Error> {
    let place = match field {
        DateTimeField::Custom(word) => from_parser(word.span),
        // the parser keeps no place of a unit it knows: it stands before or behind the value
        _ => span_of(expr).or_else(|| span_of(value)),
    };
    functions::check_unit(&field.to_string()).err().map(|error| error.or_at(place.or_else(|| span_of(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_without_a_place_of_its_own_stands_where_its_parts_do() {
        use datafusion::sql::sqlparser::ast::Ident;
        use datafusion::sql::sqlparser::tokenizer::{Location, Span as TokenSpan};
        let name = |text: &str, column: u64| {
            let end = column + text.len() as u64;
            Box::new(Expr::Identifier(Ident::with_span(
                TokenSpan::new(Location::new(3, column), Location::new(3, end)),
                text,
            )))
        };
        let form = Expr::RLike { negated: true, expr: name("a", 8), pattern: name("b", 20), regexp: false };
        let error = refused(&form).unwrap();
        assert_eq!(error.message(), "operator RLIKE is not supported: \"a NOT RLIKE b\"");
        assert_eq!(error.hint_text(), Some("write NOT REGEXP(a, b)"));
        assert_eq!(error.span(), Some(Span::new(3, 8, 21)));
        assert!(refused(&name("a", 1)).is_none());
    }
}
