//! Which rows are late: each counts once, whatever number of operators could not take it and in whatever epochs
//! they said so.
//!
//! A row late for one window may be late again for one behind an OVER, which lets the row go only when event
//! time has passed it, maybe epochs later, or for a session, which judges it only then. So rows that were counted are remembered until every operator has
//! met them: an OVER holds a row no longer than until its watermark has passed the row's own, its watermark is
//! the lowest of the sources that come to it, and at a barrier it has seen at least theirs of the epoch before.
//! Rows that come to no such OVER are not remembered. They are part of the manifest, and bounded: beyond
//! [`LATE_ROWS_REMEMBERED_MAX`] the oldest are given up by the offset up to which that was done, and a row up to
//! there that is told again passes for counted. So the count never exceeds the rows there are.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits::LATE_ROWS_REMEMBERED_MAX;
use crate::plan::{NodeId, NodeKind, StreamPlan};
use crate::runtime::ledger::{LedgerEntry, check_balance};
use crate::stream::{LateRow, PartitionId, SourcePosition};
use crate::time::{EventTime, WATERMARK_MIN};

/// Name of the remembered rows in the manifest.
const EXTRA: &str = "late";
/// Name of what was given up of them.
const EXTRA_GIVEN_UP: &str = "late.given-up";

/// Reason of a row that is late.
const LATE: &str = "LATE";
/// Reason of a row that was late, and counted, in an epoch before.
const LATE_AGAIN: &str = "LATE_AGAIN";

/// A row by its place in the input. Rows of one array message share an offset, and their places in it do not
/// travel with them: those of the same time are one row here, unless one operator tells them apart by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    partition: PartitionId,
    offset: i64,
    event_time: EventTime,
}

/// What was counted of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    rows: u64,
    watermark: EventTime,
}

/// Rows of a partition that are no longer remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct GivenUp {
    /// The last of them.
    offset: i64,
    /// The highest watermark among them.
    watermark: EventTime,
}

/// Late rows of the job.
#[derive(Debug)]
pub(crate) struct LateCount {
    // fixed at start
    /// How often a row of a source comes to a node: twice, if a union reads the source twice.
    copies: BTreeMap<(usize, NodeId), u64>,
    /// By source whose rows may be told again epochs later: the sources whose event time lets them go.
    holding: BTreeMap<usize, BTreeSet<usize>>,
    /// Most rows remembered.
    counted_max: usize,
    // changes while running
    counted: BTreeMap<Key, Counted>,
    given_up: BTreeMap<PartitionId, GivenUp>,
    /// Late rows per partition since the start.
    since_start: BTreeMap<PartitionId, u64>,
}

impl LateCount {
    /// The count of a job, going on from the newest manifest.
    ///
    /// # Errors
    /// `State` if the manifest's part of it cannot be read.
    pub(crate) fn new(plan: &StreamPlan, extras: &BTreeMap<String, serde_json::Value>) -> Result<Self> {
        let copies = copies(plan);
        let counted: Vec<(Key, Counted)> = stored(extras, EXTRA)?;
        let given_up: Vec<(PartitionId, GivenUp)> = stored(extras, EXTRA_GIVEN_UP)?;
        Ok(Self {
            holding: holding(plan, &copies),
            copies,
            counted_max: LATE_ROWS_REMEMBERED_MAX,
            counted: counted.into_iter().collect(),
            given_up: given_up.into_iter().collect(),
            since_start: BTreeMap::new(),
        })
    }

