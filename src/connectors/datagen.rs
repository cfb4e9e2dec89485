//! The `datagen` connector: made-up rows at a steady rate. Row *n* is a function of *n* and the seed, so a
//! restart goes on with the rows that would have come; only time stamps follow the clock, as in Flink.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use futures::future::BoxFuture;

use crate::connectors::{Fetched, Source, SourceBatch, Split, SplitReader, StartAt, Usage};
use crate::error::{Error, Result};
use crate::limits::{BATCH_ROWS_MAX, RECORD_BYTES_MAX};
use crate::table::{ColumnSpec, Options, TableSpec};
use crate::time::{Clock, parse_duration, system_clock};

const NAMES: &[&str] = &["connector", "rows-per-second", "number-of-rows", "seed", "scan.parallelism"];
const FIELD_NAMES: &[&str] = &["kind", "min", "max", "start", "end", "length", "var-len", "max-past", "null-rate"];
/// Batches per second at a steady rate.
const BATCHES_PER_SECOND: u64 = 20;
const LENGTH_DEFAULT: usize = 100;
const DAY_MS: i64 = 86_400_000;

/// All problems of the table's options.
pub fn validate(table: &TableSpec, usage: Usage) -> Vec<Error> {
    if usage == Usage::Sink {
        return vec![
            Error::config(format!("table \"{}\" cannot be written: connector \"datagen\" is a source", table.name))
                .or_at(table.options.span("connector").or(table.span)),
        ];
    }
    Generator::parse(table).err().map(Error::flatten).unwrap_or_default()
}

/// Whether the rows end: `number-of-rows` is set, or a sequence ends.
///
/// # Errors
/// `Config` for wrong options.
pub fn bounded(table: &TableSpec) -> Result<bool> {
    Ok(Generator::parse(table)?.rows.is_some())
}

/// A table of made-up rows.
pub struct DatagenSource {
    generator: Arc<Generator>,
    table: String,
}

impl DatagenSource {
    /// Reads the table's options.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub fn open(table: &TableSpec) -> Result<Self> {
        Ok(Self { generator: Arc::new(Generator::parse(table)?), table: table.name.clone() })
    }
}

impl Source for DatagenSource {
    fn splits(&mut self) -> BoxFuture<'_, Result<Vec<Split>>> {
        Box::pin(async { Ok(vec![Split { topic: self.table.clone(), partition: 0, topic_index: 0 }]) })
    }

    fn open<'a>(&'a mut self, _split: &'a Split, start: StartAt) -> BoxFuture<'a, Result<Box<dyn SplitReader>>> {
        let next = match start {
            StartAt::Offset(offset) => u64::try_from(offset).unwrap_or(0),
            StartAt::Configured | StartAt::Earliest => 0,
        };
        let generator = Arc::clone(&self.generator);
        let reader = DatagenReader { generator, clock: system_clock(), next, pace: Duration::ZERO, paced: 0 };
        Box::pin(async move { Ok(Box::new(reader) as Box<dyn SplitReader>) })
    }
}

struct DatagenReader {
    generator: Arc<Generator>,
    clock: Clock,
    /// Number of the next row.
    next: u64,
    /// When the first of the rows counted in `paced` was due, by the clock's `elapsed`.
    pace: Duration,
    paced: u64,
}

impl DatagenReader {
    async fn batch(&mut self) -> Result<Fetched> {
        let generator = &self.generator;
        let left = generator.rows.map_or(u64::MAX, |rows| rows.saturating_sub(self.next));
        if left == 0 {
            return Ok(Fetched::End);
        }
        let due = self.pace + Duration::from_secs_f64(self.paced as f64 / generator.rows_per_second as f64);
        let now = self.clock.elapsed();
        if now.saturating_sub(due) > Duration::from_secs(1) {
            // rows were not taken for a while: go on at the rate, do not catch up
            (self.pace, self.paced) = (now, 0);
        }
        // also when it is due already: other tasks of the thread get their turn
        tokio::time::sleep(due.saturating_sub(now)).await;
        let count = (generator.rows_per_second / BATCHES_PER_SECOND).clamp(1, BATCH_ROWS_MAX as u64).min(left);
        let start = self.next;
        let rows = generator.rows(start, count, self.clock.now_ms())?;
        self.paced += count;
        self.next += count;
        Ok(Fetched::Rows(Box::new(SourceBatch {
            rows,
            offsets: (start..self.next).map(offset).collect::<Vec<i64>>().into(),
            timestamps: None,
            bad: Vec::new(),
            tombstones: 0,
            read: count,
            next_offset: offset(self.next),
        })))
    }
}

