//! Batches of an operator's state as bytes: a header with magic, version, count and checksum, then one
//! Arrow IPC stream per batch, each with its length before it. Damaged bytes are an error, never a panic:
//! nothing is parsed before the checksum over all of it has been found right.
//!
//! ```text
//! "STRMSNAP" | version u32 | crc u32 | count u32 | { length u64 | Arrow IPC stream } × count     (little-endian)
//!                                    └──────────────── crc covers ────────────────┘
//! ```

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"STRMSNAP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;

/// The bytes of `batches`; their schemas may differ.
///
/// # Errors
/// `Internal` if a batch has no IPC form.
pub fn encode(batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let count = u32::try_from(batches.len())
        .map_err(|_| Error::internal(format!("a snapshot of {} batches is too large", batches.len())))?;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&count.to_le_bytes());
    for batch in batches {
        let mut stream = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        stream.write(batch)?;
        let stream = stream.into_inner()?;
        bytes.extend_from_slice(&(stream.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&stream);
    }
    let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// The batches of [`encode`], in order.
///
/// # Errors
/// `State` if the bytes are damaged, cut short, foreign or of another version.
pub fn decode(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let mut header = Cursor { rest: bytes };
    if header.take(MAGIC.len())? != MAGIC {
        return Err(Error::state("a state object is no snapshot of streamer"));
    }
    let version = header.u32()?;
    if version != VERSION {
        return Err(Error::state(format!("a snapshot has format {version}, this streamer reads format {VERSION}"))
            .hint("run the streamer that wrote it, or start over with --fresh"));
    }
    if header.u32()? != crc32fast::hash(header.rest) {
        return Err(damaged("the checksum does not match"));
    }
    let mut body = header;
    let count = body.u32()?;
    // grows with what is there, not with what the header claims
    let mut batches = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(body.u64()?).map_err(|_| damaged("a length is out of range"))?;
        batches.push(decode_stream(body.take(length)?)?);
    }
    if !body.rest.is_empty() {
        return Err(damaged("bytes are left over"));
    }
    Ok(batches)
}

fn decode_stream(stream: &[u8]) -> Result<RecordBatch> {
    let unreadable = |e: arrow::error::ArrowError| damaged(&e.to_string()).because(e);
    let mut batches = StreamReader::try_new(stream, None).map_err(unreadable)?;
    let batch = batches.next().ok_or_else(|| damaged("a batch is missing"))?;
    batch.map_err(unreadable)
}

fn damaged(reason: &str) -> Error {
    Error::state("a snapshot is damaged")
        .detail(reason)
        .hint("restore the state from a copy, or start over with --fresh")
}

/// Reads from the front; asking for more than there is is an error.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| damaged("it is cut short"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged("it is cut short"))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::{Int32Type, Schema};
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn batches() -> Vec<RecordBatch> {
        let first = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(3)])) as ArrayRef),
            ("s", Arc::new(StringArray::from(vec![Some("a"), None, Some("")])) as ArrayRef),
            ("x", Arc::new(Float64Array::from(vec![f64::NAN, -0.0, 1e300])) as ArrayRef),
            ("b", Arc::new(BinaryArray::from_vec(vec![b"\0", b"", b"xyz"])) as ArrayRef),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]).with_timezone("UTC")) as ArrayRef),
            ("d", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("p"), Some("q"), Some("p")])) as ArrayRef),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
                    Some(vec![Some(1), None]),
                    None,
                    Some(vec![]),
                ])) as ArrayRef,
            ),
        ])
        .unwrap();
        let other = RecordBatch::try_from_iter([("f", Arc::new(BooleanArray::from(vec![true])) as ArrayRef)]).unwrap();
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        vec![first.clone(), other, empty, first.slice(1, 1), first.slice(0, 0)]
    }

    #[test]
    fn batches_come_back_as_they_were() {
        for batches in [vec![], batches()] {
            // compared as text: NaN is not equal to itself
            let read = decode(&encode(&batches).unwrap()).unwrap();
            assert_eq!(format!("{batches:?}"), format!("{read:?}"));
        }
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = encode(&batches()).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]).unwrap_err().kind(), ErrorKind::State, "{length}");
        }
        assert!(decode(&[bytes.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = encode(&[]).unwrap();
        bytes[8] = 9;
        assert!(decode(&bytes).unwrap_err().message().contains("format 9"));
    }

    proptest! {
        #[test]
        fn flipped_bytes_are_refused(at in any::<proptest::sample::Index>(), mask in 1u8..) {
            let mut bytes = encode(&batches()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert_eq!(decode(&bytes).unwrap_err().kind(), ErrorKind::State);
        }

        #[test]
        fn foreign_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), ours in any::<bool>()) {
            let bytes = if ours { [MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat() } else { bytes };
            prop_assert!(decode(&bytes).is_err());
        }

        /// What the checksum cannot see: a body that is well summed and still wrong.
        #[test]
        fn well_summed_nonsense_is_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(body.get(..4) != Some(&[0; 4]));
            let crc = crc32fast::hash(&body).to_le_bytes();
            let bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &crc, &body].concat();
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
