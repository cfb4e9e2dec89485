//! Rows and messages for people: colour, result formats, alerts as they happen.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cli::write_out;
use crate::error::Result;
use crate::formats;
use crate::table::Options;
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
    /// Aligned columns.
    Table,
    /// One JSON object per line, as Flink's json format writes it.
    #[value(alias = "json", alias = "ndjson")]
    Jsonl,
    /// Comma-separated with a header.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// Writes batches of a result one after the other.
pub(super) struct ResultWriter {
    format: Format,
    header: bool,
}

impl ResultWriter {
    /// `Parquet` is the caller's business: it is a file, not a stream of rows.
    pub(super) fn new(format: Format) -> Self {
        Self { format, header: true }
    }

    /// Writes rows to standard output.
    ///
    /// # Errors
    /// `Data` if a value has no text; `Unavailable` if it cannot be written.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut out = Vec::new();
        match self.format {
            Format::Table => {
                writeln!(out, "{}", arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))?)?;
            }
            Format::Jsonl | Format::Parquet => {
                let mut encoder = formats::encoder("json", batch.schema(), &Options::default(), "json.")?;
                for row in encoder.encode(batch)?.iter() {
                    out.extend_from_slice(row);
                    out.push(b'\n');
                }
            }
            Format::Csv => {
                let mut writer = arrow::csv::WriterBuilder::new().with_header(self.header).build(&mut out);
                writer.write(batch)?;
            }
        }
        self.header = false;
        write_out(&out)
    }
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
        let formatters = batch
            .columns()
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
    use arrow::array::{Float64Array, StringArray, TimestampMillisecondArray};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

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
