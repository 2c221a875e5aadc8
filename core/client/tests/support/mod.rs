//! What the tests share: a real etcd, and a proxy that breaks connections on purpose.

#![allow(dead_code, reason = "each test uses a part")]

pub mod proxy;
pub mod scripted;
pub mod worker;

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cfgstore_client::blocking::{self, Mode};
use cfgstore_client::{Address, Options};
use tempfile::TempDir;

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Names a `cfgstored` to run these tests against instead.
const OTHER_SERVER: &str = "CFGSTORE_TEST_CFGSTORED";

/// Debian's etcd, one member, on free loopback ports, in a folder that goes with it.
pub struct Etcd {
    child: Child,
    folder: TempDir,
    client_port: u16,
    peer_port: u16,
}

impl Etcd {
    pub fn start() -> Etcd {
        let folder = tempfile::tempdir().unwrap();
        let (client_port, peer_port) = (free_port(), free_port());
        let child = spawn(&folder, client_port, peer_port);
        let etcd = Etcd {
            child,
            folder,
            client_port,
            peer_port,
        };
        etcd.wait_until_serving();
        etcd
    }

    pub fn port(&self) -> u16 {
        self.client_port
    }

    pub fn options(&self) -> Options {
        options_for(&[self.client_port])
    }

    pub fn client(&self, mode: Mode) -> blocking::Client {
        blocking::Client::new(self.options(), mode).unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again on the same ports and data.
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, self.client_port, self.peer_port);
        self.wait_until_serving();
    }

    fn wait_until_serving(&self) {
        let client = self.client(Mode::NoThread);
        wait_until("etcd serves", || client.get("x").is_ok());
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir, client_port: u16, peer_port: u16) -> Child {
    if let Some(cfgstored) = std::env::var_os(OTHER_SERVER) {
        return Command::new(cfgstored)
            .arg("--data-dir")
            .arg(folder.path().join("cfgstored"))
            .args(["--listen-client-urls", &format!("http://127.0.0.1:{client_port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    }
    let (client, peer) = (
        format!("http://127.0.0.1:{client_port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    Command::new("etcd")
        .args(["--name", "m", "--data-dir"])
        .arg(folder.path().join("etcd"))
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("m={peer}")])
        .args([
            "--heartbeat-interval",
            "20",
            "--election-timeout",
            "200",
            "--log-level",
            "error",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need Debian's etcd-server")
}

pub fn options_for(ports: &[u16]) -> Options {
    let address = ports
        .iter()
        .map(|port| format!("http://127.0.0.1:{port}"))
        .collect::<Vec<_>>()
        .join(",");
    Options {
        address: Address::parse(&address).unwrap(),
        autostart: false,
        ..Options::default()
    }
}

/// Nobody listens there now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether reading `fd` would not block within `timeout`.
pub fn is_readable(fd: std::os::fd::BorrowedFd<'_>, timeout: Duration) -> bool {
    use std::os::fd::AsRawFd;
    let mut polled = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid `pollfd`.
    unsafe { libc::poll(&mut polled, 1, timeout.as_millis() as i32) > 0 }
}

/// The path of a file beside a fresh folder's.
pub fn socket_in(folder: &TempDir) -> PathBuf {
    folder.path().join("cfgstore.sock")
}

pub fn connects(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
