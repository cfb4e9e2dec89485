//! Hash functions of texts and bytes, as hexadecimal text in lower case.

use arrow::array::ArrayRef;
use datafusion::error::Result;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::scalar::Takes::{Integer, TextOrBytes};
use super::scalar::{At, Call, Entry, entry};
use crate::error::Error;

const fn hash(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    Entry { takes: &[TextOrBytes], ..entry(name, usage, kernel, doc) }
}

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    hash("md5", "MD5(text)", each::<Md5>, "MD5 of the text in UTF-8 or of the bytes."),
    hash("sha1", "SHA1(text)", each::<Sha1>, "SHA-1, as MD5."),
    hash("sha224", "SHA224(text)", each::<Sha224>, "SHA-224, as MD5."),
    hash("sha256", "SHA256(text)", each::<Sha256>, "SHA-256, as MD5."),
    hash("sha384", "SHA384(text)", each::<Sha384>, "SHA-384, as MD5."),
    hash("sha512", "SHA512(text)", each::<Sha512>, "SHA-512, as MD5."),
    Entry {
        takes: &[TextOrBytes, Integer],
        ..entry("sha2", "SHA2(text, bits)", sha2, "SHA-224, SHA-256, SHA-384 or SHA-512 by the number of bits.")
    },
];

/// Bytes as hexadecimal text.
pub(super) fn hexadecimal(bytes: &[u8], digits: &[u8; 16]) -> String {
    let digit = |nibble: u8| char::from(digits.get(usize::from(nibble & 15)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn text_of<D: Digest>(bytes: &[u8]) -> String {
    hexadecimal(&D::digest(bytes), b"0123456789abcdef")
}

fn each<D: Digest>(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.bytes(0)?;
    call.build_text(|row| Ok(values.at(row).map(text_of::<D>)))
}

fn sha2(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, bits) = (call.bytes(0)?, call.integers(1)?);
    call.build_text(|row| {
        let Some((bytes, bits)) = values.at(row).zip(bits.at(row)) else { return Ok(None) };
        Ok(Some(match bits {
            224 => text_of::<Sha224>(bytes),
            256 => text_of::<Sha256>(bytes),
            384 => text_of::<Sha384>(bytes),
            512 => text_of::<Sha512>(bytes),
            other => {
                return Err(Error::data(format!("SHA2 does not have {other} bits"))
                    .hint("write 224, 256, 384 or 512")
                    .into());
            }
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_nothing() {
        assert_eq!(text_of::<Md5>(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(text_of::<Sha1>(b"a"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        assert!(text_of::<Sha512>("é".as_bytes()).len() == 128);
    }
}
