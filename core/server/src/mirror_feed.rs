//! Keeps the host's mirror up to the member's state, on a thread of its own: from the start, or from when a process of the
//! host first asks for it.

use std::path::PathBuf;
use std::thread::JoinHandle;

use cfgstore_mirror::{Change, Entry, Origin, PublishError, Published, Publisher, PublisherOptions};
use cfgstore_replica::Member;
use cfgstore_store::{Range, Record, State};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::config::{Config, MirrorUse};
use crate::mirror_outlet::{self, HEARTBEAT_EVERY, MirrorProgress, Outlet};
use crate::start_error::StartError;

/// Questions that may wait for the thread; further ones wait for a place.
const ASKS: usize = 16;

/// What services know of the mirror. Clones share it.
#[derive(Clone)]
pub(crate) struct Mirror {
    progress: watch::Receiver<MirrorProgress>,
    folder: watch::Receiver<Option<PathBuf>>,
    asks: mpsc::Sender<oneshot::Sender<Result<(), String>>>,
}

impl Mirror {
    /// How far it is.
    pub fn progress(&self) -> &watch::Receiver<MirrorProgress> {
        &self.progress
    }

    /// Its folder; `None` while nobody has asked for it.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.borrow().clone()
    }

    /// Sees to it that there is one, and returns once it is published, or why it can't be.
    pub async fn ask(&self) -> Result<(), String> {
        if self.folder.borrow().is_some() {
            return Ok(());
        }
        let ended = || "the mirror's thread has ended".to_owned();
        let (reply, answer) = oneshot::channel();
        self.asks.send(reply).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The running thread.
pub(crate) struct MirrorFeed {
    mirror: Mirror,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl MirrorFeed {
    /// Opens the mirror, unless it is to wait until it is asked for; publishes all keys and goes on from there. A mirror that is
    /// only short of space does not keep the server from starting: it is tried again.
    pub async fn start(member: Member, source_id: u64, config: &Config) -> Result<MirrorFeed, StartError> {
        let failed = |source| StartError::Thread {
            what: "the mirror's thread",
            source,
        };
        let paths = config.paths();
        // A mirror that an earlier process kept has readers, which may not be able to ask for it again.
        let waits = config.mirror_use == MirrorUse::OnDemand
            && config.mirror_dir.is_none()
            && paths.mirror_link().symlink_metadata().is_err();
        let (progress_sender, progress) = watch::channel(MirrorProgress::default());
        let (folder_sender, folder) = watch::channel(None);
        let (asks, asked) = mpsc::channel(ASKS);
        let (stop, stopped) = oneshot::channel();
        let opening = Opening {
            options: mirror_outlet::place(&paths, config.mirror_dir.as_deref()),
            last_copy: paths.last_copy(),
            progress: progress_sender,
            member,
            source_id,
        };
        // A small one of this thread's own: waiting there must not depend on how busy the server's is.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(failed)?;
        let (ready_sender, ready) = oneshot::channel();
        let body = move || {
            let mut thread = Thread {
                runtime,
                folder: folder_sender,
                asked,
                stopped,
            };
            let feed = if waits {
                let _ = ready_sender.send(Ok(()));
                thread.open_when_asked(&opening)
            } else {
                match opening.open() {
                    Ok(feed) => {
                        thread.opened(&feed);
                        let _ = ready_sender.send(Ok(()));
                        Some(feed)
                    }
                    Err(error) => {
                        let _ = ready_sender.send(Err(error));
                        None
                    }
                }
            };
            if let Some(feed) = feed {
                thread.run(feed);
            }
        };
        let thread = std::thread::Builder::new()
            .name("cfgstore-mirror".to_owned())
            .spawn(body)
            .map_err(failed)?;
        ready
            .await
            .map_err(|_| failed(std::io::Error::other("it ended at once")))??;
        Ok(MirrorFeed {
            mirror: Mirror {
                progress,
                folder,
                asks,
            },
            stop,
            thread,
        })
    }

    pub fn mirror(&self) -> &Mirror {
        &self.mirror
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

/// What opening the mirror takes.
struct Opening {
    options: PublisherOptions,
    last_copy: PathBuf,
    progress: watch::Sender<MirrorProgress>,
    member: Member,
    source_id: u64,
}

impl Opening {
    fn open(&self) -> Result<Feed, PublishError> {
        let outlet = Outlet::open(
            self.options.clone(),
            self.last_copy.clone(),
            self.progress.clone(),
        )?;
        let mut feed = Feed {
            member: self.member.clone(),
            source_id: self.source_id,
            outlet,
        };
        // A full copy, whatever is there: a data folder restored from a backup has another history behind its revisions.
        feed.publish(true);
        feed.heartbeat();
        Ok(feed)
    }
}

struct Thread {
    runtime: Runtime,
    folder: watch::Sender<Option<PathBuf>>,
    asked: mpsc::Receiver<oneshot::Sender<Result<(), String>>>,
    stopped: oneshot::Receiver<()>,
}

enum Woken {
    Applied,
    Tick,
    Asked(oneshot::Sender<Result<(), String>>),
    Stop,
}

impl Thread {
    fn opened(&self, feed: &Feed) {
        self.folder.send_replace(Some(feed.outlet.dir()));
    }

    /// `None`: the server ended before.
    fn open_when_asked(&mut self, opening: &Opening) -> Option<Feed> {
        loop {
            let (asked, stopped) = (&mut self.asked, &mut self.stopped);
            let reply = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopped => None,
                    reply = asked.recv() => reply,
                }
            })?;
            // Whoever asked may be gone.
            match opening.open() {
                Ok(feed) => {
                    self.opened(&feed);
                    let _ = reply.send(Ok(()));
                    return Some(feed);
                }
                Err(error) => {
                    tracing::error!(%error, "the mirror that a process of this host asks for can't be opened");
                    let _ = reply.send(Err(error.to_string()));
                }
            }
        }
    }

    fn run(self, mut feed: Feed) {
        let Thread {
            runtime,
            folder,
            mut asked,
            mut stopped,
        } = self;
        let mut applied = feed.member.applied();
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
                    Some(reply) = asked.recv() => Woken::Asked(reply),
                }
            });
            match woken {
                Woken::Applied => feed.publish(false),
                Woken::Tick => {
                    feed.heartbeat();
                    // What failed is tried again, at the pace of the heartbeat.
                    if feed.outlet.is_failing() {
                        feed.publish(false);
                    }
                    feed.outlet.save_last_copy_if_due();
                    folder.send_if_modified(|folder| {
                        let now = Some(feed.outlet.dir());
                        std::mem::replace(folder, now.clone()) != now
                    });
                }
                // Asked while it was being opened. Whoever asked may be gone.
                Woken::Asked(reply) => drop(reply.send(Ok(()))),
                Woken::Stop => break,
            }
        }
        feed.publish(false);
        feed.outlet.close();
    }
}

