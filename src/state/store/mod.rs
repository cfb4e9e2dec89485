//! The durable local store: objects under `s/`, one create-only manifest per epoch under `m/`.
//!
//! Durable means: the file is synced, then it gets its name, then the directory is synced. A manifest's
//! name appears only with all its bytes on disk, and never twice; an object counts only once a manifest
//! names it, so it may be written in place. After a failed sync the kernel may have dropped the pages it
//! could not write, so nothing is synced again: the store refuses all further work.
//!
//! All calls block; the runtime makes them off its own threads.

mod examine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::durable::{self, lacks_space, remove, unsynced};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::limits::MANIFESTS_KEPT;
use crate::protocol::{Found, Protocol, Put, Rules, Verdict};
use crate::time::unique_id;

pub use self::examine::{Examined, Flaw, examine};
pub use super::manifest::{FORMAT_VERSION, Manifest, ObjectRef, SnapshotRef, fingerprint};

const MANIFESTS: &str = "m";
const OBJECTS: &str = "s";
const LOCK: &str = "lock";
/// Starts the names of unfinished files: a crash leaves them, opening removes them.
const TEMPORARY: &str = ".tmp-";
/// Longest part of an object's file name that comes from its own name.
const NAME_BYTES_MAX: usize = 120;

/// A directory of states, held by one process at a time.
#[derive(Debug)]
pub struct CheckpointStore {
    dir: PathBuf,
    /// Held, never read: dropping it gives the directory free.
    _lock: File,

    /// The highest epoch that has a manifest.
    newest: Option<u64>,
    /// Objects each manifest names, of manifests looked at so far.
    named: BTreeMap<u64, Vec<String>>,
    /// Objects of epochs in flight: put by this process and not named by a manifest yet.
    unclaimed: Mutex<BTreeSet<String>>,
    /// An object was created since the directory of objects was last synced.
    objects_dirty: AtomicBool,
    /// A sync has failed.
    failed: AtomicBool,
}

impl CheckpointStore {
    /// Opens the state in `dir`, making it if need be, and locks it for this process.
    ///
    /// # Errors
    /// `Unavailable` if another process holds it, or if it cannot be made or written; `Config` if its file system has no
    /// hard links.
    pub fn open(dir: &Path) -> Result<Self> {
        for part in [dir, &dir.join(MANIFESTS), &dir.join(OBJECTS)] {
            durable::create_dir(part).map_err(chosen_by)?;
        }
        let lock = lock(dir)?;
        for part in [MANIFESTS, OBJECTS] {
            for name in entries(&dir.join(part))?.into_iter().filter(|n| n.starts_with(TEMPORARY)) {
                let path = dir.join(part).join(name);
                std::fs::remove_file(&path).map_err(|e| failure("remove", &path, e))?;
            }
        }
        probe_links(dir)?;
        let newest = epochs(dir)?.last().copied();
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
            newest,
            named: BTreeMap::new(),
            unclaimed: Mutex::default(),
            objects_dirty: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// Where the state is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The newest manifest, or `None` if there is none yet.
    ///
    /// # Errors
    /// `State` if it is damaged or of another format: an older one is never taken for it.
    pub fn latest(&self) -> Result<Option<Manifest>> {
        epochs(&self.dir)?.last().map(|epoch| read_manifest(&self.dir, *epoch)).transpose()
    }

    /// Numbers of all manifests of a directory that another process may be using, rising.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be read.
    pub fn epochs(dir: &Path) -> Result<Vec<u64>> {
        epochs(dir)
    }

    /// Stores an object under a name nobody else has. It is safe with the next [`CheckpointStore::commit`].
    ///
    /// # Errors
    /// `Unavailable` if the disk does not take it.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<ObjectRef> {
        self.check()?;
        let path = format!("{OBJECTS}/{}-{}", file_name(name), unique_id());
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        if let Err(error) = self.write_synced(&self.dir.join(&path), bytes) {
            self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
            return Err(error);
        }
        self.objects_dirty.store(true, Ordering::Release);
        Ok(ObjectRef { path, bytes: bytes.len() as u64, crc: crc32fast::hash(bytes) })
    }

    /// Reads an object that a manifest names.
    ///
    /// # Errors
    /// `State` if it is gone or damaged.
    pub fn get(&self, object: &ObjectRef) -> Result<Vec<u8>> {
        examine::object(&self.dir, object)?.map_err(|flaw| {
            Error::state(format!("state object \"{}\" in \"{}\" is damaged", object.path, self.dir.display()))
                .detail(flaw.reason)
                .hint("restore the file from a copy, or start over with --fresh")
        })
    }

