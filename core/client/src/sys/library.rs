//! Where the code that runs was loaded from.

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file this code was loaded from: the shared object it is linked into, or the program itself.
pub(crate) fn current_object_path() -> Option<PathBuf> {
    // SAFETY: all zeroes is a valid `Dl_info`.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let address = current_object_path as fn() -> Option<PathBuf> as *const c_void;
    // SAFETY: any address may be asked for; `info` is writable.
    let found = unsafe { libc::dladdr(address, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dladdr` succeeded, so the name ends with a NUL and lives as long as the object, which is running.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    // A program started through PATH has no folder in its name.
    path.parent()
        .is_some_and(|dir| !dir.as_os_str().is_empty())
        .then_some(path)
}
