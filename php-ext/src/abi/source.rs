//! Opening a store, reading it, and writing to it.

use std::any::Any;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use cfgstore_client::blocking::Client;
use cfgstore_client::{Error, ErrorKind};
use cfgstore_mirror::Entry;
use zeroize::Zeroizing;

use super::keyring::keyring;
use super::types::{CoreBytes, CoreError, guard, quietly};
use crate::error::from_mirror;
use crate::source::{Settings, Source, path_setting};

/// A store: the mirror and the connection. One thread at a time.
pub struct CoreSource {
    source: Source,
    scan: Vec<CoreRecord>,
    /// What C reads of the last value that was opened.
    opened: Zeroizing<Vec<u8>>,
    /// What the last call found that C looks at.
    lent: Option<Box<dyn Any>>,
}

impl CoreSource {
    /// What is read.
    pub(super) fn reads(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Keeps bytes for C until the next ones; the former ones are wiped.
    pub(super) fn keep(&mut self, bytes: Vec<u8>) -> &[u8] {
        self.opened = Zeroizing::new(bytes);
        &self.opened
    }

    /// Keeps what C is given pointers into, until it forgets it or the next is lent.
    pub(super) fn lend(&mut self, found: impl Any) {
        self.lent = Some(Box::new(found));
    }

    /// The connection for calls that are bounded by `timeout_secs`.
    pub(super) fn client(&mut self, timeout_secs: f64) -> Result<&Client, Error> {
        self.source.client(timeout(timeout_secs)?)
    }
}

/// What a store is opened with. Empty bytes mean: not set.
#[repr(C)]
pub struct CoreSettings {
    /// As in `cfgstore.endpoints`.
    pub endpoints: CoreBytes,
    /// Data folder.
    pub data_dir: CoreBytes,
    /// Mirror folder.
    pub mirror_dir: CoreBytes,
    /// Path of the `cfgstored` binary.
    pub cfgstored: CoreBytes,
    /// Path of the seed of an agent.
    pub seed: CoreBytes,
    /// Where the keyring is, as in `cfgstore.keyring`.
    pub keyring: CoreBytes,
    /// What history and logs of the store call this process.
    pub client_name: CoreBytes,
    /// Start it when nothing answers.
    pub autostart: bool,
}

/// The snapshot that reads see.
#[repr(C)]
pub struct CoreView {
    /// The mirror's generation word, to be loaded atomically; valid until the next view or close.
    pub word: *const u64,
    /// Its content when the view was taken: while it has not changed, the view is the newest.
    pub seen: u64,
    /// Counts views: equal numbers mean the same snapshot.
    pub number: u64,
    /// Revision of the snapshot.
    pub revision: i64,
    /// Names the store that the snapshot is of.
    pub store_id: u64,
    /// Take a view again from this time on (milliseconds of the caller's clock), even if the word has not changed.
    pub check_at_ms: u64,
    /// Milliseconds for which the agent has been silent, as of the last look; UINT64_MAX: it was never heard.
    pub silent_ms: u64,
}

/// What a view must hold: a revision of a store. Another store's revisions say nothing about it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CoreAtLeast {
    /// The revision; 0: none.
    pub revision: i64,
    /// Names the store that it is of; 0: whichever is shown.
    pub store_id: u64,
    /// Names the store that was shown when the revision was heard of, if it is another: one whose place is taken, and which the
    /// mirror has yet to leave. 0: there is none.
    pub replaced_store_id: u64,
}

impl CoreAtLeast {
    /// Whether a snapshot of this store and revision holds it. A third store came later: what was known of the others is over.
    pub(crate) fn is_held_by(self, store_id: u64, revision: i64) -> bool {
        if self.store_id == 0 || store_id == self.store_id {
            revision >= self.revision
        } else {
            store_id != self.replaced_store_id
        }
    }
}

/// One key as the snapshot holds it. Pointers are valid until the next view or close.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CoreRecord {
    /// Whether the key exists; if not, all else is zero.
    pub found: bool,
    /// The whole key, prefix included; only set by a scan.
    pub key: CoreBytes,
    /// The value.
    pub value: CoreBytes,
    /// Revision in which the key came into being.
    pub create_revision: i64,
    /// Revision of its last change.
    pub mod_revision: i64,
    /// Number of writes since it came into being.
    pub version: i64,
    /// Names the store: revisions of different stores can't be compared.
    pub store_id: u64,
}

