//! Snapshots of an etcd, saved by cfgctl: what etcdctl says of them, and clusters made from them.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cfgstore_replica::{Bootstrap, InitialMember, Member, MemberConfig};
use cfgstore_store::{Caller, Put};
use support::*;

#[test]
fn a_snapshot_is_saved_once_and_whole() {
    let etcd = Server::etcd();
    etcd.ok(&["put", "k", "v"]);
    let file = etcd.folder.path().join("backup.db");
    let path = file.to_str().unwrap();
    assert_eq!(
        etcd.ok(&["snapshot", "save", path]),
        format!("Snapshot saved at {path}\n")
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!etcd.folder.path().join("backup.db.part").exists());
    let columns = |status: &str| {
        status
            .trim_end()
            .split(", ")
            .take(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let ours = etcd.ok(&["snapshot", "status", path]);
    assert_eq!(columns(&ours), columns(&etcdctl(&["snapshot", "status", path])));

    let (code, message) = etcd.fails(&["snapshot", "save", path]);
    assert!(
        code == 2 && message.contains("exists already"),
        "{code} {message}"
    );
    // What an earlier one that was killed left behind is in nobody's way.
    let other = etcd.folder.path().join("other.db");
    fs::write(etcd.folder.path().join("other.db.part"), [0; 1 << 20]).unwrap();
    etcd.ok(&["snapshot", "save", other.to_str().unwrap()]);
    assert_eq!(
        fs::metadata(other).unwrap().len(),
        fs::metadata(&file).unwrap().len()
    );
}

#[test]
fn a_snapshot_that_fails_leaves_nothing() {
    let etcd = Server::etcd();
    let file = etcd.folder.path().join("backup.db");
    let nobody = free_url();
    let output = etcd.run(&[
        "--endpoints",
        &nobody,
        "--timeout",
        "0.3",
        "snapshot",
        "save",
        file.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(3));
    let nowhere = etcd.folder.path().join("missing/backup.db");
    assert_eq!(etcd.fails(&["snapshot", "save", nowhere.to_str().unwrap()]).0, 10);
    let left: Vec<_> = fs::read_dir(etcd.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["etcd"]);
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let etcd = Server::etcd();
    let file = etcd.folder.path().join("backup.db");
    let path = file.to_str().unwrap();
    etcd.ok(&["snapshot", "save", path]);
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&file, &bad).unwrap();
    let data_dir = etcd.folder.path().join("member");
    let restore = [
        "snapshot",
        "restore",
        path,
        "--data-dir",
        data_dir.to_str().unwrap(),
    ];
    for arguments in [&["snapshot", "status", path][..], &restore] {
        let (code, message) = etcd.fails(arguments);
        assert!(
            code == 10 && message.contains("does not match its checksum"),
            "{code} {message}"
        );
    }
    fs::write(&file, &good[..good.len() - 32]).unwrap();
    let (code, message) = etcd.fails(&restore);
    assert!(
        code == 2 && message.contains("--skip-hash-check"),
        "{code} {message}"
    );
    assert!(!data_dir.exists());
    etcd.ok(&[&restore[..], &["--skip-hash-check"]].concat());
    fs::write(&file, "hello").unwrap();
    let (code, message) = etcd.fails(&["snapshot", "status", path]);
    assert!(
        code == 2 && message.contains("is no etcd snapshot"),
        "{code} {message}"
    );
}

/// As `MemberConfig`s of the members that the restored folders are for.
fn config(data_dir: &std::path::Path, name: &str, list: &[(&str, &str)]) -> MemberConfig {
    let mut config = MemberConfig::new(data_dir);
    config.name = name.to_owned();
    config.heartbeat_interval_ms = 10;
    config.election_timeout_min_ms = 50;
    config.election_timeout_max_ms = 100;
    let members = list.iter().map(|(name, url)| InitialMember {
        name: (*name).to_owned(),
        peer_urls: vec![(*url).to_owned()],
    });
    let members: Vec<InitialMember> = members.collect();
    if let Some(own) = members.iter().find(|member| member.name == name) {
        config.peer_urls = own.peer_urls.clone();
        config.bootstrap = Bootstrap::New {
            members,
            token: "t".to_owned(),
        };
    }
    config
}

#[tokio::test]
async fn a_restored_member_has_what_etcd_had() {
    let etcd = Server::etcd();
    etcd.etcdctl(&["put", "k", "1"]);
    etcd.etcdctl(&["put", "k", "2"]);
    etcd.etcdctl(&["del", "gone"]);
    let granted = etcd.etcdctl(&["lease", "grant", "5000"]);
    let lease = granted.split_whitespace().nth(1).unwrap();
    etcd.etcdctl(&["put", "leased", "v", "--lease", lease]);
    let file = etcd.folder.path().join("backup.db");
    let path = file.to_str().unwrap();
    etcd.ok(&["snapshot", "save", path]);

    let data_dir = etcd.folder.path().join("member");
    let data = data_dir.to_str().unwrap();
    let url = "http://127.0.0.1:2380";
    let cluster = [
        "--name",
        "a",
        "--initial-cluster-token",
        "t",
        "--initial-cluster",
        &format!("a={url}"),
    ];
    let restore = [
        &["snapshot", "restore", path, "--data-dir", data, "--json"],
        &cluster[..],
    ]
    .concat();
    let restored = json(&etcd.ok(&restore));
    assert_eq!(
        (&restored["keys"], &restored["leases"], &restored["revision"]),
        (&2.into(), &1.into(), &4.into())
    );
    assert_eq!(etcd.fails(&restore).0, 2);

    let member = Member::open(config(&data_dir, "a", &[("a", url)])).await.unwrap();
    let state = member.state();
    assert_eq!(
        format!("{:x}", member.status().cluster_id),
        restored["cluster_id"]
    );
    assert_eq!(
        (state.revision(), state.get(b"k").unwrap().value()),
        (4, &b"2"[..])
    );
    assert_eq!(state.get(b"k").unwrap().version(), 2);
    let id = i64::from_str_radix(lease, 16).unwrap();
    assert_eq!(state.lease(id).unwrap().key_count(), 1);
    let put = Put {
        key: "new".into(),
        ..Put::default()
    };
    let applied = member
        .propose(Caller::default(), cfgstore_store::Command::Put(put))
        .await
        .unwrap();
    assert_eq!(applied.revision, 5);
    member.shutdown().await.unwrap();
}

#[test]
fn ids_are_those_that_etcdctl_computes() {
    let etcd = Server::etcd();
    let file = etcd.folder.path().join("backup.db");
    let path = file.to_str().unwrap();
    etcd.ok(&["snapshot", "save", path]);
    let list = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,b=http://127.0.0.1:3";
    let options = |data_dir: &std::path::Path| {
        [
            "--name",
            "b",
            "--initial-cluster",
            list,
            "--initial-cluster-token",
            "t",
        ]
        .into_iter()
        .chain([
            "--initial-advertise-peer-urls",
            "http://127.0.0.1:2,http://127.0.0.1:3",
            "--data-dir",
        ])
        .map(str::to_owned)
        .chain([data_dir.to_str().unwrap().to_owned()])
        .collect::<Vec<String>>()
    };
    let ours = etcd.folder.path().join("ours");
    let arguments = options(&ours);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let restored = json(&etcd.ok(&[&["--json", "snapshot", "restore", path], &arguments[..]].concat()));
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["snapshot", "restore", path])
        .args(options(&etcd.folder.path().join("theirs")))
        .output()
        .unwrap();
    let said = format!("{output:?}");
    assert!(output.status.success(), "{said}");
    for id in ["cluster_id", "member_id"] {
        assert!(said.contains(restored[id].as_str().unwrap()), "{restored} {said}");
    }

    let missing = etcd.fails(&["snapshot", "restore", path]);
    assert!(missing.0 == 2 && missing.1.contains("--data-dir"), "{missing:?}");
    let other = etcd.folder.path().join("other");
    let unlisted = etcd.fails(&[
        "snapshot",
        "restore",
        path,
        "--data-dir",
        other.to_str().unwrap(),
        "--name",
        "c",
        "--initial-cluster",
        list,
    ]);
    assert!(
        unlisted.0 == 2 && unlisted.1.contains("is not in the initial cluster"),
        "{unlisted:?}"
    );
    assert!(!other.exists());
}
