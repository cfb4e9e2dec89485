//! Errors about types, in SQL's types: what was given, what can be taken, what to write instead.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CeilFloorKind, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value,
};

use crate::error::{Error, nearest};
use crate::functions;
use crate::sql::parser::dialect::MAP_CONSTRUCTOR;
use crate::sql::planner::locate::Piece;
use crate::sql::types::flink_type;
use crate::table::map::entry_fields;

/// What is wrong with the types of a piece; `None` if its types do not tell. `text` is DataFusion's.
pub(crate) fn of_types(piece: &Piece, text: &str) -> Option<Error> {
    if text.contains("non-boolean") && piece.around.is_none() {
        let own = type_of(&piece.expr, piece.own.as_ref()?);
        return Some(
            Error::sql(format!("a condition must be BOOLEAN, and \"{}\" is {own}", piece.expr))
                .hint(format!("compare it: {} = …", piece.expr)),
        );
    }
    of_expression(&piece.expr, &piece.parts, text)
        .or_else(|| piece.around.as_ref().and_then(|(around, parts)| of_expression(around, parts, text)))
}

fn of_expression(expr: &Expr, parts: &[(Expr, DataType)], text: &str) -> Option<Error> {
    let mut given: Vec<String> = parts.iter().map(|(part, known)| type_of(part, known)).collect();
    match expr {
        Expr::Function(call) => of_function(call, &given),
        Expr::BinaryOp { left, op, right } => {
            let [one, other] = &given[..] else { return None };
            Some(of_operator(left, op, right, one, other))
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let of =
                |part: &Expr| parts.iter().find(|(known, _)| known == part).map(|(part, known)| type_of(part, known));
            if let Some(operand) = operand
                && text.contains("and when")
            {
                let compared = std::iter::once(operand.as_ref()).chain(conditions.iter().map(|when| &when.condition));
                return Some(apart("the values that CASE compares", &compared.filter_map(of).collect::<Vec<_>>()));
            }
            let results = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            let mut types: Vec<String> = results.filter_map(of).collect();
            types.dedup();
            (types.len() > 1).then(|| apart("the branches of CASE", &types))
        }
        Expr::Array(array) if array.elem.iter().all(is_null) => Some(
            Error::sql("the elements of ARRAY are NULL, and so have no type")
                .hint("write ARRAY[CAST(NULL AS INT)], with the type of the elements"),
        ),
        Expr::InList { .. } | Expr::Between { .. } | Expr::Array(_) => {
            given.dedup();
            let what = match expr {
                Expr::InList { .. } => "the values of IN",
                Expr::Between { .. } => "the values of BETWEEN",
                _ => "the elements of ARRAY",
            };
            (given.len() > 1).then(|| apart(what, &given))
        }
        Expr::Like { expr, .. } | Expr::SimilarTo { expr, .. } => {
            let error = Error::sql(format!("LIKE compares texts, not {}", given.join(" with ")));
            Some(error.hint(format!("write CAST({expr} AS STRING) LIKE …")))
        }
        Expr::UnaryOp { op, expr } => {
            let [only] = &given[..] else { return None };
            let error = Error::sql(format!("{op} does not take {only}"));
            Some(match op {
                UnaryOperator::Not => error.hint(format!("compare the value: {op} {expr} = …")),
                _ => error.hint(format!("convert it: {op}CAST({expr} AS DOUBLE)")),
            })
        }
        _ => of_form(expr, &given, parts),
    }
}

