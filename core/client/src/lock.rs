//! Locks: a name that one holder has at a time, and a fencing token that always grows.

mod agent;
mod lease;

use std::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::printable;
use agent::AgentHold;
use lease::LeaseHold;

/// How to take a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockOptions {
    /// How long the lock outlives a holder, or its agent, that dies without a word. Servers round up to whole
    /// seconds and to a minimum of their own. Default: 10 s.
    pub ttl: Duration,
    /// How long to wait while another has it; zero: not at all. Default: zero.
    pub wait: Duration,
}

impl Default for LockOptions {
    fn default() -> LockOptions {
        LockOptions {
            ttl: Duration::from_secs(10),
            wait: Duration::ZERO,
        }
    }
}

/// A lock that is held. Dropping it frees it, as soon as the runtime gets to it; [`Lock::release`] waits until it
/// is free.
///
/// Behind a unix socket with an agent, the agent keeps it alive, and frees it at once when this process
/// ends. Elsewhere a task of this client keeps it alive, and it outlives a killed process by its time to live.
pub struct Lock {
    name: String,
    key: Bytes,
    token: i64,
    hold: Option<Hold>,
    lost: Option<String>,
}

enum Hold {
    Agent(Box<AgentHold>),
    Lease(LeaseHold),
}

impl Lock {
    pub(crate) async fn acquire(client: &Client, name: &[u8], options: &LockOptions) -> Result<Lock> {
        let key = client.keyspace().lock(name)?;
        let name = printable(name);
        let taken = Lock::take(client, name.clone(), key, options).await?;
        taken.ok_or_else(|| waited_in_vain(&name, options.wait))
    }

    pub(crate) async fn acquire_as_is(
        client: &Client,
        name: Bytes,
        options: &LockOptions,
    ) -> Result<Option<Lock>> {
        if name.is_empty() {
            return Err(Error::invalid("the lock has no name; name at least one byte"));
        }
        Lock::take(client, printable(&name), name, options).await
    }

    /// `None`: another has it, and the wait was in vain.
    async fn take(client: &Client, name: String, key: Bytes, options: &LockOptions) -> Result<Option<Lock>> {
        if options.ttl.is_zero() {
            return Err(Error::invalid("a lock needs a time to live of more than zero"));
        }
        let taken = if client.connections().endpoints()[0].is_unix() {
            match AgentHold::acquire(client, &name, key.clone(), options).await {
                Err(error) if error.kind == ErrorKind::Unsupported => {
                    LeaseHold::acquire(client, &name, key, options).await?
                }
                held => held?,
            }
        } else {
            LeaseHold::acquire(client, &name, key, options).await?
        };
        Ok(taken.map(|(hold, key, token)| Lock {
            name,
            key,
            token,
            hold: Some(hold),
            lost: None,
        }))
    }

    /// The fencing token: greater than that of every earlier holder. Pass it to what the lock protects, which
    /// refuses smaller ones.
    pub fn token(&self) -> i64 {
        self.token
    }

    /// The whole key that exists as long as the lock is held; not below the client's prefix.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The lease it lives with; 0: the host's agent keeps it, and tells none.
    pub fn lease(&self) -> i64 {
        match &self.hold {
            Some(Hold::Lease(hold)) => hold.lease(),
            Some(Hold::Agent(_)) | None => 0,
        }
    }

    /// Waits until its lease is lost, and says why; for ever if the host's agent keeps it. Cancel-safe.
    pub async fn lease_lost(&self) -> String {
        match &self.hold {
            Some(Hold::Lease(hold)) => hold.wait_until_lost().await,
            Some(Hold::Agent(_)) | None => std::future::pending().await,
        }
    }

    /// Whether it is still held, as far as this side can know now. Does not wait for the server.
    pub fn is_held(&mut self) -> bool {
        self.check().is_ok()
    }

    /// [`ErrorKind::LockLost`] unless it is still held.
    pub fn check(&mut self) -> Result<()> {
        if self.lost.is_none() {
            self.lost = match &mut self.hold {
                Some(Hold::Agent(hold)) => hold.lost(),
                Some(Hold::Lease(hold)) => hold.lost(),
                None => Some("it was released".to_owned()),
            };
        }
        match &self.lost {
            None => Ok(()),
            Some(reason) => Err(lost(&self.name, reason)),
        }
    }

    /// Frees it and waits until it is free. Fails with [`ErrorKind::LockLost`] if it was lost before; releasing
    /// twice does nothing.
    pub async fn release(&mut self) -> Result<()> {
        let Some(mut hold) = self.hold.take() else {
            return Ok(());
        };
        let lost_before = self.lost.take().or_else(|| match &mut hold {
            Hold::Agent(hold) => hold.lost(),
            Hold::Lease(hold) => hold.lost(),
        });
        let released = match hold {
            Hold::Agent(hold) => hold.release(&self.name).await,
            Hold::Lease(hold) => hold.release().await,
        };
        match lost_before {
            Some(reason) => Err(lost(&self.name, &reason)),
            None => released,
        }
    }

    /// Ends it from this side without the runtime, if that can be done: the agent sees the connection close.
    pub(crate) fn abandon(&self) {
        if let Some(Hold::Agent(hold)) = &self.hold {
            hold.shut_down();
        }
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock")
            .field("name", &self.name)
            .field("token", &self.token)
            .finish()
    }
}

pub(crate) fn lost(name: &str, reason: &str) -> Error {
    Error::new(
        ErrorKind::LockLost,
        format!("lock {name} is no longer held: {reason}; stop what it protects, and take it again"),
    )
}

fn waited_in_vain(name: &str, wait: Duration) -> Error {
    let waited = match wait {
        Duration::ZERO => "did not wait".to_owned(),
        wait => format!("waited {:.1} s", wait.as_secs_f64()),
    };
    Error::new(
        ErrorKind::Timeout,
        format!("lock {name} is held by another; {waited}"),
    )
}

/// As the wire wants it: whole, and never 0 for something that is not.
fn millis(duration: Duration) -> u64 {
    let rounded_up = duration.as_nanos().div_ceil(1_000_000);
    rounded_up.try_into().unwrap_or(u64::MAX)
}
