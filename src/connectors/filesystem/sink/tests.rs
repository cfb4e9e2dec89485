//! A crash is a sink dropped anywhere between its calls; what the manifest held decides how it goes on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use tempfile::TempDir;

use super::*;
use crate::connectors::filesystem::FileSource;
use crate::connectors::{Fetched, Ownership, Source, StartAt};
use crate::error::ErrorKind;
use crate::table::{ColumnKind, ColumnSpec, OptionValue, Options};
use crate::time::ClockSource;

struct TestClock(AtomicI64);

impl ClockSource for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn column(name: &str, data_type: DataType) -> ColumnSpec {
    ColumnSpec { name: name.into(), data_type, sql_type: String::new(), nullable: true, kind: ColumnKind::Physical }
}

fn table(dir: &Path, partitioned_by: &[&str], options: &[(&str, &str)]) -> TableSpec {
    let path = dir.display().to_string();
    let all = [("connector", "filesystem"), ("format", "parquet"), ("path", &path)];
    let all = all.iter().chain(options);
    TableSpec {
        name: "out".into(),
        columns: vec![column("n", DataType::Int64), column("k", DataType::Utf8)],
        primary_key: Vec::new(),
        partitioned_by: partitioned_by.iter().map(|c| (*c).to_owned()).collect(),
        options: Options(
            all.map(|(k, v)| ((*k).to_owned(), OptionValue { value: (*v).to_owned(), span: None })).collect(),
        ),
        span: None,
    }
}

fn sink(table: &TableSpec) -> FileSink {
    sink_at(table, &Arc::new(TestClock(AtomicI64::new(0))))
}

fn sink_at(table: &TableSpec, clock: &Arc<TestClock>) -> FileSink {
    sink_of(table, clock, 1)
}

fn sink_of(table: &TableSpec, clock: &Arc<TestClock>, fence: u64) -> FileSink {
    let ownership = Some(Ownership { fence, confirm: Arc::new(|| Box::pin(async { Ok(true) })) });
    let job = JobContext { instance: "0123456789abcdef".into(), ownership, ..JobContext::default() };
    FileSink::with_clock(table, &job, Arc::clone(clock) as Clock).unwrap()
}

fn rows(table: &TableSpec, values: &[(i64, Option<&str>)]) -> RecordBatch {
    let n = Int64Array::from_iter_values(values.iter().map(|v| v.0));
    let k = StringArray::from_iter(values.iter().map(|v| v.1));
    RecordBatch::try_new(table.sink_schema(), vec![Arc::new(n), Arc::new(k)]).unwrap()
}

fn visible_files(dir: &Path) -> Vec<String> {
    let found = files::list(dir, &[], "").unwrap();
    found.iter().map(|f| f.path.strip_prefix(dir).unwrap().display().to_string()).collect()
}

/// The rows of the visible files, read as the table.
async fn visible(table: &TableSpec) -> Vec<(i64, Option<String>)> {
    let mut source = FileSource::open(table, &JobContext::default()).unwrap();
    let split = source.splits().await.unwrap().remove(0);
    let mut reader = source.open(&split, StartAt::Configured).await.unwrap();
    let mut all = Vec::new();
    while let Fetched::Rows(batch) = reader.next().await.unwrap() {
        let n = batch.rows.column(0).as_primitive::<Int64Type>();
        let k = batch.rows.column(1).as_string::<i32>();
        all.extend((0..batch.rows.num_rows()).map(|i| (n.value(i), k.is_valid(i).then(|| k.value(i).to_owned()))));
    }
    all.sort();
    all
}

