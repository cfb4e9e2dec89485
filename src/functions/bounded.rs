//! Results that have a bound: the text of one value, and the values of one column.
//!
//! Invariant: a bound is checked before memory is taken for what goes beyond it, and beyond it is an error of the data.

use crate::error::{Error, Result};
use crate::limits::{COLUMN_BYTES_MAX, RESULT_BYTES_MAX};

/// The error of a function whose result for one value would be too long.
pub(super) fn too_long(function: &str) -> Error {
    Error::data(format!("{function} would give a text of more than {RESULT_BYTES_MAX} bytes"))
        .hint("use a shorter text, or fewer repetitions of it")
}

/// A text of one value while it is made.
pub(super) struct Bounded {
    function: &'static str,
    text: String,
}

impl Bounded {
    /// An empty text. `function`: its name, for the error.
    pub(super) fn new(function: &'static str) -> Self {
        Self { function, text: String::new() }
    }

    /// Appends a part.
    ///
    /// # Errors
    /// `Data` if the text would be longer than [`RESULT_BYTES_MAX`].
    pub(super) fn push(&mut self, part: &str) -> Result<()> {
        if part.len() > RESULT_BYTES_MAX.saturating_sub(self.text.len()) {
            return Err(too_long(self.function));
        }
        self.text.push_str(part);
        Ok(())
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Room for the values of one column of text or bytes, whose offsets have 32 bits.
pub(super) struct Room(usize);

impl Room {
    /// The room of a new column.
    pub(super) fn new() -> Self {
        Self::of(COLUMN_BYTES_MAX)
    }

    /// Room for so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Takes the room of a value.
    ///
    /// # Errors
    /// `Data` if there is not so much left.
    pub(super) fn take(&mut self, bytes: usize) -> Result<()> {
        let full = || {
            Error::data("the values a function makes of one batch are larger than 2 GiB")
                .hint("make shorter values: cut them with LEFT(text, length), or repeat and pad less")
        };
        self.0 = self.0.checked_sub(bytes).ok_or_else(full)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_bound() {
        let mut text = Bounded::new("F");
        let half = "x".repeat(RESULT_BYTES_MAX / 2);
        text.push(&half).unwrap();
        text.push(&half).unwrap();
        assert!(text.push("x").unwrap_err().message().contains("F would give a text of more than"));
        assert_eq!(text.finish().len(), RESULT_BYTES_MAX);
    }

    #[test]
    fn a_column_ends_where_its_offsets_do() {
        let mut room = Room::new();
        room.take(i32::MAX as usize).unwrap();
        room.take(0).unwrap();
        assert!(room.take(1).unwrap_err().message().contains("larger than 2 GiB"));
    }
}