/// What is wrong with the types in a form that is written with words or brackets.
fn of_form(expr: &Expr, given: &[String], parts: &[(Expr, DataType)]) -> Option<Error> {
    match expr {
        Expr::CompoundFieldAccess { root, .. } => of_access(root, given, parts),
        Expr::CompoundIdentifier(names) => of_field(names, &parts.first()?.1),
        Expr::Cast { data_type, .. } => {
            let [only] = given else { return None };
            Some(Error::sql(format!("{only} cannot be cast to {data_type}")))
        }
        Expr::Extract { expr, .. } => {
            let [only] = given else { return None };
            let error = Error::sql(format!("EXTRACT takes a time, not {only}"));
            Some(error.hint(format!("write EXTRACT(… FROM CAST({expr} AS TIMESTAMP(3)))")))
        }
        Expr::Floor { expr: value, field: CeilFloorKind::DateTimeField(unit) }
        | Expr::Ceil { expr: value, field: CeilFloorKind::DateTimeField(unit) } => {
            let [only] = given else { return None };
            let name = if matches!(expr, Expr::Floor { .. }) { "FLOOR" } else { "CEIL" };
            Some(match unit {
                DateTimeField::NoDateTime => Error::sql(format!("{name} takes a number, not {only}"))
                    .hint(format!("write {name}(number), or {name}(time TO unit)")),
                _ => Error::sql(format!("{name}(… TO {unit}) takes a time, not {only}"))
                    .hint(format!("write {name}(CAST({value} AS TIMESTAMP(3)) TO {unit})")),
            })
        }
        Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => {
            let [only] = given else { return None };
            Some(
                Error::sql(format!("\"{expr}\" asks a condition, not {only}"))
                    .hint("compare the value: (… = …) IS TRUE"),
            )
        }
        Expr::Substring { .. } => Some(
            Error::sql(format!("SUBSTRING does not take ({})", given.join(", ")))
                .hint("write SUBSTRING(text FROM start [FOR length])"),
        ),
        _ => None,
    }
}

/// What is wrong with `root[index]`.
fn of_access(root: &Expr, given: &[String], parts: &[(Expr, DataType)]) -> Option<Error> {
    let (own, index) = (given.first()?, given.get(1));
    Some(match (own.split('<').next(), index) {
        (Some("ARRAY"), Some(index)) => {
            Error::sql(format!("an element of an ARRAY is given by an INT, not by {index}"))
                .hint(format!("write {root}[1] for the first element"))
        }
        (Some("MAP"), Some(index)) => {
            let (key, _) = entry_fields(&parts.first()?.1)?;
            let key = flink_type(key.data_type());
            Error::sql(format!("the keys of {root} are {key}, not {index}"))
                .hint(format!("write {root}[CAST(… AS {key})]"))
        }
        _ => Error::sql(format!("{own} has no elements"))
            .hint("[…] takes an ARRAY or a MAP; of a text take SUBSTRING(text, start, length)"),
    })
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

/// `MAP[…]` that is no list of pairs, or whose keys or values have no common type.
fn of_map(given: &[String], written: usize, nulls: bool) -> Error {
    let hint = "write MAP[key, value, …]";
    if written == 0 {
        return Error::sql("MAP[] has no entries, and so no type")
            .hint("write MAP[CAST(NULL AS STRING), CAST(NULL AS INT)], with the types of key and value");
    }
    if written % 2 == 1 {
        return Error::sql(format!("MAP takes pairs of key and value, so an even number of values, not {written}"))
            .hint(hint);
    }
    if nulls {
        let error = Error::sql("the keys or the values of MAP are NULL, and so have no type");
        return error.hint("write CAST(NULL AS type) for a NULL");
    }
    let side = |parity: usize| {
        let mut types: Vec<String> = given.iter().skip(parity).step_by(2).cloned().collect();
        types.dedup();
        types
    };
    let (keys, values) = (side(0), side(1));
    match keys.len() {
        1 if values.len() > 1 => apart("the values of MAP", &values),
        _ => apart("the keys of MAP", &keys),
    }
}

fn of_function(call: &ast::Function, given: &[String]) -> Option<Error> {
    let name = call.name.to_string().replace('`', "").to_uppercase();
    // forms with words have more arguments than are written
    let written = match &call.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    };
    if name.eq_ignore_ascii_case(MAP_CONSTRUCTOR) {
        let null =
            |arg: &FunctionArg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if is_null(value));
        let nulls = matches!(&call.args, FunctionArguments::List(list) if list.args.iter().any(null));
        return Some(of_map(given, written, nulls));
    }
    if let (true, [document, path, .., returned]) = (name == "JSON_VALUE", given)
        && [document, path].iter().all(|given| *given == "STRING")
    {
        return Some(
            Error::sql(format!("JSON_VALUE does not return {returned}"))
                .hint("write RETURNING STRING, BOOLEAN, INTEGER or DOUBLE, and CAST the value"),
        );
    }
    let shown = match name.starts_with("JSON_") {
        true => given.get(..given.len().min(2))?,
        false => given,
    };
    let star = FunctionArg::Unnamed(FunctionArgExpr::Wildcard);
    let error = match shown {
        [] if matches!(&call.args, FunctionArguments::List(list) if list.args.contains(&star)) => {
            Error::sql(format!("{name} does not take *"))
        }
        [] if written > 0 => return None,
        [] => Error::sql(format!("{name} does not work without arguments")),
        _ => Error::sql(format!("{name} does not take ({})", shown.join(", "))),
    };
    Some(match functions::usage(&name) {
        Some(usage) => error.hint(format!("write {usage}")),
        None => error,
    })
}

