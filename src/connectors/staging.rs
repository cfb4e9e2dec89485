//! Staging files: rows of a sink that are safe but not visible yet. A file is a sequence of frames, each an
//! Arrow IPC stream with its length and checksum before it; what counts is the length the manifest holds.
//!
//! ```text
//! { length u32 | crc u32 | Arrow IPC stream }*     (little-endian)
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::durable::{failure, sync_dir, unsynced};
use crate::error::{Error, Result};

/// The file rows are appended to.
#[derive(Debug)]
pub(in crate::connectors) struct StagingWriter {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Its name is not durable yet.
    new: bool,
    /// Bytes were written since the last sync.
    dirty: bool,
    /// A part of a frame may stand behind [`StagingWriter::bytes`].
    torn: bool,
}

impl StagingWriter {
    /// A new, empty file; whatever had its name was never committed.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(in crate::connectors) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let file = file.map_err(|e| failure("create", path, e))?;
        Ok(Self { path: path.to_owned(), file, bytes: 0, new: true, dirty: false, torn: false })
    }

    /// Appends rows: all of them, or after an error none; it may then be tried again.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(in crate::connectors) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut stream = StreamWriter::try_new(vec![0; 8], batch.schema_ref())?;
        stream.write(batch)?;
        let mut frame = stream.into_inner()?;
        let (head, body) = frame.split_at_mut(8);
        let length = u32::try_from(body.len())
            .map_err(|_| Error::data("a batch of rows is larger than 4 GiB").hint("write smaller values"))?;
        let (length_bytes, crc_bytes) = head.split_at_mut(4);
        length_bytes.copy_from_slice(&length.to_le_bytes());
        crc_bytes.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        self.dirty = true;
        if self.torn {
            let cut = self.file.set_len(self.bytes).and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            cut.map_err(|e| failure("write", &self.path, e))?;
        }
        self.torn = true;
        self.file.write_all(&frame).map_err(|e| failure("write", &self.path, e))?;
        self.torn = false;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// `Unavailable`; the file must not be used any more.
    pub(in crate::connectors) fn sync(&mut self) -> Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.file.sync_all().map_err(|e| unsynced(&self.path, e))?;
        }
        match self.path.parent() {
            Some(dir) if std::mem::take(&mut self.new) => sync_dir(dir),
            _ => Ok(()),
        }
    }

    /// Length.
    pub(in crate::connectors) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The batches in the first `bytes` of a staging file, one after the other.
#[derive(Debug)]
pub(in crate::connectors) struct StagingReader {
    path: PathBuf,
    input: io::Take<BufReader<File>>,
}

impl StagingReader {
    /// Opens a file.
    ///
    /// # Errors
    /// `State` if it is gone.
    pub(in crate::connectors) fn open(path: &Path, bytes: u64) -> Result<Self> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(gone(path, "it is not there")),
            other => other.map_err(|e| failure("read", path, e))?,
        };
        Ok(Self { path: path.to_owned(), input: BufReader::new(file).take(bytes) })
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => gone(&self.path, "it is cut short"),
            _ => failure("read", &self.path, e),
        })
    }

    /// The next batch, or `None` at the end.
    ///
    /// # Errors
    /// `State` if the file is damaged.
    pub(in crate::connectors) fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.input.limit() == 0 {
            return Ok(None);
        }
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        self.exact(&mut length)?;
        self.exact(&mut crc)?;
        let length = u32::from_le_bytes(length);
        if u64::from(length) > self.input.limit() {
            return Err(gone(&self.path, "it is cut short"));
        }
        let mut stream = vec![0; length as usize];
        self.exact(&mut stream)?;
        if crc32fast::hash(&stream) != u32::from_le_bytes(crc) {
            return Err(gone(&self.path, "its checksum does not match"));
        }
        let batch = StreamReader::try_new(stream.as_slice(), None)?.next();
        Ok(Some(batch.ok_or_else(|| gone(&self.path, "a batch is missing"))??))
    }
}

fn gone(path: &Path, reason: &str) -> Error {
    Error::state(format!("staging file \"{}\" with rows already accepted is damaged: {reason}", path.display()))
        .hint("restore it from a copy, or start over with --fresh")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    /// A write that ends for want of space leaves a part of a frame, which the next one writes over.
    #[test]
    fn half_a_frame_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows");
        let batch =
            |n: i64| RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as ArrayRef)]).unwrap();
        let mut writer = StagingWriter::create(&path).unwrap();
        writer.append(&batch(1)).unwrap();
        let whole = writer.bytes();
        writer.file.write_all(&vec![7; 10_000]).unwrap();
        writer.torn = true;
        writer.append(&batch(2)).unwrap();
        writer.sync().unwrap();
        assert_eq!((writer.bytes(), std::fs::metadata(&path).unwrap().len()), (2 * whole, 2 * whole));
        let mut reader = StagingReader::open(&path, writer.bytes()).unwrap();
        let read: Vec<RecordBatch> = std::iter::from_fn(|| reader.next().unwrap()).collect();
        assert_eq!(read, [batch(1), batch(2)]);
    }

    #[test]
    fn want_of_space_passes_and_a_failed_sync_does_not() {
        let path = Path::new("x");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(failure("write", path, full()).passes());
        assert!(!unsynced(path, full()).passes());
        assert!(!failure("write", path, io::Error::from(io::ErrorKind::PermissionDenied)).passes());
        // the kernel's own: a device that is always full
        let mut writer = StagingWriter::create(Path::new("/dev/full")).unwrap();
        let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        assert!(writer.append(&rows).unwrap_err().passes());
    }
}
