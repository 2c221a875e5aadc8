//! Copies of small generations: readers use them without a look at the folder, and never a wrong one.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cfgstore_mirror::{Publisher, ReadError, Reader};

use super::support::*;

/// The largest file that gets a copy.
const MAX_COPY: usize = 16 << 10;
/// Where the control page says where the newest copy is, and the arena's number in that word.
const PLACE_AT: u64 = 72;
const NUMBER: u64 = 1 << 16;

/// A publisher at generation 2, which has made its arena: the next generation is the first with a copy.
fn started(dir: &Path) -> Publisher {
    let mut publisher = open(dir);
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    publisher.publish_changes(3, [put("a", "2", 3)]).unwrap();
    publisher
}

fn change(publisher: &mut Publisher, value: &str) -> u64 {
    let revision = publisher.current().unwrap().revision() + 1;
    let published = publisher.publish_changes(revision, [put("a", value, revision)]);
    published.unwrap().generation
}

/// Leaves readers nothing but the copy.
fn remove_file(publisher: &Publisher) {
    fs::remove_file(snapshot_file(publisher.dir(), publisher.generation())).unwrap();
}

fn write_at(publisher: &Publisher, file: &str, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(publisher.dir().join(file));
    file.unwrap().write_all_at(bytes, at).unwrap();
}

fn read_place(publisher: &Publisher) -> u64 {
    let mut place = [0; 8];
    let control = fs::File::open(publisher.dir().join("control")).unwrap();
    control.read_exact_at(&mut place, PLACE_AT).unwrap();
    u64::from_le_bytes(place)
}

fn arenas(publisher: &Publisher) -> Vec<String> {
    let names = files(publisher.dir()).into_iter();
    names.filter(|name| name.starts_with("recent")).collect()
}

#[test]
fn a_small_generation_is_read_without_its_file_for_as_long_as_it_is_held() {
    let dir = shm_dir();
    let mut publisher = started(dir.path());
    let mut reader = Reader::open(publisher.dir()).unwrap();
    let mut held = Vec::new();
    // More than two arenas hold, in sizes that leave another rest in each.
    for n in 0..120usize {
        let value = format!("{n}:{}", "v".repeat(n * 7_919 % 15_000));
        let generation = change(&mut publisher, &value);
        remove_file(&publisher);
        assert!(arenas(&publisher).len() <= 2, "{:?}", arenas(&publisher));
        for reader in [&mut reader, &mut Reader::open(publisher.dir()).unwrap()] {
            let snapshot = reader.snapshot().unwrap();
            assert_eq!(snapshot.generation(), generation);
            held.push((snapshot, value.clone()));
        }
    }
    assert_eq!(arenas(&publisher), ["recent.4"]);
    drop((reader, publisher));
    for (snapshot, value) in held {
        assert_eq!(value_of(&snapshot, "a"), Some(&*value));
    }
}

#[test]
fn a_mirror_that_never_changes_or_is_large_makes_no_arena() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    publisher.heartbeat(1).unwrap();
    assert_eq!(arenas(&publisher), [""; 0]);
    for _ in 0..3 {
        change(&mut publisher, &"x".repeat(MAX_COPY));
    }
    assert_eq!(arenas(&publisher), [""; 0]);
}

#[test]
fn a_file_of_up_to_16_kib_gets_a_copy() {
    let dir = shm_dir();
    let mut publisher = started(dir.path());
    change(&mut publisher, "");
    let without_value = publisher.current().unwrap().size_bytes() as usize;
    for (value_size, has_copy) in [
        (MAX_COPY - without_value, true),
        (MAX_COPY - without_value + 1, false),
    ] {
        let value = "x".repeat(value_size);
        change(&mut publisher, &value);
        let mut reader = Reader::open(publisher.dir()).unwrap();
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some(&*value));
        remove_file(&publisher);
        let found = Reader::open(publisher.dir()).unwrap().snapshot();
        assert_eq!(found.is_ok(), has_copy, "{found:?}");
    }
}

