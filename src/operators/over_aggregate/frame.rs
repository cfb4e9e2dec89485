//! The rows behind the current one, and the aggregates over them.
//!
//! A bounded frame is computed from its rows every time, by a fresh accumulator: taking values out of a
//! running sum would leave rounding errors that depend on the history. An unbounded frame has a running
//! accumulator, fed row by row.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{concat, filter, take, take_arrays};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use crate::error::{Error, Result};
use crate::operators::columns::Arguments;
use crate::operators::lateness::forgets_at;
use crate::plan::OverFrame;

/// What is computed over which frame.
#[derive(Debug)]
pub(super) struct FrameSpec {
    pub(super) frame: OverFrame,
    pub(super) calls: Vec<Arc<AggregateFunctionExpr>>,
    pub(super) arguments: Arguments,
}

impl FrameSpec {
    /// Whether frames reach back to the first row.
    pub(super) fn unbounded(&self) -> bool {
        matches!(self.frame, OverFrame::Rows(None) | OverFrame::Range(None))
    }

    /// Length of a bounded RANGE frame.
    pub(super) fn range_ms(&self) -> Option<i64> {
        match self.frame {
            OverFrame::Range(length) => length,
            OverFrame::Rows(_) => None,
        }
    }

    fn accumulators(&self) -> Result<Vec<Box<dyn Accumulator>>> {
        self.calls.iter().map(|call| Ok(call.create_accumulator()?)).collect()
    }
}

/// Rows of one key on their way out, in order.
pub(super) struct Rows<'a> {
    /// When each leaves: event time, or for a row behind its partition's watermark just after that.
    pub(super) effective: &'a [i64],
    /// Event times.
    pub(super) times: &'a [i64],
    /// Partitions, and the moment at which each had forgotten the key ([`Stored::sees`]).
    pub(super) partitions: &'a [i32],
    pub(super) since: &'a [i64],
    /// The columns of [`Arguments`].
    pub(super) columns: &'a [ArrayRef],
}

impl Rows<'_> {
    /// End of the rows that leave together with row `from` under RANGE.
    fn peers(&self, from: usize) -> usize {
        let of = |i: usize| (self.effective[i], self.times[i]);
        (from..self.times.len()).find(|&i| of(i) != of(from)).unwrap_or(self.times.len())
    }
}

/// Results of the calls, per call in the order of the rows.
pub(super) type Results = Vec<Vec<ScalarValue>>;

/// The rows of one key that later frames may cover.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) times: Vec<i64>,
    /// When each left; rising.
    pub(super) effective: Vec<i64>,
    pub(super) partitions: Vec<i32>,
    pub(super) columns: Vec<ArrayRef>,
}

impl History {
    /// Takes rows that leave; `results` gets their results, or nothing is computed (a restore).
    pub(super) fn advance(&mut self, spec: &FrameSpec, rows: &Rows<'_>, results: Option<&mut Results>) -> Result<()> {
        let before = self.times.len();
        let mut times = std::mem::take(&mut self.times);
        times.extend_from_slice(rows.times);
        self.effective.extend_from_slice(rows.effective);
        self.partitions.extend_from_slice(rows.partitions);
        let columns = match before {
            0 => rows.columns.to_vec(),
            _ => self
                .columns
                .iter()
                .zip(rows.columns)
                .map(|(old, new)| Ok(concat(&[old.as_ref(), new.as_ref()])?))
                .collect::<Result<_>>()?,
        };
        let first_kept = match spec.frame {
            OverFrame::Rows(preceding) => {
                let preceding = preceding.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
                if let Some(results) = results {
                    let frames = Frames::new(spec, &columns)?;
                    for row in before..times.len() {
                        frames.push(&(row.saturating_sub(preceding)..row + 1), 1, results)?;
                    }
                }
                times.len().saturating_sub(preceding)
            }
            OverFrame::Range(length) => {
                let (effective, partitions) = (&self.effective, &self.partitions);
                let all = Stored { before, times: &times, effective, partitions, columns: &columns };
                range_frames(spec, length.unwrap_or(i64::MAX), &all, rows, results)?
            }
        };
        self.keep(times, &columns, first_kept)
    }

