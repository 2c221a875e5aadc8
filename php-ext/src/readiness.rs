//! One descriptor for "the watch's own descriptor is readable, or changes already taken from it wait here".

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use cfgstore_client::{Error, ErrorKind};

/// An epoll set of two, both level-triggered.
pub struct Readiness {
    set: OwnedFd,
    pending: OwnedFd,
    watched: RawFd,
    process: u32,
    /// What `pending` was last set to.
    is_pending: Cell<bool>,
}

impl Readiness {
    /// Of a watch's descriptor, which must outlive this.
    pub fn new(watched: BorrowedFd<'_>) -> Result<Readiness, Error> {
        let build = || -> io::Result<Readiness> {
            // SAFETY: plain system calls that return a new descriptor or -1.
            let set = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            // SAFETY: as above.
            let pending = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
            add(&set, watched.as_raw_fd())?;
            add(&set, pending.as_raw_fd())?;
            Ok(Readiness {
                set,
                pending,
                watched: watched.as_raw_fd(),
                process: std::process::id(),
                is_pending: Cell::new(false),
            })
        };
        build().map_err(|error| {
            Error::new(
                ErrorKind::Exhausted,
                format!("cannot set up a watch: {error}; are descriptors used up?"),
            )
        })
    }

    /// Whether it still waits on this descriptor.
    pub fn is_of(&self, watched: BorrowedFd<'_>) -> bool {
        self.watched == watched.as_raw_fd() && self.is_own()
    }

    /// Whether this process made it. What is inherited over a fork is shared with the parent, whose it is.
    pub fn is_own(&self) -> bool {
        self.process == std::process::id()
    }

    /// Whether changes wait here.
    pub fn set_pending(&self, pending: bool) {
        if self.is_pending.replace(pending) == pending {
            return;
        }
        let mut count = 1_u64;
        let place = (&raw mut count).cast::<libc::c_void>();
        // Can't fail in a way that matters: full means set, empty means cleared.
        if pending {
            // SAFETY: writes eight bytes from a local.
            unsafe { libc::write(self.pending.as_raw_fd(), place, 8) };
        } else {
            // SAFETY: reads eight bytes into a local.
            unsafe { libc::read(self.pending.as_raw_fd(), place, 8) };
        }
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.set.as_raw_fd()
    }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn add(set: &OwnedFd, fd: RawFd) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 0,
    };
    // SAFETY: both descriptors are open, and the kernel copies the event.
    match unsafe { libc::epoll_ctl(set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn is_readable(fd: RawFd) -> bool {
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid entry.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    #[test]
    fn readable_while_either_has_something() {
        let (watched, mut peer) = UnixStream::pair().unwrap();
        let readiness = Readiness::new(watched.as_fd()).unwrap();
        let fd = readiness.as_raw_fd();
        assert!(!is_readable(fd));
        readiness.set_pending(true);
        readiness.set_pending(true);
        assert!(is_readable(fd));
        readiness.set_pending(false);
        assert!(!is_readable(fd));
        io::Write::write_all(&mut peer, b"x").unwrap();
        assert!(is_readable(fd));
    }
}
