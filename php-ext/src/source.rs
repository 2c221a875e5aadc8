//! One store as one PHP process sees it: the mirror it reads and the connection it writes through.

mod follow;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::{Address, Error, ErrorKind, LiveKeyring, Options, trust};
use cfgstore_mirror::{Reader, Snapshot};

use crate::abi::types::CORE_SILENT_MS as SILENT_MS;
use crate::error::from_mirror;

/// How often the heartbeat is looked at, in milliseconds; it is as often that an agent says that it lives.
const CHECK_EVERY_MS: u64 = 1_000;
/// How long a read waits for the answer of an agent that this process can't start, or does not need.
const LONGEST_QUESTION: Duration = Duration::from_millis(500);
/// Connections kept for different timeouts.
const MAX_CLIENTS: usize = 4;
/// What a source is made from.
pub struct Settings {
    /// As in `cfgstore.endpoints`.
    pub endpoints: String,
    /// Data folder; `None`: the client core's choice.
    pub data_dir: Option<PathBuf>,
    /// The mirror's folder or a link to it; `None`: `mirror` in the data folder.
    pub mirror_dir: Option<PathBuf>,
    /// The binary to start; `None`: the client core's search.
    pub cfgstored: Option<PathBuf>,
    /// What an agent serves until a member answers; `None`: nothing, or what its environment says.
    pub seed: Option<PathBuf>,
    /// Seals what is put and opens what is read; `None`: nothing.
    pub keyring: Option<Arc<LiveKeyring>>,
    /// What history and logs of the store call this process.
    pub client_name: String,
    /// Whether to start it.
    pub autostart: bool,
}

/// See the module. One per distinct settings and thread.
pub struct Source {
    /// By their call timeout, the most recently used last.
    clients: Vec<Client>,
    options: Options,
    /// The mirror's folder, or a link to it.
    place: PathBuf,
    reader: Option<Reader>,
    snapshot: Option<Arc<Snapshot>>,
    view: u64,
    next_check_ms: u64,
    stale_ms: u64,
    revive_not_before: Option<Instant>,
    trouble: Option<String>,
    /// Of the agent: what it says of its members while it is silent, or why it could not be brought back.
    agent_trouble: Option<String>,
    data_dir: PathBuf,
    socket: PathBuf,
    key: Vec<u8>,
}

/// What the C part keeps to decide, without a call, whether its values are still the newest.
pub struct View {
    /// The mirror's generation word; valid until the next `advance`.
    pub word: *const u64,
    /// Its content when the view was taken.
    pub seen: u64,
    /// Counts the snapshots this source has shown.
    pub number: u64,
    /// Revision of the snapshot.
    pub revision: i64,
    /// Names the store that it is of; 0: there is no snapshot.
    pub store_id: u64,
    /// Call again from this time on, in milliseconds of the caller's clock.
    pub check_at_ms: u64,
    /// Milliseconds since the agent was last heard, at the last check; `u64::MAX`: never.
    pub silent_ms: u64,
}

/// What a mirror says of its publisher.
pub struct Heard {
    /// Its process, as it states it; 0: there is none.
    pub publisher_pid: u32,
    /// Milliseconds since it was last heard; `u64::MAX`: never.
    pub silent_ms: u64,
}

impl Heard {
    fn of(reader: &Reader) -> Heard {
        Heard {
            publisher_pid: reader.publisher_pid(),
            silent_ms: silent_ms(reader),
        }
    }
}

impl Source {
    /// Reads and connects to nothing.
    pub fn new(settings: Settings) -> Result<Source, Error> {
        let address = match Address::parse(&settings.endpoints)? {
            // Reads come from this host's memory, so members are always reached through an agent.
            Address::Members(members) => Address::Agent(members),
            address => address,
        };
        let options = Options {
            address,
            data_dir: settings.data_dir,
            mirror_dir: settings.mirror_dir.clone(),
            autostart: settings.autostart,
            cfgstored: settings.cfgstored,
            seed: settings.seed,
            keyring: settings.keyring,
            client_name: settings.client_name,
            ..Options::default()
        };
        let socket = match &options.address {
            Address::Unix(socket) => socket.clone(),
            Address::Embedded | Address::Agent(_) | Address::Members(_) => options.host_paths().socket(),
        };
        // An agent's socket and the link to its mirror lie in one folder.
        let place = settings
            .mirror_dir
            .unwrap_or_else(|| socket.with_file_name("mirror"));
        // Says what is wrong with the options before anything is asked of them.
        Client::new(options.clone(), Mode::NoThread)?;
        Ok(Source {
            socket,
            data_dir: options.host_paths().data_dir().to_path_buf(),
            clients: Vec::new(),
            options,
            place,
            reader: None,
            snapshot: None,
            view: 0,
            next_check_ms: 0,
            stale_ms: 0,
            revive_not_before: None,
            trouble: None,
            agent_trouble: None,
            key: Vec::new(),
        })
    }

