//! The only unsafe code of this crate: thin safe faces of the system calls that `std` lacks.

mod fork_local;
mod library;
mod poll;
mod process;

pub(crate) use fork_local::ForkLocal;
pub(crate) use library::current_object_path;
pub(crate) use poll::{Epoll, Event, Timer, is_readable};
pub(crate) use process::{
    User, block_all_signals, detach_before_exec, on_fork_in_child, other_owner, with_files_of,
};

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// The user whose rights count.
pub(crate) fn effective_user_id() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Closes a descriptor by its number. The caller owns it; nobody else closes it.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: closing is memory-safe for any number; callers own what they close.
    unsafe { libc::close(fd) };
}

/// Ends a connection in both directions at once, for every descriptor of it.
pub(crate) fn shut_down(fd: BorrowedFd<'_>) {
    // SAFETY: `fd` is open; anything but a connected socket fails with an error code.
    unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Takes the whole-file lock without waiting; false: another process has it.
pub(crate) fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: `file` is open.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes that an unprivileged user can still write below `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))?;
    // SAFETY: all zeroes is a valid `statvfs`.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a NUL and `found` is writable.
    check(unsafe { libc::statvfs(path.as_ptr(), &mut found) })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the call that succeeded handed over a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
