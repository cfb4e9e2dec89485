//! Which type of the script may stand in which type of the database, and how its values travel.
//!
//! A pair is allowed if no value of it changes on the way: a value that does not fit is refused row by row (`BIGINT` into
//! `integer`), and a pair that would change values as a rule (`DOUBLE` into `real`) is refused before the first row.

use arrow::datatypes::{DataType, TimeUnit};

/// How a value travels to the temporary table, which has columns of just these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Digits in front of the point, at most.
    Numeric {
        whole_digits_max: Option<i64>,
    },
    /// Also what the database makes of a text: `uuid`, `inet`, enums.
    Text {
        characters_max: Option<usize>,
    },
    /// JSON of a value that has no other form.
    Json,
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Array(Box<Wire>),
}

impl Wire {
    /// Name in SQL and object id of the type in the temporary table; ids of built-in types never change.
    pub(super) fn staged(&self) -> (&'static str, u32) {
        match self {
            Self::Bool => ("bool", 16),
            Self::Bytes => ("bytea", 17),
            Self::Int8 => ("int8", 20),
            Self::Int2 => ("int2", 21),
            Self::Int4 => ("int4", 23),
            Self::Text { .. } | Self::Json => ("text", 25),
            Self::Float4 => ("float4", 700),
            Self::Float8 => ("float8", 701),
            Self::Date => ("date", 1082),
            Self::Time => ("time", 1083),
            Self::Timestamp => ("timestamp", 1114),
            Self::TimestampTz => ("timestamptz", 1184),
            Self::Numeric { .. } => ("numeric", 1700),
            Self::Array(element) => element.staged(),
        }
    }

    /// The column of the temporary table.
    pub(super) fn staged_type(&self) -> String {
        let array = if matches!(self, Self::Array(_)) { "[]" } else { "" };
        format!("pg_catalog.{}{array}", self.staged().0)
    }
}

/// A type as the database describes it, without its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgType {
    /// `pg_type.typname`: `int4`, `varchar`, `_text`.
    pub(super) name: String,
    /// `e` for an enum, `b` for most others.
    pub(super) kind: String,
    /// What stands in brackets, encoded; −1: nothing.
    pub(super) modifier: i32,
    /// Of an array: name and kind of its elements.
    pub(super) element: Option<(String, String)>,
}

/// How a column's values get into a column of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) wire: Wire,
    /// The database makes the value from its text.
    pub(super) cast: bool,
}

/// The passage from `data_type` into `target`.
///
/// # Errors
/// A hint, if there is none.
pub(super) fn passage(data_type: &DataType, target: &PgType) -> Result<Passage, &'static str> {
    if matches!(target.name.as_str(), "json" | "jsonb") && !matches!(data_type, DataType::Utf8) {
        return match data_type {
            DataType::List(_) | DataType::Map(..) | DataType::Struct(_) => Ok(Passage { wire: Wire::Json, cast: true }),
            _ => Err("jsonb takes STRING with JSON in it, ARRAY, MAP and ROW"),
        };
    }
    match (data_type, &target.element) {
        (DataType::List(item), Some((name, kind))) => {
            let element = PgType { name: name.clone(), kind: kind.clone(), modifier: target.modifier, element: None };
            let Passage { wire, cast } = passage(item.data_type(), &element)?;
            match wire {
                Wire::Array(_) | Wire::Json => Err("arrays of arrays, maps and rows go into jsonb"),
                wire => Ok(Passage { wire: Wire::Array(Box::new(wire)), cast }),
            }
        }
        (DataType::List(_) | DataType::Map(..) | DataType::Struct(_), None) => {
            Err("use jsonb, or an array for an ARRAY")
        }
        (_, Some(_)) => Err("only an ARRAY goes into an array"),
        (DataType::Utf8, None) => text(target),
        (_, None) => scalar(data_type, target).map(|wire| Passage { wire, cast: false }),
    }
}

