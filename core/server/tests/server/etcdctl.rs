//! The stock etcdctl, as Debian ships it (3.4), against `cfgstored`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::binary::Process;

struct Etcdctl(String);

impl Etcdctl {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(&self.0)
            .args(arguments);
        command
    }

    /// Runs one command and answers its output, trimmed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.run_with_input(arguments, "")
    }

    #[track_caller]
    fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts a command that goes on, and reads its lines.
    fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }
}

struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn interrupt(&mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What can't run proves nothing, so without it the tests fail.
fn require_etcdctl() {
    let version = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .arg("version")
        .output();
    assert!(
        version.is_ok_and(|output| output.status.success()),
        "etcdctl is not installed: `make setup-test` installs it (Debian's package is etcd-client)"
    );
}

/// A server, an etcdctl for its TCP port, and one for its socket.
fn start() -> (tempfile::TempDir, Process, Etcdctl, Etcdctl) {
    require_etcdctl();
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(&dir, &["--listen-client-urls", "http://127.0.0.1:0"]);
    let tcp = Etcdctl(process.url().to_owned());
    let socket = Etcdctl(format!(
        "unix://{}",
        dir.path().join("data/cfgstore.sock").display()
    ));
    (dir, process, tcp, socket)
}

#[test]
fn a_schema_refuses_a_put() {
    let (_dir, process, ctl, socket) = start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let schema = cfgstore_client::BoundSchema {
            pattern: "db/*".to_owned(),
            schema: r#"{"required": ["password"]}"#.into(),
            sealed: false,
        };
        let client = crate::members::client(process.url());
        client.bind_schema(&schema, false).await.unwrap();
    });
    for ctl in [&ctl, &socket] {
        let told = ctl.fails(&["put", "db/a", r#"{"user": "x"}"#]);
        assert!(told.contains("cfgstore: db/a: /password is required"), "{told}");
    }
    // The whole transaction.
    let mut child = ctl
        .command(&["txn"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"\nput free 1\nput db/a {}\n\n\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/password is required"));
    assert_eq!(ctl.run(&["get", "", "--prefix"]), "");
    assert_eq!(ctl.run(&["put", "db/a", r#"{"password": "x"}"#]), "OK");
}

#[test]
fn put_get_del() {
    let (_dir, _process, ctl, _) = start();
    for (key, value) in [("app/a", "1"), ("app/b", "3"), ("app/c", "2"), ("other", "x")] {
        assert_eq!(ctl.run(&["put", key, value]), "OK");
    }
    assert_eq!(ctl.run(&["put", "app/a", "one", "--prev-kv"]), "OK\napp/a\n1");
    assert_eq!(ctl.run(&["get", "app/a"]), "app/a\none");
    assert_eq!(
        ctl.run(&["get", "app/", "--prefix", "--keys-only"]),
        "app/a\n\napp/b\n\napp/c"
    );
    assert_eq!(ctl.run(&["get", "app/a", "--rev=2", "--print-value-only"]), "1");
    let sorted = [
        "get",
        "app/",
        "--prefix",
        "--sort-by=value",
        "--order=descend",
        "--limit=2",
        "--print-value-only",
    ];
    assert_eq!(ctl.run(&sorted), "one\n3");
    assert_eq!(ctl.run(&["get", "app/b", "other", "--print-value-only"]), "3\n2");
    assert_eq!(
        ctl.run(&["get", "app/b", "--from-key", "--keys-only"]),
        "app/b\n\napp/c\n\nother"
    );
    assert_eq!(ctl.run(&["del", "app/a", "--prev-kv"]), "1\napp/a\none");
    assert_eq!(ctl.run(&["del", "app/", "--prefix"]), "2");
    assert_eq!(ctl.run(&["get", "app/", "--prefix"]), "");
    assert_eq!(ctl.run(&["compaction", "5"]), "compacted revision 5");
    assert!(
        ctl.fails(&["get", "app/a", "--rev=3"])
            .contains("required revision has been compacted")
    );
    assert!(
        ctl.fails(&["get", "app/a", "--rev=99"])
            .contains("required revision is a future revision")
    );
}

#[test]
fn transactions() {
    let (_dir, _process, ctl, _) = start();
    ctl.run(&["put", "k", "1"]);
    let txn = "value(\"k\") = \"1\"\nmod(\"k\") > \"0\"\n\nput k 2\nget k\n\nput k 9\n\n";
    assert_eq!(ctl.run_with_input(&["txn"], txn), "SUCCESS\n\nOK\n\nk\n2");
    assert_eq!(ctl.run_with_input(&["txn"], txn), "FAILURE\n\nOK");
    assert_eq!(ctl.run(&["get", "k", "--print-value-only"]), "9");
}

#[test]
fn watches() {
    let (_dir, _process, ctl, _) = start();
    ctl.run(&["put", "k/1", "a"]);
    let mut watch = ctl.start(&["watch", "k/", "--prefix", "--rev=1", "--prev-kv"]);
    for line in ["PUT", "k/1", "a"] {
        assert_eq!(watch.line(), line);
    }
    ctl.run(&["put", "k/1", "b"]);
    for line in ["PUT", "k/1", "a", "k/1", "b"] {
        assert_eq!(watch.line(), line);
    }
    ctl.run(&["del", "k/1"]);
    for line in ["DELETE", "k/1", "b", "k/1", ""] {
        assert_eq!(watch.line(), line);
    }
}

#[test]
fn leases() {
    let (_dir, _process, ctl, _) = start();
    let granted = ctl.run(&["lease", "grant", "60"]);
    let lease = granted.split(' ').nth(1).unwrap();
    assert_eq!(granted, format!("lease {lease} granted with TTL(60s)"));
    ctl.run(&["put", "k", "v", "--lease", lease]);
    assert_eq!(
        ctl.run(&["lease", "keep-alive", "--once", lease]),
        format!("lease {lease} keepalived with TTL(60)")
    );
    let alive = ctl.run(&["lease", "timetolive", lease, "--keys"]);
    assert!(
        alive.starts_with(&format!("lease {lease} granted with TTL(60s), remaining(")),
        "{alive}"
    );
    assert!(alive.ends_with("attached keys([k])"), "{alive}");
    assert_eq!(ctl.run(&["lease", "list"]), format!("found 1 leases\n{lease}"));
    assert_eq!(
        ctl.run(&["lease", "revoke", lease]),
        format!("lease {lease} revoked")
    );
    assert_eq!(ctl.run(&["get", "k"]), "");
    assert_eq!(
        ctl.run(&["lease", "timetolive", lease]),
        format!("lease {lease} already expired")
    );
    assert!(
        ctl.fails(&["lease", "revoke", lease])
            .contains("requested lease not found")
    );
}

#[test]
fn locks() {
    let (_dir, _process, ctl, _) = start();
    let mut first = ctl.start(&["lock", "deploy"]);
    assert!(first.line().starts_with("deploy/"));
    let mut second = ctl.start(&["lock", "deploy"]);
    let queued = || {
        ctl.run(&["get", "deploy/", "--prefix", "--keys-only"])
            .lines()
            .filter(|line| !line.is_empty())
            .count()
    };
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while queued() < 2 {
        assert!(std::time::Instant::now() < give_up);
    }
    first.interrupt();
    assert!(second.line().starts_with("deploy/"));
    second.interrupt();
    assert_eq!(queued(), 0);
}

#[test]
fn the_server_itself() {
    let (_dir, _process, ctl, _) = start();
    ctl.run(&["endpoint", "health"]);
    let status = ctl.run(&["endpoint", "status"]);
    assert!(status.contains(&ctl.0) && status.contains("true"), "{status}");
    assert!(ctl.run(&["member", "list"]).contains("started"));
}

#[test]
fn what_operators_ask_for() {
    let (dir, _process, ctl, _) = start();
    ctl.run(&["put", "k", "v"]);
    assert_eq!(ctl.run(&["alarm", "list"]), "");
    assert_eq!(ctl.run(&["alarm", "disarm"]), "");
    assert!(ctl.run(&["defrag"]).contains("Finished defragmenting"));
    let hash = ctl.run(&["endpoint", "hashkv"]);
    let number = hash.split(", ").nth(1).unwrap();
    assert!(number.parse::<u32>().is_ok(), "{hash}");
    assert!(
        ctl.fails(&["user", "get", "root"])
            .contains("etcdserver: user name not found")
    );
    assert_eq!(ctl.run(&["role", "list"]), "");

    let file = dir.path().join("backup.db").display().to_string();
    assert!(ctl.run(&["snapshot", "save", &file]).contains("Snapshot saved"));
    let status = ctl.run(&["snapshot", "status", &file]);
    assert_eq!(status.split(", ").nth(1), Some("2"), "{status}");
}

#[test]
fn elections() {
    let (_dir, _process, ctl, _) = start();
    let mut listening = ctl.start(&["elect", "--listen", "boss"]);
    let mut first = ctl.start(&["elect", "boss", "one"]);
    assert!(first.line().starts_with("boss/"));
    assert_eq!(first.line(), "one");
    assert!(listening.line().starts_with("boss/"));
    assert_eq!(listening.line(), "one");
    first.interrupt();
    let mut second = ctl.start(&["elect", "boss", "two"]);
    assert!(second.line().starts_with("boss/"));
    assert!(listening.line().starts_with("boss/"));
    assert_eq!(listening.line(), "two");
    second.interrupt();
}

#[test]
fn over_the_socket() {
    let (_dir, _process, _, ctl) = start();
    assert_eq!(ctl.run(&["put", "k", "v"]), "OK");
    assert_eq!(ctl.run(&["get", "k", "--print-value-only"]), "v");
    ctl.run(&["endpoint", "status"]);
}
