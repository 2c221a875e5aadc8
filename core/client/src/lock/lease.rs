//! A lock on any etcd server: a lease that a task of this client keeps alive, and etcd's Lock service.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::kv_client::KvClient;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;
use cfgstore_proto::v3lockpb;
use cfgstore_proto::v3lockpb::lock_client::LockClient;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{Hold, LockOptions};
use crate::call::{Call, attempt, on};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::refusal::{Effect, Failure};

pub(super) struct LeaseHold {
    client: Client,
    lease: i64,
    fate: Arc<watch::Sender<Fate>>,
    keeper: AbortHandle,
}

/// What is known of the lease.
struct Fate {
    /// It has certainly not ended before this.
    alive_until: Instant,
    ended: Option<String>,
}

const TOO_LATE: &str = "its lease could not be kept alive in time";

impl Fate {
    fn lost(&self) -> Option<String> {
        if let Some(reason) = &self.ended {
            return Some(reason.clone());
        }
        (Instant::now() >= self.alive_until).then(|| TOO_LATE.to_owned())
    }
}

impl LeaseHold {
    /// `None`: another has it, and the wait was in vain.
    pub async fn acquire(
        client: &Client,
        name: &str,
        key: Bytes,
        options: &LockOptions,
    ) -> Result<Option<(Hold, Bytes, i64)>> {
        if !client.always_driven() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "lock {name}: a client without a background thread cannot keep a lock alive against members; \
                     use the agent of this host (a unix socket or the embedded store)"
                ),
            ));
        }
        let deadline = client.deadline_after(options.wait);
        if options.wait.is_zero() && is_taken(client, &key).await? {
            return Ok(None);
        }
        let granted = Instant::now();
        let lease = client.lease_grant(options.ttl).await?;
        // From here on the lease must be revoked whatever happens; `drop` does it.
        let mut hold = LeaseHold::keep(client, lease, granted + options.ttl);
        let bound = match options.wait {
            // Nobody had it a moment ago: whoever was faster now is worth no longer wait than a call.
            Duration::ZERO => Instant::now() + client.options().call_timeout.min(Duration::from_secs(1)),
            wait => Instant::now() + wait,
        };
        let Some(key) = hold.wait_for(name, key, bound.min(deadline)).await? else {
            hold.release().await?;
            return Ok(None);
        };
        // The create revision is the token; it also proves that the key outlived the wait.
        match hold.create_revision(&key).await? {
            Some(token) if hold.lost().is_none() => Ok(Some((Hold::Lease(hold), key, token))),
            _ => Err(super::lost(name, "its lease ended during the wait")),
        }
    }

    fn keep(client: &Client, lease: i64, alive_until: Instant) -> LeaseHold {
        let fate = Arc::new(watch::Sender::new(Fate {
            alive_until,
            ended: None,
        }));
        let keeper = tokio::spawn(keep_alive(client.clone(), lease, fate.clone())).abort_handle();
        LeaseHold {
            client: client.clone(),
            lease,
            fate,
            keeper,
        }
    }

    /// The key, once the lock is held; `None`: the bound passed first.
    async fn wait_for(&mut self, name: &str, key: Bytes, bound: Instant) -> Result<Option<Bytes>> {
        let call = Call {
            name: "lock",
            about: b"",
            writes: false,
        };
        let mut backoff = Duration::from_millis(20);
        loop {
            let connection = self.client.connections().shared(self.client.deadline()).await?;
            let request = v3lockpb::LockRequest {
                name: key.clone(),
                lease: self.lease,
            };
            let mut service = on!(LockClient, connection.clone());
            let failure = match timeout_at(bound, service.lock(request)).await {
                Err(_) => return Ok(None),
                Ok(Ok(answer)) => return Ok(Some(answer.into_inner().key)),
                Ok(Err(status)) => Failure::of(&status),
            };
            // Asking again is safe: the same lease keeps its place in the queue.
            if failure.broken {
                self.client.connections().abandon(&connection);
            }
            if failure.kind == ErrorKind::NotFound {
                return Err(super::lost(name, "its lease ended during the wait"));
            }
            if failure.effect == Effect::Refused || Instant::now() + backoff >= bound {
                let mut error = call.error(&connection, &failure);
                error.message = format!("lock {name}: {}", error.message);
                return Err(error);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(Duration::from_millis(500));
        }
    }

    async fn create_revision(&self, key: &Bytes) -> Result<Option<i64>> {
        let request = pb::RangeRequest {
            key: key.clone(),
            keys_only: true,
            ..Default::default()
        };
        let call = Call {
            name: "lock",
            about: b"",
            writes: false,
        };
        let found = self.client.call(call, attempt!(KvClient, range, request)).await?;
        Ok(found.kvs.first().map(|kv| kv.create_revision))
    }

    /// Why it is lost, if it is.
    pub fn lost(&mut self) -> Option<String> {
        self.fate.borrow().lost()
    }

    pub fn lease(&self) -> i64 {
        self.lease
    }

    pub async fn wait_until_lost(&self) -> String {
        let mut fate = self.fate.subscribe();
        loop {
            let alive_until = {
                let fate = fate.borrow_and_update();
                if let Some(reason) = fate.lost() {
                    return reason;
                }
                fate.alive_until
            };
            tokio::select! {
                // The sender lives as long as this hold.
                _ = fate.changed() => {}
                () = sleep_until(alive_until) => {}
            }
        }
    }

    pub async fn release(self) -> Result<()> {
        self.keeper.abort();
        let revoked = self.client.lease_revoke(self.lease).await;
        // Revoked, or left to end by itself: nothing more for `drop`.
        self.fate
            .send_modify(|fate| fate.ended = Some("it was released".to_owned()));
        revoked
    }
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        self.keeper.abort();
        let ended = self.fate.borrow().ended.is_some();
        if let (false, Ok(runtime)) = (ended, tokio::runtime::Handle::try_current()) {
            let (client, lease) = (self.client.clone(), self.lease);
            runtime.spawn(async move { client.lease_revoke(lease).await });
        }
    }
}

