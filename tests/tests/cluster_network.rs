//! Members in network namespaces between which packets are lost. These tests need root and the `ip` of iproute2, and fail
//! without them.

use std::time::{Duration, Instant};

use cfgstore_tests::{Cluster, Kind, Load, LoadOptions};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Load that goes through etcd's 5,000 entries of kept log within seconds.
const HEAVY: LoadOptions = LoadOptions {
    writers: 24,
    readers: 2,
    pause: Duration::ZERO,
};

#[test]
fn a_leader_cut_off_from_the_rest_is_replaced_and_answers_no_stale_read() {
    let cluster = Cluster::in_namespaces(3, Kind::under_test(), &[]);
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    let old = cluster.leader();
    let client = cluster.client(old);
    client.put(b"key", b"stale").expect("put");
    cluster.isolate(old);
    let others: Vec<String> = (0..3)
        .filter(|&index| index != old)
        .map(|index| cluster.member(index).client_url().to_owned())
        .collect();
    // Without clients that wait for the one cut off, its successor serves at once.
    load.set_endpoints(&others);
    cluster.wait_until("another leader", || cluster.leader_of(&others).is_some());
    let new = cluster.leader_of(&others).expect("a leader");
    cluster.client(new).put(b"key", b"fresh").expect("put");
    assert!(client.get(b"key", false).is_err(), "a read of the one cut off");
    load.wait_for_writes(200);
    cluster.heal();
    cluster.wait_serving(old);
    assert_eq!(
        client.value(b"key").expect("get").as_deref(),
        Some(b"fresh".as_slice())
    );
    load.set_endpoints(&cluster.endpoints());
    load.wait_for_writes(100);
    load.finish();
}

#[test]
fn a_follower_whose_log_is_gone_is_caught_up_by_snapshot_and_its_watcher_misses_nothing() {
    lagging_follower(false);
}

#[test]
fn a_watcher_whose_events_were_compacted_while_it_was_cut_off_sees_them_or_is_told() {
    lagging_follower(true);
}

fn lagging_follower(compact: bool) {
    let kind = Kind::under_test();
    let cluster = Cluster::in_namespaces(
        3,
        kind,
        &[
            "--snapshot-count=100",
            "--heartbeat-interval=100",
            "--election-timeout=500",
        ],
    );
    let options = match kind {
        Kind::Etcd => HEAVY,
        Kind::Cfgstored => LoadOptions::default(),
    };
    let load = Load::without_watchers(&cluster.endpoints(), options);
    load.wait_for_writes(100);
    let lagging = cluster.follower();
    let url = cluster.member(lagging).client_url().to_owned();
    let mut others = cluster.endpoints();
    others.retain(|endpoint| *endpoint != url);
    for endpoint in &others {
        load.watch(endpoint);
    }
    // After it took a snapshot, etcd 3.4 sends events again that a watcher without a notice has seen.
    if kind != Kind::Etcd || compact {
        load.watch(&url);
    }
    load.wait_for_writes(100);
    cluster.isolate(lagging);
    load.set_endpoints(&others);
    outgrow_log(&cluster, &load, &others);
    if compact {
        let leader = cluster.leader_of(&others).expect("a leader");
        let client = cluster.client(leader);
        let revision = client.get(b"none", false).expect("revision").revision;
        client.compact(revision).expect("compact");
        load.wait_for_writes(100);
    }
    cluster.heal();
    cluster.wait_serving(lagging);
    load.set_endpoints(&cluster.endpoints());
    load.wait_for_writes(200);
    let report = load.finish();
    // A watcher may see all events although they were compacted, as long as it misses none without a notice.
    assert!(compact || report.notices == 0, "{report:?}");
    assert!(
        !compact || kind == Kind::Cfgstored || report.notices > 0,
        "{report:?}"
    );
    let received = cluster.metric(lagging, "etcd_network_snapshot_receive_success");
    assert!(received >= 1.0, "it was not caught up by a snapshot");
}

/// Writes until the log that the one cut off needs is gone from the others.
fn outgrow_log(cluster: &Cluster, load: &Load, others: &[String]) {
    if cluster.kind() == Kind::Etcd {
        // It keeps 5,000 entries.
        load.wait_for_writes(7_000);
        return;
    }
    cluster.wait_until("a leader", || cluster.leader_of(others).is_some());
    let leader = cluster.leader_of(others).expect("a leader");
    let client = cluster.client(leader);
    let folder = cluster.member(leader).data_dir().join("wal");
    let oldest = || {
        let files = std::fs::read_dir(&folder).expect("log").flatten();
        let names = files
            .map(|file| file.file_name())
            .filter(|name| name.to_string_lossy().ends_with(".wal"));
        names.min().expect("a segment")
    };
    let first = oldest();
    let value = vec![b'v'; 1 << 20];
    cluster.wait_until("the leader to purge its log", || {
        let _ = client.put(b"bulk", &value);
        oldest() != first
    });
}

#[test]
fn a_network_that_works_one_way_stops_nobody_for_long() {
    let cluster = Cluster::in_namespaces(3, Kind::under_test(), &[]);
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    for (hears, leads) in [(true, false), (false, false), (true, true), (false, true)] {
        let leader = cluster.leader();
        let member = if leads { leader } else { (leader + 1) % 3 };
        for other in (0..3).filter(|&other| other != member) {
            if hears {
                cluster.cut(member, other, false);
            } else {
                cluster.cut(other, member, false);
            }
        }
        let rest: Vec<String> = (0..3)
            .filter(|&index| index != member)
            .map(|index| cluster.member(index).client_url().to_owned())
            .collect();
        load.set_endpoints(&rest);
        load.wait_for_writes(100);
        cluster.heal();
        cluster.wait_serving(member);
        load.set_endpoints(&cluster.endpoints());
        load.wait_for_writes(50);
    }
    load.finish();
}

#[test]
fn a_network_that_loses_packets_loses_no_write() {
    let seed = std::env::var("CFGSTORE_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("again: CFGSTORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = Cluster::in_namespaces(3, Kind::under_test(), &[]);
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    let seconds = std::env::var("CFGSTORE_LOAD_SECONDS").map_or(8, |value| value.parse().expect("a number"));
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let from = random.random_range(0..3);
        let to = (from + random.random_range(1..3)) % 3;
        cluster.cut(from, to, random.random_bool(0.5));
        std::thread::sleep(Duration::from_millis(random.random_range(5..400)));
        cluster.heal();
        std::thread::sleep(Duration::from_millis(random.random_range(5..100)));
    }
    load.wait_for_writes(100);
    load.finish();
}
