//! Records that are gone before they were read: what is missing, and where reading goes on
//! (`'scan.on-data-loss' = 'ledger'`; by default it is an error).

use std::sync::Arc;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Place, client, fetch_from};
use crate::connectors::Gap;
use crate::connectors::kafka::client::Consumer;
use crate::error::Result;

/// Retention has deleted them.
const RETENTION: &str = "OFFSETS_EXPIRED";
/// The log ends before what was read.
const TRUNCATED: &str = "LOG_TRUNCATED";
/// The topic was deleted and made anew.
const RECREATED: &str = "TOPIC_RECREATED";

/// What lies between the physical offset `position`, the next to be read, and the first that can be; `None`: nothing.
/// Offsets in the gap are logical.
pub(super) fn between(place: &Place, position: i64, (low, high): (i64, i64), recreated: bool) -> Option<(i64, Gap)> {
    let logical = |offset: i64| offset.saturating_add(place.base);
    let (next, code, message) = if recreated {
        let message = "the topic was deleted and made anew; how many records of the old one were not read is unknown";
        (low, RECREATED, message.to_owned())
    } else if position < low {
        (low, RETENTION, "the topic's retention deleted them before they were read".to_owned())
    } else if position > high {
        let ends = logical(high);
        (high, TRUNCATED, format!("they were read, and the log ends at {ends} now: it was cut, or the topic made anew"))
    } else {
        return None;
    };
    let count = if recreated { None } else { Some(position.abs_diff(next)) };
    Some((next, Gap { first: logical(position), next: logical(next), count, code, message }))
}

/// Whether an error of a partition says that the offset is gone.
pub(super) fn means_lost(code: Code) -> bool {
    matches!(code, Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange)
}

/// A partition that goes on behind a gap.
pub(super) struct Recovered {
    pub(super) position: i64,
    pub(super) high: i64,
    pub(super) gap: Gap,
}

/// Looks what is missing and reads on behind it; `None`: nothing is missing, it cannot be read for another reason.
/// Blocks.
///
/// # Errors
/// `Unavailable`.
pub(super) fn recover(consumer: &Arc<Consumer>, place: &Place, position: i64) -> Result<Option<Recovered>> {
    let (low, high) = client::watermarks(consumer, &place.topic, place.partition)?;
    let Some((position, gap)) = between(place, position, (low, high), false) else { return Ok(None) };
    let mut list = TopicPartitionList::new();
    list.add_partition(&place.topic, place.partition);
    consumer.incremental_unassign(&list).map_err(|e| client::from_kafka("a partition was not given back", &e))?;
    // into the queue it has: a second one for the same partition would take the first one's bell away
    fetch_from(consumer, place, position)?;
    Ok(Some(Recovered { position, high, gap }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_the_offsets_the_job_knows() {
        let place = Place { topic: "t".into(), partition: 0, base: 1_000 };
        assert_eq!(between(&place, 5, (5, 9), false), None);
        assert_eq!(between(&place, 9, (5, 9), false), None);
        let (next, gap) = between(&place, 2, (5, 9), false).unwrap();
        assert_eq!((next, gap.first, gap.next, gap.count, gap.code), (5, 1_002, 1_005, Some(3), RETENTION));
        let (next, gap) = between(&place, 12, (5, 9), false).unwrap();
        assert_eq!((next, gap.first, gap.next, gap.count, gap.code), (9, 1_012, 1_009, Some(3), TRUNCATED));
        let (next, gap) = between(&place, 7, (5, 9), true).unwrap();
        assert_eq!((next, gap.first, gap.next, gap.count, gap.code), (5, 1_007, 1_005, None, RECREATED));
    }
}
