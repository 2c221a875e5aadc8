//! Debian's etcd and its etcdctl, ended with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Etcd {
    child: Child,
    pub endpoint: String,
    _folder: Option<TempDir>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Etcd {
    pub fn start() -> Etcd {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("etcd");
        Etcd::start_on(&data, Some(folder), &format!("http://127.0.0.1:{}", port()))
    }

    /// An etcd on what `etcdctl snapshot restore` makes of the file.
    pub fn restored(snapshot: &Path) -> Etcd {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("etcd");
        let peer = format!("http://127.0.0.1:{}", port());
        let restored = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .arg(snapshot)
            .args(["--name", "m", "--initial-cluster", &format!("m={peer}")])
            .args(["--initial-advertise-peer-urls", &peer, "--data-dir"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(restored.status.success(), "{restored:?}");
        Etcd::start_on(&data, Some(folder), &peer)
    }

    fn start_on(data: &Path, folder: Option<TempDir>, peer: &str) -> Etcd {
        let endpoint = format!("http://127.0.0.1:{}", port());
        let child = Command::new("etcd")
            .args([
                "--name",
                "m",
                "--log-level",
                "error",
                "--max-txn-ops",
                "10000",
                "--data-dir",
            ])
            .arg(data)
            .args([
                "--listen-client-urls",
                &endpoint,
                "--advertise-client-urls",
                &endpoint,
            ])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster", &format!("m={peer}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Debian's etcd-server");
        let etcd = Etcd {
            child,
            endpoint,
            _folder: folder,
        };
        let deadline = Instant::now() + PATIENCE;
        while !etcd.try_ctl(&["endpoint", "health"]).0 {
            assert!(Instant::now() < deadline, "etcd does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        etcd
    }

    fn try_ctl(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// What etcdctl prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let (success, output) = self.try_ctl(arguments);
        assert!(success, "etcdctl {arguments:?}: {output}");
        output
    }

    /// HashKV at a revision; 0: the current one. It covers every revision of every key up to it.
    pub fn hash_kv(&self, revision: i64) -> serde_json::Value {
        let revision = revision.to_string();
        let answer = self.ctl(&["endpoint", "hashkv", "--rev", &revision, "-w", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer[0]["HashKV"]["hash"].clone()
    }

    pub fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("etcd.db");
        self.ctl(&["snapshot", "save", path.to_str().unwrap()]);
        path
    }
}

/// What etcdctl says of a snapshot file.
pub fn status(snapshot: &Path) -> serde_json::Value {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["snapshot", "status", "-w", "json"])
        .arg(snapshot)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
