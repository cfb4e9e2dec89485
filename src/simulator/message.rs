//! The bytes of a reading: JSON as the pipeline's devices send it, written without a tree in between.
//!
//! `{"device_id":"device_17","broker":"broker_1","timestamp":"2025-11-20T12:00:00.123456","data":1.23,"raw_features":{…}}`
//! with time stamps in UTC, without zone, to the microsecond. `data` is `tcp.ack`, or `tcp.seq` where a device has no
//! `tcp.ack`, as in the data set Edge-IIoTset, whose numeric columns are the features.

use chrono::{DateTime, NaiveDateTime};

use crate::error::{Error, Result};

/// How a generated feature gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The device's metric, for devices that report it as `tcp.ack`.
    Acknowledged,
    /// The device's metric for the others, and a counter otherwise.
    Sequence,
    /// 1 while an anomaly is under way.
    Label,
    /// A number from `low`, below `low + count`.
    Between { low: u32, count: u32 },
}

const fn between(low: u32, count: u32) -> Rule {
    Rule::Between { low, count }
}

/// The numeric columns of Edge-IIoTset (63 columns, 19 of them text), the most telling first.
const FEATURES: [(&str, Rule); 44] = [
    ("tcp.ack", Rule::Acknowledged),
    ("tcp.seq", Rule::Sequence),
    ("Attack_label", Rule::Label),
    ("tcp.len", between(0, 1460)),
    ("tcp.flags", between(2, 23)),
    ("tcp.srcport", between(1024, 64_000)),
    ("tcp.dstport", between(1880, 4)),
    ("tcp.checksum", between(0, 65_536)),
    ("mqtt.len", between(2, 60)),
    ("mqtt.msgtype", between(1, 14)),
    ("mbtcp.len", between(0, 260)),
    ("udp.stream", between(0, 9000)),
    ("icmp.checksum", between(0, 65_536)),
    ("arp.opcode", between(0, 3)),
    ("arp.hw.size", between(6, 1)),
    ("icmp.seq_le", between(0, 65_536)),
    ("icmp.transmit_timestamp", between(0, 65_536)),
    ("icmp.unused", between(0, 1)),
    ("http.content_length", between(0, 9000)),
    ("http.response", between(0, 2)),
    ("http.tls_port", between(443, 1)),
    ("tcp.ack_raw", between(0, 65_536)),
    ("tcp.connection.fin", between(0, 2)),
    ("tcp.connection.rst", between(0, 2)),
    ("tcp.connection.syn", between(0, 2)),
    ("tcp.connection.synack", between(0, 2)),
    ("tcp.flags.ack", between(0, 2)),
    ("udp.port", between(1024, 64_000)),
    ("udp.time_delta", between(0, 60)),
    ("dns.qry.name.len", between(0, 60)),
    ("dns.qry.qu", between(0, 2)),
    ("dns.qry.type", between(1, 28)),
    ("dns.retransmission", between(0, 2)),
    ("dns.retransmit_request", between(0, 2)),
    ("dns.retransmit_request_in", between(0, 2)),
    ("mqtt.conflag.cleansess", between(0, 2)),
    ("mqtt.conflags", between(0, 4)),
    ("mqtt.hdrflags", between(16, 200)),
    ("mqtt.msg_decoded_as", between(0, 1)),
    ("mqtt.proto_len", between(4, 1)),
    ("mqtt.topic_len", between(1, 40)),
    ("mqtt.ver", between(4, 1)),
    ("mbtcp.trans_id", between(0, 65_536)),
    ("mbtcp.unit_id", between(0, 248)),
];

/// Most numeric features a message can have.
pub(super) const FEATURES_MAX: usize = FEATURES.len();

/// Whether a column of Edge-IIoTset is numeric.
pub(super) fn is_feature(column: &str) -> bool {
    FEATURES.iter().any(|(name, _)| *name == column)
}

/// From what the generated features of a message follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeatureSource {
    /// How many.
    pub(super) count: usize,
    /// Which of them the device has: two bits each, both zero means null; the top bit is where the metric goes.
    pub(super) device_bits: u64,
    /// Random bits of this reading.
    pub(super) reading_bits: u64,
    /// An anomaly is under way.
    pub(super) anomalous: bool,
}

/// The part of a device's messages before the time stamp.
pub(super) fn head(device: &str, site: u16) -> Vec<u8> {
    let device = json_text(device);
    format!("{{\"device_id\":{device},\"broker\":\"broker_{}\",\"timestamp\":\"", u32::from(site) + 1).into_bytes()
}

