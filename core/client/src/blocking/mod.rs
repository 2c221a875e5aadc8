//! The client for programs without an asynchronous runtime.
//!
//! [`Mode`] chooses who drives the network. Both modes notice a fork: in the child, what was inherited is
//! left alone (never closed towards the server) and built anew at the next use. Locks stay with the parent.
//!
//! Do not call from inside a tokio runtime; it is refused with [`ErrorKind::Unsupported`].

mod driver;
mod lock;
mod pollable;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use lock::Lock;
pub use watch::Watch;

use crate::apply::Applied;
use crate::blame::Blame;
use crate::blocking::driver::Driver;
use crate::difference::Diff;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{HistoryChange, HistoryQuery, Retention};
use crate::kv::{DeleteOptions, Deleted, KeyValue, PutOptions, Range, RangeResult};
use crate::lock::LockOptions;
use crate::notifications::{DeadLetter, NotificationRule, NotificationStatus};
use crate::options::Options;
use crate::schemas::{BoundSchema, Violations};
use crate::status::{AgentStatus, Status};
use crate::txn::{Txn, TxnOutcome};
use crate::watch::WatchOptions;

/// Who drives the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nobody, except a call while it runs: there is never a thread. For PHP and other places where threads and
    /// forks do not mix. Locks need an agent behind a unix socket, which keeps them alive.
    NoThread,
    /// One background thread per client, started at first use, with every signal blocked. Leases stay alive
    /// between calls, so locks work against any server.
    BackgroundThread,
}

/// A client whose calls block. Cheap to create: nothing is connected, started or read before the first call.
///
/// Safe to share between threads: in mode [`NoThread`](Mode::NoThread) calls take turns, in mode
/// [`BackgroundThread`](Mode::BackgroundThread) they run side by side.
#[derive(Debug, Clone)]
pub struct Client {
    driver: Arc<Driver>,
}

impl Client {
    /// A client with these options. Fails only if the options contradict themselves.
    pub fn new(options: Options, mode: Mode) -> Result<Client> {
        Ok(Client {
            driver: Arc::new(Driver::new(options, mode)?),
        })
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        self.driver.options()
    }

    /// The mode it was made with.
    pub fn mode(&self) -> Mode {
        self.driver.mode()
    }

    /// See [`crate::Client::cluster_id`]; a forked child starts with 0.
    pub fn cluster_id(&self) -> u64 {
        self.driver.client().map_or(0, |client| client.cluster_id())
    }

