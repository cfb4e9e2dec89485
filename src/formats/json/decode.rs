//! JSON messages to columns, by the schema: only the schema's fields are converted.
//!
//! A message goes through two steps: [`scan`](super::scan) checks all of it and notes where the wanted
//! fields stand; then the noted texts are converted, column by column. Messages of a topic repeat the
//! same field names in the same order, so a name is first compared with the one that stood there in the
//! message before. What a failed message has appended is cut off again: a message is all or nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};

use super::JsonOptions;
use super::encode::write_text;
use super::scan::{DEPTH, ENCODING, Fault, Kind, Scanner, Span, TRUNCATED, unescape};
use crate::error::Result;
use crate::formats::column::{Column, Values};
use crate::formats::text::time::TimestampStyle;
use crate::formats::text::{EXCERPT_CHARS_MAX, Wrong, WrongKind, excerpt, number};
use crate::formats::{BadValue, Decoder};
use crate::limits::RECORD_BYTES_MAX;
use crate::table::Options;
use crate::table::java_map::{BUCKETS, bytes_hash, order};
use crate::table::map::entry_fields;

const EMPTY: &str = "JSON_EMPTY";
const TRAILING: &str = "JSON_TRAILING";
const TYPE: &str = "JSON_TYPE";
const RANGE: &str = "JSON_RANGE";
const TIMESTAMP: &str = "JSON_TIMESTAMP";
const MISSING_FIELD: &str = "MISSING_FIELD";
const NOT_NULL: &str = "NOT_NULL";
const TOO_LARGE: &str = "TOO_LARGE";

/// Places of an object whose field names are remembered from one message to the next.
const REMEMBERED_FIELDS_MAX: usize = 1_024;
/// Bytes of a remembered field name.
const REMEMBERED_NAME_BYTES_MAX: usize = 256;

/// Decodes messages of the `json` format.
#[derive(Debug)]
pub struct JsonDecoder {
    schema: SchemaRef,
    rules: Rules,

    columns: Vec<Column>,
    row: RowPlan,
    rows: usize,
}

/// What the options say about every value.
#[derive(Debug, Clone, Copy)]
struct Rules {
    fail_on_missing_field: bool,
    ignore_parse_errors: bool,
    style: TimestampStyle,
}

/// How the values of one column are found in the text.
#[derive(Debug)]
enum Plan {
    Scalar,
    List(Box<Plan>),
    Row(RowPlan),
    /// The plan of the map's values; its keys are texts.
    Map(Box<Plan>),
}

/// How the fields of an object are found.
#[derive(Debug)]
struct RowPlan {
    names: Vec<String>,
    fields: Vec<Plan>,
    by_name: BTreeMap<Vec<u8>, usize>,

    /// Name and field at each place of the object seen last.
    remembered: Vec<(Vec<u8>, Option<usize>)>,
    /// Where the value of each field stands in the message at hand.
    found: Vec<Option<Span>>,
}

/// A [`BadValue`] in the making: the path grows while it passes outwards.
#[derive(Debug)]
struct Bad {
    code: &'static str,
    message: String,
    path: Vec<String>,
}

impl Bad {
    #[cold]
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: Vec::new() }
    }

    #[cold]
    fn inside(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }

    /// Whether `ignore-parse-errors` makes NULL of it.
    fn ignorable(&self) -> bool {
        !matches!(self.code, NOT_NULL | TOO_LARGE)
    }
}

impl From<Wrong> for Bad {
    fn from(wrong: Wrong) -> Self {
        let code = match wrong.kind {
            WrongKind::Type => TYPE,
            WrongKind::Range => RANGE,
            WrongKind::Timestamp => TIMESTAMP,
            WrongKind::Full => TOO_LARGE,
        };
        let mut message = wrong.message;
        if let Some(standard) = wrong.standard {
            message.push_str(&format!("; set 'json.timestamp-format.standard' = '{standard}'"));
            if standard == "ISO-8601" {
                message.push_str(" (a time with \"Z\" needs a column of type TIMESTAMP_LTZ)");
            }
        }
        Self::new(code, message)
    }
}

impl From<Fault> for Bad {
    fn from(fault: Fault) -> Self {
        let what = match fault.code {
            DEPTH => format!("{}; at most {} levels are read", fault.what, crate::limits::JSON_DEPTH_MAX),
            _ => fault.what.to_owned(),
        };
        Self::new(fault.code, format!("{what} (at byte {})", fault.at))
    }
}