    /// Commits an epoch: when this returns `Ok`, a restart goes on from it.
    ///
    /// # Errors
    /// `State` if the epoch has a manifest already (another process wrote here); `Unavailable` if the disk
    /// does not take it: then it is unknown whether the epoch is committed, and a restart finds out.
    pub fn commit(&mut self, manifest: &Manifest) -> Result<()> {
        self.check()?;
        if self.newest.is_some_and(|newest| newest >= manifest.epoch) {
            return Err(self.fenced(manifest.epoch));
        }
        if self.objects_dirty.swap(false, Ordering::AcqRel) {
            self.sync_dir(&self.dir.join(OBJECTS))?;
        }
        failpoint("manifest.begin")?;
        let folder = self.dir.join(MANIFESTS);
        let temporary = folder.join(format!("{TEMPORARY}{}", unique_id()));
        self.write_synced(&temporary, manifest.to_text()?.as_bytes())?;
        failpoint("manifest.written")?;
        let created = self.create_manifest(&temporary, manifest);
        failpoint("manifest.created")?;
        // a leftover is removed at the next start
        let removed = remove(&temporary);
        created?;
        removed?;
        self.sync_dir(&folder)?;
        failpoint("manifest.durable")?;
        self.newest = Some(manifest.epoch);
        let named: Vec<String> = manifest.objects().map(|object| object.path.clone()).collect();
        let unclaimed = self.unclaimed.get_mut().unwrap_or_else(PoisonError::into_inner);
        for path in &named {
            unclaimed.remove(path);
        }
        self.named.insert(manifest.epoch, named);
        Ok(())
    }

    /// Gives a finished manifest its name; what the answer means, the protocol decides.
    fn create_manifest(&self, temporary: &Path, manifest: &Manifest) -> Result<()> {
        let path = manifest_path(&self.dir, manifest.epoch);
        let mut failure = None;
        let mut verdict = Verdict::PutAgain;
        loop {
            verdict = match verdict {
                Verdict::Committed => return Ok(()),
                Verdict::Fenced => return Err(self.fenced(manifest.epoch)),
                Verdict::PutAgain => match failure.take() {
                    // nothing is there, and nothing will be: a disk does not change its mind
                    Some(error) => return Err(error),
                    None => Protocol.after_put(match create_only(temporary, &path) {
                        // after a long pause the number may be free again: a later owner has removed old manifests
                        Ok(true) if Self::newest_epoch(&self.dir)? > Some(manifest.epoch) => {
                            remove(&path)?;
                            return Err(self.fenced(manifest.epoch));
                        }
                        Ok(true) => Put::Created,
                        Ok(false) => Put::Exists,
                        Err(error) => {
                            failure = Some(error);
                            Put::Unknown
                        }
                    }),
                },
                Verdict::ReadBack => Protocol.after_read_back(match read_manifest(&self.dir, manifest.epoch) {
                    Ok(found) if found.put_id == manifest.put_id => Found::Ours,
                    Ok(_) => Found::Foreign,
                    Err(_) if !path.try_exists().unwrap_or(true) => Found::Nothing,
                    Err(error) => return Err(failure.unwrap_or(error)),
                }),
            };
        }
    }

    /// Whether no process has taken the job over since the one of this fence.
    ///
    /// # Errors
    /// As [`CheckpointStore::latest`].
    pub fn is_owner(&self, fence: u64) -> Result<bool> {
        Self::is_owned(&self.dir, fence)
    }

    /// As [`CheckpointStore::is_owner`], of a directory that another process may be using: nothing is locked or made.
    ///
    /// # Errors
    /// As [`CheckpointStore::latest`].
    pub fn is_owned(dir: &Path, fence: u64) -> Result<bool> {
        let newest = epochs(dir)?.last().map(|epoch| read_manifest(dir, *epoch)).transpose()?;
        Ok(newest.is_none_or(|newest| newest.fence == fence))
    }

