//! Keys, values and the requests on them.

use bytes::Bytes;
use cfgstore_proto::{etcdserverpb as pb, mvccpb};

use crate::error::{Error, Result};
use crate::keyspace::{Keyspace, Span};

/// A key with its value and revisions. Revisions count every change of the whole store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// The value; the one that was put, if it was sealed.
    pub value: Bytes,
    /// Why a sealed value could not be opened; then `value` is what is stored. `None`: there is nothing wrong.
    pub unopened: Option<Box<Error>>,
    /// Revision in which the key was created.
    pub create_revision: i64,
    /// Revision of its last change.
    pub mod_revision: i64,
    /// Number of changes since it was created; 1 for a new key.
    pub version: i64,
    /// The lease it dies with; 0: none.
    pub lease: i64,
}

impl KeyValue {
    pub(crate) fn from_wire(kv: mvccpb::KeyValue, keyspace: &Keyspace) -> KeyValue {
        let (value, unopened) = keyspace.open(&kv.key, kv.value);
        KeyValue {
            value,
            unopened,
            ..KeyValue::without_value(
                mvccpb::KeyValue {
                    value: Bytes::new(),
                    ..kv
                },
                keyspace,
            )
        }
    }

    /// Of an answer that leaves the value out.
    pub(crate) fn without_value(kv: mvccpb::KeyValue, keyspace: &Keyspace) -> KeyValue {
        KeyValue {
            key: keyspace.strip(kv.key),
            value: Bytes::new(),
            unopened: None,
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

/// Options of a put. The default writes whatever is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Write only if the key's last change was in this revision; 0: only if the key does not exist.
    pub if_revision: Option<i64>,
    /// The lease with which the key dies; 0: none.
    pub lease: i64,
    /// Why, for the history: one line of UTF-8, at most [`MAX_COMMENT_BYTES`](crate::MAX_COMMENT_BYTES); empty: no reason. An
    /// etcd ignores it.
    pub comment: String,
}

/// Options of a delete. The default deletes whatever is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Delete only if the key's last change was in this revision; 0: only if the key does not exist.
    pub if_revision: Option<i64>,
    /// Why; see [`PutOptions::comment`].
    pub comment: String,
}

/// What a delete did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Revision of the store after the delete.
    pub revision: i64,
    /// Whether the key existed.
    pub deleted: bool,
}

/// Which keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub(crate) start: Vec<u8>,
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) single: bool,
    pub(crate) limit: i64,
    pub(crate) revision: i64,
    pub(crate) keys_only: bool,
    pub(crate) serializable: bool,
}

impl Range {
    fn new(start: &[u8], single: bool) -> Range {
        Range {
            start: start.to_vec(),
            after: None,
            single,
            limit: 0,
            revision: 0,
            keys_only: false,
            serializable: false,
        }
    }

    /// One key.
    pub fn key(key: impl AsRef<[u8]>) -> Range {
        Range::new(key.as_ref(), true)
    }

    /// Every key that begins with `prefix`; empty: every key below the client's prefix. In ascending order.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Range {
        Range::new(prefix.as_ref(), false)
    }

    /// At most so many keys; 0: no limit. Reserved keys that are left out count too.
    pub fn limit(mut self, keys: u32) -> Range {
        self.limit = i64::from(keys);
        self
    }

    /// Only the keys of the prefix that come after this one: the next page, when `key` is the last of a page. Without
    /// effect on a range of one key.
    pub fn after(mut self, key: impl AsRef<[u8]>) -> Range {
        self.after = Some(key.as_ref().to_vec());
        self
    }

    /// As it was at this revision; 0: now.
    pub fn revision(mut self, revision: i64) -> Range {
        self.revision = revision;
        self
    }

    /// Without the values.
    pub fn keys_only(mut self) -> Range {
        self.keys_only = true;
        self
    }

    /// From the member that is asked, without asking the others: faster, works without a leader, may be stale.
    pub fn serializable(mut self) -> Range {
        self.serializable = true;
        self
    }

    pub(crate) fn span(&self, keyspace: &Keyspace) -> Result<Span> {
        if self.single {
            let key = keyspace.key(&self.start)?;
            return Ok(Span {
                key,
                range_end: Bytes::new(),
                hides_reserved: false,
            });
        }
        let mut span = keyspace.below(&self.start)?;
        if let Some(after) = &self.after {
            // The smallest key above it.
            let next = keyspace.key(&[after, &b"\0"[..]].concat())?;
            span.key = span.key.max(next);
        }
        Ok(span)
    }

    pub(crate) fn to_wire(&self, span: &Span) -> pb::RangeRequest {
        pb::RangeRequest {
            key: span.key.clone(),
            range_end: span.range_end.clone(),
            limit: self.limit,
            revision: self.revision,
            keys_only: self.keys_only,
            serializable: self.serializable,
            ..pb::RangeRequest::default()
        }
    }
}

/// What a [`Range`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeResult {
    /// The keys, in ascending order.
    pub kvs: Vec<KeyValue>,
    /// Number of keys in the range, whatever the limit says.
    pub count: i64,
    /// The limit cut the result short.
    pub more: bool,
    /// Revision of the store when it was read.
    pub revision: i64,
}
