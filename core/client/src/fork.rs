//! What a forked child must know: that it is one, and that inherited connections are not its own.
//!
//! A child shares the sockets of its parent. If it keeps them open, a server does not notice the parent's death,
//! and a lock stays held by nobody; if it talks on them, it breaks the parent's calls. So every socket is
//! listed here, and a handler closes the child's copies right after the fork.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::sys;

/// Forks seen by the handler in this process's line of descent.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// Sockets of this process. More than fit here are inherited by children until they exec or exit.
static SOCKETS: [AtomicI32; 1024] = [const { AtomicI32::new(NONE) }; 1024];

const NONE: i32 = -1;

/// Which process this is. The process id alone could be used again; the epoch alone misses a raw `clone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    epoch: u32,
    process: u32,
}

impl Identity {
    pub fn current() -> Identity {
        Identity {
            epoch: EPOCH.load(Ordering::Relaxed),
            process: std::process::id(),
        }
    }
}

/// Runs in a child right after the fork. Async-signal-safe: atomics and close(2).
extern "C" fn after_fork_in_child() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
    for slot in &SOCKETS {
        let fd = slot.swap(NONE, Ordering::Relaxed);
        if fd != NONE {
            sys::close(fd);
        }
    }
}

fn watch_for_forks() {
    static ONCE: Once = Once::new();
    // Without memory for the handler, children still see a new process id.
    ONCE.call_once(|| drop(sys::on_fork_in_child(after_fork_in_child)));
}

/// Lists a socket owned by someone else, from now until it is dropped, which must come before the close.
#[derive(Debug)]
pub(crate) struct Listed {
    slot: Option<usize>,
    owner: Identity,
}

impl Listed {
    pub fn new(fd: RawFd) -> Listed {
        watch_for_forks();
        let slot = SOCKETS.iter().position(|slot| {
            slot.compare_exchange(NONE, fd, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        Listed {
            slot,
            owner: Identity::current(),
        }
    }

    /// Whether this process made it, so that the descriptor is still what it was.
    fn is_own(&self) -> bool {
        self.owner == Identity::current()
    }
}

impl Listed {
    fn remove(&mut self) {
        if let (true, Some(slot)) = (self.is_own(), self.slot.take()) {
            SOCKETS[slot].store(NONE, Ordering::Relaxed);
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A second descriptor of a connection's socket, to wait on and to end it with.
#[derive(Debug)]
pub(crate) struct SocketFd {
    listed: Listed,
    /// Taken only by `drop`.
    fd: Option<OwnedFd>,
}

impl SocketFd {
    pub fn duplicate(socket: BorrowedFd<'_>) -> std::io::Result<SocketFd> {
        let fd = socket.try_clone_to_owned()?;
        Ok(SocketFd {
            listed: Listed::new(fd.as_raw_fd()),
            fd: Some(fd),
        })
    }

    /// The descriptor, unless this is a forked child, where it is closed.
    pub fn get(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| self.listed.is_own()).map(AsFd::as_fd)
    }

    /// Ends the connection at once, as seen from both sides. Does nothing in a forked child.
    pub fn shut_down(&self) {
        if let Some(fd) = self.get() {
            sys::shut_down(fd);
        }
    }
}

impl Drop for SocketFd {
    fn drop(&mut self) {
        let fd = self.fd.take();
        if self.listed.is_own() {
            self.listed.remove();
        } else {
            // The handler has closed it in this child, and the number may be somebody else's by now.
            std::mem::forget(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn is_listed(fd: RawFd) -> bool {
        SOCKETS.iter().any(|slot| slot.load(Ordering::Relaxed) == fd)
    }

    #[test]
    fn a_socket_is_listed_as_long_as_it_lives() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let copy = SocketFd::duplicate(socket.as_fd()).unwrap();
        let fd = copy.get().unwrap().as_raw_fd();
        assert!(is_listed(fd));
        drop(copy);
        assert!(!is_listed(fd));
    }
}
