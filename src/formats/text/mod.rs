//! Text ⇄ single values, shared by the text formats: numbers, times and bytes as Java and Flink write them.
//!
//! The functions know no column and no format. What is wrong with a text is a [`Wrong`]; the format makes
//! its own code of it.

pub(super) mod base64;
pub(super) mod number;
pub(super) mod time;

/// Characters of an offending value that a message may show.
pub(super) const EXCERPT_CHARS_MAX: usize = 40;

/// In what way a text is no value of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongKind {
    /// Of another kind altogether.
    Type,
    /// Of the right form, but beyond the type's range.
    Range,
    /// Not a time of the expected style.
    Timestamp,
    /// The batch has no room for it.
    Full,
}

/// Why a text is no value of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) kind: WrongKind,
    /// For people, with an excerpt of the value at most.
    pub(super) message: String,
    /// The standard of time stamps in which the text would be one.
    pub(super) standard: Option<&'static str>,
}

impl Wrong {
    /// A value that is wrong in another way than its standard of time.
    #[cold]
    pub(super) fn new(kind: WrongKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), standard: None }
    }

    /// `text` cannot be read as `wanted`.
    #[cold]
    pub(super) fn type_of(text: &str, wanted: &str) -> Self {
        Self::new(WrongKind::Type, format!("{} is no {wanted}", excerpt(text)))
    }

    /// `text` is beyond the range of `wanted`.
    #[cold]
    pub(super) fn range_of(text: &str, wanted: &str) -> Self {
        Self::new(WrongKind::Range, format!("{} is out of range for {wanted}", excerpt(text)))
    }
}

/// At most 40 characters of a value, in quotes, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    match text.char_indices().nth(EXCERPT_CHARS_MAX) {
        None => format!("\"{}\"", text.chars().map(shown).collect::<String>()),
        Some(_) => {
            let start: String = text.chars().take(EXCERPT_CHARS_MAX - 1).map(shown).collect();
            format!("\"{start}…\"")
        }
    }
}

/// Without the blanks and control characters at both ends, as Java's `String.trim`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), "\"a\u{fffd}b\"");
        let long = excerpt(&"ä".repeat(1_000));
        assert_eq!(long.chars().count(), EXCERPT_CHARS_MAX + 2);
        assert!(long.ends_with("…\""));
    }
}
