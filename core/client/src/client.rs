//! The asynchronous client: one call is one deadline, as many attempts as are safe, one clear failure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as agent;
use cfgstore_proto::cfgstore::v1::agent_client::AgentClient;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use cfgstore_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, timeout_at};
use tonic::{Response, Status as RpcStatus};

use crate::blocking::LONGEST_WAIT;
use crate::connection::{Connection, Connections, jittered};
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::{Keyspace, printable};
use crate::kv::{Deleted, KeyValue, PutOptions, Range, RangeResult};
use crate::lock::{Lock, LockOptions};
use crate::options::Options;
use crate::refusal::{Effect, Failure, advice};
use crate::txn::{Txn, TxnOutcome};
use crate::watch::{Watch, WatchOptions};

/// Largest answer taken from a server.
pub(crate) const MAX_ANSWER_BYTES: usize = 1 << 30;

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
    /// Something drives the runtime between calls, so that keep-alives can be sent.
    always_driven: bool,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Where it was reached.
    pub endpoint: String,
    /// Its version: etcd's, as it reports it.
    pub version: String,
    /// Its member id.
    pub member_id: u64,
    /// The leader's member id; 0: none known.
    pub leader_id: u64,
    /// Revision of the store.
    pub revision: i64,
    /// Raft term.
    pub term: u64,
    /// Size of its stored data.
    pub db_size_bytes: i64,
    /// What the host's agent adds; `None` when the server is none.
    pub agent: Option<AgentStatus>,
}

/// What a host's agent says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Version of cfgstore.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Folder of its shared-memory mirror.
    pub mirror_dir: PathBuf,
    /// Generation of the mirror last published; 0: none yet.
    pub mirror_generation: u64,
    /// Revision the mirror holds; 0: none yet.
    pub mirror_revision: i64,
}

/// A call, as its failures name it.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub name: &'a str,
    /// The key, prefix or name it is about; empty: none.
    pub about: &'a [u8],
    pub writes: bool,
}

impl Call<'_> {
    fn read<'a>(name: &'a str, about: &'a [u8]) -> Call<'a> {
        Call {
            name,
            about,
            writes: false,
        }
    }

    fn write<'a>(name: &'a str, about: &'a [u8]) -> Call<'a> {
        Call {
            name,
            about,
            writes: true,
        }
    }

    fn describe(&self) -> String {
        if self.about.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} of {}", self.name, printable(self.about))
        }
    }

    /// The error for a failure that is not tried again.
    pub fn error(&self, connection: &Connection, failure: &Failure) -> Error {
        let unsure = self.writes && failure.effect == Effect::Unknown;
        let next = if unsure {
            "; it may have happened: read before you write again"
        } else {
            advice(failure.kind)
        };
        let message = format!(
            "{} failed at {}: {}{next}",
            self.describe(),
            connection.endpoint(),
            failure.text
        );
        let error = Error::new(failure.kind, message);
        if unsure {
            error.with_unknown_effect()
        } else {
            error
        }
    }

    fn timed_out(&self, at: &str, bound: Duration) -> Error {
        let next = if self.writes {
            "; it may have happened: read before you write again"
        } else {
            "; the server is overloaded, stuck, or has no leader"
        };
        let message = format!(
            "{} got no answer from {at} within {:.1} s{next}",
            self.describe(),
            bound.as_secs_f64()
        );
        let error = Error::new(ErrorKind::Timeout, message);
        if self.writes {
            error.with_unknown_effect()
        } else {
            error
        }
    }
}

/// A generated client on a connection.
macro_rules! on {
    ($client:ident, $connection:expr) => {{
        let origin = $connection.origin();
        $client::with_origin($connection, origin).max_decoding_message_size($crate::client::MAX_ANSWER_BYTES)
    }};
}
pub(crate) use on;

/// One attempt at a call with a request that may be sent again.
macro_rules! attempt {
    ($client:ident, $method:ident, $request:expr) => {{
        let request = $request;
        move |connection: $crate::connection::Connection| {
            let request = request.clone();
            async move { $crate::client::on!($client, connection).$method(request).await }
        }
    }};
}
pub(crate) use attempt;

impl Client {
    /// A client with these options, for use inside a tokio runtime that runs all the time. Fails only if the
    /// options contradict themselves.
    pub fn new(options: Options) -> Result<Client> {
        Client::with_driver(options, true)
    }

    pub(crate) fn with_driver(options: Options, always_driven: bool) -> Result<Client> {
        let keyspace = Keyspace::new(options.prefix.clone())?;
        let connections = Connections::new(&options, always_driven);
        if connections.endpoints().is_empty() {
            return Err(Error::invalid("the address names no member"));
        }
        Ok(Client {
            shared: Arc::new(Shared {
                options,
                keyspace,
                connections,
                always_driven,
            }),
        })
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.shared.options
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

    /// The key's value as of now; `None`: it does not exist.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<KeyValue>> {
        let key = key.as_ref();
        let request = pb::RangeRequest {
            key: self.keyspace().key(key)?,
            ..Default::default()
        };
        let answer = self.read_range(Call::read("get", key), request).await?;
        Ok(answer
            .kvs
            .into_iter()
            .next()
            .map(|kv| KeyValue::from_wire(kv, self.keyspace())))
    }

