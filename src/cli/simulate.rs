//! `streamer simulate`: readings of a fleet, or of recorded series, to a Kafka cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::signals::Stop;
use crate::cli::status::thousands;
use crate::cli::{Failure, runtime, show};
use crate::connectors::kafka::{Producer, Record, TopicAdmin};
use crate::error::{Error, ErrorKind, Result};
use crate::simulator::{
    self, AnomalyRates, Config, FaultRates, Job, LABELS_TOPIC, Outgoing, Pace, Progress, READINGS_TOPIC, Target, replay,
};
use crate::time::{Clock, parse_duration, system_clock};

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArguments {
    /// Brokers of the cluster.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "HOST:PORT,…")]
    bootstrap: String,
    /// Topic of the readings; created if it is not there, partition i led by broker i.
    #[arg(long, default_value = READINGS_TOPIC)]
    topic: String,
    /// Readings per second of the whole fleet; 0: as fast as the cluster takes them.
    #[arg(long, default_value_t = 2400, value_name = "ROWS")]
    rate: u64,
    /// Stop after so many readings.
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Stop after this time.
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Number of devices.
    #[arg(long, default_value_t = 2400)]
    devices: u32,
    /// Seed of everything random: the same seed gives the same bytes.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How long the fleet has been running when the stream starts.
    #[arg(long, default_value = "0 s", value_parser = parse_duration)]
    backlog: Duration,
    /// Also append labels of the anomalies to this file.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Keep the fleet in this file; if it is there, its stream goes on where the topic ends.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// No anomalies.
    #[arg(long)]
    no_anomalies: bool,
    /// No faults: no row out of order or twice, no wrong clock, no silent device.
    #[arg(long)]
    no_faults: bool,
    /// Spikes per reading.
    #[arg(long, value_name = "SHARE")]
    spikes: Option<f64>,
    /// Share of readings that arrive out of order.
    #[arg(long, value_name = "SHARE")]
    out_of_order: Option<f64>,
    /// Share of readings sent twice.
    #[arg(long, value_name = "SHARE")]
    duplicated: Option<f64>,
    /// Share of devices whose clock is far ahead.
    #[arg(long, value_name = "SHARE")]
    clock_ahead: Option<f64>,
    /// Share of devices that fall silent.
    #[arg(long, value_name = "SHARE")]
    silent: Option<f64>,
    /// Send recorded series instead: CSV files with the columns timestamp,value, each one device.
    #[arg(long, num_args = 1.., value_name = "FILES")]
    replay: Vec<PathBuf>,
    /// Labelled windows of the series, as the Numenta Anomaly Benchmark's combined_windows.json.
    #[arg(long, requires = "replay", value_name = "FILE")]
    windows: Option<PathBuf>,
}

/// Event-time rate of a stream that is sent as fast as possible.
const UNLIMITED_FLEET_RATE: u64 = 2400;
/// Recorded readings of the devices, replayed if they are there.
const PROCESSED: &str = "data/processed";
/// How long topics may take to get leaders.
const LEADERS_PATIENCE: Duration = Duration::from_secs(30);

/// Sends readings until a bound, Ctrl-C or the end of the series.
pub(super) fn simulate(arguments: &SimulateArguments) -> Result<u8, Failure> {
    let clock = system_clock();
    let runtime = runtime()?;
    let stop = Stop::listen()?;
    let done = runtime.block_on(send(arguments, &clock, &stop));
    runtime.shutdown_background();
    done?;
    Ok(0)
}

