//! Writes, reads and leases on members that don't lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cfgstore_store::{Caller, Command, LeaseGrant};

use super::support::{CUT, Cluster, WHOLE, put, read, wait_for, write};
use crate::{Member, ProposeError, ReadError};

#[tokio::test]
async fn every_member_takes_writes_and_answers_once_it_has_them() {
    let cluster = Cluster::start(3).await;
    cluster.leader().await;
    for round in 0..20 {
        for (number, member) in cluster.running() {
            let key = format!("k{number}");
            write(member, &key, &round.to_string()).await;
            // Its own state, without a barrier.
            assert_eq!(read(member, &key).unwrap(), round.to_string().as_bytes());
            for (_, other) in cluster.running() {
                other.read_barrier().await.unwrap();
                assert_eq!(read(other, &key).unwrap(), round.to_string().as_bytes());
            }
        }
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn leases_are_renewed_and_asked_for_on_every_member() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let grant = Command::LeaseGrant(LeaseGrant {
        id: 7,
        ttl_secs: 1000,
    });
    let follower = cluster.member((leader + 1) % 3);
    follower
        .propose(Caller::default(), grant)
        .await
        .unwrap()
        .result
        .unwrap();
    for (_, member) in cluster.running() {
        assert_eq!(member.lease_keep_alive(7).await.unwrap(), 1000);
        assert_eq!(member.lease_keep_alive(8).await.unwrap(), 0);
        let times = member.lease_times(&[7, 8]).await.unwrap();
        assert!(times[0].is_some_and(|left| left > 900));
        assert_eq!(times[1], None);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn without_a_majority_nothing_is_written_and_the_error_says_so() {
    let mut cluster = Cluster::start_impatient(3).await;
    let leader = cluster.leader().await;
    write(cluster.member(leader), "k", "v").await;
    cluster.agree().await;
    let (survivor, second) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.end(leader).await;
    cluster.end(second).await;
    let member = cluster.member(survivor).clone();
    // Alone it can't elect itself.
    wait_for("the leader to be missed", || async {
        (!member.has_leader()).then_some(())
    })
    .await;
    assert_eq!(member.status().leader_id, None);
    let error = member
        .propose(Caller::default(), put("k", "lost"))
        .await
        .unwrap_err();
    assert_eq!(error, ProposeError::NoLeader { leader_id: None });
    assert!(!error.maybe_committed());
    assert_eq!(
        member.read_barrier().await.unwrap_err(),
        ReadError::NoLeader { leader_id: None }
    );
    assert_eq!(
        member.lease_keep_alive(1).await.unwrap_err(),
        ReadError::NoLeader { leader_id: None }
    );
    assert_eq!(read(&member, "k").unwrap(), b"v");
    cluster.open(second).await;
    cluster.leader().await;
    write(&member, "k", "w").await;
    // What was refused was not written meanwhile.
    assert_eq!(member.state().get(b"k").unwrap().version(), 2);
    cluster.shutdown().await;
}

/// Writes keys until told to stop, each once. Returns those acknowledged.
async fn create_keys(
    member: Member,
    writer: usize,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let key = format!("w{writer}/{n}");
        match member.propose(Caller::default(), put(&key, "v")).await {
            Ok(applied) => {
                applied.result.unwrap();
                written.fetch_add(1, Relaxed);
                acknowledged.push(key);
            }
            // Unknown ones are checked to be there at most once, like all others.
            Err(error) if error.maybe_committed() => {}
            Err(ProposeError::NoLeader { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    acknowledged
}

/// Under load, the network and the leaders fail again and again; whatever was acknowledged is there, and nothing was
/// applied twice.
#[tokio::test]
async fn no_write_is_lost_or_applied_twice_while_leaders_fail() {
    let mut cluster = Cluster::start_impatient(3).await;
    cluster.leader().await;
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let more = |written: &Arc<AtomicU64>| {
        let (written, before) = (written.clone(), written.load(Relaxed));
        async move {
            wait_for("writes to go on", || async {
                (written.load(Relaxed) > before + 50).then_some(())
            })
            .await;
        }
    };
    // Writers stay on their member, so the one that ends below has none.
    let last = cluster.leader().await;
    let writers: Vec<_> = (0..30)
        .map(|writer| {
            let member = cluster.member((last + 1 + writer % 2) % 3).clone();
            tokio::spawn(create_keys(member, writer, stop.clone(), written.clone()))
        })
        .collect();
    for round in 0..6 {
        more(&written).await;
        let leader = cluster.leader().await;
        cluster.isolate(leader, CUT);
        cluster.leader_but(Some(leader)).await;
        more(&written).await;
        cluster.isolate(leader, WHOLE);
        cluster.leader().await;
        if round % 2 == 1 {
            cluster.end(last).await;
            more(&written).await;
            cluster.open(last).await;
            cluster.leader().await;
        }
    }
    // A connection that breaks while the leader stays: what was on it is asked after.
    for _ in 0..10 {
        more(&written).await;
        let leader = cluster.leader().await;
        cluster.reset((leader + 1) % 3, leader);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    more(&written).await;
    stop.store(true, Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    for (_, member) in cluster.running() {
        member.read_barrier().await.unwrap();
    }
    cluster.agree().await;
    for (_, member) in cluster.running() {
        let state = member.state();
        for key in &acknowledged {
            assert!(state.get(key.as_bytes()).is_some(), "{key} was acknowledged");
        }
        for record in state.records_in_seq_order() {
            assert_eq!(record.version(), 1, "{:?} was written twice", record.key());
        }
    }
    cluster.shutdown().await;
}
