//! Every epoch of a job, read in full.

use std::collections::BTreeMap;

use crate::cli::script::StateLayout;
use crate::connectors::delivery::{self, Waiting};
use crate::error::{Error, ErrorKind, Result};
use crate::state::manifest::Manifest;
use crate::state::store::{CheckpointStore, Examined, Flaw, examine};

/// An epoch as it was found.
pub(super) struct Epoch {
    pub(super) number: u64,
    /// Its manifest, if that can be read.
    pub(super) manifest: Option<Manifest>,
    /// Everything that is wrong.
    pub(super) flaws: Vec<Flaw>,
    /// What waits for sinks that have an outbox.
    pub(super) outbox: BTreeMap<String, Vec<Waiting>>,
}

impl Epoch {
    /// `intact`, or what is wrong.
    pub(super) fn condition(&self) -> String {
        match self.flaws.as_slice() {
            [] => "intact".to_owned(),
            [first] => format!("damaged: {first}"),
            [first, rest @ ..] => format!("damaged: {first} and {} more", rest.len()),
        }
    }

    /// Bytes of the objects it needs.
    pub(super) fn bytes(&self) -> u64 {
        self.manifest.iter().flat_map(Manifest::objects).map(|object| object.bytes).sum()
    }

    /// All of it as one document.
    pub(super) fn json(&self) -> Result<String> {
        let flaws: Vec<String> = self.flaws.iter().map(Flaw::to_string).collect();
        let outbox: BTreeMap<&str, Vec<serde_json::Value>> = self
            .outbox
            .iter()
            .map(|(sink, waiting)| {
                let epochs = waiting.iter().map(|waiting| {
                    let Waiting { epoch, rows, undelivered, .. } = waiting;
                    serde_json::json!({ "epoch": epoch, "rows": rows, "undelivered": undelivered })
                });
                (sink.as_str(), epochs.collect())
            })
            .collect();
        let document = serde_json::json!({
            "epoch": self.number,
            "intact": self.flaws.is_empty(),
            "flaws": flaws,
            "manifest": self.manifest,
            "outbox": outbox,
        });
        serde_json::to_string_pretty(&document)
            .map_err(|e| Error::internal(format!("a manifest has no JSON form: {e}")))
    }
}

/// All epochs of a job, rising.
pub(super) fn survey(job: &StateLayout) -> Result<Vec<Epoch>> {
    let directory = job.checkpoint();
    let mut epochs = Vec::new();
    for number in CheckpointStore::epochs(&directory)? {
        let found = match examine(&directory, number) {
            Ok(None) => continue,
            Ok(Some(found)) => found,
            Err(error) if error.kind() == ErrorKind::State => {
                let flaw = Flaw { file: directory.clone(), reason: error.message().to_owned() };
                Examined { manifest: None, flaws: vec![flaw] }
            }
            Err(error) => return Err(error),
        };
        let mut epoch = Epoch { number, manifest: found.manifest, flaws: found.flaws, outbox: BTreeMap::new() };
        outbox(job, &mut epoch)?;
        epochs.push(epoch);
    }
    Ok(epochs)
}

/// Reads what the epoch's manifest lists of the outbox. Newer manifests list less, and what they no longer list is
/// removed; so what is gone is missing only from the newest.
fn outbox(job: &StateLayout, epoch: &mut Epoch) -> Result<()> {
    let Some(manifest) = &epoch.manifest else { return Ok(()) };
    for (sink, state) in &manifest.sinks {
        let Some(waiting) = delivery::inspect(&job.outbox(), state)? else { continue };
        let newest = CheckpointStore::newest_epoch(&job.checkpoint())? == Some(epoch.number);
        for segment in &waiting {
            epoch.flaws.extend(segment.damage.clone().map(|(file, reason)| Flaw { file, reason }));
            if segment.gone && newest {
                let file = segment.files.first().cloned().unwrap_or_default();
                epoch.flaws.push(Flaw { file, reason: "the file is gone".into() });
            }
        }
        epoch.outbox.insert(sink.clone(), waiting);
    }
    Ok(())
}
