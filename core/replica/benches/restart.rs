//! Starts, measured: how long a member takes to open with many keys, from its checkpoint, and from snapshot and log alone.
//! `cargo bench -p cfgstore-replica --bench restart`
//!
//! Arguments (after `--`): keys, value size in bytes, folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cfgstore_replica::{Member, MemberConfig};
use cfgstore_store::{Caller, Command, Put};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let number = |position: usize, default: usize| {
        arguments
            .get(position)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (keys, value_bytes) = (number(0, 1_000_000), number(1, 256));
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(&parent).expect("a folder");
    let data = dir.path().join("data");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!("{keys} keys, {value_bytes}-byte values, in {}", parent.display());
        let member = open(&data, "an empty folder").await;
        let started = Instant::now();
        let writers: Vec<_> = (0..256)
            .map(|writer| {
                let member = member.clone();
                tokio::spawn(async move {
                    for n in (writer..keys).step_by(256) {
                        let (key, value) = (format!("bench/key/{n:08}"), vec![b'v'; value_bytes]);
                        let command = Command::Put(Put {
                            key: key.into(),
                            value: value.into(),
                            ..Put::default()
                        });
                        let applied = member
                            .propose(Caller::default(), command)
                            .await
                            .expect("an acknowledged put");
                        applied.result.expect("an applied put");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("a writer that ends");
        }
        println!(
            "  filled in {:?}; {} MB of memory",
            started.elapsed(),
            resident_mb()
        );
        close(member).await;
        let member = open(&data, "whichever is chosen").await;
        assert_eq!(member.state().key_count(), keys);
        close(member).await;
        std::fs::remove_file(data.join("progress")).expect("a file to remove");
        close(open(&data, "the checkpoint").await).await;
        std::fs::remove_dir_all(data.join("checkpoint")).expect("a checkpoint to remove");
        close(open(&data, "snapshot and log").await).await;
    });
}

async fn open(data: &Path, from: &str) -> Member {
    let started = Instant::now();
    let member = Member::open(MemberConfig::new(data)).await.expect("a member");
    println!("  opened from {from} in {:?}", started.elapsed());
    member
}

async fn close(member: Member) {
    let (started, status) = (Instant::now(), member.status());
    member.shutdown().await.expect("a clean end");
    println!(
        "  ended in {:?}; {} MB on disk, log from {} to {}, snapshot at {}",
        started.elapsed(),
        status.db_size_bytes >> 20,
        status.purged_index,
        status.last_log_index,
        status.snapshot_index
    );
}

/// Resident memory of this process.
fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line VmRSS");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse::<u64>()
        .expect("a number")
        / 1024
}
