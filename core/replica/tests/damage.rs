//! Damaged, missing, foreign and mixed-up files: what a start repairs, what it falls back to, what it refuses.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use cfgstore_replica::{Member, OpenError};
use cfgstore_store::StateHeader;
use support::{apply, copy, dump, files, fill_until_purged, flip, put, small};
use tempfile::TempDir;

type Dump = (StateHeader, Vec<Vec<u8>>);

/// A folder whose log has been purged, left by a clean shutdown; and what its state was.
async fn purged() -> (TempDir, Dump) {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(small(&dir.path().join("data"))).await.unwrap();
    fill_until_purged(&member).await;
    while files(&dir.path().join("data/wal"), ".wal").len() < 2 {
        apply(&member, put("large", vec![7; 30_000])).await;
    }
    apply(&member, put("last", vec![7; 30_000])).await;
    let expected = dump(&member.state());
    member.shutdown().await.unwrap();
    (dir, expected)
}

async fn open(data: &Path) -> Result<Dump, OpenError> {
    let member = Member::open(small(data)).await?;
    let found = dump(&member.state());
    // It goes on working, and the next start finds that, too.
    apply(&member, put("after", "wards")).await;
    let after = dump(&member.state());
    member.shutdown().await.unwrap();
    let member = Member::open(small(data)).await?;
    assert!(
        dump(&member.state()) == after,
        "the state after a second start differs"
    );
    member.shutdown().await.unwrap();
    Ok(found)
}

/// Why the folder is refused.
async fn refusal(data: &Path) -> OpenError {
    match Member::open(small(data)).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_restart_finds_the_same_state() {
    let (dir, expected) = purged().await;
    assert!(open(&dir.path().join("data")).await.unwrap() == expected);
}

#[tokio::test]
async fn a_broken_checkpoint_costs_no_data() {
    type Breakage = (&'static str, fn(&Path));
    let breakages: [Breakage; 9] = [
        ("removed", |checkpoint| fs::remove_dir_all(checkpoint).unwrap()),
        ("db removed", |checkpoint| {
            fs::remove_file(checkpoint.join("db")).unwrap()
        }),
        ("db emptied", |checkpoint| {
            fs::write(checkpoint.join("db"), []).unwrap()
        }),
        ("db of zeros", |checkpoint| {
            let len = fs::metadata(checkpoint.join("db")).unwrap().len();
            fs::write(checkpoint.join("db"), vec![0; len as usize]).unwrap();
        }),
        ("db cut short", |checkpoint| {
            let bytes = fs::read(checkpoint.join("db")).unwrap();
            fs::write(checkpoint.join("db"), &bytes[..bytes.len() / 3]).unwrap();
        }),
        ("conf is garbage", |checkpoint| {
            fs::write(checkpoint.join("conf"), "garbage").unwrap()
        }),
        ("snapshots are garbage", |checkpoint| {
            for entry in fs::read_dir(checkpoint).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                    fs::write(path, "garbage").unwrap();
                }
            }
        }),
        ("a file in its place", |checkpoint| {
            fs::remove_dir_all(checkpoint).unwrap();
            fs::write(checkpoint, "no folder").unwrap();
        }),
        ("bytes changed everywhere", |checkpoint| {
            let mut bytes = fs::read(checkpoint.join("db")).unwrap();
            bytes.iter_mut().step_by(997).for_each(|byte| *byte ^= 0x55);
            fs::write(checkpoint.join("db"), bytes).unwrap();
        }),
    ];
    let (dir, expected) = purged().await;
    for (name, damage) in breakages {
        // The start that would begin with it, and the one that only brings it up to date later.
        for begin in [true, false] {
            let data = dir.path().join(format!("{name} {begin}"));
            copy(&dir.path().join("data"), &data);
            if begin {
                fs::remove_file(data.join("progress")).unwrap();
            }
            damage(&data.join("checkpoint"));
            let found = open(&data)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(found == expected, "{name}: the state differs");
        }
    }
}

#[tokio::test]
async fn single_changed_bytes_in_the_checkpoint_cost_no_data() {
    let (dir, expected) = purged().await;
    let len = fs::metadata(dir.path().join("data/checkpoint/db")).unwrap().len();
    for n in 0..12 {
        let data = dir.path().join(format!("{n}"));
        copy(&dir.path().join("data"), &data);
        fs::remove_file(data.join("progress")).unwrap();
        flip(&data.join("checkpoint/db"), len * n / 12 + n);
        assert!(
            open(&data).await.unwrap() == expected,
            "byte {}",
            len * n / 12 + n
        );
    }
}

