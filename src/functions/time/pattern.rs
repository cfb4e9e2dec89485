//! Java's date patterns (`yyyy-MM-dd HH:mm:ss.SSS`), for writing and for the two ways Flink reads: `Strict` as
//! `DateTimeFormatter` does for TO_TIMESTAMP, `Loose` as `SimpleDateFormat` does for TO_DATE and UNIX_TIMESTAMP.

use std::fmt::Write;

use super::calendar::{DAY_MS, Date, days_of_month};
use crate::error::{Error, Result};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// `[` and `]`, which to `DateTimeFormatter` mean that a part may be missing, and are not written.
    Bracket(char),
    /// A letter and how often it stands there.
    Field(char, usize),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::functions) struct Pattern(Vec<Piece>);

/// How text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) enum Reading {
    /// The whole text, fields as wide as their letters; a day past the end of its month is the last one.
    Strict,
    /// Leading text is enough, any width; a month 13 is the January after, and before 1582 the calendar is Julian.
    Loose,
}

/// Letters that have a meaning here; Java has more, which are refused by name.
const LETTERS: &str = "yuYMLQqdDwWecHhkKmsSnNAaEG";

/// How often one letter may stand side by side, as in `DateTimeFormatter`.
const LETTER_COUNT_MAX: usize = 19;

impl Pattern {
    /// A pattern from its text.
    ///
    /// # Errors
    /// `Data` with the letter that is not supported or stands too often, or the quote that is not closed.
    pub(in crate::functions) fn parse(text: &str) -> Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '\'' {
                push_literal(&mut pieces, &quoted(&mut rest, text)?);
            } else if matches!(c, '[' | ']') {
                pieces.push(Piece::Bracket(c));
            } else if !c.is_ascii_alphabetic() {
                push_literal(&mut pieces, &c.to_string());
            } else if LETTERS.contains(c) {
                let mut count = 1;
                while rest.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if count > LETTER_COUNT_MAX {
                    return Err(Error::data(format!("a pattern of dates has the letter \"{c}\" {count} times"))
                        .hint(format!("write it at most {LETTER_COUNT_MAX} times")));
                }
                pieces.push(Piece::Field(c, count));
            } else {
                return Err(Error::data(format!("pattern letter \"{c}\" of \"{text}\" is not supported"))
                    .hint(format!("letters that work: {LETTERS}; other text goes between single quotes")));
            }
        }
        Ok(Self(pieces))
    }

    /// The text of a local time, as `DateTimeFormatter` writes it.
    ///
    /// # Units   `day_ns` in nanoseconds since midnight
    pub(in crate::functions) fn format(&self, date: Date, day_ns: i64) -> String {
        self.write(date, day_ns, true)
    }

    /// The text of a day since 1970 as `SimpleDateFormat` writes it, which counts by the calendar of 1582.
    pub(in crate::functions) fn format_of_1582(&self, days: i64, day_ns: i64) -> String {
        self.write(Date::from_days_of_1582(days), day_ns, false)
    }

    fn write(&self, date: Date, day_ns: i64, signed: bool) -> String {
        let mut out = String::with_capacity(24);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Bracket(_) if signed => {}
                Piece::Bracket(bracket) => out.push(*bracket),
                Piece::Field(letter, count) => {
                    // a year with more digits than letters has a sign
                    let year = if *letter == 'Y' { sunday_week(date).0 } else { date.year };
                    if signed && matches!(letter, 'y' | 'u' | 'Y') && *count == 4 && year > 9999 {
                        out.push('+');
                    }
                    write_field(&mut out, *letter, *count, date, day_ns);
                }
            }
        }
        out
    }

    /// Local nanoseconds since 1970 (as days and nanoseconds of the day) of a text; `None` if it does not fit.
    pub(in crate::functions) fn read(&self, text: &str, reading: Reading) -> Option<(i64, i64)> {
        let mut rest = text;
        let mut fields = Fields::default();
        for (place, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Bracket(bracket) => rest = rest.strip_prefix(*bracket)?,
                Piece::Field(letter, count) => {
                    let adjacent =
                        matches!(self.0.get(place + 1), Some(Piece::Field(next, _)) if *next != 'a' && *next != 'E');
                    rest = fields.read(*letter, *count, adjacent, rest, reading)?;
                }
            }
        }
        if reading == Reading::Strict && !rest.is_empty() {
            return None;
        }
        fields.resolve(reading)
    }
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// The text up to the closing quote; two quotes are one.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, pattern: &str) -> Result<String> {
    let mut text = String::new();
    if rest.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    loop {
        match rest.next() {
            Some('\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            Some('\'') => return Ok(text),
            Some(c) => text.push(c),
            None => return Err(Error::data(format!("a quote of the pattern \"{pattern}\" is not closed"))),
        }
    }
}

