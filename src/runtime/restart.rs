//! Which epoch a job goes on from: the newest, or the one before if the newest is damaged and no sink can have it.
//!
//! What to do is decided by [`crate::protocol`]; here it is found out what is intact. That no sink has the damaged
//! epoch, each sink says itself when it is restored ([`Fallback`]), after it was claimed: until every one has, the
//! manifests carry the duty to ask.

use std::path::Path;

use crate::connectors::Fallback;
use crate::error::{Error, Result};
use crate::protocol::{Head, Kept, Protocol, Restart, Rules};
use crate::runtime::checkpoint::SharedStore;
use crate::runtime::layout::Snapshots;
use crate::state::manifest::Manifest;
use crate::state::store::{CheckpointStore, Flaw, examine};

/// Name of the duty in the manifest.
const EXTRA: &str = "fallback";

/// An intact epoch to go on from.
#[derive(Debug)]
pub struct Found {
    /// Its manifest.
    pub manifest: Manifest,
    /// What the take-over goes on from.
    pub head: Head,
    /// The damaged epoch that is left out by it, or by an earlier start that did not get as far as an epoch.
    pub fallback: Option<Fallback>,
}

/// The epoch a restart of the state in `directory` uses, and nothing is changed.
///
/// # Errors
/// `State` if there are epochs and none can be used.
pub fn newest_intact(directory: &Path) -> Result<Option<Found>> {
    let (mut kept, mut intact, mut flaws) = (Vec::new(), None, Vec::new());
    for epoch in CheckpointStore::epochs(directory)?.into_iter().rev() {
        let Some(found) = examine(directory, epoch)? else { continue };
        let whole = found.manifest.filter(|_| found.flaws.is_empty());
        kept.insert(0, Kept { epoch, intact: whole.as_ref().map(|manifest| manifest.fence) });
        flaws.extend(found.flaws);
        if whole.is_some() {
            intact = whole;
            break;
        }
    }
    match (Protocol.restart(&kept), intact) {
        (Restart::Use { epoch, head, leaves_out }, Some(manifest)) => {
            let fallback = match leaves_out {
                Some(damaged) => Some(Fallback { used: epoch, damaged, reason: reasons(&flaws) }),
                None => pending(&manifest)?,
            };
            Ok(Some(Found { manifest, head, fallback }))
        }
        (Restart::Stop { damaged }, _) => Err(unusable(&damaged, &flaws)),
        _ => Ok(None),
    }
}

/// The epoch to restore, with the operators' state.
///
/// # Errors
/// As [`newest_intact`].
pub(crate) async fn restore(store: &SharedStore) -> Result<Option<(Found, Snapshots)>> {
    let Some(found) = store.with(|store| newest_intact(store.dir())).await? else { return Ok(None) };
    let snapshots = store.restore(&found.manifest).await?;
    Ok(Some((found, snapshots)))
}

/// Puts the duty to ask every sink into a manifest.
///
/// # Errors
/// `Internal` if it has no JSON form.
pub fn demand(manifest: &mut Manifest, fallback: Option<&Fallback>) -> Result<()> {
    manifest.extras.remove(EXTRA);
    if let Some(fallback) = fallback {
        let duty =
            serde_json::to_value(fallback).map_err(|e| Error::internal(format!("a fallback has no JSON form: {e}")))?;
        manifest.extras.insert(EXTRA.into(), duty);
    }
    Ok(())
}

fn pending(manifest: &Manifest) -> Result<Option<Fallback>> {
    let Some(duty) = manifest.extras.get(EXTRA) else { return Ok(None) };
    serde_json::from_value(duty.clone())
        .map(Some)
        .map_err(|e| Error::state("what the stored state leaves out cannot be read").because(e))
}

fn reasons(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

fn unusable(damaged: &[u64], flaws: &[Flaw]) -> Error {
    let epochs: Vec<String> = damaged.iter().map(u64::to_string).collect();
    let (noun, verb) = if damaged.len() == 1 { ("epoch", "is") } else { ("epochs", "are") };
    Error::state(format!("{noun} {} {verb} damaged: {}", epochs.join(", "), reasons(flaws)))
        .detail("Only the newest epoch can be left out, and only for the intact one directly before it.")
        .hint("restore the files from a copy, or start over with --fresh, which reads everything again")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::state::manifest::{FORMAT_VERSION, SnapshotRef, fingerprint};
    use crate::stream::RowCounts;
    use crate::time::unique_id;

    fn manifest(epoch: u64, fence: u64) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            epoch,
            fence,
            pipeline: "job".into(),
            instance: "0123456789abcdef".into(),
            created_ms: 17,
            put_id: unique_id(),
            plan: fingerprint("plan"),
            plan_text: "plan".into(),
            sources: Vec::new(),
            operators: BTreeMap::new(),
            sinks: BTreeMap::new(),
            ledger: RowCounts::default(),
            extras: BTreeMap::new(),
        }
    }

    /// Epochs 1 to 3; each has an object of its own, and all one in common.
    fn state() -> (tempfile::TempDir, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = CheckpointStore::open(directory.path()).unwrap();
        let common = store.put("common", b"all").unwrap();
        let mut own = vec![common.path.clone()];
        for epoch in 1..=3 {
            let object = store.put("own", &[b'0' + epoch as u8]).unwrap();
            own.push(object.path.clone());
            let mut manifest = manifest(epoch, 5);
            let objects = vec![common.clone(), object];
            manifest.operators.insert("chain".into(), vec![SnapshotRef { epoch, full: true, objects }]);
            store.commit(&manifest).unwrap();
        }
        (directory, own)
    }

    #[test]
    fn a_damaged_newest_epoch_is_left_out_with_the_duty_to_ask() {
        let (directory, objects) = state();
        for (file, reason) in [("m/00000000000000000003.json", "EOF"), (objects[3].as_str(), "bytes instead of")] {
            let path = directory.path().join(file);
            let before = std::fs::read(&path).unwrap();
            let whole = newest_intact(directory.path()).unwrap().unwrap();
            assert_eq!((whole.manifest.epoch, whole.fallback), (3, None));
            std::fs::write(&path, &before[..before.len() / 2]).unwrap();
            let found = newest_intact(directory.path()).unwrap().unwrap();
            assert_eq!((found.manifest.epoch, found.head), (2, Head { epoch: 3, fence: 6 }));
            let fallback = found.fallback.unwrap();
            assert_eq!((fallback.used, fallback.damaged), (2, 3));
            assert!(fallback.reason.contains(file) && fallback.reason.contains(reason), "{}", fallback.reason);
            // the manifest of the take-over still carries it, that of an epoch does not
            let mut next = manifest(4, 7);
            demand(&mut next, Some(&fallback)).unwrap();
            assert_eq!(pending(&next).unwrap(), Some(fallback));
            demand(&mut next, None).unwrap();
            assert_eq!(next.extras, BTreeMap::new());
            std::fs::write(&path, before).unwrap();
        }
    }

    #[test]
    fn damage_that_older_epochs_share_stops_with_every_file() {
        let (directory, objects) = state();
        std::fs::remove_file(directory.path().join(&objects[0])).unwrap();
        let error = newest_intact(directory.path()).unwrap_err();
        assert!(error.message().contains("epochs 1, 2, 3 are damaged"), "{error:?}");
        assert!(error.message().contains(&objects[0]) && error.message().contains("gone"), "{error:?}");
        assert!(error.hint_text().unwrap().contains("--fresh"));
    }
}
