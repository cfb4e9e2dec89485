//! Rows and messages for people: colour, result formats, alerts as they happen.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cli::write_out;
use crate::error::Result;
use crate::formats;
use crate::table::map::readable;
use crate::table::{OptionValue, Options};
use crate::time::Clock;

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

/// Whether a stream is a terminal.
pub(super) fn terminal(stream: Stream) -> bool {
    match stream {
        Stream::Output => std::io::stdout().is_terminal(),
        Stream::Error => std::io::stderr().is_terminal(),
    }
}

/// Columns of the terminal that standard error is.
pub(super) fn width() -> Option<usize> {
    let told = terminal_size::terminal_size_of(std::io::stderr()).map(|(terminal_size::Width(columns), _)| columns);
    let set = || std::env::var("COLUMNS").ok()?.parse().ok();
    told.or_else(set).map(usize::from).filter(|columns| *columns > 0)
}

/// Whether to colour what goes to a stream (no-color.org, bixense.com/clicolors).
pub(super) fn color(stream: Stream) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
    !set("NO_COLOR") && (set("CLICOLOR_FORCE") || terminal(stream))
}

/// Writes a line to standard error. Nobody there to read it is no reason to fail.
pub(super) fn error_line(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Shows a line on a terminal's standard error in place of the last such line; empty clears it.
pub(super) fn status(line: &str) {
    let mut error = std::io::stderr().lock();
    drop(write!(error, "\r\x1b[2K{line}").and_then(|()| error.flush()));
}

/// How rows of a result are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    // Aligned columns. No doc comments here: they would become a page of help at each use.
    Table,
    // One JSON object per line, as Flink's json format writes it.
    #[value(alias = "json", alias = "ndjson")]
    Jsonl,
    // Comma-separated with a header.
    Csv,
    // A Parquet file.
    Parquet,
}

/// Writes batches of a result one after the other.
pub(super) struct ResultWriter {
    format: Format,
    /// Session time zone: the one `TIMESTAMP_LTZ` is shown in.
    zone: String,
    header: bool,
}

impl ResultWriter {
    /// `Parquet` is the caller's business: it is a file, not a stream of rows.
    pub(super) fn new(format: Format, zone: String) -> Self {
        Self { format, zone, header: true }
    }

    /// Writes rows to standard output.
    ///
    /// # Errors
    /// `Data` if a value has no text; `Unavailable` if it cannot be written.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        write_out(&self.bytes(batch)?)
    }

    /// Rows as they are written.
    ///
    /// # Errors
    /// `Data` if a value has no text.
    pub(super) fn bytes(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        match self.format {
            Format::Table => {
                let options = FormatOptions::default().with_null("NULL");
                let printed = [printed(batch, &self.zone)?];
                writeln!(out, "{}", arrow::util::pretty::pretty_format_batches_with_options(&printed, &options)?)?;
            }
            Format::Jsonl | Format::Parquet => {
                // every value of a result can be shown, a NULL key too
                let literal = OptionValue { value: "LITERAL".to_owned(), span: None };
                let options = Options([("json.map-null-key.mode".to_owned(), literal)].into());
                let mut encoder = formats::encoder("json", batch.schema(), &options, "json.")?;
                for row in encoder.encode(batch)?.iter() {
                    out.extend_from_slice(row);
                    out.push(b'\n');
                }
            }
            Format::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(self.header).build(&mut out);
                writer.write(&printed(batch, &self.zone)?)?;
            }
        }
        self.header = false;
        Ok(out)
    }
}

/// Time stamps as SQL clients print them: a space between day and time, as many digits as the type has, and
/// `TIMESTAMP_LTZ` in the session's time zone.
fn printed(batch: &RecordBatch, zone: &str) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| text_of_times(column, zone)).collect::<Result<Vec<_>>>()?;
    let names = batch.schema();
    let named = names.fields().iter().zip(columns).map(|(field, column)| {
        let field = field.as_ref().clone().with_data_type(column.data_type().clone());
        (field, column)
    });
    let (fields, columns): (Vec<_>, Vec<_>) = named.unzip();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn text_of_times(column: &ArrayRef, zone: &str) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zoned) = column.data_type() else { return readable(column) };
    let format = Some(match unit {
        TimeUnit::Second => "%Y-%m-%d %H:%M:%S",
        TimeUnit::Millisecond => "%Y-%m-%d %H:%M:%S%.3f",
        TimeUnit::Microsecond => "%Y-%m-%d %H:%M:%S%.6f",
        TimeUnit::Nanosecond => "%Y-%m-%d %H:%M:%S%.9f",
    });
    let local = match zoned {
        Some(_) => cast(column, &DataType::Timestamp(*unit, Some(zone.into())))?,
        None => Arc::clone(column),
    };
    let options = FormatOptions::default().with_timestamp_format(format).with_timestamp_tz_format(format);
    let formatter = ArrayFormatter::try_new(local.as_ref(), &options)?;
    let text = |row: usize| if local.is_null(row) { Ok(None) } else { formatter.value(row).try_to_string().map(Some) };
    Ok(Arc::new((0..local.len()).map(text).collect::<Result<StringArray, _>>()?))
}

/// Lines of rows per second that a person can still follow.
const PREVIEW_LINES_PER_SECOND: usize = 20;

/// Rows of a sink as lines, coloured by their `severity`, not more than can be read.
pub(super) struct AlertLines {
    clock: Clock,
    color: bool,
    second: Duration,
    shown: usize,
    skipped: usize,
}

