//! The history of keys, and making them again what they were.

use cfgstore_client::{ChangeKind, Error, ErrorKind, HistoryChange, HistoryQuery, Range, checked_comment};

use super::lent::Lent;
use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};
use super::watch::CoreChange;

/// Which changes are asked for: the newest first.
#[repr(C)]
pub struct CoreHistoryQuery {
    /// Of this key; below the prefix.
    pub key: CoreBytes,
    /// Of all keys that begin with it.
    pub is_prefix: bool,
    /// At most so many; 0: all.
    pub limit: u64,
    /// Made at this time or later, in milliseconds since 1970; 0: no bound.
    pub from_time_unix_ms: i64,
    /// Made at this time or earlier; 0: no bound.
    pub to_time_unix_ms: i64,
    /// By this user, or by a client of this name that had not authenticated; empty: by anybody.
    pub author: CoreBytes,
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
    pub(super) fn of(change: &HistoryChange) -> CoreHistoryChange {
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

/// The kept changes that are asked for.
///
/// `changes` and `count` describe memory of the store's, valid until `cfgstore_core_forget`, which is due when they have been looked
/// at, the next call that lends, or close.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_history(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    query: *const CoreHistoryQuery,
    changes: *mut *const CoreHistoryChange,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let history = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, asked, key, author, changes, count) = unsafe {
            let asked = &*query;
            (
                &mut *source,
                prefix.get(),
                asked,
                asked.key.get(),
                asked.author.get(),
                &mut *changes,
                &mut *count,
            )
        };
        let author = std::str::from_utf8(author)
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "the author is not UTF-8"))?;
        let query = HistoryQuery {
            from_time_unix_ms: asked.from_time_unix_ms,
            to_time_unix_ms: asked.to_time_unix_ms,
            author: author.to_owned(),
            newest_first: true,
            limit: asked.limit,
            ..HistoryQuery::of(range(prefix, key, asked.is_prefix)?)
        };
        let found = source.client(timeout_secs)?.history(&query)?;
        Lent::of(found, CoreHistoryChange::of).lend(source, changes, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, history) }.is_some()
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
        let to_revision = revision_argument(to_revision)?;
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

/// A revision that C passes on as the user has given it.
pub(super) fn revision_argument(revision: i64) -> Result<i64, Error> {
    if revision < 1 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("revision {revision} is no revision; they begin at 1"),
        ));
    }
    Ok(revision)
}

pub(super) fn range(prefix: &[u8], key: &[u8], is_prefix: bool) -> Result<Range, Error> {
    if is_prefix {
        return Ok(Range::prefix([prefix, key].concat()));
    }
    Ok(Range::key(whole_key(prefix, key)?))
}
