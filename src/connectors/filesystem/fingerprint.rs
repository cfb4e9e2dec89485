//! Which files a table's rows were read from, so that a restart recognises them.
//!
//! A file is the same if its path, length and time of modification are. A start that goes on from stored state
//! takes up the file it was in and goes on to those after it. It refuses, by name: a file that was changed after
//! it was read, or while it was; a file that was being read and is gone; a file that has come before one already
//! read, whose rows would never be read. A file read to its end may go: nothing more is wanted of it.
//!
//! Limit: every file ever read keeps its mark, about 100 bytes with a path of 60, and every epoch stores all of them
//! anew. A hundred thousand files make that 10 MB each epoch; for more, put the rows into fewer, larger files.

use std::fs::Metadata;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{self, TableFile};
use crate::error::{Error, Result};
use crate::time::moment_text;

/// One file as it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    /// Path below the table's folder.
    path: String,
    bytes: u64,
    modified_ms: i64,
}

impl FileMark {
    /// The mark of a file whose handle says `metadata`.
    pub(super) fn new(root: &Path, path: &Path, metadata: &Metadata) -> Self {
        Self { path: name(root, path), bytes: metadata.len(), modified_ms: files::modified_ms(metadata) }
    }

    fn is(&self, file: &TableFile) -> bool {
        self.bytes == file.bytes && self.modified_ms == file.modified_ms
    }
}

/// What was read of a table, up to a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilesRead {
    /// Read to their ends, in order.
    done: Vec<FileMark>,
    /// The one being read.
    reading: Option<FileMark>,
    /// Number of the first row of the file being read, or of the next file.
    pub(super) row: i64,
}

impl FilesRead {
    /// What stored state says.
    ///
    /// # Errors
    /// `State` if it cannot be read.
    pub(super) fn restore(stored: &serde_json::Value) -> Result<Self> {
        Self::deserialize(stored).map_err(|e| {
            Error::state("the stored list of files that were read is damaged")
                .because(e)
                .hint("start over with --fresh")
        })
    }

    /// What state is to keep.
    pub(super) fn store(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self).ok()
    }

    /// A file is opened; its first row has the number `row`.
    pub(super) fn begin(&mut self, file: FileMark, row: i64) {
        (self.reading, self.row) = (Some(file), row);
    }

    /// The file being read is at its end; the next row has the number `row`.
    pub(super) fn end(&mut self, row: i64) {
        if let Some(file) = self.reading.take() {
            self.done.push(file);
            self.row = row;
        }
    }

    /// Goes on to what `further` says, of the same files.
    pub(super) fn follow(&mut self, further: &Self) {
        self.done.extend_from_slice(further.done.get(self.done.len()..).unwrap_or_default());
        self.reading.clone_from(&further.reading);
        self.row = further.row;
    }

    /// Leaves out the files that were read to their ends.
    pub(super) fn to_read(&self, root: &Path, mut files: Vec<TableFile>) -> Vec<TableFile> {
        let done: std::collections::BTreeSet<&str> = self.done.iter().map(|mark| mark.path.as_str()).collect();
        files.retain(|file| !done.contains(name(root, &file.path).as_str()));
        files
    }

    /// Whether the files there are now are those that were read, with others only after them; `ended` if the table
    /// was read to its end.
    ///
    /// # Errors
    /// `Data` that names the file at fault.
    pub(super) fn recognize(&self, root: &Path, files: &[TableFile], ended: bool) -> Result<()> {
        let known: std::collections::BTreeMap<&str, &FileMark> =
            self.done.iter().chain(&self.reading).map(|mark| (mark.path.as_str(), mark)).collect();
        let last = self.reading.as_ref().or_else(|| self.done.last()).map(|mark| Path::new(&mark.path));
        for file in files {
            let name = name(root, &file.path);
            let shown = file.path.display();
            match known.get(name.as_str()) {
                Some(mark) if mark.is(file) => {}
                Some(mark) => {
                    return Err(refusal(format!("file \"{shown}\" has changed since it was read")).detail(format!(
                        "It had {} bytes, modified {} UTC; now {} bytes, modified {} UTC.",
                        mark.bytes,
                        moment_text(mark.modified_ms),
                        file.bytes,
                        moment_text(file.modified_ms)
                    )));
                }
                None if ended => {
                    return Err(refusal(format!("file \"{shown}\" is new, and the table was read to its end")));
                }
                None if last.is_some_and(|last| Path::new(&name) < last) => {
                    return Err(refusal(format!(
                        "file \"{shown}\" is new and comes before files that were read: its rows would never be read"
                    ))
                    .detail("Files are read in the order of their paths."));
                }
                None => {}
            }
        }
        match &self.reading {
            Some(mark) if !files.iter().any(|file| name(root, &file.path) == mark.path) => {
                let shown = root.join(&mark.path);
                Err(refusal(format!("file \"{}\" is gone, and was not read to its end", shown.display())))
            }
            _ => Ok(()),
        }
    }
}

fn refusal(message: String) -> Error {
    Error::data(message).hint("put the files back as they were, or start over with --fresh")
}

/// Path below the table's folder; the file's own name if the table is one file.
fn name(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    match below {
        Some(below) => below.to_string_lossy().into_owned(),
        None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
