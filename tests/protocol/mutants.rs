//! Rules that are wrong in one place each, as somebody could have written them. The explorer must find every one.

use streamer::protocol::{Action, Found, Outcome, Protocol as P, Put, Rules, SinkFacts, Standing, Verdict};

use super::world::Bounds;

macro_rules! mutant {
    ($(#[$doc:meta])* $name:ident { $($rule:item)* }) => {
        $(#[$doc])*
        pub(crate) struct $name;
        impl Rules for $name { $($rule)* }
    };
}

mutant! {
    /// An epoch is delivered as soon as it is sealed, its manifest follows.
    DeliversBeforeCommit {
        fn next(&self, sink: &SinkFacts, log: &[u64]) -> Action {
            P.next(&SinkFacts { committed: u64::MAX, ..sink.clone() }, log)
        }
    }
}

mutant! {
    /// "Exists" is taken for one's own success.
    ForeignManifestIsOurs {
        fn after_put(&self, put: Put) -> Verdict {
            if put == Put::Exists { Verdict::Committed } else { P.after_put(put) }
        }
    }
}

mutant! {
    /// The attempt id is not looked at when a manifest is read back.
    NoAttemptId {
        fn after_read_back(&self, found: Found) -> Verdict {
            if found == Found::Foreign { Verdict::Committed } else { P.after_read_back(found) }
        }
    }
}

mutant! {
    /// "Exists" is taken for somebody else's, without a look: one's own commit whose answer was lost.
    OwnManifestIsForeign {
        fn after_read_back(&self, found: Found) -> Verdict {
            if found == Found::Ours { Verdict::Fenced } else { P.after_read_back(found) }
        }
    }
}

mutant! {
    /// An error of the store is taken for a success.
    ErrorIsCommitted {
        fn after_put(&self, put: Put) -> Verdict {
            if put == Put::Unknown { Verdict::Committed } else { P.after_put(put) }
        }
    }
}

mutant! {
    /// A doubtful delivery is taken for done.
    DoubtIsDelivered {
        fn after(&self, sink: &SinkFacts, outcome: Outcome) -> Standing {
            match (outcome, sink.standing) {
                (Outcome::Doubt, Standing::Marked(marker)) => Standing::Marked(Some(marker.unwrap_or(0) + 1).max(marker)),
                _ => P.after(sink, outcome),
            }
        }
    }
}

mutant! {
    /// A doubtful delivery is taken for failed and done again with the same producer.
    DoubtIsRetried {
        fn after(&self, sink: &SinkFacts, outcome: Outcome) -> Standing {
            if outcome == Outcome::Doubt { sink.standing } else { P.after(sink, outcome) }
        }
    }
}

mutant! {
    /// After a doubt the marker is read, without a new claim first.
    DoubtIsNotFenced {
        fn after(&self, sink: &SinkFacts, outcome: Outcome) -> Standing {
            match outcome {
                Outcome::Doubt if sink.standing != Standing::Lost => Standing::Claimed,
                _ => P.after(sink, outcome),
            }
        }
    }
}

mutant! {
    /// The marker is read before earlier writers are fenced off.
    MarkerBeforeClaim {
        fn next(&self, sink: &SinkFacts, log: &[u64]) -> Action {
            match sink.standing {
                Standing::Confirmed => Action::ReadMarker,
                _ => P.next(sink, log),
            }
        }
    }
}

mutant! {
    /// The manifest is believed, the marker is not read.
    BelievesTheManifest {
        fn after(&self, sink: &SinkFacts, outcome: Outcome) -> Standing {
            match outcome {
                Outcome::Claimed => Standing::Marked(Some(sink.delivered).filter(|epoch| *epoch > 0)),
                _ => P.after(sink, outcome),
            }
        }
    }
}

mutant! {
    /// The newest epoch is delivered first.
    NewestFirst {
        fn next(&self, sink: &SinkFacts, log: &[u64]) -> Action {
            let newest: Vec<u64> = log.iter().copied().filter(|epoch| *epoch <= sink.committed).max().into_iter().collect();
            P.next(sink, &newest)
        }
    }
}

mutant! {
    /// Rows are forgotten as soon as their epoch is committed.
    TrimsUndelivered {
        fn may_trim(&self, _sink: &SinkFacts, _epoch: u64) -> bool {
            true
        }
    }
}

/// Bounds within which a mutant shows: records, starts, crashes, faults, held commits.
const TWO_OWNERS: Bounds = Bounds { records: 2, starts: 2, crashes: 0, faults: 0, held: 0 };
const LOST_ANSWER: Bounds = Bounds { records: 2, starts: 2, crashes: 1, faults: 1, held: 0 };
const HELD_COMMIT: Bounds = Bounds { records: 3, starts: 1, crashes: 0, faults: 0, held: 1 };
const NOTHING_WRONG: Bounds = Bounds { records: 2, starts: 1, crashes: 0, faults: 0, held: 0 };

/// All of them, each with bounds that are enough.
pub(crate) fn mutants() -> Vec<(&'static str, Box<dyn Rules>, Bounds)> {
    vec![
        ("DeliversBeforeCommit", Box::new(DeliversBeforeCommit), TWO_OWNERS),
        ("ForeignManifestIsOurs", Box::new(ForeignManifestIsOurs), TWO_OWNERS),
        ("NoAttemptId", Box::new(NoAttemptId), TWO_OWNERS),
        ("MarkerBeforeClaim", Box::new(MarkerBeforeClaim), TWO_OWNERS),
        ("OwnManifestIsForeign", Box::new(OwnManifestIsForeign), LOST_ANSWER),
        ("ErrorIsCommitted", Box::new(ErrorIsCommitted), LOST_ANSWER),
        ("DoubtIsDelivered", Box::new(DoubtIsDelivered), LOST_ANSWER),
        ("DoubtIsRetried", Box::new(DoubtIsRetried), LOST_ANSWER),
        ("BelievesTheManifest", Box::new(BelievesTheManifest), LOST_ANSWER),
        ("DoubtIsNotFenced", Box::new(DoubtIsNotFenced), HELD_COMMIT),
        ("NewestFirst", Box::new(NewestFirst), NOTHING_WRONG),
        ("TrimsUndelivered", Box::new(TrimsUndelivered), NOTHING_WRONG),
    ]
}
