//! One descriptor for event loops, readable while a watch has something to do.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{Epoll, Event, Timer};

/// An epoll set of three: the connection's socket (bytes have arrived), a flag (changes are decoded and not
/// taken), and a timer (the watch has to reconnect, or to ask a silent peer for a sign of life). All are level-
/// triggered, so nothing is missed however a loop waits.
pub(super) struct Pollable {
    set: Epoll,
    pending: Event,
    timer: Timer,
    /// What `pending` and `timer` were last set to: most calls change neither, and a system call would.
    is_pending: bool,
    has_timer: bool,
    connection: Option<Connection>,
}

impl Pollable {
    pub fn new() -> Result<Pollable> {
        let build = || {
            let (set, pending, timer) = (Epoll::new()?, Event::new()?, Timer::new()?);
            set.add(pending.as_fd())?;
            set.add(timer.as_fd())?;
            Ok(Pollable {
                set,
                pending,
                timer,
                is_pending: false,
                has_timer: false,
                connection: None,
            })
        };
        build().map_err(|error: std::io::Error| {
            Error::new(
                ErrorKind::Exhausted,
                format!("cannot set up a watch: {error}; are descriptors used up?"),
            )
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    pub fn set_pending(&mut self, pending: bool) {
        if std::mem::replace(&mut self.is_pending, pending) != pending {
            self.pending.set(pending);
        }
    }

    pub fn set_timer(&mut self, after: Option<Duration>) {
        if std::mem::replace(&mut self.has_timer, after.is_some()) || after.is_some() {
            self.timer.set(after);
        }
    }

    /// Whether an event loop would be woken now.
    pub fn is_readable(&self) -> bool {
        crate::sys::is_readable(self.set.as_fd())
    }

    /// Waits on this connection's socket from now on, and no longer on the last one's.
    pub fn set_connection(&mut self, connection: Option<&Connection>) {
        let unchanged = match (&self.connection, connection) {
            (Some(old), Some(new)) => old.is_same(new),
            (None, None) => true,
            _ => false,
        };
        if unchanged {
            return;
        }
        // Left in the set, a socket that other descriptors keep open would go on waking the loop.
        if let Some(old) = self.connection.take().as_ref().and_then(|old| old.socket().get()) {
            self.set.remove(old);
        }
        if let Some(connection) = connection {
            let added = connection.socket().get().map(|socket| self.set.add(socket));
            if matches!(added, Some(Ok(()))) {
                self.connection = Some(connection.clone());
            }
        }
    }

    /// Ends the connection now, as seen from the server.
    pub fn shut_down(&self) {
        if let Some(connection) = &self.connection {
            connection.socket().shut_down();
        }
    }

    /// Whether bytes have arrived, or the end of the connection, that nobody has read.
    pub fn socket_is_readable(&self) -> bool {
        let socket = self
            .connection
            .as_ref()
            .and_then(|connection| connection.socket().get());
        socket.is_some_and(crate::sys::is_readable)
    }
}