impl From<Bad> for BadValue {
    fn from(bad: Bad) -> Self {
        let mut path = String::new();
        for name in bad.path.iter().rev() {
            if !path.is_empty() && !name.starts_with('[') {
                path.push('.');
            }
            path.push_str(name);
        }
        Self { code: bad.code, field: (!path.is_empty()).then_some(path), message: bad.message }
    }
}

impl RowPlan {
    fn new(fields: &Fields) -> Self {
        Self {
            names: fields.iter().map(|f| f.name().clone()).collect(),
            fields: fields.iter().map(|f| Plan::new(f)).collect(),
            by_name: fields.iter().enumerate().map(|(at, f)| (f.name().clone().into_bytes(), at)).collect(),
            remembered: Vec::new(),
            found: vec![None; fields.len()],
        }
    }

    /// Takes an object that stands inside `depth` containers and notes where its fields are; of fields of
    /// the same name the last one counts.
    fn find(&mut self, scanner: &mut Scanner<'_>, text: &str, depth: usize) -> Result<(), Fault> {
        self.found.fill(None);
        scanner.open();
        let mut place = 0;
        while scanner.more(b'}', place == 0)? {
            let field = match self.remembered.get(place) {
                Some((name, field)) if scanner.take_key(name)? => *field,
                _ => self.look_up(place, scanner, text)?,
            };
            let value = scanner.value(depth + 1)?;
            if let Some(slot) = field.and_then(|at| self.found.get_mut(at)) {
                *slot = Some(value);
            }
            place += 1;
        }
        Ok(())
    }

    /// Takes a field name and remembers it for this place.
    fn look_up(&mut self, place: usize, scanner: &mut Scanner<'_>, text: &str) -> Result<Option<usize>, Fault> {
        let key = scanner.key()?;
        let name = string(key, text);
        let field = self.by_name.get(name.as_bytes()).copied();
        // A name with escapes is not remembered: the memory is compared with the bytes of the message.
        if key.kind == Kind::Text && place < REMEMBERED_FIELDS_MAX && name.len() <= REMEMBERED_NAME_BYTES_MAX {
            let entry = (name.as_bytes().to_vec(), field);
            let known = self.remembered.len();
            match self.remembered.get_mut(place) {
                Some(old) => *old = entry,
                None if known == place => self.remembered.push(entry),
                None => {}
            }
        }
        Ok(field)
    }

    /// Appends one value to each column from what [`RowPlan::find`] noted.
    fn append(&mut self, columns: &mut [Column], text: &str, rules: Rules) -> Result<(), Bad> {
        for (at, column) in columns.iter_mut().enumerate() {
            let span = self.found.get(at).copied().flatten();
            let Some(plan) = self.fields.get_mut(at) else { continue };
            let appended = match span {
                None if rules.fail_on_missing_field => Err(Bad::new(MISSING_FIELD, "the field is missing")),
                None => push_null(column),
                Some(span) => plan.append(column, span, text, rules),
            };
            appended.map_err(|bad| bad.inside(self.names.get(at).map_or("", String::as_str)))?;
        }
        Ok(())
    }
}

impl Plan {
    fn new(field: &Field) -> Self {
        match field.data_type() {
            DataType::List(item) => Self::List(Box::new(Self::new(item))),
            DataType::Struct(fields) => Self::Row(RowPlan::new(fields)),
            map @ DataType::Map(..) => {
                entry_fields(map).map_or(Self::Scalar, |(_, value)| Self::Map(Box::new(Self::new(value))))
            }
            _ => Self::Scalar,
        }
    }

    /// Appends the value at `span`; where errors are ignored, a bad one is NULL.
    fn append(&mut self, column: &mut Column, span: Span, text: &str, rules: Rules) -> Result<(), Bad> {
        if span.kind == Kind::Null {
            return push_null(column);
        }
        let len = column.len();
        match self.append_value(column, span, text, rules) {
            Err(bad) if rules.ignore_parse_errors && bad.ignorable() => {
                column.truncate(len);
                push_null(column)
            }
            done => done,
        }
    }

    fn append_value(&mut self, column: &mut Column, span: Span, text: &str, rules: Rules) -> Result<(), Bad> {
        match (self, span.kind, &mut column.values) {
            (Self::Scalar, ..) => append_scalar(column, span, text, rules.style),
            (Self::List(item), Kind::Array, Values::List { child, .. }) => {
                let mut scanner = Scanner::new(text, span.start);
                scanner.open();
                let mut place = 0usize;
                while scanner.more(b']', place == 0)? {
                    let element = scanner.value(0)?;
                    item.append(child, element, text, rules).map_err(|bad| bad.inside(&format!("[{place}]")))?;
                    place += 1;
                }
                Ok(column.end_nested()?)
            }
            (Self::Row(row), Kind::Object, Values::Struct { children, .. }) => {
                row.find(&mut Scanner::new(text, span.start), text, 0)?;
                row.append(children, text, rules)?;
                Ok(column.end_nested()?)
            }
            (Self::Map(plan), Kind::Object, Values::Map { key, value, .. }) => {
                for (name, element) in entries(span, text)? {
                    key.push_text(&name, rules.style)?;
                    plan.append(value, element, text, rules).map_err(|bad| bad.inside(&shortened(&name)))?;
                }
                Ok(column.end_nested()?)
            }
            (Self::List(_), ..) => Err(Wrong::type_of(span.of(text), "array").into()),
            _ => Err(Wrong::type_of(span.of(text), "object").into()),
        }
    }
}

