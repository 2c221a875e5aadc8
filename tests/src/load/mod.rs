//! Load on a cluster while things happen to it, and the check that it kept its promises:
//!
//! - every write that was acknowledged is there, once; none that was refused is; of those whose fate is unknown, each is
//!   there once or not at all;
//! - a linearizable read is never older than what was acknowledged, or read, before it began;
//! - a watcher sees every event once and in order, but for what a compaction notice names.
//!
//! There are two sorts of keys. A *unique* key is written once, by a put. A *register* has one writer, which writes growing
//! numbers, each by a transaction that refuses to go back; so a late write whose answer was lost can't undo a later one, and
//! "older" means "smaller".

mod check;
mod reader;
mod route;
mod shared;
mod watcher;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use shared::Shared;
use watcher::{Seen, Watcher};

/// How much load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Clients that write, each one call after another.
    pub writers: usize,
    /// Clients that do linearizable reads.
    pub readers: usize,
    /// Pause of each between two calls.
    pub pause: Duration,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            writers: 6,
            readers: 3,
            pause: Duration::from_millis(2),
        }
    }
}

/// What the load did, when all its promises held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that were refused: certainly not done.
    pub refused: u64,
    /// Writes of unknown fate.
    pub unknown: u64,
    /// Linearizable reads that were answered, by the first member asked or a later one.
    pub reads: u64,
    /// Linearizable reads that no member answered within ten seconds.
    pub failed_reads: u64,
    /// Events that all watchers together saw.
    pub events: u64,
    /// Compaction notices that watchers got.
    pub notices: u64,
    /// Streams that watchers opened again.
    pub reconnects: u64,
}

/// Load that is running.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Vec<Seen>>>,
}

#[derive(Debug)]
enum Command {
    /// Watch at this member, from the first event of the load on.
    Watch(String),
    /// Writers and readers have ended; watchers end when they have seen the last event.
    Finish,
}

impl Load {
    /// Starts load over these members, with one watcher at each.
    ///
    /// # Panics
    /// When the cluster does not take the first writes.
    pub fn start(endpoints: &[String], options: LoadOptions) -> Load {
        let load = Load::without_watchers(endpoints, options);
        for endpoint in endpoints {
            load.watch(endpoint);
        }
        load
    }

    /// Starts load over these members, and no watcher yet.
    ///
    /// # Panics
    /// When the cluster does not take the first writes.
    pub fn without_watchers(endpoints: &[String], options: LoadOptions) -> Load {
        let shared = Arc::new(Shared::new(endpoints, options));
        let (commands, received) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        runtime.block_on(writer::prepare(&shared));
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || runtime.block_on(run(shared, received, stopped))
        });
        Load {
            shared,
            commands,
            stop,
            thread: Some(thread),
        }
    }

    /// Spreads the load over other members from now on.
    pub fn set_endpoints(&self, endpoints: &[String]) {
        self.shared.set_endpoints(endpoints);
    }

    /// Adds a watcher at this member, which is to see all events from the start of the load on.
    pub fn watch(&self, endpoint: &str) {
        let _ = self.commands.send(Command::Watch(endpoint.to_owned()));
    }

    /// The watcher at a member that goes away for good need not see the end.
    pub fn unwatch(&self, endpoint: &str) {
        self.shared.lock_gone().insert(endpoint.to_owned());
    }

    /// How many writes have been acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `count` more writes, begun after this call, are acknowledged.
    ///
    /// # Panics
    /// When they aren't in a minute.
    pub fn wait_for_writes(&self, count: u64) {
        self.wait_for(
            "writes",
            &self.shared.acknowledged,
            count + self.shared.options.writers as u64,
        );
    }

    /// The same for linearizable reads.
    pub fn wait_for_reads(&self, count: u64) {
        self.wait_for(
            "reads",
            &self.shared.reads,
            count + self.shared.options.readers as u64,
        );
    }

    fn wait_for(&self, what: &str, counter: &std::sync::atomic::AtomicU64, more: u64) {
        let goal = counter.load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + Duration::from_secs(60);
        while counter.load(Ordering::Relaxed) < goal {
            assert!(
                Instant::now() < deadline,
                "waited a minute for {more} more {what}; the last failure: {}",
                self.shared.last_failure()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the load and checks all promises.
    ///
    /// # Panics
    /// When one was broken, or the cluster does not serve.
    pub fn finish(mut self) -> LoadReport {
        let _ = self.stop.send(true);
        let _ = self.commands.send(Command::Finish);
        let seen = self.thread.take().expect("once").join().expect("load");
        check::check(&self.shared, &seen)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Without `finish`, as after a panic of the test, nobody waits for watchers.
        self.shared.abandoned.store(true, Ordering::Relaxed);
        let _ = self.stop.send(true);
        let _ = self.commands.send(Command::Finish);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    stopped: watch::Receiver<bool>,
) -> Vec<Seen> {
    let mut clients = JoinSet::new();
    for number in 0..shared.options.writers {
        clients.spawn(writer::run(shared.clone(), number, stopped.clone()));
    }
    for number in 0..shared.options.readers {
        clients.spawn(reader::run(shared.clone(), number, stopped.clone()));
    }
    let mut watchers = JoinSet::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Watch(endpoint) => {
                watchers.spawn(Watcher::new(shared.clone(), endpoint).run());
            }
            Command::Finish => break,
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client of the load");
    }
    if shared.abandoned.load(Ordering::Relaxed) {
        return Vec::new();
    }
    writer::mark_end(&shared).await;
    shared.ended.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    while let Some(ended) = watchers.join_next().await {
        seen.push(ended.expect("a watcher"));
    }
    seen
}
