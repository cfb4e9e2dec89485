//! Crashes are made by dropping the store without a commit, damage by writing to its files.

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::stream::{PartitionId, RowCounts, SourcePosition};

pub(super) fn manifest(epoch: u64, objects: &[&ObjectRef]) -> Manifest {
    let snapshot = SnapshotRef { epoch, full: true, objects: objects.iter().map(|o| (*o).clone()).collect() };
    Manifest {
        format_version: FORMAT_VERSION,
        epoch,
        fence: 1,
        pipeline: "job".into(),
        instance: "0123456789abcdef".into(),
        created_ms: 17,
        put_id: unique_id(),
        plan: fingerprint("plan"),
        plan_text: "plan \"text\"\n".into(),
        sources: vec![SourcePosition {
            table: "t".into(),
            topic: "t".into(),
            partition: 3,
            id: PartitionId(3),
            next_offset: i64::MAX,
            watermark: i64::MIN,
            finished: false,
            fingerprint: Some(serde_json::json!({"topic_id": "x"})),
            counts: RowCounts { read: 2, processed: 2, ..RowCounts::default() },
        }],
        operators: BTreeMap::from([("1.window".into(), vec![snapshot])]),
        sinks: BTreeMap::from([("out".into(), serde_json::json!({"length": 7, "files": []}))]),
        ledger: RowCounts::default(),
        extras: BTreeMap::new(),
    }
}

fn files(dir: &Path, part: &str) -> Vec<String> {
    entries(&dir.join(part)).unwrap()
}

#[test]
fn what_is_committed_is_found_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/b");
    let mut store = CheckpointStore::open(&path).unwrap();
    assert_eq!(store.latest().unwrap(), None);
    let object = store.put("1.window/0 ü", b"state").unwrap();
    let first = manifest(1, &[&object]);
    store.commit(&first).unwrap();
    drop(store);
    let store = CheckpointStore::open(&path).unwrap();
    assert_eq!(store.latest().unwrap(), Some(first));
    assert_eq!(store.get(&object).unwrap(), b"state");
    assert_eq!(store.dir(), path);
}

#[test]
fn a_crash_before_the_commit_leaves_the_epoch_before() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let kept = store.put("a", b"1").unwrap();
    store.commit(&manifest(1, &[&kept])).unwrap();
    let lost = store.put("a", b"2").unwrap();
    std::fs::write(dir.path().join("m/.tmp-0123456789abcdef"), b"{\"half").unwrap();
    drop(store);

    let mut store = CheckpointStore::open(dir.path()).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().epoch, 1);
    assert_eq!(files(dir.path(), "m"), ["00000000000000000001.json"]);
    let again = store.put("a", b"2").unwrap();
    assert_ne!(again.path, lost.path);
    let second = manifest(2, &[&again]);
    store.commit(&second).unwrap();
    store.collect_garbage(&second).unwrap();
    assert_eq!(store.get(&lost).unwrap_err().kind(), ErrorKind::State);
    assert_eq!(store.get(&again).unwrap(), b"2");
    assert_eq!(store.get(&kept).unwrap(), b"1");
}

#[test]
fn a_second_process_is_refused() {
    let dir = TempDir::new().unwrap();
    let store = CheckpointStore::open(dir.path()).unwrap();
    for error in [CheckpointStore::open(dir.path()).unwrap_err(), CheckpointStore::clear(dir.path()).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("in use by another streamer"), "{error}");
        assert!(error.hint_text().unwrap().contains("--state"));
    }
    drop(store);
    CheckpointStore::open(dir.path()).unwrap();
}

#[test]
fn an_epoch_is_committed_once() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    store.commit(&manifest(5, &[])).unwrap();
    for epoch in [4, 5] {
        let error = store.commit(&manifest(epoch, &[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains("another process"), "{error}");
    }
    // one that this process has not seen
    std::fs::write(dir.path().join("m/00000000000000000006.json"), b"x").unwrap();
    assert_eq!(store.commit(&manifest(6, &[])).unwrap_err().kind(), ErrorKind::State);
    assert_eq!(files(dir.path(), "m").len(), 2);
}

#[test]
fn a_damaged_newest_manifest_is_named_and_never_skipped() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    store.commit(&manifest(1, &[])).unwrap();
    store.commit(&manifest(2, &[])).unwrap();
    let path = dir.path().join("m/00000000000000000002.json");
    let text = std::fs::read(&path).unwrap();
    for at in 0..text.len() {
        for damaged in [text[..at].to_vec(), [&text[..at], &[text[at] ^ 1], &text[at + 1..]].concat()] {
            std::fs::write(&path, damaged).unwrap();
            // a blank may stand for another blank outside the body; nothing else may pass
            let error = store.latest().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::State);
            assert!(error.message().contains("00000000000000000002.json"), "{error}");
        }
    }
    std::fs::copy(dir.path().join("m/00000000000000000001.json"), &path).unwrap();
    assert!(store.latest().unwrap_err().message().contains("epoch 1"));
}

