//! Bytes as text: the standard alphabet of RFC 4648 §4, with padding, as Jackson reads and writes it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// No digit of the alphabet.
const NONE: u8 = 0xff;

const DIGITS: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        table[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// Appends the text of `bytes`.
pub(in crate::formats) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |bits: u32, shift: u32| ALPHABET[((bits >> shift) & 63) as usize];
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        out.push(digit(bits, 18));
        out.push(digit(bits, 12));
        out.push(if group.len() > 1 { digit(bits, 6) } else { b'=' });
        out.push(if group.len() > 2 { digit(bits, 0) } else { b'=' });
    }
}

/// Appends the bytes of `text`; `None` (with some bytes appended) if it is not base64.
pub(in crate::formats) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let groups = text.len() / 4;
    for (at, group) in text.chunks_exact(4).enumerate() {
        let padding = group.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || (padding > 0 && at + 1 != groups) {
            return None;
        }
        let mut bits = 0u32;
        for byte in group.iter().take(4 - padding) {
            let digit = DIGITS[*byte as usize];
            if digit == NONE {
                return None;
            }
            bits = (bits << 6) | u32::from(digit);
        }
        bits <<= 6 * padding;
        out.extend(bits.to_be_bytes().iter().skip(1).take(3 - padding));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(text(bytes.as_bytes()), expected);
            let mut back = Vec::new();
            assert_eq!(decode(expected.as_bytes(), &mut back), Some(()));
            assert_eq!(back, bytes.as_bytes());
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for wrong in ["Z", "Zg", "Zg=", "====", "Z===", "Zg==Zg==", "Zm9\u{e9}", "Zm 9", "-_-_"] {
            assert_eq!(decode(wrong.as_bytes(), &mut Vec::new()), None, "{wrong}");
        }
    }
}
