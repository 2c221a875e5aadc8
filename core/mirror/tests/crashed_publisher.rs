//! What a publisher that died at some step leaves behind, and what the next one makes of it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cfgstore_mirror::{Place, PublishError, Publisher, PublisherOptions, ReadError, Reader};
use support::*;

fn published(dir: &Path) -> Publisher {
    let mut publisher = open(dir);
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    publisher.publish_changes(3, [put("a", "2", 3)]).unwrap();
    publisher
}

#[test]
fn the_next_publisher_goes_on_in_the_same_folder() {
    let dir = shm_dir();
    let path = published(dir.path()).dir().to_path_buf();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("2"));
    let mut publisher = open(dir.path());
    assert_eq!(
        (publisher.generation(), publisher.current().unwrap().revision()),
        (2, 3)
    );
    assert_eq!(value_of(publisher.current().unwrap(), "a"), Some("2"));
    // Changes may go on at once, and the reader does not notice that there is a new process.
    assert_eq!(
        publisher
            .publish_changes(4, [put("b", "1", 4)])
            .unwrap()
            .generation,
        3
    );
    let snapshot = reader.snapshot().unwrap();
    assert_eq!((snapshot.generation(), snapshot.len()), (3, 2));
    assert!(reader.is_current(&path) && !reader.is_retired());
}

#[test]
fn died_while_writing_the_file() {
    let dir = shm_dir();
    let path = published(dir.path()).dir().to_path_buf();
    fs::write(path.join("next.tmp"), b"half a generation").unwrap();
    let mut publisher = open(dir.path());
    assert_eq!(files(&path), ["2.snap", "control", "lock"]);
    publisher.publish_changes(4, []).unwrap();
    assert_eq!(Reader::open(&path).unwrap().snapshot().unwrap().generation(), 3);
}

#[test]
fn died_between_rename_and_storing_the_generation() {
    let dir = shm_dir();
    let path = published(dir.path()).dir().to_path_buf();
    fs::write(snapshot_file(&path, 3), b"never became current").unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(
        reader.snapshot().unwrap().generation(),
        2,
        "the file alone is not a generation"
    );
    let mut publisher = open(dir.path());
    assert_eq!(files(&path), ["2.snap", "control", "lock"]);
    assert_eq!(
        publisher
            .publish_changes(4, [put("a", "3", 4)])
            .unwrap()
            .generation,
        3
    );
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("3"));
}

#[test]
fn died_before_removing_old_files() {
    let dir = shm_dir();
    let path = published(dir.path()).dir().to_path_buf();
    fs::write(snapshot_file(&path, 1), b"old").unwrap();
    fs::write(snapshot_file(&path, 0), b"older").unwrap();
    fs::write(path.join("007.snap"), b"not a name of ours").unwrap();
    drop(open(dir.path()));
    assert_eq!(files(&path), ["007.snap", "2.snap", "control", "lock"]);
}

#[test]
fn died_while_making_the_folder() {
    // Made, nothing in it; then with the lock; then with a control page not yet in place.
    for step in 0..3 {
        let dir = shm_dir();
        let path = dir.path().join("m");
        fs::create_dir(&path).unwrap();
        if step >= 1 {
            fs::write(path.join("lock"), b"").unwrap();
        }
        if step >= 2 {
            fs::write(path.join("control.tmp"), [0; 100]).unwrap();
        }
        assert!(matches!(Reader::open(&path), Err(ReadError::NotFound { .. })));
        let publisher = published(dir.path());
        assert_eq!(
            files(publisher.dir()),
            ["1.snap", "2.snap", "control", "lock", "recent.1"]
        );
        assert_eq!(Reader::open(&path).unwrap().snapshot().unwrap().revision(), 3);
    }
}

#[test]
fn the_published_generation_is_unreadable() {
    let dir = shm_dir();
    let path = published(dir.path()).dir().to_path_buf();
    let mut reader = Reader::open(&path).unwrap();
    let held = reader.snapshot().unwrap();
    let file = snapshot_file(&path, 2);
    let mut bytes = fs::read(&file).unwrap();
    bytes[130] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let mut publisher = open(dir.path());
    assert!(matches!(
        publisher.found_damage(),
        Some(ReadError::Damaged { .. })
    ));
    assert!(publisher.current().is_none());
    assert!(matches!(
        publisher.publish_changes(4, []),
        Err(PublishError::NoBase { .. })
    ));
    assert_eq!(
        publisher
            .publish_full(origin(4), [entry(b"a", b"3", 4)])
            .unwrap()
            .generation,
        3
    );
    assert!(publisher.found_damage().is_none());
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("3"));
    assert_eq!(value_of(&held, "a"), Some("2"));
}

