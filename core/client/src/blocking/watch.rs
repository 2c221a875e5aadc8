//! A watch of a blocking client.

mod background;
mod on_call;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use super::driver::Driver;
use super::{Mode, refuse_inside_a_runtime};
use crate::error::Result;
use crate::fork::Identity;
use crate::watch::{ChangeBatch, WatchOptions};
use background::BackgroundWatch;
use on_call::OnCallWatch;

/// A watch. It reconnects by itself and goes on where it was, without a gap or a duplicate.
///
/// In a forked child it begins anew, at the next change that the child has not taken; its descriptor is then
/// another one.
pub struct Watch {
    driver: Arc<Driver>,
    options: WatchOptions,
    /// `None` while it is dropped, and if a forked child could not make it anew.
    inner: Option<Inner>,
    owner: Identity,
}

enum Inner {
    OnCall(Box<OnCallWatch>),
    Background(BackgroundWatch),
}

impl Watch {
    pub(super) fn new(driver: Arc<Driver>, options: WatchOptions) -> Result<Watch> {
        let inner = Inner::new(&driver, options.clone())?;
        Ok(Watch {
            driver,
            options,
            inner: Some(inner),
            owner: Identity::current(),
        })
    }

    /// The next changes, all of one revision; `None`: none came within `timeout`. `None` as the timeout waits
    /// for ever, zero takes only what has arrived.
    ///
    /// # Errors
    /// As [`crate::Watch::next`].
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ChangeBatch>> {
        refuse_inside_a_runtime()?;
        match self.inner()? {
            Inner::OnCall(watch) => watch.next(timeout),
            Inner::Background(watch) => watch.next(timeout),
        }
    }

    /// A descriptor for event loops: readable when [`Watch::next`] should be called with a timeout of zero, until
    /// it returns `None`. It may be readable without a change, never the other way round. Do not read from it
    /// and do not close it; it lives as long as the watch.
    pub fn fd(&mut self) -> Result<BorrowedFd<'_>> {
        match self.inner()? {
            Inner::OnCall(watch) => Ok(watch.fd()),
            Inner::Background(watch) => Ok(watch.fd()),
        }
    }

    /// The revision from which another watch would go on without a gap once everything taken so far is handled; 0:
    /// no server was reached yet.
    pub fn position(&self) -> i64 {
        match &self.inner {
            Some(Inner::OnCall(watch)) => watch.position(),
            Some(Inner::Background(watch)) => watch.position(),
            None => 0,
        }
    }

    /// What belongs to this process.
    fn inner(&mut self) -> Result<&mut Inner> {
        let current = Identity::current();
        let position = self.position();
        let inner = match self.inner.take() {
            Some(inner) if self.owner == current => inner,
            inherited => {
                std::mem::forget(inherited);
                self.options = self.options.clone().from_revision(position);
                self.owner = current;
                Inner::new(&self.driver, self.options.clone())?
            }
        };
        Ok(self.inner.insert(inner))
    }
}

impl Inner {
    fn new(driver: &Driver, options: WatchOptions) -> Result<Inner> {
        let watch = driver.client()?.watch(options)?;
        Ok(match (driver.mode(), driver.background()?) {
            (Mode::BackgroundThread, Some(handle)) => {
                Inner::Background(BackgroundWatch::new(watch, &handle)?)
            }
            _ => Inner::OnCall(Box::new(OnCallWatch::new(watch)?)),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.owner != Identity::current() {
            std::mem::forget(self.inner.take());
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("options", &self.options)
            .field("position", &self.position())
            .finish()
    }
}
