//! Protocol R: when an epoch counts, who may say so, and what a sink still has to get.
//!
//! Pure decisions: observed facts in, action out; no I/O, no clock. `runtime` and `connectors` do what is decided and
//! tell what came of it; `tests/protocol` drives the same decisions through every order of crashes, takeovers and
//! answers that never came.
//!
//! ```text
//!  manifest n, created once = commit          sinks: deliveries of committed epochs, in order
//!  put ─► committed | fenced | read back      confirm ─► claim ─► read marker ─► deliver n ─► deliver n+1 …
//!          (somebody else has n)                 ▲                                   │ any doubt
//!                                                └───────────────────────────────────┘
//! ```
//! A marker is the number of the newest epoch in a sink, kept in the sink's own atomic unit with the rows. So a
//! sink is never asked to guess: whatever happened to an answer, the marker says what happened to the rows.

/// The newest manifest, as far as ownership goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of the manifest.
    pub epoch: u64,
    /// Rises by one with every process that takes the job over.
    pub fence: u64,
}

/// What a create-only put of a manifest answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Put {
    /// It is there, and it is ours.
    Created,
    /// There is one of that number.
    Exists,
    /// An error: it may be there or not.
    Unknown,
}

/// What reading the manifest of our number back has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// The one we have put: same attempt id.
    Ours,
    /// Another process's.
    Foreign,
    /// None.
    Nothing,
    /// The store does not answer.
    Unknown,
}

/// What to make of an attempt to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The epoch counts.
    Committed,
    /// The job is another process's: stop, commit nothing, deliver nothing.
    Fenced,
    /// Read the manifest of this number.
    ReadBack,
    /// Put the same manifest, with the same attempt id, once more.
    PutAgain,
}

/// How far a process has come with a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing is known: at the start, and after any doubt.
    Unknown,
    /// The newest manifest was still ours.
    Confirmed,
    /// Every earlier writer is fenced off; what it has left open is decided.
    Claimed,
    /// The marker that was read after the claim, or was written since.
    Marked(Option<u64>),
    /// The job is another process's.
    Lost,
}

/// What is known of a sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkFacts {
    /// How far this process has come with it.
    pub standing: Standing,
    /// The newest epoch that a committed manifest says is delivered; 0: none.
    pub delivered: u64,
    /// The newest epoch whose rows are no longer kept; 0: all are.
    pub trimmed: u64,
    /// The newest committed epoch.
    pub committed: u64,
    /// Whether rows and marker can only be lost together (one database), so that a marker that has fallen back
    /// proves that the rows have too. Kafka keeps them in different partitions.
    pub marker_beside_rows: bool,
}

/// What to do next with a sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the newest manifest: is its fence still ours?
    Confirm,
    /// Fence earlier writers off.
    Claim,
    /// Read the marker.
    ReadMarker,
    /// Deliver the rows of this epoch with its marker, atomically.
    Deliver(u64),
    /// Everything committed is delivered.
    Rest,
    /// Stop.
    Stop(Halt),
}

/// Why a sink cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Halt {
    /// The job is another process's.
    Fenced,
    /// The sink has an epoch that was never committed here: the state is older than the sink.
    SinkAhead {
        /// The marker.
        marker: u64,
    },
    /// The marker is gone, though epochs were delivered: to deliver again could double them.
    MarkerLost {
        /// The newest epoch known to be delivered.
        delivered: u64,
    },
    /// The sink has lost epochs whose rows are no longer kept.
    RowsGone {
        /// The first epoch that is missing, at the earliest.
        first: u64,
        /// The last one.
        last: u64,
    },
}

/// What an [`Action`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `Confirm`: the newest manifest is ours.
    Ours,
    /// `Confirm`: it is another process's.
    Foreign,
    /// `Claim` is done.
    Claimed,
    /// `ReadMarker`: what was found.
    Marker(Option<u64>),
    /// `Deliver`: rows and marker are in the sink, without any sign of trouble on the way.
    Delivered(u64),
    /// Any error, time-out, retry, or "fenced" of the sink: nothing is known any more.
    Doubt,
}

/// An epoch as the store still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Its number.
    pub epoch: u64,
    /// Its fence, if the manifest and all it names are intact; `None`: something of it is damaged.
    pub intact: Option<u64>,
}

/// With which epoch a process goes on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Restart {
    /// There is none.
    Fresh,
    /// With this one.
    Use {
        /// The epoch.
        epoch: u64,
        /// What [`Rules::take_over`] goes on from: no number and no fence that was ever used comes again.
        head: Head,
        /// The newest epoch, which is damaged: it may be left out only if [`Rules::may_leave_out`] says so of every
        /// sink, after the sink was claimed.
        leaves_out: Option<u64>,
    },
    /// With none: these are damaged, and what is before them is too old.
    Stop {
        /// Rising.
        damaged: Vec<u64>,
    },
}