fn write_field(out: &mut String, letter: char, count: usize, date: Date, day_ns: i64) {
    let seconds = day_ns / 1_000_000_000;
    let hour = seconds / 3600;
    let name = |names: &[&str], index: i64| {
        let full = usize::try_from(index - 1).ok().and_then(|i| names.get(i)).copied().unwrap_or("");
        (if count == 3 || letter == 'E' && count < 4 { full.get(..3).unwrap_or(full) } else { full }).to_owned()
    };
    let (week_year, week) = sunday_week(date);
    let number = match letter {
        'Y' if count == 2 => week_year.rem_euclid(100),
        'Y' => week_year,
        'w' => week,
        // the first week of a month is the one with its first day
        'W' => (date.day - 1 + Date { day: 1, ..date }.iso_weekday() % 7) / 7 + 1,
        'e' | 'c' => date.iso_weekday() % 7 + 1,
        'Q' | 'q' if count == 3 => return out.push_str(&format!("Q{}", (date.month + 2) / 3)),
        'Q' | 'q' if count > 3 => return out.push_str(QUARTERS[((date.month - 1) / 3).clamp(0, 3) as usize]),
        'Q' | 'q' => (date.month + 2) / 3,
        'G' if count > 3 => return out.push_str(if date.year > 0 { "Anno Domini" } else { "Before Christ" }),
        'G' => return out.push_str(if date.year > 0 { "AD" } else { "BC" }),
        'A' => day_ns / 1_000_000,
        'n' => day_ns % 1_000_000_000,
        'N' => day_ns,
        'y' | 'u' if count == 2 => date.year.rem_euclid(100),
        'y' | 'u' => date.year,
        'M' | 'L' if count >= 3 => return out.push_str(&name(&MONTHS, date.month)),
        'M' | 'L' => date.month,
        'd' => date.day,
        'D' => date.day_of_year(),
        'E' => return out.push_str(&name(&WEEKDAYS, date.iso_weekday())),
        'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => seconds / 60 % 60,
        's' => seconds % 60,
        _ => {
            let fraction = format!("{:09}", day_ns % 1_000_000_000);
            let padded = fraction.chars().chain(std::iter::repeat('0'));
            return out.extend(padded.take(count));
        }
    };
    // writing to a String cannot fail
    write!(out, "{number:0count$}").unwrap_or_default();
}

/// Year and number of the week from Sunday to Saturday, the first of which has January 1st: the year is that of its
/// Saturday.
fn sunday_week(date: Date) -> (i64, i64) {
    let saturday = Date::from_days(date.to_days() + 6 - date.iso_weekday() % 7);
    (saturday.year, (saturday.day_of_year() - 1) / 7 + 1)
}

/// What a text has said so far.
#[derive(Debug, Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: Option<i64>,
    half_day_hour: Option<i64>,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
}