async fn send(arguments: &SimulateArguments, clock: &Clock, stop: &Stop) -> Result<()> {
    let admin = TopicAdmin::connect(&arguments.bootstrap, [])?;
    create_topics(&admin, arguments).await?;
    let feeds = feeds(arguments, clock, &admin).await?;
    let progress = Progress::new(feeds.iter().map(|(partition, ..)| *partition));
    let job = Job {
        feeds,
        pace: if arguments.rate == 0 { Pace::Unlimited } else { Pace::Due },
        rows: arguments.rows,
        duration: arguments.duration,
        flow: None,
        labels_file: arguments.labels.clone(),
    };
    let target = KafkaTarget::new(Producer::connect(&arguments.bootstrap, [])?, &arguments.topic);
    let sending = simulator::run(job, &target, clock, stop.asked.subscribe(), &progress);
    tokio::pin!(sending);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let live = show::terminal(show::Stream::Error);
    let summary = loop {
        tokio::select! {
            summary = &mut sending => break summary?,
            _ = tick.tick() => {
                if live {
                    show::status(&format!("{} readings sent, {} errors", thousands(progress.rows()), progress.errors()));
                }
            }
        }
    };
    if live {
        show::status("");
    }
    show::error_line(&summary.to_string());
    match target.producer.failure() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Creates the topics that are not there and waits until they have leaders.
async fn create_topics(admin: &TopicAdmin, arguments: &SimulateArguments) -> Result<()> {
    let brokers = admin.brokers().await?;
    let there = admin.topics().await?;
    for layout in simulator::layout(&brokers, Config::default().sites) {
        let name = if layout.name == READINGS_TOPIC { arguments.topic.as_str() } else { layout.name.as_str() };
        if !there.iter().any(|topic| topic == name) {
            admin.create_topic(name, &layout.replicas, &layout.config).await?;
        }
        admin.wait_for_leaders(name, LEADERS_PATIENCE).await?;
    }
    Ok(())
}

type Feeds = Vec<(i32, u64, Box<dyn simulator::Feed>)>;

async fn feeds(arguments: &SimulateArguments, clock: &Clock, admin: &TopicAdmin) -> Result<Feeds> {
    if let Some(feeds) = recorded(arguments, &config(arguments, clock)?)? {
        return Ok(feeds.into_iter().map(|(partition, feed)| (partition, 0, feed)).collect());
    }
    let kept = arguments.keep.as_deref().map(stored_config).transpose()?.flatten();
    let (fleet, offsets) = match kept {
        Some(fleet) => {
            let ends = ends(admin, &arguments.topic, clock).await?;
            let end = |p: u16| ends.get(&i32::from(p)).map_or(0, |(_, high)| u64::try_from(*high).unwrap_or(0));
            let offsets = (0..fleet.sites).map(end).collect();
            (fleet, offsets)
        }
        None => (config(arguments, clock)?, vec![0; usize::from(Config::default().sites)]),
    };
    fleet.validate()?;
    if let Some(path) = &arguments.keep {
        store_config(path, &fleet)?;
    }
    let feeds = simulator::feeds(&fleet, &offsets)?;
    Ok(feeds.into_iter().zip(offsets).map(|((partition, feed), offset)| (partition, offset, feed)).collect())
}

/// Where each partition ends; a leader that is just moving is waited for.
async fn ends(admin: &TopicAdmin, topic: &str, clock: &Clock) -> Result<BTreeMap<i32, (i64, i64)>> {
    let start = clock.elapsed();
    loop {
        match admin.offsets(topic).await {
            Err(error) if error.kind() == ErrorKind::Unavailable && clock.elapsed() < start + LEADERS_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            known => return known,
        }
    }
}

/// Feeds that start at their first row, by partition.
type Recorded = Vec<(i32, Box<dyn simulator::Feed>)>;

/// Feeds of recorded series or device files; `None` if there are none.
fn recorded(arguments: &SimulateArguments, config: &Config) -> Result<Option<Recorded>> {
    let layout =
        replay::Layout { sites: config.sites, seed: config.seed, start_us: config.start_us, rate: config.rate };
    if !arguments.replay.is_empty() {
        let windows = match &arguments.windows {
            Some(path) => replay::parse_windows(
                &std::fs::read_to_string(path)
                    .map_err(|e| Error::config(format!("cannot read the windows in \"{}\": {e}", path.display())))?,
            )?,
            None => BTreeMap::new(),
        };
        return Ok(Some(replay::series_feeds(&replay::Series::read(&arguments.replay)?, &windows, &layout)));
    }
    let files = replay::device_files(Path::new(PROCESSED))?;
    if files.is_empty() {
        return Ok(None);
    }
    replay::device_feeds(&files, |device| config.site_of(device), &layout).map(Some)
}

fn config(arguments: &SimulateArguments, clock: &Clock) -> Result<Config> {
    let backlog_us = i64::try_from(arguments.backlog.as_micros()).unwrap_or(i64::MAX);
    let mut anomalies = if arguments.no_anomalies { AnomalyRates::none() } else { AnomalyRates::default() };
    let mut faults = if arguments.no_faults { FaultRates::none() } else { FaultRates::default() };
    let set = |target: &mut f64, value: Option<f64>| *target = value.unwrap_or(*target);
    set(&mut anomalies.spike, arguments.spikes);
    set(&mut faults.out_of_order, arguments.out_of_order);
    set(&mut faults.duplicated, arguments.duplicated);
    set(&mut faults.clock_ahead, arguments.clock_ahead);
    set(&mut faults.silent, arguments.silent);
    let config = Config {
        seed: arguments.seed,
        start_us: clock.now_ms().saturating_mul(1000).saturating_sub(backlog_us),
        devices: arguments.devices,
        rate: if arguments.rate == 0 { UNLIMITED_FLEET_RATE } else { arguments.rate },
        anomalies,
        faults,
        ..Config::default()
    };
    config.validate()?;
    Ok(config)
}

/// The fleet kept in a file; `None` if there is no such file.
pub(super) fn stored_config(path: &Path) -> Result<Option<Config>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::state(format!("the fleet in \"{}\" cannot be read: {error}", path.display()))
        .hint("remove the file to start another stream")
}

/// Keeps a fleet in a file.
pub(super) fn store_config(path: &Path, config: &Config) -> Result<()> {
    let text =
        serde_json::to_string_pretty(config).map_err(|e| Error::internal("a fleet has no JSON form").because(e))?;
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| Error::unavailable(format!("cannot write \"{}\": {error}", path.display())))
}

/// Sends the simulator's records through a Kafka producer.
pub(super) struct KafkaTarget {
    producer: Producer,
    readings: String,
}

impl KafkaTarget {
    /// Records of a partition of the readings that the brokers have acknowledged.
    pub(super) fn delivered(&self, partition: i32) -> u64 {
        self.producer.deliveries(&self.readings).get(&partition).map_or(0, |d| d.delivered)
    }

    /// Readings go to `readings`, labels to their usual topic.
    pub(super) fn new(producer: Producer, readings: &str) -> Self {
        Self { producer, readings: readings.to_owned() }
    }

    fn topic<'a>(&'a self, topic: &'a str) -> &'a str {
        if topic == LABELS_TOPIC { topic } else { &self.readings }
    }
}

impl Target for KafkaTarget {
    async fn send(&self, record: Outgoing<'_>) -> Result<()> {
        self.producer
            .send(Record {
                topic: self.topic(record.topic),
                partition: Some(record.partition),
                key: Some(record.key),
                value: Some(record.value),
                timestamp: Some(record.timestamp_ms),
                ..Record::default()
            })
            .await
    }

    async fn flush(&self) -> Result<()> {
        self.producer.flush().await
    }

    fn failed(&self, topic: &str, partition: i32) -> u64 {
        self.producer.deliveries(self.topic(topic)).get(&partition).map_or(0, |d| d.failed)
    }
}
