//! What a person sees of a running job: banner, live status, summary.

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

/// The status of a job: one live line on a terminal, a line now and then elsewhere. Other output goes
/// through [`Status::above`], so that the live line stays the last one.
pub(super) struct Status {
    metrics: Arc<Metrics>,
    clock: Clock,
    live: bool,
    last: Option<(Duration, u64)>,
    line: String,
}

impl Status {
    pub(super) fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { metrics, clock, live: show::terminal(Stream::Error), last: None, line: String::new() }
    }

    /// How long to wait before the next [`Status::tick`].
    pub(super) fn interval(&self) -> Duration {
        if self.live { LIVE } else { PLAIN }
    }

    /// Shows how things stand now.
    pub(super) fn tick(&mut self) {
        let now = self.clock.elapsed();
        let read = self.metrics.total().read;
        let rate = self.last.map_or(0.0, |(then, before)| {
            read.saturating_sub(before) as f64 / now.saturating_sub(then).as_secs_f64().max(1e-3)
        });
        let first = self.last.is_none();
        self.last = Some((now, read));
        if first && !self.live {
            return;
        }
        self.line = status_line(&self.metrics, rate, self.clock.now_ms());
        if self.live {
            show::status(&self.line);
        } else {
            show::error_line(&self.line);
        }
    }

    /// Writes text to standard output, above the live line.
    pub(super) fn above(&self, text: &str) -> crate::error::Result<()> {
        if !self.live {
            return super::write_out(text.as_bytes());
        }
        show::status("");
        super::write_out(text.as_bytes())?;
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

/// `rows/s · lag · watermark and its delay · out · late · bad · memory`.
fn status_line(metrics: &Metrics, rate: f64, now_ms: i64) -> String {
    let total = metrics.total();
    let mut line = format!("{} rows/s in", thousands(rate.round() as u64));
    let lags: Vec<i64> = metrics.partitions.iter().map(|p| p.lag.load(Ordering::Relaxed)).collect();
    if lags.iter().all(|lag| *lag >= 0) {
        line += &format!(" · lag {}", thousands(lags.iter().sum::<i64>() as u64));
    }
    let told = metrics
        .partitions
        .iter()
        .filter(|p| !p.idle.load(Ordering::Relaxed))
        .map(|p| p.watermark.load(Ordering::Relaxed))
        .min()
        .filter(|w| *w > i64::MIN && *w < i64::MAX);
    if let Some(watermark) = told {
        let delay = (now_ms - watermark) as f64 / 1e3;
        line += &format!(" · watermark {} ({delay:.1} s behind)", clock_time(watermark));
    }
    let mut sinks: Vec<(String, u64)> =
        metrics.sinks.iter().map(|s| (s.key().clone(), s.rows.load(Ordering::Relaxed))).collect();
    sinks.sort();
    for (sink, rows) in sinks {
        line += &format!(" · {sink} {}", thousands(rows));
    }
    line += &format!(" · late {} · bad {}", thousands(total.late), thousands(total.bad));
    if total.future > 0 {
        line += &format!(" · future {}", thousands(total.future));
    }
    if let Some(bytes) = Metrics::resident_bytes() {
        line += &format!(" · {} MB", bytes / 1_000_000);
    }
    line
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

    #[test]
    fn numbers_and_times_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(clock_time(45_296_789), "12:34:56");
        assert_eq!(clock_time(-1), "23:59:59");
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