impl Fields {
    /// Takes a field off the front of `text`.
    fn read<'a>(&mut self, letter: char, count: usize, adjacent: bool, text: &'a str, how: Reading) -> Option<&'a str> {
        let whole = text;
        let text = if how == Reading::Loose { text.trim_start_matches([' ', '\t']) } else { text };
        match letter {
            'a' => return self.read_half(text, how),
            'E' => return strip_name(&WEEKDAYS, text, count, how).map(|(_, rest)| rest),
            'M' | 'L' if count >= 3 => {
                let (month, rest) = strip_name(&MONTHS, text, count, how)?;
                self.month = Some(month);
                return Some(rest);
            }
            // what has no part in a date here cannot be read
            'Y' | 'Q' | 'q' | 'w' | 'W' | 'e' | 'c' | 'n' | 'N' | 'A' | 'G' => return None,
            _ => {}
        }
        let year = matches!(letter, 'y' | 'u');
        let (least, most) = match how {
            Reading::Loose if !adjacent => (1, 18),
            _ if letter == 'S' || adjacent || count > 1 => (count, count),
            Reading::Strict | Reading::Loose => (1, if year { 4 } else { 2 }),
        };
        let sign = usize::from(how == Reading::Loose && text.starts_with('-'));
        let (least, most) = match how {
            // a field before another is as wide as its letters, blanks and sign included
            Reading::Loose if adjacent => (1, whole.get(..count)?.len() - (whole.len() - text.len()).min(count)),
            _ => (least, most),
        };
        let most = if how == Reading::Loose && adjacent { most.saturating_sub(sign) } else { most };
        let digits = text.bytes().skip(sign).take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at_checked(sign + digits).filter(|_| digits >= least)?;
        let value: i64 = number.parse().ok()?;
        match letter {
            'y' | 'u' if count == 2 && digits == 2 => self.year = Some(2000 + value),
            'y' | 'u' => self.year = Some(value),
            'M' | 'L' => self.month = Some(value),
            'd' => self.day = Some(value),
            'D' => self.day_of_year = Some(value),
            'H' => self.hour = Some(value),
            'k' => self.hour = Some(value % 24),
            'h' if how == Reading::Loose => self.half_day_hour = Some(if value == 12 { 0 } else { value }),
            'h' => self.half_day_hour = (1..=12).contains(&value).then_some(value % 12),
            'K' => self.half_day_hour = Some(value),
            'm' => self.minute = value,
            's' => self.second = value,
            // SimpleDateFormat reads milliseconds, not a fraction
            _ if how == Reading::Loose => self.nanos = value.checked_mul(1_000_000)?,
            _ => self.nanos = format!("{number:0<9}").get(..9)?.parse().ok()?,
        }
        Some(rest)
    }

    fn read_half<'a>(&mut self, text: &'a str, how: Reading) -> Option<&'a str> {
        let (half, rest) = text.split_at_checked(2)?;
        let half = if how == Reading::Loose { half.to_ascii_uppercase() } else { half.to_owned() };
        self.afternoon = match half.as_str() {
            "AM" => Some(false),
            "PM" => Some(true),
            _ => return None,
        };
        Some(rest)
    }

    /// The days and the nanoseconds of the day; what the text left out is that of 1970-01-01 00:00:00.
    fn resolve(self, how: Reading) -> Option<(i64, i64)> {
        if how == Reading::Loose {
            return Some(self.resolve_loosely());
        }
        let year = self.year.unwrap_or(1970);
        let (month, mut day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        day = day.min(days_of_month(year, month));
        let mut days = Date { year, month, day }.valid()?.to_days();
        if let (Some(of_year), None, None) = (self.day_of_year, self.month, self.day) {
            let last = Date { year, month: 12, day: 31 }.day_of_year();
            days = Date { year, month: 1, day: 1 }.to_days() + (1..=last).contains(&of_year).then(|| of_year - 1)?;
        }
        let half = self.half_day_hour.map(|hour| hour + if self.afternoon == Some(true) { 12 } else { 0 });
        let hour = self.hour.or(half).unwrap_or(0);
        let next_day = hour == 24 && self.minute == 0 && self.second == 0 && self.nanos == 0;
        if next_day {
            return Some((days + 1, 0));
        }
        let fits = (0..24).contains(&hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second)
            && (0..1_000_000_000).contains(&self.nanos);
        let seconds = hour * 3600 + self.minute * 60 + self.second;
        fits.then(|| (days, seconds * 1_000_000_000 + self.nanos))
    }
}

impl Fields {
    /// As Java's lenient calendar: what is beyond a field's end counts on in the next larger one.
    fn resolve_loosely(self) -> (i64, i64) {
        let year = self.year.unwrap_or(1970);
        let days = match (self.day_of_year, self.month, self.day) {
            (Some(day), None, None) => Date { year, month: 1, day }.to_days_of_1582(),
            _ => Date { year, month: self.month.unwrap_or(1), day: self.day.unwrap_or(1) }.to_days_of_1582(),
        };
        let half =
            self.half_day_hour.map(|hour| hour.saturating_add(if self.afternoon == Some(true) { 12 } else { 0 }));
        let hour = self.hour.or(half).unwrap_or(0);
        let bounded = |value: i64| value.clamp(-1_000_000_000, 1_000_000_000);
        let seconds = bounded(hour) * 3600 + bounded(self.minute) * 60 + bounded(self.second);
        let seconds = seconds + self.nanos.div_euclid(1_000_000_000);
        (
            days + seconds.div_euclid(86_400),
            seconds.rem_euclid(86_400) * 1_000_000_000 + self.nanos.rem_euclid(1_000_000_000),
        )
    }
}

