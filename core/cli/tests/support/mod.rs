//! `cfgctl` against Debian's etcd, which ends with its test.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Etcd {
    child: Child,
    pub endpoint: String,
    pub folder: TempDir,
}

impl Etcd {
    pub fn start() -> Etcd {
        let folder = tempfile::tempdir().unwrap();
        Etcd::start_on(folder, &free_url())
    }

    /// The data folder is `etcd` in `folder`.
    pub fn start_on(folder: TempDir, peer: &str) -> Etcd {
        let endpoint = free_url();
        let child = Command::new("etcd")
            .args(["--name", "m", "--log-level", "error", "--data-dir"])
            .arg(folder.path().join("etcd"))
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
            folder,
        };
        wait_until("etcd serves", || {
            etcd.run(&["get", "--prefix", "", "--timeout", "0.2"])
                .status
                .success()
        });
        etcd
    }

    /// Debian's etcdctl on it.
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        etcdctl(&[&["--endpoints", &self.endpoint], arguments].concat())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfgctl"));
        command
            .args(arguments)
            .env("CFGSTORE_ENDPOINTS", &self.endpoint)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its exit code and what it said.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert!(output.stdout.is_empty(), "{output:?}");
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    pub fn with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Started, and its output line by line.
    pub fn start_reading(&self, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        (child, output)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on which nothing listens.
pub fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port())
}

/// Debian's etcdctl.
pub fn etcdctl(arguments: &[&str]) -> String {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn signal(name: &str, process: &Child) {
    assert!(
        Command::new("kill")
            .args([name, &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}