fn text(target: &PgType) -> Result<Passage, &'static str> {
    let length = usize::try_from(target.modifier).ok().and_then(|modifier| modifier.checked_sub(4));
    match target.name.as_str() {
        "text" => Ok(Passage { wire: Wire::Text { characters_max: None }, cast: false }),
        "varchar" | "bpchar" => Ok(Passage { wire: Wire::Text { characters_max: length }, cast: false }),
        "json" | "jsonb" | "uuid" | "inet" | "cidr" | "macaddr" | "macaddr8" | "xml" | "citext" | "hstore"
        | "ltree" | "tsvector" | "point" => Ok(Passage { wire: Wire::Text { characters_max: None }, cast: true }),
        _ if target.kind == "e" => Ok(Passage { wire: Wire::Text { characters_max: None }, cast: true }),
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "bool" | "date" | "time" | "timestamp"
        | "timestamptz" => Err("a STRING is not read as a number or a time: CAST it in the query"),
        _ => Err("this type cannot be made from a STRING"),
    }
}

fn scalar(data_type: &DataType, target: &PgType) -> Result<Wire, &'static str> {
    use DataType as D;
    let numeric = || Wire::Numeric {
        whole_digits_max: numeric_limits(target.modifier).map(|(precision, scale)| precision - scale),
    };
    match (data_type, target.name.as_str()) {
        (D::Boolean, "bool") => Ok(Wire::Bool),
        (D::Int8 | D::Int16 | D::Int32 | D::Int64, "int2") => Ok(Wire::Int2),
        (D::Int8 | D::Int16 | D::Int32 | D::Int64, "int4") => Ok(Wire::Int4),
        (D::Int8 | D::Int16 | D::Int32 | D::Int64, "int8") => Ok(Wire::Int8),
        (D::Int8 | D::Int16 | D::Int32 | D::Int64, "numeric") => Ok(numeric()),
        (D::Int8 | D::Int16, "float4") | (D::Float32, "float4") => Ok(Wire::Float4),
        (D::Int8 | D::Int16 | D::Int32 | D::Float32 | D::Float64, "float8") => Ok(Wire::Float8),
        (D::Float64, "float4") => {
            Err("real keeps 6 digits of a DOUBLE: use double precision, or CAST to FLOAT in the query")
        }
        (D::Float32 | D::Float64, "numeric") => Ok(numeric()),
        (D::Decimal128(_, scale), "numeric") => match numeric_limits(target.modifier) {
            Some((_, kept)) if kept < i64::from(*scale) => {
                Err("digits behind the point would be lost: give the column of the database the same scale")
            }
            _ => Ok(numeric()),
        },
        (D::Decimal128(..), _) => Err("a DECIMAL goes into numeric"),
        (D::Binary, "bytea") => Ok(Wire::Bytes),
        (D::Date32, "date") => Ok(Wire::Date),
        (D::Time32(_) | D::Time64(_), "time") => Ok(Wire::Time),
        (D::Timestamp(_, None), "timestamp") => Ok(Wire::Timestamp),
        (D::Timestamp(_, Some(_)), "timestamptz") => Ok(Wire::TimestampTz),
        (D::Timestamp(_, None), "timestamptz") => {
            Err("a TIMESTAMP has no zone: declare the column as TIMESTAMP_LTZ(3) and CAST in the query")
        }
        (D::Timestamp(_, Some(_)), "timestamp") => Err(
            "a TIMESTAMP_LTZ is a moment, timestamp has no zone: use timestamptz, or CAST to TIMESTAMP in the query",
        ),
        _ => Err("the types do not go together"),
    }
}

/// Precision and scale of `numeric(p, s)`; `None` without brackets. The scale has 11 bits with a sign.
fn numeric_limits(modifier: i32) -> Option<(i64, i64)> {
    let modifier = modifier.checked_sub(4).filter(|modifier| *modifier >= 0)?;
    let scale = i64::from(modifier & 0x7ff);
    let scale = if scale >= 0x400 { scale - 0x800 } else { scale };
    Some((i64::from(modifier >> 16), scale))
}

