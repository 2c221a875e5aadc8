//! Keys and ranges of keys.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

use bytes::Bytes;
use triomphe::ThinArc;

/// The longest key, in bytes. etcd has no such limit of its own; ours keeps one index entry small.
pub const MAX_KEY_BYTES: usize = 64 * 1024;

/// A key, shared by every record, index entry and lease that names it: one pointer wide, one allocation per key.
///
/// Ordered, compared and hashed as its bytes, so that a map of keys is searched with a `&[u8]`.
#[derive(Clone)]
pub struct Key(ThinArc<(), u8>);

impl Key {
    /// Copies `bytes` into an allocation of its own.
    pub fn copy_from(bytes: &[u8]) -> Key {
        Key(ThinArc::from_header_and_slice((), bytes))
    }

    /// The bytes of the key.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The keys that an etcd `(key, range_end)` pair names. The only place that knows the rules:
///
/// | `range_end`   | keys                                   |
/// |---------------|----------------------------------------|
/// | empty         | `key` alone                            |
/// | the byte `\0` | every key at or after `key`            |
/// | other         | from `key` up to, not with, `range_end` |
///
/// A `range_end` at or before `key` names no key. `key = "\0", range_end = "\0"` names every key, as no key is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRange<'a> {
    /// One key.
    Single(&'a [u8]),
    /// Every key at or after the start.
    From(&'a [u8]),
    /// From the start up to, not with, the end.
    Between(&'a [u8], &'a [u8]),
}

impl<'a> KeyRange<'a> {
    /// Reads an etcd `(key, range_end)` pair.
    pub fn new(key: &'a [u8], range_end: &'a [u8]) -> KeyRange<'a> {
        match range_end {
            [] => KeyRange::Single(key),
            [0] => KeyRange::From(key),
            end => KeyRange::Between(key, end),
        }
    }

    /// The first key that may be in the range.
    pub fn start(&self) -> &'a [u8] {
        match *self {
            KeyRange::Single(key) | KeyRange::From(key) | KeyRange::Between(key, _) => key,
        }
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match *self {
            KeyRange::Single(single) => key == single,
            KeyRange::From(start) => key >= start,
            KeyRange::Between(start, end) => key >= start && key < end,
        }
    }

    /// Whether no key can be in the range (a watch on such a range is refused).
    pub fn is_empty(&self) -> bool {
        matches!(*self, KeyRange::Between(start, end) if start >= end)
    }

    /// The range as bounds for an ordered map. Not to be called on an empty range: ordered maps refuse start > end.
    pub(crate) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        assert!(!self.is_empty());
        match *self {
            KeyRange::Single(key) => (Bound::Included(key), Bound::Included(key)),
            KeyRange::From(start) => (Bound::Included(start), Bound::Unbounded),
            KeyRange::Between(start, end) => (Bound::Included(start), Bound::Excluded(end)),
        }
    }
}

/// The `range_end` that, with `prefix` as key, names every key that starts with `prefix`.
///
/// An empty prefix, and one of nothing but `0xff` bytes, give `\0`: every key at or after it.
pub fn prefix_range_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|&byte| byte != 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            Bytes::from(end)
        }
        None => Bytes::from_static(b"\0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_empty_ranges_have_no_keys() {
        let keys: [&[u8]; 7] = [b"\0", b"\0\0", b"a", b"a\0", b"ab", b"b", b"\xff"];
        let mut ranges = Vec::new();
        for key in keys {
            for end in [b"".as_slice()].into_iter().chain(keys) {
                ranges.push(KeyRange::new(key, end));
            }
        }
        for range in &ranges {
            let found = keys.iter().any(|key| range.contains(key));
            // The keys above hold a member of every range that is not empty.
            assert_eq!(found, !range.is_empty(), "{range:?}");
        }
    }

    #[test]
    fn range_end_decides() {
        assert_eq!(KeyRange::new(b"a", b""), KeyRange::Single(b"a"));
        assert_eq!(KeyRange::new(b"a", b"\0"), KeyRange::From(b"a"));
        assert_eq!(KeyRange::new(b"a", b"\0\0"), KeyRange::Between(b"a", b"\0\0"));
        assert!(KeyRange::new(b"\0", b"\0").contains(b"\0"));
        assert!(KeyRange::new(b"a", b"a").is_empty());
        assert!(KeyRange::new(b"a", b"\0\0").is_empty());
        assert!(!KeyRange::new(b"a", b"a\0").is_empty());
    }

    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_range_end(b"a/"), "a0");
        assert_eq!(prefix_range_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_range_end(b"\xff\xff"), "\0");
        assert_eq!(prefix_range_end(b""), "\0");
    }
}
