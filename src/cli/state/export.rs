//! `state export`: a copy of the newest intact epoch, complete and durable, of a job that may be running.
//!
//! The copy counts only if the epoch was still the newest when all of it was copied: until then nothing of it can
//! have been removed or gone on to a later epoch. Its manifest is written last.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::cli::script::StateLayout;
use crate::cli::show;
use crate::connectors::{delivery, filesystem};
use crate::error::{Error, Result};
use crate::runtime::ledger::{self, LEDGER_KINDS};
use crate::runtime::restart;
use crate::state::manifest::Manifest;
use crate::state::store::CheckpointStore;

/// How often a job may commit while it is copied.
const ATTEMPTS_MAX: usize = 50;

/// Copies every job's newest intact epoch below `to`.
pub(super) fn export(jobs: &[StateLayout], to: &Path) -> Result<()> {
    let empty = match std::fs::read_dir(to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        listed => listed.map_err(|e| failed("read", to, &e))?.next().is_none(),
    };
    if !empty {
        return Err(Error::config(format!("\"{}\" is not empty", to.display())).hint("name a directory that is new"));
    }
    for job in jobs {
        let own = jobs.len() > 1 || job.root.file_name().is_some_and(|name| name.to_string_lossy().starts_with("job-"));
        let target = match job.root.file_name() {
            Some(name) if own => to.join(name),
            _ => to.to_path_buf(),
        };
        let manifest = copied(job, &StateLayout { root: target })?;
        show::error_line(&format!(
            "epoch {} of {} is in {}, read up to {} rows; sinks have what follows it if the job goes on: run only one of the two",
            manifest.epoch,
            job.root.display(),
            to.display(),
            manifest.ledger.read
        ));
    }
    Ok(())
}

fn copied(job: &StateLayout, to: &StateLayout) -> Result<Manifest> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(found) = restart::newest_intact(&job.checkpoint())? else {
            return Err(Error::config(format!("there is no epoch in \"{}\"", job.root.display())));
        };
        let left_out = found.fallback.as_ref().map_or(0, |left_out| left_out.damaged);
        let newest = Some(found.manifest.epoch.max(left_out));
        if let Some(left_out) = &found.fallback {
            show::error_line(&format!(
                "note: epoch {} is damaged and left out ({})",
                left_out.damaged, left_out.reason
            ));
        }
        let complete = copy_epoch(job, to, &found.manifest)?;
        if !complete || CheckpointStore::newest_epoch(&job.checkpoint())? != newest {
            continue;
        }
        let mut manifest = found.manifest;
        restart::demand(&mut manifest, found.fallback.as_ref())?;
        let mut store = CheckpointStore::open(&to.checkpoint())?;
        store.commit(&manifest)?;
        for directory in [Some(to.root.as_path()), to.root.parent().filter(|parent| !parent.as_os_str().is_empty())] {
            let directory = directory.unwrap_or_else(|| Path::new("."));
            File::open(directory).and_then(|d| d.sync_all()).map_err(|e| failed("write", directory, &e))?;
        }
        return Ok(manifest);
    }
    Err(Error::unavailable(format!("the job in \"{}\" commits faster than it can be copied", job.root.display()))
        .hint("stop it, then copy"))
}

/// Copies all that a manifest needs; `false`: some of it has gone meanwhile.
fn copy_epoch(job: &StateLayout, to: &StateLayout, manifest: &Manifest) -> Result<bool> {
    for object in manifest.objects() {
        if !copy(&job.checkpoint().join(&object.path), &to.checkpoint().join(&object.path))? {
            return Ok(false);
        }
    }
    for state in manifest.sinks.values() {
        for waiting in delivery::inspect(&job.outbox(), state)?.unwrap_or_default() {
            if let Some((file, reason)) = &waiting.damage {
                return Err(Error::state(format!("\"{}\" is damaged: {reason}", file.display())).hint(
                    "what sinks still lack cannot be copied; \"streamer state verify\" names all that is wrong",
                ));
            }
            if waiting.gone && waiting.undelivered {
                return Ok(false);
            }
            for file in waiting.files.iter().filter(|_| !waiting.gone) {
                let Some(name) = file.file_name() else { continue };
                if !copy(file, &to.outbox().join(name))? {
                    return Ok(false);
                }
            }
        }
    }
    copy_ledger(job, to, manifest)
}

/// The ledger's tables: rows that wait first, then files up to the epoch, so that none is missing in both.
fn copy_ledger(job: &StateLayout, to: &StateLayout, manifest: &Manifest) -> Result<bool> {
    for kind in LEDGER_KINDS {
        let (from, to) = (job.ledger().join(kind.name()), to.ledger().join(kind.name()));
        let staging = from.join(filesystem::STAGING);
        for name in names(&staging)? {
            if !copy(&staging.join(&name), &to.join(filesystem::STAGING).join(&name))? {
                return Ok(false);
            }
        }
        for file in filesystem::visible_files(&ledger::table(&job.ledger(), kind))? {
            let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
            let later = filesystem::last_epoch(name, &manifest.instance).is_some_and(|epoch| epoch > manifest.epoch);
            if !later && !copy(&file, &to.join(name))? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let listed = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|e| failed("read", directory, &e))?,
    };
    let names = listed.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<Vec<_>>>().map_err(|e| failed("read", directory, &e))
}

/// Copies a file durably; `false`: it is not there any more.
fn copy(from: &Path, to: &Path) -> Result<bool> {
    let mut source = match File::open(from) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|e| failed("read", from, &e))?,
    };
    let parent = to.parent().unwrap_or_else(|| Path::new("."));
    let written = std::fs::create_dir_all(parent)
        .and_then(|()| OpenOptions::new().write(true).create(true).truncate(true).open(to))
        .and_then(|mut file| {
            io::copy(&mut source, &mut file)?;
            file.sync_all()?;
            File::open(parent)?.sync_all()
        });
    written.map(|()| true).map_err(|e| failed("write", to, &e))
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::unavailable(format!("cannot {doing} \"{}\": {error}", path.display()))
}
