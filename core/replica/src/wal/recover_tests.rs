//! Damage of every kind: what is repaired, and what is refused and how.

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::test_support::{Model, OWNER, SEGMENT_BYTES, commit, entry, id, open, place, segment_path};
use crate::disk::Disk;
use crate::disk::sim::{SimDisk, Survival};
use crate::error::OpenError;
use crate::wal::format::{FrameBuilder, RawEntry, Record, SECTOR_BYTES, SEGMENT_HEADER_BYTES, Vote};
use crate::wal::log::Owner;
use crate::wal::recover;

/// A log of `commits` frames of one sector each.
fn log_of(commits: u64) -> SimDisk {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    for index in 0..commits {
        commit(&disk, &mut log, &[entry(index, b"value")]).unwrap();
    }
    disk
}

/// Frames of one sector that fit into a segment.
const FRAMES: u64 = (SEGMENT_BYTES - SEGMENT_HEADER_BYTES as u64) / SECTOR_BYTES as u64;

fn frame_offset(frame: u64) -> usize {
    SEGMENT_HEADER_BYTES + frame as usize * SECTOR_BYTES
}

fn change(disk: &SimDisk, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = disk.content(&segment_path(segment));
    change(&mut content);
    disk.set_content(&segment_path(segment), content);
}

fn assert_damaged(disk: &SimDisk, segment: u64, offset: usize, expected: &str) {
    match open(disk).map(|_| ()) {
        Err(OpenError::LogDamaged(damage)) => {
            assert_eq!(
                (damage.file, damage.offset),
                (segment_path(segment), offset as u64),
                "{}",
                damage.expected
            );
            assert!(damage.expected.contains(expected), "{}", damage.expected);
        }
        other => panic!("expected a refusal to start, got {other:?}"),
    }
}

#[test]
fn a_torn_tail_is_cut_off_once() {
    let disk = log_of(5);
    change(&disk, 1, |content| content[frame_offset(4) + 30] ^= 1);
    let (log, cut) = open(&disk).unwrap();
    let cut = cut.unwrap();
    assert_eq!(
        (cut.file, cut.offset as usize),
        (segment_path(1), frame_offset(4))
    );
    assert_eq!(log.state.last, Some(id(3)));
    let (mut log, cut) = open(&disk).unwrap();
    assert_eq!(cut, None, "nothing is left of it");
    commit(&disk, &mut log, &[entry(4, b"again")]).unwrap();
    assert_eq!(Model::of(&open(&disk).unwrap().0).entries.len(), 5);
}

#[test]
fn garbage_and_zeros_behind_the_last_frame_are_no_damage() {
    let disk = log_of(5);
    assert_eq!(
        open(&disk).unwrap().1,
        None,
        "a tail of zeros is how a segment looks"
    );
    change(&disk, 1, |content| content[frame_offset(6)..].fill(0xee));
    assert!(open(&disk).unwrap().1.is_some());
    assert_eq!(open(&disk).unwrap().1, None);
}

#[test]
fn damage_before_the_last_frame_is_refused() {
    for byte in [0, 5, 10, 17, 21, 30, 60] {
        let disk = log_of(8);
        change(&disk, 1, |content| content[frame_offset(3) + byte] ^= 0x40);
        assert_damaged(
            &disk,
            1,
            frame_offset(3),
            "expected frame 4, found none, but frame 5 follows",
        );
        let disk = log_of(8);
        change(&disk, 1, |content| {
            content[frame_offset(3)..frame_offset(4)].fill(0)
        });
        assert_damaged(&disk, 1, frame_offset(3), "expected frame 4");
    }
}

#[test]
fn damage_in_an_earlier_segment_is_refused_even_at_its_end() {
    let disk = log_of(FRAMES + 3);
    change(&disk, 1, |content| content[frame_offset(FRAMES - 1) + 30] ^= 1);
    assert_damaged(
        &disk,
        1,
        frame_offset(FRAMES - 1),
        "since the next segment starts at",
    );
    let disk = log_of(FRAMES + 3);
    change(&disk, 1, |content| content.truncate(frame_offset(FRAMES - 2)));
    assert_damaged(
        &disk,
        1,
        frame_offset(FRAMES - 2),
        "since the next segment starts at",
    );
}

#[test]
fn missing_segments_are_refused() {
    let disk = log_of(3 * FRAMES);
    disk.remove(&segment_path(2)).unwrap();
    assert_damaged(&disk, 2, 0, "this segment");
    let disk = log_of(3 * FRAMES);
    disk.remove(&segment_path(1)).unwrap();
    assert_damaged(&disk, 1, 0, "log entries 0 to");
}

