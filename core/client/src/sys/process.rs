//! Forks, signals, and processes that outlive their starter.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

use super::check;

/// Has `handler` called in every child that this process forks from now on. It must be async-signal-safe.
pub(crate) fn on_fork_in_child(handler: extern "C" fn()) -> io::Result<()> {
    // SAFETY: a function of this object; the C library forgets it when the object is unloaded.
    let result = unsafe { libc::pthread_atfork(None, None, Some(coerce(handler))) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

fn coerce(handler: extern "C" fn()) -> unsafe extern "C" fn() {
    handler
}

/// Blocks every signal in this thread, so that the program's own handlers run on its own threads.
pub(crate) fn block_all_signals() {
    // SAFETY: `set` is filled before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}

/// A user, and the group of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub id: u32,
    pub group: u32,
}

/// Whose files are below `folder`, if this is root and they are another's. Of a folder that is not there yet, the one above it decides.
pub(crate) fn other_owner(folder: &Path) -> Option<User> {
    let found = folder.ancestors().find_map(|folder| folder.metadata().ok())?;
    (super::effective_user_id() == 0 && found.uid() != 0).then_some(User {
        id: found.uid(),
        group: found.gid(),
    })
}

/// Runs `body` with no more rights on files than `user` has, and as the owner of what it makes. Only this thread is that user meanwhile.
pub(crate) fn with_files_of<T>(user: Option<User>, body: impl FnOnce() -> T) -> T {
    struct Back {
        user: u32,
        group: u32,
    }
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: numbers only.
            unsafe {
                libc::setfsuid(self.user);
                libc::setfsgid(self.group);
            }
        }
    }
    let _back = user.map(|user| {
        // SAFETY: numbers only. The group first, for which the rights are needed that the user then lacks.
        unsafe {
            let group = libc::setfsgid(user.group).cast_unsigned();
            Back {
                user: libc::setfsuid(user.id).cast_unsigned(),
                group,
            }
        }
    });
    body()
}

/// Makes what `command` will start a process of its own: not a child of this one, in its own session, with
/// no descriptor of this process but 0, 1 and 2, no blocked or ignored signal, and no write right for others.
pub(crate) fn detach_before_exec(command: &mut Command) {
    // SAFETY: `detach` makes nothing but async-signal-safe calls and allocates nothing.
    unsafe { command.pre_exec(detach) };
}

fn detach() -> io::Result<()> {
    // SAFETY: runs in a forked child before exec. Every call is async-signal-safe and gets valid arguments.
    unsafe {
        check(libc::setsid())?;
        // The first child ends here; `Command::spawn` goes on waiting for the second one to reach exec.
        if check(libc::fork())? != 0 {
            libc::_exit(0);
        }
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::umask(0o027);
        close_all_at_exec();
    }
    Ok(())
}

/// Marks every descriptor from 3 on as closed at exec. They stay open until then: one of them reports a failed
/// exec to the parent.
fn close_all_at_exec() {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return;
    }
    // A kernel before 5.11.
    // SAFETY: any number may be asked for.
    let open_max = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for fd in 3..open_max.clamp(256, 1 << 20) as libc::c_int {
        // SAFETY: fails with EBADF where nothing is open.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
