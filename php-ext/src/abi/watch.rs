//! Watches: changes one by one, and a descriptor to wait on.

use cfgstore_client::WatchOptions;

use super::source::CoreSource;
use super::types::{CoreBytes, CoreError, guard, quietly};
use crate::changes::Changes;

/// A watch.
pub struct CoreWatch {
    changes: Changes,
}

/// One change of one key. Pointers are valid until the next call with the same watch.
#[repr(C)]
pub struct CoreChange {
    /// Deleted, not written.
    pub deleted: bool,
    /// The whole key, prefix included.
    pub key: CoreBytes,
    /// The new value; empty for a delete.
    pub value: CoreBytes,
    /// Whether it is known what the key was before.
    pub has_previous: bool,
    /// The value it had before.
    pub previous: CoreBytes,
    /// Revision of the change.
    pub revision: i64,
    /// Why the new value, which is sealed, could not be opened; empty: it could. Of a previous value, it is then not known.
    pub unopened: CoreBytes,
}

/// Watches the keys that begin with `prefix` and `below` together, from a revision on. Connects at the first take.
///
/// # Safety
/// As the module says. The watch may outlive the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_watch_open(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    below: CoreBytes,
    from_revision: i64,
    error: *mut CoreError,
) -> *mut CoreWatch {
    let open = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, below) = unsafe { (&mut *source, prefix.get(), below.get()) };
        let options = WatchOptions::prefix([prefix, below].concat())
            .from_revision(from_revision)
            .with_previous();
        let changes = Changes::new(source.client(timeout_secs)?.watch(options)?);
        Ok(Box::into_raw(Box::new(CoreWatch { changes })))
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, open) }.unwrap_or(std::ptr::null_mut())
}

/// Ends a watch. Null is allowed.
///
/// # Safety
/// As the module says; the handle is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_watch_free(watch: *mut CoreWatch) {
    if !watch.is_null() {
        // SAFETY: the handle came from `Box::into_raw` and the caller gives it up.
        quietly(|| drop(unsafe { Box::from_raw(watch) }));
    }
}

/// Takes the next change, if one has arrived; never waits. 1: taken, 0: none, -1: `error`.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_watch_take(
    watch: *mut CoreWatch,
    change: *mut CoreChange,
    error: *mut CoreError,
) -> i32 {
    let take = || {
        // SAFETY: the caller holds the handle and lends `change`.
        let (watch, change) = unsafe { (&mut *watch, &mut *change) };
        let Some(taken) = watch.changes.take()? else {
            return Ok(0);
        };
        let previous = taken.previous.as_ref().filter(|kv| kv.unopened.is_none());
        *change = CoreChange {
            deleted: taken.kind == cfgstore_client::ChangeKind::Delete,
            key: CoreBytes::of(&taken.key),
            value: CoreBytes::of(&taken.value),
            has_previous: previous.is_some(),
            previous: previous.map_or(CoreBytes::empty(), |kv| CoreBytes::of(&kv.value)),
            revision: taken.revision,
            unopened: taken.unopened.as_ref().map_or(CoreBytes::empty(), |error| {
                CoreBytes::of(error.message.as_bytes())
            }),
        };
        Ok(1)
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, take) }.unwrap_or(-1)
}

/// A descriptor that is readable while `cfgstore_core_watch_take` has something to take or to do. It stays the watch's; -1: `error`.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_watch_fd(watch: *mut CoreWatch, error: *mut CoreError) -> i32 {
    // SAFETY: the caller holds the handle.
    let fd = || unsafe { &mut *watch }.changes.fd();
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, fd) }.unwrap_or(-1)
}

/// The revision from which another watch would go on: nothing is skipped, and at most the changes already taken of that one
/// revision come again.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_watch_position(watch: *const CoreWatch) -> i64 {
    // SAFETY: the caller holds the handle.
    unsafe { &*watch }.changes.position()
}