#[test]
fn another_format_is_refused_by_number() {
    let dir = TempDir::new().unwrap();
    let store = CheckpointStore::open(dir.path()).unwrap();
    std::fs::write(dir.path().join("m/00000000000000000001.json"), br#"{"format_version": 7, "shape": "new"}"#)
        .unwrap();
    let error = store.latest().unwrap_err();
    assert!(error.message().contains("format 7"), "{error}");
}

#[test]
fn damaged_objects_are_named() {
    let dir = TempDir::new().unwrap();
    let store = CheckpointStore::open(dir.path()).unwrap();
    let object = store.put("a", b"state").unwrap();
    let path = dir.path().join(&object.path);
    for damaged in [b"statX".as_slice(), b"stat", b"state2", b""] {
        std::fs::write(&path, damaged).unwrap();
        let error = store.get(&object).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains(&object.path), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.get(&object).unwrap_err().kind(), ErrorKind::State);
    std::fs::write(dir.path().join("secret"), b"state").unwrap();
    for path in ["s/../secret", "../secret", "/etc/hostname", "secret", "s/x-0123456789abcde/"] {
        let object = ObjectRef { path: path.into(), ..object.clone() };
        assert_eq!(store.get(&object).unwrap_err().kind(), ErrorKind::State, "{path}");
    }
}

#[test]
fn garbage_goes_and_what_is_named_or_in_flight_stays() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let full = store.put("a", b"full").unwrap();
    let mut deltas = Vec::new();
    let mut in_flight = None;
    for epoch in 1..=10 {
        deltas.push(store.put("a", &[epoch as u8]).unwrap());
        // each epoch names the full one and its own change
        let manifest = manifest(epoch, &[&full, deltas.last().unwrap()]);
        store.commit(&manifest).unwrap();
        in_flight = Some(store.put("b", b"next").unwrap());
        store.collect_garbage(&manifest).unwrap();
        store.get(&full).unwrap();
        store.get(in_flight.as_ref().unwrap()).unwrap();
    }
    let kept = MANIFESTS_KEPT + 1;
    assert_eq!(files(dir.path(), "m").len(), kept);
    for (i, delta) in deltas.iter().enumerate() {
        assert_eq!(store.get(delta).is_ok(), i >= 10 - kept, "{i}");
    }
    drop(store);
    // after a restart nothing is in flight, and old manifests are read to know what they name
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let newest = store.latest().unwrap().unwrap();
    store.collect_garbage(&newest).unwrap();
    assert!(store.get(in_flight.as_ref().unwrap()).is_err());
    assert_eq!(files(dir.path(), "s").len(), 1 + kept);
}

#[test]
fn an_unreadable_older_manifest_keeps_all_objects() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let old = store.put("a", b"1").unwrap();
    store.commit(&manifest(1, &[&old])).unwrap();
    store.commit(&manifest(2, &[])).unwrap();
    drop(store);
    std::fs::write(dir.path().join("m/00000000000000000001.json"), b"?").unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let newest = store.latest().unwrap().unwrap();
    store.collect_garbage(&newest).unwrap();
    store.get(&old).unwrap();
}

#[test]
fn a_fresh_start_removes_only_states() {
    let dir = TempDir::new().unwrap();
    CheckpointStore::clear(&dir.path().join("none")).unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    let object = store.put("a", b"1").unwrap();
    store.commit(&manifest(1, &[&object])).unwrap();
    drop(store);
    for foreign in ["notes.txt", "m/notes.txt", "s/notes.txt"] {
        let path = dir.path().join(foreign);
        std::fs::write(&path, b"mine").unwrap();
        let error = CheckpointStore::clear(dir.path()).unwrap_err();
        assert!(error.message().contains("notes.txt"), "{error}");
        assert!(CheckpointStore::open(dir.path()).unwrap().latest().unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
    CheckpointStore::clear(dir.path()).unwrap();
    assert_eq!(CheckpointStore::open(dir.path()).unwrap().latest().unwrap(), None);
    assert!(files(dir.path(), "s").is_empty());
}

#[test]
fn a_failed_write_names_the_place_and_stops_the_store() {
    let dir = TempDir::new().unwrap();
    let mut store = CheckpointStore::open(dir.path()).unwrap();
    std::fs::remove_dir(dir.path().join("s")).unwrap();
    let error = store.put("a", b"1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&dir.path().join("s").display().to_string()), "{error}");
    assert_eq!(store.commit(&manifest(1, &[])).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(files(dir.path(), "m").is_empty());

    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = CheckpointStore::open(&file.join("state")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("file"), "{error}");
}

#[test]
fn a_full_disk_is_said_so() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = failure("write", Path::new("/x/s"), full);
    assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "cannot write \"/x/s\": the disk is full"));
}

#[test]
fn a_state_is_held_until_its_owner_goes_or_it_is_seized() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!CheckpointStore::is_held(dir.path()).unwrap());
    let mut first = CheckpointStore::open(dir.path()).unwrap();
    first.commit(&manifest(1, &[])).unwrap();
    assert!(CheckpointStore::is_held(dir.path()).unwrap());
    assert!(CheckpointStore::open(dir.path()).is_err());

    CheckpointStore::seize(dir.path()).unwrap();
    let mut second = CheckpointStore::open(dir.path()).unwrap();
    second.commit(&Manifest { fence: 2, ..manifest(2, &[]) }).unwrap();
    let error = first.commit(&manifest(2, &[])).unwrap_err();
    assert!(error.message().contains("another process has taken over"), "{error:?}");
    assert!(!first.is_owner(1).unwrap() && second.is_owner(2).unwrap());
    drop((first, second));
    assert!(!CheckpointStore::is_held(dir.path()).unwrap());
}

#[test]
fn a_file_system_without_hard_links_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    // the kernel gives a directory no second name, as such a file system gives no file one
    let (temporary, path) = (dir.path().join("t"), dir.path().join("m"));
    std::fs::create_dir(&temporary).unwrap();
    let error = create_only(&temporary, &path).unwrap_err();
    assert!(error.message().ends_with("has no hard links, which the state needs"), "{error:?}");
    assert_eq!((error.kind(), path.exists()), (ErrorKind::Config, false));
    probe_links(CheckpointStore::open(dir.path()).unwrap().dir()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join(MANIFESTS)).unwrap().count(), 0);
}
