//! Who may read a mirror, and whom a reader believes. What needs a second user is in `processes.rs`.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use cfgstore_mirror::{PublishError, Publisher, ReadError, Reader, Snapshot};
use support::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn untrusted<T: std::fmt::Debug>(result: Result<T, ReadError>) -> &'static str {
    match result {
        Err(ReadError::Untrusted { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn modes_are_as_given_whatever_the_umask() {
    let dir = shm_dir();
    let mut options = options(dir.path());
    let mut publisher = Publisher::open(options.clone()).unwrap();
    publisher.publish_full(origin(2), []).unwrap();
    let path = publisher.dir().to_path_buf();
    assert_eq!(mode(&path), 0o750);
    assert_eq!(mode(&path.join("control")), 0o640);
    assert_eq!(mode(&snapshot_file(&path, 1)), 0o640);
    assert_eq!(
        mode(&path.join("lock")),
        0o600,
        "a reader cannot keep publishers out"
    );
    drop(publisher);
    // Wider ones take effect on what is there already.
    options.file_mode = 0o644;
    options.folder_mode = 0o755;
    let mut publisher = Publisher::open(options.clone()).unwrap();
    publisher.publish_changes(3, []).unwrap();
    assert_eq!(mode(&path), 0o755);
    assert_eq!(mode(&path.join("control")), 0o644);
    assert_eq!(mode(&snapshot_file(&path, 2)), 0o644);
    assert_eq!(mode(&path.join("recent.1")), 0o644);
    drop(publisher);
    for (file_mode, folder_mode) in [(0o660, 0o750), (0o640, 0o757)] {
        options.file_mode = file_mode;
        options.folder_mode = folder_mode;
        assert!(matches!(
            Publisher::open(options.clone()),
            Err(PublishError::Unusable { .. })
        ));
    }
}

#[test]
fn what_others_may_write_is_not_believed() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let path = publisher.dir().to_path_buf();
    for wide in [0o770, 0o757] {
        set_mode(&path, wide);
        assert_eq!(
            untrusted(Reader::open(&path)),
            "others than its owner may write to the folder"
        );
    }
    set_mode(&path, 0o750);
    set_mode(&path.join("control"), 0o660);
    assert_eq!(
        untrusted(Reader::open(&path)),
        "others than its owner may write to the file"
    );
    set_mode(&path.join("control"), 0o640);
    let mut reader = Reader::open(&path).unwrap();
    set_mode(&snapshot_file(&path, 1), 0o642);
    assert_eq!(
        untrusted(reader.snapshot()),
        "others than its owner may write to the file"
    );
    assert_eq!(
        untrusted(Snapshot::open_file(&snapshot_file(&path, 1))),
        "others than its owner may write to the file"
    );
    set_mode(&snapshot_file(&path, 1), 0o640);
    assert_eq!(reader.snapshot().unwrap().len(), 1);
    // A copy that others may have written does not spare a reader the file.
    for revision in 3..5 {
        publisher.publish_changes(revision, []).unwrap();
    }
    set_mode(&path.join("recent.1"), 0o660);
    assert_eq!(reader.snapshot().unwrap().revision(), 4);
    std::fs::remove_file(snapshot_file(&path, 3)).unwrap();
    let mut fresh = Reader::open(&path).unwrap();
    assert!(matches!(fresh.snapshot(), Err(ReadError::Missing { .. })));
}

#[test]
fn only_regular_files_are_opened() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let path = publisher.dir().to_path_buf();
    let mut reader = Reader::open(&path).unwrap();
    let file = snapshot_file(&path, 1);
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();

    symlink(&elsewhere, &file).unwrap();
    assert_eq!(untrusted(reader.snapshot()), "it is a symbolic link");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    set_mode(&file, 0o750);
    assert_eq!(untrusted(reader.snapshot()), "it is not a regular file");
    fs::remove_dir(&file).unwrap();
    // A pipe that nobody writes to: an ordinary open would wait for ever.
    assert!(
        std::process::Command::new("mkfifo")
            .arg("-m640")
            .arg(&file)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(untrusted(reader.snapshot()), "it is not a regular file");
    fs::remove_file(&file).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert_eq!(untrusted(reader.snapshot()), "it is not a regular file");
    fs::remove_file(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(reader.snapshot().unwrap().len(), 1);

    let control = path.join("control");
    fs::rename(&control, &elsewhere).unwrap();
    symlink(&elsewhere, &control).unwrap();
    assert_eq!(untrusted(Reader::open(&path)), "it is a symbolic link");
    assert!(
        matches!(Reader::open(&control), Err(ReadError::NotFound { .. })),
        "a file is no mirror"
    );
    drop(publisher);
    // A publisher does not write through the link either: it makes a page of its own.
    let before = fs::read(&elsewhere).unwrap();
    let publisher = open(dir.path());
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
    assert!(fs::symlink_metadata(control).unwrap().is_file());
    drop(publisher);
}
