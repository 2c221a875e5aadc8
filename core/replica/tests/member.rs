//! A member as its callers see it: what it acknowledges, serves, keeps over a restart and refuses.

use std::time::Duration;

use cfgstore_replica::{Member, MemberConfig, OpenError, ProposeError, ReadError};
use cfgstore_store::{Caller, Command, CommandError, Compact, LeaseGrant, Put};

fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Command {
    Command::Put(Put {
        key: key.into().into(),
        value: value.into().into(),
        ..Put::default()
    })
}

async fn apply(member: &Member, command: Command) -> i64 {
    let applied = member.propose(Caller::default(), command).await.unwrap();
    applied.result.unwrap();
    applied.revision
}

fn config(dir: &tempfile::TempDir) -> MemberConfig {
    MemberConfig::new(dir.path().join("data"))
}

#[tokio::test]
async fn writes_are_applied_published_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    let mut revisions = member.applied();
    assert_eq!(*revisions.borrow_and_update(), 1);
    assert_eq!(apply(&member, put("a", "1")).await, 2);
    assert!(revisions.has_changed().unwrap());
    assert_eq!(*revisions.borrow_and_update(), 2);
    assert_eq!(apply(&member, put("b", "2")).await, 3);
    member.read_barrier().await.unwrap();
    assert_eq!(member.state().get(b"a").unwrap().value(), b"1");
    let status = member.status();
    assert!(status.is_leader && !status.is_learner);
    assert_eq!(status.leader_id, Some(status.member_id));
    member.shutdown().await.unwrap();
    member.shutdown().await.unwrap();
    assert_eq!(
        member
            .propose(Caller::default(), put("c", "3"))
            .await
            .unwrap_err(),
        ProposeError::ShuttingDown
    );
    assert_eq!(member.read_barrier().await.unwrap_err(), ReadError::ShuttingDown);

    let again = Member::open(config(&dir)).await.unwrap();
    assert_eq!(again.status().member_id, status.member_id);
    assert_eq!(again.status().cluster_id, status.cluster_id);
    assert_eq!(again.state().revision(), 3);
    assert_eq!(again.state().get(b"b").unwrap().value(), b"2");
    assert_eq!(apply(&again, put("c", "3")).await, 4);
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn many_proposers_share_syncs_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    let syncs = member.status().log_syncs;
    let tasks: Vec<_> = (0..200)
        .map(|proposer| {
            let member = member.clone();
            tokio::spawn(async move {
                let mut last = 0;
                for n in 0..10 {
                    let revision = apply(&member, put(format!("{proposer}/{n}"), "value")).await;
                    assert!(revision > last);
                    last = revision;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let syncs = member.status().log_syncs - syncs;
    assert!(syncs < 500, "{syncs} syncs for 2,000 writes by 200 proposers");
    assert_eq!(
        (member.state().revision(), member.state().key_count()),
        (2001, 2000)
    );
    member.shutdown().await.unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    assert_eq!(
        (member.state().revision(), member.state().key_count()),
        (2001, 2000)
    );
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn refused_commands_change_nothing_and_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    let applied = member.propose(Caller::default(), put("", "x")).await.unwrap();
    assert_eq!(applied.result.unwrap_err(), CommandError::EmptyKey);
    assert_eq!(applied.revision, 1);
    let limit = config(&dir).max_request_bytes;
    let error = member
        .propose(Caller::default(), put("large", vec![0; limit]))
        .await
        .unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { limit_bytes, .. } if limit_bytes == limit));
    assert!(!error.maybe_committed());
    assert_eq!(apply(&member, put("fits", vec![0; limit - 1000])).await, 2);
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    config.max_queued_commands = 1;
    let member = Member::open(config).await.unwrap();
    // Far more than two entries, each of which waits for the disk, can take from the queue meanwhile.
    let mut proposals: Vec<_> = (0..1000)
        .map(|n| Box::pin(member.propose(Caller::default(), put(format!("{n}"), "x"))))
        .collect();
    let mut refused = 0;
    let mut waiting = Vec::new();
    for mut proposal in proposals.drain(..) {
        match futures_util::poll!(proposal.as_mut()) {
            std::task::Poll::Ready(Err(error)) => {
                assert_eq!(error, ProposeError::TooManyRequests);
                refused += 1;
            }
            std::task::Poll::Ready(Ok(_)) => panic!("answered before it was asked"),
            std::task::Poll::Pending => waiting.push(proposal),
        }
    }
    assert!(refused > 0);
    assert_eq!(refused + waiting.len(), 1000);
    let taken = waiting.len() as i64;
    for proposal in waiting {
        proposal.await.unwrap().result.unwrap();
    }
    assert_eq!(apply(&member, put("again", "x")).await, 2 + taken);
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn shutdown_answers_what_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    let writers: Vec<_> = (0..50)
        .map(|writer| {
            let member = member.clone();
            tokio::spawn(async move {
                let mut acknowledged = 0;
                loop {
                    match member
                        .propose(Caller::default(), put(format!("{writer}/{acknowledged}"), "x"))
                        .await
                    {
                        Ok(applied) => {
                            applied.result.unwrap();
                            acknowledged += 1;
                        }
                        Err(error) => {
                            assert_eq!(error, ProposeError::ShuttingDown);
                            return acknowledged;
                        }
                    }
                }
            })
        })
        .collect();
    let mut revisions = member.applied();
    revisions.wait_for(|revision| *revision > 500).await.unwrap();
    member.shutdown().await.unwrap();
    let mut acknowledged = 0;
    for writer in writers {
        acknowledged += writer.await.unwrap();
    }
    let member = Member::open(config(&dir)).await.unwrap();
    assert_eq!(member.state().revision(), 1 + acknowledged);
    member.shutdown().await.unwrap();
}

fn grant(id: i64, ttl_secs: i64) -> Command {
    Command::LeaseGrant(LeaseGrant { id, ttl_secs })
}

fn put_leased(key: &str, lease: i64) -> Command {
    Command::Put(Put {
        key: key.to_owned().into(),
        lease,
        ..Put::default()
    })
}

#[tokio::test]
async fn a_lease_expires_unless_it_is_kept_alive() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    apply(&member, grant(1, 1)).await;
    apply(&member, grant(2, 1000)).await;
    apply(&member, put_leased("short", 1)).await;
    apply(&member, put_leased("long", 2)).await;
    assert_eq!(member.lease_remaining_secs(2), Some(1000));
    assert_eq!(member.lease_keep_alive(2).await.unwrap(), 1000);
    assert_eq!(member.lease_keep_alive(3).await.unwrap(), 0);
    let mut revisions = member.applied();
    let expired = revisions.wait_for(|revision| *revision > 3);
    tokio::time::timeout(Duration::from_secs(20), expired)
        .await
        .unwrap()
        .unwrap();
    assert!(member.state().get(b"short").is_none());
    assert!(member.state().lease(1).is_none());
    assert_eq!(member.lease_remaining_secs(1), None);
    assert_eq!(member.lease_keep_alive(1).await.unwrap(), 0);
    assert!(member.state().get(b"long").is_some());
    // Through a restart: by the log, then, since the member ended cleanly, by the checkpoint.
    for _ in 0..2 {
        member.shutdown().await.unwrap();
        let member = Member::open(config(&dir)).await.unwrap();
        assert_eq!(
            member.lease_remaining_secs(2),
            Some(1000),
            "it has its full time again"
        );
        assert_eq!(member.state().lease(2).unwrap().key_count(), 1);
        member.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_expired_lease_is_revoked_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    apply(&member, grant(7, 1)).await;
    apply(&member, put_leased("lock", 7)).await;
    member.shutdown().await.unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    let mut revisions = member.applied();
    let expired = revisions.wait_for(|revision| *revision > 2);
    tokio::time::timeout(Duration::from_secs(20), expired)
        .await
        .unwrap()
        .unwrap();
    assert!(member.state().get(b"lock").is_none());
    member.shutdown().await.unwrap();
}

#[tokio::test]
async fn contradicting_settings_are_refused_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    config.heartbeat_interval_ms = 900;
    let error = Member::open(config).await.err().unwrap();
    assert!(error.to_string().contains("election_timeout_min_ms"), "{error}");
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), "a file").unwrap();
    let error = Member::open(config(&dir)).await.err().unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
    assert!(error.to_string().contains("data"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_on_a_multi_thread_runtime_too() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::open(config(&dir)).await.unwrap();
    for n in 0..20 {
        apply(&member, put("key", format!("{n}"))).await;
        member.read_barrier().await.unwrap();
    }
    apply(&member, Command::Compact(Compact { revision: 20 })).await;
    assert_eq!(member.state().compact_revision(), 20);
    member.shutdown().await.unwrap();
}
