//! The frame of every scalar function: an [`Entry`] says what it takes, what it returns and how a whole column is
//! computed; this file turns it into what DataFusion calls.
//!
//! Invariants: a kernel sees columns of exactly the types its entry takes, all of the same length; text is `Utf8`,
//! whole numbers are `Int64` where the entry says [`Takes::Integer`].

use std::fmt::{self, Debug, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array,
    PrimitiveArray, StringArray, StringBuilder, new_empty_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::bounded::Room;
use super::cast::number::is_number;
use crate::error::{Error, Span};
use crate::time::zone::Zone;

/// One scalar function.
pub(super) struct Entry {
    /// Lower-case Flink name.
    pub(super) name: &'static str,
    /// Other names of the same function.
    pub(super) aliases: &'static [&'static str],
    /// How it is written, for errors and the reference.
    pub(super) usage: &'static str,
    /// Arguments it must have.
    pub(super) takes: &'static [Takes],
    /// Arguments it may have after those.
    pub(super) optional: &'static [Takes],
    /// What any number of further arguments are.
    pub(super) repeated: Option<Takes>,
    /// What the planner may know of its results.
    pub(super) nature: Nature,
    /// Type of the result; `None`: these argument types are refused.
    pub(super) returns: fn(&Types<'_>) -> Option<DataType>,
    /// The columns' function.
    pub(super) kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    /// What it returns, for people.
    pub(super) doc: &'static str,
}

impl Entry {
    /// What holds where an entry does not say: only the arguments it must have, one name.
    pub(super) const BASE: Self = Self {
        name: "",
        aliases: &[],
        usage: "",
        takes: &[],
        optional: &[],
        repeated: None,
        nature: Nature::Usual,
        returns: |_| None,
        kernel: |_| Err(Error::internal("a function without a kernel").into()),
        doc: "",
    };
}

/// What is known of a function's results before it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing.
    Usual,
    /// What it says of a wrong argument is about the row, as its own ON ERROR and ON EMPTY ask for it.
    FailsByRow,
}

/// An entry of one text argument that returns a text; others are written as `Entry { …, ..entry(…) }`.
pub(super) const fn entry(
    name: &'static str,
    usage: &'static str,
    kernel: fn(&Call<'_>) -> Result<ArrayRef>,
    doc: &'static str,
) -> Entry {
    let returns = |_: &Types<'_>| Some(DataType::Utf8);
    Entry { name, usage, takes: &[Takes::Text], returns, kernel, doc, ..Entry::BASE }
}

/// What an argument may be, and the type the kernel sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Text, as `Utf8`.
    Text,
    /// Bytes, as `Binary`.
    Bytes,
    /// Text as `Utf8`, or bytes as `Binary`.
    TextOrBytes,
    /// An integer as `Int64`, or a text as `Utf8`.
    IntegerOrText,
    /// Any integer, as `Int64`.
    Integer,
    /// Any number, as `Float64`.
    Double,
    /// Any number, as it is.
    Number,
    /// DATE, TIME or a time stamp, as it is.
    Moment,
    /// Anything, as it is.
    Any,
}

impl Takes {
    fn take(self, given: &DataType) -> Option<DataType> {
        let number = is_number(given) && *given != DataType::Boolean;
        let null = *given == DataType::Null;
        let bytes = matches!(given, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
        match self {
            Self::Text | Self::TextOrBytes | Self::IntegerOrText if null || given.is_string() => Some(DataType::Utf8),
            Self::Bytes | Self::TextOrBytes if null || bytes => Some(DataType::Binary),
            Self::Integer | Self::IntegerOrText if null || given.is_signed_integer() => Some(DataType::Int64),
            Self::Double if null || number => Some(DataType::Float64),
            Self::Number if null => Some(DataType::Int32),
            Self::Number if number => Some(given.clone()),
            Self::Moment
                if matches!(
                    given,
                    DataType::Date32 | DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_)
                ) =>
            {
                Some(given.clone())
            }
            Self::Any => Some(given.clone()),
            _ => None,
        }
    }
}

