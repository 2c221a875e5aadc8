//! Everything that needs `unsafe`: mappings, the control page's shared words, futex, file locks.
//!
//! What makes the safe faces below sound: a snapshot file is never changed once it can be opened under its name (the
//! publication protocol), nor is a part of an arena once the control page has named it, and the rights the readers check keep
//! everybody but the publisher's user from doing so. The control page is changed while mapped, therefore its words are only ever
//! touched through atomics.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

#[cfg(not(all(target_os = "linux", target_endian = "little", target_pointer_width = "64")))]
compile_error!(
    "the mirror is for 64-bit little-endian Linux: it needs futexes, and its format is little-endian"
);

/// Size of the control file and of its mapping.
pub(crate) const CONTROL_BYTES: usize = 4096;

/// Milliseconds of the host's clock that never steps and goes on while the host sleeps (`CLOCK_BOOTTIME`): the heartbeat's.
/// Processes of one host read the same, except in containers with a time namespace of their own.
pub fn boot_ms() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer. The call fails for an unknown clock only; this one is as old as Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

/// A shared mapping of the start of a file, as long as this lives.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: an address range that stays mapped and never moves; what may be read of it is up to those who use it below.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Of the first `len` bytes of `file`, which must be there and more than none.
    pub(crate) fn new(file: &File, len: usize, writable: bool) -> io::Result<Mapping> {
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory of ours; the result is checked.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Mapping { at, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by us and no borrow outlives `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// A file of up to this many bytes is copied into private memory: to map it, to take its pages in one by one and to unmap it costs
/// more. Below the size from which an allocation is a mapping itself.
const COPY_MAX_BYTES: usize = 64 << 10;

/// The bytes of a whole immutable file: a copy, a read-only mapping, or a part of one.
#[derive(Debug)]
pub(crate) struct Content {
    at: NonNull<u8>,
    len: usize,
    memory: Memory,
}

/// What keeps a content's bytes where they are.
#[derive(Debug)]
enum Memory {
    /// A box of the content's own.
    Copied,
    Mapped {
        _whole: Mapping,
    },
    Part {
        _of: Arc<Mapping>,
    },
}

// SAFETY: the bytes are only read and never move; sharing them is sharing a `&[u8]`.
unsafe impl Send for Content {}
// SAFETY: as above.
unsafe impl Sync for Content {}

impl Content {
    /// Of the first `len` bytes of `file`; `len` must be its size, greater than 0.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Content> {
        let (at, memory) = if len <= COPY_MAX_BYTES {
            let mut copy = vec![0; len].into_boxed_slice();
            file.read_exact_at(&mut copy, 0)?;
            (NonNull::from(Box::leak(copy)).cast(), Memory::Copied)
        } else {
            let whole = Mapping::new(file, len, false)?;
            (whole.at, Memory::Mapped { _whole: whole })
        };
        Ok(Content { at, len, memory })
    }

    /// The `len` bytes at `offset` of an arena, which must not change any more; `None` if they reach beyond it.
    pub(crate) fn part(of: &Arc<Mapping>, offset: usize, len: usize) -> Option<Content> {
        if offset.checked_add(len)? > of.len {
            return None;
        }
        Some(Content {
            // SAFETY: `offset` is at most the length of the mapping (just compared), so the address is in it or at its end.
            at: unsafe { of.at.add(offset) },
            len,
            memory: Memory::Part { _of: of.clone() },
        })
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `memory` keeps `len` readable bytes at `at` until `self` is dropped, and neither a copy nor the file nor the
        // part of the arena changes (see above).
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Memory::Copied = self.memory {
            let copy = std::ptr::slice_from_raw_parts_mut(self.at.as_ptr(), self.len);
            // SAFETY: `new` has leaked this very box, and no borrow outlives `self`.
            drop(unsafe { Box::from_raw(copy) });
        }
    }
}

/// The words of the control page that change while it is mapped.
#[repr(C)]
struct Words {
    fixed: [u8; 64],
    generation: AtomicU64,
    copy_place: AtomicU64,
    _pad: [u8; 48],
    heartbeat_boot_ms: AtomicU64,
    publisher_pid: AtomicU32,
    flags: AtomicU32,
}

const _: () = assert!(std::mem::offset_of!(Words, generation) == 64);
const _: () = assert!(std::mem::offset_of!(Words, copy_place) == 72);
const _: () = assert!(std::mem::offset_of!(Words, heartbeat_boot_ms) == 128);
const _: () = assert!(std::mem::offset_of!(Words, publisher_pid) == 136);
const _: () = assert!(std::mem::offset_of!(Words, flags) == 140);
const _: () = assert!(std::mem::size_of::<Words>() <= CONTROL_BYTES);

/// A shared mapping of a control page. Whoever mapped it read-only must only load.
#[derive(Debug)]
pub(crate) struct ControlMapping(Mapping);

impl ControlMapping {
    /// Maps `file`, whose size the caller has found to be [`CONTROL_BYTES`].
    pub(crate) fn new(file: &File, writable: bool) -> io::Result<ControlMapping> {
        Mapping::new(file, CONTROL_BYTES, writable).map(ControlMapping)
    }

    #[inline]
    fn words(&self) -> &Words {
        // SAFETY: `Words` fits the mapping (asserted above), a mapping is page-aligned, every bit pattern is valid for its
        // fields, those that change are atomics, and 64-bit atomic loads are allowed on read-only memory on this target.
        unsafe { self.0.at.cast::<Words>().as_ref() }
    }

    #[inline]
    pub(crate) fn generation(&self) -> &AtomicU64 {
        &self.words().generation
    }

    pub(crate) fn copy_place(&self) -> &AtomicU64 {
        &self.words().copy_place
    }

    pub(crate) fn heartbeat_boot_ms(&self) -> &AtomicU64 {
        &self.words().heartbeat_boot_ms
    }

    pub(crate) fn publisher_pid(&self) -> &AtomicU32 {
        &self.words().publisher_pid
    }

    pub(crate) fn flags(&self) -> &AtomicU32 {
        &self.words().flags
    }
}

/// Sleeps until somebody wakes `word`, unless its low half is no longer that of `seen`. Returns at a wake, a change, the
/// timeout, or a signal: the caller looks again. `false` if a signal ended the sleep.
pub(crate) fn futex_wait(word: &AtomicU64, seen: u64, timeout: Duration) -> bool {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    };
    // SAFETY: on a little-endian machine the address of a u64 is that of its low u32, aligned and mapped; the kernel only
    // reads it (a read-only shared mapping is allowed for FUTEX_WAIT). Not private: the waker is another process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen as u32,
            &raw const timeout,
        )
    };
    result == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted
}

/// Wakes everybody who sleeps on `word`, in every process.
pub(crate) fn futex_wake_all(word: &AtomicU64) {
    // SAFETY: the address is mapped; waking accesses no memory.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// An open file with an exclusive `flock`.
#[derive(Debug)]
pub(crate) struct LockedFile(File);

impl LockedFile {
    /// Locks `file`; `Err` gives it back if somebody else holds the lock.
    pub(crate) fn try_lock(file: File) -> io::Result<Result<LockedFile, File>> {
        loop {
            // SAFETY: a plain call on an open descriptor.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                return Ok(Ok(LockedFile(file)));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(Err(file)),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Not left to the close: a child that is between fork and exec still has the descriptor, and the lock with it.
        // SAFETY: a plain call on an open descriptor.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// Reserves the file's space, so that neither writing nor reading a mapping of it can fail for lack of space. A file system
/// that cannot reserve is no error: every byte is written anyway.
pub(crate) fn reserve(file: &File, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    loop {
        // SAFETY: a plain call on an open descriptor.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
            _ => return Err(error),
        }
    }
}

/// How many bytes this user may still write to the file's file system; `None` if it has no limit of its own.
pub(crate) fn free_bytes(file: &File) -> io::Result<Option<u64>> {
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the call fills in `answer`, which has the size it expects, or fails.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded.
    let answer = unsafe { answer.assume_init() };
    // A tmpfs without a limit says that it has no blocks at all.
    Ok((answer.f_blocks > 0).then(|| answer.f_bavail.saturating_mul(answer.f_frsize)))
}

/// The user this process acts as.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// Eight bytes nobody can guess.
pub(crate) fn random_u64() -> io::Result<u64> {
    let mut bytes = [0; 8];
    // SAFETY: writes at most eight bytes into `bytes`. Requests up to 256 bytes are never cut short once they succeed.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != bytes.len() as isize {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from_le_bytes(bytes))
}