    /// Takes an epoch's late rows and returns their entries for the ledger, in order. `positions` are the
    /// partitions now, `before` as they were an epoch ago.
    ///
    /// # Errors
    /// `Internal` for a row of a partition that nobody reads.
    pub(crate) fn take(
        &mut self,
        late: Vec<(NodeId, LateRow)>,
        positions: &BTreeMap<PartitionId, SourcePosition>,
        before: &[SourcePosition],
    ) -> Result<Vec<LedgerEntry>> {
        let mut same: BTreeMap<Key, BTreeMap<NodeId, Vec<LateRow>>> = BTreeMap::new();
        for (node, row) in late {
            let key = Key { partition: row.partition, offset: row.offset, event_time: row.event_time };
            same.entry(key).or_default().entry(node).or_default().push(row);
        }
        let mut entries = Vec::new();
        for (key, nodes) in same {
            let position = positions.get(&key.partition).ok_or_else(|| {
                Error::internal(format!("a late row of partition {}, which nobody reads", key.partition.0))
            })?;
            let times = nodes.iter().map(|(node, rows)| self.times(key, *node, rows.len() as u64)).max().unwrap_or(0);
            let rows = || nodes.values().flatten();
            let (Some(row), Some(last)) = (rows().min(), rows().map(|row| row.watermark).max()) else { continue };
            let given_up = self.given_up.get(&key.partition).is_some_and(|given_up| key.offset <= given_up.offset);
            let counted = self.counted.get(&key).map_or(0, |counted| counted.rows);
            let known = if given_up { times } else { counted };
            let operators: BTreeSet<&str> = rows().map(|row| row.operator.as_str()).collect();
            let operators = operators.into_iter().collect::<Vec<_>>().join(", ");
            entries.extend((0..times).map(|nth| {
                let reason = if nth < known { LATE_AGAIN } else { LATE };
                LedgerEntry::of_late(position, row, &operators, reason)
            }));
            *self.since_start.entry(key.partition).or_default() += times.saturating_sub(known);
            if !given_up && self.holding.contains_key(&key.partition.source()) {
                self.counted.insert(key, Counted { rows: times.max(known), watermark: last });
            }
        }
        self.forget(before);
        Ok(entries)
    }

    /// Forgets rows every operator has met, and the oldest beyond the bound.
    fn forget(&mut self, before: &[SourcePosition]) {
        let passed: BTreeMap<usize, EventTime> =
            self.holding.iter().map(|(source, holding)| (*source, passed(holding, before))).collect();
        let waits = |partition: PartitionId, watermark: EventTime| {
            passed.get(&partition.source()).is_some_and(|passed| watermark >= *passed)
        };
        self.counted.retain(|key, counted| waits(key.partition, counted.watermark));
        self.given_up.retain(|partition, given_up| waits(*partition, given_up.watermark));
        let excess = self.counted.len().saturating_sub(self.counted_max);
        if excess == 0 {
            return;
        }
        // A partition's watermark never falls: in each, these are the rows with the lowest offsets.
        let mut oldest: Vec<(EventTime, Key)> =
            self.counted.iter().map(|(key, counted)| (counted.watermark, *key)).collect();
        oldest.sort_unstable();
        for (watermark, key) in oldest.into_iter().take(excess) {
            self.counted.remove(&key);
            let first = GivenUp { offset: key.offset, watermark };
            let given_up = self.given_up.entry(key.partition).or_insert(first);
            given_up.offset = given_up.offset.max(key.offset);
            given_up.watermark = given_up.watermark.max(watermark);
        }
    }

    /// How many rows it are that came `count` times to a node.
    fn times(&self, key: Key, node: NodeId, count: u64) -> u64 {
        count.div_ceil(self.copies.get(&(key.partition.source(), node)).copied().unwrap_or(1).max(1))
    }

    /// Puts what must be remembered into the manifest.
    ///
    /// # Errors
    /// `Internal` if it has no JSON form.
    pub(crate) fn store(&self, extras: &mut BTreeMap<String, serde_json::Value>) -> Result<()> {
        store(extras, EXTRA, &self.counted)?;
        store(extras, EXTRA_GIVEN_UP, &self.given_up)
    }

    /// Moves late rows from "processed" to "late", and insists that every row read is accounted for.
    ///
    /// # Errors
    /// `Internal` if rows are lost or come from nowhere.
    pub(crate) fn account(&self, mut positions: BTreeMap<PartitionId, SourcePosition>) -> Result<Vec<SourcePosition>> {
        for position in positions.values_mut() {
            let late = self.since_start.get(&position.id).copied().unwrap_or(0);
            let counts = &mut position.counts;
            counts.late += late;
            counts.processed = counts.processed.checked_sub(late).ok_or_else(|| {
                Error::internal(format!(
                    "\"{}\" partition {}: more late rows than rows",
                    position.topic, position.partition
                ))
            })?;
            check_balance(position)?;
        }
        Ok(positions.into_values().collect())
    }
}

/// What an earlier run has put into the manifest; nothing if it was empty.
fn stored<T: DeserializeOwned>(extras: &BTreeMap<String, serde_json::Value>, name: &str) -> Result<Vec<T>> {
    let Some(stored) = extras.get(name) else { return Ok(Vec::new()) };
    serde_json::from_value(stored.clone())
        .map_err(|e| Error::state("the late rows of the stored state cannot be read").because(e))
}

