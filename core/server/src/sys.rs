//! The system calls that the standard library has no word for. The only unsafe code of this crate.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

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
