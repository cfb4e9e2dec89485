//! Reading a script: the file, its variables, and errors with its text beside them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::cli::{Failure, ScriptArguments};
use crate::connectors::{Usage, filesystem};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{SCRIPT_BYTES_MAX, SECRET_BYTES_MAX};
use crate::plan::StreamPlan;
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
    /// The names that `--set` gave it, as they are to be given again; their values may be secrets.
    pub(super) settings: String,
}

/// Reads and plans a script.
///
/// # Errors
/// All errors of the script at once, with its text.
pub(super) fn load(arguments: &ScriptArguments) -> Result<LoadedScript, Failure> {
    let (path, text) = read(&arguments.file)?;
    let given = variables(&arguments.variables)?;
    let lookup = |name: &str| match name.strip_prefix("file:") {
        Some(path) => secret(Path::new(path)),
        None => given.get(name).cloned().or_else(|| std::env::var(name).ok().filter(|v| !v.is_empty())),
    };
    let script = sql::plan_script(&text, &lookup)
        .map_err(|error| Failure { error, script: Some((path.clone(), text.clone())) })?;
    let stem = arguments.file.file_stem().and_then(|s| s.to_str()).unwrap_or("script");
    let name = if stem == "-" { "stdin" } else { stem }.to_owned();
    let settings = given.keys().map(|name| format!(" --set {name}=…")).collect();
    Ok(LoadedScript { path, name, text, script, settings })
}

/// Reads and plans a script that is to run.
///
/// # Errors
/// As [`load`]; `Sql` if it has nothing to run, with what is wrong with its tables.
pub(super) fn load_runnable(arguments: &ScriptArguments) -> Result<LoadedScript, Failure> {
    let loaded = load(arguments)?;
    if loaded.script.jobs.is_empty() && loaded.script.answers.is_empty() {
        let nothing = Error::sql("the script has nothing to run")
            .hint("add an INSERT INTO … SELECT …, or a SELECT as the last statement");
        // what is wrong with its tables is the reason that nothing is left
        let error = Error::collect(loaded.script.unused.iter().cloned()).unwrap_or(nothing);
        return Err(Failure { error, script: Some((loaded.path, loaded.text)) });
    }
    Ok(loaded)
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
    let path = if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    Ok((path, text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

/// The text of a file for `${file:PATH}`, without the end of its last line; `None` if there is none to be had.
fn secret(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    // A device or a pipe might never end, or never begin.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    std::fs::File::open(path).ok()?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= SECRET_BYTES_MAX)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
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

    /// Rows that are committed and not delivered yet.
    pub(super) fn outbox(&self) -> PathBuf {
        self.root.join("outbox")
    }

    /// Refuses tables whose files would be the state's, or among them, or around them: a job must neither read
    /// its own state as rows nor write rows into it.
    ///
    /// # Errors
    /// `Config` for the first such table, and for a state that is no folder.
    pub(super) fn check_tables(&self, plan: &StreamPlan) -> Result<()> {
        if let Some((scheme, _)) = self.root.to_string_lossy().split_once("://") {
            return Err(Error::config(format!("the state of a job cannot be kept in \"{scheme}\""))
                .hint("give a folder of this machine: --state DIR"));
        }
        let sources = plan.sources().map(|(_, source)| (&source.table, Usage::Source));
        let sinks = plan.sinks().map(|(_, sink)| (&sink.table, Usage::Sink));
        let state = resolved(&self.root)?;
        for (table, usage) in sources.chain(sinks).filter(|(table, _)| table.connector() == "filesystem") {
            let path = filesystem::path(table, usage)?;
            let files = resolved(&path)?;
            if files.starts_with(&state) || state.starts_with(&files) {
                let (name, path, root) = (&table.name, path.display(), self.root.display());
                return Err(Error::config(format!(
                    "the path \"{path}\" of table \"{name}\" overlaps the state of the job, which is in \"{root}\""
                ))
                .or_at(table.options.span("path").or(table.span))
                .hint("give the table a folder of its own, or keep the state elsewhere: --state DIR"));
            }
        }
        Ok(())
    }

    /// What the co-located simulator needs to go on.
    pub(super) fn simulator(&self) -> PathBuf {
        self.root.join("simulator.json")
    }
}

/// The path from the root on, links followed as far as it exists.
fn resolved(path: &Path) -> Result<PathBuf> {
    let mut found = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::ParentDir => {
                found.pop();
            }
            other => found.push(other),
        }
        if let Ok(real) = found.canonicalize() {
            found = real;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_where_they_lead_to() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("a")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        for (path, expected) in [("a", "a"), ("link", "a"), ("link/x/../y", "a/y"), ("b/./c/../d", "b/d")] {
            assert_eq!(resolved(&root.join(path)).unwrap(), root.join(expected), "{path}");
        }
    }

    #[test]
    fn a_file_gives_its_text_without_the_end_of_its_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let limit = usize::try_from(SECRET_BYTES_MAX).unwrap();
        for (bytes, expected) in [
            (b"a b\n".to_vec(), Some("a b".to_owned())),
            (b"a\r\n".to_vec(), Some("a".to_owned())),
            (b"-----\nQQ==\n-----\n\n".to_vec(), Some("-----\nQQ==\n-----\n".to_owned())),
            (b" x ".to_vec(), Some(" x ".to_owned())),
            (b"".to_vec(), Some(String::new())),
            (b"\xff".to_vec(), None),
            (vec![b'x'; limit], Some("x".repeat(limit))),
            (vec![b'x'; limit + 1], None),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(secret(&path), expected);
        }
        assert_eq!(secret(directory.path()), None);
        assert_eq!(secret(&directory.path().join("none")), None);
        assert_eq!(secret(Path::new("/dev/zero")), None);
    }

    #[test]
    fn a_table_around_in_or_at_the_state_is_refused() {
        let check = |path: &str, state: &str| {
            let script = format!(
                "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json');\n\
                 CREATE TABLE u (a INT) WITH ('connector' = 'print');\nINSERT INTO u SELECT a FROM t;\n\
                 CREATE TABLE d (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '1');\nINSERT INTO t SELECT a FROM d;"
            );
            let script = sql::plan_script(&script, &|_| None).unwrap();
            let layout = StateLayout::new(Some(Path::new(state)), "q", 0, 1);
            let outcomes: Vec<_> = script.jobs.iter().map(|job| layout.check_tables(&job.plan)).collect();
            assert_eq!(outcomes.len(), 2);
            assert_eq!(outcomes[0].is_ok(), outcomes[1].is_ok(), "reading and writing alike");
            outcomes.into_iter().find_map(Result::err)
        };
        for (path, state) in
            [("data", "data/state/q"), ("data/state/q", "data/state/q"), ("data/state/q/ledger/late", "data/state/q")]
        {
            let error = check(path, state).unwrap_or_else(|| panic!("{path} in {state}"));
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains("overlaps the state of the job"), "{error:?}");
            assert_eq!(error.span().map(|span| span.line), Some(1));
        }
        for (path, state) in [("data/in", "data/state/q"), ("data/state/q2", "data/state/q"), ("in", "../q")] {
            assert!(check(path, state).is_none(), "{path} beside {state}");
        }
    }
}
