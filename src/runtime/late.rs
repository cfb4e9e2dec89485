//! Which rows are late: each counts once, whatever number of operators could not take it and in whatever epochs
//! they said so.
//!
//! A row late for one window may be late again for one behind an OVER, which lets the row go only when event
//! time has passed it, maybe epochs later. So rows that were counted are remembered until every operator has
//! met them: an OVER holds a row no longer than until the watermark has passed the row's own, and at a barrier
//! operators have seen at least the lowest watermark of the epoch before. They are part of the manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::plan::{NodeId, NodeKind, StreamPlan};
use crate::runtime::ledger::{LedgerEntry, check_balance};
use crate::stream::{LateRow, PartitionId, SourcePosition};
use crate::time::{EventTime, WATERMARK_MIN};

/// Name of the remembered rows in the manifest.
const EXTRA: &str = "late";

/// Reason of a row that is late.
const LATE: &str = "LATE";
/// Reason of a row that was late, and counted, in an epoch before.
const LATE_AGAIN: &str = "LATE_AGAIN";

/// A row by its place in the input. Rows of one array message share an offset.
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

/// Late rows of the job.
#[derive(Debug)]
pub(crate) struct LateCount {
    // fixed at start
    /// How often a row of a source comes to a node: twice, if a union reads the source twice.
    copies: BTreeMap<(usize, NodeId), u64>,
    /// Sources with a watermark, by their numbers.
    timed: BTreeSet<usize>,
    /// Some operator stands behind an OVER: rows may be told again in a later epoch.
    nested: bool,
    // changes while running
    counted: BTreeMap<Key, Counted>,
    /// Late rows per partition since the start.
    since_start: BTreeMap<PartitionId, u64>,
}

impl LateCount {
    /// The count of a job, going on from the newest manifest.
    ///
    /// # Errors
    /// `State` if the manifest's part of it cannot be read.
    pub(crate) fn new(plan: &StreamPlan, extras: &BTreeMap<String, serde_json::Value>) -> Result<Self> {
        let counted: Vec<(Key, Counted)> = match extras.get(EXTRA) {
            Some(stored) => serde_json::from_value(stored.clone())
                .map_err(|e| Error::state("the late rows of the stored state cannot be read").because(e))?,
            None => Vec::new(),
        };
        Ok(Self {
            copies: copies(plan),
            timed: plan.sources().enumerate().filter(|(_, (_, s))| s.watermark.is_some()).map(|(at, _)| at).collect(),
            nested: nested(plan),
            counted: counted.into_iter().collect(),
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
            let known = self.counted.get(&key).map_or(0, |counted| counted.rows);
            let operators: BTreeSet<&str> = rows().map(|row| row.operator.as_str()).collect();
            let operators = operators.into_iter().collect::<Vec<_>>().join(", ");
            entries.extend((0..times).map(|nth| {
                let reason = if nth < known { LATE_AGAIN } else { LATE };
                LedgerEntry::of_late(position, row, &operators, reason)
            }));
            *self.since_start.entry(key.partition).or_default() += times.saturating_sub(known);
            if self.nested {
                self.counted.insert(key, Counted { rows: times.max(known), watermark: last });
            }
        }
        let passed = self.passed(before);
        self.counted.retain(|_, counted| counted.watermark >= passed);
        Ok(entries)
    }

    /// How many rows it are that came `count` times to a node.
    fn times(&self, key: Key, node: NodeId, count: u64) -> u64 {
        count.div_ceil(self.copies.get(&(key.partition.source(), node)).copied().unwrap_or(1).max(1))
    }

    /// The event time every operator has seen, if partitions stood like that an epoch ago.
    fn passed(&self, before: &[SourcePosition]) -> EventTime {
        let timed = before.iter().filter(|p| self.timed.contains(&p.id.source()));
        timed.map(|p| p.watermark).min().unwrap_or(WATERMARK_MIN)
    }

    /// Puts what must be remembered into the manifest.
    ///
    /// # Errors
    /// `Internal` if it has no JSON form.
    pub(crate) fn store(&self, extras: &mut BTreeMap<String, serde_json::Value>) -> Result<()> {
        if self.counted.is_empty() {
            extras.remove(EXTRA);
            return Ok(());
        }
        let stored = serde_json::to_value(self.counted.iter().collect::<Vec<_>>())
            .map_err(|e| Error::internal("late rows have no JSON form").because(e))?;
        extras.insert(EXTRA.into(), stored);
        Ok(())
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
                NodeKind::WindowAggregate(_) => 0,
                _ => arriving,
            };
        }
    }
    copies
}

/// Whether rows that an OVER has let go come to another operator that may find them late.
fn nested(plan: &StreamPlan) -> bool {
    let mut behind_over = vec![false; plan.nodes.len()];
    for (id, node) in plan.nodes.iter().enumerate() {
        let behind = node.inputs.iter().any(|input| behind_over[*input]);
        let timed = matches!(node.kind, NodeKind::WindowAggregate(_) | NodeKind::OverAggregate(_));
        if behind && timed {
            return true;
        }
        behind_over[id] = behind || matches!(node.kind, NodeKind::OverAggregate(_));
    }
    false
}

#[cfg(test)]
mod tests;
