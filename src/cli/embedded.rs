//! The embedded default: an in-process cluster and the device simulator beside the job.
//!
//! The cluster forgets everything at the end of the process. Rows are a function of the stored fleet and their
//! offset, so a restored job goes on at its offset: the simulator starts there, and what the cluster calls 0 is
//! that offset (`docs/adr/0008-embedded-offsets.md`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{EmbeddedCluster, RETAINED_BYTES_PER_PARTITION};
use crate::cli::script::StateLayout;
use crate::cli::simulate::{KafkaTarget, store_config, stored_config};
use crate::connectors::kafka::Producer;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::plan::StreamPlan;
use crate::runtime::checkpoint;
use crate::simulator::{self, Config, Flow, LABELS_TOPIC, Pace, Progress, READINGS_TOPIC};
use crate::time::{Clock, parse_duration};

/// Brokers of the embedded cluster; as many partitions per topic, broker i leads partition i.
const BROKERS: i32 = 4;
/// Where the labels of the co-located simulator go.
pub(super) const LABELS_FILE: &str = "data/out/labels.jsonl";

/// How long the simulator may take to end.
const LAST_LABELS_PATIENCE: Duration = Duration::from_secs(5);

/// What the co-located simulator does.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Embedded cluster and simulator (when KAFKA_BOOTSTRAP_SERVERS is not set)")]
pub(super) struct SimulatorArguments {
    /// Start the embedded cluster without the simulator.
    #[arg(long)]
    no_simulate: bool,
    /// Readings per second of the whole fleet.
    #[arg(long, default_value_t = 2400, value_name = "ROWS")]
    rate: u64,
    /// Number of devices.
    #[arg(long, default_value_t = 2400)]
    devices: u32,
    /// Seed of everything random.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How long the fleet has been running when a new stream starts.
    #[arg(long, default_value = "60 s", value_parser = parse_duration)]
    backlog: Duration,
}

/// The cluster, and the simulator if there is one.
pub(super) struct Embedded {
    bootstrap: String,
    offsets: BTreeMap<(String, i32), i64>,
    fleet: Option<Config>,
    job: Mutex<Option<(simulator::Job, KafkaTarget)>>,
    running: Mutex<Option<tokio::task::JoinHandle<()>>>,
    clock: Clock,
    _cluster: EmbeddedCluster,
}

impl Embedded {
    /// Starts what the plan needs; `None` if no table of it is on the embedded cluster.
    pub(super) fn start(
        plan: &StreamPlan,
        layout: &StateLayout,
        arguments: &SimulatorArguments,
        metrics: &Arc<Metrics>,
        clock: &Clock,
        rows: Option<u64>,
    ) -> Result<Option<Self>> {
        let topics = embedded_topics(plan);
        if topics.is_empty() {
            return Ok(None);
        }
        let simulated =
            !arguments.no_simulate && plan.sources().any(|(_, s)| s.table.options.get("topic") == Some(READINGS_TOPIC));
        let named: Vec<(&str, i32)> =
            topics.iter().map(|t| (t.as_str(), BROKERS)).chain([(LABELS_TOPIC, BROKERS)]).collect();
        let cluster = EmbeddedCluster::start(BROKERS, &named)?;
        let bootstrap = cluster.bootstrap();
        let offsets: BTreeMap<(String, i32), i64> = checkpoint::positions(&layout.checkpoint())?
            .into_iter()
            .filter(|p| topics.contains(&p.topic))
            .map(|p| ((p.topic, p.partition), p.next_offset))
            .collect();
        let mut embedded = Self {
            bootstrap,
            offsets,
            fleet: None,
            job: Mutex::new(None),
            running: Mutex::new(None),
            clock: Arc::clone(clock),
            _cluster: cluster,
        };
        if simulated {
            let fleet = embedded.fleet(layout, arguments)?;
            let job = embedded.simulation(&fleet, metrics, rows)?;
            embedded.fleet = Some(fleet);
            embedded.job = Mutex::new(Some(job));
        }
        Ok(Some(embedded))
    }

    /// Whether a table of the plan is on the embedded cluster.
    pub(super) fn needed(plan: &StreamPlan) -> bool {
        !embedded_topics(plan).is_empty()
    }

