//! History: who changed what, the keys as they were, and making them so again. Calls of cfgstore's own: an etcd answers
//! [`Unsupported`](crate::ErrorKind::Unsupported).

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_client::HistoryClient;
use tonic::Response;

use crate::apply::{Applied, applied};
use crate::call::{Call, attempt, on};
use crate::client::Client;
use crate::comment::Comment;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::keyspace::{Keyspace, Span};
use crate::kv::Range;
use crate::watch::ChangeKind;

/// Which changes to read. Bounds are inclusive; 0 is no bound. The default, of a range, is all of them, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of which keys; its limit and revision do not count here.
    pub range: Range,
    /// Made at this revision or later.
    pub from_revision: i64,
    /// Made at this revision or earlier.
    pub to_revision: i64,
    /// Made at this time or later, in milliseconds since 1970.
    pub from_time_unix_ms: i64,
    /// Made at this time or earlier.
    pub to_time_unix_ms: i64,
    /// By this user, or by a client of this name that had not authenticated; empty: by anybody.
    pub author: String,
    /// The newest first.
    pub newest_first: bool,
    /// At most so many; 0: all.
    pub limit: u64,
}

impl HistoryQuery {
    /// All changes of a range.
    pub fn of(range: Range) -> HistoryQuery {
        HistoryQuery {
            range,
            from_revision: 0,
            to_revision: 0,
            from_time_unix_ms: 0,
            to_time_unix_ms: 0,
            author: String::new(),
            newest_first: false,
            limit: 0,
        }
    }

    pub(crate) fn to_wire(&self, span: &Span) -> pb::ChangesRequest {
        pb::ChangesRequest {
            key: span.key.clone(),
            range_end: span.range_end.clone(),
            from_revision: self.from_revision,
            to_revision: self.to_revision,
            from_time_unix_ms: self.from_time_unix_ms,
            to_time_unix_ms: self.to_time_unix_ms,
            author: self.author.clone(),
            descending: self.newest_first,
            limit: self.limit,
            follow: false,
            keys_only: false,
        }
    }
}

/// One change of one key, as the history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryChange {
    /// Whether it was put or deleted.
    pub kind: ChangeKind,
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// The revision that the change made.
    pub revision: i64,
    /// When, in milliseconds since 1970.
    pub time_unix_ms: i64,
    /// By whom.
    pub author: Author,
    /// Why, in the author's words; may be empty.
    pub comment: String,
    /// The value put, opened if it was sealed; empty if it was deleted.
    pub value: Bytes,
    /// Why a sealed value could not be opened; then `value` is what is stored. `None`: there is nothing wrong.
    pub unopened: Option<Box<Error>>,
    /// Number of the value since the key was created; 0 if it was deleted.
    pub version: i64,
    /// The revision of the key's change before; 0: there was none.
    pub previous_revision: i64,
    /// The value before; `None` if there was none, it is no longer kept, or it is sealed and could not be opened.
    pub previous_value: Option<Bytes>,
}

/// Who made a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// The authenticated user; empty if the caller had not authenticated.
    pub user: String,
    /// What the client called itself, which nobody has verified; may be empty.
    pub client: String,
    /// Where the call came from: an address, or `unix:uid=33` for a process of the member's host.
    pub address: String,
}

impl Author {
    /// The user, else the name that the client stated, which then is not verified; may be empty.
    pub fn name(&self) -> &str {
        if self.user.is_empty() {
            &self.client
        } else {
            &self.user
        }
    }
}

/// A key as it was at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAt {
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// Its value, opened if it was sealed.
    pub value: Bytes,
    /// Why a sealed value could not be opened; then `value` is what is stored. `None`: there is nothing wrong.
    pub unopened: Option<Box<Error>>,
    /// The revision of its last change then.
    pub mod_revision: i64,
    /// Number of its value since it was created.
    pub version: i64,
}

/// How much history the keys of a prefix keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The keys begin with it, below the client's prefix; of several rules that with the longest prefix counts.
    pub prefix: Bytes,
    /// The most changes kept of one key; 0: none.
    pub count: u32,
    /// The longest time a change is kept, in seconds; 0: no bound.
    pub max_age_secs: u64,
}

pub(crate) fn change_from_wire(keyspace: &Keyspace, change: pb::Change) -> HistoryChange {
    let author = change.author.clone().unwrap_or_default();
    let open = |value: &Bytes| keyspace.open(&change.key, value.clone());
    let (value, unopened) = match change.kind() {
        pb::change::Kind::Put => open(&change.value),
        pb::change::Kind::Delete => (Bytes::new(), None),
    };
    let previous_value = match change.has_previous_value.then(|| open(&change.previous_value)) {
        Some((value, None)) => Some(value),
        _ => None,
    };
    HistoryChange {
        kind: match change.kind() {
            pb::change::Kind::Put => ChangeKind::Put,
            pb::change::Kind::Delete => ChangeKind::Delete,
        },
        key: keyspace.strip(change.key),
        revision: change.revision,
        time_unix_ms: change.time_unix_ms,
        author: Author {
            user: author.user,
            client: author.client,
            address: author.address,
        },
        comment: change.comment,
        value,
        unopened,
        version: change.version,
        previous_revision: change.previous_revision,
        previous_value,
    }
}

