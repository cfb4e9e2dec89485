//! The type of a value as TYPEOF tells it: with lengths of texts, digits of times and NOT NULL, which Arrow's types do
//! not have. They follow from how the value is made.
//!
//! # Source  Flink 2.3's answers; `BuiltInFunctionDefinitions`

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Case, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::common::least_restrictive;
use super::digits_of;
use crate::sql::parser::dialect::MAP_CONSTRUCTOR;
use crate::sql::types::flink_type;
use crate::table::map::{entry_fields, multiset_element};

/// Functions whose type has no NOT NULL, whatever their arguments; of others it has one where all arguments do.
const MAY_BE_NULL: &[&str] = &[
    "nullif",
    "flink_try_cast",
    "substring",
    "left",
    "right",
    "reverse",
    "regexp_extract",
    "regexp_extract_all",
    "regexp_substr",
    "split_index",
    "str_to_map",
    "chr",
    "elt",
    "decode",
    "unhex",
    "parse_url",
    "url_encode",
    "url_decode",
    "to_timestamp",
    "to_timestamp_ltz",
    "to_date",
    "from_unixtime",
    "convert_tz",
    "date_format",
    "json_value",
    "json_query",
    "json_exists",
    "inet_aton",
    "inet_ntoa",
    "array_max",
    "array_min",
    "__item",
    "printf",
];

/// A type, and whether NULL is among its values.
struct Shown {
    name: String,
    nullable: bool,
}

impl Shown {
    fn whole(self) -> String {
        if self.nullable { self.name } else { format!("{} NOT NULL", self.name) }
    }
}

/// The type of `value`, as Flink writes it.
///
/// # Errors
/// What DataFusion says of a value without a type.
pub(super) fn type_name(value: &Expr, schema: &DFSchema) -> DfResult<String> {
    shown(value, schema).map(Shown::whole)
}

fn shown(value: &Expr, schema: &DFSchema) -> DfResult<Shown> {
    let plain = |nullable: bool| -> DfResult<Shown> {
        Ok(Shown { name: with_digits(quoted(&value.get_type(schema)?), value, schema), nullable })
    };
    match value {
        Expr::Literal(literal, _) => Ok(Shown { name: literal_type(literal), nullable: literal.is_null() }),
        Expr::Alias(alias) => shown(&alias.expr, schema),
        Expr::Case(case) => branches(case, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let sides = [shown(left, schema)?, shown(right, schema)?];
            let distinct = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
            let nullable = !distinct && sides.iter().any(|side| side.nullable);
            match op {
                Operator::StringConcat => Ok(Shown { name: joined(&sides), nullable }),
                _ => plain(nullable),
            }
        }
        Expr::Not(inner) | Expr::Negative(inner) => plain(shown(inner, schema)?.nullable),
        Expr::Cast(cast) => plain(shown(&cast.expr, schema)?.nullable),
        Expr::ScalarFunction(call) => match of_call(call, schema)? {
            Some(shown) => Ok(shown),
            None => plain(nullable(call, schema)?),
        },
        _ => plain(value.nullable(schema)?),
    }
}

/// Whether a call may be NULL: as Flink says if one of its arguments may.
fn nullable(call: &ScalarFunction, schema: &DFSchema) -> DfResult<bool> {
    if MAY_BE_NULL.contains(&call.name()) {
        return Ok(true);
    }
    // the second argument of a cast is a NULL that stands for a type
    let values = if call.name().starts_with("flink_") { call.args.get(..1).unwrap_or_default() } else { &call.args };
    any_nullable(values.iter(), schema)
}

fn any_nullable<'a>(mut values: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> DfResult<bool> {
    values.try_fold(false, |before, value| Ok(before || shown(value, schema)?.nullable))
}

