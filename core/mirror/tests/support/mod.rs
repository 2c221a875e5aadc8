//! What several tests share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cfgstore_mirror::{Change, Entry, Origin, Publisher, PublisherOptions, RewritePolicy, Snapshot};
use tempfile::TempDir;

pub const SOURCE: u64 = 0xc105_7e12;

/// A folder on tmpfs, like a real mirror's.
pub fn shm_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("mirror-test-")
        .tempdir_in("/dev/shm")
        .expect("/dev/shm is writable")
}

pub fn options(dir: &Path) -> PublisherOptions {
    PublisherOptions::folder(dir.join("m"))
}

/// Every publish of changes writes a delta, unless it outgrows its base.
pub fn prefer_deltas() -> RewritePolicy {
    RewritePolicy {
        small_bytes: 0,
        max_delta_divisor: 1,
        max_written_factor: 1000,
    }
}

pub fn open(dir: &Path) -> Publisher {
    Publisher::open(options(dir)).expect("opens")
}

pub fn origin(revision: i64) -> Origin {
    Origin {
        source_id: SOURCE,
        revision,
        restored: false,
    }
}

pub fn entry<'a>(key: &'a [u8], value: &'a [u8], mod_revision: i64) -> Entry<'a> {
    Entry {
        key,
        value,
        create_revision: mod_revision,
        mod_revision,
        version: 1,
    }
}

pub fn put<'a>(key: &'a str, value: &'a str, mod_revision: i64) -> Change<'a> {
    Change::Put(entry(key.as_bytes(), value.as_bytes(), mod_revision))
}

pub fn delete(key: &str, mod_revision: i64) -> Change<'_> {
    Change::Delete {
        key: key.as_bytes(),
        mod_revision,
    }
}

pub fn value_of<'a>(snapshot: &'a Snapshot, key: &str) -> Option<&'a str> {
    let entry = snapshot.get(key.as_bytes()).expect("readable");
    entry.map(|entry| std::str::from_utf8(entry.value).expect("text"))
}

pub type Model = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

pub fn assert_same(snapshot: &Snapshot, model: &Model) {
    assert_eq!(snapshot.len(), model.len());
    let listed: Vec<_> = snapshot.iter().map(|entry| entry.expect("readable")).collect();
    assert_eq!(listed.len(), model.len());
    for (entry, (key, (value, revision))) in listed.iter().zip(model) {
        assert_eq!(
            (entry.key, entry.value, entry.mod_revision),
            (&key[..], &value[..], *revision)
        );
        assert_eq!(snapshot.get(key).expect("readable").as_ref(), Some(entry));
        assert!(snapshot.contains(key).expect("readable"));
    }
}

/// Names of the files in a mirror's folder, sorted.
pub fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

pub fn snapshot_file(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation}.snap"))
}