#[test]
fn an_unusable_control_page_is_replaced_and_its_readers_are_told() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage, bool); 6] = [
        ("older version", |page| page[8] = 1, true),
        ("newer version", |page| page[8] = 3, true),
        ("damaged", |page| page[17] ^= 0xff, true),
        ("foreign", |page| page[0] = b'X', false),
        ("too short", |page| page.truncate(100), false),
        ("empty", |page| page.clear(), false),
    ];
    for (name, damage, can_be_told) in damages {
        let dir = shm_dir();
        let path = published(dir.path()).dir().to_path_buf();
        let reader = Reader::open(&path).unwrap();
        let control = path.join("control");
        let mut page = fs::read(&control).unwrap();
        damage(&mut page);
        // Same file, so that the reader's mapping is of it. A shorter one is a new file: a reader must not lose its page.
        if page.len() != 4096 {
            fs::remove_file(&control).unwrap();
        }
        fs::write(&control, &page).unwrap();
        fs::set_permissions(&control, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Reader::open(&path).is_err(), "{name}");

        let mut publisher = open(dir.path());
        assert_eq!(publisher.generation(), 0, "{name}");
        assert_eq!(reader.is_retired(), can_be_told, "{name}");
        assert!(!reader.is_current(&path), "{name}");
        publisher.publish_full(origin(9), []).unwrap();
        assert_eq!(
            Reader::open(&path).unwrap().snapshot().unwrap().revision(),
            9,
            "{name}"
        );
        assert_eq!(files(&path), ["1.snap", "control", "lock"], "{name}");
    }
}

#[test]
fn a_retired_mirror_does_not_come_back_to_life() {
    let dir = shm_dir();
    let publisher = published(dir.path());
    let path = publisher.dir().to_path_buf();
    let reader = Reader::open(&path).unwrap();
    publisher.retire();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(5), []).unwrap();
    assert!(reader.is_retired() && !reader.is_current(&path));
    assert_eq!(Reader::open(&path).unwrap().snapshot().unwrap().revision(), 5);
}

#[test]
fn a_second_publisher_is_refused() {
    let dir = shm_dir();
    let mut first = published(dir.path());
    let refused = Publisher::open(options(dir.path()));
    let me = std::process::id();
    assert!(
        matches!(refused, Err(PublishError::Locked { pid: Some(pid), .. }) if pid == me),
        "{refused:?}"
    );
    first.publish_changes(4, []).unwrap();
    drop(first);
    open(dir.path());
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let dir = shm_dir();
    let path = dir.path().join("m");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), b"dear all").unwrap();
    fs::write(path.join("1.snap"), b"somebody's").unwrap();
    let refused = Publisher::open(options(dir.path()));
    assert!(
        matches!(refused, Err(PublishError::NotAMirror { .. })),
        "{refused:?}"
    );
    assert_eq!(files(&path), ["1.snap", "letter.txt"]);
}

#[test]
fn a_removed_folder_is_noticed() {
    let dir = shm_dir();
    let mut publisher = published(dir.path());
    let path = publisher.dir().to_path_buf();
    let mut reader = Reader::open(&path).unwrap();
    let held = reader.snapshot().unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(matches!(
        publisher.heartbeat(1),
        Err(PublishError::Removed { .. })
    ));
    assert!(matches!(
        publisher.publish_changes(4, []),
        Err(PublishError::Removed { .. })
    ));
    assert!(!reader.is_current(&path) && !reader.is_retired());
    publisher.retire();
    assert!(reader.is_retired());
    assert_eq!(
        value_of(&held, "a"),
        Some("2"),
        "what is mapped outlives its file"
    );
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("2"));
    assert!(matches!(Reader::open(&path), Err(ReadError::NotFound { .. })));
}

#[test]
fn a_generation_file_removed_by_somebody_else_is_an_error_not_a_loop() {
    let dir = shm_dir();
    let mut publisher = published(dir.path());
    fs::remove_file(snapshot_file(publisher.dir(), 2)).unwrap();
    let mut reader = Reader::open(publisher.dir()).unwrap();
    assert!(matches!(reader.snapshot(), Err(ReadError::Missing { .. })));
    // The publisher has it mapped and goes on.
    publisher.publish_changes(4, [put("b", "1", 4)]).unwrap();
    assert_eq!(reader.snapshot().unwrap().len(), 2);
}

fn linked(dir: &Path) -> PublisherOptions {
    let place = Place::Linked {
        link: dir.join("data/mirror"),
        root: dir.join("shm"),
    };
    PublisherOptions {
        place,
        ..PublisherOptions::linked("")
    }
}

fn linked_dirs() -> tempfile::TempDir {
    let dir = shm_dir();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::create_dir(dir.path().join("shm")).unwrap();
    dir
}

