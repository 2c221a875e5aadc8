//! Keeps the host's mirror up to remote members, from one watch, on a thread of its own.
//!
//! A copy of the whole store at one revision, then every change after it. What is published stays while the members can't
//! be reached, and its heartbeat stands still: readers are told how old it is. A watch that has missed history, and a
//! store that has gone back (restored from a backup), lead to a new copy. A host that starts while no member answers gets what
//! it knew last, or a seed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_client::{ChangeBatch, ChangeKind, Client, ClusterPin, Error, Watch, WatchOptions, trust};
use cfgstore_mirror::{Change, Entry, Origin, ReadError, Snapshot};
use cfgstore_proto::etcdserverpb as pb;
use futures_util::FutureExt;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::AgentConfig;
use super::load::{Loaded, load};
use super::lock_keys::LockKeys;
use crate::mirror_outlet::{self, HEARTBEAT_EVERY, MirrorProgress, Outlet, is_public};
use crate::start_error::StartError;

/// After a copy that failed.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(2);
/// How long readers that have nothing wait for members before they get a stored copy.
const PATIENCE: Duration = Duration::from_millis(500);
/// What is published at once, at most: changes that are there already, in whole revisions.
const MAX_PUBLISHED_REVISIONS: usize = 1024;

/// The running thread.
pub(super) struct Feed {
    dir: PathBuf,
    progress: watch::Receiver<MirrorProgress>,
    trouble: watch::Receiver<Trouble>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Why the mirror does not follow the members at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The first copy is being made.
    Starting,
    /// It does follow.
    None,
    /// What keeps it from following.
    Because(String),
}