/// Runs four epochs of three rows with a crash after each step in turn, as the runtime would: the state of
/// the newest manifest restores, and rows after it are written again.
async fn every_row_once_with_a_crash_at(table: &TableSpec, crash: usize) {
    let mut step = 0;
    let mut crashed = || {
        step += 1;
        step == crash
    };
    let mut manifest: Option<SinkState> = None;
    let mut committed = 0;
    'life: loop {
        let mut sink = sink(table);
        sink.restore(manifest.clone()).await.unwrap();
        if crashed() {
            continue 'life;
        }
        for epoch in committed + 1..=4_u64 {
            for i in 0..3_i64 {
                let n = epoch as i64 * 10 + i;
                let key = ["a", "b"][(n % 2) as usize];
                sink.write(rows(table, &[(n, Some(key))])).await.unwrap();
                if crashed() {
                    continue 'life;
                }
            }
            let state = sink.prepare(epoch, epoch == 4).await.unwrap();
            if crashed() {
                continue 'life;
            }
            manifest = Some(state);
            committed = epoch;
            if crashed() {
                continue 'life;
            }
            sink.commit(epoch).await.unwrap();
            if crashed() {
                continue 'life;
            }
        }
        break;
    }
    // a last start publishes what a crash after the last manifest left
    sink(table).restore(manifest).await.unwrap();
    let expect: Vec<i64> = (1..=4).flat_map(|epoch| (0..3).map(move |i| epoch * 10 + i)).collect();
    let found: Vec<i64> = visible(table).await.into_iter().map(|(n, _)| n).collect();
    assert_eq!(found, expect, "crash at step {crash}");
}

#[tokio::test]
async fn every_row_is_visible_once_whatever_step_a_crash_hits() {
    for (partitioned_by, file_size) in [(&[][..], "1"), (&["k"], "1"), (&["k"], "128MB"), (&[], "1kb")] {
        for crash in 0..26 {
            let dir = TempDir::new().unwrap();
            let table = table(dir.path(), partitioned_by, &[("sink.rolling-policy.file-size", file_size)]);
            every_row_once_with_a_crash_at(&table, crash).await;
        }
    }
}

#[tokio::test]
async fn a_crash_within_publishing_leaves_no_row_twice() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &["k"], &[]);
    let mut first = sink(&table);
    first.restore(None).await.unwrap();
    first.write(rows(&table, &[(1, Some("a")), (2, Some("b")), (3, None)])).await.unwrap();
    let state = first.prepare(1, true).await.unwrap();
    // what a crash leaves: one folder done, one half written, the staged rows still there
    let staged = std::fs::read_dir(dir.path().join(STAGING)).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read(&staged).unwrap();
    first.commit(1).await.unwrap();
    let files = visible_files(dir.path());
    assert_eq!(files.len(), 3);
    let removed = dir.path().join(&files[2]);
    std::fs::rename(&removed, removed.with_file_name(".half.tmp")).unwrap();
    std::fs::remove_file(done(&staged)).unwrap();
    std::fs::write(&staged, [kept.as_slice(), b"torn frame"].concat()).unwrap();

    let mut second = sink(&table);
    second.restore(Some(state)).await.unwrap();
    assert_eq!(visible_files(dir.path()), files);
    assert_eq!(visible(&table).await, [(1, Some("a".into())), (2, Some("b".into())), (3, None)]);
}

#[tokio::test]
async fn nothing_is_visible_before_its_commit_and_published_files_stay_gone() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[]);
    let mut sink_1 = sink(&table);
    sink_1.restore(None).await.unwrap();
    sink_1.write(rows(&table, &[(1, None)])).await.unwrap();
    let state = sink_1.prepare(1, true).await.unwrap();
    assert!(visible_files(dir.path()).is_empty());
    sink_1.commit(1).await.unwrap();
    let files = visible_files(dir.path());
    assert_eq!(files.len(), 1);
    assert!(files[0].starts_with("part-0123456789abcdef-") && files[0].ends_with("-1-1.parquet"), "{files:?}");
    // moved away by the user: a restart does not bring it back
    std::fs::remove_file(dir.path().join(&files[0])).unwrap();
    let mut sink_2 = sink(&table);
    sink_2.restore(Some(state)).await.unwrap();
    assert!(visible_files(dir.path()).is_empty());
    // and the mark goes with the manifest after the next, for the next may turn out to be damaged
    for (epoch, marks) in [(2, 1), (3, 0)] {
        sink_2.prepare(epoch, false).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join(STAGING)).unwrap().count(), 1);
        sink_2.commit(epoch).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join(STAGING)).unwrap().count(), marks);
    }
}

