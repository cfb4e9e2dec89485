//! The two aggregates of the main job, and sessions, each alone: rows decoded and stamped before, results thrown away.
//!
//! The plan is the planner's. Partitions take turns batch by batch, as their tasks do, and the watermark
//! after each round is the least of theirs, as the runtime tells it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use streamer::error::{Error, Result};
use streamer::operators::watermark::WatermarkAssigner;
use streamer::operators::{self, Firing, Operator, Output};
use streamer::plan::{Node, NodeId, NodeKind, StreamPlan};
use streamer::sql::plan_script;
use streamer::stream::PartitionId;
use streamer::table::TableSpec;
use streamer::time::{EventTime, WATERMARK_MAX, WATERMARK_MIN};

use crate::decode::{decode, reading_decoder};
use crate::measure::Subject;
use crate::readings::Readings;

/// Rows of a batch: about what one fetch of librdkafka holds of these messages.
const BATCH_ROWS: usize = 4096;

const WINDOW: &str = "CREATE TABLE device_windows (
  device_id STRING, window_start TIMESTAMP(3), readings BIGINT, mean DOUBLE, std DOUBLE, lowest DOUBLE, highest DOUBLE
) WITH ('connector' = 'blackhole');
INSERT INTO device_windows
SELECT device_id, window_start, COUNT(*), AVG(`data`), STDDEV_POP(`data`), MIN(`data`), MAX(`data`)
FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(event_time), INTERVAL '30' SECOND))
GROUP BY device_id, window_start, window_end;";

