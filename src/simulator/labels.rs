//! Ground truth: what was wrong with which device, when, and where in the stream.

use serde::{Deserialize, Serialize};

use super::message::{format_time, parse_time};
use super::schedule::AnomalyKind;
use crate::error::{Error, Result};

/// One anomaly, as the topic `edge-iiot-labels` and the label file hold it (one JSON object each).
///
/// It is told when the anomaly begins; its end is known from the schedule. Times are by the device's own clock,
/// so they equal the time stamps of its messages. The offset is that of the site's partition as long as only the
/// simulator writes to it; a dropout has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Unique in the stream: device and tick of its start.
    pub anomaly_id: String,
    /// The device.
    pub device_id: String,
    /// What happened.
    pub kind: AnomalyKind,
    /// Event time of the first affected reading.
    #[serde(with = "time_text")]
    pub start: i64,
    /// Event time of the last affected reading.
    #[serde(with = "time_text")]
    pub end: i64,
    /// Event time at which 100 readings have followed the last affected one: a rolling frame forgets it.
    #[serde(with = "time_text")]
    pub settled: i64,
    /// Offset of the first affected row that left.
    pub start_offset: Option<i64>,
    /// Partition of the device.
    pub partition: i32,
    /// Size in noise deviations with its sign; for a burst the factor of the noise; 0 where there is none.
    pub magnitude: f64,
}

/// µs since 1970 as the text of messages.
mod time_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_time(*time_us))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_time(&text).map_err(|error| D::Error::custom(error.message()))
    }
}

impl Label {
    /// One line of JSON, without a line end.
    ///
    /// # Errors
    /// `Internal`; a label has a form in JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal("a label has no JSON form").because(error))
    }

    /// Reads a label file; blank lines are skipped, and of labels told twice (a stream started again) one is kept.
    ///
    /// # Errors
    /// `Data` with the line's number.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>> {
        let mut seen = std::collections::BTreeSet::new();
        let mut labels = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let label: Self = serde_json::from_str(line).map_err(|error| {
                Error::data(format!("line {} is not a label", number + 1)).detail(format!("{error}.")).because(error)
            })?;
            if seen.insert(label.anomaly_id.clone()) {
                labels.push(label);
            }
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_trip_through_lines() -> Result<()> {
        let label = Label {
            anomaly_id: "device_17-532".into(),
            device_id: "device_17".into(),
            kind: AnomalyKind::LevelShift,
            start: 1_763_640_000_123_456,
            end: 1_763_640_010_123_456,
            settled: 1_763_640_110_123_456,
            start_offset: Some(7),
            partition: 0,
            magnitude: -4.5,
        };
        let line = label.to_json()?;
        assert!(line.contains(r#""kind":"level_shift","start":"2025-11-20T12:00:00.123456""#), "{line}");
        assert_eq!(Label::parse_lines(&format!("{line}\n\n{line}\n"))?, [label]);
        let error = Label::parse_lines("{}").err().map(|e| e.message().to_owned());
        assert_eq!(error.as_deref(), Some("line 1 is not a label"));
        Ok(())
    }
}
