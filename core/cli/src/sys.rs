//! The only unsafe code of this program: three system calls that `std` lacks.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use tokio::process::Command;

/// Sends a signal to a process that this one has started and not yet waited for.
pub fn send_signal(process: u32, signal: libc::c_int) {
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: takes two numbers; a process that has ended in the meantime is still ours to wait for.
        unsafe { libc::kill(process, signal) };
    }
}

/// Has the program get SIGTERM when this process dies: a lock that is gone must not be worked under.
pub fn end_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: takes two numbers; async-signal-safe.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: `ask` makes one async-signal-safe call and allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// Takes the whole-file lock without waiting; false: another process has it.
pub fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: `file` is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        error => Err(error),
    }
}
