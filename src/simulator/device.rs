//! One device: what it measures at any tick, and how its clock and its link misbehave.
//!
//! Reading = baseline + daily cycle + slow drift + bounded noise, in thousandths. Noise is a hum of two to four
//! readings a turn (mains, seen through the sampling) and a uniform dither: no reading lies more than 1.9 deviations
//! from the level, and a handful of readings already shows their deviation, so a rolling detector at 2.5 deviations
//! stays quiet from a device's first readings on while nothing is wrong. (Independent noise of any shape makes it
//! ring in one device of a hundred while the frame holds fewer than 20 readings: more alerts than a young fleet
//! has anomalies.) Cycle and drift hardly move within 100 readings, for the same reason.
//! Only additions and products of IEEE doubles: the same bytes on every machine.

use super::config::Config;
use super::random::{Purpose, bound, draw, key, unit};
use super::schedule::{Anomaly, AnomalyKind, SCHEDULE_TICKS, anomaly_near};

/// Ticks planned together: one bit each in a `u64`.
pub(super) const BLOCK_TICKS: u64 = 64;

/// Amplitudes of hum and dither, in their sum.
const NOISE: (f64, f64) = (0.7, 0.3);
/// Standard deviation of the sum: √(0.7² · 8/15 + 0.3² / 3), for a wave of parabolas and a uniform number.
const NOISE_DEVIATION: f64 = 0.539_753_029_943_633_8;
/// Readings in a turn of the hum.
const HUM_TICKS: (f64, f64) = (2.2, 3.4);
/// A day is at least this many readings, so that a slow fleet's cycle is slow against 100 readings too.
const CYCLE_TICKS_MIN: f64 = 20_000.0;
/// Daily cycle and drift, in noise deviations.
const CYCLE_DEVIATIONS: (f64, f64) = (5.0, 10.0);
const DRIFT_DEVIATIONS: (f64, f64) = (1.0, 5.0);
/// The drift goes there and back in this many days.
const DRIFT_DAYS: (f64, f64) = (2.0, 9.0);
/// Level of a device in its unit, and its noise deviation as a share of the level.
const BASELINE: (f64, f64) = (20.0, 500.0);
const DEVIATION_SHARE: (f64, f64) = (0.005, 0.02);
/// A device that falls silent does so between these ticks.
const SILENT_TICKS: (f64, f64) = (100.0, 3600.0);

/// A device; a pure function of (config, number).
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// Its clock is wrong by this much, µs.
    pub(super) skew_us: i64,
    /// First tick without a reading for good.
    pub(super) silent_from: u64,
    /// Which features it has, by bit; its place in `raw_features` for the metric.
    pub(super) feature_bits: u64,
    schedule_phase: u64,
    noise_key: u64,
    fault_key: u64,
    delay_key: u64,
    schedule_key: u64,
    feature_key: u64,
    baseline: f64,
    deviation: f64,
    hum: Wave,
    cycle: Wave,
    drift: Wave,
}

/// A periodic change.
#[derive(Debug, Clone, Copy)]
struct Wave {
    amplitude: f64,
    ticks: f64,
    phase: f64,
}

impl Wave {
    /// Between `-amplitude` and `amplitude`: two parabolas per period, a sine to within 6 %.
    fn at(self, tick: u64) -> f64 {
        let turn = (tick as f64 / self.ticks + self.phase).fract();
        let (half, sign) = if turn < 0.5 { (turn * 2.0, 1.0) } else { (turn * 2.0 - 1.0, -1.0) };
        self.amplitude * sign * 4.0 * half * (1.0 - half)
    }
}

/// What a device does in [`BLOCK_TICKS`] ticks: bit k is tick `block · 64 + k`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BlockPlan {
    /// There is a reading.
    pub(super) present: u64,
    /// It is sent twice.
    pub(super) duplicated: u64,
    /// It arrives out of order.
    pub(super) delayed: u64,
    /// The anomaly of the stretch the block is in (it may lie outside the block).
    pub(super) anomaly: Option<Anomaly>,
}

/// Fault rates as bounds of 32-bit numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct FaultBounds {
    duplicated: u64,
    delayed: u64,
}

impl FaultBounds {
    pub(super) fn of(config: &Config) -> Self {
        Self { duplicated: bound(config.faults.duplicated), delayed: bound(config.faults.out_of_order) }
    }

    /// For fleets whose slots are longer than any delay.
    pub(super) fn without_delays(self) -> Self {
        Self { delayed: 0, ..self }
    }
}

