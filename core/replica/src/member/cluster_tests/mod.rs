//! Several members in one process.

mod forward;
mod membership;
mod partition;
mod proxy;
mod refusal;
mod support;

use support::{Cluster, read, wait_for, write};

#[tokio::test]
async fn three_members_elect_a_leader_and_replicate() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for n in 0..100 {
        write(cluster.member(leader), &format!("k{n}"), "v").await;
    }
    cluster.agree().await;
    for (_, member) in cluster.running() {
        assert_eq!(read(member, "k99").unwrap(), b"v");
        assert_eq!(member.members().len(), 3);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_member_that_was_away_catches_up() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    write(cluster.member(leader), "before", "v").await;
    let away = (leader + 1) % 3;
    cluster.end(away).await;
    for n in 0..50 {
        write(cluster.member(leader), &format!("k{n}"), "v").await;
    }
    cluster.open(away).await;
    wait_for("the member to catch up", || async {
        read(cluster.member(away), "k49")
    })
    .await;
    cluster.agree().await;
    cluster.shutdown().await;
}
