//! Changes one by one, where the client core hands them out by revision.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;

use cfgstore_client::blocking::Watch;
use cfgstore_client::{Change, Error};

use crate::readiness::Readiness;

/// A watch that hands out single changes.
pub struct Changes {
    watch: Watch,
    /// What is left of the last revision taken from `watch`.
    waiting: VecDeque<Change>,
    /// The change handed out last; C reads it until the next call.
    taken: Option<Change>,
    readiness: Option<Readiness>,
}

impl Changes {
    /// Of a watch that nothing was taken from.
    pub fn new(watch: Watch) -> Changes {
        Changes {
            watch,
            waiting: VecDeque::new(),
            taken: None,
            readiness: None,
        }
    }

    /// The next change, if one has arrived.
    pub fn take(&mut self) -> Result<Option<&Change>, Error> {
        if self.waiting.is_empty()
            && let Some(batch) = self.watch.next(Some(std::time::Duration::ZERO))?
        {
            self.waiting.extend(batch.changes);
        }
        self.taken = self.waiting.pop_front();
        // An inherited one is the parent's, and what is pending in it too.
        self.readiness = self.readiness.take().filter(Readiness::is_own);
        if let Some(readiness) = &self.readiness {
            readiness.set_pending(!self.waiting.is_empty());
        }
        Ok(self.taken.as_ref())
    }

    /// Readable while a change waits or the watch has something to do. Another one after a fork.
    pub fn fd(&mut self) -> Result<i32, Error> {
        let watched = self.watch.fd()?;
        if !self
            .readiness
            .as_ref()
            .is_some_and(|readiness| readiness.is_of(watched))
        {
            let readiness = Readiness::new(watched)?;
            readiness.set_pending(!self.waiting.is_empty());
            self.readiness = Some(readiness);
        }
        Ok(self
            .readiness
            .as_ref()
            .map_or(-1, |readiness| readiness.as_raw_fd()))
    }

    /// The revision from which to watch again.
    pub fn position(&self) -> i64 {
        self.waiting
            .front()
            .map_or_else(|| self.watch.position(), |change| change.revision)
    }
}
