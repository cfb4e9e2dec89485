//! The `print` connector: rows as text on standard output or standard error, `+I[a, b]` as Flink prints
//! them. A reader that goes away (`| head`) ends the printing, not the job.

use std::fmt::Write as _;
use std::io::{self, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::future::BoxFuture;

use crate::connectors::{Sink, SinkState, Usage};
use crate::error::{Error, Result};
use crate::table::TableSpec;
use crate::table::map::keys;

const NAMES: &[&str] = &["connector", "print-identifier", "standard-error", "sink.parallelism"];

/// All problems of the table's options.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    if usage == Usage::Source {
        return vec![
            Error::config(format!("table \"{}\" cannot be read: connector \"print\" is a sink", table.name))
                .or_at(table.options.span("connector").or(table.span)),
        ];
    }
    let options = &table.options;
    let unknown = options.keys().filter(|key| !NAMES.contains(key));
    let mut errors: Vec<Error> = unknown
        .map(|key| {
            options
                .error(key, format!("connector \"print\" has no option \"{key}\""))
                .nearest(key, NAMES.iter().copied())
        })
        .collect();
    errors.extend(options.boolean("standard-error", false).err());
    errors.extend(options.number("sink.parallelism", 1u32).err());
    errors
}

/// A table that prints.
pub struct PrintSink {
    prefix: String,
    output: Option<Box<dyn Write + Send>>,
}

impl PrintSink {
    /// Reads the table's options.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec) -> Result<Self> {
        if let Some(error) = Error::collect(validate(table, Usage::Sink)) {
            return Err(error);
        }
        let output: Box<dyn Write + Send> = if table.options.boolean("standard-error", false)? {
            Box::new(io::stderr())
        } else {
            Box::new(io::stdout())
        };
        let prefix = table.options.get("print-identifier").filter(|text| !text.is_empty());
        Ok(Self { prefix: prefix.map(|text| format!("{text}> ")).unwrap_or_default(), output: Some(output) })
    }

    fn print(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let text = text(rows, &self.prefix)?;
        // one call for the batch, so that lines of two writers do not mix
        match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.output = None;
                Ok(())
            }
            other => other.map_err(|e| Error::unavailable(format!("cannot print rows: {e}")).because(e)),
        }
    }
}

impl Sink for PrintSink {
    fn write(&mut self, rows: RecordBatch) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.print(&rows) })
    }

    fn prepare(&mut self, _epoch: u64, _last: bool) -> BoxFuture<'_, Result<SinkState>> {
        Box::pin(async { Ok(SinkState::default()) })
    }

    fn commit(&mut self, _epoch: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn restore(&mut self, _state: Option<SinkState>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// One line per row.
fn text(rows: &RecordBatch, prefix: &str) -> Result<String> {
    let columns: Vec<Values<'_>> = rows.columns().iter().map(Values::of).collect::<Result<_>>()?;
    let mut text = String::new();
    for row in 0..rows.num_rows() {
        text.push_str(prefix);
        text.push_str("+I[");
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                text.push_str(", ");
            }
            column.append(&mut text, row)?;
        }
        text.push_str("]\n");
    }
    Ok(text)
}