    /// A connection whose calls are bounded by `timeout`. Each timeout has its own, a few are kept.
    pub fn client(&mut self, timeout: Duration) -> Result<&Client, Error> {
        let found = self
            .clients
            .iter()
            .position(|client| client.options().call_timeout == timeout);
        let client = match found {
            Some(index) => self.clients.remove(index),
            None => {
                let options = Options {
                    call_timeout: timeout,
                    ..self.options.clone()
                };
                Client::new(options, Mode::NoThread)?
            }
        };
        if self.clients.len() == MAX_CLIENTS {
            self.clients.remove(0);
        }
        self.clients.push(client);
        self.clients.last().ok_or_else(no_reader)
    }

    /// The snapshot that reads see; `None` before the first [`Source::advance`].
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// What sealed values are opened with.
    pub fn keyring(&self) -> Option<&LiveKeyring> {
        self.options.keyring.as_deref()
    }

    /// The mirror's folder, once found.
    pub fn mirror_dir(&self) -> Option<&Path> {
        self.reader.as_ref().map(Reader::dir)
    }

    /// The data folder, and the socket of the agent in it or elsewhere.
    pub fn paths(&self) -> (&Path, &Path) {
        (&self.data_dir, &self.socket)
    }

    /// Opens the mirror if it is there and readable, without starting or waiting for anything.
    pub fn peek(&mut self) {
        if self.reader.is_none() {
            match open(&self.place) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => self.trouble = Some(error.message),
            }
        }
        if self.snapshot.is_none() && self.reader.as_ref().is_some_and(|reader| reader.generation() > 0) {
            let _ = self.take_newest(Duration::ZERO);
        }
    }

    /// How the publisher was last heard, also in the mirror that is in place now, which need not be the one held: that is left only
    /// by reading, as what was read points into it.
    pub fn heard(&self) -> Heard {
        let Some(held) = &self.reader else {
            return Heard {
                publisher_pid: 0,
                silent_ms: u64::MAX,
            };
        };
        let may_be_replaced = held.is_retired() || silent_ms(held) > CHECK_EVERY_MS;
        let held = Heard::of(held);
        let in_place = may_be_replaced.then(|| open(&self.place).ok()).flatten();
        match in_place.as_ref().map(Heard::of) {
            // Just made, it has no heartbeat yet.
            Some(in_place) if in_place.silent_ms < held.silent_ms => in_place,
            _ => held,
        }
    }

    /// Why the newest generation is not what reads see, or why the agent that makes it is silent, if so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().or(self.agent_trouble.as_deref())
    }

    /// Asks an agent that lives whether it can publish, which the mirror does not say. Starts nothing, and no failure to ask is told.
    pub fn ask_for_trouble(&mut self) {
        if self.heard().silent_ms >= SILENT_MS {
            return;
        }
        let agent = self
            .client(LONGEST_QUESTION)
            .and_then(|client| client.agent_status());
        if let Ok(Some(agent)) = agent
            && !agent.trouble.is_empty()
        {
            self.trouble = Some(agent.trouble);
        }
    }

    /// The entry of `prefix` and `key` together in the present snapshot.
    pub fn entry(&mut self, prefix: &[u8], key: &[u8]) -> Result<Option<cfgstore_mirror::Entry<'_>>, Error> {
        let Some(snapshot) = &self.snapshot else {
            return Err(no_reader());
        };
        self.key.clear();
        self.key.extend_from_slice(prefix);
        self.key.extend_from_slice(key);
        snapshot.get(&self.key).map_err(|error| from_mirror(&error))
    }

    /// Names the store whose member answered the last write; 0: none did, or it does not say.
    pub fn answered_by(&self) -> u64 {
        self.clients.last().map_or(0, Client::cluster_id)
    }

    fn revision(&self) -> i64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.revision())
    }

    /// 0: there is no snapshot.
    fn store_id(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.source_id())
    }
}

/// Opens a mirror, if nobody can have planted it.
fn open(path: &Path) -> Result<Reader, Error> {
    trust::check(path).map_err(|planted| {
        let message = format!("the mirror at {} is not trusted: {planted}", path.display());
        Error::new(ErrorKind::Denied, message)
    })?;
    Reader::open(path).map_err(|error| from_mirror(&error))
}

/// `u64::MAX`: never heard, as far as this process's clock can tell.
fn silent_ms(reader: &Reader) -> u64 {
    reader
        .heartbeat_age()
        .map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

fn no_reader() -> Error {
    Error::new(
        ErrorKind::Internal,
        "a read came before the mirror was opened; please report it",
    )
}

/// A path from settings; empty means not set.
pub fn path_setting(bytes: &[u8]) -> Option<PathBuf> {
    (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(bytes)))
}
