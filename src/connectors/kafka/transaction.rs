//! A Kafka table as a target, exactly once: an epoch is one transaction, its marker the offset that the transaction
//! commits for a consumer group of the sink's own.
//!
//! ```text
//!  claim:    new producer, same transactional.id ─► init_transactions (fences, aborts what is open)
//!  deliver:  begin ─► rows ─► every acknowledgement ─► offset n of the group on (topic, 0) ─► commit
//! ```
//! librdkafka has no transactions of the second kind (KIP-890), and repeats a commit whose answer is late: a copy may
//! come through in the middle of the next transaction (KAFKA-17754). So any sign of trouble is a doubt, and after a doubt
//! the producer is thrown away: a new one has a new producer epoch, which the copy does not have.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::admin::Producer;
use super::client::{self, Consumer};
use super::options::{KafkaOptions, Topics};
use super::records::RowRecords;
use super::source::bootstrap;
use crate::connectors::JobContext;
use crate::connectors::delivery::{EpochRows, Refused, Target, Trouble, Writer};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::table::TableSpec;

/// A commit that takes longer may have been sent twice.
const COMMIT_TIME_USUAL: Duration = Duration::from_secs(5);

/// A table as a target of whole epochs.
pub(super) struct Transactions {
    // fixed at start
    records: RowRecords,
    servers: String,
    properties: Vec<(String, String)>,
    id_prefix: Option<String>,
    /// Where the group's offset stands for the marker.
    marker_topic: String,
    // changes while running
    open: Option<Claimed>,
    /// Every record is a batch of its own: some were refused with the batch they were in.
    singly: bool,
}

/// What a claim has made.
struct Claimed {
    producer: Producer,
    /// Reads the marker, and names the group in transactions.
    group: Arc<Consumer>,
}