/// The values of one column, as Java's `toString` shows them.
enum Values<'a> {
    Double(&'a ArrayRef),
    Float(&'a ArrayRef),
    List(&'a ArrayRef),
    Row(Vec<Values<'a>>, &'a ArrayRef),
    /// Keys, values and the maps.
    Map(Box<(Values<'a>, Values<'a>)>, &'a ArrayRef),
    Other(&'a ArrayRef, Box<ArrayFormatter<'a>>),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        const LOCAL: FormatOptions<'static> = FormatOptions::new()
            .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"))
            .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
        Ok(match array.data_type() {
            DataType::Float64 => Self::Double(array),
            DataType::Float32 => Self::Float(array),
            DataType::List(_) => Self::List(array),
            DataType::Struct(_) => {
                Self::Row(array.as_struct().columns().iter().map(Values::of).collect::<Result<_>>()?, array)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Self::Map(Box::new((Self::of(keys(map))?, Self::of(map.values())?)), array)
            }
            _ => Self::Other(array, Box::new(ArrayFormatter::try_new(array, &LOCAL)?)),
        })
    }

    fn array(&self) -> &'a ArrayRef {
        match self {
            Self::Double(array)
            | Self::Float(array)
            | Self::List(array)
            | Self::Row(_, array)
            | Self::Map(_, array)
            | Self::Other(array, _) => array,
        }
    }

    fn append(&self, text: &mut String, row: usize) -> Result<()> {
        let wrong = |_| Error::internal("a value cannot be printed");
        if self.array().is_null(row) {
            text.push_str("null");
            return Ok(());
        }
        match self {
            Self::Double(array) => text.push_str(&java_double(array.as_primitive::<Float64Type>().value(row))),
            Self::Float(array) => text.push_str(&java_float(array.as_primitive::<Float32Type>().value(row))),
            Self::Other(_, formatter) => write!(text, "{}", formatter.value(row)).map_err(wrong)?,
            Self::List(array) => {
                let items = array.as_list::<i32>().value(row);
                let values = Values::of(&items)?;
                text.push('[');
                for item in 0..items.len() {
                    text.push_str(if item > 0 { ", " } else { "" });
                    values.append(text, item)?;
                }
                text.push(']');
            }
            Self::Map(entries, array) => {
                text.push('{');
                let offsets = array.as_map().offsets();
                let bounds = offsets.get(row).zip(offsets.get(row + 1));
                let (from, to) = bounds.map_or((0, 0), |(from, to)| (*from as usize, *to as usize));
                for entry in from..to {
                    text.push_str(if entry > from { ", " } else { "" });
                    entries.0.append(text, entry)?;
                    text.push('=');
                    entries.1.append(text, entry)?;
                }
                text.push('}');
            }
            Self::Row(fields, _) => {
                text.push_str("+I[");
                for (place, field) in fields.iter().enumerate() {
                    text.push_str(if place > 0 { ", " } else { "" });
                    field.append(text, row)?;
                }
                text.push(']');
            }
        }
        Ok(())
    }
}

/// `Double.toString`: plain between 10⁻³ and 10⁷, else with an exponent.
fn java_double(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        format!("{value:?}")
    } else {
        exponent(&format!("{value:E}"))
    }
}

/// `Float.toString`.
fn java_float(value: f32) -> String {
    if value.is_nan() || value.is_infinite() {
        java_double(f64::from(value))
    } else if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        format!("{value:?}")
    } else {
        exponent(&format!("{value:E}"))
    }
}

/// `1E10` as `1.0E10`.
fn exponent(text: &str) -> String {
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, ListArray, StringArray, StructArray,
        TimestampMillisecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn rows_as_flink_prints_them() {
        let ints = Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef;
        let rows = RecordBatch::try_from_iter([
            ("i", Arc::clone(&ints)),
            ("s", Arc::new(StringArray::from(vec![Some("a, b"), None])) as ArrayRef),
            ("x", Arc::new(Float64Array::from(vec![1e10, -0.5])) as ArrayRef),
            ("b", Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1_577_836_800_123, 0])) as ArrayRef),
            (
                "z",
                Arc::new(TimestampMillisecondArray::from(vec![1_577_836_800_123, 0]).with_timezone("UTC")) as ArrayRef,
            ),
            ("q", Arc::new(TimestampSecondArray::from(vec![1_577_836_800, 0])) as ArrayRef),
            ("d", Arc::new(Date32Array::from(vec![0, 1])) as ArrayRef),
            ("n", Arc::new(Decimal128Array::from(vec![150, -1]).with_precision_and_scale(10, 2).unwrap()) as ArrayRef),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]))
                    as ArrayRef,
            ),
            (
                "r",
                Arc::new(StructArray::from(vec![(
                    Arc::new(arrow::datatypes::Field::new("i", DataType::Int32, true)),
                    ints,
                )])) as ArrayRef,
            ),
        ])
        .unwrap();
        let expect = "p> +I[1, a, b, 1.0E10, true, 2020-01-01T00:00:00.123, 2020-01-01T00:00:00.123Z, 2020-01-01T00:00:00, 1970-01-01, 1.50, [1, null], +I[1]]\n\
                      p> +I[null, null, -0.5, false, 1970-01-01T00:00:00, 1970-01-01T00:00:00Z, 1970-01-01T00:00:00, 1970-01-02, -0.01, null, +I[null]]\n";
        assert_eq!(text(&rows, "p> ").unwrap(), expect);
    }

    #[test]
    fn doubles_as_java_shows_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e7, "1.0E7"),
            (9_999_999.5, "9999999.5"),
            (1e-3, "0.001"),
            (1.25e-4, "1.25E-4"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
        ];
        for (value, expect) in cases {
            assert_eq!(java_double(value), expect);
        }
        assert_eq!(java_float(0.1), "0.1");
    }

    struct Pipe(Arc<Mutex<usize>>);

    impl Write for Pipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let calls = Arc::new(Mutex::new(0));
        let mut sink = PrintSink { prefix: String::new(), output: Some(Box::new(Pipe(Arc::clone(&calls)))) };
        let rows = RecordBatch::try_from_iter([("i", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
        sink.print(&rows).unwrap();
        sink.print(&rows).unwrap();
        assert_eq!(*calls.lock().unwrap(), 1);
    }
}