    /// See [`crate::Client::get`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<KeyValue>> {
        self.driver.run(async |client| client.get(key).await)
    }

    /// See [`crate::Client::range`].
    pub fn range(&self, range: &Range) -> Result<RangeResult> {
        self.driver.run(async |client| client.range(range).await)
    }

    /// See [`crate::Client::put`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>, options: &PutOptions) -> Result<i64> {
        self.driver
            .run(async |client| client.put(key, value, options).await)
    }

    /// See [`crate::Client::delete`].
    pub fn delete(&self, key: impl AsRef<[u8]>, options: &DeleteOptions) -> Result<Deleted> {
        self.driver.run(async |client| client.delete(key, options).await)
    }

    /// See [`crate::Client::txn`].
    pub fn txn(&self, txn: Txn) -> Result<TxnOutcome> {
        self.driver.run(async |client| client.txn(txn).await)
    }

    /// See [`crate::Client::history`].
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryChange>> {
        self.driver.run(async |client| client.history(query).await)
    }

    /// See [`crate::Client::rollback`].
    pub fn rollback(&self, range: &Range, revision: i64, dry_run: bool, comment: &str) -> Result<Applied> {
        self.driver
            .run(async |client| client.rollback(range, revision, dry_run, comment).await)
    }

    /// See [`crate::Client::diff`].
    pub fn diff(&self, range: &Range, from: i64, to: Option<i64>) -> Result<Diff> {
        self.driver.run(async |client| client.diff(range, from, to).await)
    }

    /// See [`crate::Client::blame`].
    pub fn blame(&self, key: impl AsRef<[u8]>) -> Result<Blame> {
        self.driver.run(async |client| client.blame(key).await)
    }

    /// See [`crate::Client::bind_schema`].
    pub fn bind_schema(&self, schema: &BoundSchema, dry_run: bool) -> Result<()> {
        self.driver
            .run(async |client| client.bind_schema(schema, dry_run).await)
    }

    /// See [`crate::Client::unbind_schema`].
    pub fn unbind_schema(&self, pattern: &str) -> Result<()> {
        self.driver
            .run(async |client| client.unbind_schema(pattern).await)
    }

    /// See [`crate::Client::schemas`].
    pub fn schemas(&self) -> Result<Vec<BoundSchema>> {
        self.driver.run(async |client| client.schemas().await)
    }

    /// See [`crate::Client::check_value`].
    pub fn check_value(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<Violations> {
        self.driver
            .run(async |client| client.check_value(key, value).await)
    }

    /// See [`crate::Client::set_retention`].
    pub fn set_retention(&self, rule: &Retention) -> Result<()> {
        self.driver.run(async |client| client.set_retention(rule).await)
    }

    /// See [`crate::Client::remove_retention`].
    pub fn remove_retention(&self, prefix: impl AsRef<[u8]>) -> Result<()> {
        self.driver
            .run(async |client| client.remove_retention(prefix).await)
    }

    /// See [`crate::Client::retention`].
    pub fn retention(&self) -> Result<Vec<Retention>> {
        self.driver.run(async |client| client.retention().await)
    }

    /// See [`crate::Client::set_notification`].
    pub fn set_notification(&self, rule: &NotificationRule) -> Result<()> {
        self.driver
            .run(async |client| client.set_notification(rule).await)
    }

    /// See [`crate::Client::remove_notification`].
    pub fn remove_notification(&self, name: &str) -> Result<()> {
        self.driver
            .run(async |client| client.remove_notification(name).await)
    }

    /// See [`crate::Client::notifications`].
    pub fn notifications(&self) -> Result<Vec<NotificationStatus>> {
        self.driver.run(async |client| client.notifications().await)
    }

    /// See [`crate::Client::dead_letters`].
    pub fn dead_letters(&self, name: &str) -> Result<Vec<DeadLetter>> {
        self.driver.run(async |client| client.dead_letters(name).await)
    }

    /// See [`crate::Client::retry_dead_letters`].
    pub fn retry_dead_letters(&self, name: &str, ids: &[u64], only_forget: bool) -> Result<(u64, u64)> {
        self.driver
            .run(async |client| client.retry_dead_letters(name, ids, only_forget).await)
    }

    /// See [`crate::Client::status`].
    pub fn status(&self) -> Result<Status> {
        self.driver.run(async |client| client.status().await)
    }

    /// See [`crate::Client::agent_status`].
    pub fn agent_status(&self) -> Result<Option<AgentStatus>> {
        self.driver.run(async |client| client.agent_status().await)
    }

    /// Watches keys. Connects at the first [`Watch::next`], so it does not block.
    pub fn watch(&self, options: WatchOptions) -> Result<Watch> {
        Watch::new(self.driver.clone(), options)
    }

    /// Takes the lock `name`, waiting for it as [`LockOptions::wait`] says.
    pub fn lock(&self, name: impl AsRef<[u8]>, options: &LockOptions) -> Result<Lock> {
        Lock::acquire(self.driver.clone(), name.as_ref(), options)
    }
}

/// Longest wait that is not "for ever"; keeps deadlines from overflowing.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn refuse_inside_a_runtime() -> Result<()> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a blocking call was made inside a tokio runtime; use cfgstore_client::Client there",
        ));
    }
    Ok(())
}
