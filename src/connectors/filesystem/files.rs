//! Names and directories: which files a table has, what a partition folder says, and how a finished file
//! gets its name so that it is there whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::durable::failure;
use crate::error::{Error, Result};

/// Bytes a file system takes for one name.
const NAME_BYTES_MAX: usize = 255;
/// Folders below a table that are followed; also what a loop of links is cut at.
const FOLDER_DEPTH_MAX: usize = 32;

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// ms since 1970.
    pub(super) modified_ms: i64,
    /// Value of each partition column, in their declared order; `None` is NULL.
    pub(super) partition: Vec<Option<String>>,
}

/// The files below `root` (or `root` itself, if it is a file) in the order of their paths. Names that
/// start with `.` or `_` are hidden.
///
/// # Errors
/// `Config` if `root` is not there, or a file lies outside the partition folders; `Unavailable`.
pub(super) fn list(root: &Path, keys: &[String], default_partition: &str) -> Result<Vec<TableFile>> {
    let mut paths = Vec::new();
    if exists(root)?.is_dir() {
        walk(root, 0, keys, &mut paths)?;
    } else {
        paths.push(root.to_owned());
    }
    paths.sort();
    paths.into_iter().map(|path| table_file(root, path, keys, default_partition)).collect()
}

/// What a table's path is.
///
/// # Errors
/// `Config` if there is nothing; `Unavailable`.
pub(super) fn exists(root: &Path) -> Result<std::fs::Metadata> {
    std::fs::metadata(root).map_err(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            Error::config(format!("path \"{}\" does not exist", root.display()))
                .hint("relative paths start at the directory streamer was started in")
        } else {
            failure("read", root, e)
        }
    })
}

