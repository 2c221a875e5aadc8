//! Moving in: keys and leases from one etcd to another server, or from a snapshot file.

mod support;

use support::*;

fn keys(etcd: &Server, prefix: &str) -> String {
    etcd.ok(&["get", "--prefix", prefix])
}

fn grant(etcd: &Server, ttl: &str) -> String {
    let granted = etcd.etcdctl(&["lease", "grant", ttl]);
    granted.split_whitespace().nth(1).unwrap().to_owned()
}

/// More than a page of keys, some of them with leases, and some outside of the prefix `app/`.
fn fill(etcd: &Server) -> String {
    let lease = grant(etcd, "5000");
    for number in 0..450 {
        let key = format!("app/{number:03}");
        if number % 100 == 7 {
            etcd.etcdctl(&["put", &key, "leased", "--lease", &lease]);
        } else if number % 5 == 0 {
            etcd.etcdctl(&["put", &key, &format!("value {number}")]);
        }
    }
    // The rest at once: one process for each would take long.
    let puts: String = (0..450)
        .filter(|number| number % 100 != 7 && number % 5 != 0)
        .map(|number| format!("put app/{number:03} v{number}\n"))
        .collect();
    for chunk in puts.lines().collect::<Vec<_>>().chunks(100) {
        let txn = format!("\n{}\n\n\n", chunk.join("\n"));
        run_txn(etcd, &txn);
    }
    etcd.etcdctl(&["put", "other", "o"]);
    lease
}

fn run_txn(etcd: &Server, txn: &str) {
    use std::io::Write;
    let mut child = std::process::Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &etcd.endpoint, "txn"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(txn.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn keys_and_leases_are_copied_and_copying_again_changes_nothing() {
    let (from, to) = (Server::etcd(), Server::etcd());
    let lease = fill(&from);
    let migrate = ["migrate", "--from", &from.endpoint, "--prefix", "app/", "--json"];

    let dry = json(&to.ok(&[&migrate[..], &["--dry-run"]].concat()));
    assert_eq!(
        (&dry["copied"], &dry["leases"], &dry["dry_run"]),
        (&450.into(), &1.into(), &true.into())
    );
    assert_eq!(keys(&to, ""), "");

    to.ok(&["put", "mine", "m"]);
    let done = json(&to.ok(&migrate));
    assert_eq!((&done["copied"], &done["leases"]), (&450.into(), &1.into()));
    assert_eq!(keys(&to, "app/"), keys(&from, "app/"));
    assert_eq!(to.fails(&["get", "other"]).0, 1);
    let left = to.ok(&["lease", "timetolive", &lease, "--keys"]);
    assert!(left.contains("app/007 app/107 app/207 app/307 app/407"), "{left}");

    let (code, message) = to.fails(&["migrate", "--from", &from.endpoint, "--prefix", "app/"]);
    assert!(code == 2 && message.contains("--force"), "{code} {message}");
    from.ok(&["put", "app/new", "n"]);
    from.ok(&["put", "app/001", "changed"]);
    to.ok(&["put", "app/mine", "kept"]);
    let revision = json(&to.ok(&["endpoint", "status", "--json"]))["revision"]
        .as_i64()
        .unwrap();
    let again = json(&to.ok(&[&migrate[..], &["--force"]].concat()));
    let counts = [
        "copied",
        "unchanged",
        "only_at_target",
        "leases",
        "leases_with_another_id",
    ];
    assert_eq!(
        counts.map(|count| again[count].as_i64().unwrap()),
        [2, 449, 1, 1, 0]
    );
    let now = json(&to.ok(&["endpoint", "status", "--json"]))["revision"]
        .as_i64()
        .unwrap();
    assert_eq!(now, revision + 1, "what is the same is not written again");
    assert_eq!(to.ok(&["get", "app/mine"]), "kept\n");
}

#[test]
fn a_lease_whose_id_is_taken_gets_another() {
    let (from, to) = (Server::etcd(), Server::etcd());
    let lease = grant(&from, "5000");
    from.etcdctl(&["put", "k", "v", "--lease", &lease]);
    let id = i64::from_str_radix(&lease, 16).unwrap();
    let request = format!("{{\"ID\":\"{id}\",\"TTL\":\"70\"}}");
    let taken = std::process::Command::new("curl")
        .args(["-sf", "-d", &request, &format!("{}/v3/lease/grant", to.endpoint)])
        .output()
        .unwrap();
    assert!(taken.status.success(), "{taken:?}");
    let done = json(&to.ok(&["migrate", "--from", &from.endpoint, "--json"]));
    assert_eq!(done["leases_with_another_id"], 1);
    assert!(
        to.ok(&["lease", "timetolive", &lease, "--keys"])
            .ends_with("attached keys([])\n")
    );
    assert_eq!(to.ok(&["lease", "list"]).lines().next(), Some("found 2 leases"));
}

#[test]
fn a_snapshot_file_is_copied_into_a_running_server() {
    let (from, to) = (Server::etcd(), Server::etcd());
    let lease = fill(&from);
    let file = from.folder.path().join("backup.db");
    let path = file.to_str().unwrap();
    from.ok(&["snapshot", "save", path]);
    let done = json(&to.ok(&["migrate", "--from", path, "--json"]));
    assert_eq!((&done["copied"], &done["leases"]), (&451.into(), &1.into()));
    assert_eq!(keys(&to, ""), keys(&from, ""));
    assert!(
        to.ok(&["lease", "timetolive", &lease])
            .contains("granted with TTL(5000s)")
    );
    let (code, message) = to.fails(&["migrate", "--from", path, "--force", "--follow"]);
    assert!(code == 2 && message.contains("not a file"), "{code} {message}");
}

#[test]
fn changes_are_followed_until_told_to_end() {
    let (from, to) = (Server::etcd(), Server::etcd());
    // So short that it would end here if it were not kept alive.
    let lease = grant(&from, "1");
    let (mut keeper, mut beats) = from.start_reading(&["lease", "keep-alive", &lease]);
    line(&mut beats);
    from.etcdctl(&["put", "app/leased", "v", "--lease", &lease]);
    from.ok(&["put", "app/old", "v"]);
    let (mut follower, mut lines) =
        to.start_reading(&["migrate", "--from", &from.endpoint, "--follow", "--json"]);
    assert_eq!(json(&line(&mut lines))["copied"], 2);

    from.ok(&["put", "app/new", "n"]);
    from.ok(&["del", "app/old"]);
    wait_until("the changes are copied", || {
        keys(&to, "app/") == keys(&from, "app/")
    });
    // Longer than the lease lives: it is alive only as both are kept so.
    let beats_wanted = 6;
    for _ in 0..beats_wanted {
        line(&mut beats);
    }
    assert_eq!(to.ok(&["get", "app/leased"]), "v\n");
    from.ok(&["lease", "revoke", &lease]);
    keeper.wait().unwrap();
    wait_until("its end is copied", || {
        to.run(&["get", "app/leased"]).status.code() == Some(1)
    });

    signal("-TERM", &follower);
    assert!(follower.wait().unwrap().success());
    let said = json(&line(&mut lines));
    assert_eq!(said["followed"], 3);
}

#[test]
fn sources_that_are_none_are_refused() {
    let to = Server::etcd();
    let (code, message) = to.fails(&["migrate", "--from", "/missing.db"]);
    assert!(
        code == 2 && message.contains("cannot read /missing.db"),
        "{code} {message}"
    );
    let nobody = free_url();
    assert_eq!(to.fails(&["migrate", "--from", &nobody, "--timeout", "0.3"]).0, 3);
}
