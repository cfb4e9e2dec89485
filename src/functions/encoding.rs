//! Texts as other texts or as bytes: base 64, hexadecimal and binary digits, character sets, addresses.

use std::net::Ipv4Addr;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Int64Type};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{alphabet, engine::DecodePaddingMode};
use datafusion::error::Result;

use super::hash::hexadecimal;
use super::scalar::Takes::{Bytes, Integer, IntegerOrText, Text, TextOrBytes};
use super::scalar::{At, Call, Entry, entry};
use crate::error::Error;

/// The functions of this file.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        takes: &[TextOrBytes],
        ..entry("to_base64", "TO_BASE64(text)", to_base64, "Base 64 of the text in UTF-8 or of the bytes.")
    },
    entry("from_base64", "FROM_BASE64(text)", from_base64, "The text of base 64; fails for other characters."),
    Entry {
        takes: &[IntegerOrText],
        ..entry("hex", "HEX(value)", hex, "Hexadecimal digits, upper-case, of an integer or of a text in UTF-8.")
    },
    Entry {
        returns: |_| Some(DataType::Binary),
        ..entry("unhex", "UNHEX(text)", unhex, "The bytes of hexadecimal digits; NULL if there are others.")
    },
    Entry { takes: &[Integer], ..entry("bin", "BIN(number)", bin, "Binary digits, of 64 for a negative number.") },
    Entry {
        takes: &[Text, Text],
        returns: |_| Some(DataType::Binary),
        ..entry(
            "encode",
            "ENCODE(text, charset)",
            encode,
            "The bytes in a character set such as UTF-8, UTF-16 or ISO-8859-1.",
        )
    },
    Entry {
        takes: &[Bytes, Text],
        ..entry("decode", "DECODE(bytes, charset)", decode, "The text of bytes in a character set.")
    },
    Entry {
        returns: |_| Some(DataType::Int64),
        ..entry("inet_aton", "INET_ATON(text)", inet_aton, "The number of an IPv4 address; NULL if it is none.")
    },
    Entry {
        takes: &[Integer],
        ..entry("inet_ntoa", "INET_NTOA(number)", inet_ntoa, "The IPv4 address of a number; NULL beyond 32 bits.")
    },
];

fn to_base64(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.bytes(0)?;
    call.build_text(|row| Ok(values.at(row).map(|bytes| STANDARD.encode(bytes))))
}

/// As `java.util.Base64`: padding may be left out, bits beyond the last byte are nothing.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn from_base64(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.text(0)?;
    call.build_text(|row| {
        let Some(text) = values.at(row) else { return Ok(None) };
        let bytes = LOOSE
            .decode(text)
            .map_err(|error| Error::data(format!("\"{text}\" is not base 64")).detail(error.to_string()))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    })
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn hex(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.any(0)?.data_type() == DataType::Int64 {
        let numbers = call.integers(0)?;
        return call.build_text(|row| Ok(numbers.at(row).map(|number| format!("{number:X}"))));
    }
    let texts = call.text(0)?;
    call.build_text(|row| Ok(texts.at(row).map(|text| hexadecimal(text.as_bytes(), UPPER))))
}

/// The first of an odd number of digits says nothing: its byte is 0, as in Flink.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut nibbles = digits.bytes().map(nibble).collect::<Option<Vec<u8>>>()?;
    if nibbles.len() % 2 == 1 {
        nibbles.splice(0..1, [0, 0]);
    }
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
    Some(nibbles.chunks(2).map(byte).collect())
}

fn unhex(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_bytes(|row| Ok(texts.at(row).and_then(bytes_of)))
}

fn bin(call: &Call<'_>) -> Result<ArrayRef> {
    let numbers = call.integers(0)?;
    call.build_text(|row| Ok(numbers.at(row).map(|number| format!("{number:b}"))))
}

/// The character sets every Java has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// Big end first, with its mark before the text.
    Utf16,
    Utf16BigEnd,
    Utf16LittleEnd,
    Latin1,
    Ascii,
}

