//! What a person sees of a running job: banner, live status, summary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cli::show::{self, Stream};
use crate::metrics::Metrics;
use crate::stream::RowCounts;
use crate::time::Clock;

/// Between two looks on a terminal, and two lines elsewhere.
const LIVE: Duration = Duration::from_millis(500);
const PLAIN: Duration = Duration::from_secs(10);

/// Width of a terminal that does not tell its own.
const WIDTH_DEFAULT: usize = 80;

/// The status of the running jobs: one live line on a terminal, a line now and then elsewhere. Other output goes
/// through [`Status::above`], so that the live line stays the last one.
pub(super) struct Status {
    metrics: Vec<Arc<Metrics>>,
    clock: Clock,
    live: bool,
    last: Option<(Duration, u64)>,
    line: String,
}

impl Status {
    pub(super) fn new(metrics: Vec<Arc<Metrics>>, clock: Clock) -> Self {
        Self { metrics, clock, live: show::terminal(Stream::Error), last: None, line: String::new() }
    }

    /// How long to wait before the next [`Status::tick`].
    pub(super) fn interval(&self) -> Duration {
        if self.live { LIVE } else { PLAIN }
    }

    /// Shows how things stand now.
    pub(super) fn tick(&mut self) {
        let now = self.clock.elapsed();
        let read = self.metrics.iter().map(|metrics| metrics.total().read).sum::<u64>();
        let rate = self.last.map_or(0.0, |(then, before)| {
            read.saturating_sub(before) as f64 / now.saturating_sub(then).as_secs_f64().max(1e-3)
        });
        let first = self.last.is_none();
        self.last = Some((now, read));
        if first && !self.live {
            return;
        }
        let parts = parts(&self.metrics, rate, self.clock.now_ms());
        if self.live {
            // The last column stays free: some terminals go to the next line when it is written.
            let width = show::width().unwrap_or(WIDTH_DEFAULT).saturating_sub(1);
            self.line = fitted(parts, width);
            show::status(&self.line);
        } else {
            self.line = fitted(parts, usize::MAX);
            show::error_line(&self.line);
        }
    }

    /// Writes a text for people, above the live line.
    pub(super) fn note(&self, text: &str) {
        if self.live {
            show::status("");
        }
        show::error_line(text);
        if self.live {
            show::status(&self.line);
        }
    }

    /// Writes text to standard output, above the live line.
    pub(super) fn above(&self, text: &[u8]) -> crate::error::Result<()> {
        if !self.live {
            return super::write_out(text);
        }
        show::status("");
        super::write_out(text)?;
        show::status(&self.line);
        Ok(())
    }

    /// Ends the live line.
    pub(super) fn end(&mut self) {
        if self.live && !self.line.is_empty() {
            show::status("");
            self.line.clear();
        }
    }
}

/// A part of the status line, and how soon it goes where there is no room: the highest first.
type Part = (u8, String);

/// `rows/s · lag · watermark and its delay · out · late · bad · memory`, over all jobs.
fn parts(jobs: &[Arc<Metrics>], rate: f64, now_ms: i64) -> Vec<Part> {
    let mut total = RowCounts::default();
    let (mut lags, mut watermarks, mut sinks) = (Vec::new(), Vec::new(), BTreeMap::new());
    for metrics in jobs {
        total += metrics.total();
        for p in &metrics.partitions {
            lags.push(p.lag.load(Ordering::Relaxed));
            if !p.idle.load(Ordering::Relaxed) {
                watermarks.push(p.watermark.load(Ordering::Relaxed));
            }
        }
        for sink in &metrics.sinks {
            *sinks.entry(sink.key().clone()).or_insert(0u64) += sink.rows.load(Ordering::Relaxed);
        }
    }
    let mut parts = vec![(0, format!("{} rows/s in", thousands(rate.round() as u64)))];
    if lags.iter().all(|lag| *lag >= 0) {
        parts.push((1, format!("lag {}", thousands(lags.iter().sum::<i64>() as u64))));
    }
    if let Some(watermark) = watermarks.into_iter().min().filter(|w| *w > i64::MIN && *w < i64::MAX) {
        let delay = (now_ms - watermark) as f64 / 1e3;
        parts.push((2, format!("watermark {} ({delay:.1} s behind)", clock_time(watermark))));
    }
    parts.extend(sinks.into_iter().map(|(sink, rows)| (6, format!("{sink} {}", thousands(rows)))));
    // What is wrong stays longer than what is well.
    for (name, rows) in [("late", total.late), ("bad", total.bad)] {
        parts.push((if rows > 0 { 3 } else { 5 }, format!("{name} {}", thousands(rows))));
    }
    if total.future > 0 {
        parts.push((4, format!("future {}", thousands(total.future))));
    }
    if let Some(bytes) = Metrics::resident_bytes() {
        parts.push((7, format!("{} MB", bytes / 1_000_000)));
    }
    parts
}

