//! The topics of the pipeline, laid out so that broker *i* leads the partitions of site *i*.

/// Topic of the readings.
pub const READINGS_TOPIC: &str = "edge-iiot-stream";
/// Topic of the ground truth.
pub const LABELS_TOPIC: &str = "edge-iiot-labels";
/// Topic of the alerts.
pub const ANOMALIES_TOPIC: &str = "anomalies";

/// Replicas of a partition where there are enough brokers.
const REPLICAS: usize = 3;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLayout {
    /// Its name.
    pub name: String,
    /// Brokers of each partition; the first is the preferred leader.
    pub replicas: Vec<Vec<i32>>,
    /// Its settings.
    pub config: Vec<(&'static str, &'static str)>,
}

/// The three topics on `brokers` (ids, rising) with one partition per site.
///
/// With three replicas, two must be in sync to acknowledge: one broker may die and nothing is lost.
pub fn layout(brokers: &[i32], sites: u16) -> Vec<TopicLayout> {
    let mut ids = brokers.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let count = REPLICAS.min(ids.len());
    let replicas: Vec<Vec<i32>> = (0..usize::from(sites))
        .map(|site| ids.iter().cycle().skip(site % ids.len().max(1)).take(count).copied().collect())
        .collect();
    let in_sync = if count >= REPLICAS { "2" } else { "1" };
    [READINGS_TOPIC, LABELS_TOPIC, ANOMALIES_TOPIC]
        .map(|name| TopicLayout {
            name: name.to_owned(),
            replicas: replicas.clone(),
            config: vec![("min.insync.replicas", in_sync)],
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_leads_its_site() {
        let topics = layout(&[4, 3, 2, 1], 4);
        assert_eq!(topics[0].replicas, [[1, 2, 3], [2, 3, 4], [3, 4, 1], [4, 1, 2]]);
        assert_eq!(topics[0].config, [("min.insync.replicas", "2")]);
    }

    #[test]
    fn fewer_brokers_mean_fewer_replicas() {
        let topics = layout(&[7, 9], 4);
        assert_eq!(topics[0].replicas, [[7, 9], [9, 7], [7, 9], [9, 7]]);
        assert_eq!(topics[0].config, [("min.insync.replicas", "1")]);
        assert_eq!(layout(&[], 1)[0].replicas, [Vec::<i32>::new()]);
    }
}
