//! The real four-broker Kafka of `scripts/kafka`, and what can happen to it.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

/// Brokers `scripts/kafka` starts.
pub(crate) const NODES: usize = 4;
/// Longest a broker may need until it answers again.
const BACK: Duration = Duration::from_secs(120);
/// What a broker that answers still needs until it has caught up with the others.
const CAUGHT_UP: Duration = Duration::from_secs(8);

/// Brokers.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) bootstrap: String,
}

impl Cluster {
    /// `scripts/kafka` with arguments; what it printed.
    pub(crate) fn script(arguments: &[&str]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let output = Command::new(script).args(arguments).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "scripts/kafka {arguments:?}: {shown}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn kill(node: usize) {
        Self::script(&["stop", &node.to_string()]);
    }

    pub(crate) fn pause(node: usize) {
        Self::script(&["pause", &node.to_string()]);
    }

    pub(crate) fn resume(node: usize) {
        Self::script(&["resume", &node.to_string()]);
    }

    /// Starts a killed broker; [`Cluster::wait`] waits for it.
    pub(crate) fn start(node: usize) {
        // the broker keeps running: its output must not be ours to wait for
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        assert!(Command::new(script).args(["start", &node.to_string()]).status().unwrap().success());
    }

    /// Waits until every broker accepts connections and has had time to catch up.
    pub(crate) fn wait(&self) {
        let start = Instant::now();
        for address in self.bootstrap.split(',') {
            while TcpStream::connect(address).is_err() {
                assert!(start.elapsed() < BACK, "{address} does not come back");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        std::thread::sleep(CAUGHT_UP);
    }

    /// Creates topics of four partitions, partition i led by broker i + 1.
    pub(crate) fn create_topics(&self, names: &[&str]) {
        let assignment: [&[i32]; 4] = [&[1, 2, 3], &[2, 3, 4], &[3, 4, 1], &[4, 1, 2]];
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, 4, TopicReplication::Variable(&assignment)).set("min.insync.replicas", "2"))
            .collect();
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for made in runtime.block_on(admin.create_topics(&topics, &options)).unwrap() {
            made.unwrap();
        }
    }
}