impl AlertLines {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, color: color(Stream::Output), second: Duration::ZERO, shown: 0, skipped: 0 }
    }

    /// The lines for a batch, each with its line end.
    ///
    /// # Errors
    /// `Internal` if a value has no text.
    pub(super) fn lines(&mut self, batch: &RecordBatch) -> Result<String> {
        let mut text = String::new();
        let now = self.clock.elapsed();
        if now.saturating_sub(self.second) >= Duration::from_secs(1) {
            if self.skipped > 0 {
                text.push_str(&format!("… and {} more\n", self.skipped));
            }
            (self.second, self.shown, self.skipped) = (now, 0, 0);
        }
        let room = PREVIEW_LINES_PER_SECOND.saturating_sub(self.shown).min(batch.num_rows());
        self.skipped += batch.num_rows() - room;
        self.shown += room;
        if room > 0 {
            self.rows(&batch.slice(0, room), &mut text)?;
        }
        Ok(text)
    }

    fn rows(&self, batch: &RecordBatch, text: &mut String) -> Result<()> {
        let options = FormatOptions::default().with_timestamp_format(Some("%H:%M:%S%.3f")).with_null("NULL");
        let schema = batch.schema();
        let columns = batch.columns().iter().map(readable).collect::<Result<Vec<_>>>()?;
        let formatters = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        let time = schema.fields().iter().position(|f| matches!(f.data_type(), DataType::Timestamp(..)));
        let severity = schema.index_of("severity").ok();
        for row in 0..batch.num_rows() {
            let mut line = String::new();
            if let Some(time) = time {
                line.push_str(&format!("{} ", formatters[time].value(row)));
            }
            if let Some(severity) = severity {
                line.push_str(&self.severity(&formatters[severity].value(row).to_string()));
            }
            for (at, field) in schema.fields().iter().enumerate() {
                if Some(at) == time || Some(at) == severity {
                    continue;
                }
                if matches!(field.data_type(), DataType::Float64) && !batch.column(at).is_null(row) {
                    let value: f64 = formatters[at].value(row).to_string().parse().unwrap_or(f64::NAN);
                    line.push_str(&format!("{}={value:.3} ", field.name()));
                } else {
                    line.push_str(&format!("{}={} ", field.name(), formatters[at].value(row)));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        Ok(())
    }

    fn severity(&self, severity: &str) -> String {
        let word = format!("{:<8} ", severity.to_uppercase());
        match severity {
            "critical" if self.color => format!("\x1b[1;31m{word}\x1b[0m"),
            "warning" if self.color => format!("\x1b[33m{word}\x1b[0m"),
            _ => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ClockSource, system_clock};
    use arrow::array::{Float64Array, TimestampMillisecondArray};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn time_stamps_keep_the_digits_of_their_type() -> Result<()> {
        use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
        let batch = RecordBatch::try_from_iter([
            ("ms", Arc::new(TimestampMillisecondArray::from(vec![Some(1_767_225_600_000), None])) as ArrayRef),
            ("us", Arc::new(TimestampMicrosecondArray::from(vec![1_767_225_600_120_000, -1])) as _),
            ("ns", Arc::new(TimestampNanosecondArray::from(vec![0, 1])) as _),
            ("ltz", Arc::new(TimestampMillisecondArray::from(vec![0, 1]).with_timezone("UTC")) as _),
        ])?;
        let printed = printed(&batch, "Asia/Tokyo")?;
        let shown = arrow::util::pretty::pretty_format_batches(&[printed])?.to_string();
        let values: Vec<&str> = shown.lines().filter(|l| l.contains("19") || l.contains("20")).collect();
        assert_eq!(
            values,
            [
                "| 2026-01-01 00:00:00.000 | 2026-01-01 00:00:00.120000 | 1970-01-01 00:00:00.000000000 | 1970-01-01 09:00:00.000 |",
                "|                         | 1969-12-31 23:59:59.999999 | 1970-01-01 00:00:00.000000001 | 1970-01-01 09:00:00.001 |",
            ]
        );
        Ok(())
    }

    fn alerts(count: usize) -> RecordBatch {
        RecordBatch::try_from_iter([
            ("device_id", Arc::new(StringArray::from(vec!["device_7"; count])) as _),
            ("z_score", Arc::new(Float64Array::from(vec![5.126_49; count])) as _),
            ("severity", Arc::new(StringArray::from(vec!["critical"; count])) as _),
            ("event_time", Arc::new(TimestampMillisecondArray::from(vec![45_296_789; count])) as _),
        ])
        .unwrap()
    }

    #[test]
    fn a_line_starts_with_time_and_severity() -> Result<()> {
        let mut lines = AlertLines { color: false, ..AlertLines::new(system_clock()) };
        assert_eq!(lines.lines(&alerts(1))?, "12:34:56.789 CRITICAL device_id=device_7 z_score=5.126\n");
        Ok(())
    }

    struct Hand(AtomicU64);
    impl ClockSource for Hand {
        fn now_ms(&self) -> i64 {
            0
        }
        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_flood_is_counted_not_shown() -> Result<()> {
        let hand = Arc::new(Hand(AtomicU64::new(5)));
        let clock: Clock = Arc::<Hand>::clone(&hand);
        let mut lines = AlertLines::new(clock);
        assert_eq!(lines.lines(&alerts(1000))?.lines().count(), PREVIEW_LINES_PER_SECOND);
        hand.0.store(6, Ordering::Relaxed);
        assert!(lines.lines(&alerts(1))?.starts_with("… and 980 more\n"));
        Ok(())
    }
}
