//! Ports for servers that cannot be told to pick one, as each member must know the others' before it starts.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rand::Rng;

/// Below the range the kernel takes the ports of outgoing connections from, so that no connection occupies the port
/// of a member while that is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A free port on 127.0.0.1, kept from other users of this type, in any process, until it is dropped. An abstract
/// unix socket of its name is what keeps it, which ends with the process.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _kept: UnixDatagram,
}

impl Port {
    /// A port nobody listens on.
    ///
    /// # Panics
    /// When none is found in 1,000 tries.
    pub fn free() -> Port {
        let mut random = rand::rng();
        for _ in 0..1_000 {
            let number = random.random_range(PORTS);
            let name =
                SocketAddr::from_abstract_name(format!("cfgstore-test-port-{number}")).expect("a short name");
            let Ok(kept) = UnixDatagram::bind_addr(&name) else {
                continue;
            };
            if std::net::TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Port { number, _kept: kept };
            }
        }
        panic!(
            "no free port in 1,000 tries between {} and {}",
            PORTS.start, PORTS.end
        );
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
