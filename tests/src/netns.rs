//! Network namespaces on one bridge: hosts of their own as far as the network goes, between which packets can be lost.
//! They need root.
//!
//! A direction between two of them is cut by a neighbour entry with a hardware address nobody has: packets leave and
//! arrive nowhere, as with a broken switch, so no side is told. It needs no packet filter in the kernel.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::is_root;

/// The hardware address that nobody has (locally administered).
const NOBODY: &str = "02:00:00:00:de:ad";

/// The nets of 256 addresses in 198.18.0.0/15.
const NETS: u32 = 1 << 9;

/// Bridges made by this process.
static BRIDGES: AtomicU32 = AtomicU32::new(0);

/// A bridge that this process and its namespaces are attached to. It goes with its last namespace's owner.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    /// The first three bytes of its /24.
    net: [u8; 3],
    namespaces: u8,
}

/// One namespace, with one interface on the bridge.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// Its interface's other end, on the bridge.
    outer: String,
    address: Ipv4Addr,
}

impl Bridge {
    /// A bridge with the address `.1` of a net of its own, inside the range set aside for benchmarks (198.18.0.0/15).
    /// What a killed test of an earlier run left behind is removed.
    ///
    /// # Panics
    /// When namespaces cannot be made here: not root, or no `ip` (package iproute2).
    pub fn new() -> Bridge {
        assert!(
            is_root(),
            "tests with network namespaces need root: run them as root, as `make test` in a container does"
        );
        remove_left_behind();
        let pid = std::process::id();
        let number = BRIDGES.fetch_add(1, Ordering::Relaxed);
        let first = pid.wrapping_mul(4).wrapping_add(number);
        let net = (0..NETS)
            .map(|step| first.wrapping_add(step) % NETS)
            .map(|low| [198, 18 + (low >> 8) as u8, low as u8])
            .find(|[a, b, c]| {
                ip(&["-4", "-o", "addr", "show", "to", &format!("{a}.{b}.{c}.0/24")]).is_empty()
            })
            .expect("a free net in 198.18.0.0/15");
        let bridge = Bridge {
            name: format!("cf{pid}-{number}"),
            net,
            namespaces: 0,
        };
        ip(&["link", "add", &bridge.name, "type", "bridge"]);
        let [a, b, c] = bridge.net;
        ip(&["addr", "add", &format!("{a}.{b}.{c}.1/24"), "dev", &bridge.name]);
        ip(&["link", "set", &bridge.name, "up"]);
        bridge
    }

    /// Another namespace on this bridge.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn namespace(&mut self) -> Namespace {
        let number = self.namespaces;
        self.namespaces += 1;
        let [a, b, c] = self.net;
        let namespace = Namespace {
            name: format!("{}-{number}", self.name),
            // At most 15 bytes, as all names of interfaces.
            outer: format!("{}v{number}", self.name),
            address: Ipv4Addr::new(a, b, c, 10 + number),
        };
        let name = namespace.name.as_str();
        ip(&["netns", "add", name]);
        let outer = namespace.outer.as_str();
        ip(&[
            "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name,
        ]);
        ip(&["link", "set", outer, "master", &self.name, "up"]);
        ip(&[
            "-n",
            name,
            "addr",
            "add",
            &format!("{}/24", namespace.address),
            "dev",
            "eth0",
        ]);
        ip(&["-n", name, "link", "set", "eth0", "up"]);
        ip(&["-n", name, "link", "set", "lo", "up"]);
        namespace
    }
}

impl Default for Bridge {
    fn default() -> Bridge {
        Bridge::new()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.name]).output();
    }
}

impl Namespace {
    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// `program`, to run inside; the process is the program itself.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Loses every packet from here to `other` from now on.
    pub fn cut_to(&self, other: &Namespace) {
        let address = other.address.to_string();
        ip(&[
            "-n",
            &self.name,
            "neigh",
            "replace",
            &address,
            "lladdr",
            NOBODY,
            "dev",
            "eth0",
            "nud",
            "permanent",
        ]);
    }

    /// Lets packets through to `other` again.
    pub fn heal_to(&self, other: &Namespace) {
        let address = other.address.to_string();
        // Not there when nothing was cut.
        let _ = Command::new("ip")
            .args(["-n", &self.name, "neigh", "del", &address, "dev", "eth0"])
            .output();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The kernel keeps a namespace, and so its interface, until the last connection that ended in it is forgotten.
        let _ = Command::new("ip").args(["link", "del", &self.outer]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Removes bridges and namespaces of test processes that are gone.
fn remove_left_behind() {
    let gone = |name: &str| {
        let pid = name.strip_prefix("cf").and_then(|rest| rest.split('-').next());
        let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
        pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    };
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if gone(&name) {
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
    for entry in std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if gone(&name) {
            let _ = Command::new("ip").args(["link", "del", &name]).output();
        }
    }
}

/// Runs `ip`, and returns what it printed.
///
/// # Panics
/// When it fails, with what it printed.
fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run `ip` ({error}): install iproute2, as `make setup-test` does")
        });
    assert!(
        output.status.success(),
        "network namespaces do not work here: `ip {}`: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