impl Charset {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => Self::Utf8,
            "UTF-16" | "UTF16" => Self::Utf16,
            "UTF-16BE" => Self::Utf16BigEnd,
            "UTF-16LE" => Self::Utf16LittleEnd,
            "ISO-8859-1" | "ISO8859-1" | "LATIN1" => Self::Latin1,
            "US-ASCII" | "ASCII" => Self::Ascii,
            _ => {
                return Err(Error::data(format!("character set \"{name}\" is not supported"))
                    .hint("write UTF-8, UTF-16, UTF-16BE, UTF-16LE, ISO-8859-1 or US-ASCII")
                    .into());
            }
        })
    }

    /// What the set has not becomes `?`.
    fn encode(self, text: &str) -> Vec<u8> {
        let narrow = |most: u32| text.chars().map(|c| if u32::from(c) <= most { c as u8 } else { b'?' }).collect();
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16 if text.is_empty() => Vec::new(),
            Self::Utf16 => [vec![0xfe, 0xff], wide(u16::to_be_bytes)].concat(),
            Self::Utf16BigEnd => wide(u16::to_be_bytes),
            Self::Utf16LittleEnd => wide(u16::to_le_bytes),
            Self::Latin1 => narrow(0xff),
            Self::Ascii => narrow(0x7f),
        }
    }

    fn decode(self, bytes: &[u8]) -> String {
        let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
            let text = text.map(|c| c.unwrap_or('\u{fffd}'));
            text.chain((!rest.is_empty()).then_some('\u{fffd}')).collect()
        };
        match (self, bytes) {
            (Self::Utf8, bytes) => String::from_utf8_lossy(bytes).into_owned(),
            (Self::Utf16, [0xff, 0xfe, rest @ ..]) => wide(rest, u16::from_le_bytes),
            (Self::Utf16, [0xfe, 0xff, rest @ ..]) => wide(rest, u16::from_be_bytes),
            (Self::Utf16 | Self::Utf16BigEnd, bytes) => wide(bytes, u16::from_be_bytes),
            (Self::Utf16LittleEnd, bytes) => wide(bytes, u16::from_le_bytes),
            (Self::Latin1, bytes) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            (Self::Ascii, bytes) => {
                bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }).collect()
            }
        }
    }
}

fn encode(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, sets) = (call.text(0)?, call.text(1)?);
    call.build_bytes(|row| {
        let Some((text, set)) = texts.at(row).zip(sets.at(row)) else { return Ok(None) };
        Ok(Some(Charset::parse(set)?.encode(text)))
    })
}

fn decode(call: &Call<'_>) -> Result<ArrayRef> {
    let (values, sets) = (call.bytes(0)?, call.text(1)?);
    call.build_text(|row| {
        let Some((bytes, set)) = values.at(row).zip(sets.at(row)) else { return Ok(None) };
        Ok(Some(Charset::parse(set)?.decode(bytes)))
    })
}

/// `a.b.c.d`; of fewer numbers the last is the lowest byte.
fn address(text: &str) -> Option<i64> {
    let byte = |part: &str| part.parse::<u8>().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()));
    let mut bytes = text.split('.').map(byte).collect::<Option<Vec<u8>>>()?;
    let last = bytes.pop().filter(|_| bytes.len() < 4)?;
    let high = bytes.iter().zip([24, 16, 8]).map(|(byte, shift)| i64::from(*byte) << shift).sum::<i64>();
    Some(high | i64::from(last))
}

fn inet_aton(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build::<Int64Type>(|row| Ok(texts.at(row).and_then(address)))
}

fn inet_ntoa(call: &Call<'_>) -> Result<ArrayRef> {
    let numbers = call.integers(0)?;
    call.build_text(|row| {
        let number = numbers.at(row).and_then(|number| u32::try_from(number).ok());
        Ok(number.map(|number| Ipv4Addr::from_bits(number).to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets() {
        assert_eq!(Charset::Utf16.encode("a"), [0xfe, 0xff, 0, 97]);
        assert_eq!(Charset::Latin1.encode("aü€"), [97, 0xfc, b'?']);
        assert_eq!(Charset::Utf16LittleEnd.decode(&Charset::Utf16LittleEnd.encode("a😀")), "a😀");
        assert_eq!(Charset::Utf8.decode(b"\xffa"), "\u{fffd}a");
        assert!(Charset::parse("nope").is_err());
    }

    #[test]
    fn digits_and_addresses() {
        assert_eq!(bytes_of("414"), Some(vec![0, 0x14]));
        assert_eq!(bytes_of("zz"), None);
        assert_eq!(address("1.2.3.4"), Some(16_909_060));
        assert_eq!(address("127.1"), Some(2_130_706_433));
        assert_eq!(address("256.0.0.1"), None);
        assert_eq!(address("1.2.3.4.5"), None);
        assert_eq!(LOOSE.decode("YQ").unwrap(), b"a");
    }
}
