//! Locks.

use std::time::Duration;

use cfgstore_client::{Error, ErrorKind, LockOptions, blocking};

use super::source::CoreSource;
use super::types::{CORE_SILENT_MS, CoreBytes, CoreError, guard, quietly};
use crate::source::Source;

/// Longer waits than this are as good as for ever, in seconds.
const LONGEST_WAIT_SECS: f64 = 1e9;

/// No lock lives shorter without its agent, which servers see to, in seconds.
const SHORTEST_TTL_SECS: f64 = 2.0;

/// A lock that is or was held.
pub struct CoreLock {
    lock: blocking::Lock,
    /// An agent that is silent for so long may have lost it, without being able to say so: it renews a lease each third of
    /// the time to live. `None`: it is not heard through the mirror.
    silence_max_ms: Option<u64>,
}

impl CoreLock {
    /// An error if its agent has been silent for too long.
    fn check_agent(&self, source: &mut Source) -> Result<(), Error> {
        source.peek();
        let silent_ms = source.heard().silent_ms;
        match self.silence_max_ms {
            Some(max) if silent_ms != u64::MAX && silent_ms >= max => Err(Error::new(
                ErrorKind::LockLost,
                format!(
                    "the lock with token {} is no longer held for certain: the agent that keeps it has been silent for {:.1} s; \
                     stop what it protects, and take it again",
                    self.lock.token(),
                    silent_ms as f64 / 1000.0
                ),
            )),
            _ => Ok(()),
        }
    }
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
        let source = source.reads();
        source.peek();
        let is_heard = source.heard().silent_ms < CORE_SILENT_MS;
        let lives_ms = ttl_secs.ceil().max(SHORTEST_TTL_SECS) * 1000.0;
        let lock = Box::new(CoreLock {
            lock,
            silence_max_ms: is_heard.then_some((lives_ms * 2.0 / 3.0) as u64),
        });
        *token = lock.lock.token();
        *key = CoreBytes::of(lock.lock.key());
        Ok(Box::into_raw(lock))
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, acquire) }.unwrap_or(std::ptr::null_mut())
}

/// Whether it is still held, as far as this process can know now: as its agent says, and not after a silence of the agent in
/// which it may have been lost. `source` is what it was taken from.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_is_held(lock: *mut CoreLock, source: *mut CoreSource) -> bool {
    let mut held = false;
    quietly(|| {
        // SAFETY: the caller holds both handles.
        let (lock, source) = unsafe { (&mut *lock, &mut *source) };
        held = lock.lock.is_held() && lock.check_agent(source.reads()).is_ok();
    });
    held
}

/// Frees the lock and waits until it is free; that it was lost before is a failure. The handle stays. `source` is what it was
/// taken from.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lock_release(
    lock: *mut CoreLock,
    source: *mut CoreSource,
    error: *mut CoreError,
) -> bool {
    let release = || {
        // SAFETY: the caller holds both handles.
        let (lock, source) = unsafe { (&mut *lock, &mut *source) };
        // An agent that is silent would not answer; it sees the connection end when it can.
        lock.check_agent(source.reads())?;
        lock.lock.release()
    };
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
