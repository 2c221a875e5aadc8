//! What a reader sees of what a publisher publishes.

#[path = "publish_and_read/recent.rs"]
mod recent;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_mirror::{
    FileKind, Origin, PublishError, Publisher, PublisherOptions, ReadError, Reader, Snapshot,
};
use support::*;

#[test]
fn a_generation_is_read_as_it_was_published() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let mut reader = Reader::open(&dir.path().join("m")).unwrap();
    assert_eq!(reader.generation(), 0);
    assert!(matches!(reader.snapshot(), Err(ReadError::NotPublished { .. })));

    let published = publisher
        .publish_full(
            origin(7),
            [
                entry(b"b", b"2", 3),
                entry(b"a", b"1", 2),
                entry(b"", b"empty key", 4),
            ],
        )
        .unwrap();
    assert_eq!((published.generation, published.kind), (1, FileKind::Base));
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.generation(), 1);
    assert_eq!(snapshot.revision(), 7);
    assert_eq!(snapshot.source_id(), SOURCE);
    assert_eq!(snapshot.len(), 3);
    assert!(!snapshot.is_restored() && snapshot.published_unix_ms() > 0);
    assert_eq!(snapshot.get(b"a").unwrap(), Some(entry(b"a", b"1", 2)));
    assert_eq!(value_of(&snapshot, "b"), Some("2"));
    assert_eq!(value_of(&snapshot, ""), Some("empty key"));
    assert_eq!(value_of(&snapshot, "c"), None);
}

#[test]
fn an_empty_mirror_is_a_generation() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(1), []).unwrap();
    let snapshot = Reader::open(publisher.dir()).unwrap().snapshot().unwrap();
    assert!(snapshot.is_empty());
    assert_eq!(value_of(&snapshot, "a"), None);
    assert_eq!(snapshot.iter().count(), 0);
    publisher.publish_changes(2, [put("a", "1", 2)]).unwrap();
    publisher.publish_changes(3, [delete("a", 3)]).unwrap();
    assert!(
        Reader::open(publisher.dir())
            .unwrap()
            .snapshot()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn changes_lie_over_their_base() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    let long = "x".repeat(4000);
    publisher
        .publish_full(
            origin(4),
            [
                entry(b"a/1", b"one", 2),
                entry(b"a/2", b"two", 3),
                entry(b"b", long.as_bytes(), 4),
            ],
        )
        .unwrap();
    let mut reader = Reader::open(publisher.dir()).unwrap();
    let first = reader.snapshot().unwrap();
    let published = publisher
        .publish_changes(
            6,
            [
                put("a/2", "deux", 5),
                put("a/15", "new", 5),
                delete("a/1", 6),
                delete("never", 6),
            ],
        )
        .unwrap();
    assert_eq!((published.generation, published.kind), (2, FileKind::Delta));
    let second = reader.snapshot().unwrap();
    assert_eq!(
        (second.generation(), second.base_generation(), second.revision()),
        (2, 1, 6)
    );
    assert_eq!(second.len(), 3);
    let listed: Vec<_> = second
        .iter_prefix(b"a/")
        .map(|entry| entry.unwrap().key)
        .collect();
    assert_eq!(listed, [&b"a/15"[..], b"a/2"]);
    assert_eq!(value_of(&second, "a/1"), None);
    assert_eq!(value_of(&second, "a/2"), Some("deux"));
    assert_eq!(value_of(&second, "b"), Some(&*long));
    // What was held before has not changed.
    assert_eq!((first.revision(), first.len()), (4, 3));
    assert_eq!(value_of(&first, "a/1"), Some("one"));

    publisher
        .publish_changes(7, [put("a/1", "again", 7), delete("a/15", 7)])
        .unwrap();
    let third = reader.snapshot().unwrap();
    assert_eq!((third.base_generation(), third.len()), (1, 3));
    assert_eq!(value_of(&third, "a/1"), Some("again"));
    assert_eq!(value_of(&third, "a/15"), None);
    assert_eq!(value_of(&second, "a/15"), Some("new"));
}

