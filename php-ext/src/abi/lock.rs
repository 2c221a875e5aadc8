//! Locks.

use std::time::Duration;

use cfgstore_client::{Error, ErrorKind, LockOptions, blocking};

use super::source::CoreSource;
use super::types::{CoreBytes, CoreError, guard, quietly};

/// Longer waits than this are as good as for ever, in seconds.
const LONGEST_WAIT_SECS: f64 = 1e9;

/// A lock that is or was held.
pub struct CoreLock {
    lock: blocking::Lock,
}

/// Takes a lock, waiting for it at most `wait_secs`. Null on failure.
///
/// # Safety
/// As the module says. The lock may outlive the store; `key` is valid as long as the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_acquire(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    name: CoreBytes,
    ttl_secs: f64,
    wait_secs: f64,
    token: *mut i64,
    key: *mut CoreBytes,
    error: *mut CoreError,
) -> *mut CoreLock {
    let acquire = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, name, token, key) =
            unsafe { (&mut *source, prefix.get(), name.get(), &mut *token, &mut *key) };
        if name.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the lock has no name; name at least one byte",
            ));
        }
        let options = LockOptions {
            ttl: seconds("ttl", ttl_secs)?,
            wait: seconds("wait", wait_secs)?,
        };
        let lock = source
            .client(timeout_secs)?
            .lock([prefix, name].concat(), &options)?;
        let lock = Box::new(CoreLock { lock });
        *token = lock.lock.token();
        *key = CoreBytes::of(lock.lock.key());
        Ok(Box::into_raw(lock))
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, acquire) }.unwrap_or(std::ptr::null_mut())
}

/// Whether it is still held, as far as this process can know now.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_is_held(lock: *mut CoreLock) -> bool {
    let mut held = false;
    // SAFETY: the caller holds the handle.
    quietly(|| held = unsafe { &mut *lock }.lock.is_held());
    held
}

/// Frees the lock and waits until it is free; that it was lost before is a failure. The handle stays.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_release(lock: *mut CoreLock, error: *mut CoreError) -> bool {
    // SAFETY: the caller holds the handle.
    let release = || unsafe { &mut *lock }.lock.release();
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, release) }.is_some()
}

/// Frees the lock, if this process still holds it, without waiting. Null is allowed.
///
/// # Safety
/// As the module says; the handle is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_free(lock: *mut CoreLock) {
    if !lock.is_null() {
        // SAFETY: the handle came from `Box::into_raw` and the caller gives it up.
        quietly(|| drop(unsafe { Box::from_raw(lock) }));
    }
}

fn seconds(name: &str, seconds: f64) -> Result<Duration, Error> {
    if seconds >= 0.0 {
        return Ok(Duration::from_secs_f64(seconds.min(LONGEST_WAIT_SECS)));
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("{name} is {seconds}; expected seconds, not negative"),
    ))
}
