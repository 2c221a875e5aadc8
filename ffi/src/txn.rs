//! Transactions.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, PoisonError};

use cfgstore_client::{Result, Txn};
use cfgstore_server::embedded::Store;

use crate::boundary::{handle, out, reading, set, take, unfailing, writing};
use crate::error::cfgstore_error_t;
use crate::status::cfgstore_status_t;
use crate::store::{CFGSTORE_ANY_REVISION, cfgstore_t, key_argument, value_argument};

/// A transaction under construction: conditions and writes, all of which happen in one revision, or none does.
/// Nothing is sent before cfgstore_txn_commit(). Free it with cfgstore_txn_free().
pub struct cfgstore_txn_t {
    store: Store,
    txn: Mutex<Txn>,
}

impl cfgstore_txn_t {
    fn add(&self, step: impl FnOnce(Txn) -> Txn) {
        let mut txn = self.txn.lock().unwrap_or_else(PoisonError::into_inner);
        *txn = step(std::mem::take(&mut *txn));
    }
}

/// An empty transaction. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_new(
    store: *const cfgstore_t,
    txn: *mut *mut cfgstore_txn_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let txn = out(txn, "txn")?;
        let store = handle(store, "store")?.store.clone();
        txn.give(cfgstore_txn_t {
            store,
            txn: Mutex::default(),
        });
        Ok(())
    })
}

/// Adds a condition: the key's last change was in this revision; or CFGSTORE_PRESENT, CFGSTORE_ABSENT;
/// CFGSTORE_ANY_REVISION is no condition. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_if_revision(
    txn: *const cfgstore_txn_t,
    key: *const c_char,
    key_length: usize,
    revision: i64,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    change(txn, error, || {
        let key = key_argument(key, key_length)?.to_vec();
        Ok(move |txn: Txn| {
            if revision == CFGSTORE_ANY_REVISION {
                txn
            } else {
                txn.if_revision(key, revision)
            }
        })
    })
}

/// Adds a write of a value. Does not wait. A key may be written once in a transaction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_put(
    txn: *const cfgstore_txn_t,
    key: *const c_char,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    change(txn, error, || {
        let key = key_argument(key, key_length)?.to_vec();
        let value = value_argument(value, value_length)?;
        Ok(move |txn: Txn| txn.put(key, value))
    })
}

/// Adds the deletion of a key, which need not exist. Does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_delete(
    txn: *const cfgstore_txn_t,
    key: *const c_char,
    key_length: usize,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    change(txn, error, || {
        let key = key_argument(key, key_length)?.to_vec();
        Ok(move |txn: Txn| txn.delete(key))
    })
}

/// Commits a transaction. It stays as it is, so that it can be committed again, and must be freed.
///
/// `revision`, which may be NULL, receives that of its writes. Fails with CFGSTORE_CONFLICT if a condition does not
/// hold: nothing was written then. Fails with CFGSTORE_TOO_LARGE above the server's limit, 128 conditions or writes
/// unless its operator set another. Otherwise fails as cfgstore_put() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_commit(
    txn: *const cfgstore_txn_t,
    revision: *mut i64,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    writing(error, || {
        let txn = handle(txn, "txn")?;
        let committed = txn.txn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        set(revision, txn.store.client().txn(committed)?.revision);
        Ok(())
    })
}

/// Frees a transaction. NULL is allowed. One that was not committed does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_txn_free(txn: *mut cfgstore_txn_t) {
    unfailing((), || drop(take(txn)));
}

fn change<Step: FnOnce(Txn) -> Txn>(
    txn: *const cfgstore_txn_t,
    error: *mut cfgstore_error_t,
    step: impl FnOnce() -> Result<Step>,
) -> cfgstore_status_t {
    reading(error, || {
        let txn = handle(txn, "txn")?;
        txn.add(step()?);
        Ok(())
    })
}