#[test]
fn a_snapshot_is_reused_until_the_generation_moves() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let mut reader = Reader::open(publisher.dir()).unwrap();
    let first = reader.snapshot().unwrap();
    assert!(Arc::ptr_eq(&first, &reader.snapshot().unwrap()));
    publisher.publish_changes(2, []).unwrap();
    let second = reader.snapshot().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, reader.held().unwrap()));
}

#[test]
fn the_last_of_several_entries_with_one_key_counts() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let twice = [
        entry(b"b", b"old", 2),
        entry(b"a", b"1", 3),
        entry(b"b", b"new", 4),
    ];
    publisher.publish_full(origin(4), twice).unwrap();
    assert_eq!(value_of(publisher.current().unwrap(), "b"), Some("new"));
    publisher
        .publish_changes(
            6,
            [
                put("a", "2", 5),
                delete("b", 5),
                put("b", "back", 6),
                delete("a", 6),
            ],
        )
        .unwrap();
    let current = publisher.current().unwrap();
    assert_eq!(
        (value_of(current, "a"), value_of(current, "b"), current.len()),
        (None, Some("back"), 1)
    );
}

#[test]
fn what_was_never_in_the_base_leaves_nothing_in_the_delta() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    publisher
        .publish_full(origin(2), [entry(b"a", &[1; 2000], 2)])
        .unwrap();
    let nothing = publisher.publish_changes(3, []).unwrap().bytes_written;
    publisher.publish_changes(4, [put("b", "1", 4)]).unwrap();
    let deleted = publisher
        .publish_changes(5, [delete("b", 5), delete("c", 5)])
        .unwrap();
    assert_eq!((deleted.kind, deleted.bytes_written), (FileKind::Delta, nothing));
    let hidden = publisher.publish_changes(6, [delete("a", 6)]).unwrap();
    assert!(hidden.bytes_written > nothing);
    assert!(publisher.current().unwrap().is_empty());
}

#[test]
fn one_generation_back_is_kept_and_freed_when_idle() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    for revision in 2..6 {
        publisher
            .publish_full(origin(revision), [entry(b"a", b"1", 2)])
            .unwrap();
    }
    assert_eq!(
        files(publisher.dir()),
        ["3.snap", "4.snap", "control", "lock", "recent.1"]
    );
    publisher.heartbeat(1).unwrap();
    assert_eq!(
        files(publisher.dir()),
        ["3.snap", "4.snap", "control", "lock", "recent.1"]
    );
    publisher.heartbeat(2).unwrap();
    assert_eq!(files(publisher.dir()), ["4.snap", "control", "lock", "recent.1"]);
}

#[test]
fn the_base_of_the_kept_generation_is_kept_too() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    let value = "x".repeat(1000);
    publisher
        .publish_full(origin(2), [entry(b"a", value.as_bytes(), 2)])
        .unwrap();
    publisher.publish_changes(3, [put("b", "1", 3)]).unwrap();
    publisher.publish_changes(4, [put("b", "2", 4)]).unwrap();
    publisher
        .publish_full(origin(5), [entry(b"a", b"small", 5)])
        .unwrap();
    assert_eq!(
        files(publisher.dir()),
        ["1.snap", "3.snap", "4.snap", "control", "lock", "recent.1"]
    );
    publisher.publish_full(origin(6), []).unwrap();
    assert_eq!(
        files(publisher.dir()),
        ["4.snap", "5.snap", "control", "lock", "recent.1"]
    );
}

