//! Starting the host's `cfgstored`, the embedded store or an agent for members, exactly once, as a process that outlives its starter.
//!
//! Whoever finds no socket takes the lock file `autostart.lock` in the data folder, looks again, and starts
//! `cfgstored` in a session of its own, with no descriptor of this process, and its stderr in `cfgstored.log`.
//! The others wait for the lock and then find the socket. `cfgstored` itself locks the data folder for life, so
//! even a starter that is killed half-way cannot lead to two.
//!
//! Root starts it as the user whose data folder it is: a job of root's must not take the store away from the application.

mod binary;
mod spawn;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use binary::find_binary;

use crate::address::{Address, MemberAddress};
use crate::error::{Error, ErrorKind, Result};
use crate::host::HostPaths;
use crate::options::Options;
use crate::sys;
use crate::trust;
use spawn::{Ended, Started};

const POLL: Duration = Duration::from_millis(10);

/// A start that failed is not tried again for so long: a request that loops must not start a process each time.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// Returns once something serves on the socket of these options' data folder, which is at once if it does already.
/// Starts `cfgstored` if need be, whatever [`Options::autostart`] says. Bounded by [`Options::start_timeout`].
///
/// # Errors
/// [`ErrorKind::Unavailable`] if there is no binary or it ends, with the last lines of its log;
/// [`ErrorKind::Denied`] and [`ErrorKind::Exhausted`] if the folder cannot be written or its disk is full;
/// [`ErrorKind::Timeout`] if it runs and does not serve yet.
pub async fn ensure(options: &Options) -> Result<()> {
    let autostart = Autostart::new(options);
    if autostart.is_served().await {
        return Ok(());
    }
    autostart.ensure(Instant::now() + options.start_timeout).await
}

/// How a client starts `cfgstored`.
#[derive(Debug)]
pub(crate) struct Autostart {
    paths: HostPaths,
    mirror_dir: Option<PathBuf>,
    /// The members that an agent is started for; empty: it is the embedded store.
    members: Vec<String>,
    binary: Option<PathBuf>,
    seed: Option<PathBuf>,
    timeout: Duration,
    last_failure: Mutex<Option<(Instant, Error)>>,
}

impl Autostart {
    /// `None` if these options do not ask for it.
    pub fn of(options: &Options) -> Option<Autostart> {
        let startable = matches!(options.address, Address::Embedded | Address::Agent(_));
        (options.autostart && startable).then(|| Autostart::new(options))
    }

    fn new(options: &Options) -> Autostart {
        Autostart {
            paths: options.host_paths(),
            mirror_dir: options.mirror_dir.clone(),
            members: match &options.address {
                Address::Agent(members) => members.iter().map(MemberAddress::url).collect(),
                Address::Embedded | Address::Unix(_) | Address::Members(_) => Vec::new(),
            },
            binary: options.cfgstored.clone(),
            seed: options.seed.clone(),
            timeout: options.start_timeout,
            last_failure: Mutex::default(),
        }
    }

    /// Returns once something serves on the socket.
    pub async fn ensure(&self, deadline: Instant) -> Result<()> {
        if let Some(error) = self.recent_failure() {
            return Err(error);
        }
        let deadline = deadline.min(Instant::now() + self.timeout);
        let outcome = self.start_or_wait(deadline).await;
        if let Err(error) = &outcome
            && error.kind != ErrorKind::Timeout
        {
            *self.failure() = Some((Instant::now(), error.clone()));
        }
        outcome
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Error)>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_failure(&self) -> Option<Error> {
        let failure = self.failure();
        failure
            .as_ref()
            .filter(|(at, _)| at.elapsed() < FAILURE_HOLDS)
            .map(|(_, error)| error.clone())
    }

    async fn start_or_wait(&self, deadline: Instant) -> Result<()> {
        // Before anything is made on disk: without a binary nothing else matters.
        let binary = find_binary(self.binary.as_deref())?;
        let owner = sys::other_owner(self.paths.data_dir());
        let lock = sys::with_files_of(owner, || self.open_lock())?;
        loop {
            if self.is_served().await {
                return Ok(());
            }
            if sys::try_lock_exclusive(&lock)
                .map_err(|error| self.cannot("lock", &self.paths.autostart_lock(), &error))?
            {
                break;
            }
            if Instant::now() >= deadline {
                return Err(self.too_slow("another process is starting cfgstored and is not done"));
            }
            sleep(POLL).await;
        }
        // Another process may have started it while this one took the lock.
        if self.is_served().await {
            return Ok(());
        }
        let told = spawn::Told {
            paths: &self.paths,
            mirror_dir: self.mirror_dir.as_deref(),
            members: &self.members,
            seed: self.seed.as_deref(),
            owner,
        };
        match spawn::start(&binary, told, deadline).await? {
            Started::Serving => Ok(()),
            Started::TooSlow => Err(self.too_slow("cfgstored was started and does not serve yet")),
            Started::Ended(ended) => self.wait_for_another(ended, deadline).await,
        }
    }

    /// The process that was started ended again. If another one has the data folder, that one will serve.
    async fn wait_for_another(&self, ended: Ended, deadline: Instant) -> Result<()> {
        while self.is_owned_by_another() {
            if self.is_served().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.too_slow("another cfgstored has the data folder and does not serve yet"));
            }
            sleep(POLL).await;
        }
        Err(ended.into_error(&self.paths))
    }

    fn is_owned_by_another(&self) -> bool {
        // The lock that this takes for a moment can be in nobody's way: nothing is being started now.
        File::open(self.paths.lock()).is_ok_and(|file| sys::try_lock_exclusive(&file).is_ok_and(|free| !free))
    }

    async fn is_served(&self) -> bool {
        trust::connect(&self.paths.socket()).await.is_ok()
    }

    fn open_lock(&self) -> Result<File> {
        let dir = self.paths.data_dir();
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(dir)
            .map_err(|error| self.cannot("create the data folder", dir, &error))?;
        trust::check(dir).map_err(|planted| {
            Error::new(
                ErrorKind::Denied,
                format!("cannot start cfgstored in {}: {planted}", dir.display()),
            )
        })?;
        let path = self.paths.autostart_lock();
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o660)
            .open(&path)
            .map_err(|error| self.cannot("write", &path, &error))
    }

    fn cannot(&self, what: &str, path: &Path, error: &io::Error) -> Error {
        let kind = kind_of(error);
        let next = match kind {
            ErrorKind::Denied => format!(
                "; give user {} the right to write there, name another data folder, or start cfgstored yourself",
                sys::effective_user_id()
            ),
            ErrorKind::Exhausted => "; free space on that disk, or name another data folder".to_owned(),
            _ => String::new(),
        };
        Error::new(
            kind,
            format!(
                "cannot start cfgstored: cannot {what} {}: {error}{next}",
                path.display()
            ),
        )
    }

    fn too_slow(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Timeout,
            format!(
                "{what} on {}; see {}",
                self.paths.data_dir().display(),
                self.paths.log().display()
            ),
        )
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
        Io::StorageFull | Io::QuotaExceeded => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    }
}