/// How the mirror and its agent are.
#[repr(C)]
pub struct CoreStatus {
    /// Whether there is a snapshot; if not, the numbers are zero.
    pub synced: bool,
    /// Revision that reads see.
    pub revision: i64,
    /// Generation that reads see.
    pub generation: u64,
    /// Number of keys in it.
    pub keys: u64,
    /// Whether it is the last copy from disk, unconfirmed by a member.
    pub restored: bool,
    /// Milliseconds since the agent was last heard; `UINT64_MAX`: never.
    pub silent_ms: u64,
    /// The agent's process id, as it states it.
    pub agent_pid: u32,
    /// Data folder. Valid until the store is closed.
    pub data_dir: CoreBytes,
    /// The agent's socket. Valid until the store is closed.
    pub socket: CoreBytes,
    /// The mirror's folder; empty when none was found. Valid until the next view.
    pub mirror_dir: CoreBytes,
    /// Why reads don't see the newest generation; empty when they do. Valid until the next view.
    pub trouble: CoreBytes,
}

/// Opens a store; touches neither disk nor network. Null on failure.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_source_open(
    settings: *const CoreSettings,
    error: *mut CoreError,
) -> *mut CoreSource {
    let open = || {
        // SAFETY: the caller lends the settings and the bytes in them.
        let (settings, endpoints, data_dir, mirror_dir, cfgstored, seed, place, client_name) = unsafe {
            let s = &*settings;
            (
                s,
                s.endpoints.get(),
                s.data_dir.get(),
                s.mirror_dir.get(),
                s.cfgstored.get(),
                s.seed.get(),
                s.keyring.get(),
                s.client_name.get(),
            )
        };
        let endpoints = std::str::from_utf8(endpoints)
            .map_err(|_| Error::new(ErrorKind::InvalidArgument, "cfgstore.endpoints is not UTF-8"))?;
        let source = Source::new(Settings {
            endpoints: endpoints.to_owned(),
            data_dir: path_setting(data_dir),
            mirror_dir: path_setting(mirror_dir),
            cfgstored: path_setting(cfgstored),
            seed: path_setting(seed),
            keyring: keyring(place)?,
            client_name: String::from_utf8_lossy(client_name).into_owned(),
            autostart: settings.autostart,
        })?;
        Ok(Box::into_raw(Box::new(CoreSource {
            source,
            scan: Vec::new(),
            opened: Zeroizing::default(),
            lent: None,
        })))
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, open) }.unwrap_or(std::ptr::null_mut())
}

/// Closes a store. Null is allowed.
///
/// # Safety
/// As the module says; the handle is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_source_close(source: *mut CoreSource) {
    if !source.is_null() {
        // SAFETY: the handle came from `Box::into_raw` and the caller gives it up.
        quietly(|| drop(unsafe { Box::from_raw(source) }));
    }
}

/// Frees what the last call has lent: a history, differences, schemas and the like.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_forget(source: *mut CoreSource) {
    // SAFETY: the caller holds the handle.
    quietly(|| unsafe { &mut *source }.lent = None);
}

/// Moves to the newest snapshot, waiting at most `timeout_secs` until it holds `at_least`.
///
/// `now_ms` is a monotonic clock of the caller's choice, the same in every call.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_view(
    source: *mut CoreSource,
    now_ms: u64,
    at_least: CoreAtLeast,
    timeout_secs: f64,
    view: *mut CoreView,
    error: *mut CoreError,
) -> bool {
    let advance = || {
        // SAFETY: the caller holds the handle and lends `view`.
        let (source, view) = unsafe { (&mut (*source).source, &mut *view) };
        let newest = source.advance(now_ms, at_least, timeout(timeout_secs)?)?;
        *view = CoreView {
            word: newest.word,
            seen: newest.seen,
            number: newest.number,
            revision: newest.revision,
            store_id: newest.store_id,
            check_at_ms: newest.check_at_ms,
            silent_ms: newest.silent_ms,
        };
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, advance) }.is_some()
}

/// Names the store that answered the last write through `source`, as `store_id` does elsewhere; 0: none did, or it does not say.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_answered_by(source: *mut CoreSource) -> u64 {
    let mut store_id = 0;
    // SAFETY: the caller holds the handle.
    quietly(|| store_id = unsafe { &(*source).source }.answered_by());
    store_id
}

