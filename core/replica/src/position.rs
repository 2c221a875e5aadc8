//! A state together with the log position it is the result of: what checkpoints and snapshots hold.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use cfgstore_store::State;

use crate::raft::codec::{decode_membership, encode_membership};
use crate::raft::types::{StoredMembership, from_wal_id, to_wal_id};
use crate::wal::format::{LogId, put_log_id};

/// State, last entry applied to it, and the membership at that entry.
#[derive(Clone)]
pub(crate) struct Position {
    pub(crate) log_id: Option<LogId>,
    pub(crate) membership: Arc<StoredMembership>,
    pub(crate) state: Arc<State>,
}

impl Position {
    /// Index of the last entry applied; 0 also when there is none.
    pub(crate) fn index(&self) -> u64 {
        self.log_id.map_or(0, |log_id| log_id.index)
    }
}

/// Length of an encoded optional log id.
const LOG_ID_BYTES: usize = 32;

/// Takes an optional log id off the front.
pub(crate) fn take_log_id(bytes: &mut Bytes) -> Option<Option<LogId>> {
    if bytes.len() < LOG_ID_BYTES {
        return None;
    }
    let present = bytes.get_u64_le();
    let log_id = LogId {
        term: bytes.get_u64_le(),
        leader: bytes.get_u64_le(),
        index: bytes.get_u64_le(),
    };
    match present {
        0 => Some(None),
        1 => Some(Some(log_id)),
        _ => None,
    }
}

/// Appends a membership and the entry that made it.
pub(crate) fn put_membership(membership: &StoredMembership, out: &mut BytesMut) {
    put_log_id(membership.log_id().as_ref().map(to_wal_id), out);
    encode_membership(membership.membership(), out);
}

/// Takes a membership and the entry that made it off the front.
pub(crate) fn take_membership(bytes: &mut Bytes) -> Option<StoredMembership> {
    let log_id = take_log_id(bytes)?.map(from_wal_id);
    Some(StoredMembership::new(log_id, decode_membership(bytes).ok()?))
}
