//! A server for `cfgctl` to talk to, which ends with its test: Debian's etcd, or the `cfgstored` of this build.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// One running server, and `cfgctl` for it.
pub struct Server {
    child: Child,
    pub endpoint: String,
    pub folder: TempDir,
}

impl Server {
    /// Debian's etcd.
    pub fn etcd() -> Server {
        Server::etcd_on(tempfile::tempdir().unwrap(), &free_url())
    }

    /// Debian's etcd, with the data folder `etcd` in `folder`.
    pub fn etcd_on(folder: TempDir, peer: &str) -> Server {
        let endpoint = free_url();
        let mut command = Command::new("etcd");
        command
            .args(["--name", "m", "--log-level", "error", "--data-dir"])
            .arg(folder.path().join("etcd"))
            .args(["--listen-client-urls", &endpoint])
            .args(["--advertise-client-urls", &endpoint])
            .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster", &format!("m={peer}")])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"]);
        Server::start(command, folder, endpoint)
    }

    /// A `cfgstored` that serves on TCP, as a member does.
    pub fn cfgstored() -> Server {
        Server::cfgstored_in(tempfile::tempdir().unwrap(), &free_url())
    }

    /// The same, with more flags.
    pub fn cfgstored_with(flags: &[&str]) -> Server {
        let (folder, endpoint) = (tempfile::tempdir().unwrap(), free_url());
        let mut command = cfgstored_on(&folder);
        command.args(["--listen-client-urls", &endpoint]).args(flags);
        Server::start(command, folder, endpoint)
    }

    /// As `cfgstored`, with the data folder `store` in `folder`.
    pub fn cfgstored_in(folder: TempDir, endpoint: &str) -> Server {
        let endpoint = endpoint.to_owned();
        let mut command = cfgstored_on(&folder);
        command.args(["--listen-client-urls", &endpoint]);
        Server::start(command, folder, endpoint)
    }

    /// The embedded default: a `cfgstored` without flags, by its socket.
    pub fn embedded() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = format!("unix://{}", folder.path().join("store/cfgstore.sock").display());
        Server::start(cfgstored_on(&folder), folder, endpoint)
    }

    fn start(mut command: Command, folder: TempDir, endpoint: String) -> Server {
        for (name, _) in std::env::vars_os() {
            // They are flags of both servers.
            if name.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(name);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: {command:?}: install Debian's etcd-server"));
        let server = Server {
            child,
            endpoint,
            folder,
        };
        wait_until("the server serves", || {
            server
                .run(&["get", "--prefix", "", "--timeout", "0.2"])
                .status
                .success()
        });
        server
    }

    /// Ends a `cfgstored` hard, and starts it anew on the same data and address.
    pub fn restart_cfgstored(&mut self) {
        self.end();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let endpoint = self.endpoint.clone();
        *self = Server::cfgstored_in(folder, &endpoint);
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

impl Server {
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        // A cfgstored's mirror is outside its folder, where this link leads.
        if let Ok(mirror) = std::fs::read_link(self.folder.path().join("store/mirror")) {
            let _ = std::fs::remove_dir_all(mirror);
        }
    }
}

/// The `cfgstored` that was built along with `cfgctl`, with the data folder `store` in `folder`.
fn cfgstored_on(folder: &TempDir) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_cfgctl")).with_file_name("cfgstored");
    assert!(
        program.exists(),
        "these tests need {}: run `cargo build -p cfgstore-server` first, or test the whole workspace",
        program.display()
    );
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder.path().join("store"));
    command
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
