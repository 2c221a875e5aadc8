//! Making many keys what they are to be, as one revision: a call of cfgstore's own.

use std::collections::BTreeMap;

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_client::HistoryClient;
use cfgstore_proto::etcdserverpb::RangeRequest;

use crate::call::{Call, on};
use crate::client::{Client, revision};
use crate::comment::Comment;
use crate::connection::Connection;
use crate::difference::KeyDifference;
use crate::error::Result;
use crate::keyspace::Keyspace;

/// What is to be there. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apply {
    /// Keys and their values, which are sealed if [`Options::keyring`](crate::Options::keyring) says so; each key once.
    pub entries: Vec<(Vec<u8>, Bytes)>,
    /// Delete the keys with this prefix that no entry names; all entries must begin with it. `None`: delete none.
    pub prune: Option<Vec<u8>>,
    /// Change nothing, and tell what would be changed, or why it would be refused.
    pub dry_run: bool,
    /// Fail if a key that would be changed has been since this revision; 0: do not look.
    pub if_unchanged_since: i64,
    /// Why, for the history; see [`PutOptions::comment`](crate::PutOptions::comment).
    pub comment: String,
}

/// What [`Client::apply`] did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The revision made, or the present one if nothing was changed.
    pub revision: i64,
    /// What changed, in order of the keys.
    pub changes: Vec<KeyDifference>,
}

impl Client {
    /// Makes keys what `apply` says, all in one revision or none. An etcd has no such call:
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    pub async fn apply(&self, apply: &Apply) -> Result<Applied> {
        let keyspace = self.keyspace();
        let mut request = pb::ApplyRequest {
            entries: self.sealed(&apply.entries).await?,
            dry_run: apply.dry_run,
            if_unchanged_since: apply.if_unchanged_since,
            ..Default::default()
        };
        if let Some(prefix) = &apply.prune {
            let span = keyspace.below(prefix)?;
            (request.key, request.range_end) = (span.key, span.range_end);
        }
        let comment = Comment::new(&apply.comment)?;
        let attempt = |connection: Connection| {
            let request = comment.on(request.clone());
            async move { on!(HistoryClient, connection).apply(request).await }
        };
        let call = Call {
            name: "apply",
            about: b"",
            writes: !apply.dry_run,
        };
        let answer = self.call(call, attempt).await?;
        self.note_cluster(answer.header.as_ref());
        Ok(applied(keyspace, answer))
    }

    /// Entries as they are to be stored. What is there already stays as it is: sealed once more, it would be another value.
    async fn sealed(&self, entries: &[(Vec<u8>, Bytes)]) -> Result<Vec<pb::Entry>> {
        let keyspace = self.keyspace();
        let mut stored = Vec::new();
        let mut sealed = BTreeMap::new();
        for (key, plain) in entries {
            let key = keyspace.key(key)?;
            let value = keyspace.seal(&key, plain.clone())?;
            if value != *plain {
                sealed.insert(key.clone(), (stored.len(), plain));
            }
            stored.push(pb::Entry { key, value });
        }
        let (Some((first, _)), Some((last, _))) = (sealed.first_key_value(), sealed.last_key_value()) else {
            return Ok(stored);
        };
        let present = RangeRequest {
            key: first.clone(),
            range_end: [last, &b"\0"[..]].concat().into(),
            ..RangeRequest::default()
        };
        for kv in self.range_as_is(present).await?.kvs {
            if let Some(&(at, plain)) = sealed.get(&kv.key)
                && keyspace.open(&kv.key, kv.value.clone()) == (plain.clone(), None)
            {
                stored[at].value = kv.value;
            }
        }
        Ok(stored)
    }
}

/// What an answer says was changed.
pub(crate) fn applied(keyspace: &Keyspace, answer: pb::ApplyResponse) -> Applied {
    let changes = answer.changes.into_iter().map(|change| {
        let after = (change.kind() == pb::change::Kind::Put).then(|| change.value.clone());
        let before = change.has_previous_value.then_some(change.previous_value);
        KeyDifference::opened(keyspace, change.key, before, after)
    });
    Applied {
        changes: changes.collect(),
        revision: revision(answer.header),
    }
}