/// A device is silent that long now and then: sessions of some keys end with every watermark, most go on.
const SESSION: &str = "CREATE TABLE device_sessions (
  device_id STRING, window_start TIMESTAMP(3), readings BIGINT, mean DOUBLE, std DOUBLE
) WITH ('connector' = 'blackhole');
INSERT INTO device_sessions
SELECT device_id, window_start, COUNT(*), AVG(`data`), STDDEV_POP(`data`)
FROM TABLE(SESSION(TABLE readings PARTITION BY device_id, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
GROUP BY device_id, window_start, window_end;";

const OVER: &str = "CREATE TABLE rolling (device_id STRING, `data` DOUBLE, mean DOUBLE, std DOUBLE)
WITH ('connector' = 'blackhole');
INSERT INTO rolling
SELECT device_id, `data`, AVG(`data`) OVER last_100, STDDEV_POP(`data`) OVER last_100
FROM readings
WINDOW last_100 AS (PARTITION BY device_id ORDER BY event_time ROWS BETWEEN 99 PRECEDING AND CURRENT ROW);";

/// The table both read; no broker is asked.
pub(crate) fn readings_table() -> String {
    "CREATE TABLE readings (
  device_id STRING, broker STRING, `timestamp` TIMESTAMP(6), `data` DOUBLE,
  event_time AS CAST(`timestamp` AS TIMESTAMP(3)),
  WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
) WITH (
  'connector' = 'kafka', 'topic' = 'readings', 'properties.bootstrap.servers' = 'embedded',
  'properties.group.id' = 'bench', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601'
);
"
    .to_owned()
}

/// The first table of a script.
pub(crate) fn table_of(script: &str) -> Result<Arc<TableSpec>> {
    let script = plan_script(script, &|_| None)?;
    script.tables.first().cloned().ok_or_else(|| Error::internal("a script without a table"))
}

/// The plan of a script with one job.
pub(crate) fn plan_of(script: &str, variables: &dyn Fn(&str) -> Option<String>) -> Result<StreamPlan> {
    let script = plan_script(script, variables)?;
    let job = script.jobs.into_iter().next().ok_or_else(|| Error::internal("a script without a job"))?;
    Ok(job.plan)
}

/// A batch of one partition and the partition's watermark after it.
struct Stamped {
    partition: usize,
    rows: RecordBatch,
    watermark: EventTime,
}

/// One aggregate of a plan, and its input.
struct Aggregate {
    name: &'static str,
    node: Node,
    /// Columns of the node's input.
    input: SchemaRef,
    /// One batch of each partition that has one left, round by round.
    rounds: Vec<Vec<Stamped>>,
    partitions: usize,
    // made anew for every pass
    local: Vec<Option<Box<dyn Operator>>>,
    keyed: Option<Box<dyn Operator>>,
}

/// All that are wanted.
pub(crate) fn subjects(readings: &Readings, wants: impl Fn(&str) -> bool) -> Result<Vec<Box<dyn Subject>>> {
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for (name, query) in [
        ("window aggregate, TUMBLE 30 s", WINDOW),
        ("session aggregate, 1 s of silence", SESSION),
        ("over aggregate, last 100 rows", OVER),
    ] {
        if wants(name) {
            let plan = plan_of(&(readings_table() + query), &|_| None)?;
            subjects.push(Box::new(Aggregate::new(name, &plan, readings)?));
        }
    }
    Ok(subjects)
}

impl Aggregate {
    fn new(name: &'static str, plan: &StreamPlan, readings: &Readings) -> Result<Self> {
        let is_aggregate = |n: &Node| matches!(n.kind, NodeKind::WindowAggregate(_) | NodeKind::OverAggregate(_));
        let node = plan.nodes.iter().find(|n| is_aggregate(n)).ok_or_else(|| Error::internal("no aggregate"))?;
        let below = *node.inputs.first().ok_or_else(|| Error::internal("an aggregate without input"))?;
        let mut rounds: Vec<Vec<Stamped>> = Vec::new();
        for (partition, _) in readings.partitions.iter().enumerate() {
            for (round, stamped) in stamped(plan, below, readings, partition)?.into_iter().enumerate() {
                if rounds.len() <= round {
                    rounds.push(Vec::new());
                }
                rounds[round].push(stamped);
            }
        }
        let input = Arc::clone(&plan.nodes[below].schema);
        let (node, partitions) = (node.clone(), readings.partitions.len());
        Ok(Self { name, node, input, rounds, partitions, local: Vec::new(), keyed: None })
    }
}

/// What the node `below` the aggregate gives of a partition.
fn stamped(plan: &StreamPlan, below: NodeId, readings: &Readings, partition: usize) -> Result<Vec<Stamped>> {
    let (_, source) = plan.sources().next().ok_or_else(|| Error::internal("no source"))?;
    let id = PartitionId::new(0, 0, i32::try_from(partition).unwrap_or(i32::MAX))?;
    let mut assigner = WatermarkAssigner::new(source, id, WATERMARK_MIN)?;
    // Operators of the chain from the source up to `below`.
    let mut chain = Vec::new();
    let mut at = below;
    while let Some(operator) = operators::chained(&plan.nodes[at])? {
        chain.push(operator);
        at = *plan.nodes[at].inputs.first().ok_or_else(|| Error::internal("a step without input"))?;
    }
    let mut out = Vec::new();
    let mut offset = 0;
    let mut decoder = reading_decoder()?;
    let messages = readings.partitions[partition].iter().map(|reading| reading.message.as_slice());
    decode(decoder.as_mut(), messages, BATCH_ROWS, |rows| {
        let end = offset + rows.num_rows() as i64;
        let offsets = (offset..end).collect::<Vec<i64>>().into();
        let due = readings.partitions[partition].iter().skip(offset as usize).take(rows.num_rows());
        let timestamps = due.map(|reading| reading.timestamp_ms).collect::<Vec<i64>>().into();
        offset = end;
        let mut rows = assigner.assign(&rows, &offsets, Some(&timestamps))?.batch;
        for operator in chain.iter_mut().rev() {
            let mut output = Output::default();
            operator.process(rows, &mut output)?;
            rows = match <[RecordBatch; 1]>::try_from(output.batches) {
                Ok([rows]) => rows,
                Err(_) => return Err(Error::internal("a projection that cuts batches")),
            };
        }
        out.push(Stamped { partition, rows, watermark: assigner.watermark() });
        Ok(())
    })?;
    Ok(out)
}

impl Subject for Aggregate {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn prepare(&mut self) -> Result<()> {
        let new = || operators::local(&self.node, &self.input);
        self.local = (0..self.partitions).map(|_| new()).collect::<Result<_>>()?;
        self.keyed = operators::keyed(&self.node, &self.input)?;
        Ok(())
    }

    fn pass(&mut self) -> Result<u64> {
        let keyed = self.keyed.as_mut().ok_or_else(|| Error::internal("no operator after the exchange"))?;
        let mut results = 0;
        let mut rows = 0;
        let mut watermarks = vec![WATERMARK_MIN; self.partitions];
        for round in &self.rounds {
            for Stamped { partition, rows: batch, watermark } in round {
                rows += batch.num_rows() as u64;
                let mut between = Output::default();
                match &mut self.local[*partition] {
                    Some(local) => {
                        local.process(batch.clone(), &mut between)?;
                        fire(local.as_mut(), *watermark, &mut between)?;
                    }
                    None => between.batches.push(batch.clone()),
                }
                results += take(keyed.as_mut(), between)?;
                watermarks[*partition] = *watermark;
            }
            let told = watermarks.iter().copied().min().unwrap_or(WATERMARK_MIN);
            results += pass_watermark(keyed.as_mut(), told)?;
        }
        for local in self.local.iter_mut().flatten() {
            let mut between = Output::default();
            fire(local.as_mut(), WATERMARK_MAX, &mut between)?;
            results += take(keyed.as_mut(), between)?;
        }
        results += pass_watermark(keyed.as_mut(), WATERMARK_MAX)?;
        if matches!(self.node.kind, NodeKind::OverAggregate(_)) && results != rows {
            return Err(Error::internal(format!("{rows} rows gave {results} results")));
        }
        if results == 0 {
            return Err(Error::internal("no result"));
        }
        Ok(rows)
    }
}

fn take(keyed: &mut dyn Operator, between: Output) -> Result<u64> {
    if !between.late.is_empty() {
        return Err(Error::internal(format!("{} late rows", between.late.len())));
    }
    let mut output = Output::default();
    for batch in between.batches {
        keyed.process(batch, &mut output)?;
    }
    counted(output)
}

/// All that a watermark completes.
fn fire(operator: &mut dyn Operator, watermark: EventTime, all: &mut Output) -> Result<()> {
    let mut firing = Firing::More;
    while firing == Firing::More {
        let mut output = Output::default();
        firing = operator.on_watermark(watermark, &mut output)?;
        all.batches.extend(output.batches);
        all.late.extend(output.late);
    }
    Ok(())
}

fn pass_watermark(keyed: &mut dyn Operator, watermark: EventTime) -> Result<u64> {
    let mut output = Output::default();
    fire(keyed, watermark, &mut output)?;
    counted(output)
}

fn counted(output: Output) -> Result<u64> {
    if !output.late.is_empty() {
        return Err(Error::internal(format!("{} late rows", output.late.len())));
    }
    Ok(std::hint::black_box(output).batches.iter().map(|batch| batch.num_rows() as u64).sum())
}