/// Calls whose type is made of their arguments' types, or has a length.
fn of_call(call: &ScalarFunction, schema: &DFSchema) -> DfResult<Option<Shown>> {
    let args = || call.args.iter().collect::<Vec<_>>();
    let own = |name: String| -> DfResult<Option<Shown>> { Ok(Some(Shown { name, nullable: nullable(call, schema)? })) };
    Ok(match call.name() {
        "coalesce" | "ifnull" => {
            let all = call.args.iter().map(|value| Ok(shown(value, schema)?.nullable)).collect::<DfResult<Vec<_>>>()?;
            Some(Shown { name: together(&args(), schema)?, nullable: all.into_iter().all(|nullable| nullable) })
        }
        "if" => return own(together(&args().split_off(1.min(call.args.len())), schema)?),
        "nullif" => return own(together(args().get(..1).unwrap_or_default(), schema)?),
        "greatest" | "least" => return own(together(&args(), schema)?),
        "upper" | "lower" => return own(together(&args(), schema)?),
        "flink_trim" => return own(of_length("VARCHAR", call)),
        "flink_trim_pad" => return own(of_length("CHAR", call)),
        "md5" => return own("CHAR(32)".to_owned()),
        "sha1" => return own("CHAR(40)".to_owned()),
        "sha224" => return own("CHAR(56)".to_owned()),
        "sha256" => return own("CHAR(64)".to_owned()),
        "sha384" => return own("CHAR(96)".to_owned()),
        "sha512" => return own("CHAR(128)".to_owned()),
        "json_object"
        | "json_array"
        | "double_distinct"
        | "double_not_distinct"
        | "total_distinct"
        | "total_not_distinct" => {
            let name = quoted(&Expr::ScalarFunction(call.clone()).get_type(schema)?);
            Some(Shown { name, nullable: false })
        }
        "__array" => Some(Shown { name: format!("ARRAY<{}>", items(&args(), schema)?), nullable: false }),
        MAP_CONSTRUCTOR => {
            let side = |parity: usize| call.args.iter().skip(parity).step_by(2).collect::<Vec<_>>();
            let name = format!("MAP<{}, {}>", items(&side(0), schema)?, items(&side(1), schema)?);
            Some(Shown { name, nullable: false })
        }
        "row" => {
            let field = |(place, value): (usize, &Expr)| -> DfResult<String> {
                Ok(format!("`EXPR${place}` {}", shown(value, schema)?.whole()))
            };
            let fields = call.args.iter().enumerate().map(field).collect::<DfResult<Vec<_>>>()?;
            Some(Shown { name: format!("ROW<{}>", fields.join(", ")), nullable: false })
        }
        _ => None,
    })
}

/// `CHAR(n)` of a call that takes n.
fn of_length(name: &str, call: &ScalarFunction) -> String {
    match call.args.get(1) {
        Some(Expr::Literal(length, _)) => format!("{name}({length})"),
        _ => "STRING".to_owned(),
    }
}

fn branches(case: &Case, schema: &DFSchema) -> DfResult<Shown> {
    let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
    let values: Vec<&Expr> = thens.chain(case.else_expr.as_deref()).collect();
    let nullable = case.else_expr.is_none() || any_nullable(values.iter().copied(), schema)?;
    Ok(Shown { name: together(&values, schema)?, nullable })
}

/// The type that values share, with NOT NULL where none of them may be NULL.
fn items(values: &[&Expr], schema: &DFSchema) -> DfResult<String> {
    let nullable = any_nullable(values.iter().copied(), schema)?;
    Ok(Shown { name: together(values, schema)?, nullable }.whole())
}

/// The type that values share.
fn together(values: &[&Expr], schema: &DFSchema) -> DfResult<String> {
    let (mut common, mut name) = (DataType::Null, String::new());
    for value in values {
        let (data_type, shown) = (value.get_type(schema)?, shown(value, schema)?.name);
        if data_type.is_null() {
            continue;
        }
        let all = least_restrictive(&common, &data_type);
        name = match (Text::of(&name), Text::of(&shown), &all) {
            _ if name.is_empty() || name == shown => shown,
            (Some(one), Some(other), _) => one.or(other).name(),
            (_, _, Some(all)) => quoted(all),
            _ => name,
        };
        common = all.unwrap_or(common);
    }
    Ok(if name.is_empty() { "NULL".to_owned() } else { name })
}