    /// Keeps the rows from `first` on, in memory of their own if much else would stay with them.
    fn keep(&mut self, mut times: Vec<i64>, columns: &[ArrayRef], first: usize) -> Result<()> {
        let kept = times.len() - first;
        times.drain(..first);
        self.effective.drain(..first);
        self.partitions.drain(..first);
        let copy = first > kept + 64;
        self.columns = columns
            .iter()
            .map(|column| match copy {
                true => Ok(take(column, &UInt32Array::from_iter_values(first as u32..(first + kept) as u32), None)?),
                false => Ok(column.slice(first, kept)),
            })
            .collect::<Result<_>>()?;
        self.times = times;
        Ok(())
    }

    /// Whether a RANGE frame of `length` ms has forgotten all of it, for rows of partitions that have not seen the key.
    pub(super) fn forgotten(&self, length: i64, watermark: i64) -> bool {
        self.times.iter().all(|time| forgets_at(*time, length) <= watermark)
    }

    pub(super) fn bytes(&self) -> usize {
        (self.times.capacity() + self.effective.capacity()) * 8
            + self.partitions.capacity() * 4
            + self.columns.iter().map(|c| c.get_array_memory_size()).sum::<usize>()
    }
}

/// The history of a key with the rows that leave behind it.
struct Stored<'a> {
    /// Number of rows of the history.
    before: usize,
    times: &'a [i64],
    effective: &'a [i64],
    partitions: &'a [i32],
    columns: &'a [ArrayRef],
}

impl Stored<'_> {
    /// Whether row `i` is in a state that row `row` of `rows`, behind its watermark, still finds: of its own
    /// partition, what left after the key was last forgotten; of others, what is not too old by itself.
    fn sees(&self, rows: &Rows<'_>, row: usize, i: usize, length: i64) -> bool {
        match self.partitions[i] == rows.partitions[row] {
            true => self.effective[i] > rows.since[row],
            false => rows.effective[row] <= forgets_at(self.times[i], length),
        }
    }
}

/// RANGE frames: rows of the last `length` ms and all of the row's own time. Returns the first row that
/// later frames may still cover.
///
/// Rows stand in the order they left in. That is the order of time, but for rows that were accepted behind
/// their own partition's watermark; then frames are picked row by row.
fn range_frames(
    spec: &FrameSpec,
    length: i64,
    all: &Stored<'_>,
    rows: &Rows<'_>,
    mut results: Option<&mut Results>,
) -> Result<usize> {
    let Stored { before, times, columns, .. } = *all;
    let ordered = times.is_sorted();
    let frames = Frames::new(spec, columns)?;
    let mut start = 0;
    let mut row = 0;
    while row < rows.times.len() {
        let (time, end) = (rows.times[row], rows.peers(row));
        let oldest = time.saturating_sub(length);
        while times[start] < oldest {
            start += 1;
        }
        let frame = start..before + end;
        let late = rows.effective[row] > time;
        if let Some(results) = results.as_deref_mut().filter(|_| ordered && !late) {
            frames.push(&frame, end - row, results)?;
        } else if let Some(results) = results.as_deref_mut() {
            for peer in row..end {
                let covers =
                    |&i: &usize| (oldest..=time).contains(&times[i]) && (!late || all.sees(rows, peer, i, length));
                let picked = UInt32Array::from_iter_values(frame.clone().filter(covers).map(|i| i as u32));
                let columns = take_arrays(columns, &picked, None)?;
                Frames::new(spec, &columns)?.push(&(0..picked.len()), 1, results)?;
            }
        }
        row = end;
    }
    Ok(start)
}

/// Values of one call, ready to be cut into frames.
struct CallValues {
    values: Vec<ArrayRef>,
    /// With a filter: how many of the values stand before each row.
    places: Option<Vec<usize>>,
}

struct Frames<'a> {
    spec: &'a FrameSpec,
    calls: Vec<CallValues>,
}

