//! What one committed epoch is: a manifest, and the JSON text that holds it.
//!
//! The text is one JSON document `{"format_version", "crc", "body"}`; the checksum covers the exact bytes
//! of the body, so a torn or altered manifest is never taken for a good one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::protocol::Head;
use crate::stream::{RowCounts, SourcePosition};

/// The format of manifests this program writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 3;

/// Everything a restart needs to know of one epoch. Durable means committed: there is no other commit point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Number of the epoch; also the manifest's name.
    pub epoch: u64,
    /// Rises by one with every process that takes the job over.
    pub fence: u64,
    /// Name of the job.
    pub pipeline: String,
    /// Sixteen hex digits, new with every fresh state.
    pub instance: String,
    /// When it was made, ms since 1970; for people, no decision uses it.
    pub created_ms: i64,
    /// Names the attempt that wrote it.
    pub put_id: String,
    /// [`fingerprint`] of `plan_text`.
    pub plan: String,
    /// The plan the state belongs to, as text.
    pub plan_text: String,
    /// How far each partition was read.
    pub sources: Vec<SourcePosition>,
    /// Snapshots of each operator, by `<node>.<name>`.
    pub operators: BTreeMap<String, Vec<SnapshotRef>>,
    /// What each sink needs to go on, by table.
    pub sinks: BTreeMap<String, serde_json::Value>,
    /// What became of every row read so far.
    pub ledger: RowCounts,
    /// What else the runtime keeps, by name: late rows that may be told once more.
    pub extras: BTreeMap<String, serde_json::Value>,
}

/// One snapshot of a chain: a full one first, then changes in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// Epoch it was taken at.
    pub epoch: u64,
    /// Whether it holds the whole state rather than changes.
    pub full: bool,
    /// Where its bytes are.
    pub objects: Vec<ObjectRef>,
}

/// An object of the store, with what proves that it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Path below the store's directory.
    pub path: String,
    /// Length.
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// Why the text of a manifest file is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Torn or altered: what does not fit.
    Damaged(String),
    /// Whole, as far as can be told, and of this format.
    Format(u32),
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    format_version: u32,
    crc: u32,
    body: Box<RawValue>,
}

/// Reads the version alone, so that a later format with another shape is still named as such.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl Manifest {
    /// The paths of all objects it names.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.operators.values().flatten().flat_map(|snapshot| &snapshot.objects)
    }

    /// Whose it is, for the protocol.
    pub fn head(&self) -> Head {
        Head { epoch: self.epoch, fence: self.fence }
    }

    /// The text of the manifest file.
    ///
    /// # Errors
    /// `Internal` if a value has no JSON form.
    pub fn to_text(&self) -> Result<String> {
        let unwritable = |e: serde_json::Error| Error::internal(format!("a manifest has no JSON form: {e}"));
        let body = serde_json::value::to_raw_value(self).map_err(unwritable)?;
        let crc = crc32fast::hash(body.get().as_bytes());
        serde_json::to_string(&Envelope { format_version: self.format_version, crc, body }).map_err(unwritable)
    }

    /// Reads the text of the manifest file called `name` in messages.
    ///
    /// # Errors
    /// `State` if it is damaged, or of a format this program does not know.
    pub fn from_text(text: &[u8], name: &str) -> Result<Self> {
        Self::read(text).map_err(|unreadable| match unreadable {
            Unreadable::Damaged(reason) => Error::state(format!("manifest \"{name}\" is damaged"))
                .detail(reason)
                .hint("restore the file from a copy, or start over with --fresh"),
            Unreadable::Format(format) => Error::state(format!(
                "manifest \"{name}\" has format {format}, this streamer reads format {FORMAT_VERSION}"
            ))
            .hint("run the streamer that wrote it, use another --state directory, or start over with --fresh"),
        })
    }

    /// Reads the text of a manifest file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, Unreadable> {
        let damaged = |e: serde_json::Error| Unreadable::Damaged(e.to_string());
        let version: Version = serde_json::from_slice(text).map_err(damaged)?;
        if version.format_version != FORMAT_VERSION {
            return Err(Unreadable::Format(version.format_version));
        }
        let envelope: Envelope = serde_json::from_slice(text).map_err(damaged)?;
        let body = envelope.body.get();
        if crc32fast::hash(body.as_bytes()) != envelope.crc {
            return Err(Unreadable::Damaged("the checksum does not match".into()));
        }
        serde_json::from_str(body).map_err(damaged)
    }
}

/// A stable name for a text: 32 hexadecimal digits, the same on every machine and in every version.
///
/// # Source
/// FNV-1a, 128 bits (Fowler, Noll, Vo; draft-eastlake-fnv).
pub fn fingerprint(text: &str) -> String {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = text.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_the_published_ones() {
        assert_eq!(fingerprint(""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(fingerprint("a"), "d228cb696f1a8caf78912b704e4a8964");
    }
}
