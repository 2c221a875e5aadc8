//! What `embedded:/dir` means: a client and the member it talks to, in one process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::host::HostPaths;
use cfgstore_client::{Address, Error, ErrorKind, Options, Result};
use cfgstore_replica::OpenError;

use crate::config::Config;
use crate::inherited::Inherited;
use crate::start_error::StartError;
use crate::sys;
use crate::thread::ServerThread;

/// How an address begins that asks for a member inside this process; an absolute path follows.
pub const EMBEDDED: &str = "embedded:";

/// A blocking client with a background thread, and with an `embedded:` address the member it talks to.
///
/// Cheap to clone. The stores that a process opens on one folder share one member, which ends with the last
/// of them: keep a clone beside each watch and lock. Any thread may use it.
///
/// After a fork, the child may go on: it reaches its parent's member through the socket, as any process may,
/// and ends nothing of its parent's.
#[derive(Clone, Debug)]
pub struct Store {
    /// Before `_member`: connections end while there is somebody to see it.
    client: Client,
    _member: Option<Arc<MemberUse>>,
}

impl Store {
    /// A store at `address`, as it is written in settings: what [`Address::parse`] reads, or `embedded:/dir`.
    /// [`Options::address`] is overwritten. Blocks only for a member in this process, until it serves.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for options that make no sense, and what keeps the member from
    /// starting: [`ErrorKind::Unavailable`] if another process uses the folder.
    pub fn open(address: &str, mut options: Options) -> Result<Store> {
        let member = match address.trim().strip_prefix(EMBEDDED) {
            None => {
                options.address = Address::parse(address)?;
                None
            }
            Some(folder) => {
                let member = MemberUse::of(folder)?;
                options.address = Address::Unix(member.socket.clone());
                Some(Arc::new(member))
            }
        };
        Ok(Store {
            client: Client::new(options, Mode::BackgroundThread)?,
            _member: member,
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// The members in this process.
static MEMBERS: Mutex<Members> = Mutex::new(Members {
    process: 0,
    running: Vec::new(),
});

struct Members {
    /// The process that started the first; 0: none was. A forked child inherits the list, not the threads, and can
    /// start none either: sled believes that the threads it shares in a process are there.
    process: u32,
    running: Vec<Running>,
}

struct Running {
    folder: PathBuf,
    server: ServerThread,
    inherited: Inherited,
    users: usize,
}

/// One use of a member in this process. The member ends with its last use.
#[derive(Debug)]
struct MemberUse {
    folder: PathBuf,
    socket: PathBuf,
    process: u32,
}

impl MemberUse {
    fn of(folder: &str) -> Result<MemberUse> {
        let folder = Path::new(folder);
        if !folder.is_absolute() {
            let message = format!(
                "address \"{EMBEDDED}{}\": a member in this process needs the absolute path of its folder, as in \
                 {EMBEDDED}/var/lib/app/cfgstore",
                folder.display()
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        // Held until it serves, so that two threads do not start it twice, nor one while it is still ending.
        let mut members = lock_members();
        let process = std::process::id();
        if members.process != 0 && members.process != process {
            let message = format!(
                "cannot start the member in {}: this process was forked from one that ran a member, process {}; \
                 talk to that one at unix://{}, or start this process anew with exec",
                folder.display(),
                members.process,
                HostPaths::new(folder).socket().display()
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        members.process = process;
        // Two ways to write a folder are one member; a folder that is not there yet has one name.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let at = match members
            .running
            .iter()
            .position(|running| running.folder == folder)
        {
            Some(at) => at,
            None => {
                let server =
                    ServerThread::start(Config::new(&folder)).map_err(|error| refused(&folder, &error))?;
                close_in_children();
                let inherited = Inherited::of(&folder, server.socket(), server.mirror_dir());
                let folder = folder.canonicalize().unwrap_or(folder);
                members.running.push(Running {
                    folder,
                    server,
                    inherited,
                    users: 0,
                });
                members.running.len() - 1
            }
        };
        let running = &mut members.running[at];
        running.users += 1;
        Ok(MemberUse {
            folder: running.folder.clone(),
            socket: running.server.socket().to_owned(),
            process,
        })
    }
}

impl Drop for MemberUse {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        let mut members = lock_members();
        let Some(at) = members
            .running
            .iter()
            .position(|running| running.folder == self.folder)
        else {
            return;
        };
        members.running[at].users -= 1;
        if members.running[at].users == 0 {
            members.running.swap_remove(at).server.shutdown();
        }
    }
}

/// Ends every member in this process, whoever still uses it, as a program does before it ends. Stores on them
/// fail from then on.
pub fn end_all() {
    let mut members = lock_members();
    if members.process != std::process::id() {
        return;
    }
    for running in members.running.drain(..) {
        running.server.shutdown();
    }
}

fn close_in_children() {
    static ONCE: Once = Once::new();
    // Without memory for the handler, children keep the folder in use.
    ONCE.call_once(|| drop(sys::on_fork_in_child(after_fork_in_child)));
}

/// Runs in a child right after the fork. Allocates, which the C library makes safe there.
extern "C" fn after_fork_in_child() {
    // Locked if another thread was inside at the fork, which the rules for programs exclude.
    if let Ok(members) = MEMBERS.try_lock() {
        members
            .running
            .iter()
            .for_each(|running| running.inherited.close());
    }
}

fn lock_members() -> MutexGuard<'static, Members> {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(folder: &Path, error: &StartError) -> Error {
    let kind = match error {
        StartError::Config { .. } | StartError::SocketPathTooLong { .. } => ErrorKind::InvalidArgument,
        StartError::Denied { .. } | StartError::Planted(_) => ErrorKind::Denied,
        StartError::DiskFull { .. } | StartError::Thread { .. } => ErrorKind::Exhausted,
        StartError::Member(OpenError::Config(_)) => ErrorKind::InvalidArgument,
        StartError::Member(OpenError::NewerFormat { .. }) => ErrorKind::Unsupported,
        StartError::Member(OpenError::Raft(_) | OpenError::NotReady { .. } | OpenError::InUse(_)) => {
            ErrorKind::Unavailable
        }
        StartError::Member(_) => ErrorKind::Corrupt,
        StartError::InUse { .. }
        | StartError::AddressInUse { .. }
        | StartError::Listen { .. }
        | StartError::Io { .. }
        | StartError::Mirror(_) => ErrorKind::Unavailable,
    };
    Error::new(
        kind,
        format!("cannot start the member in {}: {error}", folder.display()),
    )
}