#[tokio::test]
async fn a_broken_newest_snapshot_falls_back_to_the_older_one() {
    let (dir, expected) = purged().await;
    let data = dir.path().join("data");
    fs::remove_dir_all(data.join("checkpoint")).unwrap();
    let snapshots = files(&data.join("snapshot"), ".snap");
    assert_eq!(snapshots.len(), 2);
    let len = fs::metadata(&snapshots[1]).unwrap().len();
    flip(&snapshots[1], len / 2);
    assert!(open(&data).await.unwrap() == expected);
    assert_eq!(
        files(&data.join("snapshot"), ".damaged").len(),
        1,
        "it is kept for inspection"
    );
}

#[tokio::test]
async fn without_checkpoint_and_snapshots_a_purged_log_is_refused() {
    let (dir, _) = purged().await;
    let data = dir.path().join("data");
    fs::remove_dir_all(data.join("checkpoint")).unwrap();
    for snapshot in files(&data.join("snapshot"), ".snap") {
        flip(&snapshot, 300);
    }
    let error = refusal(&data).await;
    assert!(matches!(error, OpenError::StateMissing { .. }), "{error}");
    assert!(error.to_string().contains("restore"), "{error}");
}

#[tokio::test]
async fn a_damaged_log_is_refused_with_place_and_way_out() {
    let (dir, _) = purged().await;
    let data = dir.path().join("data");
    let segments = files(&data.join("wal"), ".wal");
    assert!(segments.len() > 1);
    flip(&segments[0], 524);
    let error = refusal(&data).await;
    let OpenError::LogDamaged(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!(damage.file, segments[0]);
    assert!(error.to_string().contains("docs/wal-format.md"), "{error}");
}

#[tokio::test]
async fn a_torn_tail_is_repaired() {
    let (dir, expected) = purged().await;
    let data = dir.path().join("data");
    let last = files(&data.join("wal"), ".wal").pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
    bytes[end..end + 100].copy_from_slice(&[0xab; 100]);
    fs::write(&last, bytes).unwrap();
    assert!(open(&data).await.unwrap() == expected);
}

#[tokio::test]
async fn a_log_without_its_end_is_noticed() {
    let (dir, _) = purged().await;
    for witness in ["checkpoint", "progress"] {
        let data = dir.path().join(witness);
        copy(&dir.path().join("data"), &data);
        match witness {
            "checkpoint" => fs::remove_file(data.join("progress")).unwrap(),
            _ => fs::remove_dir_all(data.join("checkpoint")).unwrap(),
        }
        without_its_end_is_refused(&data).await;
    }
}

async fn without_its_end_is_refused(data: &Path) {
    let segments = files(&data.join("wal"), ".wal");
    fs::remove_file(segments.last().unwrap()).unwrap();
    let error = refusal(data).await;
    assert!(
        matches!(
            error,
            OpenError::LogTooShort { .. } | OpenError::StateMissing { .. }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_identity_is_refused() {
    let (dir, _) = purged().await;
    let data = dir.path().join("data");
    fs::remove_file(data.join("identity")).unwrap();
    assert!(matches!(refusal(&data).await, OpenError::IdentityMissing(_)));
}

#[tokio::test]
async fn files_of_another_member_are_refused_or_ignored() {
    let (dir, expected) = purged().await;
    let (other, _) = purged().await;
    let data = dir.path().join("data");
    // A checkpoint of another member is rebuilt.
    fs::remove_dir_all(data.join("checkpoint")).unwrap();
    copy(&other.path().join("data/checkpoint"), &data.join("checkpoint"));
    // A snapshot of another cluster is not used.
    for snapshot in files(&other.path().join("data/snapshot"), ".snap") {
        let index = u64::from_str_radix(&snapshot.file_name().unwrap().to_str().unwrap()[..16], 16).unwrap();
        fs::copy(
            &snapshot,
            data.join("snapshot")
                .join(format!("{:016x}-{:016x}.snap", index + 1_000_000, 9)),
        )
        .unwrap();
    }
    assert!(open(&data).await.unwrap() == expected);
    // Its log is refused.
    let segment = files(&data.join("wal"), ".wal").remove(0);
    fs::copy(files(&other.path().join("data/wal"), ".wal").remove(0), segment).unwrap();
    let error = refusal(&data).await;
    assert!(
        matches!(error, OpenError::OtherMember { .. } | OpenError::LogDamaged(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_in_use_is_refused_untouched() {
    let (dir, expected) = purged().await;
    let data = dir.path().join("data");
    // So that the first start begins with the checkpoint, and keeps it open.
    fs::remove_file(data.join("progress")).unwrap();
    let member = Member::open(small(&data)).await.unwrap();
    let error = refusal(&data).await;
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(dump(&member.state()) == expected);
    apply(&member, put("still", "working")).await;
    member.shutdown().await.unwrap();
    open(&data).await.unwrap();
}

/// Gives the file the next format version, as a newer program would.
fn make_newer(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[8] += 1;
    fs::write(path, bytes).unwrap();
}

/// The same for a checkpoint, whose version is in its manifest.
fn make_newer_checkpoint(dir: &Path) {
    let db = sled::open(dir).unwrap();
    let mut manifest = db.get(b"m").unwrap().unwrap().to_vec();
    manifest[4] += 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(b"m"), &manifest[4..]);
    manifest[..4].copy_from_slice(&crc.to_le_bytes());
    db.insert(b"m", manifest).unwrap();
    db.flush().unwrap();
}

/// The files of a folder, and what is in them; but for unfinished ones and room for the log, which hold nothing.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(dir, "")
        .into_iter()
        .filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "tmp"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

/// Checks that the folder is refused for the sake of that file, and that nothing in it has changed.
async fn is_refused_as_newer(data: &Path, newer: &Path, kind: &str) {
    let before = ["", "wal", "snapshot"].map(|folder| contents(&data.join(folder)));
    let error = refusal(data).await;
    assert!(
        matches!(&error, OpenError::NewerFormat { file, kind: of, found, supported }
            if file == newer && *of == kind && *found == supported + 1),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains(newer.to_str().unwrap()) && text.contains("start the newer version"),
        "{text}"
    );
    let after = ["", "wal", "snapshot"].map(|folder| contents(&data.join(folder)));
    assert!(after == before, "{kind}: the folder has changed");
}

#[tokio::test]
async fn files_of_a_newer_format_are_refused_where_they_are_needed() {
    let (dir, expected) = purged().await;
    let copied = |name: &str| {
        let data = dir.path().join(name);
        copy(&dir.path().join("data"), &data);
        data
    };

    let data = copied("identity");
    make_newer(&data.join("identity"));
    is_refused_as_newer(&data, &data.join("identity"), "identity").await;

    let data = copied("snapshots");
    fs::remove_dir_all(data.join("checkpoint")).unwrap();
    let snapshots = files(&data.join("snapshot"), ".snap");
    // The newest alone can be done without, and stays.
    make_newer(&snapshots[1]);
    let newer = fs::read(&snapshots[1]).unwrap();
    assert!(open(&data).await.unwrap() == expected);
    assert_eq!(fs::read(&snapshots[1]).unwrap(), newer);
    let data = copied("snapshots too");
    fs::remove_dir_all(data.join("checkpoint")).unwrap();
    let snapshots = files(&data.join("snapshot"), ".snap");
    snapshots[1..]
        .iter()
        .for_each(|snapshot| fs::remove_file(snapshot).unwrap());
    make_newer(&snapshots[0]);
    is_refused_as_newer(&data, &snapshots[0], "snapshot").await;

    let data = copied("checkpoint");
    fs::remove_file(data.join("progress")).unwrap();
    make_newer_checkpoint(&data.join("checkpoint"));
    // Never the only copy: it is moved aside.
    assert!(open(&data).await.unwrap() == expected);
    assert_eq!(files(&data, "checkpoint.damaged").len(), 1);
    let data = copied("checkpoint too");
    make_newer_checkpoint(&data.join("checkpoint"));
    fs::remove_dir_all(data.join("snapshot")).unwrap();
    fs::create_dir(data.join("snapshot")).unwrap();
    is_refused_as_newer(&data, &data.join("checkpoint"), "checkpoint").await;
}
