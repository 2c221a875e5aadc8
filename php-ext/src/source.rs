//! One store as one PHP process sees it: the mirror it reads and the connection it writes through.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::{Address, AgentStatus, Error, ErrorKind, LiveKeyring, Options, trust};
use cfgstore_mirror::{Reader, Snapshot};

use crate::abi::types::CORE_SILENT_MS as SILENT_MS;
use crate::error::from_mirror;

/// How often the heartbeat is looked at, in milliseconds of the caller's clock.
const CHECK_EVERY_MS: u64 = 1_000;
/// The same while the mirror has been given up and its successor is not there yet.
const CHECK_RETIRED_EVERY_MS: u64 = 10;
/// How long a read waits for the answer of an agent that this process can't start, or does not need.
const LONGEST_QUESTION: Duration = Duration::from_millis(500);
/// Connections kept for different timeouts.
const MAX_CLIENTS: usize = 4;
/// The mirror shows a write within a millisecond; one that lets a reader wait for so long has a reason.
const FIRST_PATIENCE: Duration = Duration::from_millis(50);
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// After a failed attempt to bring the agent back, reads go on for so long before the next one.
const REVIVE_PAUSE: Duration = Duration::from_secs(10);

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
    /// Call again from this time on, in milliseconds of the caller's clock.
    pub check_at_ms: u64,
    /// Milliseconds since the agent was last heard, at the last check; `u64::MAX`: never.
    pub silent_ms: u64,
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

    /// The process that publishes, as it states it.
    pub fn publisher_pid(&self) -> u32 {
        self.reader.as_ref().map_or(0, Reader::publisher_pid)
    }

    /// Milliseconds since the publisher was last heard; `u64::MAX`: never.
    pub fn silent_ms(&self) -> u64 {
        self.reader.as_ref().map_or(u64::MAX, silent_ms)
    }

    /// Why the newest generation is not what reads see, or why the agent that makes it is silent, if so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref().or(self.agent_trouble.as_deref())
    }

    /// Asks an agent that lives whether it can publish, which the mirror does not say. Starts nothing, and no failure to ask is told.
    pub fn ask_for_trouble(&mut self) {
        if self.silent_ms() >= SILENT_MS {
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

    /// Moves to the newest snapshot, and waits, for `timeout` at most, until it holds revision `at_least` (0: no wait).
    ///
    /// Once there has been a snapshot, trouble with the mirror or its agent fails no read: the last snapshot stays.
    pub fn advance(&mut self, now_ms: u64, at_least: i64, timeout: Duration) -> Result<View, Error> {
        self.attach(now_ms, timeout)?;
        let seen = self.take_newest(timeout)?;
        let seen = if self.revision() < at_least {
            self.wait_for(at_least, timeout)?
        } else {
            seen
        };
        let reader = self.reader.as_ref().ok_or_else(no_reader)?;
        Ok(View {
            word: reader.generation_ptr(),
            seen,
            number: self.view,
            revision: self.revision(),
            check_at_ms: self.next_check_ms,
            silent_ms: self.stale_ms,
        })
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

    fn revision(&self) -> i64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.revision())
    }

    /// Sees to it that `reader` is open on the mirror that the path names now.
    fn attach(&mut self, now_ms: u64, timeout: Duration) -> Result<(), Error> {
        let path = self.place.clone();
        if self.reader.is_none() {
            self.reader = Some(self.open_first(&path, timeout)?);
        }
        let Some(reader) = &self.reader else {
            return Err(no_reader());
        };
        let retired = reader.is_retired();
        if !retired && now_ms < self.next_check_ms {
            return Ok(());
        }
        let silent = silent_ms(reader);
        let silent = if reader.is_closed() {
            silent.max(SILENT_MS)
        } else {
            silent
        };
        self.next_check_ms = now_ms
            + if retired {
                CHECK_RETIRED_EVERY_MS
            } else {
                CHECK_EVERY_MS
            };
        self.stale_ms = silent;
        if retired || (silent >= SILENT_MS && !reader.is_current(&path)) {
            match open(&path) {
                Ok(reader) => {
                    self.stale_ms = silent_ms(&reader);
                    self.reader = Some(reader);
                }
                Err(error) => self.trouble = Some(error.message),
            }
        }
        if self.stale_ms >= SILENT_MS {
            self.revive(timeout);
        } else {
            self.agent_trouble = None;
        }
        Ok(())
    }

    /// Opens the mirror for the first time. If there is none the agent is asked, which starts the embedded store.
    fn open_first(&mut self, path: &Path, timeout: Duration) -> Result<Reader, Error> {
        let missing = match open(path) {
            Ok(reader) => return Ok(reader),
            Err(error) => error,
        };
        // In the place of one that was planted, the agent makes another.
        let planted = trust::check(path).is_err();
        if missing.kind != ErrorKind::NotSynced && !planted {
            return Err(missing);
        }
        let agent = match self.ask_agent(timeout) {
            Err(_) if planted => return Err(missing),
            agent => agent?,
        };
        if let Ok(reader) = open(path) {
            return Ok(reader);
        }
        // The agent behind a socket of another name keeps its mirror elsewhere.
        let told = match agent {
            Some(agent) if !agent.mirror_dir.as_os_str().is_empty() => agent.mirror_dir,
            Some(agent) if !agent.trouble.is_empty() => return Err(agent_says(missing, &agent.trouble)),
            Some(_) | None => return Err(missing),
        };
        let reader = open(&told)?;
        self.place = told;
        Ok(reader)
    }

    fn starts_the_store(&self) -> bool {
        self.options.autostart && matches!(self.options.address, Address::Embedded | Address::Agent(_))
    }

    /// Asks the agent how it is, not the members behind it, which starts one if nothing answers. Where nothing can be started, a read does
    /// not wait long for somebody else to do it.
    fn ask_agent(&mut self, timeout: Duration) -> Result<Option<AgentStatus>, Error> {
        let timeout = if self.starts_the_store() {
            timeout
        } else {
            timeout.min(LONGEST_QUESTION)
        };
        self.client(timeout)?.agent_status()
    }

    /// Starts the embedded store or the agent again when nothing answers on its socket. Reads go on whatever comes of it, and soon: there is
    /// something to read, what is being started goes on without them, and an agent that hangs answers nobody.
    fn revive(&mut self, timeout: Duration) {
        if !self.starts_the_store() {
            return;
        }
        if self.revive_not_before.is_some_and(|time| Instant::now() < time) {
            return;
        }
        self.revive_not_before = Some(Instant::now() + REVIVE_PAUSE);
        match self.ask_agent(timeout.min(LONGEST_QUESTION)) {
            // It answers, but may have trouble with the members.
            Ok(Some(agent)) if !agent.trouble.is_empty() => self.agent_trouble = Some(agent.trouble),
            Ok(_) => self.agent_trouble = None,
            Err(error) => self.agent_trouble = Some(error.message),
        }
    }

    /// Why nothing was ever published: what the agent says about its members, if it can be asked.
    fn never_published(&mut self, mut error: Error) -> Error {
        if error.kind == ErrorKind::NotSynced
            && let Ok(Some(agent)) = self.ask_agent(LONGEST_QUESTION)
            && !agent.trouble.is_empty()
        {
            error = agent_says(error, &agent.trouble);
        }
        error
    }

    /// Takes the newest snapshot; gives the generation word as it was before.
    fn take_newest(&mut self, timeout: Duration) -> Result<u64, Error> {
        let mut seen = self.word()?;
        if self.snapshot.is_none() {
            // A publisher that has just started may not have published yet.
            let deadline = Instant::now() + timeout;
            while self
                .reader
                .as_ref()
                .is_some_and(|reader| reader.generation() == 0)
            {
                let left = deadline.saturating_duration_since(Instant::now());
                if !self.reader.as_ref().is_some_and(|reader| reader.wait(0, left)) {
                    break;
                }
            }
            seen = self.word()?;
        }
        let reader = self.reader.as_mut().ok_or_else(no_reader)?;
        match reader.snapshot() {
            Ok(newest) => {
                self.trouble = None;
                if !self
                    .snapshot
                    .as_ref()
                    .is_some_and(|held| Arc::ptr_eq(held, &newest))
                {
                    self.snapshot = Some(newest);
                    self.view += 1;
                }
            }
            Err(error) if self.snapshot.is_some() => self.trouble = Some(error.to_string()),
            Err(error) => {
                let error = from_mirror(&error);
                return Err(self.never_published(error));
            }
        }
        Ok(seen)
    }

    /// Waits, bounded, until the mirror shows a revision that is committed.
    fn wait_for(&mut self, at_least: i64, timeout: Duration) -> Result<u64, Error> {
        let deadline = Instant::now() + timeout;
        let mut patience = FIRST_PATIENCE;
        let mut agent_trouble = String::new();
        loop {
            let seen = self.take_newest(timeout)?;
            if self.revision() >= at_least {
                return Ok(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.never_shown(at_least, timeout, &agent_trouble));
            }
            let reader = self.reader.as_ref().ok_or_else(no_reader)?;
            if !reader.is_retired() && reader.wait(reader.generation(), left.min(patience)) {
                continue;
            }
            // The agent may have died between the commit and the publish: asking it brings the embedded store back.
            match self.ask_agent(timeout) {
                Ok(agent) => agent_trouble = agent.map_or_else(String::new, |agent| agent.trouble),
                Err(error) => {
                    self.trouble = Some(error.message);
                    std::thread::sleep(left.min(patience));
                }
            }
            patience = (patience * 2).min(LAST_PATIENCE);
            self.next_check_ms = 0;
            self.attach(0, timeout)?;
        }
    }

    fn never_shown(&self, at_least: i64, timeout: Duration, agent_trouble: &str) -> Error {
        let mut error = Error::new(
            ErrorKind::Timeout,
            format!(
                "the write is committed at revision {at_least}, but this host's mirror is still at revision {} after \
                 {} s: read again later, or look at the agent's log",
                self.revision(),
                timeout.as_secs_f64(),
            ),
        );
        error.maybe_committed = true;
        if agent_trouble.is_empty() {
            error
        } else {
            agent_says(error, agent_trouble)
        }
    }

    fn word(&self) -> Result<u64, Error> {
        self.reader
            .as_ref()
            .map(Reader::generation_word)
            .ok_or_else(no_reader)
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

fn agent_says(mut error: Error, trouble: &str) -> Error {
    error.message = format!("{}; its agent says: {trouble}", error.message);
    error
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
