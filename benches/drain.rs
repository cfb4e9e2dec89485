//! End to end: the main job drains a filled topic of the embedded cluster, and the same reader fetches the
//! same records without looking into them.
//!
//! Both include opening and closing. The brokers run in this process, but their thread's time is left out.

use std::sync::Arc;

use streamer::broker::EmbeddedCluster;
use streamer::connectors::kafka::{KafkaSource, Producer, Record};
use streamer::connectors::{Fetched, JobContext, Source as _, SplitReader, StartAt};
use streamer::error::{Error, Result};
use streamer::metrics::Metrics;
use streamer::runtime::{Pipeline, PipelineOptions};
use streamer::stream::RowCounts;
use streamer::time::system_clock;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::measure::{Subject, Threads};
use crate::operators::{plan_of, table_of};
use crate::readings::{PARTITIONS, Readings};

/// The subject that every other is part of.
pub(crate) const DRAIN: &str = "drain, the main job end to end";

const TOPIC: &str = "edge-iiot-stream";
const QUERY: &str = include_str!("../queries/anomaly.sql");

const RAW_TABLE: &str = "CREATE TABLE records (message BYTES) WITH (
  'connector' = 'kafka', 'topic' = 'edge-iiot-stream', 'properties.bootstrap.servers' = 'embedded',
  'properties.group.id' = 'bench-fetch', 'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = 'latest-offset', 'format' = 'raw'
);";

/// Brokers with the readings in them.
pub(crate) struct Cluster {
    brokers: EmbeddedCluster,
    rows: u64,
}

impl Cluster {
    /// Starts it and writes the readings.
    pub(crate) fn filled(readings: &Readings, runtime: &Runtime) -> Result<Self> {
        let brokers = EmbeddedCluster::start(4, &[(TOPIC, i32::from(PARTITIONS)), ("anomalies", 4)])?;
        let producer = Producer::connect(&brokers.bootstrap(), [])?;
        runtime.block_on(async {
            // Partitions in turn, so that no broker waits for another's share.
            let longest = readings.partitions.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..longest {
                for (partition, rows) in (0..).zip(&readings.partitions) {
                    let Some(reading) = rows.get(at) else { continue };
                    let record = Record {
                        topic: TOPIC,
                        partition: Some(partition),
                        key: Some(reading.device.as_bytes()),
                        value: Some(&reading.message),
                        timestamp: Some(reading.timestamp_ms),
                        ..Record::default()
                    };
                    producer.send(record).await?;
                }
            }
            producer.flush().await
        })?;
        producer.failure().map_or(Ok(Self { brokers, rows: readings.rows() }), Err)
    }

    fn job(&self, name: &str) -> JobContext {
        JobContext {
            pipeline: name.to_owned(),
            instance: "0123456789abcdef".to_owned(),
            time_zone: "UTC".to_owned(),
            embedded_bootstrap: Some(self.brokers.bootstrap()),
            ..JobContext::default()
        }
    }

    fn all(&self, rows: u64) -> Result<u64> {
        if rows == self.rows {
            return Ok(rows);
        }
        Err(Error::internal(format!("{rows} of {} records were read", self.rows)))
    }
}

/// The engine's Kafka reader with the `raw` format: records become rows of bytes.
pub(crate) struct Fetch<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) runtime: &'a Runtime,
}

impl Subject for Fetch<'_> {
    fn name(&self) -> String {
        crate::FETCH.to_owned()
    }

    fn pass(&mut self) -> Result<u64> {
        let table = table_of(RAW_TABLE)?;
        let rows = self.runtime.block_on(async {
            let mut source = KafkaSource::open(&table, &self.cluster.job("bench-fetch"))?;
            let mut readers = tokio::task::JoinSet::new();
            for split in source.splits().await? {
                readers.spawn(read(source.open(&split, StartAt::Configured).await?));
            }
            let mut rows = 0;
            while let Some(read) = readers.join_next().await {
                rows += read.map_err(|e| Error::internal(format!("a reader failed: {e}")))??;
            }
            Ok::<u64, Error>(rows)
        })?;
        self.cluster.all(rows)
    }

    fn threads(&self) -> Threads {
        Threads::AllButBrokers
    }
}

async fn read(mut reader: Box<dyn SplitReader>) -> Result<u64> {
    let mut rows = 0;
    while let Fetched::Rows(batch) = reader.next().await? {
        rows += std::hint::black_box(batch).rows.num_rows() as u64;
    }
    Ok(rows)
}

/// `queries/anomaly.sql` as it is, but for an end: it stops where the topic ended when it started.
pub(crate) struct Drain<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) runtime: &'a Runtime,
}

impl Subject for Drain<'_> {
    fn name(&self) -> String {
        DRAIN.to_owned()
    }

    fn pass(&mut self) -> Result<u64> {
        let directory = tempfile::tempdir()?;
        let out = directory.path().join("out");
        let query = QUERY.replace(
            "'scan.startup.mode' = 'earliest-offset',",
            "'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',",
        );
        let plan = plan_of(&query, &|name| (name == "STREAMER_OUT").then(|| out.to_string_lossy().into_owned()))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let options = PipelineOptions {
            state: Some(directory.path().join("state")),
            ledger: directory.path().join("ledger"),
            parallelism: plan.settings.parallelism.unwrap_or(cores),
            job: self.cluster.job("anomaly"),
            clock: system_clock(),
            metrics: Arc::new(Metrics::default()),
            rows_max: None,
            drain: false,
            preview: None,
            collect: None,
        };
        let (_stop, stopped) = watch::channel(false);
        let summary = self.runtime.block_on(async {
            let pipeline = Pipeline::open(Arc::new(plan), options).await?;
            // In a task of its own, as `streamer run` has it.
            let running = tokio::spawn(pipeline.run(stopped));
            running.await.map_err(|e| Error::internal(format!("the job failed: {e}")))?
        })?;
        let mut counts = RowCounts::default();
        for partition in &summary.partitions {
            counts += partition.counts;
        }
        if !counts.balanced() || counts.late + counts.bad > 0 {
            return Err(Error::internal(format!("rows went astray: {counts:?}")));
        }
        self.cluster.all(counts.read)
    }

    fn threads(&self) -> Threads {
        Threads::AllButBrokers
    }
}
