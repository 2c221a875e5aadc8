//! Members that don't belong together.

use crate::Bootstrap;

use super::support::{Cluster, read, write};

#[tokio::test]
async fn a_member_of_another_cluster_is_kept_out() {
    let mut cluster = Cluster::prepare(3).await;
    cluster.open(0).await;
    cluster.open(1).await;
    let mut config = cluster.config(2);
    let Bootstrap::New { token, .. } = &mut config.bootstrap else {
        unreachable!("these clusters are new")
    };
    *token = "another".to_owned();
    cluster.open_with(2, config).await;
    let leader = cluster.leader_but(Some(2)).await;
    for n in 0..50 {
        write(cluster.member(leader), &format!("k{n}"), "v").await;
    }
    let stranger = cluster.member(2);
    assert_ne!(
        stranger.status().cluster_id,
        cluster.member(leader).status().cluster_id
    );
    assert!(!stranger.has_leader());
    assert!(read(stranger, "k0").is_none());
    let peers = stranger.stats().peers;
    assert!(peers.iter().all(|peer| !peer.active));
    cluster.shutdown().await;
}