/// The parts in one line of at most `width` characters; the least important ones go.
fn fitted(mut parts: Vec<Part>, width: usize) -> String {
    loop {
        let line = parts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" · ");
        if line.chars().count() <= width {
            return line;
        }
        // Of equals the last goes first.
        let least = (0..parts.len()).max_by_key(|at| parts[*at].0).filter(|_| parts.len() > 1);
        let Some(least) = least else { return line.chars().take(width).collect() };
        parts.remove(least);
    }
}

/// `HH:MM:SS` of a time in ms.
pub(super) fn clock_time(ms: i64) -> String {
    let seconds = ms.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A number with commas between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The row ledger as a table: a line per partition, and the total.
pub(super) fn ledger_table<'a>(rows: impl Iterator<Item = (&'a str, i32, RowCounts)>) -> String {
    let mut text = format!(
        "  {:<28} {:>13} = {:>13} + {:>9} + {:>7} + {:>7} + {:>10}\n",
        "partition", "read", "processed", "late", "bad", "future", "tombstones"
    );
    let mut line = |name: &str, counts: &RowCounts| {
        let [read, processed, late, bad, future, tombstones] =
            [counts.read, counts.processed, counts.late, counts.bad, counts.future, counts.tombstones].map(thousands);
        let mark = if counts.balanced() { "" } else { "  ← unaccounted for" };
        text += &format!(
            "  {name:<28} {read:>13} = {processed:>13} + {late:>9} + {bad:>7} + {future:>7} + {tombstones:>10}{mark}\n"
        );
    };
    let mut total = RowCounts::default();
    let mut count = 0;
    for (topic, partition, counts) in rows {
        line(&format!("{topic}-{partition}"), &counts);
        total += counts;
        count += 1;
    }
    if count > 1 {
        line("total", &total);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::PartitionMetrics;
    use crate::stream::PartitionId;

    #[test]
    fn numbers_and_times_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(clock_time(45_296_789), "12:34:56");
        assert_eq!(clock_time(-1), "23:59:59");
    }

    #[test]
    fn a_line_fits_the_terminal_and_keeps_what_matters() {
        let parts = |late: u64| {
            let metrics = Arc::new(Metrics::default());
            let partition = PartitionMetrics::new("t", "edge", 0, 0);
            partition.lag.store(12, Ordering::Relaxed);
            partition.watermark.store(45_296_789, Ordering::Relaxed);
            partition.late.store(late, Ordering::Relaxed);
            metrics.partitions.insert(PartitionId(0), Arc::new(partition));
            for sink in ["anomalies", "anomalies_archive", "device_windows"] {
                metrics.sink(sink).rows.store(123_456, Ordering::Relaxed);
            }
            parts(&[metrics], 16_794.0, 45_301_789)
        };
        let whole = fitted(parts(0), usize::MAX);
        assert!(whole.starts_with(
            "16,794 rows/s in · lag 12 · watermark 12:34:56 (5.0 s behind) · anomalies 123,456 · anomalies_archive 123,456"
        ));
        for width in 10..200 {
            let line = fitted(parts(7), width);
            assert!(line.chars().count() <= width && line.starts_with("16,794 row"), "{width}: {line}");
        }
        assert_eq!(
            fitted(parts(0), 79),
            "16,794 rows/s in · lag 12 · watermark 12:34:56 (5.0 s behind) · late 0 · bad 0"
        );
        assert_eq!(fitted(parts(7), 70), "16,794 rows/s in · lag 12 · watermark 12:34:56 (5.0 s behind) · late 7");
        assert_eq!(fitted(parts(7), 20), "16,794 rows/s in");
    }

    #[test]
    fn the_ledger_shows_what_is_unaccounted_for() {
        let good = RowCounts { read: 3, processed: 2, late: 1, ..RowCounts::default() };
        let bad = RowCounts { read: 9, ..RowCounts::default() };
        let table = ledger_table([("edge", 0, good), ("edge", 1, bad)].into_iter());
        assert_eq!(table.matches("unaccounted").count(), 2, "{table}");
        assert!(table.contains("total"), "{table}");
    }
}
