//! Which readings of a device are anomalous: the ground truth.
//!
//! The readings of a device are cut into stretches of [`SCHEDULE_TICKS`]; each holds at most one anomaly, whose
//! kind, place and size come from one hash of (device, stretch). An anomaly leaves [`SPACING_TICKS`] free before
//! the end of its stretch, so two of them never meet inside a rolling frame of 100 readings.

use serde::{Deserialize, Serialize};

use super::random::{below, draw, unit};

/// Readings in which a device has at most one anomaly.
pub const SCHEDULE_TICKS: u64 = 512;
/// Readings that stay normal after an anomaly.
pub const SPACING_TICKS: u64 = 150;
/// First readings of a device, always normal: a detector must learn first.
pub const WARM_UP_TICKS: u64 = 20;
/// Readings of the longest anomaly.
pub const LENGTH_TICKS_MAX: u64 = 120;

/// A kind of anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// One reading 8–15 noise deviations off.
    Spike,
    /// 30–90 readings 4–8 deviations off.
    LevelShift,
    /// A ramp of 60–120 readings to 6–12 deviations, then back.
    Drift,
    /// The same value for 30–90 readings.
    Stuck,
    /// No reading for 10–60 ticks.
    Dropout,
    /// 20–60 readings with 4–8 times the noise.
    NoiseBurst,
    /// A labelled window of a replayed series.
    Window,
}

impl AnomalyKind {
    /// Name in labels and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::LevelShift => "level_shift",
            Self::Drift => "drift",
            Self::Stuck => "stuck",
            Self::Dropout => "dropout",
            Self::NoiseBurst => "noise_burst",
            Self::Window => "window",
        }
    }

    /// Readings, at least and at most; size in noise deviations, at least and at most.
    fn shape(self) -> (u32, u32, f64, f64) {
        match self {
            Self::Spike => (1, 1, 8.0, 15.0),
            Self::LevelShift => (30, 90, 4.0, 8.0),
            Self::Drift => (60, LENGTH_TICKS_MAX as u32, 6.0, 12.0),
            Self::Stuck => (30, 90, 0.0, 0.0),
            Self::Dropout => (10, 60, 0.0, 0.0),
            Self::NoiseBurst => (20, 60, 4.0, 8.0),
            Self::Window => (1, 1, 0.0, 0.0),
        }
    }
}

/// Anomalies per reading, by kind. Their sum is at most one in [`SCHEDULE_TICKS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyRates {
    /// Spikes.
    pub spike: f64,
    /// Level shifts.
    pub level_shift: f64,
    /// Drifts.
    pub drift: f64,
    /// Stuck values.
    pub stuck: f64,
    /// Dropouts.
    pub dropout: f64,
    /// Noise bursts.
    pub noise_burst: f64,
}

impl Default for AnomalyRates {
    /// About two spikes a second in the default fleet, and one of the others every other second.
    fn default() -> Self {
        Self { spike: 0.001, level_shift: 5e-5, drift: 4e-5, stuck: 4e-5, dropout: 4e-5, noise_burst: 4e-5 }
    }
}

impl AnomalyRates {
    /// A fleet without anomalies.
    pub fn none() -> Self {
        Self { spike: 0.0, level_shift: 0.0, drift: 0.0, stuck: 0.0, dropout: 0.0, noise_burst: 0.0 }
    }

    /// Each kind with its rate.
    pub fn each(&self) -> [(AnomalyKind, f64); 6] {
        [
            (AnomalyKind::Spike, self.spike),
            (AnomalyKind::LevelShift, self.level_shift),
            (AnomalyKind::Drift, self.drift),
            (AnomalyKind::Stuck, self.stuck),
            (AnomalyKind::Dropout, self.dropout),
            (AnomalyKind::NoiseBurst, self.noise_burst),
        ]
    }
}

/// An anomaly of one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Anomaly {
    pub(super) kind: AnomalyKind,
    /// First tick.
    pub(super) start: u64,
    /// Last tick.
    pub(super) end: u64,
    /// Size in noise deviations with its sign; for a burst the factor.
    pub(super) magnitude: f64,
}

impl Anomaly {
    pub(super) fn covers(&self, tick: u64) -> bool {
        (self.start..=self.end).contains(&tick)
    }

    /// Number of ticks.
    pub(super) fn ticks(&self) -> u64 {
        self.end - self.start + 1
    }
}

/// The anomaly in the stretch that holds `tick`, if there is one.
///
/// `key` is the device's; `phase` (a multiple of the block length, below [`SCHEDULE_TICKS`]) shifts its stretches
/// so that the fleet's anomalies are spread evenly over time.
pub(super) fn anomaly_near(key: u64, phase: u64, rates: &AnomalyRates, tick: u64) -> Option<Anomaly> {
    let stretch = tick.saturating_add(phase) / SCHEDULE_TICKS;
    let mut rest = unit(draw(key, stretch.wrapping_mul(4))) / SCHEDULE_TICKS as f64;
    let mut found = None;
    for (kind, rate) in rates.each() {
        if rest < rate {
            found = Some(kind);
            break;
        }
        rest -= rate;
    }
    let kind = found?;
    let (shortest, longest, low, high) = kind.shape();
    let length = u64::from(shortest + below(draw(key, stretch.wrapping_mul(4) + 1), longest - shortest + 1));
    let places = (SCHEDULE_TICKS - SPACING_TICKS - length + 1) as u32;
    let place = u64::from(below(draw(key, stretch.wrapping_mul(4) + 2), places));
    let start = stretch.saturating_mul(SCHEDULE_TICKS).saturating_add(place).checked_sub(phase)?;
    if start < WARM_UP_TICKS {
        return None;
    }
    let size = draw(key, stretch.wrapping_mul(4) + 3);
    let magnitude = low + (high - low) * unit(size);
    let negative = size & 1 == 1 && kind != AnomalyKind::NoiseBurst;
    Some(Anomaly { kind, start, end: start + length - 1, magnitude: if negative { -magnitude } else { magnitude } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anomalies_keep_their_distance_and_their_rates() {
        let rates = AnomalyRates::default();
        let (stretches, devices) = (200u64, 100u64);
        let mut count = std::collections::BTreeMap::new();
        for device in 0..devices {
            let phase = (device % 8) * 64;
            let mut free_from = WARM_UP_TICKS;
            for stretch in 0..stretches {
                let Some(anomaly) = anomaly_near(draw(9, device), phase, &rates, stretch * SCHEDULE_TICKS) else {
                    continue;
                };
                assert!(anomaly.start >= free_from, "{anomaly:?}");
                assert!(anomaly.ticks() <= LENGTH_TICKS_MAX);
                free_from = anomaly.end + SPACING_TICKS;
                *count.entry(anomaly.kind).or_insert(0u64) += 1;
            }
        }
        for (kind, rate) in rates.each() {
            let expected = rate * (stretches * SCHEDULE_TICKS * devices) as f64;
            let found = count.get(&kind).copied().unwrap_or(0) as f64;
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{kind:?}: {found} of {expected}");
        }
    }

    #[test]
    fn every_tick_of_a_stretch_sees_the_same_anomaly() {
        let rates = AnomalyRates { spike: 1.0 / SCHEDULE_TICKS as f64, ..AnomalyRates::none() };
        for tick in [SCHEDULE_TICKS - 64, SCHEDULE_TICKS, 2 * SCHEDULE_TICKS - 65] {
            assert_eq!(anomaly_near(5, 64, &rates, tick), anomaly_near(5, 64, &rates, SCHEDULE_TICKS));
        }
    }
}
