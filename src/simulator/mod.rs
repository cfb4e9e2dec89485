//! The device simulator: a fleet with ground truth, and the score of what a job found in it.
//!
//! Everything generated is a pure function of ([`Config`], site, offset): no clock, no I/O, any position at once
//! ([`SiteStream`]). A [`Feed`] is the rows of one partition, generated or replayed from files ([`replay`]);
//! the driver ([`run`]) sends feeds to a [`Target`] when they are due; [`score`] compares alerts with [`Label`]s.
//!
//! ```text
//! random → device, schedule → site ─┐
//!                        replay ────┴→ feed → driver → target (Kafka)      labels + alerts → score
//! ```

mod config;
mod device;
mod driver;
mod feed;
mod labels;
mod message;
mod random;
pub mod replay;
mod schedule;
pub mod score;
mod site;
#[cfg(test)]
mod tests;
mod topics;

pub use config::{Config, FaultRates};
pub use driver::{Consumed, Flow, Job, LaneProgress, Outgoing, Pace, Progress, Summary, Target, run};
pub use feed::{Feed, Row};
pub use labels::Label;
pub use message::{format_time, parse_time};
pub use schedule::{AnomalyKind, AnomalyRates, LENGTH_TICKS_MAX, SCHEDULE_TICKS, SPACING_TICKS, WARM_UP_TICKS};
pub use site::SiteStream;
pub use topics::{ANOMALIES_TOPIC, LABELS_TOPIC, READINGS_TOPIC, TopicLayout, layout};

/// The feeds of a generated fleet, partition by partition, each from its row `offsets[partition]` on (0 where
/// there is no number).
///
/// # Errors
/// `Config` if the config is wrong or a stream ends before its offset.
pub fn feeds(config: &Config, offsets: &[u64]) -> crate::error::Result<Vec<(i32, Box<dyn Feed>)>> {
    config.validate()?;
    (0..config.sites)
        .map(|site| {
            let offset = offsets.get(usize::from(site)).copied().unwrap_or(0);
            let feed: Box<dyn Feed> = Box::new(SiteStream::starting_at(config, site, offset)?);
            Ok((i32::from(site), feed))
        })
        .collect()
}
