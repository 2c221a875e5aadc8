//! Damaged, truncated and foreign files: a typed error or the right data, never anything else.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cfgstore_mirror::{PublishError, Publisher, ReadError, Reader, Snapshot};
use proptest::prelude::*;
use support::*;
use tempfile::TempDir;

fn sample_model() -> Model {
    let mut model = Model::new();
    for i in 0..23i64 {
        let key = format!("app/{}/{}", i % 3, "k".repeat(i as usize)).into_bytes();
        model.insert(key, (vec![i as u8; (i * 7 % 40) as usize], 2 + i));
    }
    model.insert(b"".to_vec(), (b"empty key".to_vec(), 40));
    model
}

/// A self-contained file of the sample.
fn sample_file(dir: &Path) -> Vec<u8> {
    let mut publisher = open(dir);
    publish(&mut publisher, &sample_model());
    fs::read(snapshot_file(publisher.dir(), 1)).unwrap()
}

fn publish(publisher: &mut Publisher, model: &Model) {
    let entries = model
        .iter()
        .map(|(key, (value, revision))| entry(key, value, *revision));
    publisher.publish_full(origin(50), entries).unwrap();
}

fn open_bytes(dir: &TempDir, bytes: &[u8]) -> Result<Snapshot, ReadError> {
    let path = dir.path().join("copy.snap");
    let _ = fs::remove_file(&path);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    Snapshot::open_file(&path)
}

