//! The stream of one site: rows in partition order, from any offset.
//!
//! Time is cut into blocks of 64 ticks. Within a tick the site's devices have one slot each, in the order of
//! their numbers; a delayed row takes the slot it arrives in, never beyond its block. So a block's rows
//! depend on the block alone, and its row count is a sum of bit counts: finding the block of an offset costs
//! at most one hash per device and tick (about a million ticks a second for 600 devices on one core), and
//! nothing is formatted on the way.
//!
//! Invariant: row n is a pure function of (config, site, n). A label belongs to the first affected row that
//! leaves (that of a dropout to the first row after its first missing reading), so that it is told while its
//! anomaly is under way, and once, wherever a stream starts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::config::Config;
use super::device::{BLOCK_TICKS, BlockPlan, Device, FaultBounds};
use super::feed::{Feed, Row};
use super::labels::Label;
use super::message::{self, FeatureSource};
use super::schedule::{Anomaly, AnomalyKind, LENGTH_TICKS_MAX};
use crate::error::{Error, Result};

/// Blocks walked before the wanted one: a dropout's label waits for a row, at most as long as the dropout.
const REWIND_BLOCKS: u64 = LENGTH_TICKS_MAX.div_ceil(BLOCK_TICKS);
/// Readings of a rolling frame: when the last affected reading has left it, an anomaly has settled.
const FRAME_TICKS: u64 = 100;

/// A device with what its messages begin with.
#[derive(Debug, Clone)]
struct Member {
    device: Device,
    name: String,
    head: Vec<u8>,
}

/// What was chosen to leave next.
#[derive(Debug, Clone, Copy)]
struct Pick {
    /// Place of the device in the site.
    slot: u32,
    tick: u64,
    /// Slot of the block in which the row arrives.
    arrival: u32,
    /// It is the second sending of a row.
    repeated: bool,
}

/// Rows of one site, in partition order.
#[derive(Debug)]
pub struct SiteStream {
    // fixed at start
    config: Config,
    site: u16,
    members: Vec<Member>,
    bounds: FaultBounds,
    /// Longest delay in slots.
    delay_slots: u32,

    // changes while running
    block: u64,
    /// Next slot of the block, `tick-in-block · members + place`.
    position: u32,
    plans: Vec<BlockPlan>,
    /// Rows on their way: (arrival slot, own slot).
    delayed: BinaryHeap<Reverse<(u32, u32)>>,
    /// A row to be sent once more.
    repeat: Option<Pick>,
    /// The next row, if it has been chosen already.
    next: Option<Pick>,
    /// Offset of the next row.
    next_offset: u64,
    /// Devices whose anomaly began in this block and has its label.
    labelled: BTreeSet<u32>,
    /// Labels that go with the next row.
    pending: Vec<Label>,
    /// Labels of rows that have left.
    told: Vec<Label>,
    /// Start of the tick last asked for: (tick, µs).
    tick_start: (u64, i64),
    current: Current,
}

/// The row last made; buffers are used again.
#[derive(Debug, Default)]
struct Current {
    slot: u32,
    tick: u64,
    event_time_us: i64,
    due_us: i64,
    kind: Option<AnomalyKind>,
    repeated: bool,
    data: Vec<u8>,
    value: Vec<u8>,
}

impl SiteStream {
    /// The rows of `site` from row `offset` on.
    ///
    /// # Errors
    /// `Config` if the config is wrong, or the stream ends before `offset` (all devices silent).
    pub fn starting_at(config: &Config, site: u16, offset: u64) -> Result<Self> {
        config.validate()?;
        let mut stream = Self::new(config, site);
        let (block, first_offset) = stream.block_before(offset)?;
        stream.next_offset = first_offset;
        stream.load(block);
        while stream.next_offset < offset {
            match stream.choose() {
                Some(pick) => stream.passed(pick),
                None => break,
            }
        }
        stream.told.clear();
        Ok(stream)
    }

    fn new(config: &Config, site: u16) -> Self {
        let members: Vec<Member> = config
            .devices_of(site)
            .into_iter()
            .map(|number| {
                let name = format!("device_{number}");
                Member { device: Device::new(config, number), head: message::head(&name, site), name }
            })
            .collect();
        let count = members.len().max(1) as u64;
        let delay_us = config.faults.delay_max.as_micros() as u64;
        let slots = delay_us.saturating_mul(count) / config.period_us().max(1);
        let delay_slots = slots.min(count * BLOCK_TICKS) as u32;
        let mut bounds = FaultBounds::of(config);
        if delay_slots == 0 {
            bounds = bounds.without_delays();
        }
        Self {
            config: config.clone(),
            site,
            plans: vec![BlockPlan::default(); members.len()],
            members,
            bounds,
            delay_slots,
            block: 0,
            position: 0,
            delayed: BinaryHeap::new(),
            repeat: None,
            next: None,
            next_offset: 0,
            labelled: BTreeSet::new(),
            pending: Vec::new(),
            told: Vec::new(),
            tick_start: (0, config.tick_us(0)),
            current: Current::default(),
        }
    }

