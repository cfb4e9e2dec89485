//! Rows of an output against the expected ones.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use super::value::{Type, Value};

/// A row as it was read, by field.
pub(super) type Row = BTreeMap<String, Box<RawValue>>;

/// Directory of a partitioned sink's row, below the sink's path.
const PARTITION: &str = "__partition__";
/// A line of a csv sink.
const LINE: &str = "line";
/// `+I`, `-U`, `+U`, `-D`; a row without it is an insert.
const OP: &str = "op";

/// Columns of an output, and how near doubles must be.
pub(super) struct Rules<'a> {
    pub(super) columns: &'a [(&'a str, Type)],
    pub(super) tolerance: f64,
}

/// A row, ready to be compared: what must be equal as text, then what has a tolerance.
struct Keyed {
    exact: String,
    loose: Vec<Value>,
}

type Problem<T> = Result<T, String>;

impl Rules<'_> {
    /// What is missing, surplus or no insert. With `changes`, `found` is a changelog and what is left of it counts.
    pub(super) fn differences(&self, expected: Vec<Row>, found: Vec<Row>, changes: bool) -> Problem<Vec<String>> {
        let mut differences = Vec::new();
        let found = if changes {
            self.apply(found)?
        } else {
            let updates = found.iter().filter(|row| op(row) != "+I");
            differences.extend(updates.map(|row| format!("update in an append-only result {}", json(row))));
            found
        };
        let mut left: BTreeMap<String, Vec<(Vec<Value>, Row)>> = BTreeMap::new();
        for row in found {
            let keyed = self.keyed(&row)?;
            left.entry(keyed.exact).or_default().push((keyed.loose, row));
        }
        for row in expected {
            let keyed = self.keyed(&row)?;
            let candidates = left.get_mut(&keyed.exact);
            match candidates.and_then(|c| self.position(c, &keyed.loose).map(|at| c.swap_remove(at))) {
                Some(_) => {}
                None => differences.push(format!("missing {}", json(&row))),
            }
        }
        let mut surplus: Vec<String> =
            left.values().flatten().map(|(_, row)| format!("surplus {}", json(row))).collect();
        surplus.sort();
        differences.extend(surplus);
        Ok(differences)
    }

    fn position(&self, candidates: &[(Vec<Value>, Row)], loose: &[Value]) -> Option<usize> {
        candidates.iter().rposition(|(other, _)| {
            other.len() == loose.len() && other.iter().zip(loose).all(|(a, b)| a.close(b, self.tolerance))
        })
    }

    /// What a changelog leaves: `+I` and `+U` add a row, `-U` and `-D` take an equal one away.
    fn apply(&self, changes: Vec<Row>) -> Problem<Vec<Row>> {
        let mut live: BTreeMap<String, Vec<(Vec<Value>, Row)>> = BTreeMap::new();
        for row in changes {
            let keyed = self.keyed(&row)?;
            let rows = live.entry(keyed.exact).or_default();
            if matches!(op(&row), "+I" | "+U") {
                rows.push((keyed.loose, row));
                continue;
            }
            match self.position(rows, &keyed.loose) {
                Some(at) => rows.remove(at),
                None => return Err(format!("retraction of a row that is not there: {}", json(&row))),
            };
        }
        Ok(live.into_values().flatten().map(|(_, row)| row).collect())
    }

    fn keyed(&self, row: &Row) -> Problem<Keyed> {
        let null = RawValue::NULL;
        let (mut exact, mut loose) = (Vec::new(), Vec::new());
        let meta = [(PARTITION, Type::Exact), (LINE, Type::Exact)];
        for (name, data_type) in meta.iter().chain(self.columns) {
            let value = Value::read(row.get(*name).map_or(null, AsRef::as_ref), data_type)?;
            if value.has_float() { loose.push(value) } else { exact.push((*name, value)) }
        }
        let known = |name: &str| [OP, PARTITION, LINE].contains(&name) || self.columns.iter().any(|(c, _)| *c == name);
        let surplus: Vec<_> = row.iter().filter(|(name, _)| !known(name)).map(|(n, v)| (n, v.get())).collect();
        Ok(Keyed { exact: format!("{exact:?} {surplus:?}"), loose })
    }
}

fn op(row: &Row) -> &str {
    row.get(OP).map_or("+I", |op| op.get().trim_matches('"'))
}

