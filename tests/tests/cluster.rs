//! Members as processes: whatever ends, what was acknowledged stays, and the rest goes on.
//!
//! With `CFGSTORE_TEST_CLUSTER=etcd`, all scenarios of the files `cluster*.rs` run against Debian's etcd instead.

use cfgstore_tests::{Cluster, Kind, Load, LoadOptions};
use tonic::{Code, Status};

fn load_on(cluster: &Cluster) -> Load {
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    load
}

/// What etcd answers when no majority does.
fn assert_no_quorum(error: &Status) {
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    let known = [
        "etcdserver: request timed out",
        "etcdserver: no leader",
        "etcdserver: leader changed",
    ];
    assert!(
        known.iter().any(|text| error.message().starts_with(text)),
        "{error}"
    );
}

#[test]
fn killing_any_one_of_three_under_load_loses_nothing() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let load = load_on(&cluster);
    let leader = cluster.leader();
    for index in [leader, (leader + 1) % 3, (leader + 2) % 3] {
        cluster.kill(index);
        load.wait_for_writes(200);
        cluster.start_member(index);
        cluster.wait_serving(index);
        cluster.wait_caught_up();
    }
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}

#[test]
fn with_two_of_three_dead_writes_stop_and_serializable_reads_go_on() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let load = load_on(&cluster);
    // Once the leader is what stays, once a follower.
    for keep_leader in [true, false] {
        let keep = if keep_leader {
            cluster.leader()
        } else {
            cluster.follower()
        };
        let client = cluster.client(keep);
        client.put(b"known", b"before").expect("put");
        for index in 0..3 {
            if index != keep {
                cluster.kill(index);
            }
        }
        let answered = load.acknowledged();
        let reader = cluster.client(keep);
        let read = std::thread::spawn(move || reader.get(b"known", false));
        assert_no_quorum(&client.put(b"lost", b"1").expect_err("a write without a majority"));
        let read = read.join().expect("reader");
        assert_no_quorum(&read.expect_err("a linearizable read without a majority"));
        let read = client.get(b"known", true).expect("a serializable read");
        assert_eq!(read.kvs[0].value, b"before".as_slice());
        // Those in flight when the second was killed may have been answered after it was counted.
        assert!(load.acknowledged() <= answered + LoadOptions::default().writers as u64);

        for index in 0..3 {
            if index != keep {
                cluster.start_member(index);
            }
        }
        for index in 0..3 {
            cluster.wait_serving(index);
        }
        load.wait_for_writes(100);
    }
    load.finish();
}

#[test]
fn five_members_lose_two() {
    let mut cluster = Cluster::start(5, Kind::under_test());
    let load = load_on(&cluster);
    let leader = cluster.leader();
    let lost = [leader, (leader + 2) % 5];
    for index in lost {
        cluster.kill(index);
    }
    load.wait_for_writes(300);
    for index in lost {
        cluster.start_member(index);
        cluster.wait_serving(index);
    }
    cluster.wait_caught_up();
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}

#[test]
fn a_rolling_restart_fails_no_read_and_loses_no_write() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let load = load_on(&cluster);
    for index in 0..3 {
        cluster.stop(index);
        cluster.start_member(index);
        cluster.wait_serving(index);
        cluster.wait_caught_up();
        load.wait_for_reads(100);
    }
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}

#[test]
fn leadership_moves_under_load() {
    let cluster = Cluster::start(3, Kind::under_test());
    let load = load_on(&cluster);
    for _ in 0..5 {
        let leader = cluster.leader();
        let next = (leader + 1) % 3;
        let id = cluster.id(next);
        let refused = cluster
            .client(next)
            .move_leader(id)
            .expect_err("asked of a follower");
        assert_eq!(refused.message(), "etcdserver: not leader");
        cluster.client(leader).move_leader(id).expect("move leader");
        cluster.wait_until("the other to lead", || cluster.leader() == next);
        load.wait_for_writes(100);
    }
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}

#[test]
fn a_leader_that_was_stopped_answers_no_stale_read() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let load = load_on(&cluster);
    for round in 0..3 {
        let old = cluster.leader();
        let client = cluster.client(old);
        let stale = format!("stale {round}");
        client.put(b"key", stale.as_bytes()).expect("put");
        cluster.pause(old);
        // Its answers wait in its sockets until it goes on, when it may still believe that it leads.
        let asked = std::thread::spawn(move || client.value(b"key"));
        let new = cluster.leader();
        let fresh = format!("fresh {round}");
        cluster.client(new).put(b"key", fresh.as_bytes()).expect("put");
        cluster.resume(old);
        match asked.join().expect("reader") {
            Ok(value) => assert_eq!(value.as_deref(), Some(fresh.as_bytes())),
            Err(error) => assert_eq!(error.code(), Code::Unavailable, "{error}"),
        }
        cluster.wait_serving(old);
        load.wait_for_writes(100);
    }
    load.finish();
}
