//! Where the rows of one partition come from: generated, or replayed from files.

use super::labels::Label;
use super::schedule::AnomalyKind;
use crate::error::Result;

/// One message on its way to its partition.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Name of the device, which is the key.
    pub device: &'a str,
    /// The message.
    pub value: &'a [u8],
    /// Time of the reading by the device's clock, µs since 1970; the message's time stamp.
    pub event_time_us: i64,
    /// When the row is to be sent, µs since 1970; never falls along a partition. The record's time stamp.
    pub due_us: i64,
    /// Number of the reading of its device.
    pub tick: u64,
    /// The anomaly it belongs to.
    pub anomaly: Option<AnomalyKind>,
    /// It was sent before.
    pub repeated: bool,
}

/// The rows of one partition, in order.
pub trait Feed: Send {
    /// When the next row is due, µs since 1970; `None` if there is none.
    ///
    /// # Errors
    /// `Data` or `Unavailable` from files.
    fn next_due_us(&mut self) -> Result<Option<i64>>;

    /// Goes to the next row, which [`Feed::row`] then shows; `false` if there is none.
    ///
    /// # Errors
    /// As [`Feed::next_due_us`].
    fn advance(&mut self) -> Result<bool>;

    /// The row last gone to.
    fn row(&self) -> Row<'_>;

    /// Labels of the anomalies that began up to the row last gone to, each once.
    fn take_labels(&mut self) -> Vec<Label>;
}
