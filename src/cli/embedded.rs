//! The embedded default: an in-process cluster and the device simulator beside the job.
//!
//! The cluster forgets everything at the end of the process. Rows are a function of the stored fleet and their
//! offset, so a restored job goes on at its offset: the simulator starts there, and what the cluster calls 0 is
//! that offset (`docs/adr/0008-embedded-offsets.md`). There is one cluster and one stream for all jobs of a script:
//! it starts where the job that is behind goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{EmbeddedCluster, RETAINED_BYTES_PER_PARTITION};
use crate::cli::script::StateLayout;
use crate::cli::simulate::{KafkaTarget, store_config, stored_config};
use crate::connectors::kafka::Producer;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::plan::StreamPlan;
use crate::runtime::checkpoint;
use crate::simulator::{self, Config, Flow, LABELS_TOPIC, Pace, Progress, READINGS_TOPIC};
use crate::table::TableSpec;
use crate::time::{Clock, parse_duration};

/// Brokers of the embedded cluster; as many partitions per topic, broker i leads partition i.
const BROKERS: i32 = 4;
/// Where the labels of the co-located simulator go.
pub(super) const LABELS_FILE: &str = "data/out/labels.jsonl";

/// How long the simulator may take to end.
const LAST_LABELS_PATIENCE: Duration = Duration::from_secs(5);

/// How long the stream between two jobs may take to come, and between two looks.
const FILL_PATIENCE: Duration = Duration::from_secs(10);
const FILL_LOOK: Duration = Duration::from_millis(10);

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

/// A job that may use the cluster.
pub(super) struct Demand<'a> {
    /// Its plan.
    pub(super) plan: &'a StreamPlan,
    /// Where its epochs are.
    pub(super) checkpoint: PathBuf,
}

/// First offsets by topic and partition.
type Offsets = BTreeMap<(String, i32), i64>;

/// Counters of the jobs that read the simulated topic now.
type Readers = Arc<Mutex<Vec<Arc<Metrics>>>>;

/// The cluster of the process, and the simulator if there is one.
pub(super) struct Embedded {
    bootstrap: String,
    /// Where each job goes on.
    positions: Vec<Offsets>,
    /// How far any job has read.
    furthest: Offsets,
    /// Topics that one job writes and another reads.
    between: Vec<String>,
    fleet: Option<Config>,
    job: Mutex<Option<(simulator::Job, Arc<KafkaTarget>)>>,
    running: Mutex<Option<tokio::task::JoinHandle<()>>>,
    readers: Readers,
    clock: Clock,
    /// The brokers end with the process: clients that are still closing must not complain about them.
    _cluster: ManuallyDrop<EmbeddedCluster>,
}