#[test]
fn a_linked_mirror_is_found_and_kept() {
    let dir = linked_dirs();
    let link = dir.path().join("data/mirror");
    let mut publisher = Publisher::open(linked(dir.path())).unwrap();
    publisher.publish_full(origin(2), []).unwrap();
    let folder = publisher.dir().to_path_buf();
    assert!(
        folder
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("cfgstore-")
    );
    let reader = Reader::open(&link).unwrap();
    assert_eq!(reader.dir(), folder);
    assert!(matches!(
        Publisher::open(linked(dir.path())),
        Err(PublishError::Locked { .. })
    ));
    drop(publisher);
    let publisher = Publisher::open(linked(dir.path())).unwrap();
    assert_eq!((publisher.dir(), publisher.generation()), (&*folder, 1));
    assert!(reader.is_current(&link));
}

#[test]
fn a_link_that_leads_nowhere_is_set_anew() {
    let dir = linked_dirs();
    let link = dir.path().join("data/mirror");
    // As after a boot, and with the remains of a publisher that died while swinging the link.
    std::os::unix::fs::symlink(dir.path().join("shm/cfgstore-gone"), &link).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("data/mirror.tmp")).unwrap();
    let mut publisher = Publisher::open(linked(dir.path())).unwrap();
    publisher.publish_full(origin(2), []).unwrap();
    assert_eq!(Reader::open(&link).unwrap().snapshot().unwrap().revision(), 2);
    assert_eq!(files(&dir.path().join("data")), ["mirror"]);
    // The link swung away under a living publisher: it learns that nobody finds it any more.
    publisher.heartbeat(1).unwrap();
    fs::remove_file(&link).unwrap();
    assert!(matches!(
        publisher.heartbeat(2),
        Err(PublishError::Removed { .. })
    ));
}

#[test]
fn a_real_folder_in_the_place_of_the_link_is_used() {
    let dir = linked_dirs();
    let link = dir.path().join("data/mirror");
    fs::create_dir(&link).unwrap();
    let publisher = Publisher::open(linked(dir.path())).unwrap();
    assert_eq!(publisher.dir(), link.canonicalize().unwrap());
    assert!(files(&dir.path().join("shm")).is_empty());
    drop(publisher);
    fs::remove_dir_all(&link).unwrap();
    fs::write(&link, b"a file").unwrap();
    assert!(matches!(
        Publisher::open(linked(dir.path())),
        Err(PublishError::Unusable { .. })
    ));
}

#[test]
fn abandoned_mirrors_are_removed_and_others_are_not() {
    let dir = linked_dirs();
    let shm = dir.path().join("shm");
    let old = SystemTime::now() - Duration::from_secs(3600);
    // Its data folder is removed: abandoned. It is noticed by readers that still hold it.
    let mut abandoned = Publisher::open(linked(dir.path())).unwrap();
    for revision in 2..4 {
        abandoned.publish_full(origin(revision), []).unwrap();
    }
    let abandoned_dir = abandoned.dir().to_path_buf();
    let reader = Reader::open(&abandoned_dir).unwrap();
    fs::rename(dir.path().join("data"), dir.path().join("data-gone")).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    // Another one with the same root and a data folder of its own, its publisher stopped.
    let place = Place::Linked {
        link: dir.path().join("other"),
        root: shm.clone(),
    };
    let kept = Publisher::open(PublisherOptions {
        place,
        ..PublisherOptions::linked("")
    })
    .unwrap();
    let kept_dir = kept.dir().to_path_buf();
    drop(kept);
    // Half made, long ago and just now; and one that only has the prefix.
    for (name, is_old) in [
        ("cfgstore-half-old", true),
        ("cfgstore-half-new", false),
        ("cfgstore-of-others", true),
    ] {
        fs::create_dir(shm.join(name)).unwrap();
        if name.ends_with("others") {
            fs::write(shm.join(name).join("letter.txt"), b"dear all").unwrap();
        }
        if is_old {
            fs::File::open(shm.join(name)).unwrap().set_modified(old).unwrap();
        }
    }
    let count_before = fs::read_dir(&shm).unwrap().count();
    assert_eq!(count_before, 5);

    // While its publisher lives, it is in use.
    let publisher = Publisher::open(linked(dir.path())).unwrap();
    assert!(abandoned_dir.exists() && !reader.is_retired());
    assert!(!shm.join("cfgstore-half-old").exists());
    fs::rename(dir.path().join("data"), dir.path().join("data-gone-too")).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    drop((abandoned, publisher));
    let publisher = Publisher::open(linked(dir.path())).unwrap();
    assert!(!abandoned_dir.exists() && reader.is_retired());
    assert!(kept_dir.exists() && shm.join("cfgstore-half-new").exists());
    assert_eq!(files(&shm.join("cfgstore-of-others")), ["letter.txt"]);
    assert_eq!(fs::read_dir(&shm).unwrap().count(), 4);
    assert!(publisher.dir().exists());
}
