//! A port for a server that a test starts. Test programs of other packages include this file, as they share no library.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives to outgoing connections, which would take a port between its choice and its use, or
/// between the end of a server and its restart.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that nobody listens on, and that no other call in any test process gets as long as this process lives.
pub fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes begin in different places, so that they rarely try the same.
    let first = (std::process::id().wrapping_mul(97) % u32::from(count)) as u16;
    for _ in 0..count {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + ((u32::from(first) + u32::from(tried)) % u32::from(count)) as u16;
        // An abstract name is a lock that ends with the process, however it ends.
        let name =
            SocketAddr::from_abstract_name(format!("cfgstore-test-port-{port}")).expect("a short name");
        if let Ok(reservation) = UnixListener::bind_addr(&name)
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            std::mem::forget(reservation);
            return port;
        }
    }
    panic!("no free port among {PORTS:?}");
}
