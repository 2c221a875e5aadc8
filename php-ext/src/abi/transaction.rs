//! Transactions: gathered step by step, sent at once.

use cfgstore_client::{Error, ErrorKind, Txn, checked_comment};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard, quietly};

/// A transaction under construction.
#[derive(Default)]
pub struct CoreTransaction {
    txn: Txn,
}

/// What a step of a transaction asks or does.
#[repr(C)]
pub enum CoreStep {
    /// Only if the key's last change was in the given revision.
    IfRevision,
    /// Only if the key exists.
    IfExists,
    /// Only if the key does not exist.
    IfAbsent,
    /// Only if the lock with this key and, as revision, this token is held.
    IfHeld,
    /// Writes the value.
    Put,
    /// Deletes the key.
    Delete,
}

/// An empty transaction.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_core_transaction_new() -> *mut CoreTransaction {
    Box::into_raw(Box::default())
}

/// Gives a transaction up. Null is allowed.
///
/// # Safety
/// As the module says; the handle is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_transaction_free(transaction: *mut CoreTransaction) {
    if !transaction.is_null() {
        // SAFETY: the handle came from `Box::into_raw` and the caller gives it up.
        quietly(|| drop(unsafe { Box::from_raw(transaction) }));
    }
}

/// Adds a step. `value` matters to a put, `revision` to `IfRevision` and `IfHeld`.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_transaction_add(
    transaction: *mut CoreTransaction,
    step: CoreStep,
    prefix: CoreBytes,
    key: CoreBytes,
    value: CoreBytes,
    revision: i64,
    error: *mut CoreError,
) -> bool {
    let add = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (transaction, prefix, key, value) =
            unsafe { (&mut *transaction, prefix.get(), key.get(), value.get()) };
        // A lock's key is whole.
        let key = match step {
            CoreStep::IfHeld => key.to_vec(),
            _ => whole_key(prefix, key)?,
        };
        if matches!(step, CoreStep::IfRevision) && revision < 1 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "revision {revision} is no revision of a key; they begin at 1 (ifAbsent() asks for none)"
                ),
            ));
        }
        let txn = std::mem::take(&mut transaction.txn);
        transaction.txn = match step {
            CoreStep::IfRevision => txn.if_revision(key, revision),
            CoreStep::IfExists => txn.if_exists(key),
            CoreStep::IfAbsent => txn.if_absent(key),
            CoreStep::IfHeld => txn.if_held(key, revision),
            CoreStep::Put => txn.put(key, value.to_vec()),
            CoreStep::Delete => txn.delete(key),
        };
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, add) }.is_some()
}

/// Says why, for the history; may be empty.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_transaction_comment(
    transaction: *mut CoreTransaction,
    text: CoreBytes,
    error: *mut CoreError,
) -> bool {
    let add = || {
        // SAFETY: the caller holds the handle and lends the text.
        let (transaction, text) = unsafe { (&mut *transaction, checked_comment(text.get())?) };
        transaction.txn = std::mem::take(&mut transaction.txn).comment(text);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, add) }.is_some()
}

/// Sends the transaction, and frees it whatever comes of it. That a condition does not hold is a `Conflict`.
///
/// # Safety
/// As the module says; the transaction's handle is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_transaction_commit(
    source: *mut CoreSource,
    timeout_secs: f64,
    transaction: *mut CoreTransaction,
    revision: *mut i64,
    error: *mut CoreError,
) -> bool {
    let commit = || {
        // SAFETY: the caller holds the source, lends `revision`, and gives up the transaction, which came from `Box::into_raw`.
        let (source, transaction, revision) =
            unsafe { (&mut *source, Box::from_raw(transaction), &mut *revision) };
        *revision = source.client(timeout_secs)?.txn(transaction.txn)?.revision;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, commit) }.is_some()
}
