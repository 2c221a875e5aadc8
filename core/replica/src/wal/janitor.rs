//! The thread that prepares the next segment file and removes those no longer needed, so that the writer does not wait
//! for either, and a full disk is noticed a whole segment before it matters.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::is_out_of_space;
use crate::fatal::FatalHook;
use crate::wal::log::{Place, Spare, SpareSource, prepare_spare, remove_segments};
use crate::wal::writer::WalStats;

/// How often a full disk, or a file that could not be removed, is tried again.
const RETRY: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Work {
    spare: Option<Spare>,
    /// Oldest first; a segment is only removed after all before it, so that the rest stays consecutive.
    remove: Vec<u64>,
    closed: bool,
    failed: bool,
}

struct Shared {
    place: Place,
    stats: Arc<WalStats>,
    work: Mutex<Work>,
    changed: Condvar,
    /// Number of the last file prepared.
    prepared: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Handle of the thread.
pub(crate) struct Janitor(Arc<Shared>);

impl Janitor {
    pub(crate) fn start(
        place: Place,
        stats: Arc<WalStats>,
        remove: Vec<u64>,
        fatal: FatalHook,
    ) -> io::Result<Janitor> {
        let work = Mutex::new(Work {
            remove,
            ..Work::default()
        });
        let shared = Arc::new(Shared {
            place,
            stats,
            work,
            changed: Condvar::new(),
            prepared: AtomicU64::new(0),
            thread: Mutex::new(None),
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("cfgstore-files".into())
            .spawn(move || {
                if let Err(error) = for_thread.run() {
                    fatal.call(&format!("the next log segment cannot be prepared: {error}"));
                    for_thread.lock().failed = true;
                    for_thread.changed.notify_all();
                }
            })?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Janitor(shared))
    }

    /// Removes these segments, oldest first, in the background.
    pub(crate) fn remove(&self, ids: Vec<u64>) {
        self.0.lock().remove.extend(ids);
        self.0.changed.notify_all();
    }

    /// Ends the thread soon; a writer waiting for space gives up.
    pub(crate) fn close(&self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Waits for the thread to end.
    pub(crate) fn join(&self) {
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic on the thread has already been reported there.
            let _ = thread.join();
        }
    }
}

impl SpareSource for &Janitor {
    fn take(&mut self, size_bytes: u64) -> io::Result<Spare> {
        let mut work = self.0.lock();
        loop {
            if size_bytes > self.0.place.segment_size_bytes {
                // A frame too large for an ordinary segment: rare enough to be prepared on the spot.
                return prepare_spare(&self.0.place, self.0.next_number(), size_bytes, false);
            }
            if let Some(spare) = work.spare.take() {
                self.0.changed.notify_all();
                return Ok(spare);
            }
            if work.failed {
                return Err(io::Error::other("the next log segment cannot be prepared"));
            }
            if work.closed {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "the log was closed while waiting for space",
                ));
            }
            work = self.0.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // Nothing panics while it holds this lock halfway through a change.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no file prepared before has.
    fn next_number(&self) -> u64 {
        self.prepared.fetch_add(1, Relaxed) + 1
    }

    fn run(&self) -> io::Result<()> {
        let mut retry = false;
        let mut work = self.lock();
        loop {
            if retry {
                work = self
                    .changed
                    .wait_timeout(work, RETRY)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                retry = false;
            }
            if work.closed {
                return Ok(());
            }
            if let Some(oldest) = work.remove.first().copied() {
                drop(work);
                let removed = remove_segments(&*self.place.disk, &self.place.dir, &[oldest]);
                work = self.lock();
                match removed {
                    Ok(()) => {
                        work.remove.remove(0);
                    }
                    Err(error) => {
                        tracing::warn!(segment = oldest, %error, "cannot remove a log segment, trying again");
                        retry = true;
                    }
                }
            } else if work.spare.is_none() {
                drop(work);
                let spare = prepare_spare(
                    &self.place,
                    self.next_number(),
                    self.place.segment_size_bytes,
                    true,
                );
                work = self.lock();
                match spare {
                    Ok(spare) => {
                        if self.stats.no_space.swap(false, Relaxed) {
                            tracing::info!("there is space for the log again");
                        }
                        work.spare = Some(spare);
                        self.changed.notify_all();
                    }
                    Err(error) if is_out_of_space(&error) => {
                        if !self.stats.no_space.swap(true, Relaxed) {
                            tracing::error!(%error, "the disk is too full for the next log segment");
                        }
                        retry = true;
                    }
                    Err(error) => return Err(error),
                }
            } else {
                work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