/// Epoch 1 leaves a row waiting, epoch 2 seals it with another; returns the state of epoch 1.
async fn two_epochs(table: &TableSpec, committed: bool) -> SinkState {
    let mut sink = sink(table);
    sink.restore(None).await.unwrap();
    sink.write(rows(table, &[(1, None)])).await.unwrap();
    let state = sink.prepare(1, false).await.unwrap();
    sink.commit(1).await.unwrap();
    sink.write(rows(table, &[(2, None)])).await.unwrap();
    sink.prepare(2, true).await.unwrap();
    if committed {
        sink.commit(2).await.unwrap();
    }
    state
}

fn sink_without(table: &TableSpec, damaged: u64) -> FileSink {
    let fallback = Fallback { used: damaged - 1, damaged, reason: "\"m/2.json\": the file is empty".into() };
    let job = JobContext { instance: "0123456789abcdef".into(), fallback: Some(fallback), ..JobContext::default() };
    FileSink::open(table, &job).unwrap()
}

#[tokio::test]
async fn a_damaged_epoch_without_a_file_is_left_out() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[]);
    let state = two_epochs(&table, false).await;
    let mut sink = sink_without(&table, 2);
    sink.restore(Some(state)).await.unwrap();
    sink.write(rows(&table, &[(2, None)])).await.unwrap();
    sink.prepare(4, true).await.unwrap();
    sink.commit(4).await.unwrap();
    assert_eq!(visible(&table).await, [(1, None), (2, None)]);
}

#[tokio::test]
async fn a_damaged_epoch_with_a_file_is_not_left_out_whatever_is_left_of_it() {
    // the mark in the staging folder, or the file's name, is enough; without a state, too
    for (keep_file, keep_mark, with_state) in
        [(true, true, true), (false, true, true), (true, false, true), (true, true, false)]
    {
        let dir = TempDir::new().unwrap();
        let table = table(dir.path(), &[], &[]);
        let state = two_epochs(&table, true).await;
        if !keep_file {
            visible_files(dir.path()).iter().for_each(|file| std::fs::remove_file(dir.path().join(file)).unwrap());
        }
        if !keep_mark {
            std::fs::remove_dir_all(dir.path().join(STAGING)).unwrap();
        }
        let error = sink_without(&table, 2).restore(with_state.then_some(state)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        for word in ["epoch 2 is damaged", "m/2.json", "epoch 1 cannot be used", "published a file of epoch 2"] {
            assert!(error.message().contains(word), "{word}: {error:?}");
        }
    }
}

#[test]
fn names_of_files_tell_their_last_epoch() {
    for (name, epoch) in [
        ("part-0123456789abcdef-01234567-3-17.parquet", Some(17)),
        ("part-0123456789abcdef-01234567-3-17-2.json", Some(17)),
        ("part-fedcba9876543210-01234567-3-17.json", None),
        ("part-0123456789abcdef-01234567.json", None),
        ("readings.json", None),
    ] {
        assert_eq!(crate::connectors::filesystem::last_epoch(name, "0123456789abcdef"), epoch, "{name}");
    }
}

#[tokio::test]
async fn commits_may_come_after_the_next_barrier() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[("sink.rolling-policy.file-size", "1")]);
    let mut sink = sink(&table);
    sink.restore(None).await.unwrap();
    for epoch in 1..=3 {
        sink.write(rows(&table, &[(epoch as i64, None)])).await.unwrap();
        let state = sink.prepare(epoch, false).await.unwrap();
        assert_eq!(state.0["sealed"].as_array().unwrap().len(), epoch as usize);
    }
    for epoch in 1..=3 {
        sink.commit(epoch).await.unwrap();
        assert_eq!(visible(&table).await.len(), epoch as usize);
    }
}