    /// Removes manifests more than [`MANIFESTS_KEPT`] behind `newest`, and objects that neither a kept
    /// manifest nor an epoch in flight needs.
    ///
    /// # Errors
    /// `Unavailable` if a file cannot be removed.
    pub fn collect_garbage(&mut self, newest: &Manifest) -> Result<()> {
        self.check()?;
        failpoint("garbage.begin")?;
        let epochs = epochs(&self.dir)?;
        let behind = epochs.iter().filter(|epoch| **epoch < newest.epoch).count();
        let (old, kept) = epochs.split_at(behind.saturating_sub(MANIFESTS_KEPT).min(epochs.len()));
        for epoch in old {
            self.named.remove(epoch);
            remove(&manifest_path(&self.dir, *epoch))?;
        }
        failpoint("garbage.manifests-removed")?;
        for epoch in kept {
            if self.named.contains_key(epoch) {
                continue;
            }
            // what an unreadable one names is unknown, so no object may go until it is old itself
            let Ok(manifest) = read_manifest(&self.dir, *epoch) else { return Ok(()) };
            self.named.insert(*epoch, manifest.objects().map(|object| object.path.clone()).collect());
        }
        // Listed first, then asked: as long as the job is ours, nobody has put an object that we would not know.
        let found = entries(&self.dir.join(OBJECTS))?;
        if !self.is_owner(newest.fence)? {
            return Err(self.fenced(newest.epoch));
        }
        let unclaimed = self.unclaimed.get_mut().unwrap_or_else(PoisonError::into_inner);
        let needed: BTreeSet<&str> =
            self.named.values().flatten().chain(unclaimed.iter()).map(String::as_str).collect();
        for name in found {
            let path = format!("{OBJECTS}/{name}");
            if our_object(&name) && !needed.contains(path.as_str()) {
                remove(&self.dir.join(path))?;
            }
        }
        failpoint("garbage.done")
    }

    /// Whether a process holds the state in `dir`.
    ///
    /// # Errors
    /// `Unavailable` if the lock cannot be looked at.
    pub fn is_held(dir: &Path) -> Result<bool> {
        if !dir.join(LOCK).try_exists().map_err(|e| failure("read", dir, e))? {
            return Ok(false);
        }
        Ok(try_lock(dir)?.is_none())
    }

    /// Takes the lock away from whoever holds it; the state can then be opened. The one who had it finds at its next
    /// commit that the job is no longer its own.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be written.
    pub fn seize(dir: &Path) -> Result<()> {
        remove(&dir.join(LOCK))
    }

    /// The number of the newest manifest.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be read.
    pub fn newest_epoch(dir: &Path) -> Result<Option<u64>> {
        Ok(epochs(dir)?.last().copied())
    }

    /// Removes the state in `dir`, for a fresh start. A directory that is not there is fresh.
    ///
    /// # Errors
    /// `Unavailable` if another process holds it; `Config` if there is anything in it that is not ours: then
    /// nothing is removed.
    pub fn clear(dir: &Path) -> Result<()> {
        if !dir.try_exists().map_err(|e| failure("read", dir, e))? {
            return Ok(());
        }
        for name in entries(dir)? {
            if ![MANIFESTS, OBJECTS, LOCK].contains(&name.as_str()) {
                return Err(foreign(dir, &name));
            }
        }
        let _lock = lock(dir)?;
        // oldest manifest first, objects last: a crash in between leaves a state that can be restored, or none
        for (part, ours) in [(MANIFESTS, our_manifest as fn(&str) -> bool), (OBJECTS, our_object)] {
            let folder = dir.join(part);
            for name in entries(&folder)? {
                if !ours(&name) && !name.starts_with(TEMPORARY) {
                    return Err(foreign(&folder, &name));
                }
            }
        }
        for part in [MANIFESTS, OBJECTS] {
            let folder = dir.join(part);
            for name in entries(&folder)? {
                remove(&folder.join(name))?;
            }
            if folder.is_dir() {
                durable::sync_dir(&folder)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::unavailable(format!(
                "the state in \"{}\" could not be written before",
                self.dir.display()
            ))
            .hint("mend the disk and start again: the job goes on from the last committed epoch"));
        }
        Ok(())
    }

    fn fenced(&self, epoch: u64) -> Error {
        Error::state(format!(
            "another process has taken over the state in \"{}\": epoch {epoch} is not this one's to commit",
            self.dir.display()
        ))
        .hint("this one stops, and the other one goes on; two jobs need a --state directory each")
    }

    /// Writes a new file and syncs it. For want of space nothing is left of it, and the same may be tried again;
    /// any other error leaves the store unusable: what reached the disk is unknown.
    fn write_synced(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut written = OpenOptions::new().write(true).create_new(true).open(path);
        if let Ok(file) = &mut written
            && let Err(error) = file.write_all(bytes)
        {
            written = Err(error);
        }
        match written {
            Ok(file) => self.or_fail(file.sync_all().map_err(|e| unsynced(path, e))),
            Err(error) if lacks_space(&error) => {
                // a leftover is removed at the next start; a read-only file system does not let it go now
                drop(remove(path));
                Err(failure("write", path, error))
            }
            Err(error) => self.or_fail(Err(failure("write", path, error))),
        }
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.or_fail(durable::sync_dir(path))
    }