/// The arguments while planning.
pub(super) struct Types<'a> {
    /// Their types.
    pub(super) types: &'a [DataType],
    /// Their values, where constant.
    pub(super) constants: Vec<Option<&'a ScalarValue>>,
    /// The session's zone.
    pub(super) zone: &'a Zone,
}

impl Types<'_> {
    /// The type of an argument.
    pub(super) fn get(&self, index: usize) -> Option<DataType> {
        self.types.get(index).cloned()
    }

    /// The type of an argument as it was written: DataFusion reads every whole number as BIGINT first.
    pub(super) fn written(&self, index: usize) -> Option<DataType> {
        let small = self.integer(index).is_some_and(|n| i32::try_from(n).is_ok());
        self.get(index).map(|given| if small && given == DataType::Int64 { DataType::Int32 } else { given })
    }

    /// The value of a constant integer.
    pub(super) fn integer(&self, index: usize) -> Option<i64> {
        let value = (*self.constants.get(index)?)?.cast_to(&DataType::Int64).ok()?;
        if let ScalarValue::Int64(value) = value { value } else { None }
    }
}

impl Types<'_> {
    /// The value of a constant text.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        (*self.constants.get(index)?)?.try_as_str()?
    }
}

/// One call over a batch.
pub(super) struct Call<'a> {
    /// The argument columns, of `rows` values each.
    pub(super) arguments: &'a [ArrayRef],
    /// Number of rows.
    pub(super) rows: usize,
    /// Type to return.
    pub(super) return_type: &'a DataType,
    /// The session's zone.
    pub(super) zone: &'a Zone,
}

impl Call<'_> {
    /// How many arguments the call has.
    pub(super) fn count(&self) -> usize {
        self.arguments.len()
    }

    /// An argument column.
    ///
    /// # Errors
    /// `Internal` if the call has none there.
    pub(super) fn any(&self, index: usize) -> Result<&ArrayRef> {
        self.arguments
            .get(index)
            .ok_or_else(|| Error::internal(format!("a function was called without argument {index}")).into())
    }

    /// A text column.
    ///
    /// # Errors
    /// `Internal` if it is none.
    pub(super) fn text(&self, index: usize) -> Result<&StringArray> {
        self.any(index)?.as_string_opt::<i32>().ok_or_else(|| wrong_type(index, "text"))
    }

    /// The bytes of a text or binary column.
    ///
    /// # Errors
    /// `Internal` if it is neither.
    pub(super) fn bytes(&self, index: usize) -> Result<BinaryArray> {
        let bytes = arrow::compute::cast(self.any(index)?, &DataType::Binary)?;
        bytes.as_binary_opt::<i32>().cloned().ok_or_else(|| wrong_type(index, "BYTES"))
    }

    /// A text column, if the call has so many arguments.
    ///
    /// # Errors
    /// `Internal` if it is another.
    pub(super) fn optional_text(&self, index: usize) -> Result<Option<&StringArray>> {
        if index < self.count() { self.text(index).map(Some) } else { Ok(None) }
    }

    /// A column of whole numbers.
    ///
    /// # Errors
    /// `Internal` if it is none.
    pub(super) fn integers(&self, index: usize) -> Result<&Int64Array> {
        self.any(index)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong_type(index, "BIGINT"))
    }

    /// A column of DOUBLEs.
    ///
    /// # Errors
    /// `Internal` if it is none.
    pub(super) fn doubles(&self, index: usize) -> Result<&Float64Array> {
        self.any(index)?.as_primitive_opt::<Float64Type>().ok_or_else(|| wrong_type(index, "DOUBLE"))
    }

    /// The text column of one result per row.
    ///
    /// # Errors
    /// The first of `value`; `Data` if the column is too large.
    pub(super) fn build_text<S: AsRef<str>>(&self, value: impl FnMut(usize) -> Result<Option<S>>) -> Result<ArrayRef> {
        texts_within(Room::new(), self.rows, value)
    }

    /// The binary column of one result per row.
    ///
    /// # Errors
    /// The first of `value`; `Data` if the column is too large.
    pub(super) fn build_bytes<B: AsRef<[u8]>>(
        &self,
        value: impl FnMut(usize) -> Result<Option<B>>,
    ) -> Result<ArrayRef> {
        bytes_within(Room::new(), self.rows, value)
    }

    /// The column of one result per row, in the type to return.
    ///
    /// # Errors
    /// The first of `value`.
    pub(super) fn build<T: ArrowPrimitiveType>(
        &self,
        value: impl FnMut(usize) -> Result<Option<T::Native>>,
    ) -> Result<ArrayRef> {
        let values: PrimitiveArray<T> = (0..self.rows).map(value).collect::<Result<_>>()?;
        Ok(Arc::new(values.with_data_type(self.return_type.clone())))
    }
}

