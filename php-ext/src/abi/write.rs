//! Writing single keys.

use cfgstore_client::{Error, ErrorKind, PutOptions};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};

/// Longest comment that a store keeps, in bytes.
const COMMENT_MAX_BYTES: usize = 1024;

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

/// Deletes a key; that it is absent is no failure. `if_revision` as in a put.
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
    revision: *mut i64,
    error: *mut CoreError,
) -> bool {
    let delete = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, revision) =
            unsafe { (&mut *source, prefix.get(), key.get(), &mut *revision) };
        *revision = source
            .client(timeout_secs)?
            .delete(whole_key(prefix, key)?, wanted(if_revision))?
            .revision;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, delete) }.is_some()
}

/// A reason for a write, as a store keeps it: one that does not suit it would be left out without a word.
pub(super) fn checked_comment(bytes: &[u8]) -> Result<&str, Error> {
    let refused = |what: String| {
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("the comment {what}"),
        ))
    };
    if bytes.len() > COMMENT_MAX_BYTES {
        return refused(format!(
            "has {} bytes; at most {COMMENT_MAX_BYTES} are kept",
            bytes.len()
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.trim().contains(char::is_control) => Ok(text),
        _ => refused("is not one line of UTF-8 text".to_owned()),
    }
}

/// C's way to say "no condition" is a negative number.
fn wanted(if_revision: i64) -> Option<i64> {
    (if_revision >= 0).then_some(if_revision)
}
