//! What a simulated fleet is: plain data, checked once. The same [`Config`] yields the same bytes for ever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::FEATURES_MAX;
use super::schedule::{AnomalyRates, SCHEDULE_TICKS};
use crate::error::{Error, Result};

/// Devices of one site of the pipeline: `device_0 … device_599` belong to the first.
const SITE_DEVICES: u32 = 600;
/// More sites than this is a mistake, and each is a partition.
const SITES_MAX: u16 = 1024;
/// Bounds the per-device plan kept in memory (about 200 bytes each).
const DEVICES_MAX: u32 = 1_000_000;
/// Fewest numeric features of a message.
const FEATURES_MIN: usize = 10;

/// A fleet and its schedule. Keep it (it is serializable) to go on with a stream after a stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Seed of everything random.
    pub seed: u64,
    /// When tick 0 begins, µs since 1970 (UTC): the first reading of every device.
    pub start_us: i64,
    /// Number of devices, named `device_0 …`.
    pub devices: u32,
    /// Number of sites: partitions of the stream, and brokers `broker_1 …`.
    pub sites: u16,
    /// Rows per second of the whole fleet, in event time: every device reads once in `devices / rate` seconds.
    pub rate: u64,
    /// Numeric fields in `raw_features`.
    pub features: usize,
    /// How often each kind of anomaly happens.
    pub anomalies: AnomalyRates,
    /// What goes wrong between a device and its broker.
    pub faults: FaultRates,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 42,
            start_us: 0,
            devices: 2400,
            sites: 4,
            rate: 2400,
            features: 13,
            anomalies: AnomalyRates::default(),
            faults: FaultRates::default(),
        }
    }
}

/// Faults of transport and clocks. Rates are probabilities: of rows for rows, of devices for devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRates {
    /// Share of rows that arrive later than younger rows.
    pub out_of_order: f64,
    /// Longest delay of such a row. With [`FaultRates::behind_max`] it must stay below the watermark delay of
    /// the query (5 s in `queries/anomaly.sql`), or rows are late.
    pub delay_max: Duration,
    /// Share of rows sent twice.
    pub duplicated: f64,
    /// Share of devices whose clock is slow.
    pub clock_behind: f64,
    /// Most such a clock is slow.
    pub behind_max: Duration,
    /// Share of devices whose clock is far ahead: the guard against future time stamps has to hold.
    pub clock_ahead: f64,
    /// How far ahead.
    pub ahead_by: Duration,
    /// Share of devices that fall silent for good within their first hour of readings.
    pub silent: f64,
}

impl Default for FaultRates {
    fn default() -> Self {
        Self {
            out_of_order: 0.01,
            delay_max: Duration::from_secs(2),
            duplicated: 0.001,
            clock_behind: 0.01,
            behind_max: Duration::from_secs(1),
            clock_ahead: 0.001,
            ahead_by: Duration::from_secs(2 * 24 * 3600),
            silent: 0.005,
        }
    }
}

impl FaultRates {
    /// A fleet without faults.
    pub fn none() -> Self {
        Self { out_of_order: 0.0, duplicated: 0.0, clock_behind: 0.0, clock_ahead: 0.0, silent: 0.0, ..Self::default() }
    }
}