#[test]
fn what_is_wrong_with_a_copy_is_made_good_by_its_file() {
    type Spoil = fn(&Publisher);
    // Generation 4 is the second with a copy: behind the arena's header and the copy of generation 3.
    fn set_place(publisher: &Publisher, place: u64) {
        write_at(publisher, "control", PLACE_AT, &place.to_le_bytes());
    }
    fn spoil_copy(publisher: &Publisher, at: u64, bytes: &[u8]) {
        let offset = read_place(publisher) % NUMBER * 64;
        write_at(publisher, "recent.1", offset + at, bytes);
    }
    let spoils: [(&str, Spoil); 14] = [
        ("no place", |p| set_place(p, 0)),
        ("no copy", |p| set_place(p, NUMBER)),
        ("the copy before", |p| set_place(p, NUMBER + 1)),
        ("where nothing is yet", |p| set_place(p, NUMBER + 1_000)),
        ("at the end", |p| set_place(p, NUMBER + (256 << 10) / 64 - 1)),
        ("beyond the end", |p| set_place(p, NUMBER + 0xffff)),
        ("an arena that is not there", |p| set_place(p, 7 * NUMBER + 1)),
        ("damaged tables", |p| spoil_copy(p, 130, b"\xff")),
        ("damaged header", |p| spoil_copy(p, 64, b"\xff")),
        ("size beyond the end", |p| spoil_copy(p, 104, &[0xff; 8])),
        ("foreign arena", |p| write_at(p, "recent.1", 0, b"X")),
        ("arena of another version", |p| write_at(p, "recent.1", 8, &[2])),
        ("arena of another mirror", |p| {
            write_at(p, "recent.1", 16, &[0; 8])
        }),
        ("short arena", |p| {
            let arena = OpenOptions::new().write(true).open(p.dir().join("recent.1"));
            arena.unwrap().set_len(128 << 10).unwrap();
        }),
    ];
    for (name, spoil) in spoils {
        let dir = shm_dir();
        let mut publisher = started(dir.path());
        change(&mut publisher, "3");
        change(&mut publisher, "4");
        let fresh = || Reader::open(publisher.dir()).unwrap().snapshot();
        spoil(&publisher);
        assert_eq!(value_of(&fresh().unwrap(), "a"), Some("4"), "{name}");
        remove_file(&publisher);
        let refused = fresh();
        assert!(
            matches!(refused, Err(ReadError::Missing { .. })),
            "{name}: {refused:?}"
        );
    }
}

/// A publisher that died after it wrote a copy: before it stored the generation, and between that and the place.
#[test]
fn a_copy_that_was_never_published_is_not_read() {
    for stored in [false, true] {
        let dir = shm_dir();
        let mut publisher = started(dir.path());
        change(&mut publisher, "3");
        let place = read_place(&publisher);
        let mut reader = Reader::open(publisher.dir()).unwrap();
        reader.snapshot().unwrap();
        change(&mut publisher, "4");
        let path = publisher.dir().to_path_buf();
        write_at(&publisher, "control", PLACE_AT, &place.to_le_bytes());
        if !stored {
            write_at(&publisher, "control", 64, &6u64.to_le_bytes());
        }
        drop(publisher);
        if stored {
            assert_eq!(
                value_of(&reader.snapshot().unwrap(), "a"),
                Some("4"),
                "from the file"
            );
        }
        let mut publisher = open(dir.path());
        assert_eq!(arenas(&publisher), [""; 0], "the former publisher's is not used");
        let generation = change(&mut publisher, "new");
        assert_eq!(generation, if stored { 5 } else { 4 });
        assert_eq!(arenas(&publisher), ["recent.2"], "its number is not given again");
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("new"));
        change(&mut publisher, "newest");
        remove_file(&publisher);
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("newest"));
        assert_eq!(
            value_of(&Reader::open(&path).unwrap().snapshot().unwrap(), "a"),
            Some("newest")
        );
    }
}

#[test]
fn what_a_crash_left_of_an_arena_is_removed() {
    let dir = shm_dir();
    let path = started(dir.path()).dir().to_path_buf();
    for name in ["recent.tmp", "recent.2", "recent.02", "recent.x"] {
        fs::write(path.join(name), b"half an arena").unwrap();
    }
    let mut publisher = open(dir.path());
    assert_eq!(arenas(&publisher), ["recent.02", "recent.x"], "not names of ours");
    change(&mut publisher, "3");
    // A number that no reader was ever told is free.
    assert_eq!(arenas(&publisher), ["recent.02", "recent.1", "recent.x"]);
}

#[test]
fn without_an_arena_the_mirror_goes_on() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let in_the_way = publisher.dir().join("recent.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let mut reader = Reader::open(publisher.dir()).unwrap();
    for value in ["2", "3"] {
        change(&mut publisher, value);
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some(value));
    }
    assert_eq!(arenas(&publisher), ["recent.tmp"]);
    // Tried again with each change.
    fs::remove_dir(&in_the_way).unwrap();
    change(&mut publisher, "4");
    change(&mut publisher, "5");
    remove_file(&publisher);
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("5"));
}