impl Feed {
    /// Opens the mirror and begins to follow. Does not wait for the members.
    pub async fn start(
        config: &AgentConfig,
        cluster: ClusterPin,
        keys: Arc<LockKeys>,
    ) -> std::result::Result<Feed, StartError> {
        let failed = |source| StartError::Thread {
            what: "the mirror's thread",
            source,
        };
        let options = mirror_outlet::place(&config.paths(), config.mirror_dir());
        let last_copy = config.paths().last_copy();
        let seed = config.seed.clone();
        let client_options = config.options();
        let (progress_sender, progress) = watch::channel(MirrorProgress::default());
        let (trouble_sender, trouble) = watch::channel(Trouble::Starting);
        let (stop, stopped) = oneshot::channel();
        let (opened_sender, opened) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let body = move || {
            let outlet = match Outlet::open(options, last_copy.clone(), progress_sender) {
                Ok(outlet) => outlet,
                Err(error) => return drop(opened_sender.send(Err(StartError::from(error)))),
            };
            if let Some(id) = known_cluster(&outlet, &last_copy) {
                cluster.learn(id);
            }
            let client = match Client::staying_with(client_options, cluster.clone()) {
                Ok(client) => client,
                Err(error) => {
                    let refused = StartError::Config {
                        setting: "--endpoints",
                        reason: error.message,
                    };
                    return drop(opened_sender.send(Err(refused)));
                }
            };
            let _ = opened_sender.send(Ok(outlet.dir()));
            runtime.block_on(async {
                let mut ticks = tokio::time::interval(HEARTBEAT_EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let follower = Follower {
                    outlet,
                    client,
                    cluster,
                    keys,
                    last_copy,
                    seed,
                    seed_trouble: None,
                    trouble: trouble_sender,
                    stopped,
                    ticks,
                    confirmed_boot_ms: 0,
                };
                follower.run().await;
            });
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new()
            .name("cfgstore-mirror".to_owned())
            .spawn(body)
            .map_err(failed)?;
        let dir = opened
            .await
            .map_err(|_| failed(std::io::Error::other("it ended at once")))??;
        Ok(Feed {
            dir,
            progress,
            trouble,
            stop,
            thread,
        })
    }

    /// The mirror's folder.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    pub fn progress(&self) -> watch::Receiver<MirrorProgress> {
        self.progress.clone()
    }

    pub fn trouble(&self) -> watch::Receiver<Trouble> {
        self.trouble.clone()
    }

    /// Saves the last copy and ends the mirror in order.
    pub async fn stop(self) {
        // An error means that the thread has ended already.
        let _ = self.stop.send(());
        let thread = self.thread;
        if tokio::task::spawn_blocking(move || thread.join()).await.is_err() {
            tracing::error!("the mirror's thread did not end in order");
        }
    }
}

/// The cluster that this host has reached before. A seed says nothing of that.
fn known_cluster(outlet: &Outlet, last_copy: &Path) -> Option<u64> {
    let published = outlet.current().filter(|published| !published.is_restored());
    if let Some(published) = published {
        return Some(published.source_id());
    }
    Snapshot::open_file(last_copy).ok().map(|saved| saved.source_id())
}

/// A stored copy, all of which can be read.
fn open_stored(path: &Path) -> std::result::Result<Snapshot, ReadError> {
    let stored = Snapshot::open_file(path)?;
    for entry in stored.iter() {
        entry?;
    }
    Ok(stored)
}

fn open_seed(path: &Path) -> std::result::Result<Snapshot, String> {
    trust::check(path).map_err(|planted| format!("the seed is not trusted: {planted}"))?;
    // A container's orchestrator mounts files as links.
    let file = std::fs::canonicalize(path)
        .map_err(|error| format!("the seed {} cannot be read: {error}", path.display()))?;
    open_stored(&file).map_err(|error| format!("the seed cannot be read: {error}"))
}

/// The thread's work.
struct Follower {
    outlet: Outlet,
    client: Client,
    cluster: ClusterPin,
    keys: Arc<LockKeys>,
    last_copy: PathBuf,
    seed: Option<PathBuf>,
    /// Why the seed can't be served.
    seed_trouble: Option<String>,
    trouble: watch::Sender<Trouble>,
    stopped: oneshot::Receiver<()>,
    ticks: Interval,
    /// When what is published was last known to be current.
    confirmed_boot_ms: u64,
}

/// Why following ended.
enum End {
    /// The agent is stopping.
    Stop,
    /// A new copy is needed.
    Reload(String),
}

impl Follower {
    async fn run(mut self) {
        self.outlet
            .progress()
            .send_modify(|progress| progress.failing = true);
        if let Some(published) = self.outlet.current() {
            let (generation, revision) = (published.generation(), published.revision());
            self.outlet.progress().send_modify(|progress| {
                progress.generation = generation;
                progress.revision = revision;
            });
        }
        let mut pause = PAUSE_FIRST;
        loop {
            let held_before = self.keys.held();
            let client = self.client.clone();
            let mut copy = std::pin::pin!(async move { load(&client).await });
            let loaded = match self.attend(tokio::time::timeout(PATIENCE, &mut copy)).await {
                None => break,
                Some(Ok(loaded)) => loaded,
                Some(Err(_)) => {
                    if self.serve_stored_copy() {
                        self.troubled("no member has answered yet, a stored copy is served".to_owned());
                    }
                    match self.attend(copy).await {
                        None => break,
                        Some(loaded) => loaded,
                    }
                }
            };
            let reason = match loaded {
                Ok(loaded) if self.publish_copy(&loaded, &held_before) => {
                    pause = PAUSE_FIRST;
                    self.untroubled();
                    match self.follow(loaded.revision).await {
                        End::Stop => break,
                        End::Reload(reason) => reason,
                    }
                }
                Ok(_) => "the mirror could not be published; see the log".to_owned(),
                Err(error) => error.message,
            };
            self.serve_stored_copy();
            self.troubled(match &self.seed_trouble {
                Some(seed) if self.outlet.current().is_none() => format!("{reason}; {seed}"),
                _ => reason,
            });
            if self.attend(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
            pause = (pause * 2).min(PAUSE_LAST);
        }
        self.outlet.close();
    }

    /// Waits for `future` and does what is due every second. `None`: the agent is stopping.
    async fn attend<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                _ = &mut self.stopped => return None,
                done = &mut future => return Some(done),
                _ = self.ticks.tick() => { self.tick(false); }
            }
        }
    }

    /// What is due every second. False: everything must be published again.
    fn tick(&mut self, is_current: bool) -> bool {
        if is_current {
            self.confirmed_boot_ms = cfgstore_mirror::boot_ms();
        }
        // With the old time too: it looks after the folder.
        let is_there = self.confirmed_boot_ms == 0 || self.outlet.heartbeat(self.confirmed_boot_ms);
        self.outlet.save_last_copy_if_due();
        is_there
    }

    fn publish_copy(&mut self, loaded: &Loaded, held_before: &HashSet<Bytes>) -> bool {
        let served = self.outlet.current().map(|served| served.source_id());
        if served.is_some_and(|source_id| source_id != self.cluster.id()) {
            tracing::warn!("the seed was of another cluster than the members that answer now; theirs counts");
        }
        self.keys
            .keep_only(loaded.revision, held_before, |key| loaded.has(key));
        let origin = Origin {
            source_id: self.cluster.id(),
            revision: loaded.revision,
            restored: false,
        };
        let entries = loaded.kvs.iter().map(|kv| Entry {
            key: &kv.key,
            value: &kv.value,
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
        });
        self.outlet.publish(loaded.revision, |publisher, _| {
            publisher.publish_full(origin, entries).map(Some)
        })
    }

    /// Publishes every change after `revision`.
    async fn follow(&mut self, mut revision: i64) -> End {
        let options = WatchOptions::prefix("")
            .with_reserved()
            .from_revision(revision + 1);
        let mut watch = match self.client.watch(options) {
            Ok(watch) => watch,
            Err(error) => return End::Reload(error.message),
        };
        let mut verified = 0;
        self.tick(true);
        loop {
            let changes = tokio::select! {
                biased;
                _ = &mut self.stopped => return End::Stop,
                changes = watch.next() => Some(changes),
                _ = self.ticks.tick() => None,
            };
            if watch.openings() != verified {
                verified = watch.openings();
                if verified > 1
                    && let Some(end) = self.store_went_back(revision).await
                {
                    return end;
                }
            }
            match changes {
                None => {
                    self.note_state_of(&watch);
                    if !self.tick(watch.is_open()) {
                        return End::Reload("the mirror's folder was removed".to_owned());
                    }
                }
                Some(Err(error)) => return End::Reload(error.message),
                Some(Ok(first)) => {
                    let (batches, failed) = with_those_ready(&mut watch, first);
                    if !self.publish_changes(&batches) {
                        return End::Reload("the mirror could not be published; see the log".to_owned());
                    }
                    revision = batches.last().map_or(revision, |batch| batch.revision);
                    if let Some(error) = failed {
                        return End::Reload(error.message);
                    }
                }
            }
        }
    }

    fn publish_changes(&mut self, batches: &[ChangeBatch]) -> bool {
        let Some(revision) = batches.last().map(|batch| batch.revision) else {
            return true;
        };
        let all = || batches.iter().flat_map(|batch| &batch.changes);
        for gone in all().filter(|change| change.kind == ChangeKind::Delete) {
            self.keys.deleted(&gone.key, gone.revision);
        }
        let changes = all().filter(|change| is_public(&change.key)).map(|change| {
            if change.kind == ChangeKind::Delete {
                return Change::Delete {
                    key: &change.key,
                    mod_revision: change.revision,
                };
            }
            Change::Put(Entry {
                key: &change.key,
                value: &change.value,
                create_revision: change.create_revision,
                mod_revision: change.revision,
                version: change.version,
            })
        });
        self.outlet.publish(revision, |publisher, is_new| {
            if is_new {
                // Its folder was lost a moment ago; there is nothing that these changes could be put on.
                return Err(cfgstore_mirror::PublishError::NoBase {
                    path: publisher.dir().to_path_buf(),
                });
            }
            publisher.publish_changes(revision, changes).map(Some)
        })
    }

    /// After the watch was broken: why the members' store is not the one that was followed, if so. A member that lags behind
    /// is none; a store that as a whole is behind what was seen was restored from a backup.
    async fn store_went_back(&mut self, revision: i64) -> Option<End> {
        let client = self.client.clone();
        let request = pb::RangeRequest {
            key: Bytes::from_static(b"\0"),
            count_only: true,
            ..Default::default()
        };
        let current = match self
            .attend(async move { client.range_as_is(request).await })
            .await
        {
            None => return Some(End::Stop),
            Some(Ok(answer)) => answer.header.map_or(0, |header| header.revision),
            // Not known: to be on the safe side.
            Some(Err(error)) => return Some(End::Reload(error.message)),
        };
        (current < revision).then(|| {
            End::Reload(format!(
                "the store is at revision {current}, and was at {revision} before: it was restored from a backup"
            ))
        })
    }

    fn note_state_of(&mut self, watch: &Watch) {
        if watch.is_open() {
            self.untroubled();
        } else if let Some(trouble) = watch.trouble() {
            self.troubled(trouble.to_owned());
        }
    }

    fn untroubled(&mut self) {
        if *self.trouble.borrow() == Trouble::None {
            return;
        }
        if matches!(&*self.trouble.borrow(), Trouble::Because(_)) {
            tracing::info!("the mirror follows the members again");
        }
        self.trouble.send_replace(Trouble::None);
        if !self.outlet.is_failing() {
            self.outlet
                .progress()
                .send_modify(|progress| progress.failing = false);
        }
    }

    fn troubled(&mut self, reason: String) {
        let news = Trouble::Because(reason);
        if *self.trouble.borrow() == news {
            return;
        }
        if let (Trouble::Because(reason), false) =
            (&news, matches!(&*self.trouble.borrow(), Trouble::Because(_)))
        {
            tracing::error!(%reason, "the mirror does not follow the members; readers keep the last copy");
        } else if let Trouble::Because(reason) = &news {
            tracing::debug!(%reason, "the mirror does not follow the members yet");
        }
        self.trouble.send_replace(news);
        self.outlet
            .progress()
            .send_modify(|progress| progress.failing = true);
    }

    /// A host that has started while no member answers reads what it knew before, or a seed. False: there was nothing to do, or
    /// nothing to serve.
    fn serve_stored_copy(&mut self) -> bool {
        if self.outlet.current().is_some() {
            return false;
        }
        let Some(stored) = self.stored_copy() else {
            return false;
        };
        let entries: std::result::Result<Vec<Entry<'_>>, _> = stored.iter().collect();
        let Ok(entries) = entries else {
            // It was read a moment ago.
            return false;
        };
        let origin = Origin {
            source_id: stored.source_id(),
            revision: stored.revision(),
            restored: true,
        };
        tracing::warn!(
            revision = stored.revision(),
            "no member answers: a stored copy is served"
        );
        let published = self.outlet.publish(stored.revision(), |publisher, _| {
            publisher.publish_full(origin, entries).map(Some)
        });
        self.outlet
            .progress()
            .send_modify(|progress| progress.failing = true);
        published
    }

    /// The last copy, unless the seed is a newer one of the same store.
    fn stored_copy(&mut self) -> Option<Snapshot> {
        let last = match open_stored(&self.last_copy) {
            Ok(last) => Some(last),
            Err(ReadError::NotFound { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, "the last copy is unreadable");
                None
            }
        };
        let seed = match self.seed.as_deref().map(open_seed) {
            None => None,
            Some(Ok(seed)) => Some(seed),
            Some(Err(reason)) => {
                // Tried, and told of, once.
                tracing::error!(%reason, "the seed is left out");
                self.seed_trouble = Some(reason);
                self.seed = None;
                None
            }
        };
        match (last, seed) {
            (Some(last), Some(seed))
                if seed.source_id() == last.source_id() && seed.revision() > last.revision() =>
            {
                Some(seed)
            }
            (last, seed) => last.or(seed),
        }
    }
}

/// `first` and the changes that have arrived behind it; and what ended the watch, if it has ended.
fn with_those_ready(watch: &mut Watch, first: ChangeBatch) -> (Vec<ChangeBatch>, Option<Error>) {
    let mut batches = vec![first];
    // Nothing is received meanwhile, since this does not wait: they are all of one connection.
    while batches.len() < MAX_PUBLISHED_REVISIONS {
        match watch.next().now_or_never() {
            Some(Ok(batch)) => batches.push(batch),
            Some(Err(error)) => return (batches, Some(error)),
            None => break,
        }
    }
    (batches, None)
}
