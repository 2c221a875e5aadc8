//! Members that can't hear each other.

use cfgstore_store::Caller;

use super::proxy::Cut;
use super::support::{CUT, Cluster, WHOLE, put, read, wait_for, write};

#[tokio::test]
async fn the_majority_goes_on_without_an_isolated_leader() {
    let cluster = Cluster::start_impatient(3).await;
    let old = cluster.leader().await;
    write(cluster.member(old), "k", "1").await;
    cluster.isolate(old, CUT);
    let new = cluster.leader_but(Some(old)).await;
    assert_ne!(new, old);
    write(cluster.member(new), "k", "2").await;
    // It must not answer with what it has, which is old.
    assert!(cluster.member(old).read_barrier().await.is_err());
    assert!(
        cluster
            .member(old)
            .propose(Caller::default(), put("k", "lost"))
            .await
            .is_err()
    );
    assert_eq!(read(cluster.member(old), "k").unwrap(), b"1");
    cluster.isolate(old, WHOLE);
    wait_for("the old leader to catch up", || async {
        (read(cluster.member(old), "k")? == b"2").then_some(())
    })
    .await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_isolated_member_does_not_raise_the_term() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let term = cluster.member(leader).term();
    let follower = (leader + 1) % 3;
    // All that a follower calls others for by the raft connection is their votes.
    let unanswered = || {
        let peers = cluster.member(follower).stats().peers;
        assert_eq!(peers.len(), 2);
        peers.iter().map(|peer| peer.sent_failures).min().unwrap()
    };
    let before = unanswered();
    cluster.isolate(follower, CUT);
    for n in 0..200 {
        write(cluster.member(leader), &format!("k{n}"), "v").await;
    }
    wait_for("several elections that nobody answers", || async {
        (unanswered() >= before + 3).then_some(())
    })
    .await;
    cluster.isolate(follower, WHOLE);
    wait_for("the member to catch up", || async {
        read(cluster.member(follower), "k199")
    })
    .await;
    assert_eq!(cluster.leader().await, leader);
    assert_eq!(cluster.member(follower).term(), term);
    cluster.shutdown().await;
}

/// What the leader says arrives nowhere; what the others say reaches it, and so does what they answer.
#[tokio::test]
async fn a_leader_that_is_not_heard_is_replaced() {
    let cluster = Cluster::start_impatient(3).await;
    let old = cluster.leader().await;
    write(cluster.member(old), "k", "1").await;
    let mute = Cut {
        inward: true,
        outward: false,
    };
    cluster.cut_from(old, mute);
    let new = wait_for("another leader", || async {
        let mut others = cluster.running().filter(|(number, _)| *number != old);
        others
            .find(|(_, member)| member.status().is_leader)
            .map(|(number, _)| number)
    })
    .await;
    write(cluster.member(new), "k", "2").await;
    cluster.cut_from(old, WHOLE);
    let member = cluster.member(old);
    member.read_barrier().await.unwrap();
    assert_eq!(read(member, "k").unwrap(), b"2");
    cluster.shutdown().await;
}
