//! The order of the entries of a Java `HashMap`, in which Flink makes the maps it reads from JSON, casts and collects:
//! by bucket, and in a bucket by arrival. Which bucket an entry is in follows from its key's `hashCode` and the number
//! of entries.
//!
//! # Source  OpenJDK 17, `java.util.HashMap`; the hashes of Flink's values, `MurmurHashUtils` and `DecimalData`

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};

/// Buckets of a map that is made without a size.
pub const BUCKETS: usize = 16;

/// The places of entries, given in order of arrival with their keys' hashes, in the order in which a map hands them out.
/// `buckets` is what the map begins with, a power of two; it doubles beyond three quarters of them.
pub fn order(hashes: &[i32], buckets: usize) -> Vec<usize> {
    let mut buckets = buckets.max(1);
    while hashes.len() > buckets * 3 / 4 {
        buckets *= 2;
    }
    let bucket = |place: &usize| {
        let hash = hashes.get(*place).map_or(0, |hash| hash.cast_unsigned());
        (hash ^ hash >> 16) as usize & (buckets - 1)
    };
    let mut places: Vec<usize> = (0..hashes.len()).collect();
    places.sort_by_key(bucket);
    places
}

/// `String.hashCode`.
pub fn text_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// `hashCode` of a STRING inside Flink: Murmur3 over words of four bytes, and over what is left byte by byte.
pub fn bytes_hash(bytes: &[u8]) -> i32 {
    let mixed = |hash: u32, word: u32| {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    };
    let (words, rest) = bytes.as_chunks::<4>();
    let hash = words.iter().fold(42, |hash, word| mixed(hash, u32::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| mixed(hash, i32::from(byte.cast_signed()).cast_unsigned()));
    let mut hash = hash ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    (hash ^ hash >> 16).cast_signed()
}

fn long_hash(value: i64) -> i32 {
    (value ^ (value.cast_unsigned() >> 32).cast_signed()) as i32
}

/// `BigDecimal.hashCode`.
fn decimal_hash(units: i128, scale: i8) -> i32 {
    let size = units.unsigned_abs();
    let words = [96, 64, 32, 0].map(|shift| (size >> shift) as u32);
    let hash = words.iter().fold(0_i32, |hash, word| hash.wrapping_mul(31).wrapping_add(word.cast_signed()));
    let signed = if units < 0 { hash.wrapping_neg() } else { hash };
    signed.wrapping_mul(31).wrapping_add(i32::from(scale))
}

fn timestamp_hash(ms: i64, ns_of_ms: i64) -> i32 {
    long_hash(ms).wrapping_mul(31).wrapping_add(ns_of_ms as i32)
}

/// The hash of each key, 0 of NULL; `None` for a type whose hash does not follow from its value, or is not known.
pub fn hashes(keys: &ArrayRef) -> Option<Vec<i32>> {
    macro_rules! each {
        ($array:expr, $hash:expr) => {{
            let hash = $hash;
            $array.iter().map(|key| key.map_or(0, |key| hash(key))).collect()
        }};
    }
    Some(match keys.data_type() {
        DataType::Utf8 => each!(keys.as_string::<i32>(), |key: &str| bytes_hash(key.as_bytes())),
        DataType::Boolean => each!(keys.as_boolean(), |key| if key { 1231 } else { 1237 }),
        DataType::Int8 => each!(keys.as_primitive::<Int8Type>(), i32::from),
        DataType::Int16 => each!(keys.as_primitive::<Int16Type>(), i32::from),
        DataType::Int32 => each!(keys.as_primitive::<Int32Type>(), |key: i32| key),
        DataType::Int64 => each!(keys.as_primitive::<Int64Type>(), long_hash),
        DataType::Float32 => each!(keys.as_primitive::<Float32Type>(), |key: f32| {
            if key.is_nan() { f32::NAN } else { key }.to_bits().cast_signed()
        }),
        DataType::Float64 => each!(keys.as_primitive::<Float64Type>(), |key: f64| {
            long_hash(if key.is_nan() { f64::NAN } else { key }.to_bits().cast_signed())
        }),
        DataType::Decimal128(_, scale) => {
            each!(keys.as_primitive::<Decimal128Type>(), |key| decimal_hash(key, *scale))
        }
        DataType::Date32 => each!(keys.as_primitive::<Date32Type>(), |key: i32| key),
        DataType::Time32(TimeUnit::Millisecond) => {
            each!(keys.as_primitive::<Time32MillisecondType>(), |key: i32| key)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each!(keys.as_primitive::<TimestampMillisecondType>(), |key| timestamp_hash(key, 0))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each!(keys.as_primitive::<TimestampMicrosecondType>(), |key: i64| {
                timestamp_hash(key.div_euclid(1000), key.rem_euclid(1000) * 1000)
            })
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            each!(keys.as_primitive::<TimestampNanosecondType>(), |key: i64| {
                timestamp_hash(key.div_euclid(1_000_000), key.rem_euclid(1_000_000))
            })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int32Array, StringArray};

    fn shown(keys: &ArrayRef) -> Vec<usize> {
        order(&hashes(keys).unwrap(), BUCKETS)
    }

    /// Orders in which Flink 2.3 wrote the entries.
    #[test]
    fn entries_stand_as_in_flink() {
        let texts = |keys: &[&str]| {
            let array: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
            shown(&array).into_iter().map(|place| keys[place].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts(&["b", "a", "c", "zeta", "alpha"]), ["zeta", "alpha", "a", "c", "b"]);
        assert_eq!(
            texts(&["k1", "k2", "k10", "k11", "k12", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k13", "k0"]),
            ["k6", "k9", "k3", "k8", "k0", "k10", "k1", "k2", "k4", "k5", "k12", "k7", "k11", "k13"]
        );
        assert_eq!(
            texts(&["", "é", "日本", "😀", "Ünï", " ", "null", "a longer key that has more bytes"]),
            ["", "é", "null", "Ünï", "😀", "日本", "a longer key that has more bytes", " "]
        );
        let numbers = [1, 17, 33, 2, -1, 100_000];
        assert_eq!(shown(&(Arc::new(Int32Array::from(numbers.to_vec())) as ArrayRef)), [4, 0, 1, 2, 5, 3]);
        let doubles = Float64Array::from(numbers.map(f64::from).to_vec());
        assert_eq!(shown(&(Arc::new(doubles) as ArrayRef)), [0, 2, 3, 4, 1, 5]);
        let decimals = numbers.map(|number| i128::from(number) * 100).to_vec();
        let decimals = Decimal128Array::from(decimals).with_precision_and_scale(30, 2).unwrap();
        assert_eq!(shown(&(Arc::new(decimals) as ArrayRef)), [5, 4, 3, 0, 1, 2]);
    }

    #[test]
    fn a_map_with_a_size_has_other_buckets() {
        let keys = ["key3", "key1", "key2", "longer key", "é", "😀"];
        let places = order(&keys.map(text_hash), keys.len().next_power_of_two());
        let shown: Vec<&str> = places.iter().map(|place| keys[*place]).collect();
        assert_eq!(shown, ["key1", "😀", "key2", "é", "longer key", "key3"]);
    }
}