/// Appends a value that is neither list, row nor map by the column's type.
fn append_scalar(column: &mut Column, span: Span, text: &str, style: TimestampStyle) -> Result<(), Bad> {
    let raw = span.of(text);
    let null = match span.kind {
        Kind::Text => column.push_text(raw, style)?,
        Kind::EscapedText => column.push_text(&string(span, text), style)?,
        Kind::Whole => column.push_number(raw, true, style)?,
        Kind::Float => column.push_number(raw, false, style)?,
        Kind::True | Kind::False => match column.values {
            Values::Boolean(_) | Values::Utf8(_) => column.push_text(raw, style)?,
            _ => return Err(Bad::new(TYPE, format!("{raw} is of another type"))),
        },
        Kind::Object | Kind::Array => match column.values {
            Values::Utf8(_) => {
                column.push_written(|out| write_compact(&mut Scanner::new(text, span.start), text, out))?;
                false
            }
            _ => return Err(Bad::new(TYPE, format!("{} is of another type", excerpt(raw)))),
        },
        Kind::Null => true,
    };
    if null && !column.nullable {
        return Err(Bad::new(NOT_NULL, format!("{} does not fit the type, and NULL is not allowed", excerpt(raw))));
    }
    Ok(())
}

fn push_null(column: &mut Column) -> Result<(), Bad> {
    if !column.nullable {
        return Err(Bad::new(NOT_NULL, "NULL is not allowed"));
    }
    column.push_null();
    Ok(())
}