    /// Forgets the stored fleet (`--fresh`).
    pub(super) fn forget(layout: &StateLayout) -> Result<()> {
        match std::fs::remove_file(layout.simulator()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The fleet of the stored stream, or a new one that is stored: an offset means nothing without it.
    fn fleet(&self, layout: &StateLayout, arguments: &SimulatorArguments) -> Result<Config> {
        if let Some(fleet) = stored_config(&layout.simulator())?.filter(|_| !self.offsets.is_empty()) {
            return Ok(fleet);
        }
        let backlog_us = i64::try_from(arguments.backlog.as_micros()).unwrap_or(i64::MAX);
        let fleet = Config {
            seed: arguments.seed,
            start_us: self.clock.now_ms().saturating_mul(1000).saturating_sub(backlog_us),
            devices: arguments.devices,
            rate: arguments.rate,
            ..Config::default()
        };
        fleet.validate()?;
        store_config(&layout.simulator(), &fleet)?;
        Ok(fleet)
    }

    fn simulation(
        &self,
        fleet: &Config,
        metrics: &Arc<Metrics>,
        rows: Option<u64>,
    ) -> Result<(simulator::Job, KafkaTarget)> {
        let start = |partition: i32| self.offsets.get(&(READINGS_TOPIC.to_owned(), partition)).copied().unwrap_or(0);
        let offsets: Vec<u64> = (0..i32::from(fleet.sites)).map(|p| u64::try_from(start(p)).unwrap_or(0)).collect();
        let feeds = simulator::feeds(fleet, &offsets)?
            .into_iter()
            .zip(&offsets)
            .map(|((p, feed), at)| (p, *at, feed))
            .collect();
        let metrics = Arc::clone(metrics);
        let consumed = move |partition: i32| {
            metrics
                .partitions
                .iter()
                .find(|p| p.partition == partition && p.topic == READINGS_TOPIC)
                .map_or(0, |p| p.next_offset.load(std::sync::atomic::Ordering::Relaxed))
        };
        let job = simulator::Job {
            feeds,
            pace: Pace::Due,
            rows,
            duration: None,
            flow: Some(Flow::behind(Arc::new(consumed))),
            labels_file: Some(LABELS_FILE.into()),
        };
        let producer = Producer::connect(&self.bootstrap, [])?;
        Ok((job, KafkaTarget::new(producer, READINGS_TOPIC)))
    }

    /// Starts the simulator; it ends with `stop`.
    pub(super) fn go(&self, stop: watch::Receiver<bool>) {
        let Some((job, target)) = self.job.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let progress = Progress::new(job.feeds.iter().map(|(partition, ..)| *partition));
        let clock = Arc::clone(&self.clock);
        let running = tokio::spawn(async move {
            if let Err(error) = simulator::run(job, &target, &clock, stop, &progress).await {
                tracing::error!(%error, "the simulator stopped");
            }
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// Waits until the simulator has written its last labels.
    pub(super) async fn finish(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running
            && tokio::time::timeout(LAST_LABELS_PATIENCE, running).await.is_err()
        {
            tracing::warn!("the simulator did not end; its newest labels may be missing");
        }
    }

    /// Addresses of the brokers.
    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What offset 0 of each partition stands for.
    pub(super) fn offsets(&self) -> BTreeMap<(String, i32), i64> {
        self.offsets.clone()
    }

    /// Lines of the start banner.
    pub(super) fn banner(&self) -> String {
        let mut text = format!(
            "  cluster     embedded, {BROKERS} brokers at {} · in memory, {} MiB per partition: a demonstration;\n\
             \x20             set KAFKA_BOOTSTRAP_SERVERS for a real one\n",
            self.bootstrap,
            RETAINED_BYTES_PER_PARTITION >> 20
        );
        match &self.fleet {
            Some(fleet) => {
                text += &format!(
                    "  simulator   {} devices, {} readings/s, seed {} · labels in {LABELS_FILE}\n",
                    fleet.devices, fleet.rate, fleet.seed
                );
            }
            None => text.push_str("  simulator   none\n"),
        }
        text
    }
}

/// Topics that the plan's tables have on the embedded cluster, each once.
fn embedded_topics(plan: &StreamPlan) -> Vec<String> {
    let tables = plan.sources().map(|(_, s)| &s.table).chain(plan.sinks().map(|(_, s)| &s.table));
    let mut topics: Vec<String> = tables
        .filter(|t| t.connector() == "kafka" && t.options.get("properties.bootstrap.servers") == Some("embedded"))
        .flat_map(|t| {
            t.options.get("topic").unwrap_or_default().split(';').map(|s| s.trim().to_owned()).collect::<Vec<_>>()
        })
        .filter(|topic| !topic.is_empty())
        .collect();
    topics.sort();
    topics.dedup();
    topics
}
