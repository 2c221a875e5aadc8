//! A store, and reading and writing its keys.

use std::ffi::{c_char, c_void};

use bytes::Bytes;
use cfgstore_client::blocking::Client;
use cfgstore_client::{DeleteOptions, Error, ErrorKind, MAX_KEY_BYTES, PutOptions, Range, Result};
use cfgstore_server::embedded::Store;

use crate::boundary::{bytes, handle, out, reading, set, sized_struct, take, unfailing, writing};
use crate::error::cfgstore_error_t;
use crate::options::{Opening, cfgstore_options_t};
use crate::result::cfgstore_result_t;
use crate::status::cfgstore_status_t;

/// For `if_revision`: whatever is there.
pub const CFGSTORE_ANY_REVISION: i64 = -2;

/// For `if_revision`: only if the key exists.
pub const CFGSTORE_PRESENT: i64 = -1;

/// For `if_revision`: only if the key does not exist.
pub const CFGSTORE_ABSENT: i64 = 0;

/// Longest value that the library passes on. A server takes less: 1.5 MiB for a whole request, unless its
/// operator set another limit. Keys, with the prefix, may have 65536 bytes.
pub const CFGSTORE_VALUE_BYTES_MAX: usize = 268435456;

/// An open store: one client, with a background thread that keeps its connection and its locks alive.
/// Open one for the life of the program. Free it with cfgstore_close().
pub struct cfgstore_t {
    pub(crate) store: Store,
}

impl cfgstore_t {
    pub(crate) fn client(&self) -> &Client {
        self.store.client()
    }

    pub(crate) fn revision(&self) -> Result<i64> {
        // Reading any key tells it; one that is never there costs the least.
        Ok(self.client().range(&Range::key(b"\0").keys_only())?.revision)
    }
}

/// Opens a store. `options` may be NULL: the embedded store of this host, with every default.
///
/// Connects to nothing, so it does not wait, and does not fail because a server is away; the first call on the store
/// connects. Only with an "embedded:" address does it wait, until the member serves, which is a fraction of a second as
/// a rule, and longer after an unclean end of a large store.
///
/// Fails with CFGSTORE_INVALID_ARGUMENT if the options make no sense, CFGSTORE_UNSUPPORTED if they ask for what
/// this version cannot do; with an "embedded:" address also with what keeps the member from starting, such as
/// CFGSTORE_UNAVAILABLE when another process uses the folder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_open(
    options: *const cfgstore_options_t,
    store: *mut *mut cfgstore_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let store = out(store, "store")?;
        let options = sized_struct(options, "options")?;
        let Opening { address, options } = Opening::of(options.as_ref())?;
        store.give(cfgstore_t {
            store: Store::open(address, options)?,
        });
        Ok(())
    })
}

/// Closes a store and frees it. NULL is allowed. Waits for nothing but, if it was the last user of a member in this
/// process, the end of that member, which writes down what it has to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_close(store: *mut cfgstore_t) {
    unfailing((), || drop(take(store)));
}

/// Reads the value of a key as of now: a result of one item.
///
/// Fails with CFGSTORE_NOT_FOUND if the key does not exist. Sent again, to another member if there is one, as long as
/// call_timeout_ms allows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_get(
    store: *const cfgstore_t,
    key: *const c_char,
    key_length: usize,
    result: *mut *mut cfgstore_result_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let result = out(result, "result")?;
        let store = handle(store, "store")?;
        let key = key_argument(key, key_length)?;
        match store.client().get(key)? {
            Some(kv) => result.give(cfgstore_result_t::of_one(kv)),
            None => return Err(not_found(key)),
        }
        Ok(())
    })
}

/// Reads every key that begins with `prefix`, all at one revision, in ascending order; an empty prefix: every key of
/// the store. No key at all is a result with no item.
///
/// `limit`: at most so many items; 0: no limit. `revision`: as it was then; 0: now.
///
/// Fails with CFGSTORE_COMPACTED if the history of that revision is gone, with CFGSTORE_INVALID_ARGUMENT if
/// it is yet to come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_range(
    store: *const cfgstore_t,
    prefix: *const c_char,
    prefix_length: usize,
    limit: u32,
    revision: i64,
    result: *mut *mut cfgstore_result_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let result = out(result, "result")?;
        let store = handle(store, "store")?;
        let prefix = bytes(prefix.cast(), prefix_length, MAX_KEY_BYTES, "prefix")?;
        let range = Range::prefix(prefix).limit(limit).revision(revision);
        result.give(cfgstore_result_t::of_range(store.client().range(&range)?));
        Ok(())
    })
}

/// Writes a value. When it returns CFGSTORE_OK, the value is durable.
///
/// `if_revision`: write only if the key's last change was in this revision; or CFGSTORE_ANY_REVISION,
/// CFGSTORE_PRESENT, CFGSTORE_ABSENT. `revision`, which may be NULL, receives the revision of the write.
///
/// Fails with CFGSTORE_CONFLICT if the key is at another revision, which error->current_revision tells; with
/// CFGSTORE_TOO_LARGE if the server's limit is lower; with a status that is cfgstore_status_maybe_committed() if the
/// connection broke before the answer. `revision` is written only on success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_put(
    store: *const cfgstore_t,
    key: *const c_char,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    if_revision: i64,
    revision: *mut i64,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    writing(error, || {
        let store = handle(store, "store")?;
        let key = key_argument(key, key_length)?;
        let value = value_argument(value, value_length)?;
        let options = PutOptions {
            if_revision: condition(if_revision),
            ..PutOptions::default()
        };
        set(revision, store.client().put(key, value, &options)?);
        Ok(())
    })
}

/// Deletes a key. Deleting one that does not exist is no failure.
///
/// `if_revision` is as in cfgstore_put(). `revision` receives the revision of the store afterwards, `deleted`
/// whether the key existed; both may be NULL, and are written only on success. Fails as cfgstore_put() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_delete(
    store: *const cfgstore_t,
    key: *const c_char,
    key_length: usize,
    if_revision: i64,
    revision: *mut i64,
    deleted: *mut bool,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    writing(error, || {
        let store = handle(store, "store")?;
        let key = key_argument(key, key_length)?;
        let options = DeleteOptions {
            if_revision: condition(if_revision),
            ..DeleteOptions::default()
        };
        let done = store.client().delete(key, &options)?;
        set(revision, done.revision);
        set(deleted, done.deleted);
        Ok(())
    })
}

/// The revision of the store now. A later change has a greater one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_revision(
    store: *const cfgstore_t,
    revision: *mut i64,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let store = handle(store, "store")?;
        set(revision, store.revision()?);
        Ok(())
    })
}

pub(crate) fn key_argument<'a>(key: *const c_char, length: usize) -> Result<&'a [u8]> {
    bytes(key.cast(), length, MAX_KEY_BYTES, "key")
}

pub(crate) fn value_argument(value: *const c_void, length: usize) -> Result<Bytes> {
    bytes(value, length, CFGSTORE_VALUE_BYTES_MAX, "value").map(Bytes::copy_from_slice)
}

/// `None` for no condition; what else is below 0 is refused by the client.
pub(crate) fn condition(if_revision: i64) -> Option<i64> {
    (if_revision != CFGSTORE_ANY_REVISION).then_some(if_revision)
}

fn not_found(key: &[u8]) -> Error {
    let shown = key
        .utf8_chunks()
        .map(|chunk| chunk.valid())
        .collect::<Vec<_>>()
        .join("\u{fffd}");
    Error::new(ErrorKind::NotFound, format!("key {shown:?} does not exist"))
}