/// Whether somebody has, or waits for, the lock whose keys begin with `name` and a slash.
async fn is_taken(client: &Client, name: &Bytes) -> Result<bool> {
    let first = [name, &b"/"[..]].concat();
    let end = [name, &b"0"[..]].concat();
    let request = pb::RangeRequest {
        key: first.into(),
        range_end: end.into(),
        limit: 1,
        count_only: true,
        ..Default::default()
    };
    let call = Call {
        name: "lock",
        about: b"",
        writes: false,
    };
    let found = client.call(call, attempt!(KvClient, range, request)).await?;
    Ok(found.count > 0)
}

/// Keeps a lease alive until it ends, three times as often as needed.
async fn keep_alive(client: Client, lease: i64, fate: Arc<watch::Sender<Fate>>) {
    let call = Call {
        name: "lease keep-alive",
        about: b"",
        writes: false,
    };
    loop {
        let asked = Instant::now();
        let answer = client
            .call(call, |connection| async move {
                let request = pb::LeaseKeepAliveRequest { id: lease };
                let mut service = on!(LeaseClient, connection);
                let mut answers = service.lease_keep_alive(tokio_stream::once(request)).await?;
                match answers.get_mut().message().await? {
                    Some(answer) => Ok(tonic::Response::new(answer)),
                    None => Err(tonic::Status::unavailable("the stream ended")),
                }
            })
            .await;
        let ended = match answer {
            Ok(answer) if answer.ttl > 0 => {
                let ttl = Duration::from_secs(answer.ttl.unsigned_abs());
                fate.send_modify(|fate| fate.alive_until = asked + ttl);
                sleep(ttl / 3).await;
                continue;
            }
            Ok(_) => "its lease ended".to_owned(),
            Err(error) if !error.retryable() => error.message,
            Err(_) if fate.borrow().lost().is_some() => TOO_LATE.to_owned(),
            Err(_) => {
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        fate.send_modify(|fate| fate.ended = Some(ended));
        return;
    }
}
