//! A member on a simulated disk: full, failing, without power.

use std::sync::Mutex as StdMutex;
use std::time::Instant;

use cfgstore_store::Put;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::disk::sim::{SimDisk, Survival};
use crate::fatal::FatalHook;

const SEGMENT_BYTES: usize = 256 << 10;

fn config(dir: &tempfile::TempDir) -> MemberConfig {
    let mut config = MemberConfig::new(dir.path().join("data"));
    config.max_request_bytes = 32 << 10;
    config.max_batch_bytes = 16 << 10;
    config.segment_size_bytes = SEGMENT_BYTES as u64;
    // sled is on the real disk, which forgets nothing.
    config.checkpoint_log_entries = u64::MAX;
    config.checkpoint_log_bytes = u64::MAX;
    config.snapshot_log_bytes = u64::MAX;
    std::fs::create_dir_all(&config.data_dir).unwrap();
    config
}

fn put(key: String, value: Vec<u8>) -> Command {
    Command::Put(Put {
        key: key.into(),
        value: value.into(),
        ..Put::default()
    })
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Writes until the member refuses it, because the disk is full: how many were written, and the error.
async fn fill(member: &Member, disk: &SimDisk) -> (usize, ProposeError) {
    for written in 0..100 {
        if !disk.has_spare() {
            // The thread that tries to prepare the next segment, and so notices, is another one.
            wait_until("the full disk is noticed", || member.status().no_space).await;
        }
        let command = put(format!("{written}"), vec![1; 20_000]);
        match member.propose(Caller::default(), command).await {
            Ok(applied) => drop(applied.result.unwrap()),
            Err(error) => return (written, error),
        }
    }
    panic!("a full disk takes more than two segments hold");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::default();
    let member = Member::open_on(Arc::new(disk.clone()), config(&dir))
        .await
        .unwrap();
    wait_until("the spare segment is there", || disk.has_spare()).await;
    disk.set_capacity(Some(disk.used()));
    let (written, error) = fill(&member, &disk).await;
    assert_eq!(error, ProposeError::NoSpace);
    assert!(!error.maybe_committed());
    assert!(written >= 10, "two segments hold more than {written}");
    assert!(member.status().no_space);
    member.read_barrier().await.unwrap();
    assert_eq!(member.state().key_count(), written);
    disk.set_capacity(None);
    wait_until("space is noticed", || !member.status().no_space).await;
    member
        .propose(Caller::default(), put("again".into(), vec![1; 20_000]))
        .await
        .unwrap()
        .result
        .unwrap();
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_member_on_a_full_disk_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::default();
    let member = Member::open_on(Arc::new(disk.clone()), config(&dir))
        .await
        .unwrap();
    wait_until("the spare segment is there", || disk.has_spare()).await;
    disk.set_capacity(Some(disk.used()));
    assert_eq!(fill(&member, &disk).await.1, ProposeError::NoSpace);
    let revision = member.state().revision();
    member.shutdown().await.unwrap();
    disk.set_capacity(None);
    let member = Member::open_on(Arc::new(disk), config(&dir)).await.unwrap();
    assert_eq!(member.state().revision(), revision);
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_failed_sync_is_fatal_and_the_outcome_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::default();
    let fatal = Arc::new(StdMutex::new(Vec::new()));
    let mut config = config(&dir);
    config.fatal = FatalHook::new({
        let fatal = fatal.clone();
        move |message| fatal.lock().unwrap().push(message.to_owned())
    });
    let member = Member::open_on(Arc::new(disk.clone()), config).await.unwrap();
    wait_until("the spare segment is there", || disk.has_spare()).await;
    // The write succeeds, the sync fails.
    disk.fail_at(disk.operations() + 2);
    let error = member
        .propose(Caller::default(), put("a".into(), vec![]))
        .await
        .unwrap_err();
    assert!(error.maybe_committed(), "{error}");
    wait_until("the hook is called", || !fatal.lock().unwrap().is_empty()).await;
    assert!(
        member
            .propose(Caller::default(), put("b".into(), vec![]))
            .await
            .is_err()
    );
    assert!(
        member.state().get(b"a").is_none(),
        "nothing is applied that is not durable"
    );
    let _ = member.shutdown().await;
}

#[tokio::test]
async fn a_panic_while_applying_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let fatal = Arc::new(StdMutex::new(Vec::new()));
    let mut config = config(&dir);
    config.fatal = FatalHook::new({
        let fatal = fatal.clone();
        move |message| fatal.lock().unwrap().push(message.to_owned())
    });
    let member = Member::open_on(Arc::new(SimDisk::default()), config)
        .await
        .unwrap();
    let caller = Caller {
        client: Some("test: break the state machine".into()),
        ..Caller::default()
    };
    let error = member.propose(caller, put("a".into(), vec![])).await.unwrap_err();
    assert!(error.maybe_committed(), "{error}");
    assert!(fatal.lock().unwrap()[0].contains("panicked"), "{fatal:?}");
    wait_until("Raft's end is noticed", || fatal.lock().unwrap().len() == 2).await;
    let _ = member.shutdown().await;
}

/// Power is cut at a random operation, again and again; between the cuts the member works.
#[tokio::test]
async fn nothing_acknowledged_is_lost_by_power_cuts() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut disk = SimDisk::default();
        let mut acknowledged = 0;
        let _ = std::fs::remove_dir_all(dir.path().join("data"));
        for life in 0..6 {
            let mut config = config(&dir);
            config.fatal = FatalHook::new(|_| {});
            let context = format!("seed {seed}, life {life}");
            let member = Member::open_on(Arc::new(disk.clone()), config).await;
            let member = member.unwrap_or_else(|error| panic!("{context}: {error}"));
            let state = member.state();
            assert!(
                state.revision() > acknowledged,
                "{context}: {} of {acknowledged}",
                state.revision()
            );
            assert!(
                (1..=acknowledged).all(|n| state.get(format!("{n}").as_bytes()).is_some()),
                "{context}"
            );
            acknowledged = state.revision() - 1;
            disk.cut_at(disk.operations() + rng.random_range(1..40));
            for n in acknowledged + 1.. {
                let value = vec![n as u8; rng.random_range(0..20_000)];
                match member
                    .propose(Caller::default(), put(format!("{n}"), value))
                    .await
                {
                    Ok(applied) => drop(applied.result.unwrap()),
                    Err(_) => break,
                }
                acknowledged = n;
            }
            // Power is off: this only ends threads and tasks.
            let _ = member.shutdown().await;
            let survival = [
                Survival::Nothing,
                Survival::Everything,
                Survival::Prefix,
                Survival::Coins,
            ];
            disk = disk.crash(survival[rng.random_range(0..4)], &mut rng);
            // The final checkpoint went to the real disk, which power loss does not reach here.
            let _ = std::fs::remove_dir_all(dir.path().join("data/checkpoint"));
        }
    }
}