/// A type of texts.
#[derive(Clone, Copy)]
struct Text {
    fixed: bool,
    /// `None`: any.
    length: Option<usize>,
}

impl Text {
    fn of(name: &str) -> Option<Self> {
        if name == "STRING" {
            return Some(Self { fixed: false, length: None });
        }
        let (kind, length) = name.strip_suffix(')')?.split_once('(')?;
        let length = Some(length.parse().ok()?);
        match kind {
            "CHAR" => Some(Self { fixed: true, length }),
            "VARCHAR" => Some(Self { fixed: false, length }),
            _ => None,
        }
    }

    fn name(self) -> String {
        match (self.fixed, self.length) {
            (true, Some(length)) => format!("CHAR({length})"),
            (false, Some(length)) => format!("VARCHAR({length})"),
            (_, None) => "STRING".to_owned(),
        }
    }

    /// The type of either.
    fn or(self, other: Self) -> Self {
        let length = self.length.zip(other.length);
        let fixed = self.fixed && other.fixed && self.length == other.length;
        Self { fixed, length: length.map(|(one, other)| one.max(other)) }
    }
}

/// The type of one text behind the other.
fn joined(sides: &[Shown; 2]) -> String {
    match sides.each_ref().map(|side| Text::of(&side.name)) {
        [Some(one), Some(other)] => {
            let length = one.length.zip(other.length).map(|(one, other)| one.saturating_add(other));
            Text { fixed: one.fixed && other.fixed, length }.name()
        }
        _ => "STRING".to_owned(),
    }
}

fn literal_type(literal: &ScalarValue) -> String {
    match literal {
        ScalarValue::Utf8(Some(text)) => format!("CHAR({})", text.chars().count()),
        ScalarValue::Binary(Some(bytes)) => format!("BINARY({})", bytes.len()),
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => "INTERVAL SECOND(3)".to_owned(),
        ScalarValue::IntervalMonthDayNano(Some(_)) => "INTERVAL MONTH".to_owned(),
        other => quoted(&other.data_type()),
    }
}

/// A type of time with the digits it was cast to or declared with.
fn with_digits(name: String, value: &Expr, schema: &DFSchema) -> String {
    match (digits_of(value, schema), name.split_once('(')) {
        (Some(digits), Some((name, _))) if name.starts_with("TIME") => format!("{name}({digits})"),
        _ => name,
    }
}

/// Flink's name of a type, with the fields of rows in back-ticks.
fn quoted(data_type: &DataType) -> String {
    match data_type {
        DataType::List(item) => format!("ARRAY<{}>", quoted(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| format!("`{}` {}", f.name(), quoted(f.data_type()))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        DataType::Map(..) => match (multiset_element(data_type), entry_fields(data_type)) {
            (Some(element), _) => format!("MULTISET<{}>", quoted(element)),
            (None, Some((key, value))) => format!("MAP<{}, {}>", quoted(key.data_type()), quoted(value.data_type())),
            (None, None) => flink_type(data_type),
        },
        other => flink_type(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_length_together() {
        let text = |name: &str| Text::of(name).unwrap();
        for (one, other, both) in [
            ("CHAR(1)", "CHAR(3)", "VARCHAR(3)"),
            ("CHAR(3)", "CHAR(3)", "CHAR(3)"),
            ("CHAR(1)", "VARCHAR(5)", "VARCHAR(5)"),
            ("CHAR(1)", "STRING", "STRING"),
        ] {
            assert_eq!(text(one).or(text(other)).name(), both);
        }
        let side = |name: &str| Shown { name: name.to_owned(), nullable: false };
        assert_eq!(joined(&[side("CHAR(1)"), side("CHAR(2)")]), "CHAR(3)");
        assert_eq!(joined(&[side("VARCHAR(5)"), side("CHAR(3)")]), "VARCHAR(8)");
        assert!(Text::of("DECIMAL(5, 2)").is_none());
    }
}