    /// The block to walk from so as to reach row `offset`, and the offset of its first row.
    fn block_before(&self, offset: u64) -> Result<(u64, u64)> {
        let mut firsts = std::collections::VecDeque::from([0u64]);
        let mut block = 0u64;
        loop {
            let first = firsts.back().copied().unwrap_or(0);
            let rows: u64 = self.members.iter().map(|m| m.device.rows(&self.config, self.bounds, block)).sum();
            if offset == 0 || first + rows > offset {
                let back = (firsts.len() as u64 - 1).min(REWIND_BLOCKS);
                let at = firsts.len() - 1 - back as usize;
                return Ok((block - back, firsts.get(at).copied().unwrap_or(0)));
            }
            if self.ended(block) {
                // Exactly at the end a stream may start: it has no rows left.
                if first + rows == offset {
                    return Ok((block, first));
                }
                return Err(Error::config(format!(
                    "row {offset} of site {} does not exist: all its devices fall silent after {} rows",
                    self.site,
                    first + rows
                )));
            }
            firsts.push_back(first + rows);
            if firsts.len() as u64 > REWIND_BLOCKS + 1 {
                firsts.pop_front();
            }
            block += 1;
        }
    }

    /// Whether no device sends anything from `block` on.
    fn ended(&self, block: u64) -> bool {
        self.members.iter().all(|m| m.device.silent_from <= block.saturating_mul(BLOCK_TICKS))
    }

    fn load(&mut self, block: u64) {
        self.block = block;
        self.position = 0;
        self.labelled.clear();
        for (plan, member) in self.plans.iter_mut().zip(&self.members) {
            *plan = member.device.plan(&self.config, self.bounds, block);
        }
    }

    /// Number of the site, which is its partition.
    pub fn partition(&self) -> i32 {
        i32::from(self.site)
    }

    /// Offset of the row that [`Feed::advance`] makes next.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Chooses the row that leaves next, in slot order; what was due earlier comes first.
    fn choose(&mut self) -> Option<Pick> {
        if let Some(pick) = self.next.take().or_else(|| self.repeat.take()) {
            return Some(pick);
        }
        let count = self.members.len() as u32;
        let slots = count * BLOCK_TICKS as u32;
        loop {
            // A delayed row leaves after the row of its arrival slot, which lies before `position`.
            if let Some(Reverse((arrival, own))) = self.delayed.peek().copied()
                && arrival < self.position
            {
                self.delayed.pop();
                return Some(self.pick(own, arrival));
            }
            if self.position >= slots {
                if self.ended(self.block + 1) {
                    return None;
                }
                self.load(self.block + 1);
            }
            let own = self.position;
            self.position += 1;
            let (tick_in_block, slot) = (own / count, own % count);
            let Some(plan) = self.plans.get(slot as usize).copied() else { continue };
            let bit = 1u64 << tick_in_block;
            if plan.present & bit == 0 {
                self.missed(slot, self.block * BLOCK_TICKS + u64::from(tick_in_block), plan.anomaly);
                continue;
            }
            if plan.delayed & bit != 0 {
                let delay = self.delay_of(slot, tick_in_block);
                self.delayed.push(Reverse((own.saturating_add(delay).min(slots - 1), own)));
                continue;
            }
            return Some(self.pick(own, own));
        }
    }

    fn delay_of(&self, slot: u32, tick_in_block: u32) -> u32 {
        let tick = self.block * BLOCK_TICKS + u64::from(tick_in_block);
        self.members.get(slot as usize).map_or(0, |m| m.device.delay_slots(tick, self.delay_slots))
    }

    /// The row of slot `own`; if it is sent twice, the second sending follows it.
    fn pick(&mut self, own: u32, arrival: u32) -> Pick {
        let count = self.members.len().max(1) as u32;
        let (tick_in_block, slot) = (own / count, own % count);
        let tick = self.block * BLOCK_TICKS + u64::from(tick_in_block);
        let pick = Pick { slot, tick, arrival, repeated: false };
        let duplicated = self.plans.get(slot as usize).is_some_and(|plan| plan.duplicated >> tick_in_block & 1 == 1);
        self.repeat = duplicated.then_some(Pick { repeated: true, ..pick });
        pick
    }

    /// A row leaves: counts it, and labels the anomaly that begins with it.
    fn passed(&mut self, pick: Pick) {
        let offset = self.next_offset as i64;
        self.next_offset += 1;
        self.note(pick, offset);
        self.told.append(&mut self.pending);
    }

    /// Labels the anomaly of a row if the row is the first of it. Delays end with their block: so a row of an
    /// anomaly that began in an earlier block is never the first.
    fn note(&mut self, pick: Pick, offset: i64) {
        let anomaly = self.plans.get(pick.slot as usize).and_then(|plan| plan.anomaly);
        let begins = |a: &Anomaly| a.covers(pick.tick) && a.start / BLOCK_TICKS == self.block;
        let Some(anomaly) = anomaly.filter(begins) else { return };
        if self.labelled.insert(pick.slot) {
            self.tell(pick.slot, anomaly, Some(offset));
        }
    }

