//! The asynchronous client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use tokio::time::Instant;

use crate::blocking::LONGEST_WAIT;
use crate::call::{Call, attempt, on};
use crate::comment::Comment;
use crate::connection::{Connection, Connections};
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::Keyspace;
use crate::kv::{DeleteOptions, Deleted, KeyValue, PutOptions, Range, RangeResult};
use crate::lock::{Lock, LockOptions};
use crate::options::Options;
use crate::pin::ClusterPin;
use crate::txn::{Txn, TxnOutcome};
use crate::watch::{Watch, WatchOptions};

/// An asynchronous client. Cheap to clone; clones share one connection. Nothing is connected before the first
/// call. Every call ends within [`Options::call_timeout`].
///
/// A read is sent again, to another member if there is one, as long as its deadline allows. A write is sent
/// again only if the earlier attempt certainly had no effect; otherwise its error says
/// [`maybe_committed`](Error::maybe_committed).
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    keyspace: Keyspace,
    connections: Connections,
    /// Of the last write's answer; 0: none yet.
    cluster_id: AtomicU64,
    /// Something drives the runtime between calls, so that keep-alives can be sent.
    always_driven: bool,
}

impl Client {
    /// A client with these options, for use inside a tokio runtime that runs all the time. Fails only if the
    /// options contradict themselves.
    pub fn new(options: Options) -> Result<Client> {
        Client::with_driver(options, true)
    }

    /// As [`Client::new`], and talks to no other cluster than `cluster`: a server of another one counts as
    /// unreachable. For those who try again by themselves: when no member is reachable, a call fails at once.
    pub fn staying_with(options: Options, cluster: ClusterPin) -> Result<Client> {
        let connections = Connections::new(&options, true).staying_with(cluster).impatient();
        Client::with_connections(options, connections, true)
    }

    pub(crate) fn with_driver(options: Options, always_driven: bool) -> Result<Client> {
        let connections = Connections::new(&options, always_driven);
        Client::with_connections(options, connections, always_driven)
    }

    fn with_connections(options: Options, connections: Connections, always_driven: bool) -> Result<Client> {
        let keyspace = Keyspace::new(options.prefix.clone())?.with_keyring(options.keyring.clone());
        if connections.endpoints().is_empty() {
            return Err(Error::invalid("the address names no member"));
        }
        Ok(Client {
            shared: Arc::new(Shared {
                options,
                keyspace,
                connections,
                cluster_id: AtomicU64::new(0),
                always_driven,
            }),
        })
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Which cluster answered the last write; 0: none yet, or it does not say. Revisions of two clusters can't be compared, and an address
    /// may come to lead to another.
    pub fn cluster_id(&self) -> u64 {
        self.shared.cluster_id.load(Ordering::Relaxed)
    }

    pub(crate) fn note_cluster(&self, header: Option<&pb::ResponseHeader>) {
        let id = header.map_or(0, |header| header.cluster_id);
        self.shared.cluster_id.store(id, Ordering::Relaxed);
    }

    pub(crate) fn keyspace(&self) -> &Keyspace {
        &self.shared.keyspace
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    pub(crate) fn always_driven(&self) -> bool {
        self.shared.always_driven
    }

    /// When a call that starts now must end.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline_after(Duration::ZERO)
    }

    /// As `deadline`, for a call that may wait on the server besides.
    pub(crate) fn deadline_after(&self, wait: Duration) -> Instant {
        Instant::now()
            + self
                .shared
                .options
                .call_timeout
                .saturating_add(wait)
                .min(LONGEST_WAIT)
    }

    /// The key's value as of now; `None`: it does not exist. One that is sealed and can't be opened is [`ErrorKind::Sealed`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<KeyValue>> {
        let key = key.as_ref();
        let request = pb::RangeRequest {
            key: self.keyspace().key(key)?,
            ..Default::default()
        };
        let answer = self.read_range(Call::read("get", key), request).await?;
        let Some(kv) = answer.kvs.into_iter().next() else {
            return Ok(None);
        };
        let kv = KeyValue::from_wire(kv, self.keyspace());
        match kv.unopened {
            Some(error) => Err(*error),
            None => Ok(Some(kv)),
        }
    }

    /// Reads the keys of a range, all at one revision. Of a sealed value that can't be opened, [`KeyValue::unopened`] says why; the
    /// others are there all the same.
    pub async fn range(&self, range: &Range) -> Result<RangeResult> {
        let span = range.span(self.keyspace())?;
        let answer = self
            .read_range(Call::read("range", &range.start), range.to_wire(&span))
            .await?;
        let received = answer.kvs.len();
        let kvs: Vec<KeyValue> = answer
            .kvs
            .into_iter()
            .filter(|kv| span.wants(&kv.key))
            .map(|kv| {
                if range.keys_only {
                    KeyValue::without_value(kv, self.keyspace())
                } else {
                    KeyValue::from_wire(kv, self.keyspace())
                }
            })
            .collect();
        let hidden = (received - kvs.len()) as i64;
        Ok(RangeResult {
            kvs,
            count: answer.count - hidden,
            more: answer.more,
            revision: revision(answer.header),
        })
    }

    /// The revision of the store now.
    pub async fn revision(&self) -> Result<i64> {
        let one = Range::prefix("").keys_only().limit(1);
        Ok(self.range(&one).await?.revision)
    }

