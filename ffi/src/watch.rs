//! Watches.

use std::ffi::{c_char, c_int};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cfgstore_client::blocking::Watch;
use cfgstore_client::{ChangeBatch, ChangeKind, Error, ErrorKind, KeyValue, MAX_KEY_BYTES, WatchOptions};
use cfgstore_server::embedded::Store;

use crate::boundary::{bytes, handle, invalid, out, reading, set, take, unfailing};
use crate::error::cfgstore_error_t;
use crate::options::milliseconds;
use crate::result::{cfgstore_item_kind_t, cfgstore_result_t};
use crate::status::cfgstore_status_t;
use crate::store::cfgstore_t;

/// What a watch is of.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum cfgstore_watch_scope_t {
    /// One key.
    CFGSTORE_WATCH_KEY = 1,
    /// Every key that begins with what is given; empty: every key of the store.
    CFGSTORE_WATCH_PREFIX = 2,
}

/// A watch: every change of a key or of a prefix, in order, each once. It reconnects by itself, to another member if
/// there is one, and goes on where it was. What is not fetched waits at the server. Free it with
/// cfgstore_watch_close().
pub struct cfgstore_watch_t {
    watch: Mutex<Watch>,
    /// Dropped last: a member in this process lives as long as what uses it.
    _store: Store,
}

/// Begins to watch.
///
/// `scope` is a cfgstore_watch_scope_t. `from_revision`: begin with the changes of this revision, even if it is past;
/// after a cfgstore_range(), one more than cfgstore_result_revision() misses nothing. 0: begin with the first change
/// after this call, which then asks the server for its revision, and fails if no server answers.
///
/// Otherwise nothing is sent before the first cfgstore_watch_next() or cfgstore_watch_fd().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_watch_open(
    store: *const cfgstore_t,
    scope: i32,
    key: *const c_char,
    key_length: usize,
    from_revision: i64,
    watch: *mut *mut cfgstore_watch_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let watch = out(watch, "watch")?;
        let store = handle(store, "store")?;
        let key = bytes(key.cast(), key_length, MAX_KEY_BYTES, "key")?;
        let options = match scope {
            1 => WatchOptions::key(key),
            2 => WatchOptions::prefix(key),
            other => return Err(invalid(format!("scope is {other}, no cfgstore_watch_scope_t"))),
        };
        let from_revision = match from_revision {
            0 => store.revision()? + 1,
            given => given,
        };
        let opened = store.client().watch(options.from_revision(from_revision))?;
        watch.give(cfgstore_watch_t {
            watch: Mutex::new(opened),
            _store: store.store.clone(),
        });
        Ok(())
    })
}

/// Fetches the next changes: those of one revision, in the order in which they were made, at least one.
///
/// `timeout_ms`: how long to wait for them; 0: not at all; below 0: for ever. To be able to end a wait from elsewhere,
/// wait in poll() on cfgstore_watch_fd() and a descriptor of your own.
///
/// Fails with CFGSTORE_TIMEOUT if there are none in time, after which the watch is as good as before; with
/// CFGSTORE_UNAVAILABLE if no server was ever reached, after which the next call tries again; with CFGSTORE_COMPACTED if
/// changes were missed because their history is gone: read the current state with cfgstore_range(), and open a
/// new watch from there. After that and any other failure the watch is over, and further calls say the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_watch_next(
    watch: *const cfgstore_watch_t,
    timeout_ms: i64,
    result: *mut *mut cfgstore_result_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let result = out(result, "result")?;
        let watch = handle(watch, "watch")?;
        match watch.locked().next(milliseconds(timeout_ms))? {
            Some(batch) => result.give(changes(batch)),
            None => return Err(nothing_yet(timeout_ms)),
        }
        Ok(())
    })
}

/// A descriptor for poll(), select() or an event loop: when it is readable, call cfgstore_watch_next() with timeout 0
/// until it returns CFGSTORE_TIMEOUT. It may be readable without a change. It belongs to the watch: do not read, write
/// or close it, and ask again in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_watch_fd(
    watch: *const cfgstore_watch_t,
    fd: *mut c_int,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let watch = handle(watch, "watch")?;
        set(fd, watch.locked().fd()?.as_raw_fd());
        Ok(())
    })
}

/// Ends a watch and frees it. NULL is allowed. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_watch_close(watch: *mut cfgstore_watch_t) {
    unfailing((), || drop(take(watch)));
}

impl cfgstore_watch_t {
    fn locked(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changes(batch: ChangeBatch) -> cfgstore_result_t {
    let items = batch.changes.into_iter().map(|change| {
        let kind = match change.kind {
            ChangeKind::Put => cfgstore_item_kind_t::CFGSTORE_ITEM_PUT,
            ChangeKind::Delete => cfgstore_item_kind_t::CFGSTORE_ITEM_DELETE,
        };
        let kv = KeyValue {
            key: change.key,
            value: change.value,
            unopened: change.unopened,
            create_revision: change.create_revision,
            mod_revision: change.revision,
            version: change.version,
            lease: change.lease,
        };
        (kind, kv)
    });
    cfgstore_result_t::new(items.collect(), batch.revision, false)
}

fn nothing_yet(timeout_ms: i64) -> Error {
    Error::new(ErrorKind::Timeout, format!("no change within {timeout_ms} ms"))
}
