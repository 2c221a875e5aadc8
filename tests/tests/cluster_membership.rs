//! Clusters that grow, shrink and replace what died, and what must not join.

use cfgstore_tests::{Cluster, Host, Kind, Load, LoadOptions, Process};

/// Prints each value that it reads, once what it wrote about it is acknowledged.
const PHP_APPLICATION: &str = r#"
$config = new Cfgstore\Client(prefix: '');
for ($last = null; ; usleep(2000)) {
    $value = $config->get('attached/key', null);
    if ($value !== $last) {
        $config->put('php/has-seen', $last = $value);
        echo $value, "\n";
    }
}
"#;

#[test]
fn grow_to_five_and_shrink_to_three_under_load() {
    let mut cluster = Cluster::start(1, Kind::under_test());
    for _ in 1..5 {
        cluster.new_member();
    }
    // A stock etcdctl that is attached throughout: told all addresses, as an application would be.
    let all: Vec<String> = (0..5)
        .map(|index| cluster.member(index).client_url().to_owned())
        .collect();
    let etcdctl = |arguments: &[&str]| {
        let mut command = std::process::Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &all.join(",")])
            .args(arguments);
        command
    };
    let watcher = Process::spawn(&mut etcdctl(&["watch", "attached/", "--prefix"]));
    let host = Host::new();
    let mut php = host.php();
    php.arg("-d").arg(format!("cfgstore.endpoints={}", all.join(",")));
    let php = Process::spawn(php.args(["-r", PHP_APPLICATION]));
    let mut phases = 0;
    let mut attached = || {
        let value = format!("phase {phases}");
        phases += 1;
        let put = etcdctl(&["put", "attached/key", &value, "--command-timeout=20s"])
            .output()
            .expect("etcdctl");
        assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
        assert_eq!(watcher.line_with("phase"), value);
        assert_eq!(php.line_with("phase"), value);
    };

    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    // The first event it must see: before it, nobody knows whether the watch is there.
    cluster.wait_until("etcdctl's watch", || {
        let put = etcdctl(&["put", "attached/key", "hello"])
            .output()
            .expect("etcdctl");
        assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
        watcher.line_now().is_some()
    });
    for index in 1..5 {
        cluster.join(index);
        load.set_endpoints(&cluster.endpoints());
        load.watch(cluster.member(index).client_url());
        load.wait_for_writes(100);
        attached();
    }
    assert_eq!(cluster.client(0).members().expect("members").len(), 5);

    // The leader goes first.
    for _ in 0..2 {
        let leader = cluster.leader();
        let url = cluster.member(leader).client_url().to_owned();
        load.unwatch(&url);
        cluster.remove(leader);
        load.set_endpoints(&cluster.endpoints());
        load.wait_for_writes(100);
        attached();
    }
    let left = cluster.present()[0];
    assert_eq!(cluster.client(left).members().expect("members").len(), 3);
    let report = load.finish();
    assert_eq!(report.failed_reads, 0, "{report:?}");
}

#[test]
fn a_member_whose_disk_was_wiped_comes_back_only_as_a_new_one() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    let wiped = cluster.follower();
    let old_id = cluster.id(wiped);
    cluster.kill(wiped);
    cluster.wipe(wiped);

    // As its unit file started it the first time.
    cluster.start_member(wiped);
    let status = cluster.wait_ended(wiped);
    assert!(!status.success(), "it must not start");
    let log = cluster.member(wiped).log();
    assert!(log.contains("has already been bootstrapped"), "{log}");
    load.wait_for_writes(100);

    // The guide: remove, add, start as one of an existing cluster with an empty folder.
    load.unwatch(cluster.member(wiped).client_url());
    cluster.remove_id(wiped, old_id);
    if cluster.member(wiped).data_dir().exists() {
        cluster.wipe(wiped);
    }
    cluster.join(wiped);
    assert_ne!(cluster.id(wiped), old_id);
    load.wait_for_writes(100);
    cluster.wait_caught_up();
    load.finish();
}

#[test]
fn a_learner_catches_up_and_is_promoted() {
    let mut cluster = Cluster::start(1, Kind::under_test());
    let load = Load::start(&cluster.endpoints(), LoadOptions::default());
    load.wait_for_writes(100);
    let learner = cluster.new_member();
    let id = cluster.join_learner(learner);
    let client = cluster.client(learner);
    let refused = client.put(b"key", b"value").expect_err("a write at a learner");
    assert_eq!(refused.message(), "etcdserver: rpc not supported for learner");
    let through = cluster.client(0);
    cluster.wait_until("the learner to be ready", || match through.member_promote(id) {
        Ok(()) => true,
        Err(error) => {
            let text = "etcdserver: can only promote a learner member which is in sync with leader";
            assert_eq!(error.message(), text);
            false
        }
    });
    cluster.wait_serving(learner);
    let again = through.member_promote(id).expect_err("a voter");
    assert_eq!(again.message(), "etcdserver: can only promote a learner member");
    load.set_endpoints(&cluster.endpoints());
    load.watch(cluster.member(learner).client_url());
    load.wait_for_writes(100);
    load.finish();
}

#[test]
fn a_member_of_another_cluster_is_refused_and_the_logs_say_so() {
    let mut cluster = Cluster::not_started(3, Kind::under_test(), &[], None);
    for index in 0..2 {
        cluster.start_member(index);
    }
    let mut command = cluster.command(2);
    // The last one counts.
    command.args(["--initial-cluster-token", "another"]);
    cluster.run(2, command);
    cluster.wait_serving(0);
    cluster.wait_serving(1);
    let told = |index: usize| {
        let log = cluster.member(index).log().to_lowercase();
        log.contains("cluster id mismatch")
    };
    cluster.wait_until("a member of the cluster to tell", || told(0) || told(1));
    cluster.wait_until("the stranger to tell", || told(2));
    // It has nothing of the others' data.
    cluster.client(0).put(b"ours", b"1").expect("put");
    if let Ok(read) = cluster.client(2).get(b"ours", true) {
        assert!(read.kvs.is_empty());
    }
}

#[test]
fn settings_that_contradict_are_refused() {
    for (flags, texts) in [
        (
            &["--heartbeat-interval=1000", "--election-timeout=1000"][..],
            &["election-timeout", "heartbeat-interval"][..],
        ),
        (&["--election-timeout=100000"], &["election-timeout"]),
        (
            &["--initial-cluster-state=perhaps"],
            &["initial-cluster-state", "perhaps"],
        ),
        (&["--auto-compaction-mode=never"], &["auto-compaction", "never"]),
        (
            &["--listen-peer-urls=127.0.0.1"],
            &["listen-peer-urls", "127.0.0.1"],
        ),
        (
            &["--initial-advertise-peer-urls=http://10.1.2.3:4"],
            &["10.1.2.3:4", "initial-advertise-peer-urls"],
        ),
    ] {
        let mut cluster = Cluster::not_started(1, Kind::under_test(), &[], None);
        let mut command = cluster.command(0);
        command.args(flags);
        cluster.run(0, command);
        let status = cluster.wait_ended(0);
        let log = cluster.member(0).log();
        assert!(!status.success(), "{flags:?}: {log}");
        for text in texts {
            assert!(log.contains(text), "{flags:?} without {text:?}: {log}");
        }
        assert!(!log.contains("panicked"), "{flags:?}: {log}");
    }
}