impl<'a> Frames<'a> {
    fn new(spec: &'a FrameSpec, columns: &[ArrayRef]) -> Result<Self> {
        let calls = (0..spec.calls.len())
            .map(|call| {
                let (places, filter_place) = spec.arguments.call(call);
                let values: Vec<ArrayRef> = places.iter().map(|&p| Arc::clone(&columns[p])).collect();
                let Some(place) = filter_place else { return Ok(CallValues { values, places: None }) };
                let keep = boolean(&columns[place])?;
                let mut count = 0;
                let mut before = vec![0];
                for row in 0..keep.len() {
                    count += usize::from(passes(keep, row));
                    before.push(count);
                }
                let values = values.iter().map(|v| Ok(filter(v, keep)?)).collect::<Result<_>>()?;
                Ok(CallValues { values, places: Some(before) })
            })
            .collect::<Result<_>>()?;
        Ok(Self { spec, calls })
    }

    /// Computes the calls over the rows `frame`, for so many rows that share the result.
    fn push(&self, frame: &Range<usize>, sharing: usize, results: &mut Results) -> Result<()> {
        for ((call, function), results) in self.calls.iter().zip(&self.spec.calls).zip(results) {
            let (from, to) = match &call.places {
                None => (frame.start, frame.end),
                Some(places) => (places[frame.start], places[frame.end]),
            };
            let mut accumulator = function.create_accumulator()?;
            let values: Vec<ArrayRef> = call.values.iter().map(|v| v.slice(from, to - from)).collect();
            accumulator.update_batch(&values)?;
            share(accumulator.evaluate()?, sharing, results);
        }
        Ok(())
    }
}

fn share(result: ScalarValue, sharing: usize, results: &mut Vec<ScalarValue>) {
    for _ in 1..sharing {
        results.push(result.clone());
    }
    results.push(result);
}

fn boolean(column: &ArrayRef) -> Result<&BooleanArray> {
    column.as_boolean_opt().ok_or_else(|| Error::internal("the filter of an aggregate is no condition"))
}

fn passes(keep: &BooleanArray, row: usize) -> bool {
    keep.is_valid(row) && keep.value(row)
}

/// Accumulators over all rows of a key so far.
#[derive(Debug)]
pub(super) struct Running(Vec<Box<dyn Accumulator>>);

impl Running {
    pub(super) fn new(spec: &FrameSpec) -> Result<Self> {
        Ok(Self(spec.accumulators()?))
    }

    /// Takes rows that leave and computes their results.
    pub(super) fn advance(&mut self, spec: &FrameSpec, rows: &Rows<'_>, results: &mut Results) -> Result<()> {
        let mut row = 0;
        while row < rows.times.len() {
            let end = match spec.frame {
                OverFrame::Rows(_) => row + 1,
                OverFrame::Range(_) => rows.peers(row),
            };
            for ((call, accumulator), results) in self.0.iter_mut().enumerate().zip(results.iter_mut()) {
                let (places, filter) = spec.arguments.call(call);
                let keep = filter.map(|place| boolean(&rows.columns[place])).transpose()?;
                for row in (row..end).filter(|&row| keep.is_none_or(|keep| passes(keep, row))) {
                    let values: Vec<ArrayRef> = places.iter().map(|&p| rows.columns[p].slice(row, 1)).collect();
                    accumulator.update_batch(&values)?;
                }
                share(accumulator.evaluate()?, end - row, results);
            }
            row = end;
        }
        Ok(())
    }

    /// The state columns of all calls. Reading may empty an accumulator, so fresh ones take the state
    /// back: an empty accumulator that takes a state is that state, bit for bit.
    pub(super) fn state(&mut self, spec: &FrameSpec) -> Result<Vec<ScalarValue>> {
        let mut all = Vec::new();
        for accumulator in &mut self.0 {
            all.extend(accumulator.state()?);
        }
        let columns = all.iter().map(|value| Ok(value.to_array()?)).collect::<Result<Vec<_>>>()?;
        *self = Self::from_state(spec, &columns)?;
        Ok(all)
    }

    /// From one row of state columns.
    pub(super) fn from_state(spec: &FrameSpec, columns: &[ArrayRef]) -> Result<Self> {
        let mut running = Self::new(spec)?;
        let mut from = 0;
        for (accumulator, call) in running.0.iter_mut().zip(&spec.calls) {
            let to = from + call.state_fields()?.len();
            let state = columns.get(from..to).ok_or_else(|| Error::state("the stored state does not fit the query"))?;
            accumulator.merge_batch(state)?;
            from = to;
        }
        Ok(running)
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|a| a.size()).sum()
    }
}
