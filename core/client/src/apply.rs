//! Making many keys what they are to be, as one revision: a call of cfgstore's own.

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_client::HistoryClient;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

use crate::call::{Call, on};
use crate::client::{Client, revision};
use crate::connection::Connection;
use crate::error::Result;
use crate::keyspace::Keyspace;

/// Where a caller's reason for a write travels.
const COMMENT_HEADER: &str = "cfgstore-comment";

/// What is to be there. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apply {
    /// Keys and their values; each key once.
    pub entries: Vec<(Vec<u8>, Bytes)>,
    /// Delete the keys with this prefix that no entry names; all entries must begin with it. `None`: delete none.
    pub prune: Option<Vec<u8>>,
    /// Change nothing, and tell what would be changed.
    pub dry_run: bool,
    /// Fail if a key that would be changed has been since this revision; 0: do not look.
    pub if_unchanged_since: i64,
    /// Why, for the history; empty: no reason.
    pub comment: String,
}

/// What [`Client::apply`] did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The revision made, or the present one if nothing was changed.
    pub revision: i64,
    /// What changed, in order of the keys.
    pub changes: Vec<AppliedChange>,
}

/// One key that [`Client::apply`] changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedChange {
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// Its new value; `None`: it was deleted.
    pub value: Option<Bytes>,
    /// Its value before; `None`: it was not there.
    pub previous_value: Option<Bytes>,
}

impl Client {
    /// Makes keys what `apply` says, all in one revision or none. An etcd has no such call:
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    pub async fn apply(&self, apply: &Apply) -> Result<Applied> {
        let keyspace = self.keyspace();
        let mut request = pb::ApplyRequest {
            dry_run: apply.dry_run,
            if_unchanged_since: apply.if_unchanged_since,
            ..Default::default()
        };
        for (key, value) in &apply.entries {
            request.entries.push(pb::Entry {
                key: keyspace.key(key)?,
                value: value.clone(),
            });
        }
        if let Some(prefix) = &apply.prune {
            let span = keyspace.below(prefix)?;
            (request.key, request.range_end) = (span.key, span.range_end);
        }
        let attempt = |connection: Connection| {
            let request = commented(request.clone(), &apply.comment);
            async move { on!(HistoryClient, connection).apply(request).await }
        };
        let call = Call {
            name: "apply",
            about: b"",
            writes: !apply.dry_run,
        };
        let answer = self.call(call, attempt).await?;
        Ok(applied(keyspace, answer))
    }
}

/// What an answer says was changed.
pub(crate) fn applied(keyspace: &Keyspace, answer: pb::ApplyResponse) -> Applied {
    let changes = answer.changes.into_iter().map(|change| AppliedChange {
        value: (change.kind() == pb::change::Kind::Put).then(|| change.value.clone()),
        previous_value: change.has_previous_value.then_some(change.previous_value),
        key: keyspace.strip(change.key),
    });
    Applied {
        changes: changes.collect(),
        revision: revision(answer.header),
    }
}

/// A request with the reason for a write; an empty one is none.
pub(crate) fn commented<T>(request: T, text: &str) -> Request<T> {
    let mut request = Request::new(request);
    if let Some(comment) = comment(text) {
        request.metadata_mut().insert(COMMENT_HEADER, comment);
    }
    request
}

/// Headers are ASCII: what is not, and `%`, is percent-encoded.
fn comment(text: &str) -> Option<AsciiMetadataValue> {
    let mut encoded = String::new();
    for byte in text.trim().bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => encoded += &format!("%{byte:02X}"),
            byte => encoded.push(char::from(byte)),
        }
    }
    encoded.parse().ok().filter(|_| !encoded.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_travel_as_ascii() {
        assert_eq!(comment(" 100% Größe\n"), "100%25 Gr%C3%B6%C3%9Fe".parse().ok());
        assert_eq!(comment("\t"), None);
    }
}