/// The entries as a list, for the keys of a JSON object are texts.
fn store(
    extras: &mut BTreeMap<String, serde_json::Value>,
    name: &str,
    entries: &BTreeMap<impl Serialize, impl Serialize>,
) -> Result<()> {
    if entries.is_empty() {
        extras.remove(name);
        return Ok(());
    }
    let stored = serde_json::to_value(entries.iter().collect::<Vec<_>>())
        .map_err(|e| Error::internal("late rows have no JSON form").because(e))?;
    extras.insert(name.into(), stored);
    Ok(())
}

/// The event time operators fed by these sources have seen, if partitions stood like that an epoch ago.
fn passed(sources: &BTreeSet<usize>, before: &[SourcePosition]) -> EventTime {
    let theirs = before.iter().filter(|p| sources.contains(&p.id.source()));
    theirs.map(|p| p.watermark).min().unwrap_or(WATERMARK_MIN)
}

/// Paths from each source to each node along which its rows travel; what a window makes are other rows.
fn copies(plan: &StreamPlan) -> BTreeMap<(usize, NodeId), u64> {
    let mut copies = BTreeMap::new();
    for (source, (start, _)) in plan.sources().enumerate() {
        let mut leaving = vec![0u64; plan.nodes.len()];
        for (id, node) in plan.nodes.iter().enumerate() {
            let arriving = node.inputs.iter().map(|input| leaving[*input]).fold(0, u64::saturating_add);
            copies.insert((source, id), arriving);
            leaving[id] = match node.kind {
                _ if id == start => 1,
                ref kind if kind.makes_rows() => 0,
                // all that is made of one row counts as that row
                NodeKind::Unnest(_) | NodeKind::ConstantJoin(_) | NodeKind::WindowAssign(_) if arriving > 0 => u64::MAX,
                _ => arriving,
            };
        }
    }
    copies
}

/// By source whose rows an OVER may hold before they come to another operator that may find them late, or a session
/// before it judges them: all sources with a watermark that come to it, by whatever way, for its event time is the
/// lowest of theirs.
fn holding(plan: &StreamPlan, copies: &BTreeMap<(usize, NodeId), u64>) -> BTreeMap<usize, BTreeSet<usize>> {
    let numbers: BTreeMap<NodeId, usize> = plan.sources().enumerate().map(|(number, (id, _))| (id, number)).collect();
    let mut timed: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.nodes.len());
    for (id, node) in plan.nodes.iter().enumerate() {
        let mut own: BTreeSet<usize> = node.inputs.iter().flat_map(|input| &timed[*input]).copied().collect();
        own.extend(numbers.get(&id).filter(|_| matches!(&node.kind, NodeKind::Source(s) if s.watermark.is_some())));
        timed.push(own);
    }
    let mut holding = BTreeMap::new();
    for source in numbers.into_values() {
        let mut held_by = BTreeSet::new();
        // The OVERs that rows of the source have passed when they leave a node.
        let mut leaving: Vec<BTreeSet<NodeId>> = Vec::with_capacity(plan.nodes.len());
        for (id, node) in plan.nodes.iter().enumerate() {
            let mut overs: BTreeSet<NodeId> = node.inputs.iter().flat_map(|input| &leaving[*input]).copied().collect();
            let arrives = copies.get(&(source, id)).is_some_and(|paths| *paths > 0);
            if node.kind.makes_rows() || matches!(node.kind, NodeKind::OverAggregate(_)) {
                held_by.extend(overs.iter().flat_map(|over| &timed[*over]).copied());
            }
            match node.kind {
                NodeKind::OverAggregate(_) if arrives => {
                    overs.insert(id);
                }
                // It judges a row when the watermark has passed the row's own, maybe epochs after others have.
                NodeKind::WindowAggregate(ref window) if arrives && window.window.kind.is_session() => {
                    held_by.extend(timed[id].iter().copied());
                    overs.clear();
                }
                // What a window makes are other rows.
                ref kind if kind.makes_rows() => overs.clear(),
                _ => {}
            }
            leaving.push(overs);
        }
        if !held_by.is_empty() {
            holding.insert(source, held_by);
        }
    }
    holding
}

#[cfg(test)]
mod tests;
