//! Whether a topic is the one that was read: by the id its brokers gave it when it was made.
//!
//! The id stands in the state beside the offset, which says nothing without it. An answer that does not come is no
//! answer: it never counts as "the same", and never takes the place of an id that is known.

use std::sync::Arc;
use std::time::Duration;

use super::{FRESH, KafkaSource, client};
use crate::connectors::{DataLoss, Split};
use crate::error::{Error, ErrorKind, Result};
use crate::stream::SourcePosition;

/// Name of the topic's id in a fingerprint.
const TOPIC_ID: &str = "topic_id";

/// What stands for the id of every topic of the embedded cluster: it is made anew at each start and goes on by its
/// offsets, so its own ids say nothing.
const EMBEDDED_ID: &str = "embedded";

/// How often brokers are asked for a topic's id, and how long after a question without an answer.
const ID_ATTEMPTS: usize = 3;
const ID_ATTEMPT_WAIT: Duration = Duration::from_millis(200);

/// What the state is to keep of a topic; without an id it still says that brokers were read.
pub(super) fn fingerprint(id: Option<&str>) -> serde_json::Value {
    serde_json::json!({ TOPIC_ID: id })
}

/// Asks, up to [`ID_ATTEMPTS`] times, as long as there is no answer.
async fn until_answered<T, F: Future<Output = Result<T>>>(ask: impl Fn(usize) -> F) -> Result<T> {
    let mut attempt = 0;
    loop {
        match ask(attempt).await {
            Err(error) if attempt + 1 < ID_ATTEMPTS && error.kind() == ErrorKind::Unavailable => {
                tracing::debug!(%error, "a topic's id is asked for again");
            }
            answer => return answer,
        }
        attempt += 1;
        tokio::time::sleep(ID_ATTEMPT_WAIT).await;
    }
}

impl KafkaSource {
    /// The id of a topic, which tells it from one made anew under its name; `None` where the brokers know none.
    pub(super) async fn topic_id(&mut self, topic: &str) -> Result<Option<String>> {
        if self.embedded {
            return Ok(Some(EMBEDDED_ID.to_owned()));
        }
        if let Some(known) = self.ids.get(topic) {
            return Ok(known.clone());
        }
        let id = until_answered(|attempt| {
            let (consumer, name) = (Arc::clone(&self.consumer), topic.to_owned());
            client::blocking(move || client::topic_id(&consumer, &name, attempt))
        })
        .await
        .map_err(|e| e.or_at(self.table.options.span("topic").or(self.table.span)))?;
        self.ids.insert(topic.to_owned(), id.clone());
        Ok(id)
    }

    /// Refuses a topic that was deleted and made anew since `position` was stored, and one of other brokers than the
    /// embedded cluster's on its offsets, or the other way round. A position without a fingerprint is an older
    /// version's: its offset is what there is.
    pub(super) async fn recognize_topic(&mut self, split: &Split, position: &SourcePosition) -> Result<()> {
        let Some(fingerprint) = &position.fingerprint else { return Ok(()) };
        let stored = fingerprint.get(TOPIC_ID).and_then(|id| id.as_str());
        let at = self.table.options.span("topic").or(self.table.span);
        if (stored == Some(EMBEDDED_ID)) != self.embedded {
            return Err(self.other_cluster(split, position).or_at(at));
        }
        let now = self.topic_id(&split.topic).await?;
        let (stored, now) = match (stored, now) {
            (Some(stored), Some(now)) if stored != now => (stored, now),
            (Some(stored), None) => {
                // Brokers that know no ids do not make the one that is known wrong: it stays in the state.
                self.ids.insert(split.topic.clone(), Some(stored.to_owned()));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Split { topic, partition, .. } = split;
        if self.options.data_loss == DataLoss::Ledger {
            self.recreated.insert((topic.clone(), *partition), fingerprint.clone());
            return Ok(());
        }
        let (consumer, name, number) = (Arc::clone(&self.consumer), topic.clone(), *partition);
        let (low, high) = client::blocking(move || client::watermarks(&consumer, &name, number)).await?;
        Err(Error::data(format!(
            "topic \"{topic}\" was deleted and made anew: partition {partition} was read up to offset {}, and the new \
             one holds offsets {low} up to {high}",
            position.next_offset
        ))
        .detail(format!("The topic that was read has the id {stored}, this one {now}."))
        .hint(FRESH)
        .or_at(at))
    }

    /// The state is of the embedded cluster and this start is not, or the other way round: an offset of the one says
    /// nothing in the other.
    fn other_cluster(&self, split: &Split, position: &SourcePosition) -> Error {
        let Split { topic, partition, .. } = split;
        let (was, now, back) = if self.embedded {
            ("kafka brokers", "the embedded cluster".to_owned(), "set KAFKA_BOOTSTRAP_SERVERS to the brokers to go on")
        } else {
            let now = format!("the brokers at \"{}\"", self.options.bootstrap);
            ("the embedded cluster", now, "leave KAFKA_BOOTSTRAP_SERVERS unset to go on")
        };
        Error::data(format!("the stored state read topic \"{topic}\" from {was}, and this start reads it from {now}"))
            .detail(format!(
                "Partition {partition} was read up to offset {} there; at that offset here stands another record.",
                position.next_offset
            ))
            .hint(format!(
                "start over with --fresh, which forgets that state, or keep it and name another directory with \
                 --state DIR; {back}"
            ))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often is asked if the answers before number `answered` do not come, and what is told then.
    async fn asked(answered: usize, missing: fn(&str) -> Error) -> (usize, Option<ErrorKind>) {
        let asked = Cell::new(0);
        let told = until_answered(|attempt| {
            assert_eq!(asked.replace(attempt + 1), attempt);
            std::future::ready(if attempt < answered { Err(missing("no answer")) } else { Ok(attempt) })
        });
        let told = told.await.err().map(|error| error.kind());
        (asked.get(), told)
    }

    #[tokio::test]
    async fn what_is_not_answered_is_asked_again_a_few_times() {
        assert_eq!(asked(0, |text| Error::unavailable(text)).await, (1, None));
        assert_eq!(asked(2, |text| Error::unavailable(text)).await, (3, None));
        assert_eq!(asked(3, |text| Error::unavailable(text)).await, (3, Some(ErrorKind::Unavailable)));
        assert_eq!(asked(1, |text| Error::config(text)).await, (1, Some(ErrorKind::Config)), "refused, not silent");
    }
}
