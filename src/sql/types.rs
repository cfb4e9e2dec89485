//! Types under the names that Flink shows.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

use crate::table::map::{entry_fields, multiset_element};

/// A type as Flink writes it.
pub fn flink_type(data_type: &DataType) -> String {
    let precision = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 | DataType::UInt64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("DECIMAL({p}, {s})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BYTES".into()
        }
        DataType::Date32 => "DATE".into(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", precision(unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", precision(unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", precision(unit)),
        DataType::Interval(IntervalUnit::YearMonth) => "INTERVAL MONTH".into(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL SECOND".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", flink_type(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", f.name(), flink_type(f.data_type()))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        map @ DataType::Map(entries, _) => match entry_fields(map) {
            Some((element, _)) if multiset_element(map).is_some() => {
                format!("MULTISET<{}>", flink_type(element.data_type()))
            }
            Some((key, value)) => format!("MAP<{}, {}>", flink_type(key.data_type()), flink_type(value.data_type())),
            None => format!("MAP<{}>", flink_type(entries.data_type())),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_flink_writes_them() {
        assert_eq!(flink_type(&DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))), "TIMESTAMP_LTZ(3)");
        assert_eq!(flink_type(&DataType::new_list(DataType::Int64, true)), "ARRAY<BIGINT>");
    }
}
