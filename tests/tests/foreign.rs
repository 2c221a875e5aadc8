//! Clients of other projects, unpatched, against cfgstore and against Debian's etcd in the same run. Each runs a scenario
//! that prints what it saw; what it saw of the one must be what it saw of the other, byte by byte.
//!
//! `scripts/foreign.sh` fetches and builds them into `target/foreign` (another folder: `CFGSTORE_FOREIGN_DIR`).

use cfgstore_tests::{Cluster, Kind, Process};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MEMBERS: usize = 3;

/// Where `scripts/foreign.sh` put the clients.
fn foreign(name: &str) -> PathBuf {
    let folder = std::env::var_os("CFGSTORE_FOREIGN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign"),
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not there: run scripts/foreign.sh",
        path.display()
    );
    path
}

/// A file of `tests/foreign`.
fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// What a scenario printed of a cluster; it ends by itself, with status 0.
fn transcript(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("start");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{stdout}{stderr}",
        output.status
    );
    stdout.into_owned()
}

/// Runs a scenario against a fresh cluster of each kind, and returns what it saw of both: the same.
fn same_of_both(run: impl Fn(&Cluster) -> String) -> String {
    let of = |kind| {
        let cluster = Cluster::start(MEMBERS, kind);
        // Whichever member a client asks has what the others have, from the first call on.
        cluster.wait_caught_up();
        run(&cluster)
    };
    let (etcd, ours) = (of(Kind::Etcd), of(Kind::under_test()));
    assert!(etcd.lines().count() > 5, "the scenario saw nothing:\n{etcd}");
    assert!(
        etcd == ours,
        "cfgstored is not as etcd (-) here:\n{}",
        difference(&etcd, &ours)
    );
    ours
}

/// The lines that differ, with the number of each in its transcript.
fn difference(expected: &str, found: &str) -> String {
    let (mut left, mut right) = (expected.lines(), found.lines());
    let mut different = Vec::new();
    for number in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => different.push(format!(
                "{number}\n- {}\n+ {}",
                a.unwrap_or("(end)"),
                b.unwrap_or("(end)")
            )),
        }
        if different.len() == 20 {
            break;
        }
    }
    different.join("\n")
}

/// What a script of `tests/foreign/etcdctl` sees by this `etcdctl`.
fn etcdctl(cluster: &Cluster, program: &Path, script: &str) -> String {
    let folder = tempfile::tempdir().expect("temporary folder");
    transcript(
        Command::new(scenario("etcdctl").join(script))
            .env("ETCDCTL", program)
            .env("ENDPOINTS", cluster.endpoints().join(","))
            .env("FOLDER", folder.path()),
    )
}

#[test]
fn the_go_client_of_etcd() {
    let expected = include_str!("../../examples/go/expected.txt");
    let seen = same_of_both(|cluster| {
        transcript(
            Command::new(foreign("bin/clientv3"))
                .arg("-endpoints")
                .arg(cluster.endpoints().join(",")),
        )
    });
    assert!(
        seen == expected,
        "not what examples/go/expected.txt says:\n{}",
        difference(expected, &seen)
    );
}

#[test]
fn the_go_client_goes_on_when_a_member_is_killed() {
    let mut cluster = Cluster::start(MEMBERS, Kind::under_test());
    // One that leads, and then, when it is back, one that follows.
    for leads in [true, false] {
        cluster.wait_caught_up();
        let (input, end_of_input) = std::io::pipe().expect("pipe");
        let program = Process::spawn(
            Command::new(foreign("bin/clientv3"))
                .arg("-failover")
                .arg("-endpoints")
                .arg(cluster.endpoints().join(","))
                .stdin(input),
        );
        program.line_with("writing");
        let killed = if leads {
            cluster.leader()
        } else {
            cluster.follower()
        };
        cluster.kill(killed);
        drop(end_of_input);
        program.line_with("every acknowledged write is there");
        assert!(program.wait().success());
        cluster.start_member(killed);
        cluster.wait_serving(killed);
    }
}

#[test]
fn the_load_shape_of_kubernetes() {
    same_of_both(|cluster| {
        transcript(Command::new(foreign("bin/kubernetes")).arg(cluster.endpoints().join(",")))
    });
}

#[test]
fn etcdctl_of_debian_on_keys() {
    same_of_both(|cluster| etcdctl(cluster, Path::new("etcdctl"), "keys.sh"));
}

#[test]
fn etcdctl_of_today_on_keys() {
    same_of_both(|cluster| etcdctl(cluster, &foreign("bin/etcdctl"), "keys.sh"));
}

#[test]
fn etcdctl_of_debian_on_the_cluster() {
    same_of_both(|cluster| etcdctl(cluster, Path::new("etcdctl"), "cluster.sh"));
}

#[test]
fn etcdctl_of_today_on_the_cluster() {
    same_of_both(|cluster| etcdctl(cluster, &foreign("bin/etcdctl"), "cluster.sh"));
}

#[test]
fn curl_on_the_json_gateway() {
    same_of_both(|cluster| {
        let folder = tempfile::tempdir().expect("temporary folder");
        transcript(
            Command::new(scenario("gateway/scenario.sh"))
                .env("ENDPOINTS", cluster.endpoints().join(","))
                .env("FOLDER", folder.path()),
        )
    });
}

#[test]
fn jetcd() {
    same_of_both(|cluster| {
        let built = foreign("jetcd");
        transcript(
            Command::new("java")
                .arg("-cp")
                .arg(format!("{0}/classes:{0}/lib/*", built.display()))
                .arg("Scenario")
                .arg(cluster.endpoints().join(",")),
        )
    });
}

#[test]
fn python_etcd3() {
    same_of_both(|cluster| {
        transcript(
            Command::new(foreign("python/bin/python"))
                .arg(scenario("python/scenario.py"))
                .arg(cluster.endpoints().join(",")),
        )
    });
}
