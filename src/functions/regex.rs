//! REGEXP, REGEXP_EXTRACT and REGEXP_REPLACE over the linear-time engine of Rust: what needs back-tracking in Java
//! (look-around, back-references, possessive quantifiers) is refused by an error that names the pattern.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{cast, regexp_is_match, regexp_match};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::regex::regexpreplace::regexp_replace;

use super::scalar::{At, Call};
use crate::error::Error;

fn refused(error: &ArrowError) -> DataFusionError {
    let detail = error.to_string();
    let reason = detail.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
    Error::data("a regular expression is not valid or not supported")
        .detail(reason)
        .hint(
            "look-around, back-references and possessive quantifiers are not supported: write the pattern without them",
        )
        .into()
}

/// `REGEXP(text, pattern)`.
pub(super) fn matches(call: &Call<'_>) -> Result<ArrayRef> {
    let found = regexp_is_match(call.text(0)?, call.text(1)?, None::<&StringArray>).map_err(|e| refused(&e))?;
    Ok(Arc::new(found))
}

/// The pattern with only the group `wanted` (0: none) capturing, and how many groups it has.
///
/// The match kernel leaves out groups that took no part, so places of groups would not be kept otherwise.
fn keep_group(pattern: &str, wanted: i64) -> (String, i64) {
    let mut kept = String::with_capacity(pattern.len() + 8);
    let (mut groups, mut class_depth) = (0_i64, 0_u32);
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        kept.push(c);
        match c {
            '\\' => kept.extend(rest.next()),
            '[' => class_depth += 1,
            ']' => class_depth = class_depth.saturating_sub(1),
            '(' if class_depth == 0 => {
                let after = rest.as_str();
                let named = ["?<", "?P<"].iter().find_map(|open| after.strip_prefix(open));
                let named = named.filter(|name| !name.starts_with(['=', '!']));
                if named.is_none() && after.starts_with('?') {
                    continue;
                }
                groups += 1;
                if let Some((_, body)) = named.and_then(|name| name.split_once('>')) {
                    rest = body.chars();
                }
                if groups != wanted {
                    kept.push_str("?:");
                }
            }
            _ => {}
        }
    }
    (kept, groups)
}

/// `REGEXP_EXTRACT(text, pattern [, group])`.
pub(super) fn extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns) = (call.text(0)?, call.text(1)?);
    let groups = if call.count() > 2 { Some(call.integers(2)?) } else { None };
    let mut last: Option<(&str, i64, Option<String>)> = None;
    let one_group = |row: usize| {
        let (pattern, group) = patterns.at(row).zip(groups.map_or(Some(0), |groups| groups.at(row)))?;
        match &last {
            Some((p, g, kept)) if *p == pattern && *g == group => kept.clone(),
            _ => {
                let (kept, count) = keep_group(pattern, group);
                let kept = (0..=count).contains(&group).then_some(kept);
                last = Some((pattern, group, kept.clone()));
                kept
            }
        }
    };
    let kept: StringArray = (0..call.rows).map(one_group).collect();
    let found = regexp_match(texts, &kept, None).map_err(|e| refused(&e))?;
    let lists = found.as_list::<i32>();
    call.build_text(|row| {
        if lists.is_null(row) {
            return Ok(None);
        }
        let captured = lists.value(row);
        Ok(captured.as_string::<i32>().iter().next().flatten().map(str::to_owned))
    })
}

/// A replacement that the kernel takes as it is: neither `$1` nor `\1` is a group.
fn literal(replacement: &str) -> String {
    let mut escaped = String::with_capacity(replacement.len());
    for c in replacement.chars() {
        match c {
            '$' => escaped.push_str("$$"),
            // a group that no pattern has stands for nothing and parts the back-slash from a digit
            '\\' => escaped.push_str("\\${_no_such_group_}"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `REGEXP_REPLACE(text, pattern, replacement)`.
pub(super) fn replace(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, patterns, replacements) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let replacements: StringArray = (0..call.rows).map(|row| replacements.at(row).map(literal)).collect();
    let flags = StringArray::from_iter_values(std::iter::repeat_n("g", call.rows));
    let replaced =
        regexp_replace::<i32, _>(texts, patterns, &replacements, Some(&flags)).map_err(|error| match error {
            DataFusionError::ArrowError(inner, _) => refused(&inner),
            DataFusionError::External(inner) => refused(&ArrowError::ComputeError(inner.to_string())),
            other => other,
        })?;
    Ok(cast(&replaced, &DataType::Utf8)?)
}

#[cfg(test)]
mod tests {
    use super::keep_group;

    #[test]
    fn one_group_is_kept() {
        assert_eq!(keep_group(r"(a)(b)", 2), (r"(?:a)(b)".into(), 2));
        assert_eq!(keep_group(r"(?:x)(?<n>a)(?i)(b)", 0), (r"(?:x)(?:a)(?i)(?:b)".into(), 2));
        assert_eq!(keep_group(r"\((a)[(](b)", 1), (r"\((a)[(](?:b)".into(), 2));
        assert_eq!(keep_group("(", 0), ("(?:".into(), 1));
        assert_eq!(keep_group("\\", 0), ("\\".into(), 0));
    }
}