impl Device {
    pub(super) fn new(config: &Config, number: u32) -> Self {
        let traits = key(config.seed, Purpose::Traits, number);
        let between = |counter: u64, (low, high): (f64, f64)| low + (high - low) * unit(draw(traits, counter));
        let chance = |counter: u64, rate: f64| unit(draw(traits, counter)) < rate;
        let baseline = between(0, BASELINE);
        let deviation = baseline * between(1, DEVIATION_SHARE);
        let day_us = 86_400_000_000.0;
        let day = (day_us / config.period_us().max(1) as f64).max(CYCLE_TICKS_MIN);
        let faults = &config.faults;
        let skew_us = if chance(8, faults.clock_ahead) {
            faults.ahead_by.as_micros() as i64
        } else if chance(9, faults.clock_behind) {
            -((faults.behind_max.as_micros() as f64 * unit(draw(traits, 10))) as i64)
        } else {
            0
        };
        let silent_from = if chance(11, faults.silent) { between(12, SILENT_TICKS) as u64 } else { u64::MAX };
        Self {
            skew_us,
            silent_from,
            feature_bits: draw(traits, 13),
            schedule_phase: draw(traits, 14) % (SCHEDULE_TICKS / BLOCK_TICKS) * BLOCK_TICKS,
            noise_key: key(config.seed, Purpose::Noise, number),
            fault_key: key(config.seed, Purpose::Faults, number),
            delay_key: key(config.seed, Purpose::Delays, number),
            schedule_key: key(config.seed, Purpose::Schedule, number),
            feature_key: key(config.seed, Purpose::Features, number),
            baseline,
            deviation,
            hum: Wave {
                amplitude: deviation * (NOISE.0 / NOISE_DEVIATION),
                ticks: between(7, HUM_TICKS),
                phase: between(15, (0.0, 1.0)),
            },
            cycle: Wave {
                amplitude: deviation * between(2, CYCLE_DEVIATIONS),
                ticks: day,
                phase: between(3, (0.0, 1.0)),
            },
            drift: Wave {
                amplitude: deviation * between(4, DRIFT_DEVIATIONS),
                ticks: day * between(5, DRIFT_DAYS),
                phase: between(6, (0.0, 1.0)),
            },
        }
    }

    fn level(&self, tick: u64) -> f64 {
        self.baseline + self.cycle.at(tick) + self.drift.at(tick)
    }

    /// Noise in the device's unit.
    fn noise(&self, tick: u64) -> f64 {
        let dither = 2.0 * unit(draw(self.noise_key, tick)) - 1.0;
        self.hum.at(tick) + dither * (self.deviation * (NOISE.1 / NOISE_DEVIATION))
    }

    /// The reading at `tick` in thousandths of its unit. A dropout has none: the caller does not ask.
    pub(super) fn reading(&self, tick: u64, anomaly: Option<&Anomaly>) -> i64 {
        let normal = |tick: u64| self.level(tick) + self.noise(tick);
        let value = match anomaly.filter(|anomaly| anomaly.covers(tick)) {
            None => normal(tick),
            Some(anomaly) => {
                let size = anomaly.magnitude * self.deviation;
                match anomaly.kind {
                    AnomalyKind::Spike | AnomalyKind::LevelShift => normal(tick) + size,
                    AnomalyKind::Drift => {
                        normal(tick) + size * ((tick - anomaly.start + 1) as f64 / anomaly.ticks() as f64)
                    }
                    AnomalyKind::Stuck => normal(anomaly.start.saturating_sub(1)),
                    AnomalyKind::NoiseBurst => self.level(tick) + self.noise(tick) * anomaly.magnitude,
                    AnomalyKind::Dropout | AnomalyKind::Window => normal(tick),
                }
            }
        };
        (value * 1000.0).round() as i64
    }

    /// Bits from which the features of one message are made.
    pub(super) fn features(&self, tick: u64) -> u64 {
        draw(self.feature_key, tick)
    }

    /// How long a delayed reading is under way, in `[1, slots]`.
    pub(super) fn delay_slots(&self, tick: u64, slots: u32) -> u32 {
        1 + super::random::below(draw(self.delay_key, tick), slots)
    }

    /// What the device does in block `block`.
    pub(super) fn plan(&self, config: &Config, bounds: FaultBounds, block: u64) -> BlockPlan {
        let (present, anomaly) = self.presence(config, block);
        let mut plan = BlockPlan { present, anomaly, ..BlockPlan::default() };
        if bounds.duplicated > 0 || bounds.delayed > 0 {
            for k in 0..BLOCK_TICKS {
                let bits = draw(self.fault_key, block.wrapping_mul(BLOCK_TICKS).wrapping_add(k));
                plan.duplicated |= u64::from((bits & 0xffff_ffff) < bounds.duplicated) << k;
                plan.delayed |= u64::from((bits >> 32) < bounds.delayed) << k;
            }
            plan.duplicated &= present;
            plan.delayed &= present;
        }
        plan
    }