impl Client {
    /// The kept changes that the query selects. Answers as a whole: for very many, limit it and go on from the last revision.
    pub async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryChange>> {
        let span = query.range.span(self.keyspace())?;
        let request = query.to_wire(&span);
        let attempt = |connection: Connection| {
            let request = request.clone();
            async move {
                let answer = on!(HistoryClient, connection).changes(request).await?;
                let mut batches = answer.into_inner();
                let mut changes = Vec::new();
                while let Some(batch) = batches.message().await? {
                    changes.extend(batch.changes);
                }
                Ok(Response::new(changes))
            }
        };
        let call = Call::read("history", &query.range.start);
        let changes = self.call(call, attempt).await?;
        let wanted = changes.into_iter().filter(|change| span.wants(&change.key));
        Ok(wanted
            .map(|change| change_from_wire(self.keyspace(), change))
            .collect())
    }

    /// The keys of a range as they were at a revision, in order. Keys that a lease held are left out. Fails with
    /// [`Compacted`](crate::ErrorKind::Compacted) if the history does not go back that far.
    pub async fn keys_at(&self, range: &Range, revision: i64) -> Result<Vec<KeyAt>> {
        let span = range.span(self.keyspace())?;
        let request = pb::AtRequest {
            key: span.key.clone(),
            range_end: span.range_end.clone(),
            revision,
        };
        let call = Call::read("read of an old revision", &range.start);
        let answer = self.call(call, attempt!(HistoryClient, at, request)).await?;
        let wanted = answer.keys.into_iter().filter(|key| span.wants(&key.key));
        Ok(wanted
            .map(|key| {
                let (value, unopened) = self.keyspace().open(&key.key, key.value);
                KeyAt {
                    key: self.keyspace().strip(key.key),
                    value,
                    unopened,
                    mod_revision: key.mod_revision,
                    version: key.version,
                }
            })
            .collect())
    }

    /// Makes a range what it was at a revision, as one new revision: keys that were not there are deleted, others get their
    /// value back. With `dry_run`, only tells what would change, and fails where the rollback would. Fails as
    /// [`Client::keys_at`], and with what a put fails with.
    pub async fn rollback(
        &self,
        range: &Range,
        revision: i64,
        dry_run: bool,
        comment: &str,
    ) -> Result<Applied> {
        let span = range.span(self.keyspace())?;
        let request = pb::RollbackRequest {
            key: span.key,
            range_end: span.range_end,
            revision,
            dry_run,
        };
        let comment = Comment::new(comment)?;
        let attempt = |connection: Connection| {
            let request = comment.on(request.clone());
            async move { on!(HistoryClient, connection).rollback(request).await }
        };
        let call = Call {
            name: "rollback",
            about: &range.start,
            writes: !dry_run,
        };
        let answer = self.call(call, attempt).await?;
        self.note_cluster(answer.header.as_ref());
        Ok(applied(self.keyspace(), answer))
    }

    /// Says how much history the keys of a prefix keep; what is beyond that is forgotten at once.
    pub async fn set_retention(&self, rule: &Retention) -> Result<()> {
        self.retention_rule(rule, false).await
    }

    /// Removes the rule of a prefix. Of the empty prefix without a client's prefix, it becomes the default again.
    pub async fn remove_retention(&self, prefix: impl AsRef<[u8]>) -> Result<()> {
        let rule = Retention {
            prefix: Bytes::copy_from_slice(prefix.as_ref()),
            count: 0,
            max_age_secs: 0,
        };
        self.retention_rule(&rule, true).await
    }

    async fn retention_rule(&self, rule: &Retention, remove: bool) -> Result<()> {
        let prefix = [self.options().prefix.as_slice(), &rule.prefix].concat();
        let request = pb::SetRetentionRequest {
            retention: Some(pb::Retention {
                prefix: prefix.into(),
                count: rule.count,
                max_age_secs: rule.max_age_secs,
                floor_revision: 0,
            }),
            remove,
        };
        let call = Call::write("retention rule", &rule.prefix);
        self.call(call, attempt!(HistoryClient, set_retention, request))
            .await?;
        Ok(())
    }

    /// The retention rules for keys below the client's prefix, in order of their prefixes.
    pub async fn retention(&self) -> Result<Vec<Retention>> {
        let request = pb::ListRetentionRequest {};
        let call = Call::read("retention rules", b"");
        let answer = self
            .call(call, attempt!(HistoryClient, list_retention, request))
            .await?;
        let prefix = self.options().prefix.as_slice();
        let below = answer.retention.into_iter().filter_map(|rule| {
            let below = rule.prefix.strip_prefix(prefix)?;
            Some(Retention {
                prefix: rule.prefix.slice_ref(below),
                count: rule.count,
                max_age_secs: rule.max_age_secs,
            })
        });
        Ok(below.collect())
    }
}
