//! The thread that writes the log. Every write goes through one queue in one order: votes, entries, truncations and
//! purges. What queued while a sync was under way becomes the next frame: that is the whole of group commit.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::fatal::FatalHook;
use crate::stats::Counters;
use crate::wal::format::{Record, record_bytes};
use crate::wal::index::SharedIndex;
use crate::wal::janitor::Janitor;
use crate::wal::log::Log;

/// A sync that takes this long is told of, as etcd does.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// Called on the writer thread once the records are durable, or will never be.
pub(crate) type Callback = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Request {
    records: Vec<Record>,
    done: Option<Callback>,
}

#[derive(Default)]
struct QueueState {
    requests: Vec<Request>,
    closed: bool,
    /// Set after a failed write; nothing is written any more.
    failed: Option<String>,
}

/// Counters of the log, for status and measurements.
#[derive(Debug, Default)]
pub(crate) struct WalStats {
    /// Frames written, each with one sync.
    pub(crate) frames: AtomicU64,
    /// Bytes of frames written, padding included.
    pub(crate) bytes: AtomicU64,
    /// Bytes left in the active segment.
    pub(crate) remaining: AtomicU64,
    /// The disk is too full for the next segment.
    pub(crate) no_space: AtomicBool,
}

struct Shared {
    queue: Mutex<QueueState>,
    wake: Condvar,
    stats: Arc<WalStats>,
    counters: Arc<Counters>,
    index: SharedIndex,
    janitor: Janitor,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Handle of the running log. Clones share it; the last [`Writer::close`] wins nothing over the first.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Shared>);

impl Writer {
    /// Starts the threads.
    pub(crate) fn start(log: Log, counters: Arc<Counters>, fatal: FatalHook) -> io::Result<Writer> {
        let stats = Arc::new(WalStats::default());
        stats.remaining.store(log.remaining_bytes(), Relaxed);
        let removable = log.index.lock().take_unused_files(log.active.id);
        let janitor = Janitor::start(log.place.clone(), stats.clone(), removable, fatal.clone())?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            stats,
            counters,
            index: log.index.clone(),
            janitor,
            thread: Mutex::new(None),
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("cfgstore-wal".into())
            .spawn(move || run(&for_thread, log, &fatal))?;
        *lock(&shared.thread) = Some(thread);
        Ok(Writer(shared))
    }

    /// Queues records, all of which go into one frame. `done` is called exactly once.
    pub(crate) fn submit(&self, records: Vec<Record>, done: Option<Callback>) {
        let mut queue = lock(&self.0.queue);
        let refusal = match &queue.failed {
            Some(reason) => Some(io::Error::other(reason.clone())),
            None if queue.closed => Some(closed_error()),
            None => None,
        };
        if let Some(error) = refusal {
            drop(queue);
            if let Some(done) = done {
                done(Err(error));
            }
            return;
        }
        queue.requests.push(Request { records, done });
        // The writer only sleeps on an empty queue.
        let wake = queue.requests.len() == 1;
        drop(queue);
        if wake {
            self.0.wake.notify_one();
        }
    }

    /// Where durable entries lie.
    pub(crate) fn index(&self) -> &SharedIndex {
        &self.0.index
    }

    /// Counters.
    pub(crate) fn stats(&self) -> &Arc<WalStats> {
        &self.0.stats
    }

    /// Finishes what is queued, then ends the threads and closes the files. Blocks.
    pub(crate) fn close(&self) {
        lock(&self.0.queue).closed = true;
        self.0.wake.notify_one();
        // The writer may be waiting for space; then what is queued fails.
        self.0.janitor.close();
        let thread = lock(&self.0.thread).take();
        if let Some(thread) = thread {
            // A panic on the thread has already been reported there.
            let _ = thread.join();
        }
        self.0.janitor.join();
    }
}

fn closed_error() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the log is closed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds one of these locks halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(shared: &Shared, log: Log, fatal: &FatalHook) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write_until_closed(shared, log)));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("writing the log failed, and what the disk holds is unknown now: {error}"),
        Err(_) => "the thread that writes the log panicked".to_owned(),
    };
    fatal.call(&reason);
    // Only in tests does the process live on.
    let requests = {
        let mut queue = lock(&shared.queue);
        queue.failed = Some(reason.clone());
        std::mem::take(&mut queue.requests)
    };
    fail(requests.into_iter().filter_map(|request| request.done), &reason);
}

fn fail(callbacks: impl Iterator<Item = Callback>, reason: &str) {
    for done in callbacks {
        done(Err(io::Error::other(reason.to_owned())));
    }
}

fn write_until_closed(shared: &Shared, mut log: Log) -> io::Result<()> {
    let mut records = Vec::new();
    let mut callbacks: Vec<Callback> = Vec::new();
    loop {
        let mut requests = {
            let mut queue = lock(&shared.queue);
            while queue.requests.is_empty() {
                if queue.closed {
                    return Ok(());
                }
                queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::take(&mut queue.requests).into_iter().peekable()
        };
        // One frame for all of it, unless it does not fit into a segment.
        while requests.peek().is_some() {
            let mut bytes = 0;
            while let Some(request) = requests.next_if(|request| {
                let more: usize = request.records.iter().map(record_bytes).sum();
                let fits = bytes == 0 || bytes + more <= log.frame_limit_bytes();
                bytes += if fits { more } else { 0 };
                fits
            }) {
                records.extend(request.records);
                callbacks.extend(request.done);
            }
            match commit(shared, &mut log, &records) {
                Ok(()) => callbacks.drain(..).for_each(|done| done(Ok(()))),
                Err(error) => {
                    let rest = requests.filter_map(|request| request.done);
                    fail(callbacks.drain(..).chain(rest), &error.to_string());
                    // Closing while waiting for space is no failure of the disk: nothing was written.
                    return if shared.janitor.is_closed() && error.kind() == io::ErrorKind::NotConnected {
                        Ok(())
                    } else {
                        Err(error)
                    };
                }
            }
            records.clear();
        }
    }
}

fn commit(shared: &Shared, log: &mut Log, records: &[Record]) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let unused = log.commit(records, &mut &shared.janitor)?;
    shared.counters.wal_fsync.record(log.last_sync);
    if log.last_sync >= SLOW_SYNC {
        tracing::warn!(
            took = ?log.last_sync,
            "the disk took long to make the log durable, and every write waited for it: give the data folder a faster disk, or one of its own"
        );
    }
    let bytes: usize = records.iter().map(record_bytes).sum();
    shared.stats.frames.fetch_add(1, Relaxed);
    shared
        .stats
        .bytes
        .fetch_add(crate::wal::format::frame_bytes(bytes) as u64, Relaxed);
    shared.stats.remaining.store(log.remaining_bytes(), Relaxed);
    if !unused.is_empty() {
        shared.janitor.remove(unused);
    }
    Ok(())
}
