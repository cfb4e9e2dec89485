//! JSON_QUOTE and JSON_UNQUOTE, with Flink's escapes: `/` and all characters beyond ASCII are escaped.

use arrow::array::ArrayRef;
use datafusion::error::Result;

use super::{Json, parse};
use crate::functions::scalar::{At, Call};

/// JSON_QUOTE.
pub(super) fn quote(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_text(|row| Ok(texts.at(row).map(quoted)))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '/' => out.extend(['\\', c]),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii() => out.push(c),
            c => {
                // Flink walks UTF-16: it writes the code point at the first half of a pair, and then the second half
                let mut halves = [0; 2];
                out.push_str(&format!("\\u{:04x}", c as u32));
                if let [_, low] = c.encode_utf16(&mut halves) {
                    out.push_str(&format!("\\u{low:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// JSON_UNQUOTE.
pub(super) fn unquote(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.text(0)?;
    call.build_text(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        let whole = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
        Ok(Some(match parse(text) {
            Some(Json::Text(inner)) if whole => inner,
            _ => text.to_owned(),
        }))
    })
}