/// The text column of one result per row: the builder panics where its offsets end, so its room is counted.
fn texts_within<S: AsRef<str>>(
    mut room: Room,
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<S>>,
) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(rows, rows * 8);
    for row in 0..rows {
        let value = value(row)?;
        room.take(value.as_ref().map_or(0, |value| value.as_ref().len()))?;
        builder.append_option(value);
    }
    Ok(Arc::new(builder.finish()))
}

/// As [`texts_within`], of bytes.
fn bytes_within<B: AsRef<[u8]>>(
    mut room: Room,
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<B>>,
) -> Result<ArrayRef> {
    let mut builder = BinaryBuilder::with_capacity(rows, rows * 8);
    for row in 0..rows {
        let value = value(row)?;
        room.take(value.as_ref().map_or(0, |value| value.as_ref().len()))?;
        builder.append_option(value);
    }
    Ok(Arc::new(builder.finish()))
}

/// The BOOLEAN column of one result per row.
///
/// # Errors
/// The first of `value`.
pub(super) fn boolean(call: &Call<'_>, value: impl FnMut(usize) -> Result<Option<bool>>) -> Result<ArrayRef> {
    Ok(Arc::new((0..call.rows).map(value).collect::<Result<BooleanArray>>()?))
}

fn wrong_type(index: usize, wanted: &str) -> datafusion::error::DataFusionError {
    Error::internal(format!("argument {index} of a function is not {wanted}")).into()
}

/// The value at a row, `None` for NULL.
pub(super) trait At {
    /// What the array holds.
    type Item;
    /// The value at `row`.
    fn at(self, row: usize) -> Option<Self::Item>;
}

impl<'a> At for &'a StringArray {
    type Item = &'a str;
    fn at(self, row: usize) -> Option<&'a str> {
        self.is_valid(row).then(|| self.value(row))
    }
}

impl<'a> At for &'a BinaryArray {
    type Item = &'a [u8];
    fn at(self, row: usize) -> Option<&'a [u8]> {
        self.is_valid(row).then(|| self.value(row))
    }
}

impl<T: ArrowPrimitiveType> At for &PrimitiveArray<T> {
    type Item = T::Native;
    fn at(self, row: usize) -> Option<T::Native> {
        self.is_valid(row).then(|| self.value(row))
    }
}

/// An [`Entry`] as DataFusion sees it.
#[derive(Clone)]
struct Scalar {
    /// Where it is called, if it is known.
    place: Option<Span>,
    entry: &'static Entry,
    zone: Arc<Zone>,
    aliases: Vec<String>,
    signature: Signature,
}

