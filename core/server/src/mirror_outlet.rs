//! The writing end of the host's mirror: the publisher, opened anew when its folder is lost, the last copy on disk, and what
//! others may know of both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_client::RESERVED_PREFIX;
use cfgstore_client::host::HostPaths;
use cfgstore_mirror::{Place, PublishError, Published, Publisher, PublisherOptions, Snapshot};
use tokio::sync::watch;

use crate::last_copy::LastCopy;

/// How often the publisher says that it lives.
pub(crate) const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

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

impl MirrorProgress {
    /// What readers should know of it.
    pub fn trouble(&self) -> Option<String> {
        self.failing.then(|| {
            "the mirror could not be published, and readers keep the last copy; it is tried again, and the agent's log says why"
                .to_owned()
        })
    }
}

/// Waits until the mirror holds `revision`: what a process of this host was told is written, every process of this host
/// then reads. Not for ever, and not at all while the mirror can't be published, or nobody has asked for it.
pub(crate) async fn wait_until_mirrored(progress: &watch::Receiver<MirrorProgress>, revision: i64) {
    const WAIT_MAX: Duration = Duration::from_secs(1);
    let mut progress = progress.clone();
    let mirrored = progress
        .wait_for(|progress| progress.revision >= revision || progress.failing || progress.generation == 0);
    // Late is no failure of the write.
    let _ = tokio::time::timeout(WAIT_MAX, mirrored).await;
}

/// Where the mirror of a host lives: in `mirror_dir`, or else in a folder of its own in shared memory.
pub(crate) fn place(paths: &HostPaths, mirror_dir: Option<&Path>) -> PublisherOptions {
    if let Some(dir) = mirror_dir {
        return PublisherOptions::folder(dir);
    }
    let mut options = PublisherOptions::linked(paths.mirror_link());
    if !Path::new(TMPFS).is_dir() {
        tracing::warn!(
            tmpfs = TMPFS,
            "this host has no tmpfs there, the mirror is kept in the data folder"
        );
        options.place = Place::Linked {
            link: paths.mirror_link(),
            root: paths.data_dir().to_path_buf(),
        };
    }
    options
}

/// Whether a key is configuration, and not cfgstore's own (a lock, for one).
pub(crate) fn is_public(key: &[u8]) -> bool {
    !key.starts_with(RESERVED_PREFIX)
}

/// See the module. Used by one thread.
pub(crate) struct Outlet {
    options: PublisherOptions,
    /// `None` after the folder was lost, until another could be opened.
    publisher: Option<Publisher>,
    progress: watch::Sender<MirrorProgress>,
    /// What is failing at present; it is logged once, not at every try.
    failing: Option<std::mem::Discriminant<PublishError>>,
    last_copy: LastCopy,
}

impl Outlet {
    /// Opens the mirror, with what the last process published in it.
    pub fn open(
        options: PublisherOptions,
        last_copy: PathBuf,
        progress: watch::Sender<MirrorProgress>,
    ) -> Result<Outlet, PublishError> {
        let publisher = Publisher::open(options.clone())?;
        if let Some(damage) = publisher.found_damage() {
            tracing::warn!(%damage, "the mirror left by the last process is unreadable, it is replaced");
        }
        Ok(Outlet {
            options,
            publisher: Some(publisher),
            progress,
            failing: None,
            last_copy: LastCopy::new(last_copy),
        })
    }

    /// The mirror's folder; empty while there is none.
    pub fn dir(&self) -> PathBuf {
        let dir = self.publisher.as_ref().map(Publisher::dir);
        dir.unwrap_or(Path::new("")).to_path_buf()
    }

    /// What is published.
    pub fn current(&self) -> Option<&Arc<Snapshot>> {
        self.publisher.as_ref().and_then(Publisher::current)
    }

    /// What others may know.
    pub fn progress(&self) -> &watch::Sender<MirrorProgress> {
        &self.progress
    }

    /// Whether the last try to publish failed.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Has `write` publish `revision`, and returns whether it is published. `write` is told whether the publisher is a new one,
    /// to which only a full copy can be given, and answers `None` if there is nothing to do.
    pub fn publish(
        &mut self,
        revision: i64,
        write: impl FnOnce(&mut Publisher, bool) -> Result<Option<Published>, PublishError>,
    ) -> bool {
        match self.try_publish(revision, write) {
            Ok(()) => {
                if self.failing.take().is_some() {
                    tracing::info!(revision, "the mirror is published again");
                }
                true
            }
            Err(error) => {
                // By its kind: the sizes in its text change with every try.
                let kind = Some(std::mem::discriminant(&error));
                if self.failing != kind {
                    tracing::error!(%error, "the mirror could not be published; readers keep the last generation, and it is tried again");
                }
                self.failing = kind;
                self.progress.send_modify(|progress| progress.failing = true);
                if matches!(error, PublishError::Removed { .. }) {
                    self.give_up_folder();
                }
                false
            }
        }
    }

    fn try_publish(
        &mut self,
        revision: i64,
        write: impl FnOnce(&mut Publisher, bool) -> Result<Option<Published>, PublishError>,
    ) -> Result<(), PublishError> {
        let (publisher, is_new) = match &mut self.publisher {
            Some(publisher) => (publisher, false),
            none => (none.insert(Publisher::open(self.options.clone())?), true),
        };
        let began = Instant::now();
        let Some(done) = write(publisher, is_new)? else {
            return Ok(());
        };
        if done.rewrite_deferred {
            tracing::warn!("the mirror's file system is short of space, only a delta was published");
        }
        self.progress.send_replace(MirrorProgress {
            generation: done.generation,
            revision,
            last_publish: began.elapsed(),
            failing: false,
        });
        Ok(())
    }

    fn give_up_folder(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            publisher.retire();
        }
    }

    /// Says that what is published was known to be current at `boot_ms`, a time of [`cfgstore_mirror::boot_ms`]. False: the folder was removed, and everything must be
    /// published again.
    pub fn heartbeat(&mut self, boot_ms: u64) -> bool {
        let Some(publisher) = &mut self.publisher else {
            return true;
        };
        match publisher.heartbeat(boot_ms) {
            Ok(()) => true,
            Err(PublishError::Removed { path }) => {
                tracing::error!(path = %path.display(), "the mirror's folder was removed, another is made");
                self.give_up_folder();
                false
            }
            Err(error) => {
                tracing::debug!(%error, "the mirror's heartbeat had a fault");
                true
            }
        }
    }

    /// Saves what is published to disk, if it is time to.
    pub fn save_last_copy_if_due(&mut self) {
        self.last_copy.save_if_due(worth_saving(self.publisher.as_ref()));
    }

    /// Saves the last copy and ends in order: readers keep what is published, the next process goes on in the same folder.
    pub fn close(self) {
        self.last_copy.finish(worth_saving(self.publisher.as_ref()));
        if let Some(publisher) = self.publisher {
            publisher.close();
        }
    }
}

/// What no member has confirmed came from a file: from the last copy, or from a seed that must not become one.
fn worth_saving(publisher: Option<&Publisher>) -> Option<&Arc<Snapshot>> {
    publisher
        .and_then(Publisher::current)
        .filter(|published| !published.is_restored())
}