/// Text as a JSON string.
pub(super) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Everything after `head` up to the features.
pub(super) fn write_reading(out: &mut Vec<u8>, head: &[u8], time_us: i64, data: &[u8]) {
    out.clear();
    out.extend_from_slice(head);
    write_time(out, time_us);
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(data);
    out.extend_from_slice(b",\"raw_features\":{");
}

/// Closes a message.
pub(super) fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}}");
}

/// Writes generated features; `data` is the metric.
pub(super) fn write_features(out: &mut Vec<u8>, source: FeatureSource, data: &[u8]) {
    let by_sequence = source.device_bits >> 62 == 0;
    for (index, (name, rule)) in FEATURES.iter().take(source.count).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let bits = source.reading_bits.rotate_left(index as u32 * 11);
        match rule {
            Rule::Acknowledged if by_sequence => out.extend_from_slice(b"null"),
            Rule::Acknowledged => out.extend_from_slice(data),
            Rule::Sequence if by_sequence => out.extend_from_slice(data),
            Rule::Sequence => write_number(out, u64::from(super::random::below(bits, 1 << 20))),
            Rule::Label => out.push(if source.anomalous { b'1' } else { b'0' }),
            Rule::Between { .. } if source.device_bits.rotate_right(index as u32 * 2) & 3 == 0 => {
                out.extend_from_slice(b"null");
            }
            Rule::Between { low, count } => {
                write_number(out, u64::from(low + super::random::below(bits, *count)));
                out.extend_from_slice(b".0");
            }
        }
    }
}

/// Decimal digits of `number`.
pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - length));
}

/// `number` with `width` digits, the last ones if it has more.
fn write_padded(out: &mut Vec<u8>, number: i64, width: u32) {
    let number = number.unsigned_abs();
    for place in (0..width).rev() {
        out.push(b'0' + (number / 10u64.pow(place) % 10) as u8);
    }
}

/// Thousandths as a decimal number with three places.
pub(super) fn write_thousandths(out: &mut Vec<u8>, thousandths: i64) {
    if thousandths < 0 {
        out.push(b'-');
    }
    write_number(out, thousandths.unsigned_abs() / 1000);
    out.push(b'.');
    write_padded(out, thousandths % 1000, 3);
}

/// `2025-11-20T12:00:00.123456` of µs since 1970; the calendar of Hinnant's `civil_from_days`.
pub(super) fn write_time(out: &mut Vec<u8>, time_us: i64) {
    let (seconds, micros) = (time_us.div_euclid(1_000_000), time_us.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    for (number, width, then) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
    ] {
        write_padded(out, number, width);
        out.push(then);
    }
    write_padded(out, micros, 6);
}

/// Text of µs since 1970, as in messages.
pub fn format_time(time_us: i64) -> String {
    let mut out = Vec::with_capacity(26);
    write_time(&mut out, time_us);
    String::from_utf8_lossy(&out).into_owned()
}

/// µs since 1970 of a date and time without zone (`T` or a blank between, any or no fraction) or with one.
///
/// # Errors
/// `Data` if it is none.
pub fn parse_time(text: &str) -> Result<i64> {
    let text = text.trim();
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let parsed = local.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    parsed
        .map(|time| time.and_utc().timestamp_micros())
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros()))
        .ok_or_else(|| {
            Error::data(format!("\"{text}\" is not a date and time")).hint("write it as \"2025-11-20T12:00:00.123456\"")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_and_agree_with_the_calendar() -> Result<()> {
        assert_eq!(format_time(1_763_640_000_123_456), "2025-11-20T12:00:00.123456");
        assert_eq!(format_time(0), "1970-01-01T00:00:00.000000");
        assert_eq!(parse_time("2014-04-10 07:15:00")?, parse_time("2014-04-10T07:15:00.000000")?);
        assert_eq!(parse_time("2014-04-10T07:15:00Z")?, parse_time("2014-04-10T07:15:00")?);
        assert!(parse_time("yesterday").is_err());
        for day in (-20_000..40_000).step_by(13) {
            let time = day * 86_400_000_000 + 86_399_999_999;
            assert_eq!(parse_time(&format_time(time))?, time);
        }
        Ok(())
    }

    #[test]
    fn numbers_of_every_length_and_sign() {
        let text = |thousandths| {
            let mut out = Vec::new();
            write_thousandths(&mut out, thousandths);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(text(0), "0.000");
        assert_eq!(text(-5), "-0.005");
        assert_eq!(text(123_456), "123.456");
        assert_eq!(text(i64::MIN), "-9223372036854775.808");
    }

    #[test]
    fn device_names_are_escaped() {
        assert!(String::from_utf8_lossy(&head("a\"b", 0)).contains(r#""a\"b""#));
    }
}
