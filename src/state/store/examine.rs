//! Looking at an epoch without using it: is its manifest whole, and every object it names? Nothing is locked or
//! changed, so another process may be at work in the directory and remove an old epoch meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use super::{OBJECTS, failure, manifest_path, our_object};
use crate::error::{Error, Result};
use crate::state::manifest::{FORMAT_VERSION, Manifest, ObjectRef, Unreadable};

/// A file that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\": {}", self.file.display(), self.reason)
    }
}

/// What became of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Its manifest, if that can be read.
    pub manifest: Option<Manifest>,
    /// What is damaged of it; nothing: it is intact.
    pub flaws: Vec<Flaw>,
}

/// Reads the manifest of an epoch and every object it names; `None`: the epoch is not there any more.
///
/// # Errors
/// `Unavailable` if a file cannot be read, which says nothing of what is in it; `State` if the manifest is of another
/// format: it is not damaged, and not for this program.
pub fn examine(dir: &Path, epoch: u64) -> Result<Option<Examined>> {
    let path = manifest_path(dir, epoch);
    let text = match std::fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| failure("read", &path, e))?,
    };
    let flaw = |reason: String| Flaw { file: path.clone(), reason };
    let manifest = match Manifest::read(&text) {
        Ok(manifest) if manifest.epoch == epoch => manifest,
        Ok(manifest) => {
            let reason = format!("it is the manifest of epoch {}", manifest.epoch);
            return Ok(Some(Examined { manifest: None, flaws: vec![flaw(reason)] }));
        }
        Err(Unreadable::Damaged(reason)) => {
            let reason = if text.is_empty() { "the file is empty".to_owned() } else { reason };
            return Ok(Some(Examined { manifest: None, flaws: vec![flaw(reason)] }));
        }
        Err(Unreadable::Format(format)) => {
            return Err(Error::state(format!(
                "manifest \"{}\" has format {format}, this streamer reads format {FORMAT_VERSION}",
                path.display()
            ))
            .hint("run the streamer that wrote it, use another --state directory, or start over with --fresh"));
        }
    };
    let mut flaws = Vec::new();
    for named in manifest.objects() {
        flaws.extend(object(dir, named)?.err());
    }
    // objects go after the last manifest that names them: one that is missing is none if the manifest went first
    if !flaws.is_empty() && !path.try_exists().map_err(|e| failure("read", &path, e))? {
        return Ok(None);
    }
    Ok(Some(Examined { manifest: Some(manifest), flaws }))
}

/// The bytes of an object, or what is wrong with it.
///
/// # Errors
/// `Unavailable` if it cannot be read.
pub(super) fn object(dir: &Path, object: &ObjectRef) -> Result<Result<Vec<u8>, Flaw>> {
    let path = dir.join(&object.path);
    let flaw = |reason: String| Ok(Err(Flaw { file: path.clone(), reason }));
    let plain = object.path.strip_prefix(OBJECTS).and_then(|p| p.strip_prefix('/')).is_some_and(our_object);
    if !plain {
        return flaw("its name is not one of a state object".into());
    }
    let length = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return flaw("the file is gone".into()),
        Err(e) => return Err(failure("read", &path, e)),
    };
    if length != object.bytes {
        return flaw(format!("it has {length} bytes instead of {}", object.bytes));
    }
    let bytes = std::fs::read(&path).map_err(|e| failure("read", &path, e))?;
    if bytes.len() as u64 != object.bytes || crc32fast::hash(&bytes) != object.crc {
        return flaw("the checksum does not match".into());
    }
    Ok(Ok(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::CheckpointStore;
    use super::super::tests::manifest;
    use super::*;

    #[test]
    fn damage_is_told_from_what_is_gone_and_what_is_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = CheckpointStore::open(dir.path()).unwrap();
        let object = store.put("a", b"state").unwrap();
        store.commit(&manifest(1, &[&object])).unwrap();
        assert_eq!(examine(dir.path(), 2).unwrap(), None);
        assert!(examine(dir.path(), 1).unwrap().unwrap().flaws.is_empty());

        std::fs::write(dir.path().join(&object.path), b"stale").unwrap();
        let found = examine(dir.path(), 1).unwrap().unwrap();
        assert!(found.manifest.is_some());
        assert_eq!(found.flaws.len(), 1);
        assert!(found.flaws[0].to_string().contains("checksum"), "{:?}", found.flaws);

        let path = manifest_path(dir.path(), 1);
        std::fs::write(&path, b"").unwrap();
        let found = examine(dir.path(), 1).unwrap().unwrap();
        assert_eq!((found.manifest, found.flaws[0].reason.as_str()), (None, "the file is empty"));
        std::fs::write(&path, br#"{"format_version": 7}"#).unwrap();
        assert!(examine(dir.path(), 1).unwrap_err().message().contains("format 7"));
    }
}