    /// A range as the wire has it: the prefix is not applied, nothing is left out. For copies of a whole store.
    pub async fn range_as_is(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse> {
        self.read_range(Call::read("range", &request.key.clone()), request)
            .await
    }

    async fn read_range(&self, call: Call<'_>, request: pb::RangeRequest) -> Result<pb::RangeResponse> {
        self.call(call, attempt!(KvClient, range, request)).await
    }

    /// Writes a value, sealed if [`Options::keyring`] says so, and returns the new revision. With [`PutOptions::if_revision`], fails with
    /// [`ErrorKind::Conflict`] if the key is at another one.
    pub async fn put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Bytes>,
        options: &PutOptions,
    ) -> Result<i64> {
        let key = key.as_ref();
        if let Some(if_revision) = options.if_revision {
            let txn = Txn::new()
                .if_revision(key, if_revision)
                .put_with_lease(key, value, options.lease)
                .comment(&options.comment);
            return Ok(self.commit("put", key, txn).await?.revision);
        }
        let whole_key = self.keyspace().key(key)?;
        let request = pb::PutRequest {
            value: self.keyspace().seal(&whole_key, value.into())?,
            key: whole_key,
            lease: options.lease,
            ..Default::default()
        };
        let call = Call::write("put", key);
        let comment = Comment::new(&options.comment)?;
        let attempt = |connection: Connection| {
            let request = comment.on(request.clone());
            async move { on!(KvClient, connection).put(request).await }
        };
        let answer = self.call(call, attempt).await?;
        self.note_cluster(answer.header.as_ref());
        Ok(revision(answer.header))
    }

    /// Deletes a key. Deleting one that does not exist is no error. With [`DeleteOptions::if_revision`], fails with
    /// [`ErrorKind::Conflict`] unless the key's last change was in that revision.
    pub async fn delete(&self, key: impl AsRef<[u8]>, options: &DeleteOptions) -> Result<Deleted> {
        let key = key.as_ref();
        if let Some(if_revision) = options.if_revision {
            let txn = Txn::new()
                .if_revision(key, if_revision)
                .delete(key)
                .comment(&options.comment);
            let revision = self.commit("delete", key, txn).await?.revision;
            return Ok(Deleted {
                revision,
                deleted: if_revision != 0,
            });
        }
        let request = pb::DeleteRangeRequest {
            key: self.keyspace().key(key)?,
            ..Default::default()
        };
        let call = Call::write("delete", key);
        let comment = Comment::new(&options.comment)?;
        let attempt = |connection: Connection| {
            let request = comment.on(request.clone());
            async move { on!(KvClient, connection).delete_range(request).await }
        };
        let answer = self.call(call, attempt).await?;
        self.note_cluster(answer.header.as_ref());
        Ok(Deleted {
            revision: revision(answer.header),
            deleted: answer.deleted > 0,
        })
    }

    /// Commits a transaction: all of it or nothing, in one revision. Fails with [`ErrorKind::Conflict`] if a
    /// condition does not hold and there is no other branch; [`Error::conflicts`] then has the revisions
    /// found.
    pub async fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        self.commit("transaction", b"", txn).await
    }

    async fn commit(&self, name: &str, about: &[u8], txn: Txn) -> Result<TxnOutcome> {
        let writes = txn.writes();
        let request = txn.to_wire(self.keyspace())?;
        let call = Call { name, about, writes };
        let comment = Comment::new(txn.reason())?;
        let attempt = |connection: Connection| {
            let request = comment.on(request.clone());
            async move { on!(KvClient, connection).txn(request).await }
        };
        let answer = self.call(call, attempt).await?;
        self.note_cluster(answer.header.as_ref());
        txn.outcome(answer)
    }

    /// Watches keys. Connects at the first [`Watch::next`].
    pub fn watch(&self, options: WatchOptions) -> Result<Watch> {
        Watch::new(self.clone(), options)
    }

    /// Takes the lock `name`, waiting for it as [`LockOptions::wait`] says.
    pub async fn lock(&self, name: impl AsRef<[u8]>, options: &LockOptions) -> Result<Lock> {
        Lock::acquire(self, name.as_ref(), options).await
    }

    /// As [`Client::lock`], with the whole name of the lock's keys: the prefix is not applied. `None`: another has it, and
    /// the wait was in vain; a [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) is of a call that got no answer.
    pub async fn lock_as_is(&self, name: Bytes, options: &LockOptions) -> Result<Option<Lock>> {
        Lock::acquire_as_is(self, name, options).await
    }

    /// Makes a lease that ends after `ttl` without a keep-alive; returns its id. Servers raise a short `ttl`.
    pub async fn lease_grant(&self, ttl: Duration) -> Result<i64> {
        let ttl_secs = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let request = pb::LeaseGrantRequest {
            ttl: ttl_secs.clamp(1, i64::MAX as u64) as i64,
            id: 0,
        };
        let call = Call::write("lease grant", b"");
        let answer = self
            .call(call, attempt!(LeaseClient, lease_grant, request))
            .await?;
        Ok(answer.id)
    }

    /// Ends a lease; the keys attached to it are deleted. An unknown lease is no error.
    pub async fn lease_revoke(&self, id: i64) -> Result<()> {
        let request = pb::LeaseRevokeRequest { id };
        let call = Call::write("lease revoke", b"");
        let revoked = self
            .call(call, attempt!(LeaseClient, lease_revoke, request))
            .await;
        match revoked {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

pub(crate) fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}
