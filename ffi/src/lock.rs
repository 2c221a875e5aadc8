//! Locks.

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

use cfgstore_client::blocking::Lock;
use cfgstore_client::{LockOptions, MAX_KEY_BYTES};
use cfgstore_server::embedded::Store;

use crate::boundary::{bytes, handle, invalid, optional, out, reading, take, unfailing};
use crate::error::cfgstore_error_t;
use crate::options::milliseconds;
use crate::status::cfgstore_status_t;
use crate::store::cfgstore_t;

/// A lock that was taken: a name that one holder has at a time. The background thread of the store keeps it
/// alive. It ends with cfgstore_lock_release(), which frees this handle, and with the process: at once where an agent of
/// the host holds it (the embedded store, a unix socket), after its time to live elsewhere.
pub struct cfgstore_lock_t {
    token: i64,
    lock: Mutex<Lock>,
    /// Dropped last: a member in this process lives as long as what uses it.
    _store: Store,
}

/// Takes the lock `name`. Names are below the store's prefix, and apart from keys.
///
/// `ttl_ms`: how long the lock outlives a holder that dies without a word, more than 0; servers round up to whole
/// seconds and to a minimum of their own. `wait_ms`: how long to wait while another has it; 0: not at all.
///
/// Fails with CFGSTORE_TIMEOUT if another has it when the wait ends. A failure takes no lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_lock_acquire(
    store: *const cfgstore_t,
    name: *const c_char,
    name_length: usize,
    ttl_ms: i64,
    wait_ms: i64,
    lock: *mut *mut cfgstore_lock_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let lock = out(lock, "lock")?;
        let store = handle(store, "store")?;
        let name = bytes(name.cast(), name_length, MAX_KEY_BYTES, "name")?;
        let ttl = milliseconds(ttl_ms).ok_or_else(|| invalid(format!("ttl_ms is {ttl_ms}, below 0")))?;
        let wait = milliseconds(wait_ms).ok_or_else(|| invalid(format!("wait_ms is {wait_ms}, below 0")))?;
        let taken = store.client().lock(name, &LockOptions { ttl, wait })?;
        lock.give(cfgstore_lock_t {
            token: taken.token(),
            lock: Mutex::new(taken),
            _store: store.store.clone(),
        });
        Ok(())
    })
}

/// The fencing token, greater than that of every earlier holder: pass it to what the lock protects, which refuses
/// smaller ones. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_lock_token(lock: *const cfgstore_lock_t) -> i64 {
    unfailing(0, || optional(lock).map_or(0, |lock| lock.token))
}

/// CFGSTORE_OK if the lock is still held, as far as this side can know without asking the server;
/// CFGSTORE_LOCK_LOST, with the reason, if it is not: stop what it protects. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_lock_is_held(
    lock: *const cfgstore_lock_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let lock = handle(lock, "lock")?;
        lock.lock.lock().unwrap_or_else(PoisonError::into_inner).check()
    })
}

/// Gives the lock up and frees the handle, whatever it returns. NULL is allowed. Waits until the lock is free.
///
/// Fails with CFGSTORE_LOCK_LOST if it was lost before, so that another may have had it meanwhile; with another
/// status if the server could not be asked, in which case the lock ends with its time to live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_lock_release(
    lock: *mut cfgstore_lock_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || match take(lock) {
        Some(lock) => lock
            .lock
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .release(),
        None => Ok(()),
    })
}
