//! Keeps the host's mirror up to the member's state, on a thread of its own.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cfgstore_mirror::{Change, Entry, Origin, Place, PublishError, Publisher, PublisherOptions};
use cfgstore_replica::Member;
use cfgstore_store::{Range, Record, State};
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::last_copy::LastCopy;
use crate::start_error::StartError;

/// Keys that are cfgstore's own (locks, for one) and not configuration.
const RESERVED_PREFIX: &[u8] = b"/_cfgstore/";

const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// Where a mirror folder is made when the host has no tmpfs to write to: slower to publish, and as good to
/// read.
const TMPFS: &str = "/dev/shm";

/// How far the mirror is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MirrorProgress {
    /// Generation last published; 0: none yet.
    pub generation: u64,
    /// Revision it holds; 0: none yet.
    pub revision: i64,
    /// How long the last generation took to publish.
    pub last_publish: Duration,
    /// The last try to publish failed, for lack of space, say.
    pub failing: bool,
}

/// Waits until the mirror holds `revision`: what a process of this host was told is written, every process of this host
/// then reads. Not for ever, and not at all while the mirror can't be published.
pub(crate) async fn wait_until_mirrored(progress: &watch::Receiver<MirrorProgress>, revision: i64) {
    const WAIT_MAX: Duration = Duration::from_secs(1);
    let mut progress = progress.clone();
    let mirrored = progress.wait_for(|progress| progress.revision >= revision || progress.failing);
    // Late is no failure of the write.
    let _ = tokio::time::timeout(WAIT_MAX, mirrored).await;
}

/// The running thread.
pub(crate) struct MirrorFeed {
    dir: PathBuf,
    progress: watch::Receiver<MirrorProgress>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl MirrorFeed {
    /// Opens the mirror, publishes all keys and goes on from there. A mirror that is only short of space does
    /// not keep the server from starting: it is tried again.
    pub async fn start(member: Member, source_id: u64, config: &Config) -> Result<MirrorFeed, StartError> {
        let options = publisher_options(config);
        let last_copy = config.paths().last_copy();
        let (progress_sender, progress) = watch::channel(MirrorProgress::default());
        let (stop, stopped) = oneshot::channel();
        let (opened_sender, opened) = oneshot::channel();
        let body = move || match Publisher::open(options.clone()) {
            Err(error) => drop(opened_sender.send(Err(error))),
            Ok(publisher) => {
                let mut feed = Feed {
                    member,
                    source_id,
                    options,
                    publisher: Some(publisher),
                    progress: progress_sender,
                    failing: None,
                    last_copy: LastCopy::new(last_copy),
                };
                feed.first();
                let dir = feed
                    .publisher
                    .as_ref()
                    .map(|publisher| publisher.dir().to_path_buf());
                let _ = opened_sender.send(Ok(dir.unwrap_or_default()));
                feed.run(stopped);
            }
        };
        let thread = std::thread::Builder::new()
            .name("cfgstore-mirror".to_owned())
            .spawn(body)
            .map_err(|source| StartError::Thread {
                what: "the mirror's thread",
                source,
            })?;
        let dir = opened.await.map_err(|_| StartError::Thread {
            what: "the mirror's thread",
            source: std::io::Error::other("it ended at once"),
        })??;
        Ok(MirrorFeed {
            dir,
            progress,
            stop,
            thread,
        })
    }

    /// The mirror's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn progress(&self) -> watch::Receiver<MirrorProgress> {
        self.progress.clone()
    }

    /// Publishes what is left, saves the last copy and ends the mirror in order.
    pub async fn stop(self) {
        // An error means that the thread has ended already.
        let _ = self.stop.send(());
        let thread = self.thread;
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            tracing::error!("the mirror's thread did not end in order");
        }
    }
}

fn publisher_options(config: &Config) -> PublisherOptions {
    if let Some(dir) = &config.mirror_dir {
        return PublisherOptions::folder(dir);
    }
    let mut options = PublisherOptions::linked(config.paths().mirror_link());
    if !Path::new(TMPFS).is_dir() {
        tracing::warn!(
            tmpfs = TMPFS,
            "this host has no tmpfs there, the mirror is kept in the data folder"
        );
        options.place = Place::Linked {
            link: config.paths().mirror_link(),
            root: config.data_dir.clone(),
        };
    }
    options
}

struct Feed {
    member: Member,
    source_id: u64,
    options: PublisherOptions,
    /// `None` after the folder was lost, until another could be opened.
    publisher: Option<Publisher>,
    progress: watch::Sender<MirrorProgress>,
    /// What is failing at present; it is logged once, not at every try.
    failing: Option<std::mem::Discriminant<PublishError>>,
    last_copy: LastCopy,
}

enum Woken {
    Applied,
    Tick,
    Stop,
}

impl Feed {
    fn first(&mut self) {
        if let Some(damage) = self
            .publisher
            .as_ref()
            .and_then(|publisher| publisher.found_damage())
        {
            tracing::warn!(%damage, "the mirror left by the last process is unreadable, it is replaced");
        }
        // A full copy, whatever is there: a data folder restored from a backup has another history behind its
        // revisions.
        self.publish(true);
        self.heartbeat();
    }

    fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        // A small runtime of this thread's own: waiting here must not depend on how busy the server's is.
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "the mirror's runtime could not be started"),
        };
        let mut applied = self.member.applied();
        let mut ticks = {
            let _context = runtime.enter();
            tokio::time::interval(HEARTBEAT_EVERY)
        };
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let woken = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = &mut stopped => Woken::Stop,
                    changed = applied.changed() => if changed.is_ok() { Woken::Applied } else { Woken::Stop },
                    _ = ticks.tick() => Woken::Tick,
                }
            });
            match woken {
                Woken::Applied => self.publish(false),
                Woken::Tick => {
                    self.heartbeat();
                    // What failed is tried again, at the pace of the heartbeat.
                    if self.failing.is_some() {
                        self.publish(false);
                    }
                    let published = self.publisher.as_ref().and_then(Publisher::current);
                    self.last_copy.save_if_due(published);
                }
                Woken::Stop => break,
            }
        }
        self.publish(false);
        self.last_copy
            .finish(self.publisher.as_ref().and_then(Publisher::current));
        if let Some(publisher) = self.publisher.take() {
            // Readers keep what is published; the next process goes on in the same folder.
            publisher.close();
        }
    }

    /// Brings the mirror up to the member's present state.
    fn publish(&mut self, full: bool) {
        let state = self.member.state();
        match self.try_publish(&state, full) {
            Ok(()) => {
                if self.failing.take().is_some() {
                    tracing::info!(revision = state.revision(), "the mirror is published again");
                }
            }
            Err(error) => {
                // By its kind: the sizes in its text change with every try.
                let kind = Some(std::mem::discriminant(&error));
                if self.failing != kind {
                    tracing::error!(%error, "the mirror could not be published; readers keep the last generation, and it is tried again");
                }
                self.failing = kind;
                self.progress.send_modify(|progress| progress.failing = true);
                if matches!(error, PublishError::Removed { .. })
                    && let Some(publisher) = self.publisher.take()
                {
                    publisher.retire();
                }
            }
        }
    }

    fn try_publish(&mut self, state: &State, full: bool) -> Result<(), PublishError> {
        let (publisher, is_new) = match &mut self.publisher {
            Some(publisher) => (publisher, false),
            none => (none.insert(Publisher::open(self.options.clone())?), true),
        };
        let began = Instant::now();
        let published = self.progress.borrow().revision;
        let full = full || is_new || published == 0;
        let changes = if full {
            None
        } else {
            changed_records(state, published)
        };
        let result = match &changes {
            Some(records) if records.is_empty() && state.revision() == published => return Ok(()),
            Some(records) => publisher.publish_changes(state.revision(), records.iter().map(change)),
            None => publish_full(publisher, self.source_id, state),
        };
        let done = match result {
            Err(
                PublishError::NoBase { .. }
                | PublishError::RevisionBackwards { .. }
                | PublishError::ReadBack(_),
            ) => publish_full(publisher, self.source_id, state)?,
            other => other?,
        };
        if done.rewrite_deferred {
            tracing::warn!("the mirror's file system is short of space, only a delta was published");
        }
        self.progress.send_replace(MirrorProgress {
            generation: done.generation,
            revision: state.revision(),
            last_publish: began.elapsed(),
            failing: false,
        });
        Ok(())
    }

    fn heartbeat(&mut self) {
        let Some(publisher) = &mut self.publisher else {
            return;
        };
        match publisher.heartbeat(now_unix_ms()) {
            Ok(()) => {}
            Err(PublishError::Removed { path }) => {
                tracing::error!(path = %path.display(), "the mirror's folder was removed, another is made");
                if let Some(publisher) = self.publisher.take() {
                    publisher.retire();
                }
                self.publish(true);
            }
            Err(error) => tracing::debug!(%error, "the mirror's heartbeat had a fault"),
        }
    }
}

fn publish_full(
    publisher: &mut Publisher,
    source_id: u64,
    state: &State,
) -> Result<cfgstore_mirror::Published, PublishError> {
    let every = bytes::Bytes::from_static(b"\0");
    let range = Range {
        key: every.clone(),
        range_end: every,
        ..Default::default()
    };
    // This range is always readable: it asks for the present revision.
    let records = state
        .range(&range)
        .map(|outcome| outcome.records)
        .unwrap_or_default();
    let origin = Origin {
        source_id,
        revision: state.revision(),
        restored: false,
    };
    publisher.publish_full(
        origin,
        records.iter().filter(|record| is_public(record)).map(entry),
    )
}

/// What changed after `revision`, oldest first; `None` if that is compacted.
fn changed_records(state: &State, revision: i64) -> Option<Vec<Record>> {
    let changes = state.changes(revision + 1).ok()?;
    Some(changes.filter(is_public).collect())
}

fn is_public(record: &Record) -> bool {
    !record.key().starts_with(RESERVED_PREFIX)
}

fn change(record: &Record) -> Change<'_> {
    if record.is_tombstone() {
        Change::Delete {
            key: record.key(),
            mod_revision: record.mod_revision(),
        }
    } else {
        Change::Put(entry(record))
    }
}

fn entry(record: &Record) -> Entry<'_> {
    Entry {
        key: record.key(),
        value: record.value(),
        create_revision: record.create_revision(),
        mod_revision: record.mod_revision(),
        version: record.version(),
    }
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
