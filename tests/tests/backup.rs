//! The commands of docs/backup.md, as they stand there: only addresses and folders are those of this test.

use std::path::Path;
use std::process::{Command, Stdio};

use cfgstore_tests::{Cluster, Kind, build_folder};

const GUIDE: &str = include_str!("../../docs/backup.md");

/// The commands under `<!-- run: name -->`.
fn documented(name: &str) -> &'static str {
    let (_, after) = GUIDE
        .split_once(&format!("<!-- run: {name} -->\n```sh\n"))
        .unwrap_or_else(|| panic!("docs/backup.md has no commands named {name}"));
    after.split_once("\n```").expect("the end of the commands").0
}

/// A host with `cfgctl` and a working folder, and what stands in the guide for what is here.
struct Host {
    folder: tempfile::TempDir,
    stands_for: Vec<(String, String)>,
}

impl Host {
    /// The cluster's members are m1 at 10.0.0.1, and so on.
    fn of(cluster: &Cluster) -> Host {
        let folder = tempfile::tempdir().unwrap();
        let mut stands_for = vec![
            (
                "--initial-cluster-token restored-1".to_owned(),
                format!("--initial-cluster-token {}", cluster.token()),
            ),
            (
                "/var/backups/cfgstore".to_owned(),
                folder.path().display().to_string(),
            ),
        ];
        for index in cluster.present() {
            let (member, number) = (cluster.member(index), index + 1);
            stands_for.extend([
                (
                    format!("--data-dir /var/lib/cfgstore/m{number}"),
                    format!("--data-dir {}", member.data_dir().display()),
                ),
                (format!("--name m{number} "), format!("--name {} ", member.name())),
                (format!("m{number}=http"), format!("{}=http", member.name())),
                (
                    format!("http://10.0.0.{number}:2380"),
                    member.peer_url().to_owned(),
                ),
                (
                    format!("http://10.0.0.{number}:2379"),
                    member.client_url().to_owned(),
                ),
            ]);
        }
        Host { folder, stands_for }
    }

    fn with(mut self, stands: &str, for_: &str) -> Host {
        self.stands_for.push((stands.to_owned(), for_.to_owned()));
        self
    }

    /// Runs commands of the guide; returns what they printed.
    fn run(&self, name: &str) -> String {
        self.run_changed(documented(name))
    }