impl Config {
    /// All that is wrong with it, at once.
    ///
    /// # Errors
    /// `Config`, one per value, collected.
    pub fn validate(&self) -> Result<()> {
        let mut errors = Vec::new();
        let mut range = |name: &str, value: u64, low: u64, high: u64| {
            if value < low || value > high {
                let error = Error::config(format!("\"{value}\" is not a valid {name}"));
                errors.push(error.hint(format!("choose a number from {low} to {high}")));
            }
        };
        range("number of devices", u64::from(self.devices), 1, u64::from(DEVICES_MAX));
        range("number of sites", u64::from(self.sites), 1, u64::from(SITES_MAX));
        range("number of features", self.features as u64, FEATURES_MIN as u64, FEATURES_MAX as u64);
        // A device reads at most once a millisecond, so that event times in milliseconds tell readings apart.
        range("rate", self.rate, 1, u64::from(self.devices).saturating_mul(1000));
        for (name, rate) in self.rates() {
            if !(0.0..=1.0).contains(&rate) {
                errors.push(
                    Error::config(format!("\"{rate}\" is not a valid rate \"{name}\""))
                        .hint("choose a share from 0 to 1"),
                );
            }
        }
        let total: f64 = self.anomalies.each().iter().map(|(_, rate)| rate).sum();
        if total * SCHEDULE_TICKS as f64 > 1.0 {
            let error =
                Error::config(format!("anomaly rates add up to {total}, more than one in {SCHEDULE_TICKS} readings"));
            errors.push(error.hint(format!("choose rates with a sum of at most {:.5}", 1.0 / SCHEDULE_TICKS as f64)));
        }
        if self.faults.ahead_by.as_secs() > 100 * 366 * 24 * 3600 || self.faults.behind_max.as_secs() > 24 * 3600 {
            errors.push(Error::config("a clock is wrong by more than a hundred years ahead or a day behind"));
        }
        Error::collect(errors).map_or(Ok(()), Err)
    }

    fn rates(&self) -> Vec<(&'static str, f64)> {
        let faults = &self.faults;
        let mut rates: Vec<_> = self.anomalies.each().iter().map(|(kind, rate)| (kind.name(), *rate)).collect();
        rates.extend([
            ("out_of_order", faults.out_of_order),
            ("duplicated", faults.duplicated),
            ("clock_behind", faults.clock_behind),
            ("clock_ahead", faults.clock_ahead),
            ("silent", faults.silent),
        ]);
        rates
    }

    /// The site (= partition) of a device: `(n / 600) % 4` in the pipeline's fleet; smaller fleets are spread evenly.
    pub fn site_of(&self, device: u32) -> u16 {
        let sites = u32::from(self.sites.max(1));
        let group = self.devices.div_ceil(sites).clamp(1, SITE_DEVICES);
        ((device / group) % sites) as u16
    }

    /// Numbers of the devices of a site, rising.
    pub fn devices_of(&self, site: u16) -> Vec<u32> {
        (0..self.devices).filter(|device| self.site_of(*device) == site).collect()
    }

    /// When tick `tick` begins, µs since 1970.
    pub(super) fn tick_us(&self, tick: u64) -> i64 {
        let since = i128::from(tick) * i128::from(self.devices) * 1_000_000 / i128::from(self.rate.max(1));
        i64::try_from(i128::from(self.start_us).saturating_add(since)).unwrap_or(i64::MAX)
    }

    /// Time between two readings of a device, µs.
    pub(super) fn period_us(&self) -> u64 {
        u64::from(self.devices) * 1_000_000 / self.rate.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fleet_has_the_sites_of_the_pipeline() -> Result<()> {
        let config = Config::default();
        config.validate()?;
        for device in 0..2400 {
            assert_eq!(u32::from(config.site_of(device)), (device / 600) % 4);
        }
        let larger = Config { devices: 4800, ..config.clone() };
        assert_eq!(larger.site_of(2400), 0);
        let smaller = Config { devices: 10, ..config };
        assert_eq!((0..4).map(|site| smaller.devices_of(site).len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
        Ok(())
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut config = Config { devices: 0, sites: 0, rate: 0, features: 3, ..Config::default() };
        config.anomalies.spike = 0.5;
        config.faults.silent = f64::NAN;
        let errors = config.validate().map_err(Error::flatten).err();
        assert_eq!(errors.map(|e| e.len()), Some(6));
    }

    #[test]
    fn ticks_do_not_drift() {
        let config = Config { devices: 7, rate: 3, ..Config::default() };
        assert_eq!(config.tick_us(3_000_000), 7_000_000_000_000);
        assert_eq!(config.tick_us(u64::MAX), i64::MAX);
    }
}
