//! Reading a script: the file, its variables, and errors with its text beside them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, ScriptArguments};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::SCRIPT_BYTES_MAX;
use crate::sql::{self, Script};

/// A script and where it came from.
pub(super) struct LoadedScript {
    /// Path for messages.
    pub(super) path: String,
    /// Name of the job: the file's stem.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// What it means.
    pub(super) script: Script,
}

/// Reads and plans a script.
///
/// # Errors
/// All errors of the script at once, with its text.
pub(super) fn load(arguments: &ScriptArguments) -> Result<LoadedScript, Failure> {
    let (path, text) = read(&arguments.file)?;
    let given = variables(&arguments.variables)?;
    let lookup = |name: &str| given.get(name).cloned().or_else(|| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let script = sql::plan_script(&text, &lookup)
        .map_err(|error| Failure { error, script: Some((path.clone(), text.clone())) })?;
    let stem = arguments.file.file_stem().and_then(|s| s.to_str()).unwrap_or("script");
    let name = if stem == "-" { "stdin" } else { stem }.to_owned();
    Ok(LoadedScript { path, name, text, script })
}

fn read(file: &Path) -> Result<(String, String)> {
    let named = |reason: String| {
        Error::new(ErrorKind::Config, format!("cannot read script \"{}\": {reason}", file.display()))
            .hint("streamer run FILE, or \"-\" for standard input")
    };
    let mut bytes = Vec::new();
    let limit = SCRIPT_BYTES_MAX as u64 + 1;
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(|e| named(e.to_string()))?;
    } else {
        let opened = std::fs::File::open(file).map_err(|e| named(e.to_string()))?;
        opened.take(limit).read_to_end(&mut bytes).map_err(|e| named(e.to_string()))?;
    }
    if bytes.len() > SCRIPT_BYTES_MAX {
        return Err(named(format!("it is larger than {} KiB", SCRIPT_BYTES_MAX / 1024)));
    }
    let text =
        String::from_utf8(bytes).map_err(|e| named(format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
    Ok((file.display().to_string(), text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

fn variables(given: &[String]) -> Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Error::new(ErrorKind::Usage, format!("\"--set {pair}\" has no \"=\"")).hint("--set NAME=VALUE")
            })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Where a job keeps what it needs to go on.
pub(super) struct StateLayout {
    /// `data/state/<script>` or `--state`.
    pub(super) root: PathBuf,
}

impl StateLayout {
    /// The directories of a script's job number `job` of `jobs`.
    pub(super) fn new(state: Option<&Path>, name: &str, job: usize, jobs: usize) -> Self {
        let root = state.map_or_else(|| Path::new("data/state").join(name), Path::to_path_buf);
        Self { root: if jobs > 1 { root.join(format!("job-{}", job + 1)) } else { root } }
    }

    /// Manifests and state objects.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// Tables of late, bad and future rows.
    pub(super) fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// What the co-located simulator needs to go on.
    pub(super) fn simulator(&self) -> PathBuf {
        self.root.join("simulator.json")
    }
}
