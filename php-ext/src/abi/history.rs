//! The history of keys, and making them again what they were.

use cfgstore_client::{ChangeKind, Error, ErrorKind, HistoryChange, HistoryQuery, Range, checked_comment};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard, quietly};
use super::watch::CoreChange;

/// What a question about the history found, and C's view of it.
#[derive(Default)]
pub struct History {
    #[expect(dead_code, reason = "owns the bytes that `changes` points to")]
    found: Vec<HistoryChange>,
    changes: Vec<CoreHistoryChange>,
}

/// A change that the history holds. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreHistoryChange {
    /// What was changed. The value before is also unknown where it is sealed and could not be opened.
    pub change: CoreChange,
    /// When, in milliseconds since 1970.
    pub time_unix_ms: i64,
    /// The authenticated user; empty: none.
    pub user: CoreBytes,
    /// What the client called itself; may be empty.
    pub client: CoreBytes,
    /// Where the call came from; may be empty.
    pub address: CoreBytes,
    /// Why; may be empty.
    pub comment: CoreBytes,
}

impl CoreHistoryChange {
    fn of(change: &HistoryChange) -> CoreHistoryChange {
        let text = |text: &str| CoreBytes::of(text.as_bytes());
        CoreHistoryChange {
            change: CoreChange {
                deleted: change.kind == ChangeKind::Delete,
                key: CoreBytes::of(&change.key),
                value: CoreBytes::of(&change.value),
                has_previous: change.previous_value.is_some(),
                previous: change
                    .previous_value
                    .as_deref()
                    .map_or(CoreBytes::empty(), CoreBytes::of),
                revision: change.revision,
                unopened: change
                    .unopened
                    .as_ref()
                    .map_or(CoreBytes::empty(), |error| text(&error.message)),
            },
            time_unix_ms: change.time_unix_ms,
            user: text(&change.author.user),
            client: text(&change.author.client),
            address: text(&change.author.address),
            comment: text(&change.comment),
        }
    }
}

/// The kept changes of a key, or with `is_prefix` of all keys that begin with it, the newest first; at most `limit`, 0: all.
///
/// `changes` and `count` describe memory of the store's, valid until `cfgstore_core_history_forget`, which is due when they
/// have been looked at, the next history or close.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_history(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    is_prefix: bool,
    limit: u64,
    changes: *mut *const CoreHistoryChange,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let history = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, changes, count) =
            unsafe { (&mut *source, prefix.get(), key.get(), &mut *changes, &mut *count) };
        source.history = History::default();
        let query = HistoryQuery {
            newest_first: true,
            limit,
            ..HistoryQuery::of(range(prefix, key, is_prefix)?)
        };
        let found = source.client(timeout_secs)?.history(&query)?;
        source.history = History {
            changes: found.iter().map(CoreHistoryChange::of).collect(),
            found,
        };
        *changes = source.history.changes.as_ptr();
        *count = source.history.changes.len();
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, history) }.is_some()
}

/// Frees what the last history found.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_history_forget(source: *mut CoreSource) {
    // SAFETY: the caller holds the handle.
    quietly(|| unsafe { &mut *source }.history = History::default());
}

/// Makes a key, or with `is_prefix` all keys that begin with it, what they were at a revision, as one new revision.
/// `comment`: why, for the history; may be empty.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_rollback(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    is_prefix: bool,
    to_revision: i64,
    comment: CoreBytes,
    revision: *mut i64,
    error: *mut CoreError,
) -> bool {
    let rollback = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, comment, revision) = unsafe {
            (
                &mut *source,
                prefix.get(),
                key.get(),
                comment.get(),
                &mut *revision,
            )
        };
        if to_revision < 1 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("revision {to_revision} is no revision; they begin at 1"),
            ));
        }
        let range = range(prefix, key, is_prefix)?;
        let comment = checked_comment(comment)?;
        let applied = source
            .client(timeout_secs)?
            .rollback(&range, to_revision, false, comment)?;
        *revision = applied.revision;
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, rollback) }.is_some()
}

fn range(prefix: &[u8], key: &[u8], is_prefix: bool) -> Result<Range, Error> {
    if is_prefix {
        return Ok(Range::prefix([prefix, key].concat()));
    }
    Ok(Range::key(whole_key(prefix, key)?))
}
