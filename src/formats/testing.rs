//! Random rows of every type, for the tests of the formats.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, Time32MillisecondArray,
    Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::formats::text::time::per_second;
use crate::table::java_map::{BUCKETS, bytes_hash, order};
use crate::table::map::{entry_fields, map_array, map_type};
use crate::table::{OptionValue, Options};

/// Options from pairs of name and value.
pub(super) fn options(pairs: &[(&str, &str)]) -> Options {
    let value = |v: &str| OptionValue { value: v.to_owned(), span: None };
    Options(pairs.iter().map(|(k, v)| ((*k).to_owned(), value(v))).collect())
}

/// A schema of nullable columns.
pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

pub(super) fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

pub(super) fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect())
}

pub(super) fn map(value: DataType) -> DataType {
    map_type(DataType::Utf8, value, true)
}

/// Every type that holds a single value.
pub(super) fn scalar_types() -> Vec<DataType> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let mut types = vec![
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Decimal128(38, 0),
        DataType::Decimal128(38, 38),
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        DataType::Time32(Second),
        DataType::Time32(Millisecond),
        DataType::Time64(Microsecond),
        DataType::Time64(Nanosecond),
    ];
    for unit in [Second, Millisecond, Microsecond, Nanosecond] {
        types.push(DataType::Timestamp(unit, None));
        types.push(DataType::Timestamp(unit, Some("UTC".into())));
    }
    types
}

/// Splitmix64: Steele, Lea & Flood 2014.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A whole number of any size.
    fn number(&mut self) -> i64 {
        let shift = self.below(64);
        (self.next() as i64) >> shift
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -0.0,
            3 => self.number() as f64,
            4 => (self.number() % 1_000_000) as f64 / 100.0,
            _ => Some(f64::from_bits(self.next())).filter(|f| !f.is_nan()).unwrap_or(f64::NAN),
        }
    }

    pub(super) fn text(&mut self, alphabet: &[char]) -> String {
        (0..self.below(30)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

const LETTERS: &[char] = &[
    'a', 'Z', '0', ' ', '"', '\\', '/', '\n', '\r', '\t', '\0', '\u{1f}', '\u{7f}', 'ä', '€', '😀', ',', ';', '{',
    '\u{2028}', '\u{fffd}',
];

/// `rows` random rows of `schema`.
pub(super) fn batch(schema: &SchemaRef, rows: usize, random: &mut Random) -> RecordBatch {
    let columns = schema.fields().iter().map(|f| array(f.data_type(), rows, random)).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

fn array(data_type: &DataType, rows: usize, random: &mut Random) -> ArrayRef {
    macro_rules! values {
        ($array:ty, $value:expr) => {
            Arc::new((0..rows).map(|_| (random.below(4) > 0).then(|| $value)).collect::<$array>())
        };
    }
    match data_type {
        DataType::Boolean => values!(BooleanArray, random.below(2) == 1),
        DataType::Int8 => values!(Int8Array, random.number() as i8),
        DataType::Int16 => values!(Int16Array, random.number() as i16),
        DataType::Int32 => values!(Int32Array, random.number() as i32),
        DataType::Int64 => values!(Int64Array, random.number()),
        DataType::Float32 => values!(Float32Array, random.float() as f32),
        DataType::Float64 => values!(Float64Array, random.float()),
        DataType::Decimal128(p, s) => {
            let limit = 10i128.pow(u32::from(*p));
            let wide = |r: &mut Random| ((i128::from(r.number()) << 64) | i128::from(r.next())) >> r.below(100);
            let values: Decimal128Array =
                (0..rows).map(|_| (random.below(4) > 0).then(|| wide(random) % limit)).collect();
            Arc::new(values.with_precision_and_scale(*p, *s).unwrap())
        }
        DataType::Utf8 => values!(StringArray, random.text(LETTERS)),
        DataType::Binary => {
            let values: Vec<_> =
                (0..rows).map(|_| (random.below(4) > 0).then(|| random.text(LETTERS).into_bytes())).collect();
            Arc::new(values.iter().map(|v| v.as_deref()).collect::<BinaryArray>())
        }
        DataType::Date32 => values!(Date32Array, random.number() as i32),
        DataType::Time32(TimeUnit::Second) => values!(Time32SecondArray, random.below(86_400) as i32),
        DataType::Time32(_) => values!(Time32MillisecondArray, random.below(86_400_000) as i32),
        DataType::Time64(TimeUnit::Microsecond) => {
            values!(Time64MicrosecondArray, random.below(86_400_000_000) as i64)
        }
        DataType::Time64(_) => values!(Time64NanosecondArray, random.below(86_400_000_000_000) as i64),
        DataType::Timestamp(unit, zone) => timestamps(*unit, zone.clone(), rows, random),
        _ => nested(data_type, rows, random),
    }
}

fn timestamps(unit: TimeUnit, zone: Option<Arc<str>>, rows: usize, random: &mut Random) -> ArrayRef {
    // years of at most ten digits, and no instant at the very end of the range
    let limit = (i64::MAX / 2).min(per_second(unit).saturating_mul(300_000_000_000_000_000));
    let values: Vec<_> = (0..rows).map(|_| (random.below(4) > 0).then(|| random.number() % limit)).collect();
    match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::from(values).with_timezone_opt(zone)),
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::from(values).with_timezone_opt(zone)),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone)),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::from(values).with_timezone_opt(zone)),
    }
}

fn nested(data_type: &DataType, rows: usize, random: &mut Random) -> ArrayRef {
    let valid: Vec<bool> = (0..rows).map(|_| random.below(4) > 0).collect();
    let lengths: Vec<usize> = valid.iter().map(|v| if *v { random.below(4) } else { 0 }).collect();
    let children = lengths.iter().sum();
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let nulls = Some(NullBuffer::from(valid));
    match data_type {
        DataType::List(item) => {
            Arc::new(ListArray::new(item.clone(), offsets, array(item.data_type(), children, random), nulls))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|f| array(f.data_type(), rows, random)).collect();
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::Map(..) => {
            let (_, value) = entry_fields(data_type).unwrap();
            // the number keeps the keys apart
            let names: Vec<String> = (0..children).map(|i| format!("{i}{}", random.text(LETTERS))).collect();
            // in the order in which they are read back
            let row = |bounds: &[i32]| {
                let names = &names[usize::try_from(bounds[0]).unwrap()..usize::try_from(bounds[1]).unwrap()];
                let hashes: Vec<i32> = names.iter().map(|name| bytes_hash(name.as_bytes())).collect();
                order(&hashes, BUCKETS).into_iter().map(|place| names[place].clone()).collect::<Vec<_>>()
            };
            let keys: StringArray = offsets.windows(2).flat_map(row).map(Some).collect();
            let values = array(value.data_type(), children, random);
            Arc::new(map_array(data_type, offsets, Arc::new(keys), values, nulls).unwrap())
        }
        other => panic!("no random values of {other}"),
    }
}