    fn run_changed(&self, commands: &str) -> String {
        let mut script = commands.to_owned();
        for (stands, for_) in &self.stands_for {
            script = script.replace(stands, for_);
        }
        assert!(!script.contains("10.0.") && !script.contains("/var/"), "{script}");
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-euc", &script])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", build_folder().display()))
            .env("ETCDCTL_API", "3")
            .env_remove("CFGSTORE_ENDPOINTS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// For the member with this index, what the guide says for the first.
fn for_member(commands: &str, index: usize) -> String {
    let number = index + 1;
    commands
        .replace("--name m1 ", &format!("--name m{number} "))
        .replace("/var/lib/cfgstore/m1", &format!("/var/lib/cfgstore/m{number}"))
        .replace(
            "--initial-advertise-peer-urls http://10.0.0.1:",
            &format!("--initial-advertise-peer-urls http://10.0.0.{number}:"),
        )
}

fn start_all(cluster: &mut Cluster) {
    for index in cluster.present() {
        cluster.start_member(index);
    }
    for index in cluster.present() {
        cluster.wait_serving(index);
    }
}

/// Everything, at every revision that is asked for: keys, values, all numbers.
fn everything(cluster: &Cluster, revision: &str) -> serde_json::Value {
    let got = cluster.etcdctl(&["get", "--prefix", "", "--rev", revision, "-w", "json"]);
    serde_json::from_str::<serde_json::Value>(&got).unwrap()["kvs"].clone()
}

fn fill(etcd: &Cluster) -> String {
    let granted = etcd.etcdctl(&["lease", "grant", "5000"]);
    let lease = granted.split_whitespace().nth(1).unwrap().to_owned();
    etcd.etcdctl(&["put", "app/leased", "v", "--lease", &lease]);
    for value in ["1", "2", "3"] {
        etcd.etcdctl(&["put", "app/often", value]);
        etcd.etcdctl(&["put", "gone", value]);
        etcd.etcdctl(&["del", "gone"]);
    }
    lease
}

fn hashes(hashkv: &str) -> Vec<&str> {
    hashkv
        .lines()
        .filter_map(|line| line.split_once(", "))
        .filter_map(|(_, hash)| hash.parse::<u32>().is_ok().then_some(hash))
        .collect()
}

/// From etcd to a cluster of three, with all its history, and back to etcd.
#[test]
fn a_cluster_is_restored_from_etcd_and_goes_back() {
    let etcd = Cluster::start(1, Kind::Etcd);
    let lease = fill(&etcd);
    let from_etcd = Host::of(&etcd);
    let said = from_etcd.run("save");
    assert!(
        said.starts_with("Snapshot saved at backup.db\n") && said.contains(", 11, "),
        "{said}"
    );

    let mut cluster = Cluster::not_started(3, Kind::Cfgstored, &[], None);
    let host = Host::of(&cluster);
    copy(&from_etcd, &host, "backup.db");
    for index in 0..3 {
        let said = host.run_changed(&for_member(documented("restore"), index));
        assert!(said.contains("2 keys at revision 11"), "{said}");
    }
    start_all(&mut cluster);
    for revision in ["5", "8", "11"] {
        assert_eq!(
            everything(&cluster, revision),
            everything(&etcd, revision),
            "at {revision}"
        );
    }
    let left = cluster.etcdctl(&["lease", "timetolive", &lease, "--keys"]);
    assert!(
        left.contains("granted with TTL(5000s)") && left.contains("[app/leased]"),
        "{left}"
    );
    let looked = host.run("look");
    assert_eq!(looked.matches(" is healthy: ").count(), 3, "{looked}");
    let hashes = hashes(&looked);
    assert!(
        hashes.len() == 3 && hashes.iter().all(|hash| *hash == hashes[0]),
        "{looked}"
    );

    cluster.etcdctl(&["put", "new", "n"]);
    let back = Cluster::not_started(1, Kind::Etcd, &[], None);
    let peer = back.member(0).peer_url();
    let data_dir = back.member(0).data_dir();
    let host = host
        .with("--name e1 ", &format!("--name {} ", back.member(0).name()))
        .with("/var/lib/etcd/e1", data_dir.to_str().unwrap())
        .with("e1=http", &format!("{}=http", back.member(0).name()))
        .with("http://10.0.1.1:2380", peer)
        .with("from-cfgstore", back.token());
    host.run("back");
    let mut back = back;
    start_all(&mut back);
    for revision in ["5", "11", "12"] {
        assert_eq!(
            everything(&back, revision),
            everything(&cluster, revision),
            "at {revision}"
        );
    }
}

/// Keys are copied from a running etcd, then from a file; backups are made on a schedule.
#[test]
fn keys_are_copied_into_a_running_cluster() {
    let etcd = Cluster::start(1, Kind::Etcd);
    let lease = fill(&etcd);
    let cluster = Cluster::start(1, Kind::Cfgstored);
    let host = Host::of(&cluster).with("http://etcd.example:2379", etcd.member(0).client_url());
    let said = host.run("migrate");
    assert!(
        said.contains("would copy 2 keys and 1 leases") && said.contains("\ncopied 2 keys and 1 leases"),
        "{said}"
    );
    assert_eq!(
        cluster.etcdctl(&["get", "--prefix", ""]),
        etcd.etcdctl(&["get", "--prefix", ""])
    );
    assert!(
        cluster
            .etcdctl(&["lease", "timetolive", &lease, "--keys"])
            .contains("[app/leased]")
    );

    host.run("schedule");
    let saved = Path::new(host.folder.path())
        .read_dir()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_eq!(saved.extension().unwrap(), "db");
    cluster.etcdctl(&["del", "app/often"]);
    std::fs::rename(saved, host.folder.path().join("backup.db")).unwrap();
    let said = host.run("migrate-file");
    assert!(said.starts_with("copied 1 keys"), "{said}");
    assert_eq!(
        cluster.etcdctl(&["get", "--prefix", ""]),
        etcd.etcdctl(&["get", "--prefix", ""])
    );
}

fn copy(from: &Host, to: &Host, name: &str) {
    std::fs::copy(from.folder.path().join(name), to.folder.path().join(name)).unwrap();
}
