//! Writing single keys.

use cfgstore_client::{DeleteOptions, PutOptions, checked_comment};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};

/// Writes a key. `if_revision`: only if its last change was in that revision (0: only if it is absent); negative: always.
/// `comment`: why, for the history; may be empty.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_put(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    value: CoreBytes,
    if_revision: i64,
    comment: CoreBytes,
    revision: *mut i64,
    error: *mut CoreError,
) -> bool {
    let put = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, value, reason, revision) = unsafe {
            (
                &mut *source,
                prefix.get(),
                key.get(),
                value.get(),
                comment.get(),
                &mut *revision,
            )
        };
        let options = PutOptions {
            if_revision: wanted(if_revision),
            comment: checked_comment(reason)?.to_owned(),
            ..PutOptions::default()
        };
        *revision = source
            .client(timeout_secs)?
            .put(whole_key(prefix, key)?, value.to_vec(), &options)?;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, put) }.is_some()
}

/// Deletes a key; that it is absent is no failure. `if_revision` and `comment` as in a put.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_delete(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    if_revision: i64,
    comment: CoreBytes,
    revision: *mut i64,
    error: *mut CoreError,
) -> bool {
    let delete = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, reason, revision) = unsafe {
            (
                &mut *source,
                prefix.get(),
                key.get(),
                comment.get(),
                &mut *revision,
            )
        };
        let options = DeleteOptions {
            if_revision: wanted(if_revision),
            comment: checked_comment(reason)?.to_owned(),
        };
        *revision = source
            .client(timeout_secs)?
            .delete(whole_key(prefix, key)?, &options)?
            .revision;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, delete) }.is_some()
}

/// C's way to say "no condition" is a negative number.
fn wanted(if_revision: i64) -> Option<i64> {
    (if_revision >= 0).then_some(if_revision)
}