/// What a sink has, as it says itself once no earlier process can write any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// Rows of this epoch and of none after it; 0: none.
    UpTo(u64),
    /// It cannot tell.
    Unknown,
}

/// The decisions. The production rules are the provided methods, as [`Protocol`] has them; tests replace one at a
/// time with a wrong one, to see that the explorer finds it.
pub trait Rules {
    /// The manifest with which a process takes a job over, before it does anything else.
    fn take_over(&self, newest: Option<Head>) -> Head {
        match newest {
            None => Head { epoch: 1, fence: 1 },
            Some(head) => Head { epoch: head.epoch.saturating_add(1), fence: head.fence.saturating_add(1) },
        }
    }

    /// With which epoch to go on; `kept`: all there are, rising.
    ///
    /// Only the newest may be left out. Of the one before it every sink still keeps what it needs; an older one could
    /// be told apart from what was delivered by nobody.
    fn restart(&self, kept: &[Kept]) -> Restart {
        let damaged = || kept.iter().rev().take_while(|kept| kept.intact.is_none()).map(|kept| kept.epoch);
        match kept {
            [] => Restart::Fresh,
            [.., Kept { epoch, intact: Some(fence) }] => {
                Restart::Use { epoch: *epoch, head: Head { epoch: *epoch, fence: *fence }, leaves_out: None }
            }
            [.., Kept { epoch, intact: Some(fence) }, Kept { epoch: newest, intact: None }]
                if epoch.saturating_add(1) == *newest =>
            {
                // the damaged one may have been a take-over, with a fence of its own
                let head = Head { epoch: *newest, fence: fence.saturating_add(1) };
                Restart::Use { epoch: *epoch, head, leaves_out: Some(*newest) }
            }
            _ => {
                let mut damaged: Vec<u64> = damaged().collect();
                damaged.reverse();
                Restart::Stop { damaged }
            }
        }
    }

    /// Whether a damaged epoch can be left out as far as a sink goes: its rows are made again, so it must not have
    /// any of them.
    fn may_leave_out(&self, damaged: u64, held: Held) -> bool {
        match held {
            Held::UpTo(epoch) => epoch < damaged,
            Held::Unknown => false,
        }
    }

    /// What the answer to a put means.
    fn after_put(&self, put: Put) -> Verdict {
        match put {
            Put::Created => Verdict::Committed,
            // stores answer "exists" also to a retry of one's own put (arrow-rs-object-store#852)
            Put::Exists | Put::Unknown => Verdict::ReadBack,
        }
    }

    /// What the manifest of our number means, after a put without a clear answer.
    fn after_read_back(&self, found: Found) -> Verdict {
        match found {
            Found::Ours => Verdict::Committed,
            Found::Foreign => Verdict::Fenced,
            Found::Nothing => Verdict::PutAgain,
            Found::Unknown => Verdict::ReadBack,
        }
    }

    /// What to do next with a sink. `log`: epochs with rows for the sink, committed ones and (above
    /// [`SinkFacts::committed`]) those not committed yet, rising.
    fn next(&self, sink: &SinkFacts, log: &[u64]) -> Action {
        let marker = match sink.standing {
            Standing::Unknown => return Action::Confirm,
            Standing::Confirmed => return Action::Claim,
            Standing::Claimed => return Action::ReadMarker,
            Standing::Lost => return Action::Stop(Halt::Fenced),
            Standing::Marked(marker) => marker,
        };
        let lost = match marker {
            None => sink.delivered > 0,
            Some(marker) => marker < sink.delivered && !sink.marker_beside_rows,
        };
        if lost {
            return Action::Stop(Halt::MarkerLost { delivered: sink.delivered });
        }
        let marker = marker.unwrap_or(0);
        if marker > sink.committed {
            return Action::Stop(Halt::SinkAhead { marker });
        }
        if marker < sink.trimmed {
            return Action::Stop(Halt::RowsGone { first: marker.saturating_add(1), last: sink.trimmed });
        }
        match log.iter().find(|epoch| **epoch > marker && **epoch <= sink.committed) {
            Some(epoch) => Action::Deliver(*epoch),
            None => Action::Rest,
        }
    }

    /// Where a sink stands after an action.
    fn after(&self, sink: &SinkFacts, outcome: Outcome) -> Standing {
        match outcome {
            Outcome::Ours => Standing::Confirmed,
            Outcome::Foreign => Standing::Lost,
            Outcome::Claimed => Standing::Claimed,
            Outcome::Marker(marker) => Standing::Marked(marker),
            Outcome::Delivered(epoch) => Standing::Marked(Some(epoch)),
            // also after a commit that came through in the end: a copy of it may still be on its way, and would
            // commit half of the next transaction (KAFKA-17754); a claim makes a new producer epoch, which it has not
            Outcome::Doubt if sink.standing == Standing::Lost => Standing::Lost,
            Outcome::Doubt => Standing::Unknown,
        }
    }

