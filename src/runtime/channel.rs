//! Edges between tasks: bounded channels, routing by key, alignment of barriers, and the checks of what
//! an edge may carry.
//!
//! Every pair (sending task, receiving instance) has a channel of its own, so that an input whose barrier
//! has come can be held back while the others catch up (Carbone et al. 2015).

use std::task::Poll;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::error::Result;
use crate::operators::KeySelector;
use crate::stream::{Barrier, StreamElement};
use crate::time::{EventTime, WATERMARK_MIN};

/// The sending end: one task to all instances of a node.
pub(crate) struct EdgeOut {
    // fixed at start
    route: Option<KeySelector>,
    senders: Vec<Sender<StreamElement>>,
    // changes while running
    watermark: EventTime,
    epoch: Option<u64>,
    ended: bool,
}

impl EdgeOut {
    /// An edge to the receivers of `senders`; without `route` every row goes to the first.
    pub(crate) fn new(route: Option<KeySelector>, senders: Vec<Sender<StreamElement>>) -> Self {
        Self { route, senders, watermark: WATERMARK_MIN, epoch: None, ended: false }
    }

    /// Sends rows, each to the instance its key belongs to; waits while that one's channel is full.
    pub(crate) async fn batch(&mut self, batch: RecordBatch) -> Result<()> {
        debug_assert!(!self.ended, "a batch follows the end of the edge");
        match &self.route {
            Some(route) if self.senders.len() > 1 => {
                let hashes = route.hashes(&batch)?;
                let instances = self.senders.len() as u64;
                let mut rows = vec![Vec::new(); self.senders.len()];
                for (row, hash) in hashes.iter().enumerate() {
                    rows[(hash % instances) as usize].push(row as u32);
                }
                for (instance, rows) in rows.into_iter().enumerate() {
                    if !rows.is_empty() {
                        let part = take_record_batch(&batch, &UInt32Array::from(rows))?;
                        send(&self.senders[instance], StreamElement::Batch(part)).await;
                    }
                }
            }
            _ => send(&self.senders[0], StreamElement::Batch(batch)).await,
        }
        Ok(())
    }

    /// Tells all instances how far event time is, if it has risen.
    pub(crate) async fn watermark(&mut self, watermark: EventTime) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.all(&StreamElement::Watermark(watermark)).await;
        }
    }

    /// Ends the epoch on this edge, and the edge itself with the last one.
    pub(crate) async fn barrier(&mut self, barrier: Barrier) {
        debug_assert!(self.epoch.is_none_or(|e| e + 1 == barrier.epoch), "epochs rise by one");
        self.epoch = Some(barrier.epoch);
        self.all(&StreamElement::Barrier(barrier)).await;
        if barrier.last {
            self.ended = true;
            self.all(&StreamElement::EndOfInput).await;
        }
    }

    async fn all(&self, element: &StreamElement) {
        for sender in &self.senders {
            send(sender, element.clone()).await;
        }
    }
}

/// A closed channel means that the receiving task has failed and the pipeline is being taken down with
/// that task's error: nothing useful is left to do here.
async fn send(sender: &Sender<StreamElement>, element: StreamElement) {
    if sender.send(element).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a task with several inputs has to act on.
#[derive(Debug)]
pub(crate) enum Event {
    /// Rows of one input.
    Batch(RecordBatch),
    /// The minimum over the inputs has risen.
    Watermark(EventTime),
    /// The barrier has come on every input.
    Barrier(Barrier),
    /// Every input has ended.
    End,
}

/// The receiving end: all inputs of one instance.
pub(crate) struct Inputs {
    channels: Vec<Input>,
    /// Where the next round of polling starts, so that no input starves.
    turn: usize,
    watermark: EventTime,
}

struct Input {
    receiver: Receiver<StreamElement>,
    watermark: EventTime,
    /// Its barrier has come: held back until the others' have.
    held: Option<Barrier>,
    ended: bool,
}

impl Inputs {
    pub(crate) fn new(receivers: Vec<Receiver<StreamElement>>) -> Self {
        let channels = receivers
            .into_iter()
            .map(|receiver| Input { receiver, watermark: WATERMARK_MIN, held: None, ended: false })
            .collect();
        Self { channels, turn: 0, watermark: WATERMARK_MIN }
    }

    /// The next event. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if self.channels.iter().all(|c| c.ended) {
                return Event::End;
            }
            let (at, element) = std::future::poll_fn(|cx| self.poll(cx)).await;
            match element {
                StreamElement::Batch(batch) => return Event::Batch(batch),
                StreamElement::Watermark(watermark) => {
                    debug_assert!(watermark >= self.channels[at].watermark, "a watermark fell");
                    self.channels[at].watermark = watermark;
                    let least = self.channels.iter().map(|c| c.watermark).min().unwrap_or(watermark);
                    if least > self.watermark {
                        self.watermark = least;
                        return Event::Watermark(least);
                    }
                }
                StreamElement::Barrier(barrier) => {
                    self.channels[at].held = Some(barrier);
                    if self.channels.iter().all(|c| c.held == Some(barrier)) {
                        self.channels.iter_mut().for_each(|c| c.held = None);
                        return Event::Barrier(barrier);
                    }
                }
                StreamElement::EndOfInput => self.channels[at].ended = true,
            }
        }
    }

    /// An element of an input that is not held back, in turn.
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<(usize, StreamElement)> {
        let count = self.channels.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let input = &mut self.channels[at];
            if input.ended || input.held.is_some() {
                continue;
            }
            match input.receiver.poll_recv(cx) {
                Poll::Ready(Some(element)) => {
                    self.turn = at + 1;
                    return Poll::Ready((at, element));
                }
                // The sending task has failed: the pipeline is being taken down with its error.
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use std::sync::Arc;
    use tokio::sync::mpsc::channel;

    fn batch(value: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(vec![value])) as _)]).unwrap()
    }

    #[tokio::test]
    async fn a_barrier_waits_for_every_input_and_holds_back_what_follows_it() {
        let (a, from_a) = channel(8);
        let (b, from_b) = channel(8);
        let mut inputs = Inputs::new(vec![from_a, from_b]);
        let barrier = Barrier { epoch: 1, last: true };
        a.send(StreamElement::Barrier(barrier)).await.unwrap();
        a.send(StreamElement::EndOfInput).await.unwrap();
        b.send(StreamElement::Batch(batch(7))).await.unwrap();
        b.send(StreamElement::Watermark(5)).await.unwrap();
        b.send(StreamElement::Barrier(barrier)).await.unwrap();
        b.send(StreamElement::EndOfInput).await.unwrap();
        assert!(matches!(inputs.next().await, Event::Batch(_)));
        assert!(matches!(inputs.next().await, Event::Barrier(b) if b == barrier));
        assert!(matches!(inputs.next().await, Event::End));
    }

    #[tokio::test]
    async fn the_watermark_is_the_minimum_over_inputs() {
        let (a, from_a) = channel(8);
        let (b, from_b) = channel(8);
        let mut inputs = Inputs::new(vec![from_a, from_b]);
        for (sender, watermark) in [(&a, 10), (&b, 3), (&b, 20), (&a, 15)] {
            sender.send(StreamElement::Watermark(watermark)).await.unwrap();
        }
        let mut seen = Vec::new();
        while seen.last() != Some(&15) {
            if let Event::Watermark(w) = inputs.next().await {
                seen.push(w);
            }
        }
        assert!(seen.is_sorted() && !seen.contains(&20), "{seen:?}");
    }
}