#[test]
fn bases_are_rewritten_by_the_policy() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite.small_bytes = 8 * 1024;
    let mut publisher = Publisher::open(options).unwrap();
    // Small: always whole.
    publisher.publish_full(origin(2), [entry(b"k", b"1", 2)]).unwrap();
    assert_eq!(
        publisher.publish_changes(3, [put("a", "1", 3)]).unwrap().kind,
        FileKind::Base
    );
    // Grown: a delta, until it is an eighth of the base.
    let big = "x".repeat(100_000);
    assert_eq!(
        publisher.publish_changes(4, [put("big", &big, 4)]).unwrap().kind,
        FileKind::Base
    );
    let some = "y".repeat(6_000);
    assert_eq!(
        publisher.publish_changes(5, [put("s1", &some, 5)]).unwrap().kind,
        FileKind::Delta
    );
    assert_eq!(
        publisher.publish_changes(6, [put("s2", &some, 6)]).unwrap().kind,
        FileKind::Delta
    );
    assert_eq!(
        publisher.publish_changes(7, [put("s3", &some, 7)]).unwrap().kind,
        FileKind::Base
    );
    // The same small change again and again: deltas, until they have cost four times the base.
    let mut kinds = Vec::new();
    for revision in 8..100 {
        kinds.push(
            publisher
                .publish_changes(revision, [put("s1", &some, revision)])
                .unwrap()
                .kind,
        );
    }
    let deltas = kinds.iter().take_while(|kind| **kind == FileKind::Delta).count();
    assert!(
        (60..80).contains(&deltas),
        "{deltas} deltas of 6 kB on a base of 118 kB"
    );
    assert_eq!(publisher.current().unwrap().len(), 6);
}

#[test]
fn changes_need_a_base_and_do_not_go_back() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    assert!(matches!(
        publisher.publish_changes(2, []),
        Err(PublishError::NoBase { .. })
    ));
    assert!(matches!(
        publisher.save_last_copy(&dir.path().join("last")),
        Err(PublishError::NoBase { .. })
    ));
    publisher.publish_full(origin(9), []).unwrap();
    let backwards = publisher.publish_changes(8, []);
    assert!(matches!(
        backwards,
        Err(PublishError::RevisionBackwards {
            given: 8,
            published: 9
        })
    ));
    // A full copy may: a cluster restored from a backup.
    publisher
        .publish_full(
            Origin {
                source_id: 1,
                revision: 3,
                restored: false,
            },
            [],
        )
        .unwrap();
    assert_eq!(publisher.current().unwrap().revision(), 3);
}

#[test]
fn what_is_too_large_is_refused_and_the_rest_stays() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.max_bytes = 10_000;
    let mut publisher = Publisher::open(options).unwrap();
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let big = "x".repeat(10_000);
    let refused = publisher.publish_changes(3, [put("a", &big, 3)]);
    assert!(
        matches!(
            refused,
            Err(PublishError::TooLarge {
                limit: 10_000,
                unit: "bytes",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(
        value_of(&Reader::open(publisher.dir()).unwrap().snapshot().unwrap(), "a"),
        Some("1")
    );
    assert_eq!(
        publisher
            .publish_changes(4, [put("a", "2", 4)])
            .unwrap()
            .generation,
        2
    );
}

#[test]
fn a_reader_waits_for_the_next_generation() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), []).unwrap();
    let reader = Reader::open(publisher.dir()).unwrap();
    let started = Instant::now();
    assert!(!reader.wait(1, Duration::from_millis(20)), "nothing moved");
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert!(reader.wait(0, Duration::ZERO), "already moved");
    // Each side waits for the other's step, so a lost wake-up shows as a wait that ends at its bound.
    let path = publisher.dir().to_path_buf();
    let (seen, heard) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let mut reader = Reader::open(&path).unwrap();
        for generation in 1..500 {
            assert!(
                reader.wait(generation, Duration::from_secs(20)),
                "woken after {generation}"
            );
            assert_eq!(reader.snapshot().unwrap().generation(), generation + 1);
            seen.send(generation + 1).unwrap();
        }
        assert!(
            reader.wait(500, Duration::from_secs(20)),
            "woken by the retirement"
        );
        assert!(reader.is_retired());
        assert_eq!(reader.generation(), 500);
    });
    for generation in 2..=500 {
        assert_eq!(publisher.publish_changes(2, []).unwrap().generation, generation);
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(generation));
    }
    publisher.retire();
    waiter.join().unwrap();
}

