//! Protocol R, searched: the rules of `streamer::protocol` hold in every world within bounds, and each of the
//! wrong ones is found out. A longer search: `cargo run --release --example protocol -- --starts 3`.

pub(crate) mod explorer;
#[cfg(test)]
mod mutants;
pub(crate) mod world;

#[cfg(test)]
mod tests {
    use streamer::protocol::Protocol;

    use super::explorer::explore;
    use super::mutants::mutants;
    use super::world::Bounds;

    /// A crash, a takeover with the old owner still running, a lost answer, at every step.
    #[test]
    fn a_million_worlds_lose_and_double_nothing() {
        let bounds = Bounds { records: 2, starts: 2, crashes: 1, faults: 1, held: 0 };
        let report = explore(&Protocol, bounds, usize::MAX);
        assert_eq!(report.violation, None);
        assert!(report.states > 1_000_000 && report.complete > 10_000, "{report:?}");
    }

    /// A commit that the network holds back and delivers again, whenever it likes (KAFKA-17754).
    #[test]
    fn held_commits_harm_nothing() {
        for held in 1..=2 {
            let bounds = Bounds { records: 3, starts: 1, crashes: 0, faults: 1, held };
            let report = explore(&Protocol, bounds, usize::MAX);
            assert_eq!(report.violation, None);
            assert!(report.complete > 100, "{report:?}");
        }
    }

    #[test]
    fn every_wrong_rule_is_found() {
        for (name, rules, bounds) in mutants() {
            let report = explore(rules.as_ref(), bounds, 20_000_000);
            assert!(report.violation.is_some(), "{name} went unnoticed in {} states", report.states);
        }
    }
}
