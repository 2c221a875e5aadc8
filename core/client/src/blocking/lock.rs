//! A lock held by a blocking client.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Mode;
use super::driver::Driver;
use crate::error::{Error, ErrorKind, Result};
use crate::fork::Identity;
use crate::keyspace::printable;
use crate::lock::{self, LockOptions};

/// How long the end of a program may wait for a server to free a lock.
const FAREWELL: Duration = Duration::from_secs(1);

/// A lock that is held. Dropping it frees it. It belongs to the process that took it: in a forked child it is not
/// held, and neither dropping nor releasing it there frees the parent's.
#[derive(Debug)]
pub struct Lock {
    name: String,
    token: i64,
    key: Vec<u8>,
    /// `None` only while it is dropped.
    inner: Option<lock::Lock>,
    driver: Arc<Driver>,
    owner: Identity,
}

impl Lock {
    pub(super) fn acquire(driver: Arc<Driver>, name: &[u8], options: &LockOptions) -> Result<Lock> {
        let inner = driver.run(async |client| client.lock(name, options).await)?;
        Ok(Lock {
            name: printable(name),
            token: inner.token(),
            key: inner.key().to_vec(),
            inner: Some(inner),
            driver,
            owner: Identity::current(),
        })
    }

    /// See [`crate::Lock::token`].
    pub fn token(&self) -> i64 {
        self.token
    }

    /// See [`crate::Lock::key`].
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether it is still held, as far as this side can know now. Does not wait for the server.
    pub fn is_held(&mut self) -> bool {
        self.check().is_ok()
    }

    /// [`ErrorKind::LockLost`] unless it is still held.
    pub fn check(&mut self) -> Result<()> {
        let driver = self.driver.clone();
        let inner = self.own()?;
        match driver.mode() {
            // Takes in what has arrived: the agent's word, or the end of the connection.
            Mode::NoThread => driver.block_on(async { inner.check() }),
            Mode::BackgroundThread => inner.check(),
        }
    }

    /// Frees it and waits until it is free. Fails with [`ErrorKind::LockLost`] if it was lost before; releasing
    /// twice does nothing.
    pub fn release(&mut self) -> Result<()> {
        let driver = self.driver.clone();
        let inner = self.own()?;
        driver.block_on(inner.release())
    }

    fn own(&mut self) -> Result<&mut lock::Lock> {
        match &mut self.inner {
            Some(inner) if self.owner == Identity::current() => Ok(inner),
            _ => Err(Error::new(
                ErrorKind::LockLost,
                format!(
                    "lock {} belongs to the process that took it, not to its forked child",
                    self.name
                ),
            )),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else {
            return;
        };
        if self.owner != Identity::current() {
            // The parent's: its connection and its lease are none of this process's business.
            std::mem::forget(inner);
            return;
        }
        if self.driver.mode() == Mode::BackgroundThread && Arc::strong_count(&self.driver) == 1 {
            // The client is gone already, and its thread ends with this: it would take along what is only begun.
            let _ = self
                .driver
                .block_on(async { Ok(timeout(FAREWELL, inner.release()).await.is_ok()) });
            return;
        }
        // The agent sees the end of the connection now, not when the runtime next runs.
        inner.abandon();
        let background = self.driver.background();
        let _context = background
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map(tokio::runtime::Handle::enter);
        drop(inner);
    }
}