fn walk(dir: &Path, depth: usize, keys: &[String], paths: &mut Vec<PathBuf>) -> Result<()> {
    if depth > FOLDER_DEPTH_MAX {
        return Err(Error::config(format!(
            "folder \"{}\" is more than {FOLDER_DEPTH_MAX} folders deep",
            dir.display()
        )));
    }
    for entry in std::fs::read_dir(dir).map_err(|e| failure("read", dir, e))? {
        let entry = entry.map_err(|e| failure("read", dir, e))?;
        if hidden(&entry.file_name().to_string_lossy(), keys) {
            continue;
        }
        let path = entry.path();
        let kind = std::fs::metadata(&path).map_err(|e| failure("read", &path, e))?;
        if kind.is_dir() {
            walk(&path, depth + 1, keys, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// Folders of a partition column are never hidden, whatever the column is called.
fn hidden(name: &str, keys: &[String]) -> bool {
    let folder_of = |key: &String| name.split_once('=').is_some_and(|(folder, _)| unescape(folder) == *key);
    name.starts_with(['.', '_']) && !keys.iter().any(folder_of)
}

fn table_file(root: &Path, path: PathBuf, keys: &[String], default_partition: &str) -> Result<TableFile> {
    let found = std::fs::metadata(&path).map_err(|e| failure("read", &path, e))?;
    let folders: Vec<(String, String)> = path
        .strip_prefix(root)
        .ok()
        .and_then(Path::parent)
        .into_iter()
        .flat_map(Path::components)
        .filter_map(|part| part.as_os_str().to_str()?.split_once('='))
        .map(|(key, value)| (unescape(key), unescape(value)))
        .collect();
    let partition = keys.iter().map(|key| match folders.iter().find(|(name, _)| name == key) {
        Some((_, value)) if value == default_partition => Ok(None),
        Some((_, value)) => Ok(Some(value.clone())),
        None => Err(Error::config(format!(
            "file \"{}\" lies in no folder \"{key}=…\", which PARTITIONED BY asks for",
            path.display()
        ))),
    });
    let partition = partition.collect::<Result<Vec<_>>>()?;
    Ok(TableFile { bytes: found.len(), modified_ms: modified_ms(&found), partition, path })
}

/// When a file was last written, ms since 1970; 0 where the file system does not say.
pub(super) fn modified_ms(file: &std::fs::Metadata) -> i64 {
    let modified = file.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    modified.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The folder of a row, `k=v/k=v`, safe as a relative path. NULL and empty text go to the default name.
///
/// # Errors
/// `Data` if a value is too long for a folder's name.
pub(super) fn folder(keys: &[String], values: &[Option<&str>], default_partition: &str) -> Result<String> {
    let mut folder = String::new();
    for (key, value) in keys.iter().zip(values) {
        let value = value.filter(|value| !value.is_empty()).unwrap_or(default_partition);
        let name = format!("{}={}", escape(key), escape(value));
        if name.len() > NAME_BYTES_MAX {
            return Err(Error::data(format!(
                "a value of partition column \"{key}\" is too long for a folder's name ({} bytes)",
                name.len()
            ))
            .hint("partition by a shorter column"));
        }
        if !folder.is_empty() {
            folder.push('/');
        }
        folder.push_str(&name);
    }
    Ok(folder)
}

/// `%XX` for what is special in paths.
///
/// # Source
/// The characters Hive and Flink escape in partition paths.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let special = matches!(c, '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^');
        if special || c.is_ascii_control() {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The text of [`escape`]; a `%` without two hexadecimal digits stands for itself.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::durable::create_dir;
    use crate::error::ErrorKind;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn folders_are_named_as_flink_names_them() {
        let keys = keys(&["dt", "site"]);
        assert_eq!(folder(&keys, &[Some("2024-03-01"), None], "__D__").unwrap(), "dt=2024-03-01/site=__D__");
        assert_eq!(folder(&keys, &[Some("12:30"), Some("")], "__D__").unwrap(), "dt=12%3A30/site=__D__");
        assert_eq!(folder(&keys, &[Some("../.."), Some("a/b\n")], "d").unwrap(), "dt=..%2F../site=a%2Fb%0A");
        assert_eq!(folder(&keys, &[Some(&"x".repeat(300)), None], "d").unwrap_err().kind(), ErrorKind::Data);
    }

    #[test]
    fn hidden_names_are_skipped_and_order_is_by_path() {
        let dir = tempfile::TempDir::new().unwrap();
        for name in ["b/2", "b/1", "a", "_staging/x", ".hidden", "b/.part", "_SUCCESS", "c/k=1/z"] {
            create_dir(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let names: Vec<String> = list(dir.path(), &[], "")
            .unwrap()
            .iter()
            .map(|f| f.path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a", "b/1", "b/2", "c/k=1/z"]);
        let underscored = dir.path().join("p/_k=1/x");
        create_dir(underscored.parent().unwrap()).unwrap();
        std::fs::write(&underscored, b"").unwrap();
        assert_eq!(list(&dir.path().join("p"), &keys(&["_k"]), "").unwrap()[0].partition, [Some("1".to_owned())]);
        let error = list(dir.path(), &keys(&["k"]), "").unwrap_err();
        assert!(error.message().contains("k=…"), "{error}");
        assert_eq!(list(&dir.path().join("none"), &[], "").unwrap_err().kind(), ErrorKind::Config);
    }

    proptest! {
        #[test]
        fn any_value_comes_back_from_its_folder(value in "\\PC{1,40}|[\0-\u{7f}]{1,40}", key in "[ -~]{1,10}") {
            let name = folder(std::slice::from_ref(&key), &[Some(&value)], "__D__").unwrap();
            prop_assert!(!name.contains('/') && !name.bytes().any(|b| b.is_ascii_control()));
            let (k, v) = name.split_once('=').unwrap();
            prop_assert_eq!((unescape(k), unescape(v)), (key, value));
        }

        #[test]
        fn any_text_unescapes(text in "[%0-9A-Fg\u{e9}]{0,20}") {
            let _ = unescape(&text);
        }
    }
}