    /// A device has no reading: labels the dropout that begins with it.
    fn missed(&mut self, slot: u32, tick: u64, anomaly: Option<Anomaly>) {
        if let Some(anomaly) = anomaly.filter(|a| a.kind == AnomalyKind::Dropout && a.start == tick) {
            self.tell(slot, anomaly, None);
        }
    }

    fn tell(&mut self, slot: u32, anomaly: Anomaly, start_offset: Option<i64>) {
        let Some(member) = self.members.get(slot as usize) else { return };
        let time = |tick| self.reading_us(slot, tick).saturating_add(member.device.skew_us);
        let label = Label {
            anomaly_id: format!("{}-{}", member.name, anomaly.start),
            device_id: member.name.clone(),
            kind: anomaly.kind,
            start: time(anomaly.start),
            end: time(anomaly.end),
            settled: time(anomaly.end.saturating_add(FRAME_TICKS)),
            start_offset,
            partition: self.partition(),
            magnitude: (anomaly.magnitude * 1000.0).round() / 1000.0,
        };
        self.pending.push(label);
    }

    /// When slot `slot` of `tick` begins, µs by a right clock.
    fn slot_us(&self, slot: u32, tick: u64) -> i64 {
        let start = if self.tick_start.0 == tick { self.tick_start.1 } else { self.config.tick_us(tick) };
        let count = self.members.len().max(1) as u64;
        start.saturating_add((u64::from(slot).saturating_mul(self.config.period_us()) / count) as i64)
    }

    /// When the device of `slot` reads in `tick`, µs by a right clock: anywhere in its slot.
    fn reading_us(&self, slot: u32, tick: u64) -> i64 {
        let count = self.members.len().max(1) as u64;
        let width = u32::try_from(self.config.period_us() / count).unwrap_or(u32::MAX);
        let bits = self.members.get(slot as usize).map_or(0, |m| m.device.features(tick));
        self.slot_us(slot, tick).saturating_add(i64::from(super::random::below(bits.rotate_left(32), width)))
    }

    /// When a row that arrives in slot `arrival` of this block is sent: at the end of the slot.
    fn due_us(&self, arrival: u32) -> i64 {
        let count = self.members.len().max(1) as u32;
        let tick = self.block * BLOCK_TICKS + u64::from(arrival / count);
        let width = self.config.period_us() / u64::from(count);
        self.slot_us(arrival % count, tick).saturating_add(width as i64)
    }

    /// Makes the bytes of a chosen row.
    fn write(&mut self, pick: Pick) {
        if self.tick_start.0 != pick.tick {
            self.tick_start = (pick.tick, self.config.tick_us(pick.tick));
        }
        let reading_us = self.reading_us(pick.slot, pick.tick);
        let due_us = self.due_us(pick.arrival);
        let anomaly = self.plans.get(pick.slot as usize).and_then(|plan| plan.anomaly);
        let anomaly = anomaly.filter(|anomaly| anomaly.covers(pick.tick));
        let Some(member) = self.members.get(pick.slot as usize) else { return };
        let device = &member.device;
        let current = &mut self.current;
        current.slot = pick.slot;
        current.tick = pick.tick;
        current.event_time_us = reading_us.saturating_add(device.skew_us);
        current.due_us = due_us;
        current.kind = anomaly.map(|anomaly| anomaly.kind);
        current.repeated = pick.repeated;
        current.data.clear();
        message::write_thousandths(&mut current.data, device.reading(pick.tick, anomaly.as_ref()));
        message::write_reading(&mut current.value, &member.head, current.event_time_us, &current.data);
        let features = FeatureSource {
            count: self.config.features,
            device_bits: device.feature_bits,
            reading_bits: device.features(pick.tick),
            anomalous: anomaly.is_some(),
        };
        message::write_features(&mut current.value, features, &current.data);
        message::write_end(&mut current.value);
    }
}

impl Feed for SiteStream {
    fn next_due_us(&mut self) -> Result<Option<i64>> {
        let pick = self.choose();
        if pick.is_none() {
            self.told.append(&mut self.pending);
        }
        self.next = pick;
        Ok(pick.map(|pick| self.due_us(pick.arrival)))
    }

    fn advance(&mut self) -> Result<bool> {
        let Some(pick) = self.choose() else {
            self.told.append(&mut self.pending);
            return Ok(false);
        };
        self.write(pick);
        self.passed(pick);
        Ok(true)
    }

    fn row(&self) -> Row<'_> {
        let current = &self.current;
        let member = self.members.get(current.slot as usize);
        Row {
            device: member.map_or("", |m| m.name.as_str()),
            value: &current.value,
            event_time_us: current.event_time_us,
            due_us: current.due_us,
            tick: current.tick,
            anomaly: current.kind,
            repeated: current.repeated,
        }
    }

    fn take_labels(&mut self) -> Vec<Label> {
        std::mem::take(&mut self.told)
    }
}
