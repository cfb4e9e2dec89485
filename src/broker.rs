//! The embedded cluster: librdkafka's mock brokers inside the process, so that a job runs with nothing installed.
//!
//! A demonstration and test bed, not a broker: it keeps [`RETAINED_BYTES_PER_PARTITION`] in memory, evicts the
//! oldest, forgets everything at the end of the process, and has no transactions that hold.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::error::{Error, Result};

/// Stored (compressed) bytes of one partition before the oldest are evicted; fixed in librdkafka's mock.
pub const RETAINED_BYTES_PER_PARTITION: usize = 5 << 20;

/// Between two knocks.
const KNOCK: Duration = Duration::from_millis(2);

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
        let knocking = Knocking::start(&cluster.bootstrap_servers())?;
        for (name, partitions) in topics {
            if *partitions < 1 {
                return Err(Error::config(format!("topic \"{name}\" with {partitions} partitions cannot be")));
            }
            // The mock places the only replica of partition i on broker i + 1, which so leads it.
            cluster.create_topic(name, *partitions, 1).map_err(|e| failed(&format!("create topic \"{name}\""), e))?;
        }
        knocking.stop();
        Ok(Self { cluster })
    }

    /// Addresses of the brokers, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// Wakes the thread of the mock again and again while it is told what to do.
///
/// librdkafka's mock takes orders and their wake-up bytes in two steps: the byte of an order that comes between
/// them is swallowed, and the order waits for the next poll, a second later. A connection ends the poll as well.
struct Knocking {
    door: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Knocking {
    fn start(bootstrap: &str) -> Result<Self> {
        let address: Option<SocketAddr> = bootstrap.split(',').next().and_then(|first| first.parse().ok());
        let Some(address) = address else { return Ok(Self { door: None, thread: None }) };
        let (door, closed) = sync_channel(1);
        let thread = std::thread::Builder::new().name("knock".into()).spawn(move || {
            while matches!(closed.recv_timeout(KNOCK), Err(RecvTimeoutError::Timeout)) {
                // Refused or not: only the attempt matters, and the next comes soon.
                drop(TcpStream::connect_timeout(&address, KNOCK));
            }
        })?;
        Ok(Self { door: Some(door), thread: Some(thread) })
    }

    fn stop(mut self) {
        drop(self.door.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl std::fmt::Debug for EmbeddedCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedCluster").field("bootstrap", &self.bootstrap()).finish()
    }
}

#[cfg(test)]
mod tests {
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

    /// Without knocking about every tenth order takes a second.
    #[test]
    fn many_topics_are_there_at_once() {
        let names: Vec<String> = (0..40).map(|n| format!("topic-{n}")).collect();
        let topics: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 4)).collect();
        let clock = crate::time::system_clock();
        let cluster = EmbeddedCluster::start(4, &topics).unwrap();
        assert!(clock.elapsed() < Duration::from_secs(3), "{:?} for {cluster:?}", clock.elapsed());
    }

    #[test]
    fn impossible_clusters_are_refused() {
        assert!(EmbeddedCluster::start(0, &[]).is_err());
        assert!(EmbeddedCluster::start(1, &[("t", 0)]).is_err());
    }
}
