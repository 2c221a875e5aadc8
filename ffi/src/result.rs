//! What reads and watches hand out.

use std::ffi::c_char;

use cfgstore_client::{KeyValue, RangeResult};

use crate::boundary::{optional, take, unfailing};

/// What happened to a key.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum cfgstore_item_kind_t {
    /// The key has this value; in a watch: was given it.
    CFGSTORE_ITEM_PUT = 1,
    /// Only in a watch: the key was deleted. It has no value; mod_revision is that of the deletion.
    CFGSTORE_ITEM_DELETE = 2,
}

/// A key with its value, or a change of one. Belongs to the result it is from.
#[repr(C)]
pub struct cfgstore_item_t {
    /// The key, below the store's prefix. Never NULL, not NUL-terminated.
    pub key: *const c_char,
    /// Its length in bytes.
    pub key_length: usize,
    /// The value. Never NULL, not NUL-terminated.
    pub value: *const c_char,
    /// Its length in bytes.
    pub value_length: usize,
    /// Revision in which the key was created; 0 for a deletion.
    pub create_revision: i64,
    /// Revision of its last change, and in a watch of this one.
    pub mod_revision: i64,
    /// Number of changes since it was created, 1 for a new key; 0 for a deletion.
    pub version: i64,
    /// The etcd lease it dies with; 0: none.
    pub lease: i64,
    /// What happened.
    pub kind: cfgstore_item_kind_t,
    /// Why the value, which is sealed, could not be opened, UTF-8, not NUL-terminated; then value is what is stored. NULL: nothing is
    /// wrong. Only in results of cfgstore_range() and cfgstore_watch_next(): cfgstore_get() fails instead.
    pub unopened: *const c_char,
    /// Its length in bytes.
    pub unopened_length: usize,
}

/// What a read or a watch found: items, all read at one revision. Never changes. Free it with
/// cfgstore_result_free().
pub struct cfgstore_result_t {
    items: Vec<cfgstore_item_t>,
    revision: i64,
    more: bool,
    /// What the items point into.
    _owned: Vec<KeyValue>,
}

impl cfgstore_result_t {
    pub(crate) fn of_one(kv: KeyValue) -> cfgstore_result_t {
        let revision = kv.mod_revision;
        cfgstore_result_t::new(
            vec![(cfgstore_item_kind_t::CFGSTORE_ITEM_PUT, kv)],
            revision,
            false,
        )
    }

    pub(crate) fn of_range(found: RangeResult) -> cfgstore_result_t {
        let kvs = found
            .kvs
            .into_iter()
            .map(|kv| (cfgstore_item_kind_t::CFGSTORE_ITEM_PUT, kv))
            .collect();
        cfgstore_result_t::new(kvs, found.revision, found.more)
    }

    pub(crate) fn new(
        kvs: Vec<(cfgstore_item_kind_t, KeyValue)>,
        revision: i64,
        more: bool,
    ) -> cfgstore_result_t {
        // `Bytes` do not move their content when they are moved, so the pointers hold.
        let (items, owned) = kvs.into_iter().map(|(kind, kv)| (item(kind, &kv), kv)).unzip();
        cfgstore_result_t {
            items,
            revision,
            more,
            _owned: owned,
        }
    }
}

fn item(kind: cfgstore_item_kind_t, kv: &KeyValue) -> cfgstore_item_t {
    // In a box, so it stays where it is when the pair that owns it moves.
    let unopened = kv.unopened.as_ref().map(|error| error.message.as_bytes());
    cfgstore_item_t {
        key: kv.key.as_ptr().cast(),
        key_length: kv.key.len(),
        value: kv.value.as_ptr().cast(),
        value_length: kv.value.len(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
        kind,
        unopened: unopened.map_or(std::ptr::null(), |text| text.as_ptr().cast()),
        unopened_length: unopened.map_or(0, <[u8]>::len),
    }
}

/// Number of items; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_result_count(result: *const cfgstore_result_t) -> usize {
    unfailing(0, || optional(result).map_or(0, |result| result.items.len()))
}

/// The item at an index from 0, in ascending order of keys, or of a watch in the order of the changes. NULL if there
/// is none. It lives until the result is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_result_item(
    result: *const cfgstore_result_t,
    index: usize,
) -> *const cfgstore_item_t {
    unfailing(std::ptr::null(), || {
        let found = optional(result).and_then(|result| result.items.get(index));
        found.map_or(std::ptr::null(), |item| item)
    })
}

/// Of cfgstore_range(): revision of the store when it was read, so that a watch from the next one misses nothing. Of
/// cfgstore_get(): revision of the key's last change. Of a watch: revision of the changes. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_result_revision(result: *const cfgstore_result_t) -> i64 {
    unfailing(0, || optional(result).map_or(0, |result| result.revision))
}

/// Whether the limit of a cfgstore_range() cut the result short.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_result_more(result: *const cfgstore_result_t) -> bool {
    unfailing(false, || optional(result).is_some_and(|result| result.more))
}

/// Frees a result with its items. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_result_free(result: *mut cfgstore_result_t) {
    unfailing((), || drop(take(result)));
}