/// What is wrong with `a.b.c` where a column `a` has no field of that name; `None` if that is not known.
fn of_field(names: &[Ident], column: &DataType) -> Option<Error> {
    let [first, rest @ ..] = names else { return None };
    let mut known = column;
    let mut holder = first.value.clone();
    for name in rest {
        let DataType::Struct(fields) = known else {
            return Some(Error::sql(format!(
                "\"{holder}\" is {}, which has no field \"{}\"",
                flink_type(known),
                name.value
            )));
        };
        match fields.iter().find(|field| *field.name() == name.value) {
            Some(field) => known = field.data_type(),
            None => {
                let error = Error::sql(format!("row \"{holder}\" has no field \"{}\"", name.value));
                let all: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                return Some(match nearest(&name.value, all.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                    None => error.hint(format!("fields: {}", all.join(", "))),
                });
            }
        }
        holder = format!("{holder}.{}", name.value);
    }
    None
}

fn of_operator(left: &Expr, op: &BinaryOperator, right: &Expr, one: &str, other: &str) -> Error {
    use BinaryOperator as B;
    match op {
        B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::Spaceship => {
            Error::sql(format!("{one} and {other} cannot be compared")).hint(match (one, other) {
                ("BOOLEAN", _) => format!("it is a condition by itself: write {left}, or NOT {left}"),
                (_, "BOOLEAN") => format!("it is a condition by itself: write {right}, or NOT {right}"),
                _ => format!("convert one side: CAST({left} AS …) {op} {right}"),
            })
        }
        B::And | B::Or | B::Xor => {
            let wrong = if one == "BOOLEAN" { other } else { one };
            Error::sql(format!("{op} takes conditions, not {wrong}")).hint("compare the value: … = …")
        }
        _ => {
            let error = Error::sql(format!("{op} does not take {one} and {other}"));
            let time = |of: &str| of.starts_with("TIMESTAMP") || of.starts_with("DATE") || of.starts_with("TIME(");
            match (one, other) {
                _ if time(one) && matches!(op, B::Plus | B::Minus) => {
                    error.hint(format!("add or take away an interval: {left} {op} INTERVAL '1' SECOND"))
                }
                ("STRING", "STRING") if *op == B::Plus => error.hint(format!("join texts with {left} || {right}")),
                ("STRING", _) => {
                    error.hint(format!("convert the text: CAST({left} AS {}) {op} {right}", numeric(other)))
                }
                (_, "STRING") => error.hint(format!("convert the text: {left} {op} CAST({right} AS {})", numeric(one))),
                _ => error,
            }
        }
    }
}

fn numeric(other: &str) -> &str {
    let number =
        ["TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"].contains(&other) || other.starts_with("DECIMAL");
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
        let last = before.chars().next_back();
        let quoted = matches!(last, Some('"' | '\''));
        let inside = quoted || last.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let word = from.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(from.len());
        let with_arguments = closing(from, word);
        let found = [with_arguments, Some(word)].into_iter().flatten().find_map(|end| {
            let known: DataType = from.get(..end)?.parse().ok()?;
            Some((end, flink_type(&known)))
        });
        match found {
            // in quotes it may be a name of the user's, unless no name looks like it
            Some((end, name)) if !inside || (quoted && end > word) => {
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
            ("of type \"List(Int32)\" to", "of type \"ARRAY<INT>\" to"),
            ("column \"Utf8\" and Utf8Name stay, as does Map", "column \"Utf8\" and Utf8Name stay, as does Map"),
            ("(", "("),
        ] {
            assert_eq!(in_sql_types(given), expected);
        }
    }
}