/// The start of a name that the message chose: a path is no place for payload.
#[cold]
fn shortened(name: &str) -> String {
    name.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// What a string stands for.
fn string(span: Span, text: &str) -> Cow<'_, str> {
    let raw = span.of(text);
    if span.kind != Kind::EscapedText {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(String::from_utf8(out).unwrap_or_default()) // whole characters in, whole characters out
}

/// Names and values of an object that is read as a map, each name once with its last value, in the order of Flink's map.
fn entries(object: Span, text: &str) -> Result<Vec<(Cow<'_, str>, Span)>, Fault> {
    let mut entries: Vec<(Cow<'_, str>, Span)> = Vec::new();
    let mut places: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
    let mut scanner = Scanner::new(text, object.start);
    scanner.open();
    let mut first = true;
    while scanner.more(b'}', first)? {
        first = false;
        let key = scanner.key()?;
        let name = string(key, text);
        let value = scanner.value(0)?;
        let place = *places.entry(name.clone()).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(entry) => entry.1 = value,
            None => entries.push((name, value)),
        }
    }
    let hashes: Vec<i32> = entries.iter().map(|(name, _)| bytes_hash(name.as_bytes())).collect();
    Ok(order(&hashes, BUCKETS).into_iter().filter_map(|place| entries.get(place).cloned()).collect())
}

/// Appends a checked value as Jackson prints a tree: without blanks, numbers and strings in one form.
/// The depth of the text is bounded, so is the recursion.
fn write_compact(scanner: &mut Scanner<'_>, text: &str, out: &mut Vec<u8>) {
    let (end, object) = match scanner.peek() {
        Some(b'{') => (b'}', true),
        Some(b'[') => (b']', false),
        _ => {
            if let Ok(span) = scanner.value(0) {
                write_compact_scalar(span, text, out);
            }
            return;
        }
    };
    scanner.open();
    out.push(if object { b'{' } else { b'[' });
    let mut first = true;
    while let Ok(true) = scanner.more(end, first) {
        if !first {
            out.push(b',');
        }
        first = false;
        if object {
            if let Ok(key) = scanner.key() {
                write_text(&string(key, text), out);
            }
            out.push(b':');
        }
        write_compact(scanner, text, out);
    }
    out.push(end);
}

fn write_compact_scalar(span: Span, text: &str, out: &mut Vec<u8>) {
    let raw = span.of(text);
    match (span.kind, raw.parse::<f64>()) {
        (Kind::Text | Kind::EscapedText, _) => write_text(&string(span, text), out),
        (Kind::Float, Ok(value)) if value.is_finite() => number::write_float(value, out),
        _ => out.extend_from_slice(raw.as_bytes()),
    }
}

/// The message as text, or what its encoding is instead.
fn utf8(message: &[u8]) -> Result<&str, Bad> {
    if message.starts_with(b"\xef\xbb\xbf") {
        return Err(Bad::new(ENCODING, "the message starts with a byte order mark"));
    }
    let utf16 = message.starts_with(b"\xff\xfe")
        || message.starts_with(b"\xfe\xff")
        || message.get(..2).is_some_and(|two| two.contains(&0));
    if utf16 {
        return Err(Bad::new(ENCODING, "the message looks like UTF-16"));
    }
    if message.starts_with(b"\x1f\x8b") {
        return Err(Bad::new(ENCODING, "the message is compressed with gzip"));
    }
    std::str::from_utf8(message).map_err(|e| match e.error_len() {
        None => Bad::new(TRUNCATED, "the text ends within a character"),
        Some(_) => Bad::new(ENCODING, format!("byte {} is not UTF-8", e.valid_up_to())),
    })
}

impl JsonDecoder {
    /// A decoder of `schema`.
    ///
    /// # Errors
    /// `Config` for a wrong option or a type that JSON cannot hold.
    pub fn new(schema: SchemaRef, options: &Options, prefix: &str) -> Result<Self> {
        let JsonOptions { fail_on_missing_field, ignore_parse_errors, scalars, .. } =
            JsonOptions::new(&schema, options, prefix)?;
        let columns = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        let row = RowPlan::new(schema.fields());
        let rules = Rules { fail_on_missing_field, ignore_parse_errors, style: scalars.timestamps };
        Ok(Self { schema, rules, columns, row, rows: 0 })
    }

    fn push_message(&mut self, message: &[u8]) -> Result<(), Bad> {
        if message.len() > RECORD_BYTES_MAX {
            let what = format!("the message has {} bytes, more than {RECORD_BYTES_MAX}", message.len());
            return Err(Bad::new(TOO_LARGE, what));
        }
        let text = utf8(message)?;
        let mut scanner = Scanner::new(text, 0);
        match scanner.peek() {
            None => return Err(Bad::new(EMPTY, "the message is empty")),
            Some(b'{') => {
                self.row.find(&mut scanner, text, 0)?;
                end(&mut scanner)?;
                self.push_found(text)?;
            }
            Some(b'[') => {
                // Everything is checked before anything is converted, so that the code says what is wrong first.
                let array = scanner.value(0)?;
                end(&mut scanner)?;
                self.push_array(array, text)?;
            }
            Some(_) => {
                let value = scanner.value(0)?;
                end(&mut scanner)?;
                return Err(Wrong::type_of(value.of(text), "object").into());
            }
        }
        Ok(())
    }

    /// Appends the row that has been found.
    fn push_found(&mut self, text: &str) -> Result<(), Bad> {
        self.row.append(&mut self.columns, text, self.rules)?;
        self.rows += 1;
        Ok(())
    }

    /// Appends a row per element.
    fn push_array(&mut self, array: Span, text: &str) -> Result<(), Bad> {
        let mut scanner = Scanner::new(text, array.start);
        scanner.open();
        let mut place = 0usize;
        while scanner.more(b']', place == 0)? {
            let at = place;
            place += 1;
            let element = if scanner.peek() == Some(b'{') {
                self.row.find(&mut scanner, text, 1)?;
                self.push_found(text)
            } else {
                let value = scanner.value(1)?;
                Err(Wrong::type_of(value.of(text), "object").into())
            };
            match element {
                Err(bad) if !(self.rules.ignore_parse_errors && bad.ignorable()) => {
                    return Err(bad.inside(&format!("[{at}]")));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Nothing may follow but blanks.
fn end(scanner: &mut Scanner<'_>) -> Result<(), Bad> {
    match scanner.peek() {
        None => Ok(()),
        Some(_) => Err(Bad::new(TRAILING, format!("something follows the value (at byte {})", scanner.at()))),
    }
}

impl Decoder for JsonDecoder {
    fn push(&mut self, message: &[u8]) -> Result<usize, BadValue> {
        let before = self.rows;
        match self.push_message(message) {
            Ok(()) => Ok(self.rows - before),
            Err(bad) => {
                self.columns.iter_mut().for_each(|c| c.truncate(before));
                self.rows = before;
                if self.rules.ignore_parse_errors && bad.code != NOT_NULL { Ok(0) } else { Err(bad.into()) }
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
