//! The mirror's last copy on a real disk, with which a host starts when no member answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cfgstore_mirror::{PublishError, Snapshot};

/// The copy is at most this much older than the mirror.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Saves the copy, each time on a thread of its own: a disk takes its time for an fsync, and publishing must not wait for it.
pub(crate) struct LastCopy {
    path: PathBuf,
    /// Revision that is saved; 0: none by this process.
    revision: i64,
    begun_at: Instant,
    running: Option<JoinHandle<Result<i64, PublishError>>>,
}

impl LastCopy {
    pub fn new(path: PathBuf) -> LastCopy {
        LastCopy {
            path,
            revision: 0,
            begun_at: Instant::now(),
            running: None,
        }
    }

    /// Begins to save what is published, unless it is saved already, is being saved, or was a moment ago.
    pub fn save_if_due(&mut self, published: Option<&Arc<Snapshot>>) {
        if self.running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.collect();
        let Some(snapshot) = published.filter(|snapshot| snapshot.revision() != self.revision) else {
            return;
        };
        if self.begun_at.elapsed() < SAVE_EVERY {
            return;
        }
        self.begun_at = Instant::now();
        let (snapshot, path) = (snapshot.clone(), self.path.clone());
        let thread = std::thread::Builder::new()
            .name("cfgstore-copy".to_owned())
            .spawn(move || snapshot.save_to(&path).map(|()| snapshot.revision()));
        match thread {
            Ok(thread) => self.running = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to save the mirror's last copy; it is tried again")
            }
        }
    }

    /// Saves what is published, if it is not saved already. Waits for the disk: for the end of the process.
    pub fn finish(mut self, published: Option<&Arc<Snapshot>>) {
        self.collect();
        if let Some(snapshot) = published.filter(|snapshot| snapshot.revision() != self.revision) {
            self.note(snapshot.save_to(&self.path).map(|()| snapshot.revision()));
        }
    }

    fn collect(&mut self) {
        // A panic on the thread has been reported there.
        if let Some(Ok(result)) = self.running.take().map(JoinHandle::join) {
            self.note(result);
        }
    }

    fn note(&mut self, result: Result<i64, PublishError>) {
        match result {
            Ok(revision) => self.revision = revision,
            Err(error) => {
                tracing::warn!(%error, "the mirror's last copy could not be saved; it is tried again")
            }
        }
    }
}
