//! Event time, durations as people write them, time zones, and the one clock of the process.
//!
//! Only this module reads a clock or seeds randomness; everything else is handed a [`Clock`].

pub mod zone;

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};

/// Milliseconds since 1970-01-01 00:00:00, without zone (for `TIMESTAMP_LTZ`: UTC).
pub type EventTime = i64;

/// The watermark before any row: nothing is late.
pub const WATERMARK_MIN: EventTime = i64::MIN;
/// The watermark at the end of a bounded input: everything is complete.
pub const WATERMARK_MAX: EventTime = i64::MAX;

/// Where the time comes from: the machine, or a test.
pub trait ClockSource: Send + Sync {
    /// Milliseconds since 1970 by the wall clock.
    fn now_ms(&self) -> i64;
    /// Time since an arbitrary start; never goes back.
    fn elapsed(&self) -> Duration;
}

/// A shared [`ClockSource`].
pub type Clock = Arc<dyn ClockSource>;

struct SystemClock {
    start: std::time::Instant,
}

impl ClockSource for SystemClock {
    fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The machine's clock.
pub fn system_clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    Arc::new(SystemClock { start: std::time::Instant::now() })
}

/// Sixteen hexadecimal digits that no other call returns, for names of attempts and instances.
pub fn unique_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    hasher.write_i64(system_clock().now_ms());
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

/// Parses a duration as Flink's options write it: `10s`, `10 s`, `1min`, `30 min`, `1 d`, `500ms`, or a
/// bare number of milliseconds.
///
/// # Errors
/// `Config` with the accepted units.
///
/// # Source
/// Flink `TimeUtils.parseDuration` and its unit labels.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let wrong = || {
        Error::config(format!("\"{text}\" is not a duration"))
            .hint("write a number and a unit: \"500 ms\", \"10 s\", \"1 min\", \"2 h\" or \"1 d\"")
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let nanos: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        _ => return Err(wrong()),
    };
    number.checked_mul(nanos).map(Duration::from_nanos).ok_or_else(wrong)
}

/// A length of time in the largest unit that has it whole: `30 s`, `90 min`, `1500 ms`.
pub fn length_text(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let (size, unit) = units.into_iter().find(|(size, _)| ms != 0 && ms % size == 0).unwrap_or((1, "ms"));
    format!("{} {unit}", ms / size)
}

/// A moment as people write it, `2024-03-01 10:00:00.5`, without zone; in ms where no calendar reaches.
pub fn moment_text(ms: EventTime) -> String {
    match chrono::DateTime::from_timestamp_millis(ms) {
        Some(moment) => {
            let text = moment.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        None => format!("{ms} ms"),
    }
}

/// Parses a size in bytes as Flink's `MemorySize`: `128MB`, `64 kb`, `1g`, or a bare number of bytes.
///
/// # Errors
/// `Config` with the accepted units.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let wrong = || {
        Error::config(format!("\"{text}\" is not a size"))
            .hint("write a number and a unit: \"64kb\", \"128mb\" or \"1gb\"")
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1u64 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units_of_people() {
        let lengths =
            [(0, "0 ms"), (1, "1 ms"), (1500, "1500 ms"), (30_000, "30 s"), (90 * 60_000, "90 min"), (-1000, "-1 s")];
        for (ms, expected) in lengths {
            assert_eq!(length_text(ms), expected);
        }
        for (ms, expected) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59.999"),
            (1_709_287_200_500, "2024-03-01 10:00:00.5"),
            (i64::MIN, "-9223372036854775808 ms"),
        ] {
            assert_eq!(moment_text(ms), expected);
        }
        assert!(moment_text(1_767_225_600_000_000).starts_with('+'), "the year 57970");
    }

    #[test]
    fn durations_as_flink_writes_them() -> Result<()> {
        for (text, ms) in [("10s", 10_000), ("10 s", 10_000), ("1min", 60_000), ("180000", 180_000), ("5second", 5_000)]
        {
            assert_eq!(parse_duration(text)?, Duration::from_millis(ms), "{text}");
        }
        for text in ["", "s", "10 parsecs", "-1 s", "99999999999999999 d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn sizes() -> Result<()> {
        assert_eq!(parse_bytes("128MB")?, 128 << 20);
        assert_eq!(parse_bytes("64 kb")?, 64 << 10);
        assert!(parse_bytes("99999999999 gb").is_err());
        Ok(())
    }

    #[test]
    fn ids_differ() {
        assert_ne!(unique_id(), unique_id());
    }
}