#[test]
fn damaged_foreign_newer_and_mixed_up_headers_are_told_apart() {
    let disk = log_of(3);
    change(&disk, 1, |content| content[40] ^= 1);
    assert_damaged(&disk, 1, 0, "valid segment header");
    change(&disk, 1, |content| content[8] = 9);
    assert!(matches!(
        open(&disk).map(|_| ()),
        Err(OpenError::NewerFormat {
            found: 9,
            supported: 1,
            ..
        })
    ));
    change(&disk, 1, |content| content[0] = b'#');
    assert!(matches!(open(&disk).map(|_| ()), Err(OpenError::Foreign { .. })));
    change(&disk, 1, |content| content.fill(0));
    assert_damaged(&disk, 1, 0, "valid segment header");

    let disk = log_of(3);
    let other = crate::wal::log::Place {
        owner: Owner {
            member_id: 0xb,
            ..OWNER
        },
        ..place(&disk)
    };
    assert!(matches!(
        recover::open(other).map(|_| ()),
        Err(OpenError::OtherMember {
            found_member: 0xa,
            ..
        })
    ));

    let disk = log_of(FRAMES + 3);
    let first = disk.content(&segment_path(1));
    disk.set_content(&segment_path(2), first);
    assert_damaged(&disk, 2, 0, "segment 0000000000000002");
}

#[test]
fn a_segment_of_another_history_is_refused() {
    let disk = log_of(FRAMES + 3);
    let other = log_of(FRAMES + 5);
    // The same owner and numbers, so only the state at the segment's start can tell. Here it does not differ, but what
    // precedes it does.
    disk.set_content(&segment_path(1), log_of(3).content(&segment_path(1)));
    disk.set_content(&segment_path(2), other.content(&segment_path(2)));
    assert!(matches!(open(&disk).map(|_| ()), Err(OpenError::LogDamaged(_))));
}

#[test]
fn a_value_that_looks_like_a_frame_is_not_taken_for_one() {
    // A client cannot know the segment's salt.
    let mut builder = FrameBuilder::default();
    builder.reset();
    builder.push(
        &Record::Vote(Vote {
            term: 99,
            member: 1,
            committed: true,
        }),
        0,
    );
    let forged = builder.finish(1_000_000, 0).to_vec();
    let disk = log_of(2);
    let (mut log, _) = open(&disk).unwrap();
    let mut payload = vec![0; SECTOR_BYTES * 6];
    for chunk in payload.chunks_mut(SECTOR_BYTES) {
        chunk.copy_from_slice(&forged[..SECTOR_BYTES]);
    }
    // The payload starts 64 bytes into the frame; shift it so that the forged frames lie on sector boundaries.
    let shift = SECTOR_BYTES - 64;
    let record = RawEntry {
        log_id: id(2),
        kind: 1,
        payload: Bytes::from(payload[..].to_vec()).slice(SECTOR_BYTES - shift..),
    };
    commit(&disk, &mut log, &[Record::Entry(record)]).unwrap();
    change(&disk, 1, |content| content[frame_offset(2) + 20] ^= 1);
    assert!(disk.content(&segment_path(1))[frame_offset(3)..].starts_with(&forged));
    assert!(open(&disk).unwrap().1.is_some(), "a torn tail, whatever it holds");
}

#[test]
fn a_file_shortened_at_its_unused_end_still_works() {
    let disk = log_of(3);
    change(&disk, 1, |content| content.truncate(frame_offset(4)));
    let (mut log, cut) = open(&disk).unwrap();
    assert_eq!(cut, None);
    for index in 3..8 {
        commit(&disk, &mut log, &[entry(index, b"value")]).unwrap();
    }
    assert_eq!(Model::of(&open(&disk).unwrap().0).entries.len(), 8);
}

#[test]
fn purged_segments_go_and_the_rest_stands_on_its_own() {
    let disk = log_of(4 * FRAMES);
    let (mut log, _) = open(&disk).unwrap();
    commit(
        &disk,
        &mut log,
        &[Record::Vote(Vote {
            term: 9,
            member: 7,
            committed: true,
        })],
    )
    .unwrap();
    commit(&disk, &mut log, &[Record::Purge(id(3 * FRAMES))]).unwrap();
    let before = Model::of(&log);
    let names = disk.list(std::path::Path::new("/wal")).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    let crashed = disk.crash(Survival::Nothing, &mut StdRng::seed_from_u64(1));
    assert_eq!(Model::of(&open(&crashed).unwrap().0), before);
}

#[test]
fn a_frame_larger_than_a_segment_gets_one_of_its_own() {
    let disk = log_of(2);
    let (mut log, _) = open(&disk).unwrap();
    commit(&disk, &mut log, &[entry(2, &vec![7; 3 * SEGMENT_BYTES as usize])]).unwrap();
    commit(&disk, &mut log, &[entry(3, b"after")]).unwrap();
    let found = Model::of(&open(&disk).unwrap().0);
    assert_eq!(found.entries[&2].payload.len(), 3 * SEGMENT_BYTES as usize);
    assert_eq!(found.entries.len(), 4);
}