/// Reads everything there is in every way there is. What is returned without an error must be right. `true` if all was.
fn read_all(snapshot: &Snapshot, model: &Model) -> bool {
    let mut complete = true;
    for (key, (value, revision)) in model {
        match snapshot.get(key) {
            Ok(found) => assert_eq!(
                found.map(|e| (e.value, e.mod_revision)),
                Some((&value[..], *revision))
            ),
            Err(ReadError::Damaged { .. }) => complete = false,
            Err(other) => panic!("{other}"),
        }
        let absent = [key, &b"?"[..]].concat();
        assert!(matches!(
            snapshot.get(&absent),
            Ok(None) | Err(ReadError::Damaged { .. })
        ));
    }
    let mut expected = model.iter();
    for entry in snapshot.iter() {
        match (entry, expected.next()) {
            (Ok(entry), Some((key, (value, _)))) => {
                assert_eq!((entry.key, entry.value), (&key[..], &value[..]))
            }
            (Err(ReadError::Damaged { .. }), Some(_)) => complete = false,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(expected.next(), None);
    complete
}

#[test]
fn every_byte_counts() {
    let dir = shm_dir();
    let model = sample_model();
    let good = sample_file(dir.path());
    assert!(
        read_all(&open_bytes(&dir, &good).unwrap(), &model),
        "the sample itself is whole"
    );
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            match open_bytes(&dir, &bad) {
                Ok(snapshot) => assert!(
                    !read_all(&snapshot, &model),
                    "byte {at} ^ {flip:#x} went unnoticed"
                ),
                Err(ReadError::Damaged { .. }) => {}
                Err(ReadError::Foreign { .. }) => assert!(at < 8),
                Err(ReadError::OtherVersion { .. }) => assert!((8..12).contains(&at)),
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
}

#[test]
fn every_length_counts() {
    let dir = shm_dir();
    let good = sample_file(dir.path());
    for length in 0..good.len() {
        let error = open_bytes(&dir, &good[..length]).expect_err("too short");
        assert!(matches!(error, ReadError::Truncated { .. }), "{length}: {error}");
    }
    let longer = [&good[..], b"\0"].concat();
    assert!(matches!(
        open_bytes(&dir, &longer),
        Err(ReadError::Truncated { .. })
    ));
}

#[test]
fn foreign_and_other_versions_are_told_apart() {
    let dir = shm_dir();
    let good = sample_file(dir.path());
    assert!(matches!(
        open_bytes(&dir, &[b'#'; 500]),
        Err(ReadError::Foreign { .. })
    ));
    let mut other = good.clone();
    other[8] = 2;
    let error = open_bytes(&dir, &other).expect_err("version 2");
    assert!(
        matches!(
            error,
            ReadError::OtherVersion {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        Snapshot::open_file(&dir.path().join("none")),
        Err(ReadError::NotFound { .. })
    ));
    assert!(matches!(
        Snapshot::open_file(dir.path()),
        Err(ReadError::Untrusted { .. })
    ));
}

#[test]
fn a_value_is_damaged_alone() {
    let dir = shm_dir();
    let mut good = sample_file(dir.path());
    let last = good.len() - 1;
    good[last] ^= 1;
    let snapshot = open_bytes(&dir, &good).unwrap();
    assert_eq!(snapshot.iter().filter(|entry| entry.is_err()).count(), 1);
    assert!(
        snapshot.save_to(&dir.path().join("last")).is_err(),
        "damage is not saved as a last copy"
    );
    assert!(!dir.path().join("last").exists());
}

/// Puts `bytes` in the place of a generation's file.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
}

#[test]
fn a_reader_keeps_what_it_holds_when_the_next_generation_is_damaged() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    let model = sample_model();
    publish(&mut publisher, &model);
    let mut reader = Reader::open(publisher.dir()).unwrap();
    reader.snapshot().unwrap();
    publisher.publish_changes(51, [put("x", "1", 51)]).unwrap();
    let delta = snapshot_file(publisher.dir(), 2);
    let mut bytes = fs::read(&delta).unwrap();
    bytes[200] ^= 1;
    replace(&delta, &bytes);
    assert!(matches!(reader.snapshot(), Err(ReadError::Damaged { .. })));
    assert!(read_all(reader.held().unwrap(), &model));
    // The publisher maps the file that it wrote; its next generation is whole again.
    publisher.publish_changes(52, []).unwrap();
    assert_eq!(value_of(&reader.snapshot().unwrap(), "x"), Some("1"));
}

#[test]
fn a_file_in_the_place_of_another_is_noticed() {
    let dir = shm_dir();
    let other = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options).unwrap();
    publish(&mut publisher, &sample_model());
    let foreign = {
        let mut publisher = open(other.path());
        publish(&mut publisher, &sample_model());
        fs::read(snapshot_file(publisher.dir(), 1)).unwrap()
    };
    let base = snapshot_file(publisher.dir(), 1);
    let good = fs::read(&base).unwrap();
    let fresh = || Reader::open(publisher.dir()).unwrap().snapshot();
    replace(&base, &foreign);
    assert!(matches!(
        fresh(),
        Err(ReadError::Damaged {
            what: "it belongs to another mirror",
            ..
        })
    ));
    replace(&base, &good);
    fresh().unwrap();

    publisher.publish_changes(51, [put("x", "1", 51)]).unwrap();
    let fresh = || Reader::open(publisher.dir()).unwrap().snapshot();
    let delta = fs::read(snapshot_file(publisher.dir(), 2)).unwrap();
    replace(&snapshot_file(publisher.dir(), 2), &good);
    assert!(matches!(
        fresh(),
        Err(ReadError::Damaged {
            what: "it is of another generation",
            ..
        })
    ));
    replace(&snapshot_file(publisher.dir(), 2), &delta);
    assert_eq!(fresh().unwrap().len(), 25);
    assert!(matches!(
        open_bytes(&dir, &delta),
        Err(ReadError::Damaged { offset: 16, .. })
    ));
    fs::remove_file(&base).unwrap();
    assert!(
        matches!(fresh(), Err(ReadError::Missing { .. })),
        "a delta without its base"
    );
}

#[test]
fn a_base_of_another_life_of_the_mirror_does_not_fit_a_delta() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    options.rewrite = prefer_deltas();
    let mut publisher = Publisher::open(options.clone()).unwrap();
    publish(&mut publisher, &sample_model());
    let control = fs::read(publisher.dir().join("control")).unwrap();
    let path = publisher.dir().to_path_buf();
    drop(publisher);
    // The same mirror, generation 1 again with other content: made by putting the clock of the control page back.
    let first = fs::read(snapshot_file(&path, 1)).unwrap();
    let mut back = control.clone();
    back[64..72].fill(0);
    fs::write(path.join("control"), &back).unwrap();
    let mut publisher = Publisher::open(options).unwrap();
    publisher
        .publish_full(origin(60), [entry(b"other", &[7; 3000], 60)])
        .unwrap();
    publisher.publish_changes(61, [put("x", "1", 61)]).unwrap();
    replace(&snapshot_file(&path, 1), &first);
    let error = Reader::open(&path).unwrap().snapshot().expect_err("wrong base");
    assert!(matches!(error, ReadError::Damaged { offset: 112, .. }), "{error}");
}

