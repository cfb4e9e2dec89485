//! The embedded cluster: librdkafka's mock brokers inside the process, so that a job runs with nothing installed.
//!
//! A demonstration and test bed, not a broker: it keeps [`RETAINED_BYTES_PER_PARTITION`] in memory, evicts the
//! oldest, forgets everything at the end of the process, and has no transactions that hold.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::error::{Error, Result};

/// Stored (compressed) bytes of one partition before the oldest are evicted; fixed in librdkafka's mock.
pub const RETAINED_BYTES_PER_PARTITION: usize = 5 << 20;

/// Brokers in the process; they live as long as the value.
pub struct EmbeddedCluster {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedCluster {
    /// Starts `brokers` brokers with `topics` of (name, partitions). Partition *i* is led by broker *i + 1*,
    /// again from the first where there are more partitions than brokers.
    ///
    /// # Errors
    /// `Config` for a number or name that cannot be; `Unavailable` if there is no port on loopback.
    pub fn start(brokers: i32, topics: &[(&str, i32)]) -> Result<Self> {
        if brokers < 1 {
            return Err(Error::config(format!("an embedded cluster of {brokers} brokers cannot be")));
        }
        let failed = |what: &str, error: rdkafka::error::KafkaError| {
            Error::unavailable(format!("the embedded cluster cannot {what}")).because(error)
        };
        let cluster = MockCluster::new(brokers).map_err(|e| failed("start", e))?;
        for (name, partitions) in topics {
            if *partitions < 1 {
                return Err(Error::config(format!("topic \"{name}\" with {partitions} partitions cannot be")));
            }
            let create = format!("create topic \"{name}\"");
            cluster.create_topic(name, *partitions, brokers.min(3)).map_err(|e| failed(&create, e))?;
            for partition in 0..*partitions {
                let leader = Some(partition % brokers + 1);
                cluster.partition_leader(name, partition, leader).map_err(|e| failed(&create, e))?;
            }
        }
        Ok(Self { cluster })
    }

    /// Addresses of the brokers, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

impl std::fmt::Debug for EmbeddedCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedCluster").field("bootstrap", &self.bootstrap()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    #[test]
    fn partition_i_is_led_by_broker_i_plus_one() {
        let cluster = EmbeddedCluster::start(4, &[("edge-iiot-stream", 4), ("labels", 6)]).unwrap();
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", cluster.bootstrap()).create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        let leaders = |name: &str| {
            let topic = metadata.topics().iter().find(|t| t.name() == name).unwrap();
            let mut leaders: Vec<(i32, i32)> = topic.partitions().iter().map(|p| (p.id(), p.leader())).collect();
            leaders.sort_unstable();
            leaders.into_iter().map(|(_, leader)| leader).collect::<Vec<_>>()
        };
        assert_eq!(metadata.brokers().len(), 4);
        assert_eq!(leaders("edge-iiot-stream"), [1, 2, 3, 4]);
        assert_eq!(leaders("labels"), [1, 2, 3, 4, 1, 2]);
    }

    #[test]
    fn impossible_clusters_are_refused() {
        assert!(EmbeddedCluster::start(0, &[]).is_err());
        assert!(EmbeddedCluster::start(1, &[("t", 0)]).is_err());
    }
}