    fn or_fail(&self, result: Result<()>) -> Result<()> {
        result.inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

/// Takes the directory's lock; the kernel gives it back however the process ends.
///
/// `None`: another process holds it.
fn try_lock(dir: &Path) -> Result<Option<File>> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| failure("write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(failure("lock", &path, e)),
    }
}

/// As [`try_lock`]; held by another is an error.
fn lock(dir: &Path) -> Result<File> {
    try_lock(dir)?.ok_or_else(|| {
        Error::unavailable(format!("the state in \"{}\" is in use by another streamer", dir.display()))
            .hint("stop that one, wait for its end with --standby, or choose another directory with --state")
    })
}

/// Gives a finished file its final name unless that is taken; `false`: it was.
fn create_only(temporary: &Path, path: &Path) -> Result<bool> {
    match std::fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            Err(linkless(path, e))
        }
        Err(e) => Err(failure("create", path, e)),
    }
}

/// Without hard links a manifest cannot be created only if there is none: to look first and to rename then would let
/// two processes commit the same epoch.
fn linkless(path: &Path, error: io::Error) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    Error::config(format!("the file system of \"{folder}\" has no hard links, which the state needs"))
        .hint("choose a directory on another file system with --state")
        .because(error)
}

/// Finds out at the start whether a file can be created only once.
fn probe_links(dir: &Path) -> Result<()> {
    let name = || dir.join(MANIFESTS).join(format!("{TEMPORARY}{}", unique_id()));
    let (file, link) = (name(), name());
    File::create_new(&file).map_err(|e| failure("write", &file, e))?;
    let created = create_only(&file, &link);
    remove(&file)?;
    remove(&link)?;
    created.map(drop)
}

/// Names in a directory, sorted; none if it is not there. Names that are no text are shown as such.
fn entries(dir: &Path) -> Result<Vec<String>> {
    let listed = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other,
    };
    let names = listed.and_then(|all| {
        all.map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<_>>>()
    });
    let mut names = names.map_err(|e| failure("read", dir, e))?;
    names.sort_unstable();
    Ok(names)
}

fn manifest_path(dir: &Path, epoch: u64) -> PathBuf {
    dir.join(MANIFESTS).join(format!("{epoch:020}.json"))
}

fn manifest_epoch(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    if digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Epochs with a manifest, rising.
fn epochs(dir: &Path) -> Result<Vec<u64>> {
    Ok(entries(&dir.join(MANIFESTS))?.iter().filter_map(|name| manifest_epoch(name)).collect())
}

fn read_manifest(dir: &Path, epoch: u64) -> Result<Manifest> {
    let path = manifest_path(dir, epoch);
    let text = std::fs::read(&path).map_err(|e| failure("read", &path, e))?;
    let name = path.display().to_string();
    let manifest = Manifest::from_text(&text, &name)?;
    if manifest.epoch != epoch {
        return Err(Error::state(format!("manifest \"{name}\" is the one of epoch {}", manifest.epoch))
            .hint("a file was copied or renamed: restore it, or start over with --fresh"));
    }
    Ok(manifest)
}

fn our_manifest(name: &str) -> bool {
    manifest_epoch(name).is_some()
}

/// Whether a file name is one that [`CheckpointStore::put`] makes.
fn our_object(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(own, id)| {
        id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()) && own.bytes().all(plain_byte)
    })
}

fn plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A name as part of a file name.
fn file_name(name: &str) -> String {
    name.bytes().take(NAME_BYTES_MAX).map(|b| if plain_byte(b) { char::from(b) } else { '_' }).collect()
}

fn foreign(dir: &Path, name: &str) -> Error {
    Error::config(format!("\"{name}\" in \"{}\" is no state of streamer: nothing was removed", dir.display()))
        .hint("choose another directory with --state, or move the file away")
}

/// An error of the file system in the user's words.
fn failure(doing: &str, path: &Path, error: io::Error) -> Error {
    chosen_by(durable::failure(doing, path, error))
}

fn chosen_by(error: Error) -> Error {
    let remedy = error.hint_text().map_or_else(String::new, |remedy| format!("{remedy}; "));
    error.hint(format!("{remedy}the state directory is chosen with --state"))
}

#[cfg(test)]
mod tests;