impl Transactions {
    /// Reads the table's options. No I/O.
    ///
    /// # Errors
    /// `Config` for wrong options.
    pub(super) fn new(table: &TableSpec, options: &KafkaOptions, job: &JobContext) -> Result<Self> {
        let Topics::List(topics) = &options.topics else {
            return Err(Error::internal("transactions for topics that are a pattern"));
        };
        Ok(Self {
            records: RowRecords::new(table, options, job)?,
            servers: bootstrap(&options.bootstrap, job)?.to_owned(),
            properties: options.properties.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            id_prefix: options.transactional_id_prefix.clone(),
            marker_topic: topics.first().cloned().unwrap_or_default(),
            open: None,
            singly: false,
        })
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    async fn open(&mut self, writer: &Writer) -> Result<()> {
        // the old producer goes first, or it would be fenced by the new one and say so
        if let Some(old) = self.open.take() {
            close(old).await?;
        }
        let id = transactional_id(self.id_prefix.as_deref(), &writer.pipeline, &writer.sink);
        let group = format!("{id}-{}", writer.instance);
        let one = self.singly.then_some(("batch.num.messages", "1"));
        let producer = Producer::transactional(&self.servers, self.pairs().chain(one), &id)?;
        self.records.check_topics(&producer).await?;
        producer.init_transactions().await?;
        let mut config = client::config([("client.id", "streamer")]);
        for (name, value) in self.pairs() {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.servers)
            .set("group.id", &group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .remove("auto.offset.reset");
        let group = client::consumer(&config, "marker")?;
        self.open = Some(Claimed { producer, group });
        Ok(())
    }

    async fn read_marker(&mut self) -> Result<Option<u64>> {
        let Some(Claimed { group, .. }) = &self.open else { return Err(unclaimed()) };
        let (group, topic) = (Arc::clone(group), self.marker_topic.clone());
        let offset = client::blocking(move || client::committed(&group, &topic, 0)).await?;
        Ok(offset.and_then(|offset| u64::try_from(offset).ok()))
    }

    async fn deliver_epoch(&mut self, rows: EpochRows) -> Result<(), Trouble> {
        // taken: after any error it is gone, and the next claim makes another
        let Some(claimed) = self.open.take() else { return Err(Trouble::Doubt(unclaimed())) };
        let delivered = self.transaction(&claimed, rows).await;
        match delivered {
            Ok(()) => self.open = Some(claimed),
            Err(_) => close(claimed).await?,
        }
        delivered
    }

    async fn transaction(&mut self, claimed: &Claimed, mut rows: EpochRows) -> Result<(), Trouble> {
        let Claimed { producer, group } = claimed;
        let epoch = rows.epoch();
        let troubles = producer.broker_errors();
        producer.begin()?;
        failpoint("transaction.begun")?;
        let mut refused = Vec::new();
        while let Some(batch) = rows.next().await? {
            self.records.send(producer, &batch.rows, &batch.numbers, Some(&mut refused)).await?;
        }
        failpoint("transaction.sent")?;
        producer.flush().await?;
        failpoint("transaction.acknowledged")?;
        let by_brokers = producer.refused();
        if !by_brokers.is_empty() && !self.singly {
            // a topic's limit holds for a batch of records, and all of a batch are refused together
            self.singly = true;
            let again = format!("epoch {epoch} has a batch the brokers refuse; its rows are sent one by one");
            return Err(Trouble::Doubt(Error::unavailable(again)));
        }
        refused.extend(by_brokers);
        if !refused.is_empty() {
            return Err(Trouble::Refused(refused.into_iter().map(|(row, error)| refusal(row, &error)).collect()));
        }
        if let Some(failure) = producer.failure() {
            return Err(Trouble::Doubt(failure));
        }
        let started = client::now();
        producer.commit_with_offset(group, &self.marker_topic, epoch).await?;
        failpoint("transaction.committed")?;
        if producer.broker_errors() != troubles || client::now().saturating_sub(started) > COMMIT_TIME_USUAL {
            let doubt = format!("epoch {epoch} was committed with trouble on the way; its marker is read again");
            return Err(Trouble::Doubt(Error::unavailable(doubt)));
        }
        Ok(())
    }
}

/// The `transactional.id` of a sink. Job and sink are always in it: a prefix that two scripts share must not make one of
/// them fence the other, and no two sinks of a script have the same, since its jobs are numbered.
fn transactional_id(prefix: Option<&str>, pipeline: &str, sink: &str) -> String {
    format!("{}-{pipeline}-{sink}", prefix.unwrap_or("streamer"))
}

/// Ends clients where that may block.
async fn close(claimed: Claimed) -> Result<()> {
    client::blocking(move || {
        drop(claimed);
        Ok(())
    })
    .await
}

fn refusal(row: u64, error: &Error) -> Refused {
    Refused { row, code: "ROW_REFUSED".to_owned(), column: None, message: error.message().to_owned() }
}

fn unclaimed() -> Error {
    Error::internal("a kafka sink is used before it is claimed")
}

impl Target for Transactions {
    fn claim<'a>(&'a mut self, writer: &'a Writer) -> BoxFuture<'a, Result<bool>> {
        async {
            self.open(writer).await?;
            Ok(true)
        }
        .boxed()
    }

    fn marker(&mut self) -> BoxFuture<'_, Result<Option<u64>>> {
        self.read_marker().boxed()
    }

    fn deliver(&mut self, rows: EpochRows) -> BoxFuture<'_, Result<(), Trouble>> {
        self.deliver_epoch(rows).boxed()
    }

    fn marker_beside_rows(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        format!("kafka topic {}", self.marker_topic)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::transactional_id;

    #[test]
    fn jobs_and_sinks_have_ids_of_their_own_whatever_prefix_they_share() {
        assert_eq!(transactional_id(None, "anomaly", "3.alerts"), "streamer-anomaly-3.alerts");
        let places = [("a-1", "3.t"), ("a-2", "3.t"), ("a-1", "4.t"), ("b", "3.t")];
        let ids: BTreeSet<String> = places.iter().map(|(job, sink)| transactional_id(Some("p"), job, sink)).collect();
        assert_eq!(ids.len(), places.len(), "{ids:?}");
        assert!(ids.contains("p-a-1-3.t"), "{ids:?}");
    }
}