/// A name off the front of `text`, counted from 1.
fn strip_name<'a>(names: &[&str], text: &'a str, count: usize, how: Reading) -> Option<(i64, &'a str)> {
    let same = |given: &str, name: &str| match how {
        Reading::Strict => given == name,
        Reading::Loose => given.eq_ignore_ascii_case(name),
    };
    let long = |name: &str| text.split_at_checked(name.len()).filter(|(given, _)| same(given, name));
    let short = |name: &str| long(name.get(..3).unwrap_or(name));
    for (index, name) in (1..).zip(names) {
        let found = match how {
            Reading::Strict if count > 3 => long(name),
            Reading::Strict => short(name),
            Reading::Loose => long(name).or_else(|| short(name)),
        };
        if let Some((_, rest)) = found {
            return Some((index, rest));
        }
    }
    None
}

/// Milliseconds since 1970 of days and nanoseconds of the day.
pub(in crate::functions) fn to_ms((days, day_ns): (i64, i64)) -> i64 {
    days * DAY_MS + day_ns / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pattern: &str) -> String {
        let day_ns = ((17 * 60 + 5) * 60 + 9) * 1_000_000_000 + 70_000_000;
        Pattern::parse(pattern).unwrap().format(Date { year: 2024, month: 2, day: 9 }, day_ns)
    }

    #[test]
    fn writes_java_patterns() {
        for (pattern, text) in [
            ("yyyy-MM-dd HH:mm:ss.SSS", "2024-02-09 17:05:09.070"),
            ("yy/M/d h:mm a", "24/2/9 5:05 PM"),
            ("EEE dd MMM yyyy", "Fri 09 Feb 2024"),
            ("EEEE, MMMM", "Friday, February"),
            ("DDD 'o''clock' K k", "040 o'clock 5 17"),
            ("''yyyy''", "'2024'"),
            ("SSSSSS", "070000"),
        ] {
            assert_eq!(format(pattern), text, "{pattern}");
        }
        for pattern in ["yyyy-MM-ddTHH", "XXX", "'open"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    fn read(pattern: &str, text: &str, reading: Reading) -> Option<String> {
        let (days, day_ns) = Pattern::parse(pattern).unwrap().read(text, reading)?;
        let full = Pattern::parse("yyyy-MM-dd HH:mm:ss.SSS").unwrap();
        Some(full.format(Date::from_days(days), day_ns))
    }

    #[test]
    fn reads_strictly() {
        let strict = |pattern, text| read(pattern, text, Reading::Strict);
        assert_eq!(strict("yyyyMMddHHmmss", "20240209170509").as_deref(), Some("2024-02-09 17:05:09.000"));
        assert_eq!(
            strict("yyyy-MM-dd'T'HH:mm:ss'Z'", "2024-02-30T10:00:00Z").as_deref(),
            Some("2024-02-29 10:00:00.000")
        );
        assert_eq!(strict("d MMM yyyy h:mm a", "9 Feb 2024 5:05 PM").as_deref(), Some("2024-02-09 17:05:00.000"));
        assert_eq!(strict("HH:mm:ss.SSS", "01:02:03.045").as_deref(), Some("1970-01-01 01:02:03.045"));
        for text in ["2024-2-09", "2024-02-9", "2024-02-32", "2024-13-01", "2024-02-09 ", "x", "", "2024-02-0ü"] {
            assert_eq!(strict("yyyy-MM-dd", text), None, "{text}");
        }
    }

    #[test]
    fn reads_loosely() {
        let loose = |pattern, text| read(pattern, text, Reading::Loose);
        assert_eq!(loose("yyyy-MM-dd", "2024-2-9 and more").as_deref(), Some("2024-02-09 00:00:00.000"));
        assert_eq!(loose("yyyyMMdd", "20240209").as_deref(), Some("2024-02-09 00:00:00.000"));
        assert_eq!(loose("yyyy-MM-dd", "2024-02-30").as_deref(), Some("2024-03-01 00:00:00.000"));
        assert_eq!(loose("yyyy-MM-dd HH:mm:ss", "2024-13-01 24:00:60").as_deref(), Some("2025-01-02 00:01:00.000"));
        assert_eq!(loose("yyyy-MM-dd", "1582-10-04").as_deref(), Some("1582-10-14 00:00:00.000"));
        assert_eq!(loose("yyyy-MM-dd", "999999999999999999999-02-30"), None);
    }
}