    /// Reads the keys of a range, all at one revision.
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
            .map(|kv| KeyValue::from_wire(kv, self.keyspace()))
            .collect();
        let hidden = (received - kvs.len()) as i64;
        Ok(RangeResult {
            kvs,
            count: answer.count - hidden,
            more: answer.more,
            revision: revision(answer.header),
        })
    }

    async fn read_range(&self, call: Call<'_>, request: pb::RangeRequest) -> Result<pb::RangeResponse> {
        self.call(call, attempt!(KvClient, range, request)).await
    }

    /// Writes a value and returns the new revision. With [`PutOptions::if_revision`], fails with
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
                .put_with_lease(key, value, options.lease);
            return Ok(self.commit("put", key, txn).await?.revision);
        }
        let request = pb::PutRequest {
            key: self.keyspace().key(key)?,
            value: value.into(),
            lease: options.lease,
            ..Default::default()
        };
        let call = Call::write("put", key);
        let answer = self.call(call, attempt!(KvClient, put, request)).await?;
        Ok(revision(answer.header))
    }

    /// Deletes a key. Deleting one that does not exist is no error. With `if_revision`, fails with
    /// [`ErrorKind::Conflict`] unless the key's last change was in that revision.
    pub async fn delete(&self, key: impl AsRef<[u8]>, if_revision: Option<i64>) -> Result<Deleted> {
        let key = key.as_ref();
        if let Some(if_revision) = if_revision {
            let txn = Txn::new().if_revision(key, if_revision).delete(key);
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
        let answer = self.call(call, attempt!(KvClient, delete_range, request)).await?;
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
        let answer = self.call(call, attempt!(KvClient, txn, request)).await?;
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

    /// What the server that answers says of itself.
    pub async fn status(&self) -> Result<Status> {
        let call = Call::read("status", b"");
        let (endpoint, answer) = self
            .call(call, |connection| async move {
                let endpoint = connection.endpoint().to_string();
                let answer = on!(MaintenanceClient, connection)
                    .status(pb::StatusRequest {})
                    .await?;
                Ok(answer.map(|answer| (endpoint, answer)))
            })
            .await?;
        let mut status = Status {
            endpoint,
            version: answer.version,
            member_id: answer.header.as_ref().map_or(0, |header| header.member_id),
            leader_id: answer.leader,
            revision: revision(answer.header),
            term: answer.raft_term,
            db_size_bytes: answer.db_size,
            agent: None,
        };
        if self.connections().endpoints()[0].is_unix() {
            status.agent = self.agent_status().await?;
        }
        Ok(status)
    }

    async fn agent_status(&self) -> Result<Option<AgentStatus>> {
        let answer = self
            .call(Call::read("agent status", b""), |connection| async move {
                on!(AgentClient, connection).status(agent::StatusRequest {}).await
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(AgentStatus {
                version: answer.version,
                pid: answer.pid,
                data_dir: answer.data_dir.into(),
                mirror_dir: answer.mirror_dir.into(),
                mirror_generation: answer.mirror_generation,
                mirror_revision: answer.mirror_revision,
            })),
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a call: connects, attempts, and attempts again as long as it is safe and in time.
    pub(crate) async fn call<T, Attempt>(
        &self,
        call: Call<'_>,
        attempt: impl Fn(Connection) -> Attempt,
    ) -> Result<T>
    where
        Attempt: Future<Output = std::result::Result<Response<T>, RpcStatus>>,
    {
        let deadline = self.deadline();
        let mut backoff = Duration::from_millis(10);
        loop {
            let connection = self.connections().shared(deadline).await?;
            let answer = timeout_at(self.attempt_deadline(call, deadline), attempt(connection.clone())).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => {
                    let failure = Failure::of(&status);
                    let error = call.error(&connection, &failure);
                    let again = match failure.effect {
                        Effect::Refused => false,
                        Effect::NotDone => true,
                        Effect::Unknown => !call.writes && failure.read_may_succeed_elsewhere(),
                    };
                    if failure.broken || again {
                        self.connections().abandon(&connection);
                    }
                    if !again {
                        return Err(error);
                    }
                    error
                }
                Err(_) => {
                    self.connections().abandon(&connection);
                    let bound = self.shared.options.call_timeout;
                    let error = call.timed_out(&connection.endpoint().to_string(), bound);
                    if call.writes {
                        return Err(error);
                    }
                    error
                }
            };
            let next = Instant::now() + jittered(backoff);
            if next >= deadline {
                return Err(error);
            }
            tokio::time::sleep_until(next).await;
            backoff = (backoff * 2).min(Duration::from_millis(500));
        }
    }

    /// A read may be answered by another member, so one that hangs gets half of the time left.
    fn attempt_deadline(&self, call: Call<'_>, deadline: Instant) -> Instant {
        let now = Instant::now();
        if call.writes || self.connections().endpoints().len() < 2 {
            return deadline;
        }
        let share = (deadline.saturating_duration_since(now) / 2).max(Duration::from_millis(200));
        deadline.min(now + share)
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