/// Looks up `prefix` and `key` together in the snapshot of the last view. An absent key is no failure.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_lookup(
    source: *mut CoreSource,
    prefix: CoreBytes,
    key: CoreBytes,
    record: *mut CoreRecord,
    error: *mut CoreError,
) -> bool {
    let lookup = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, record) =
            unsafe { (&mut (*source).source, prefix.get(), key.get(), &mut *record) };
        if key.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the key is empty; name at least one byte",
            ));
        }
        let store_id = source.snapshot().map_or(0, |snapshot| snapshot.source_id());
        *record = match source.entry(prefix, key)? {
            Some(entry) => CoreRecord {
                key: CoreBytes::empty(),
                ..found(&entry, store_id)
            },
            None => CoreRecord { store_id, ..ABSENT },
        };
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, lookup) }.is_some()
}

/// All keys that begin with `prefix` and `below` together, in key order, from the snapshot of the last view.
///
/// `records` and `count` describe memory of the store's, valid until the next scan, view or close.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_scan(
    source: *mut CoreSource,
    prefix: CoreBytes,
    below: CoreBytes,
    records: *mut *const CoreRecord,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let scan = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, below, records, count) = unsafe {
            (
                &mut *source,
                prefix.get(),
                below.get(),
                &mut *records,
                &mut *count,
            )
        };
        let start = [prefix, below].concat();
        let CoreSource { source, scan, .. } = source;
        scan.clear();
        if let Some(snapshot) = source.snapshot() {
            for entry in snapshot.iter_prefix(&start) {
                scan.push(found(
                    &entry.map_err(|error| from_mirror(&error))?,
                    snapshot.source_id(),
                ));
            }
        }
        *records = scan.as_ptr();
        *count = scan.len();
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, scan) }.is_some()
}

/// How the mirror and its agent are; asks nobody but that agent, half a second at most, and cannot fail.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_status(source: *mut CoreSource, status: *mut CoreStatus) {
    // SAFETY: the caller holds the handle and lends `status`.
    let (source, status) = unsafe { (&mut (*source).source, &mut *status) };
    quietly(|| source.ask_for_trouble());
    let heard = source.heard();
    let (data_dir, socket) = source.paths();
    let snapshot = source.snapshot();
    *status = CoreStatus {
        synced: snapshot.is_some(),
        revision: snapshot.map_or(0, |s| s.revision()),
        generation: snapshot.map_or(0, |s| s.generation()),
        keys: snapshot.map_or(0, |s| s.len() as u64),
        restored: snapshot.is_some_and(|s| s.is_restored()),
        silent_ms: heard.silent_ms,
        agent_pid: heard.publisher_pid,
        data_dir: path_bytes(Some(data_dir)),
        socket: path_bytes(Some(socket)),
        mirror_dir: path_bytes(source.mirror_dir()),
        trouble: source
            .trouble()
            .map_or(CoreBytes::empty(), |text| CoreBytes::of(text.as_bytes())),
    };
}

/// Opens the mirror for `cfgstore_core_status`, if it is there, without starting or waiting for anything.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_peek(source: *mut CoreSource) {
    // SAFETY: the caller holds the handle.
    quietly(|| unsafe { &mut (*source).source }.peek());
}

fn path_bytes(path: Option<&Path>) -> CoreBytes {
    path.map_or(CoreBytes::empty(), |path| {
        CoreBytes::of(path.as_os_str().as_bytes())
    })
}

fn timeout(seconds: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("timeout is {seconds}; expected seconds, not negative"),
        )
    })
}

/// Prefix and key together; a key of no bytes is refused, as it would name the prefix itself.
pub(super) fn whole_key(prefix: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
    if key.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "the key is empty; name at least one byte",
        ));
    }
    Ok([prefix, key].concat())
}

const ABSENT: CoreRecord = CoreRecord {
    found: false,
    key: CoreBytes {
        data: std::ptr::null(),
        len: 0,
    },
    value: CoreBytes {
        data: std::ptr::null(),
        len: 0,
    },
    create_revision: 0,
    mod_revision: 0,
    version: 0,
    store_id: 0,
};

fn found(entry: &Entry<'_>, store_id: u64) -> CoreRecord {
    CoreRecord {
        found: true,
        key: CoreBytes::of(entry.key),
        value: CoreBytes::of(entry.value),
        create_revision: entry.create_revision,
        mod_revision: entry.mod_revision,
        version: entry.version,
        store_id,
    }
}
