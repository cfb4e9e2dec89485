//! Records of a text file, one after the other, in bounded memory: lines, or for CSV records whose quoted
//! fields may hold line ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use crate::limits::RECORD_BYTES_MAX;
use crate::table::Options;

/// What ends a CSV record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoting {
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
}

impl Quoting {
    /// Of a table's `csv.` options; `None` if quoting is off.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let byte = |key: &str| options.get(key).and_then(|text| text.bytes().next());
        if options.boolean("csv.disable-quote-character", false).unwrap_or(false) {
            return None;
        }
        let delimiter = match options.get("csv.field-delimiter") {
            Some("\\t") => b'\t',
            _ => byte("csv.field-delimiter").unwrap_or(b','),
        };
        Some(Self {
            delimiter,
            quote: byte("csv.quote-character").unwrap_or(b'"'),
            escape: byte("csv.escape-character"),
        })
    }

    /// Whether a record ends inside a quoted field, so that it goes on after the line end.
    fn open(self, record: &[u8]) -> bool {
        let mut quoted = false;
        let mut field_start = true;
        let mut bytes = record.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let starts = std::mem::take(&mut field_start);
            if Some(byte) == self.escape {
                bytes.next();
            } else if quoted {
                if byte == self.quote {
                    // a doubled quote stands for itself
                    quoted = bytes.next_if_eq(&self.quote).is_some();
                }
            } else if byte == self.quote && starts {
                quoted = true;
            } else {
                field_start = byte == self.delimiter || (starts && byte == b' ');
            }
        }
        quoted
    }
}

/// What stands next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A record is in the buffer.
    Whole,
    /// One longer than [`RECORD_BYTES_MAX`] was passed over; the buffer holds its beginning.
    TooLong,
    /// The file ends.
    End,
}

/// Reads the records of one file.
pub(super) struct RecordReader<R = File> {
    input: BufReader<R>,
    quoting: Option<Quoting>,
    /// Whether a line without a character is a record.
    with_empty: bool,
    /// Longest record.
    bytes_max: usize,
    /// Lines read so far.
    line: u64,
}

impl<R: Read> RecordReader<R> {
    pub(super) fn new(input: R, quoting: Option<Quoting>, with_empty: bool) -> Self {
        let input = BufReader::with_capacity(128 << 10, input);
        Self { input, quoting, with_empty, bytes_max: RECORD_BYTES_MAX, line: 0 }
    }

    /// Reads the next record into `record`, without its line end, and returns the line it
    /// starts on, from 1.
    pub(super) fn next(&mut self, record: &mut Vec<u8>) -> io::Result<(Record, u64)> {
        loop {
            record.clear();
            let start = self.line + 1;
            match self.line(record)? {
                Record::Whole => {}
                other => return Ok((other, start)),
            }
            if start == 1 && record.starts_with(b"\xEF\xBB\xBF") {
                record.drain(..3);
            }
            while self.quoting.is_some_and(|quoting| quoting.open(record)) {
                record.push(b'\n');
                match self.line(record)? {
                    Record::Whole => {}
                    Record::End => break,
                    Record::TooLong => return Ok((Record::TooLong, start)),
                }
            }
            while matches!(record.last(), Some(b'\n' | b'\r')) {
                record.pop();
            }
            if self.with_empty || !record.is_empty() {
                return Ok((Record::Whole, start));
            }
        }
    }

    /// Whether no byte is left. Line ends behind the last record are bytes.
    pub(super) fn ended(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    /// Appends a line without its `\n`, within the limit for the whole record.
    fn line(&mut self, record: &mut Vec<u8>) -> io::Result<Record> {
        let room = self.bytes_max.saturating_sub(record.len()) as u64;
        // one more for the line end
        let read = self.input.by_ref().take(room + 1).read_until(b'\n', record)?;
        if read == 0 {
            return Ok(Record::End);
        }
        self.line += 1;
        if record.last() == Some(&b'\n') {
            record.pop();
        } else if read as u64 > room {
            self.input.skip_until(b'\n')?;
            return Ok(Record::TooLong);
        }
        Ok(Record::Whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &[u8], quoting: Option<Quoting>, bytes_max: usize) -> Vec<(String, u64)> {
        let mut reader = RecordReader::new(text, quoting, false);
        reader.bytes_max = bytes_max;
        let mut record = Vec::new();
        let mut all = Vec::new();
        loop {
            match reader.next(&mut record).unwrap() {
                (Record::Whole, line) => all.push((String::from_utf8_lossy(&record).into_owned(), line)),
                (Record::TooLong, line) => all.push(("TOO LONG".into(), line)),
                (Record::End, _) => return all,
            }
        }
    }

    fn check(text: &str, quoting: Option<Quoting>, expect: &[(&str, u64)]) {
        let expect: Vec<(String, u64)> = expect.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect();
        assert_eq!(records(text.as_bytes(), quoting, 20), expect, "{text:?}");
    }

    fn csv() -> Option<Quoting> {
        Quoting::of(&Options::default())
    }

    #[test]
    fn lines() {
        check("", None, &[]);
        check("a\nb", None, &[("a", 1), ("b", 2)]);
        check("\u{feff}a\r\n\r\n\n b \n", None, &[("a", 1), (" b ", 4)]);
        check("\"a\nb\"", None, &[("\"a", 1), ("b\"", 2)]);
        check("12345678901234567890\nx", None, &[("12345678901234567890", 1), ("x", 2)]);
        check("123456789012345678901\nx\n", None, &[("TOO LONG", 1), ("x", 2)]);
        check("1234567890123456789012345", None, &[("TOO LONG", 1)]);
    }

    #[test]
    fn lines_without_a_character_may_be_records() {
        let mut reader = RecordReader::new("a\n\r\n\nb\n\n".as_bytes(), csv(), true);
        let (mut record, mut all) = (Vec::new(), Vec::new());
        while let (Record::Whole, line) = reader.next(&mut record).unwrap() {
            all.push((String::from_utf8(record.clone()).unwrap(), line));
        }
        let expected = [("a", 1), ("", 2), ("", 3), ("b", 4), ("", 5)];
        assert_eq!(all, expected.map(|(text, line)| (text.to_owned(), line)));
    }

    #[test]
    fn quoted_fields_may_hold_line_ends() {
        check("a,\"b\nc\",d\ne", csv(), &[("a,\"b\nc\",d", 1), ("e", 3)]);
        check("\"a\"\"\n\"\"b\"\nc", csv(), &[("\"a\"\"\n\"\"b\"", 1), ("c", 3)]);
        // a quote inside a bare field is a character
        check("5\" pipe\nx", csv(), &[("5\" pipe", 1), ("x", 2)]);
        check("\"open\nend", csv(), &[("\"open\nend", 1)]);
        check("\"open\n345678901234567890\nx", csv(), &[("TOO LONG", 1), ("x", 3)]);
        let escaping = Some(Quoting { delimiter: b';', quote: b'\'', escape: Some(b'\\') });
        check("'a\\'\nb';c\nd", escaping, &[("'a\\'\nb';c", 1), ("d", 3)]);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(text in proptest::collection::vec(proptest::sample::select(b"\"',\\\n\rab\xff".to_vec()), 0..80)) {
            let quotings = [None, csv(), Some(Quoting { delimiter: b',', quote: b'"', escape: Some(b'\\') })];
            for quoting in quotings {
                let all = records(&text, quoting, 20);
                prop_assert!(all.iter().all(|(record, _)| !record.is_empty()));
                prop_assert!(all.is_sorted_by_key(|(_, line)| *line));
            }
        }
    }
}