    /// Whether the rows of an epoch may be forgotten once a manifest that no longer lists them is committed.
    fn may_trim(&self, sink: &SinkFacts, epoch: u64) -> bool {
        match sink.standing {
            Standing::Marked(Some(marker)) => epoch <= marker,
            _ => epoch <= sink.delivered,
        }
    }
}

/// The rules, as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protocol;

impl Rules for Protocol {}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(epochs: &[(u64, Option<u64>)]) -> Vec<Kept> {
        epochs.iter().map(|(epoch, intact)| Kept { epoch: *epoch, intact: *intact }).collect()
    }

    #[test]
    fn an_intact_newest_epoch_is_used_whatever_lies_before_it() {
        assert_eq!(Protocol.restart(&[]), Restart::Fresh);
        for before in [None, Some(2)] {
            let restart = Protocol.restart(&kept(&[(40, before), (41, Some(2))]));
            assert_eq!(restart, Restart::Use { epoch: 41, head: Head { epoch: 41, fence: 2 }, leaves_out: None });
        }
    }

    #[test]
    fn the_one_before_a_damaged_one_is_used_with_numbers_never_used() {
        let Restart::Use { epoch, head, leaves_out } = Protocol.restart(&kept(&[(40, Some(2)), (41, None)])) else {
            panic!("it can go on")
        };
        assert_eq!((epoch, leaves_out), (40, Some(41)));
        // 41 may have been a take-over, with fence 3
        assert_eq!(Protocol.take_over(Some(head)), Head { epoch: 42, fence: 4 });
    }

    #[test]
    fn two_damaged_epochs_a_gap_or_nothing_before_stop() {
        for (epochs, expected) in [
            (&[(41, None)][..], &[41][..]),
            (&[(40, Some(2)), (41, None), (42, None)], &[41, 42]),
            (&[(39, Some(2)), (41, None)], &[41]),
            (&[(40, None), (41, None)], &[40, 41]),
        ] {
            assert_eq!(Protocol.restart(&kept(epochs)), Restart::Stop { damaged: expected.to_vec() });
        }
    }

    /// A sink whose marker was read after the claim.
    fn marked(marker: Option<u64>, (delivered, trimmed, committed): (u64, u64, u64), beside: bool) -> SinkFacts {
        let standing = Standing::Marked(marker);
        SinkFacts { standing, delivered, trimmed, committed, marker_beside_rows: beside }
    }

    #[test]
    fn a_marker_that_is_gone_or_has_fallen_back_stops_unless_the_rows_are_gone_too() {
        let lost = Action::Stop(Halt::MarkerLost { delivered: 3 });
        for beside in [false, true] {
            // nothing was delivered before: there need be none
            assert_eq!(Protocol.next(&marked(None, (0, 0, 2), beside), &[1, 2]), Action::Deliver(1));
            assert_eq!(Protocol.next(&marked(None, (3, 0, 4), beside), &[4]), lost, "gone, beside rows: {beside}");
        }
        assert_eq!(Protocol.next(&marked(Some(2), (3, 0, 4), false), &[3, 4]), lost);
        // a database that was restored from a copy has lost both, and gets what is still kept
        assert_eq!(Protocol.next(&marked(Some(2), (3, 2, 4), true), &[3, 4]), Action::Deliver(3));
    }

    #[test]
    fn rows_that_are_lost_and_no_longer_kept_stop() {
        let gone = Action::Stop(Halt::RowsGone { first: 2, last: 3 });
        assert_eq!(Protocol.next(&marked(Some(1), (3, 3, 4), true), &[4]), gone);
        assert_eq!(Protocol.next(&marked(Some(3), (3, 3, 4), true), &[4]), Action::Deliver(4));
        assert_eq!(Protocol.next(&marked(Some(4), (3, 3, 4), true), &[4]), Action::Rest);
    }

    #[test]
    fn a_sink_that_has_more_than_was_committed_stops() {
        for beside in [false, true] {
            let ahead = Action::Stop(Halt::SinkAhead { marker: 5 });
            assert_eq!(Protocol.next(&marked(Some(5), (3, 3, 4), beside), &[4]), ahead);
            assert_eq!(Protocol.next(&marked(Some(4), (3, 3, 4), beside), &[4]), Action::Rest);
            // 5 is sealed, and not committed yet
            assert_eq!(Protocol.next(&marked(Some(4), (3, 3, 4), beside), &[5]), Action::Rest);
        }
    }

    #[test]
    fn a_damaged_epoch_that_a_sink_may_have_is_not_left_out() {
        for (held, expected) in [
            (Held::UpTo(0), true),
            (Held::UpTo(40), true),
            (Held::UpTo(41), false),
            (Held::UpTo(42), false),
            (Held::Unknown, false),
        ] {
            assert_eq!(Protocol.may_leave_out(41, held), expected, "{held:?}");
        }
    }
}