/// The function of an entry.
pub(super) fn function(entry: &'static Entry, zone: &Arc<Zone>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Scalar {
        place: None,
        entry,
        zone: Arc::clone(zone),
        aliases: entry.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

/// The function at its place, if it is one of these entries.
pub(super) fn placed(function: &ScalarUDF, place: Span) -> Option<Arc<ScalarUDF>> {
    let scalar = function.inner().downcast_ref::<Scalar>()?;
    let placed = Scalar { place: scalar.place.or(Some(place)), ..scalar.clone() };
    Some(Arc::new(ScalarUDF::new_from_impl(placed)))
}

impl Scalar {
    /// What the kernel says, with the place of the call.
    fn told(&self, error: datafusion::error::DataFusionError) -> datafusion::error::DataFusionError {
        Error::from(error).or_at(self.place).into()
    }

    fn refuse(&self, types: &[DataType]) -> datafusion::error::DataFusionError {
        let types: Vec<_> = types.iter().map(ToString::to_string).collect();
        // a function that stands for syntax has a name of its own, and its usage the one that people write
        let usage = self.entry.usage;
        let written = usage.split(['(', '[']).next().filter(|name| !name.is_empty() && name.to_uppercase() == *name);
        let name = written.map_or_else(|| self.entry.name.to_uppercase(), str::to_owned);
        Error::sql(format!("function \"{name}\" does not take ({})", types.join(", ")))
            .hint(format!("write {}", self.entry.usage))
            .into()
    }
}

/// Bytes of a constant text, or bytes.
fn bytes_of(constant: &ScalarValue) -> usize {
    match constant {
        ScalarValue::Utf8(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

impl Debug for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry.name)
    }
}

/// A function is its name and the zone it computes in, wherever it is called.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name && self.zone == other.zone
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry.name.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.entry.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let entry = self.entry;
        let named = entry.takes.iter().chain(entry.optional);
        let enough = types.len() >= entry.takes.len();
        let repeated = types.len().saturating_sub(entry.takes.len() + entry.optional.len());
        if !enough || (repeated > 0 && entry.repeated.is_none()) {
            return Err(self.refuse(types));
        }
        let taken: Option<Vec<DataType>> = named
            .copied()
            .chain(entry.repeated.into_iter().cycle())
            .zip(types)
            .map(|(takes, given)| takes.take(given))
            .collect();
        taken.ok_or_else(|| self.refuse(types))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let known = Types { types, constants: Vec::new(), zone: &self.zone };
        (self.entry.returns)(&known).ok_or_else(|| self.refuse(types))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let known = Types { types: &types, constants: args.scalar_arguments.to_vec(), zone: &self.zone };
        let returned = (self.entry.returns)(&known).ok_or_else(|| self.refuse(&types))?;
        Ok(Arc::new(Field::new(self.entry.name, returned, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        // a branch that no row takes; kernels read their options from the first row
        if rows == 0 {
            return Ok(ColumnarValue::Array(new_empty_array(args.return_field.data_type())));
        }
        let column = |arg: &ColumnarValue| -> Result<ArrayRef> {
            if let ColumnarValue::Scalar(constant) = arg {
                Room::new().take(bytes_of(constant).saturating_mul(rows))?;
            }
            arg.to_array(rows)
        };
        let arguments: Vec<ArrayRef> = args.args.iter().map(column).collect::<Result<_>>()?;
        let call = Call { arguments: &arguments, rows, return_type: args.return_field.data_type(), zone: &self.zone };
        let result = (self.entry.kernel)(&call).map_err(|error| self.told(error))?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_full_is_an_error() {
        let four = |_: usize| Ok(Some("four"));
        assert_eq!(texts_within(Room::of(8), 2, four).unwrap().len(), 2);
        let error = texts_within(Room::of(8), 3, four).unwrap_err().to_string();
        assert!(error.contains("larger than 2 GiB"), "{error}");
        let error = bytes_within(Room::of(8), 3, four).unwrap_err().to_string();
        assert!(error.contains("larger than 2 GiB"), "{error}");
        assert_eq!(texts_within(Room::of(0), 3, |_| Ok(None::<&str>)).unwrap().null_count(), 3);
    }
}