fn offset(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

impl SplitReader for DatagenReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Fetched>> {
        Box::pin(self.batch())
    }

    fn next_offset(&self) -> i64 {
        offset(self.next)
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}

/// What rows look like.
#[derive(Debug)]
struct Generator {
    schema: SchemaRef,
    fields: Vec<FieldGenerator>,
    /// How many there are; `None`: without end.
    rows: Option<u64>,
    rows_per_second: u64,
    seed: u64,
}

#[derive(Debug)]
struct FieldGenerator {
    data_type: DataType,
    values: Values,
    null_rate: f64,
}

/// Where the values of a field come from.
#[derive(Debug)]
enum Values {
    /// `start`, then steps of one up to `end`.
    Sequence {
        start: i64,
        end: i64,
    },
    /// Uniform, ends included.
    Integer {
        min: i64,
        max: i64,
    },
    /// Uniform.
    Float {
        min: f64,
        max: f64,
    },
    Boolean,
    /// Hexadecimal digits; with `varied`, of any length from 1 on.
    Text {
        length: usize,
        varied: bool,
    },
    Bytes {
        length: usize,
        varied: bool,
    },
    /// The clock's time less something up to the given time (ms).
    Time {
        max_past_ms: u64,
    },
}

impl Generator {
    fn parse(table: &TableSpec) -> Result<Self> {
        let options = &table.options;
        let columns: Vec<&ColumnSpec> = table.physical().collect();
        let mut errors = names(options, &columns);
        let mut fields = Vec::new();
        for column in &columns {
            match field(options, column) {
                Ok(field) => fields.push(field),
                Err(e) => errors.push(e),
            }
        }
        let number = |key: &str, default: u64, errors: &mut Vec<Error>| {
            options.number(key, default).map_err(|e| errors.push(e)).unwrap_or(default)
        };
        let rows_per_second = number("rows-per-second", 10_000, &mut errors);
        if rows_per_second == 0 {
            errors.push(options.error("rows-per-second", "option \"rows-per-second\" must be at least 1"));
        }
        let seed = number("seed", 0, &mut errors);
        number("scan.parallelism", 1, &mut errors);
        let number_of_rows = number("number-of-rows", u64::MAX, &mut errors);
        if let Some(error) = Error::collect(errors) {
            return Err(error);
        }
        let limit = options.get("number-of-rows").map(|_| number_of_rows);
        // as in Flink, the rows end with the shortest sequence
        let sequences = fields.iter().filter_map(|field| match field.values {
            Values::Sequence { start, end } => Some(end.abs_diff(start).saturating_add(1)),
            _ => None,
        });
        Ok(Self { schema: table.source_schema(), rows: sequences.chain(limit).min(), fields, rows_per_second, seed })
    }

    fn rows(&self, start: u64, count: u64, now_ms: i64) -> Result<RecordBatch> {
        let columns = self.fields.iter().enumerate().map(|(place, field)| {
            // a stream of its own for each field
            let seed = mix(self.seed ^ mix(place as u64 + 1));
            field.column(seed, start..start + count, now_ms)
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(usize::try_from(count).ok());
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

impl FieldGenerator {
    fn column(&self, seed: u64, rows: std::ops::Range<u64>, now_ms: i64) -> Result<ArrayRef> {
        let null_rate = self.null_rate;
        let kept = |row: u64| null_rate <= 0.0 || unit(random(seed, row, u64::MAX)) >= null_rate;
        let first = |row: u64| random(seed, row, 0);
        let array: ArrayRef = match &self.values {
            Values::Boolean => {
                Arc::new(rows.map(|row| kept(row).then(|| first(row) & 1 == 1)).collect::<BooleanArray>())
            }
            Values::Float { min, max } => {
                // halves first: the difference of two large numbers may be beyond the range
                let value = |row| ((max / 2.0 - min / 2.0) * unit(first(row))).mul_add(2.0, *min);
                Arc::new(rows.map(|row| kept(row).then(|| value(row))).collect::<Float64Array>())
            }
            Values::Integer { min, max } => {
                let span = u128::from(max.abs_diff(*min)) + 1;
                let above = |row| i64::from_ne_bytes((((u128::from(first(row)) * span) >> 64) as u64).to_ne_bytes());
                self.integers(rows.map(|row| kept(row).then(|| min.wrapping_add(above(row)))))?
            }
            Values::Sequence { start, .. } => {
                self.integers(rows.map(|row| kept(row).then(|| start.saturating_add(offset(row)))))?
            }
            Values::Text { length, varied } => {
                let text = |row| {
                    let digits = bytes(seed, row, *length, *varied);
                    digits.iter().map(|b| char::from(b"0123456789abcdef"[usize::from(b & 15)])).collect::<String>()
                };
                Arc::new(rows.map(|row| kept(row).then(|| text(row))).collect::<StringArray>())
            }
            Values::Bytes { length, varied } => {
                Arc::new(rows.map(|row| kept(row).then(|| bytes(seed, row, *length, *varied))).collect::<BinaryArray>())
            }
            Values::Time { max_past_ms } => {
                let ago =
                    |row| i64::try_from((u128::from(first(row)) * (u128::from(*max_past_ms) + 1)) >> 64).unwrap_or(0);
                let times = rows.map(|row| kept(row).then(|| now_ms.saturating_sub(ago(row))));
                return self.times(times.collect());
            }
        };
        if array.data_type() == &self.data_type { Ok(array) } else { Ok(cast(&array, &self.data_type)?) }
    }

    fn integers(&self, values: impl Iterator<Item = Option<i64>>) -> Result<ArrayRef> {
        Ok(match &self.data_type {
            DataType::Decimal128(precision, scale) => {
                let power = 10i128.pow(u32::try_from(*scale).unwrap_or(0));
                let unscaled = values.map(|v| v.and_then(|v| i128::from(v).checked_mul(power)));
                Arc::new(unscaled.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale)?)
            }
            _ => Arc::new(values.collect::<Int64Array>()),
        })
    }

    fn times(&self, times: Vec<Option<i64>>) -> Result<ArrayRef> {
        let array: ArrayRef = match &self.data_type {
            DataType::Date32 => {
                let days = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(0);
                Arc::new(times.into_iter().map(|t| t.map(days)).collect::<Date32Array>())
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let of_day = times.into_iter().map(|t| t.and_then(|ms| i32::try_from(ms.rem_euclid(DAY_MS)).ok()));
                Arc::new(of_day.collect::<arrow::array::Time32MillisecondArray>())
            }
            DataType::Timestamp(_, Some(zone)) => {
                Arc::new(TimestampMillisecondArray::from(times).with_timezone(Arc::clone(zone)))
            }
            _ => Arc::new(TimestampMillisecondArray::from(times)),
        };
        Ok(cast(&array, &self.data_type)?)
    }
}

/// Unknown names.
fn names(options: &Options, columns: &[&ColumnSpec]) -> Vec<Error> {
    let mut errors = Vec::new();
    for key in options.keys().filter(|key| !NAMES.contains(key)) {
        let Some((name, option)) = key.strip_prefix("fields.").and_then(|rest| rest.rsplit_once('.')) else {
            let error = options.error(key, format!("connector \"datagen\" has no option \"{key}\""));
            errors.push(error.nearest(key, NAMES.iter().copied()));
            continue;
        };
        if !columns.iter().any(|column| column.name == name) {
            let error = options.error(key, format!("option \"{key}\": there is no column \"{name}\""));
            errors.push(error.nearest(name, columns.iter().map(|column| column.name.as_str())));
        } else if !FIELD_NAMES.contains(&option) {
            let error = options.error(key, format!("connector \"datagen\" has no field option \"{option}\""));
            errors.push(error.nearest(option, FIELD_NAMES.iter().copied()));
        }
    }
    errors
}

fn field(options: &Options, column: &ColumnSpec) -> Result<FieldGenerator> {
    let key = |option: &str| format!("fields.{}.{option}", column.name);
    let sequence = options.one_of(&key("kind"), false, &[("random", false), ("sequence", true)])?;
    let null_rate = options.number(&key("null-rate"), 0.0)?;
    if !(0.0..=1.0).contains(&null_rate) {
        return Err(
            options.error(&key("null-rate"), format!("option \"{}\" must be between 0 and 1", key("null-rate")))
        );
    }
    let values = if sequence { sequence_values(options, column)? } else { random_values(options, column)? };
    Ok(FieldGenerator { data_type: column.data_type.clone(), values, null_rate })
}

fn sequence_values(options: &Options, column: &ColumnSpec) -> Result<Values> {
    let numeric = column.data_type.is_numeric() || column.data_type == DataType::Utf8;
    if !numeric {
        return Err(unsupported(options, column, "sequence"));
    }
    let bound = |option: &str| {
        let key = format!("fields.{}.{option}", column.name);
        if options.get(&key).is_none() {
            return Err(Error::config(format!("column \"{}\" is a sequence and has no option \"{key}\"", column.name))
                .or_at(options.span(&format!("fields.{}.kind", column.name)))
                .hint(format!("add '{key}' = '…' to WITH")));
        }
        options.number(&key, 0i64)
    };
    let (start, end) = (bound("start")?, bound("end")?);
    if end < start {
        return Err(options.error(
            &format!("fields.{}.end", column.name),
            format!("the sequence of column \"{}\" ends before it starts", column.name),
        ));
    }
    if let Some((min, max)) = integer_range(&column.data_type)
        && (start < min || end > max)
    {
        return Err(out_of_range(options, column, "end"));
    }
    Ok(Values::Sequence { start, end })
}

fn random_values(options: &Options, column: &ColumnSpec) -> Result<Values> {
    let key = |option: &str| format!("fields.{}.{option}", column.name);
    if let Some((least, most)) = integer_range(&column.data_type) {
        let (min, max) = (options.number(&key("min"), least)?, options.number(&key("max"), most)?);
        if min > max {
            return Err(options.error(&key("max"), format!("column \"{}\": min is above max", column.name)));
        }
        if min < least || max > most {
            return Err(out_of_range(options, column, "max"));
        }
        return Ok(Values::Integer { min, max });
    }
    match &column.data_type {
        DataType::Boolean => Ok(Values::Boolean),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let most = match &column.data_type {
                DataType::Float32 => f64::from(f32::MAX),
                // below the largest, so that rounding to the scale stays within the precision
                DataType::Decimal128(precision, scale) => {
                    10f64.powi(i32::from(*precision) - i32::from(*scale)) * (1.0 - 1e-9)
                        - 10f64.powi(-i32::from(*scale))
                }
                _ => f64::MAX,
            }
            .max(0.0);
            let (min, max): (f64, f64) = (options.number(&key("min"), 0.0)?, options.number(&key("max"), most)?);
            if !(min.is_finite() && max.is_finite() && min <= max) {
                return Err(options.error(&key("max"), format!("column \"{}\": min is above max", column.name)));
            }
            if min < -most || max > most {
                return Err(out_of_range(options, column, "max"));
            }
            Ok(Values::Float { min, max })
        }
        DataType::Utf8 | DataType::Binary => {
            let length: usize = options.number(&key("length"), LENGTH_DEFAULT)?;
            if length > RECORD_BYTES_MAX {
                let message = format!("option \"{}\" is beyond the limit of {RECORD_BYTES_MAX} bytes", key("length"));
                return Err(options.error(&key("length"), message));
            }
            let varied = options.boolean(&key("var-len"), false)?;
            let text = column.data_type == DataType::Utf8;
            Ok(if text { Values::Text { length, varied } } else { Values::Bytes { length, varied } })
        }
        DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) => {
            let past = options.parsed(&key("max-past"), Duration::ZERO, parse_duration)?;
            Ok(Values::Time { max_past_ms: u64::try_from(past.as_millis()).unwrap_or(u64::MAX) })
        }
        _ => Err(unsupported(options, column, "random")),
    }
}

fn integer_range(data_type: &DataType) -> Option<(i64, i64)> {
    match data_type {
        DataType::Int8 => Some((i8::MIN.into(), i8::MAX.into())),
        DataType::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
        DataType::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
        DataType::Int64 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

fn out_of_range(options: &Options, column: &ColumnSpec, option: &str) -> Error {
    let key = format!("fields.{}.{option}", column.name);
    options.error(&key, format!("the range of column \"{}\" does not fit its type {}", column.name, column.sql_type))
}

fn unsupported(options: &Options, column: &ColumnSpec, kind: &str) -> Error {
    Error::config(format!(
        "connector \"datagen\" makes no {kind} values of type {} (column \"{}\")",
        column.sql_type, column.name
    ))
    .or_at(options.span("connector"))
}

/// The finalizer of SplitMix64 (Steele, Lea & Flood 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The `word`th random number of a row.
fn random(seed: u64, row: u64, word: u64) -> u64 {
    mix(mix(seed ^ row).wrapping_add(word))
}

/// A number in `[0, 1)`.
fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

fn bytes(seed: u64, row: u64, length: usize, varied: bool) -> Vec<u8> {
    let length = if varied && length > 1 {
        1 + usize::try_from((u128::from(random(seed, row, 0)) * length as u128) >> 64).unwrap_or(0)
    } else {
        length
    };
    let words = 1..=(length as u64).div_ceil(8);
    let mut bytes: Vec<u8> = words.flat_map(|word| random(seed, row, word).to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests;
