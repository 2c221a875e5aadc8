//! The system calls that the standard library has no word for. The only unsafe code of this crate.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes the exclusive `flock` of `file`, or says that another open file description has it (`WouldBlock`).
///
/// The lock ends with the last descriptor of this open file, so also with the process, however it dies.
pub(crate) fn try_lock_exclusive(file: &File) -> io::Result<()> {
    // SAFETY: flock reads nothing but the descriptor, which `file` keeps open for the call.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the lock up at once, whoever else has the descriptor.
pub(crate) fn unlock(file: &File) {
    // SAFETY: as above. It cannot fail for an open file, and there is nothing to do if it did.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) };
}

/// Blocks every signal for this thread and those it starts, so that they go to other threads of the process.
pub(crate) fn block_all_signals() {
    // SAFETY: all zeroes is a valid `sigset_t`.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is writable and then holds a set; the old mask is not asked for.
    unsafe {
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}

/// Has `handler` run in each child that this process forks, before the fork returns there.
pub(crate) fn on_fork_in_child(handler: unsafe extern "C" fn()) -> io::Result<()> {
    // SAFETY: a function of this object; the C library forgets it when the object is unloaded.
    let result = unsafe { libc::pthread_atfork(None, None, Some(handler)) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

/// Kills every process of a group that this process has made, and that is named for a child not waited for yet.
pub(crate) fn kill_group(id: u32) {
    let Ok(id) = libc::pid_t::try_from(id) else {
        return;
    };
    // SAFETY: sending a signal is memory-safe. As the child was not waited for, no other process has its number.
    unsafe { libc::kill(-id, libc::SIGKILL) };
}

/// Has the present tokio runtime tell of a descriptor what `interest` names.
pub(crate) fn registered(fd: Arc<OwnedFd>, interest: Interest) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: nobody can change or close what is in the `Arc`, which the `AsyncFd` keeps for as long as it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// Closes a descriptor by its number. In a forked child, so that nobody there goes on to use it.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: closing is memory-safe for any number; the caller knows whose it is.
    unsafe { libc::close(fd) };
}

/// The path that a unix socket is bound to, also that of an accepted connection; `None` for anything else.
pub(crate) fn bound_path(socket: RawFd) -> Option<PathBuf> {
    // SAFETY: all zeroes is a valid `sockaddr_un`.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `address` is writable for `length` bytes; any number may be asked for.
    let result = unsafe { libc::getsockname(socket, (&raw mut address).cast(), &raw mut length) };
    if result != 0 || address.sun_family != libc::AF_UNIX as libc::sa_family_t {
        return None;
    }
    let path: Vec<u8> = address
        .sun_path
        .iter()
        .map(|&c| c as u8)
        .take_while(|&byte| byte != 0)
        .collect();
    (!path.is_empty()).then(|| OsStr::from_bytes(&path).into())
}

/// How many files this process may have open.
pub(crate) fn max_open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable for the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}

/// The units in which the kernel gives times and memory of a process.
pub(crate) fn clock_ticks_and_page_bytes() -> (f64, u64) {
    // SAFETY: sysconf reads nothing of ours.
    let (ticks, page) = unsafe {
        (
            libc::sysconf(libc::_SC_CLK_TCK),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    (ticks.max(1) as f64, page.max(0) as u64)
}