/// The column that `sink.create-table` makes; `None` if there is no type for it.
pub(super) fn created(data_type: &DataType, sql_type: &str) -> Option<String> {
    use DataType as D;
    let length = crate::table::Length::of(sql_type);
    Some(match data_type {
        D::Boolean => "boolean".to_owned(),
        D::Int8 | D::Int16 => "smallint".to_owned(),
        D::Int32 => "integer".to_owned(),
        D::Int64 => "bigint".to_owned(),
        D::Float32 => "real".to_owned(),
        D::Float64 => "double precision".to_owned(),
        D::Decimal128(precision, scale) => format!("numeric({precision}, {scale})"),
        // a fixed length would be filled with blanks that the script does not see
        D::Utf8 => length.map_or_else(|| "text".to_owned(), |length| format!("varchar({})", length.size)),
        D::Binary => "bytea".to_owned(),
        D::Date32 => "date".to_owned(),
        D::Time32(_) | D::Time64(_) => "time".to_owned(),
        D::Timestamp(TimeUnit::Millisecond, None) => "timestamp(3)".to_owned(),
        D::Timestamp(_, None) => "timestamp".to_owned(),
        D::Timestamp(TimeUnit::Millisecond, Some(_)) => "timestamptz(3)".to_owned(),
        D::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        D::List(item) if !nested(item.data_type()) => format!("{}[]", created(item.data_type(), "")?),
        D::List(_) | D::Map(..) | D::Struct(_) => "jsonb".to_owned(),
        _ => return None,
    })
}

fn nested(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::Map(..) | DataType::Struct(_))
}

/// Whether values of the type have no other way than JSON.
pub(super) fn travels_as_json(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => nested(item.data_type()),
        other => nested(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn plain(name: &str, modifier: i32) -> PgType {
        PgType { name: name.into(), kind: "b".into(), modifier, element: None }
    }

    fn to(data_type: &DataType, name: &str) -> Result<Wire, &'static str> {
        passage(data_type, &plain(name, -1)).map(|passage| passage.wire)
    }

    #[test]
    fn no_pair_changes_values() {
        use DataType as D;
        assert_eq!(to(&D::Int64, "int4"), Ok(Wire::Int4));
        assert_eq!(to(&D::Int32, "float8"), Ok(Wire::Float8));
        assert_eq!(to(&D::Float32, "float8"), Ok(Wire::Float8));
        for (data_type, name) in [
            (D::Int64, "float8"),
            (D::Int32, "float4"),
            (D::Float64, "float4"),
            (D::Float64, "int8"),
            (D::Utf8, "int4"),
            (D::Int32, "text"),
            (D::Binary, "text"),
            (D::Decimal128(10, 0), "int8"),
            (D::Timestamp(TimeUnit::Millisecond, None), "timestamptz"),
            (D::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), "timestamp"),
        ] {
            assert!(to(&data_type, name).is_err(), "{data_type} {name}");
        }
    }

    #[test]
    fn lengths_and_digits_are_read_from_the_modifier() {
        assert_eq!(
            passage(&DataType::Utf8, &plain("varchar", 9)),
            Ok(Passage { wire: Wire::Text { characters_max: Some(5) }, cast: false })
        );
        // numeric(10, 2)
        let modifier = (10 << 16 | 2) + 4;
        let limited = Wire::Numeric { whole_digits_max: Some(8) };
        assert_eq!(scalar(&DataType::Decimal128(20, 2), &plain("numeric", modifier)), Ok(limited));
        assert!(scalar(&DataType::Decimal128(10, 3), &plain("numeric", modifier)).is_err());
        assert_eq!(numeric_limits((3 << 16 | 0x7fe) + 4), Some((3, -2)));
        assert_eq!(numeric_limits(-1), None);
    }

    #[test]
    fn what_has_no_column_of_its_own_is_json() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        let jsonb = plain("jsonb", -1);
        assert_eq!(passage(&list(list(DataType::Int32)), &jsonb), Ok(Passage { wire: Wire::Json, cast: true }));
        assert!(passage(&DataType::Int32, &jsonb).is_err());
        let ints = PgType { element: Some(("int4".into(), "b".into())), ..plain("_int4", -1) };
        assert_eq!(passage(&list(DataType::Int64), &ints).map(|p| p.wire), Ok(Wire::Array(Box::new(Wire::Int4))));
        assert!(passage(&list(list(DataType::Int32)), &ints).is_err());
        assert_eq!(created(&list(DataType::Float64), "ARRAY<DOUBLE>").as_deref(), Some("double precision[]"));
        assert_eq!(created(&list(list(DataType::Int32)), "").as_deref(), Some("jsonb"));
        assert_eq!(created(&DataType::Utf8, "CHAR(4)").as_deref(), Some("varchar(4)"));
    }
}