impl Embedded {
    /// Starts what the jobs need together; `None` if no table of theirs is on the embedded cluster.
    pub(super) fn start(
        demands: &[Demand<'_>],
        layout: &StateLayout,
        arguments: &SimulatorArguments,
        clock: &Clock,
        rows: Option<u64>,
    ) -> Result<Option<Self>> {
        let read: Vec<Vec<String>> =
            demands.iter().map(|d| embedded_topics(d.plan.sources().map(|(_, s)| &s.table))).collect();
        let written: Vec<Vec<String>> =
            demands.iter().map(|d| embedded_topics(d.plan.sinks().map(|(_, s)| &s.table))).collect();
        let topics: BTreeSet<&String> = read.iter().chain(&written).flatten().collect();
        if topics.is_empty() {
            return Ok(None);
        }
        let simulated = !arguments.no_simulate && read.iter().flatten().any(|topic| topic == READINGS_TOPIC);
        let named: Vec<(&str, i32)> =
            topics.iter().map(|t| (t.as_str(), BROKERS)).chain([(LABELS_TOPIC, BROKERS)]).collect();
        let cluster = EmbeddedCluster::start(BROKERS, &named)?;
        let mut furthest = Offsets::new();
        let positions = demands
            .iter()
            .zip(&read)
            .map(|(demand, read)| positions(demand, read, &mut furthest))
            .collect::<Result<Vec<_>>>()?;
        let passed_on = |topic: &&String| written.iter().flatten().any(|t| t == *topic);
        let mut embedded = Self {
            bootstrap: cluster.bootstrap(),
            positions,
            furthest,
            between: read.iter().flatten().filter(passed_on).cloned().collect::<BTreeSet<_>>().into_iter().collect(),
            fleet: None,
            job: Mutex::new(None),
            running: Mutex::new(None),
            readers: Readers::default(),
            clock: Arc::clone(clock),
            _cluster: ManuallyDrop::new(cluster),
        };
        if simulated {
            let fleet = embedded.fleet(layout, arguments)?;
            let job = embedded.simulation(&fleet, rows)?;
            embedded.fleet = Some(fleet);
            embedded.job = Mutex::new(Some(job));
        }
        Ok(Some(embedded))
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
        if let Some(fleet) = stored_config(&layout.simulator())?.filter(|_| self.goes_on()) {
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

    /// Whether a job has read from the simulated stream before.
    fn goes_on(&self) -> bool {
        self.positions.iter().any(|offsets| !offsets.is_empty())
    }

    /// Where the simulated stream starts in a partition: where the job that is behind goes on.
    fn first_reading(&self, partition: i32) -> i64 {
        let key = (READINGS_TOPIC.to_owned(), partition);
        self.positions.iter().filter_map(|offsets| offsets.get(&key)).min().copied().unwrap_or(0)
    }

    fn simulation(&self, fleet: &Config, rows: Option<u64>) -> Result<(simulator::Job, Arc<KafkaTarget>)> {
        let partitions = 0..i32::from(fleet.sites);
        let starts: BTreeMap<i32, i64> = partitions.map(|p| (p, self.first_reading(p))).collect();
        let offsets: Vec<u64> = starts.values().map(|start| u64::try_from(*start).unwrap_or(0)).collect();
        let feeds = simulator::feeds(fleet, &offsets)?
            .into_iter()
            .zip(&offsets)
            .map(|((p, feed), at)| (p, *at, feed))
            .collect();
        let readers = Arc::clone(&self.readers);
        let consumed = move |partition: i32| {
            let start = starts.get(&partition).copied().unwrap_or(0);
            let readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.iter().map(|metrics| next_reading(metrics, partition).unwrap_or(start)).min().unwrap_or(start)
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
        Ok((job, Arc::new(KafkaTarget::new(producer, READINGS_TOPIC))))
    }

    /// The simulator stays close to this job, too, until [`Embedded::leave`].
    pub(super) fn join(&self, plan: &StreamPlan, metrics: &Arc<Metrics>) {
        if embedded_topics(plan.sources().map(|(_, s)| &s.table)).iter().any(|topic| topic == READINGS_TOPIC) {
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(metrics));
        }
    }

    /// The job reads no more.
    pub(super) fn leave(&self, metrics: &Arc<Metrics>) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).retain(|reader| !Arc::ptr_eq(reader, metrics));
    }

    /// Jobs that stopped at different offsets can go on only when the stream has what lies between: starts the
    /// simulator and waits for it. Does nothing where all are at the same offsets.
    ///
    /// # Errors
    /// `Unavailable` if the stream does not come.
    pub(super) async fn fill(&self, stop: &watch::Sender<bool>) -> Result<()> {
        let missing = |partition: i32| {
            let furthest = self.furthest.get(&(READINGS_TOPIC.to_owned(), partition)).copied().unwrap_or(0);
            u64::try_from(furthest - self.first_reading(partition)).unwrap_or(0)
        };
        let missing: Vec<(i32, u64)> = (0..BROKERS).map(|p| (p, missing(p))).filter(|(_, rows)| *rows > 0).collect();
        let target = self.job.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, t)| Arc::clone(t));
        let Some(target) = target.filter(|_| !missing.is_empty()) else { return Ok(()) };
        self.go(stop.subscribe());
        let start = self.clock.elapsed();
        while missing.iter().any(|(partition, rows)| target.delivered(*partition) < *rows) && !*stop.borrow() {
            if self.clock.elapsed().saturating_sub(start) > FILL_PATIENCE {
                return Err(Error::unavailable("the jobs of this script stopped too far apart to go on together")
                    .hint("start over with --fresh"));
            }
            tokio::time::sleep(FILL_LOOK).await;
        }
        Ok(())
    }

    /// Starts the simulator unless it runs; it ends with `stop`.
    pub(super) fn go(&self, stop: watch::Receiver<bool>) {
        let Some((job, target)) = self.job.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let progress = Progress::new(job.feeds.iter().map(|(partition, ..)| *partition));
        let clock = Arc::clone(&self.clock);
        let running = tokio::spawn(async move {
            if let Err(error) = simulator::run(job, target.as_ref(), &clock, stop, &progress).await {
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

    /// What offset 0 of each partition stands for to the job at `place`. The simulated stream is one for all jobs;
    /// other topics are empty at the start, so each job's go on where it was.
    pub(super) fn offsets(&self, place: usize) -> Offsets {
        let mut offsets = self.positions.get(place).cloned().unwrap_or_default();
        if self.fleet.is_some() && self.goes_on() {
            let readings = (0..BROKERS).map(|p| ((READINGS_TOPIC.to_owned(), p), self.first_reading(p)));
            offsets.extend(readings);
        }
        offsets
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
        for topic in &self.between {
            text += &format!(
                "  note        topic {topic} is in memory between two jobs: its rows not read by the next are gone at the end\n"
            );
        }
        text
    }
}

/// Next offset a job reads in a partition of the simulated stream; of several readings the one behind.
fn next_reading(metrics: &Metrics, partition: i32) -> Option<i64> {
    let own = metrics.partitions.iter().filter(|p| p.partition == partition && p.topic == READINGS_TOPIC);
    own.map(|p| p.next_offset.load(Ordering::Relaxed)).min()
}

/// Where a job goes on in its embedded topics; `furthest` learns how far it has read.
fn positions(demand: &Demand<'_>, topics: &[String], furthest: &mut Offsets) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for p in checkpoint::positions(&demand.checkpoint)?.into_iter().filter(|p| topics.contains(&p.topic)) {
        let place = (p.topic, p.partition);
        let far = furthest.entry(place.clone()).or_insert(p.next_offset);
        *far = p.next_offset.max(*far);
        let first = offsets.entry(place).or_insert(p.next_offset);
        *first = p.next_offset.min(*first);
    }
    Ok(offsets)
}

/// Topics that tables have on the embedded cluster, each once.
fn embedded_topics<'a>(tables: impl Iterator<Item = &'a Arc<TableSpec>>) -> Vec<String> {
    let topics = tables.filter(|table| embedded(table)).flat_map(|table| {
        let names = table.options.get("topic").unwrap_or_default().split(';');
        names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect::<Vec<_>>()
    });
    topics.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a table is on the embedded cluster.
pub(super) fn embedded(table: &TableSpec) -> bool {
    table.connector() == "kafka" && table.options.get("properties.bootstrap.servers") == Some("embedded")
}