#[test]
fn heartbeat_close_and_pid_are_seen() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let reader = Reader::open(publisher.dir()).unwrap();
    assert_eq!((reader.heartbeat_boot_ms(), reader.heartbeat_age()), (0, None));
    let then = cfgstore_mirror::boot_ms() - 1;
    publisher.heartbeat(then).unwrap();
    assert_eq!(reader.heartbeat_boot_ms(), then);
    assert!(reader.heartbeat_age().unwrap() >= Duration::from_millis(1));
    // From before a reboot, in a folder that outlived it: whoever wrote it is gone.
    publisher.heartbeat(then + 3_600_000).unwrap();
    assert_eq!(reader.heartbeat_age(), None);
    assert_eq!(reader.publisher_pid(), std::process::id());
    assert!(!reader.is_closed());
    publisher.close();
    assert!(reader.is_closed());
    let _publisher = open(dir.path());
    assert!(!reader.is_closed() && !reader.is_retired());
}

#[test]
fn the_generation_word_can_be_read_through_its_address() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let reader = Reader::open(publisher.dir()).unwrap();
    let pointer = reader.generation_ptr();
    // SAFETY: valid while the reader lives; nobody writes meanwhile, all in this thread.
    let word = || unsafe { pointer.read_volatile() };
    assert_eq!(word(), 0);
    publisher.publish_full(origin(2), []).unwrap();
    assert_eq!(word(), 2);
    publisher.retire();
    assert_eq!(word(), 3);
    assert_eq!((reader.generation(), reader.is_retired()), (1, true));
}

#[test]
fn the_last_copy_is_complete_without_the_mirror() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    let long = "x".repeat(4000);
    publisher
        .publish_full(origin(2), [entry(b"a", long.as_bytes(), 2), entry(b"b", b"1", 2)])
        .unwrap();
    publisher
        .publish_changes(4, [put("c", "3", 3), delete("b", 4)])
        .unwrap();
    assert_ne!(publisher.current().unwrap().base_generation(), 2);

    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().join("last.snap");
    // What a crash in the middle of a former save left is no obstacle.
    std::fs::write(disk.path().join("last.snap.tmp"), b"half").unwrap();
    publisher.save_last_copy(&path).unwrap();
    publisher.save_last_copy(&path).unwrap();
    assert_eq!(files(disk.path()), ["last.snap"]);
    drop(publisher);
    drop(dir);

    let copy = Snapshot::open_file(&path).unwrap();
    assert_eq!((copy.revision(), copy.source_id(), copy.len()), (4, SOURCE, 2));
    assert_eq!(value_of(&copy, "a"), Some(&*long));
    assert_eq!(value_of(&copy, "b"), None);
    // And it can be published again, marked as what it is.
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let entries: Vec<_> = copy.iter().collect::<Result<_, _>>().unwrap();
    let origin = Origin {
        source_id: copy.source_id(),
        revision: copy.revision(),
        restored: true,
    };
    publisher.publish_full(origin, entries).unwrap();
    let snapshot = Reader::open(publisher.dir()).unwrap().snapshot().unwrap();
    assert!(snapshot.is_restored());
    assert_eq!(value_of(&snapshot, "c"), Some("3"));
    publisher.publish_changes(5, []).unwrap();
    assert!(!publisher.current().unwrap().is_restored());
}

#[test]
fn a_failed_save_keeps_the_former_last_copy() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let disk = tempfile::tempdir().unwrap();
    let path = disk.path().join("last.snap");
    publisher.save_last_copy(&path).unwrap();
    assert!(
        publisher
            .save_last_copy(&disk.path().join("no/such/folder"))
            .is_err()
    );
    // A folder in the way of the temporary file.
    std::fs::create_dir(disk.path().join("last.snap.tmp")).unwrap();
    assert!(publisher.save_last_copy(&path).is_err());
    assert_eq!(value_of(&Snapshot::open_file(&path).unwrap(), "a"), Some("1"));
}

#[test]
fn default_options_are_those_documented() {
    let options = PublisherOptions::linked("/x/mirror");
    assert_eq!(
        (options.file_mode, options.folder_mode, options.max_bytes),
        (0o640, 0o750, 1 << 30)
    );
    assert_eq!(options.rewrite.small_bytes, 16 * 1024);
}