#[tokio::test]
async fn rolling_by_size_and_by_time() {
    let dir = TempDir::new().unwrap();
    let options = [("sink.rolling-policy.file-size", "64kb"), ("sink.rolling-policy.rollover-interval", "10 s")];
    let table = table(dir.path(), &[], &options);
    let clock = Arc::new(TestClock(AtomicI64::new(0)));
    let mut sink = sink_at(&table, &clock);
    sink.restore(None).await.unwrap();
    let mut n = 0;
    let mut epoch = 0;
    let mut turn = async |sink: &mut FileSink, count: i64, ms: i64| {
        clock.0.fetch_add(ms, Ordering::Relaxed);
        let values: Vec<_> = (n..n + count).map(|n| (n, Some("text"))).collect();
        n += count;
        epoch += 1;
        sink.write(rows(&table, &values)).await.unwrap();
        sink.prepare(epoch, false).await.unwrap();
        sink.commit(epoch).await.unwrap();
        visible_files(dir.path()).len()
    };
    assert_eq!(turn(&mut sink, 10, 0).await, 0);
    assert_eq!(turn(&mut sink, 0, 9_999).await, 0);
    assert_eq!(turn(&mut sink, 1, 1).await, 1);
    assert_eq!(turn(&mut sink, 5_000, 0).await, 2);
    assert_eq!(turn(&mut sink, 0, 100_000).await, 2);
    let names = visible_files(dir.path());
    assert!(names[0].ends_with("-1-3.parquet") && names[1].ends_with("-4-4.parquet"), "{names:?}");
}

#[tokio::test]
async fn a_large_segment_becomes_several_files() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[("sink.rolling-policy.file-size", "10kb")]);
    let mut sink = sink(&table);
    sink.restore(None).await.unwrap();
    for start in 0..4 {
        let values: Vec<_> = (start * 8192..(start + 1) * 8192).map(|n| (n * 7919, Some("x"))).collect();
        sink.write(rows(&table, &values)).await.unwrap();
    }
    sink.prepare(1, true).await.unwrap();
    sink.commit(1).await.unwrap();
    let names = visible_files(dir.path());
    assert!(names.len() > 1 && names.iter().any(|n| n.ends_with("-1-1-1.parquet")), "{names:?}");
    let found = visible(&table).await;
    assert!(found.iter().enumerate().all(|(i, (n, _))| *n == i as i64 * 7919));
    assert_eq!(found.len(), 4 * 8192);
}

#[tokio::test]
async fn nasty_partition_values_stay_in_their_folder() {
    let dir = TempDir::new().unwrap();
    let table = table(&dir.path().join("t"), &["k"], &[]);
    let nasty = ["..", "../../etc", "/abs", "a/b", "a=b", "\0", "\n", "%2F", "ü", ".", " ", "C:\\x", "NULL", "'"];
    let values: Vec<(i64, Option<&str>)> = nasty.iter().enumerate().map(|(i, v)| (i as i64, Some(*v))).collect();
    let mut sink = sink(&table);
    sink.restore(None).await.unwrap();
    sink.write(rows(&table, &values)).await.unwrap();
    sink.write(rows(&table, &[(100, None), (101, Some(""))])).await.unwrap();
    sink.prepare(1, true).await.unwrap();
    sink.commit(1).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let mut expect: BTreeMap<i64, Option<String>> = values.iter().map(|(n, v)| (*n, v.map(str::to_owned))).collect();
    expect.extend([(100, None), (101, None)]);
    assert_eq!(visible(&table).await, expect.into_iter().collect::<Vec<_>>());
    assert!(visible_files(&dir.path().join("t")).iter().any(|n| n.starts_with("k=__DEFAULT_PARTITION__/")));
}

