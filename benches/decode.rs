//! JSON to columns: the engine's decoder and arrow-json's, on the same messages, into the same four columns.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use streamer::error::{Error, Result};
use streamer::formats::{self, Decoder};
use streamer::limits::BATCH_ROWS_MAX;
use streamer::table::Options;

use crate::measure::Subject;
use crate::operators::{readings_table, table_of};
use crate::readings::{Reading, Readings};

/// Which form of the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    Short,
}

impl Form {
    fn of(self, reading: &Reading) -> &[u8] {
        match self {
            Self::Whole => &reading.message,
            Self::Short => &reading.short,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Short => ", short messages",
        }
    }
}

/// The engine's decoder.
struct Ours<'a> {
    readings: &'a Readings,
    form: Form,
    decoder: Box<dyn Decoder>,
}

/// The named peer.
struct ArrowJson<'a> {
    readings: &'a Readings,
    form: Form,
    schema: SchemaRef,
}

fn arrow_json(form: Form) -> String {
    format!("decode only, arrow-json{}", form.suffix())
}

/// All that are wanted.
pub(crate) fn subjects<'a>(readings: &'a Readings, wants: impl Fn(&str) -> bool) -> Result<Vec<Box<dyn Subject + 'a>>> {
    let mut subjects: Vec<Box<dyn Subject + 'a>> = Vec::new();
    for form in [Form::Whole, Form::Short] {
        subjects.push(Box::new(Ours { readings, form, decoder: reading_decoder()? }));
        subjects.push(Box::new(ArrowJson { readings, form, schema: value_schema() }));
    }
    subjects.retain(|subject| wants(&subject.name()));
    Ok(subjects)
}

/// The four columns of a reading.
fn value_schema() -> SchemaRef {
    let fields = [
        ("device_id", DataType::Utf8),
        ("broker", DataType::Utf8),
        ("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("data", DataType::Float64),
    ];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

/// The decoder of the table of `operators`, which has the same four columns.
pub(crate) fn reading_decoder() -> Result<Box<dyn Decoder>> {
    let table = table_of(&readings_table())?;
    let options: &Options = &table.options;
    formats::decoder("json", value_schema(), options, "json.")
}

/// Decodes the messages of a partition in batches of `rows`.
pub(crate) fn decode<'m>(
    decoder: &mut dyn Decoder,
    messages: impl Iterator<Item = &'m [u8]>,
    rows: usize,
    mut each: impl FnMut(arrow::array::RecordBatch) -> Result<()>,
) -> Result<()> {
    for message in messages {
        decoder.push(message).map_err(|bad| Error::data(bad.message))?;
        if decoder.rows() >= rows {
            each(decoder.finish()?)?;
        }
    }
    if decoder.rows() > 0 {
        each(decoder.finish()?)?;
    }
    Ok(())
}

impl Subject for Ours<'_> {
    fn name(&self) -> String {
        format!("decode only, ours{}", self.form.suffix())
    }

    fn peer(&self) -> Option<String> {
        Some(arrow_json(self.form))
    }

    fn pass(&mut self) -> Result<u64> {
        let mut rows = 0;
        for readings in &self.readings.partitions {
            let messages = readings.iter().map(|reading| self.form.of(reading));
            decode(self.decoder.as_mut(), messages, BATCH_ROWS_MAX, |batch| {
                rows += std::hint::black_box(batch).num_rows() as u64;
                Ok(())
            })?;
        }
        Ok(rows)
    }
}

impl Subject for ArrowJson<'_> {
    fn name(&self) -> String {
        arrow_json(self.form)
    }

    fn pass(&mut self) -> Result<u64> {
        let mut rows = 0;
        for readings in &self.readings.partitions {
            let mut decoder =
                ReaderBuilder::new(Arc::clone(&self.schema)).with_batch_size(BATCH_ROWS_MAX).build_decoder()?;
            for reading in readings {
                let mut message = self.form.of(reading);
                while !message.is_empty() {
                    let taken = decoder.decode(message)?;
                    message = message.get(taken..).unwrap_or_default();
                    if !message.is_empty() {
                        // The batch is full.
                        rows += std::hint::black_box(decoder.flush()?).map_or(0, |batch| batch.num_rows() as u64);
                    }
                }
            }
            rows += std::hint::black_box(decoder.flush()?).map_or(0, |batch| batch.num_rows() as u64);
        }
        Ok(rows)
    }
}
