//! Keeps the host's mirror up to the member's state, on a thread of its own.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use cfgstore_mirror::{Change, Entry, Origin, PublishError, Published, Publisher};
use cfgstore_replica::Member;
use cfgstore_store::{Range, Record, State};
use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::mirror_outlet::{self, HEARTBEAT_EVERY, MirrorProgress, Outlet, now_unix_ms};
use crate::start_error::StartError;

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
        let options = mirror_outlet::place(&config.paths(), config.mirror_dir.as_deref());
        let last_copy = config.paths().last_copy();
        let (progress_sender, progress) = watch::channel(MirrorProgress::default());
        let (stop, stopped) = oneshot::channel();
        let (opened_sender, opened) = oneshot::channel();
        let body = move || match Outlet::open(options, last_copy, progress_sender) {
            Err(error) => drop(opened_sender.send(Err(error))),
            Ok(outlet) => {
                let mut feed = Feed {
                    member,
                    source_id,
                    outlet,
                };
                // A full copy, whatever is there: a data folder restored from a backup has another history behind its
                // revisions.
                feed.publish(true);
                feed.heartbeat();
                let _ = opened_sender.send(Ok(feed.outlet.dir()));
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

struct Feed {
    member: Member,
    source_id: u64,
    outlet: Outlet,
}

enum Woken {
    Applied,
    Tick,
    Stop,
}

impl Feed {
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
                    if self.outlet.is_failing() {
                        self.publish(false);
                    }
                    self.outlet.save_last_copy_if_due();
                }
                Woken::Stop => break,
            }
        }
        self.publish(false);
        self.outlet.close();
    }

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
        if !self.outlet.heartbeat(now_unix_ms()) {
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