#[tokio::test]
async fn more_folders_than_may_be_open_are_written() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &["k"], &[]);
    let mut sink = sink(&table);
    sink.restore(None).await.unwrap();
    let names: Vec<String> = (0..crate::limits::OPEN_FOLDERS_MAX + 5).map(|i| format!("v{i}")).collect();
    let values: Vec<_> = names.iter().enumerate().map(|(i, v)| (i as i64, Some(v.as_str()))).collect();
    sink.write(rows(&table, &values)).await.unwrap();
    sink.prepare(1, true).await.unwrap();
    sink.commit(1).await.unwrap();
    assert_eq!(visible(&table).await.len(), names.len());
}

#[tokio::test]
async fn two_writers_of_one_table_do_not_meet() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[]);
    for n in [1, 2] {
        let mut sink = sink(&table);
        sink.restore(None).await.unwrap();
        sink.write(rows(&table, &[(n, None)])).await.unwrap();
        sink.prepare(1, true).await.unwrap();
        sink.commit(1).await.unwrap();
    }
    assert_eq!(visible(&table).await, [(1, None), (2, None)]);
}

#[tokio::test]
async fn lost_or_damaged_staging_is_an_error() {
    for damage in ["gone", "short", "flipped"] {
        let dir = TempDir::new().unwrap();
        let table = table(dir.path(), &[], &[]);
        let mut first = sink(&table);
        first.restore(None).await.unwrap();
        first.write(rows(&table, &[(1, Some("x"))])).await.unwrap();
        let state = first.prepare(1, damage == "flipped").await.unwrap();
        let staged = std::fs::read_dir(dir.path().join(STAGING)).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&staged).unwrap();
        match damage {
            "gone" => std::fs::remove_file(&staged).unwrap(),
            "short" => std::fs::write(&staged, &bytes[..bytes.len() - 1]).unwrap(),
            _ => {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                std::fs::write(&staged, &bytes).unwrap();
            }
        }
        let error = sink(&table).restore(Some(state)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State, "{damage}: {error}");
        assert!(error.message().contains(".arrows"), "{error}");
    }
}

#[tokio::test]
async fn a_path_that_changed_while_rows_wait_is_named() {
    let dir = TempDir::new().unwrap();
    let [before, now] = ["before", "now"].map(|folder| table(&dir.path().join(folder), &[], &[]));
    let mut first = sink(&before);
    first.restore(None).await.unwrap();
    first.write(rows(&before, &[(1, Some("x"))])).await.unwrap();
    let state = first.prepare(1, false).await.unwrap();
    let error = sink(&now).restore(Some(state.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("before") && error.message().contains("now"), "{error}");
    std::fs::remove_dir_all(dir.path().join("now")).unwrap();
    std::fs::rename(dir.path().join("before"), dir.path().join("now")).unwrap();
    sink(&now).restore(Some(state)).await.unwrap();
    assert_eq!(crate::connectors::filesystem::visible_files(&now).unwrap().len(), 1);
}

#[tokio::test]
async fn an_unwritable_path_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = FileSink::open(&table(&file, &[], &[]), &JobContext::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("is a file"), "{error}");
    let error = sink(&table(&file.join("below"), &[], &[])).restore(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("file"), "{error}");
    let full = failure("write", Path::new("/x"), std::io::ErrorKind::StorageFull.into());
    assert_eq!((full.kind(), full.message()), (ErrorKind::Unavailable, "cannot write \"/x\": the disk is full"));
}

