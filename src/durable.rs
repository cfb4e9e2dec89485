//! Files that survive a power cut, and what a file system answers in the user's words.
//!
//! A directory's names count once the directory is synced. A failed sync is never tried again: the kernel may have
//! dropped the pages it could not write. What failed for want of space has had no effect, and passes.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Makes a directory with its parents; the new names are durable.
///
/// # Errors
/// `Unavailable`.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    create_dir(parent)?;
    match std::fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => {
            other.map_err(|e| failure("create", path, e))?;
            sync_dir(parent)
        }
    }
}

/// Makes names created in, or removed from, a directory durable.
///
/// # Errors
/// `Unavailable`.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| unsynced(path, e))
}

/// Gives a finished and synced file its final name. If that is there already, it is the same file,
/// published before a crash.
///
/// # Errors
/// `Unavailable`.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<()> {
    match std::fs::hard_link(temporary, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        // some network and user-space file systems have no hard links
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            return std::fs::rename(temporary, path).map_err(|e| failure("create", path, e));
        }
        other => other.map_err(|e| failure("create", path, e))?,
    }
    remove(temporary)
}

/// Removes a file that may be gone already.
///
/// # Errors
/// `Unavailable`.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failure("remove", path, e)),
        _ => Ok(()),
    }
}

/// Whether the same write may succeed later, with nothing lost meanwhile.
pub(crate) fn lacks_space(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::StorageFull | K::QuotaExceeded | K::ReadOnlyFilesystem)
}

/// An error of the file system in the user's words; it passes if space is all that lacks.
pub(crate) fn failure(doing: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind as K;
    let reason = match error.kind() {
        K::StorageFull | K::QuotaExceeded => "the disk is full".to_owned(),
        K::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        K::PermissionDenied => "permission denied".to_owned(),
        K::NotADirectory => "a part of the path is no directory".to_owned(),
        _ => error.to_string(),
    };
    let passes = lacks_space(&error);
    let remedy = if error.kind() == K::ReadOnlyFilesystem {
        "let that file system be written"
    } else {
        "make room on that disk"
    };
    let error = Error::unavailable(format!("cannot {doing} \"{}\": {reason}", path.display())).because(error);
    if passes { error.passing().hint(remedy) } else { error }
}

/// A sync that failed, for whatever reason: what is on disk is unknown, so it must not be tried again.
pub(crate) fn unsynced(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("cannot make \"{}\" durable: {error}", path.display()))
        .hint("mend the disk and start again: the job goes on from the last committed epoch")
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_space_passes() {
        for (kind, passes) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::ReadOnlyFilesystem, true),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::NotADirectory, false),
        ] {
            assert_eq!(failure("write", Path::new("/x"), kind.into()).passes(), passes, "{kind}");
            assert!(!unsynced(Path::new("/x"), kind.into()).passes(), "{kind}");
        }
        let full = failure("write", Path::new("/x/s"), io::ErrorKind::StorageFull.into());
        assert_eq!(full.message(), "cannot write \"/x/s\": the disk is full");
        assert!(full.hint_text().is_some_and(|hint| hint.contains("make room")), "{full}");
    }

    #[test]
    fn what_is_published_twice_is_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, path) = (dir.path().join("a/.tmp"), dir.path().join("a/b"));
        create_dir(&dir.path().join("a")).unwrap();
        for _ in 0..2 {
            std::fs::write(&temporary, "rows").unwrap();
            publish(&temporary, &path).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"rows");
            assert!(!temporary.exists());
        }
        remove(&path).unwrap();
        remove(&path).unwrap();
    }
}
