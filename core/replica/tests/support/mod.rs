//! What the tests of durability share.
#![allow(dead_code)] // each test binary uses its part

use std::fs;
use std::path::{Path, PathBuf};

use cfgstore_replica::{Member, MemberConfig};
use cfgstore_store::{Caller, Command, Compact, Put, State, StateHeader, codec};

/// Settings under which segments, checkpoints and snapshots turn over quickly.
pub fn small(data_dir: &Path) -> MemberConfig {
    let mut config = MemberConfig::new(data_dir);
    config.max_request_bytes = 32 << 10;
    config.max_batch_bytes = 16 << 10;
    config.segment_size_bytes = 256 << 10;
    config.checkpoint_log_entries = 50;
    config.checkpoint_log_bytes = 32 << 10;
    config.snapshot_log_bytes = 128 << 10;
    config
}

pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Command {
    Command::Put(Put {
        key: key.into().into(),
        value: value.into().into(),
        ..Put::default()
    })
}

pub async fn apply(member: &Member, command: Command) -> i64 {
    let applied = member.propose(Caller::default(), command).await.unwrap();
    applied.result.unwrap();
    applied.revision
}

/// Everything a state holds, as bytes: equal states have equal dumps.
pub fn dump(state: &State) -> (StateHeader, Vec<Vec<u8>>) {
    let mut items = Vec::new();
    for lease in state.leases() {
        let mut bytes = Vec::new();
        codec::encode_lease(lease, &mut bytes);
        items.push(bytes);
    }
    for alarm in state.alarms() {
        let mut bytes = Vec::new();
        codec::encode_alarm(alarm, &mut bytes);
        items.push(bytes);
    }
    for record in state.records_in_seq_order() {
        let mut bytes = Vec::new();
        codec::encode_record(&record, &mut bytes);
        items.push(bytes);
    }
    (StateHeader::of(state), items)
}

/// Writes until at least two snapshots exist and the log has been purged.
pub async fn fill_until_purged(member: &Member) {
    for n in 0..100_000_u64 {
        let revision = apply(member, put(format!("key/{}", n % 100), vec![n as u8; 1000])).await;
        if n % 200 == 199 {
            apply(
                member,
                Command::Compact(Compact {
                    revision: revision - 50,
                }),
            )
            .await;
            if member.status().purged_index > 0 {
                return;
            }
        }
    }
    panic!("the log was never purged: {:?}", member.status());
}

pub fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(suffix))
        .collect();
    files.sort();
    files
}

pub fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset as usize] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Bytes on disk of a folder.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let entries = entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    entries
        .map(|(path, metadata)| {
            if metadata.is_dir() {
                disk_bytes(&path)
            } else {
                metadata.blocks() * 512
            }
        })
        .sum()
}