#[test]
fn a_type_without_a_form_is_refused_before_any_row() {
    let dir = TempDir::new().unwrap();
    let mut table = table(dir.path(), &[], &[]);
    table.columns.push(column("s", DataType::Struct(arrow::datatypes::Fields::empty())));
    let error = FileSink::open(&table, &JobContext::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    table.columns.pop();
    table.columns.push(column("t", DataType::Timestamp(TimeUnit::Second, None)));
    assert!(FileSink::open(&table, &JobContext::default()).is_ok());
}

/// Text formats, with partition folders: as the corpus has them.
#[tokio::test]
async fn text_formats_come_back_and_leave_partition_columns_out() {
    for (format, lines) in [("json", ["{\"n\":1}", "{\"n\":2}"]), ("csv", ["1", "2"])] {
        let dir = TempDir::new().unwrap();
        let mut table = table(dir.path(), &["k"], &[("format", format), ("csv.null-literal", "")]);
        let mut sink = sink(&table);
        sink.restore(None).await.unwrap();
        sink.write(rows(&table, &[(1, Some("a")), (2, Some("a")), (3, None)])).await.unwrap();
        sink.prepare(1, true).await.unwrap();
        sink.commit(1).await.unwrap();
        let names = visible_files(dir.path());
        assert!(names[1].starts_with("k=a/part-") && names[1].ends_with(&format!("-1-1.{format}")), "{names:?}");
        let text = std::fs::read_to_string(dir.path().join(&names[1])).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert!(text.ends_with('\n'));
        assert_eq!(visible(&table).await, [(1, Some("a".into())), (2, Some("a".into())), (3, None)]);
        // values with line ends and quotes, without folders
        let nasty = ["a\nb", "\"", "\"\"\n,", "x,y", " ", "\r\n"];
        let values: Vec<(i64, Option<&str>)> = nasty.iter().enumerate().map(|(i, v)| (i as i64, Some(*v))).collect();
        table.partitioned_by.clear();
        table
            .options
            .0
            .insert("path".into(), OptionValue { value: dir.path().join("flat").display().to_string(), span: None });
        let mut sink = self::sink(&table);
        sink.restore(None).await.unwrap();
        sink.write(rows(&table, &values)).await.unwrap();
        sink.prepare(1, true).await.unwrap();
        sink.commit(1).await.unwrap();
        let expect: Vec<_> = values.iter().map(|(n, v)| (*n, v.map(str::to_owned))).collect();
        assert_eq!(visible(&table).await, expect, "{format}");
    }
}

#[tokio::test]
async fn a_process_that_was_taken_over_removes_no_row_of_the_later_one() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[]);
    let clock = Arc::new(TestClock(AtomicI64::new(0)));
    let mut new = sink_of(&table, &clock, 2);
    new.restore(None).await.unwrap();
    new.write(rows(&table, &[(1, None)])).await.unwrap();
    drop(new.prepare(1, true).await.unwrap());
    // it hung before it opened its sinks, and wakes up with the manifest of that time
    sink_of(&table, &clock, 1).restore(None).await.unwrap();
    let known = sink_of(&table, &clock, 1).prepare(0, false).await.unwrap();
    sink_of(&table, &clock, 1).restore(Some(known)).await.unwrap();
    new.commit(1).await.unwrap();
    assert_eq!(visible(&table).await, [(1, None)]);
}

/// A crash between the two names of a finished file: the next process must not write through the first one.
#[tokio::test]
async fn a_visible_file_is_never_written_again() {
    let dir = TempDir::new().unwrap();
    let table = table(dir.path(), &[], &[]);
    let clock = Arc::new(TestClock(AtomicI64::new(0)));
    let mut old = sink_of(&table, &clock, 1);
    old.restore(None).await.unwrap();
    old.write(rows(&table, &[(1, None)])).await.unwrap();
    let state = old.prepare(1, true).await.unwrap();
    let staged: Vec<_> = std::fs::read_dir(dir.path().join(STAGING)).unwrap().map(|e| e.unwrap().path()).collect();
    let kept = std::fs::read(&staged[0]).unwrap();
    old.commit(1).await.unwrap();
    drop(old);
    let visible_name = visible_files(dir.path()).remove(0);
    let path = dir.path().join(&visible_name);
    let temporary = dir.path().join(format!(".{visible_name}.1.tmp"));
    std::fs::hard_link(&path, &temporary).unwrap();
    std::fs::remove_file(staged[0].with_extension("done")).unwrap();
    std::fs::write(&staged[0], kept).unwrap();
    let written = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let before = written();
    sink_of(&table, &clock, 2).restore(Some(state)).await.unwrap();
    assert_eq!(written(), before, "not written again");
    assert!(!temporary.exists(), "what an earlier process has left is gone");
    assert_eq!(visible(&table).await, [(1, None)]);
}
