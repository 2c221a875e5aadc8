//! What the tests share: a real etcd, or members of cfgstored, and a proxy that breaks connections on purpose.

#![allow(dead_code, reason = "each test uses a part")]

#[path = "../../../../tests/src/free_port.rs"]
mod free_port;
pub mod proxy;
pub mod scripted;
pub mod worker;

use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cfgstore_client::blocking::{self, Mode};
use cfgstore_client::{Address, Options};
pub use free_port::free_port;
use tempfile::TempDir;

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Names a `cfgstored` to run these tests against instead …
const OTHER_SERVER: &str = "CFGSTORE_TEST_CFGSTORED";
/// … and of how many members; default: one.
const MEMBERS: &str = "CFGSTORE_TEST_MEMBERS";

/// Debian's etcd, or the servers that the environment asks for, on free loopback ports, in folders that go with them.
pub struct Etcd {
    members: Vec<Member>,
    folder: TempDir,
}

struct Member {
    child: Child,
    client_port: u16,
    peer_port: u16,
}

impl Etcd {
    pub fn start() -> Etcd {
        let count = std::env::var(MEMBERS).map_or(1, |count| count.parse().expect("a number of members"));
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let member = |index: usize| Member {
            child: spawn(&folder, &ports, index),
            client_port: ports[index].0,
            peer_port: ports[index].1,
        };
        let members = (0..count).map(member).collect();
        let etcd = Etcd { members, folder };
        etcd.wait_until_serving();
        etcd
    }

    /// One member's port.
    pub fn port(&self) -> u16 {
        self.members[0].client_port
    }

    /// All members' ports.
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.client_port).collect()
    }

    pub fn options(&self) -> Options {
        options_for(&self.ports())
    }

    pub fn client(&self, mode: Mode) -> blocking::Client {
        blocking::Client::new(self.options(), mode).unwrap()
    }

    /// SIGKILL, to all members.
    pub fn kill(&mut self) {
        self.members.iter_mut().for_each(Member::kill);
    }

    /// Again on the same ports and data.
    pub fn restart(&mut self) {
        (0..self.members.len()).for_each(|index| self.run(index));
        self.wait_until_serving();
    }

    /// SIGKILL to one member while the others go on; returns its index. Where there is only one, it comes back at once.
    pub fn lose(&mut self, nth: usize) -> usize {
        let index = nth % self.members.len();
        self.members[index].kill();
        if self.members.len() == 1 {
            self.run(index);
        }
        index
    }

    /// Brings a member back that was lost, if it is not there already.
    pub fn bring_back(&mut self, index: usize) {
        if self.members.len() > 1 {
            self.run(index);
        }
        self.wait_until_serving();
    }

    fn run(&mut self, index: usize) {
        let ports: Vec<(u16, u16)> = (self.members.iter())
            .map(|member| (member.client_port, member.peer_port))
            .collect();
        self.members[index].child = spawn(&self.folder, &ports, index);
    }

    fn wait_until_serving(&self) {
        for member in &self.members {
            let client = blocking::Client::new(options_for(&[member.client_port]), Mode::NoThread).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = client.get("x") {
                assert!(Instant::now() < deadline, "{error}\n{}", self.logs());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// What the members said.
    fn logs(&self) -> String {
        let log = |index: usize| {
            let text = std::fs::read_to_string(log_file(&self.folder, index)).unwrap_or_default();
            format!("member {index}:\n{text}")
        };
        (0..self.members.len()).map(log).collect()
    }
}

impl Member {
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

fn log_file(folder: &TempDir, index: usize) -> PathBuf {
    folder.path().join(format!("m{index}.log"))
}

/// Member `index` of those with these ports for clients and peers. etcd and cfgstored take the same flags.
fn spawn(folder: &TempDir, ports: &[(u16, u16)], index: usize) -> Child {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let (client, peer) = (url(ports[index].0), url(ports[index].1));
    let (program, needed) = match std::env::var_os(OTHER_SERVER) {
        Some(cfgstored) => (cfgstored, "the cfgstored to be tested"),
        None => ("etcd".into(), "Debian's etcd-server"),
    };
    let members: Vec<String> = (ports.iter().enumerate())
        .map(|(index, ports)| format!("m{index}={}", url(ports.1)))
        .collect();
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(folder, index))
        .unwrap();
    let mut command = Command::new(program);
    command
        .args(["--name", &format!("m{index}"), "--data-dir"])
        .arg(folder.path().join(format!("m{index}")))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &members.join(",")])
        .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
        .args(["--log-level", "warn"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("these tests need {needed}: {error}"))
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
