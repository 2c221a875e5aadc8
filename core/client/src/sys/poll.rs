//! Descriptors that other event loops can wait on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use super::{check, owned};

/// A level-triggered set of descriptors; itself readable while one of them is.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Epoll)
    }

    pub fn add(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let interest = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
        let mut event = libc::epoll_event {
            events: interest,
            u64: 0,
        };
        // SAFETY: both descriptors are open and `event` is readable.
        check(unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                fd.as_raw_fd(),
                &mut event,
            )
        })?;
        Ok(())
    }

    pub fn remove(&self, fd: BorrowedFd<'_>) {
        // SAFETY: both descriptors are open; the event is ignored by EPOLL_CTL_DEL. A failure means it was
        // not in the set, which is what was asked for.
        unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                fd.as_raw_fd(),
                ptr::null_mut(),
            )
        };
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A flag that is readable while set.
pub(crate) struct Event(OwnedFd);

impl Event {
    pub fn new() -> io::Result<Event> {
        // SAFETY: takes no pointers.
        owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(Event)
    }

    /// Sets or clears it; both may be repeated.
    pub fn set(&self, on: bool) {
        let mut count = 1u64;
        // SAFETY: the descriptor is open and `count` is 8 readable and writable bytes. The only failure,
        // EAGAIN, means that it was cleared, or is set 2^64-2 times, already.
        unsafe {
            if on {
                libc::write(self.0.as_raw_fd(), ptr::from_ref(&count).cast(), 8);
            } else {
                libc::read(self.0.as_raw_fd(), ptr::from_mut(&mut count).cast(), 8);
            }
        }
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that becomes readable after a while.
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub fn new() -> io::Result<Timer> {
        // SAFETY: takes no pointers.
        owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })
            .map(Timer)
    }

    /// Readable once `after` has passed, until set again; `None`: never.
    pub fn set(&self, after: Option<Duration>) {
        // All zeroes would switch it off.
        let after = after.map_or(Duration::ZERO, |after| after.max(Duration::from_nanos(1)));
        let spec = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: after.as_secs().min(i32::MAX as u64) as libc::time_t,
                tv_nsec: after.subsec_nanos() as libc::c_long,
            },
        };
        // SAFETY: the descriptor is open, `spec` is readable and valid, the old value is not asked for.
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &spec, ptr::null_mut()) };
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether reading would not block now: data, end of stream, or an error to be read.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid `pollfd`; with no timeout it cannot block.
    unsafe { libc::poll(&mut polled, 1, 0) > 0 }
}