    /// Rows the device sends in block `block`: what [`Device::plan`] would tell, for counting only.
    pub(super) fn rows(&self, config: &Config, bounds: FaultBounds, block: u64) -> u64 {
        let (present, _) = self.presence(config, block);
        let mut duplicated = 0u64;
        if bounds.duplicated > 0 {
            for k in 0..BLOCK_TICKS {
                let bits = draw(self.fault_key, block.wrapping_mul(BLOCK_TICKS).wrapping_add(k));
                duplicated |= u64::from((bits & 0xffff_ffff) < bounds.duplicated) << k;
            }
        }
        u64::from(present.count_ones() + (duplicated & present).count_ones())
    }

    /// Ticks of the block with a reading, and the anomaly of its stretch.
    fn presence(&self, config: &Config, block: u64) -> (u64, Option<Anomaly>) {
        let first = block.saturating_mul(BLOCK_TICKS);
        let anomaly = anomaly_near(self.schedule_key, self.schedule_phase, &config.anomalies, first)
            .filter(|anomaly| anomaly.end < self.silent_from);
        let mut absent = bits_from(self.silent_from.saturating_sub(first));
        if let Some(dropout) = anomaly.filter(|anomaly| anomaly.kind == AnomalyKind::Dropout) {
            let ended = (dropout.end + 1).saturating_sub(first);
            absent |= bits_from(dropout.start.saturating_sub(first)) & !bits_from(ended);
        }
        (!absent, anomaly)
    }
}

/// Bits `k` and above.
fn bits_from(k: u64) -> u64 {
    if k >= BLOCK_TICKS { 0 } else { u64::MAX << k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::config::FaultRates;
    use crate::simulator::schedule::AnomalyRates;

    #[test]
    fn noise_is_bounded_and_has_the_deviation_it_claims() {
        let config = Config::default();
        let device = Device::new(&config, 17);
        let n = 20_000u64;
        let noises: Vec<f64> = (0..n).map(|tick| device.noise(tick) / device.deviation).collect();
        assert!(noises.iter().all(|z| z.abs() <= 1.853));
        let variance = noises.iter().map(|z| z * z).sum::<f64>() / n as f64;
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }

    /// The detector of `queries/anomaly.sql` (100 readings, itself included, 2.5 deviations) on a fleet in order.
    #[test]
    fn a_healthy_fleet_rings_no_alarm_from_its_first_readings_on() {
        let config = Config::default();
        for number in 0..config.devices {
            let device = Device::new(&config, number);
            let readings: Vec<i128> = (0..130).map(|tick| i128::from(device.reading(tick, None))).collect();
            let (mut sum, mut squares) = (0, 0);
            for (end, v) in readings.iter().enumerate() {
                (sum, squares) = (sum + v, squares + v * v);
                if let Some(left) = end.checked_sub(100).map(|start| readings[start]) {
                    (sum, squares) = (sum - left, squares - left * left);
                }
                // |v − mean| ≤ 2.5 std, without fractions.
                let n = (end as i128 + 1).min(100);
                let off = n * v - sum;
                assert!(4 * off * off <= 25 * (n * squares - sum * sum), "device {number}, reading {end}");
            }
        }
    }

    #[test]
    fn the_level_hardly_moves_within_a_frame_at_any_rate() {
        for rate in [10, 2400, 24_000] {
            let config = Config { rate, ..Config::default() };
            for number in [0, 5, 1999] {
                let device = Device::new(&config, number);
                for tick in (0..100_000).step_by(997) {
                    let moved = (device.level(tick + 100) - device.level(tick)).abs() / device.deviation;
                    assert!(moved < 0.5, "rate {rate}: {moved}");
                }
            }
        }
    }

    #[test]
    fn counting_agrees_with_planning() {
        let mut config =
            Config { anomalies: AnomalyRates { dropout: 0.001, ..AnomalyRates::none() }, ..Config::default() };
        config.faults = FaultRates { duplicated: 0.05, silent: 0.3, ..FaultRates::default() };
        let bounds = FaultBounds::of(&config);
        let mut gaps = 0;
        for number in 0..50 {
            let device = Device::new(&config, number);
            for block in 0..70 {
                let plan = device.plan(&config, bounds, block);
                let planned = plan.present.count_ones() + plan.duplicated.count_ones();
                assert_eq!(device.rows(&config, bounds, block), u64::from(planned));
                gaps += plan.present.count_zeros();
            }
        }
        assert!(gaps > 0);
    }

    #[test]
    fn stuck_means_the_very_same_value() {
        let device = Device::new(&Config::default(), 3);
        let stuck = Anomaly { kind: AnomalyKind::Stuck, start: 100, end: 130, magnitude: 0.0 };
        let last = device.reading(99, None);
        assert!((100..=130).all(|tick| device.reading(tick, Some(&stuck)) == last));
        assert_ne!(device.reading(131, Some(&stuck)), last);
    }
}