struct Feed {
    member: Member,
    source_id: u64,
    outlet: Outlet,
}

impl Feed {
    /// Brings the mirror up to the member's present state.
    fn publish(&mut self, full: bool) {
        let state = self.member.state();
        let source_id = self.source_id;
        let published = self.outlet.progress().borrow().revision;
        self.outlet.publish(state.revision(), |publisher, is_new| {
            let full = full || is_new || published == 0;
            publish(publisher, source_id, &state, (!full).then_some(published))
        });
    }

    fn heartbeat(&mut self) {
        if !self.outlet.heartbeat(cfgstore_mirror::boot_ms()) {
            self.publish(true);
        }
    }
}

/// Publishes what changed after the revision that is `published`, or, without one, everything.
fn publish(
    publisher: &mut Publisher,
    source_id: u64,
    state: &State,
    published: Option<i64>,
) -> Result<Option<Published>, PublishError> {
    let changes = published.and_then(|published| changed_records(state, published));
    let result = match &changes {
        Some(records) if records.is_empty() && Some(state.revision()) == published => return Ok(None),
        Some(records) => publisher.publish_changes(state.revision(), records.iter().map(change)),
        None => publish_full(publisher, source_id, state),
    };
    match result {
        Err(
            PublishError::NoBase { .. } | PublishError::RevisionBackwards { .. } | PublishError::ReadBack(_),
        ) => publish_full(publisher, source_id, state).map(Some),
        other => other.map(Some),
    }
}

fn publish_full(publisher: &mut Publisher, source_id: u64, state: &State) -> Result<Published, PublishError> {
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
    mirror_outlet::is_public(record.key())
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
