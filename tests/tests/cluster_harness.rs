//! The harness itself: Debian's etcd keeps the promises that the load checks, so a scenario that fails with cfgstored says
//! something of cfgstored.

use cfgstore_tests::{Cluster, Kind, Load, LoadOptions};

#[test]
fn three_etcds_survive_the_loss_of_their_leader_under_load() {
    let mut cluster = Cluster::start(3, Kind::Etcd);
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    let leader = cluster.leader();
    cluster.kill(leader);
    load.wait_for_writes(100);
    cluster.start_member(leader);
    cluster.wait_serving(leader);
    cluster.wait_caught_up();
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}