#[test]
fn every_byte_of_the_control_page_that_is_fixed_counts() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publish(&mut publisher, &sample_model());
    let control = publisher.dir().join("control");
    let good = fs::read(&control).unwrap();
    assert_eq!(good.len(), 4096);
    for at in (0..32).chain([1024, 4095]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        replace(&control, &bad);
        let error = Reader::open(publisher.dir()).expect_err("damaged");
        let expected = match at {
            0..8 => matches!(error, ReadError::Foreign { .. }),
            8..12 => matches!(error, ReadError::OtherVersion { .. }),
            _ => matches!(error, ReadError::Damaged { .. }),
        };
        assert!(expected, "byte {at}: {error}");
    }
    for length in [0, 1, 64, 4095, 4097] {
        let mut bad = good.clone();
        bad.resize(length, 0);
        replace(&control, &bad);
        assert!(
            matches!(Reader::open(publisher.dir()), Err(ReadError::Truncated { .. })),
            "{length}"
        );
    }
    assert!(matches!(
        publisher.publish_changes(60, []),
        Err(PublishError::Removed { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Several damages at once, among them plausible numbers in the header, and a checksum that was made to fit: the cases
    /// that only bounds checks catch.
    #[test]
    fn random_damage_never_leads_out_of_the_file(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        words in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u64>(), 0u64..4096]), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        fit_checksums in any::<bool>(),
    ) {
        let dir = shm_dir();
        let model = sample_model();
        let good = sample_file(dir.path());
        let mut bad = good.clone();
        for (index, byte) in &flips {
            let at = index.index(bad.len());
            bad[at] = *byte;
        }
        for (index, word) in &words {
            let at = index.index(bad.len() / 8) * 8;
            bad[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        if let Some(cut) = cut {
            bad.truncate(cut.index(bad.len()));
        }
        if fit_checksums && bad.len() >= 128 {
            let size = (bad.len() as u64).to_le_bytes();
            bad[104..112].copy_from_slice(&size);
            let values = u64::from_le_bytes(bad[96..104].try_into().unwrap()).clamp(128, bad.len() as u64);
            let tables = crc32c::crc32c(&bad[128..values as usize]).to_le_bytes();
            bad[116..120].copy_from_slice(&tables);
            let header = crc32c::crc32c(&bad[..124]).to_le_bytes();
            bad[124..128].copy_from_slice(&header);
        }
        let Ok(snapshot) = open_bytes(&dir, &bad) else { return Ok(()) };
        if fit_checksums {
            // Somebody made the checksums fit, so the content may be wrong; but nothing may be read outside of the file.
            for key in model.keys() {
                let _ = snapshot.get(key);
            }
            for prefix in [&b""[..], b"app/", b"app/1", b"\xff"] {
                prop_assert!(snapshot.iter_prefix(prefix).count() <= 2 * model.len());
            }
        } else {
            read_all(&snapshot, &model);
        }
    }
}