fn json(row: &Row) -> String {
    let fields: Vec<String> = row.iter().map(|(name, value)| format!("\"{name}\": {}", value.get())).collect();
    format!("{{{}}}", fields.join(", "))
}

fn read(path: &Path) -> Problem<String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read \"{}\": {e}", path.display()))
}

/// Rows of a file of JSON lines.
pub(super) fn lines(path: &Path) -> Problem<Vec<Row>> {
    read(path)?.lines().filter(|line| !line.is_empty()).map(parse).collect()
}

fn parse(line: &str) -> Problem<Row> {
    serde_json::from_str(line).map_err(|e| format!("no row: {line}: {e}"))
}

/// Rows of a filesystem sink; of a csv sink its lines. Files and directories with `.` or `_` in front do not count.
pub(super) fn sink_rows(directory: &Path, csv: bool) -> Problem<Vec<Row>> {
    let mut rows = Vec::new();
    collect(directory, "", csv, &mut rows)?;
    Ok(rows)
}

fn collect(directory: &Path, partition: &str, csv: bool, rows: &mut Vec<Row>) -> Problem<()> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    for name in names {
        let hidden = name.starts_with(['.', '_']) && !name.contains('=') && name != "__DEFAULT_PARTITION__";
        let path = directory.join(&name);
        if hidden {
            continue;
        }
        if path.is_dir() {
            let below = if partition.is_empty() { name } else { format!("{partition}/{name}") };
            collect(&path, &below, csv, rows)?;
            continue;
        }
        for line in read(&path)?.split('\n').filter(|line| !line.is_empty()) {
            let mut row =
                if csv { Row::from([(LINE.to_owned(), text(line.trim_end_matches('\r'))?)]) } else { parse(line)? };
            if !partition.is_empty() {
                row.insert(PARTITION.to_owned(), text(partition)?);
            }
            rows.push(row);
        }
    }
    Ok(())
}

fn text(text: &str) -> Problem<Box<RawValue>> {
    serde_json::value::to_raw_value(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Vec<Row> {
        lines.iter().map(|line| parse(line).expect("a row")).collect()
    }

    fn differences(expected: &[&str], found: &[&str], changes: bool) -> Problem<Vec<String>> {
        let columns = [("id", Type::Exact), ("x", Type::Float)];
        Rules { columns: &columns, tolerance: 1e-9 }.differences(rows(expected), rows(found), changes)
    }

    #[test]
    fn rows_count_as_often_as_they_stand_and_in_any_order() {
        let same = differences(
            &[r#"{"id": 1, "x": 0.5}"#, r#"{"id": 2}"#, r#"{"id": 2}"#],
            &[r#"{"id": 2, "x": null}"#, r#"{"x": 0.5000000000001, "id": 1}"#, r#"{"id": 2}"#],
            false,
        );
        assert_eq!(same, Ok(vec![]));
        let other = differences(&[r#"{"id": 2}"#], &[r#"{"id": 2}"#, r#"{"id": 2}"#, r#"{"id": 3, "y": 1}"#], false);
        assert_eq!(other, Ok(vec![r#"surplus {"id": 2}"#.into(), r#"surplus {"id": 3, "y": 1}"#.into()]));
        let field = differences(&[r#"{"id": 2}"#], &[r#"{"id": 2, "y": 1}"#], false);
        assert_eq!(field.map(|d| d.len()), Ok(2), "a field too many is a difference");
        assert_eq!(differences(&[], &[r#"{"op": "-D", "id": 2}"#], false).map(|d| d.len()), Ok(2));
    }

    #[test]
    fn of_a_changelog_counts_what_is_left() {
        let changes = [
            r#"{"op": "+I", "id": 1, "x": 1.0}"#,
            r#"{"op": "-U", "id": 1, "x": 1.0}"#,
            r#"{"op": "+U", "id": 1, "x": 2.0}"#,
            r#"{"op": "+I", "id": 2, "x": 1.0}"#,
            r#"{"op": "-D", "id": 2, "x": 1.0000000000001}"#,
        ];
        assert_eq!(differences(&[r#"{"id": 1, "x": 2.0}"#], &changes, true), Ok(vec![]));
        assert!(differences(&[], &[r#"{"op": "-D", "id": 2}"#], true).is_err());
    }
}
