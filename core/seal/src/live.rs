//! A keyring that follows its source.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::envelope;
use crate::error::{KeyringError, SealError};
use crate::keyring::Keyring;
use crate::printable;
use crate::source::{Source, Stamp};

/// A command is not run again before this, however often an unknown key is met.
const COMMAND_PAUSE: Duration = Duration::from_secs(10);

/// A keyring and where it comes from.
///
/// Nothing is read before the first value is stored or opened. From then on a file is looked at before each value is stored, and when
/// a value is met that is sealed with an unknown key; if the file has changed, it is read again. A command is run again for an
/// unknown key, at most every 10 s. So keys can be rotated under running programs.
///
/// While a keyring can't be read, nothing is stored, since nobody knows what has to be sealed; values that are not sealed are read as
/// ever, and so are sealed ones whose keys were known before.
///
/// May be shared between threads. Calls block for as long as reading the source takes.
pub struct LiveKeyring {
    fixed: Option<Arc<Keyring>>,
    source: Option<Source>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ring: Option<Arc<Keyring>>,
    /// Of the file when it was read, whatever came of that.
    stamp: Option<Stamp>,
    last_read: Option<Instant>,
    failure: Option<KeyringError>,
}

impl LiveKeyring {
    /// Reads nothing yet.
    pub fn new(source: Source) -> LiveKeyring {
        LiveKeyring {
            fixed: None,
            source: Some(source),
            state: Mutex::default(),
        }
    }

    /// One that never changes.
    pub fn fixed(keyring: Keyring) -> LiveKeyring {
        LiveKeyring::never_changing(Arc::new(keyring))
    }

    fn never_changing(ring: Arc<Keyring>) -> LiveKeyring {
        LiveKeyring {
            fixed: Some(ring.clone()),
            source: None,
            state: Mutex::new(State {
                ring: Some(ring),
                ..State::default()
            }),
        }
    }

    /// The same, as it was when it was made. For a forked child: what another thread was doing with this one when the process was
    /// forked will never be done there.
    pub fn renewed(&self) -> LiveKeyring {
        match (&self.fixed, &self.source) {
            (Some(ring), _) => LiveKeyring::never_changing(ring.clone()),
            (None, source) => LiveKeyring {
                fixed: None,
                source: source.clone(),
                state: Mutex::default(),
            },
        }
    }

    /// The keyring as it is now.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn current(&self) -> Result<Arc<Keyring>, KeyringError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ring.is_none() || state.failure.is_some() || self.has_changed(&state) {
            self.read(&mut state);
        }
        match (&state.failure, &state.ring) {
            (None, Some(ring)) => Ok(ring.clone()),
            (failure, _) => Err(failure.clone().unwrap_or_else(nothing_read)),
        }
    }

    /// The keyring to open a value that is sealed with key `id`: if it is known, without a look at the source.
    fn with_key(&self, id: Option<&str>) -> Result<Arc<Keyring>, KeyringError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state
            .ring
            .as_ref()
            .is_some_and(|ring| id.is_none_or(|id| ring.has(id)));
        if !known && (state.ring.is_none() || self.has_changed(&state) || self.may_run_again(&state)) {
            self.read(&mut state);
        }
        match (&state.ring, &state.failure) {
            (Some(ring), _) => Ok(ring.clone()),
            (None, failure) => Err(failure.clone().unwrap_or_else(nothing_read)),
        }
    }

    /// A file that differs from what was read.
    fn has_changed(&self, state: &State) -> bool {
        match &self.source {
            Some(Source::File(path)) => Stamp::of(path) != state.stamp,
            _ => false,
        }
    }

    fn may_run_again(&self, state: &State) -> bool {
        matches!(self.source, Some(Source::Command(_)))
            && state.last_read.is_none_or(|at| at.elapsed() >= COMMAND_PAUSE)
    }

    fn read(&self, state: &mut State) {
        let Some(source) = &self.source else {
            return;
        };
        // A command that hangs or fails must not be waited for at each read.
        if matches!(source, Source::Command(_)) && state.failure.is_some() && !self.may_run_again(state) {
            return;
        }
        // Before it is read: a change in between is then noticed at the next look.
        state.stamp = match source {
            Source::File(path) => Stamp::of(path),
            _ => None,
        };
        match source.load() {
            Ok(ring) => {
                state.ring = Some(Arc::new(ring));
                state.failure = None;
            }
            Err(failure) => state.failure = Some(failure),
        }
        state.last_read = Some(Instant::now());
    }

    /// The value as it is to be stored under a key, its prefix included: sealed if the keyring's patterns say so. `None`: as it is.
    ///
    /// A value that is sealed already, for this key, is stored as it is, so that what was exported can be put back.
    ///
    /// # Errors
    /// [`SealError`]: then the value must not be stored.
    pub fn seal(&self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let ring = self.current().map_err(|problem| no_keyring(key, problem))?;
        if !ring.covers(key) {
            return Ok(None);
        }
        if envelope::is_envelope(value) {
            return ring.open(key, value).map(|_| None);
        }
        ring.seal(key, value).map(Some)
    }

    /// The value as it was put under a key, its prefix included. `None`: it is not sealed.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        if !envelope::is_envelope(value) {
            return self.check_plain(key).map(|()| None);
        }
        let ring = self
            .with_key(envelope::key_id_of(value))
            .map_err(|problem| no_keyring(key, problem))?;
        ring.open(key, value).map(Some)
    }

    fn check_plain(&self, key: &[u8]) -> Result<(), SealError> {
        match self.with_key(None) {
            Ok(ring) if ring.requires_sealed() && ring.covers(key) => {
                Err(SealError::NotSealed { key: printable(key) })
            }
            // Without a keyring, what is not sealed can still be read: all that is sealed says what is wrong.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn no_keyring(key: &[u8], problem: KeyringError) -> SealError {
    SealError::NoKeyring {
        key: printable(key),
        problem,
    }
}

fn nothing_read() -> KeyringError {
    KeyringError::Unreadable {
        place: "of this client".to_owned(),
        problem: "it was not read; please report it".to_owned(),
    }
}

impl From<Keyring> for LiveKeyring {
    fn from(keyring: Keyring) -> LiveKeyring {
        LiveKeyring::fixed(keyring)
    }
}

/// Without the secrets.
impl fmt::Debug for LiveKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveKeyring")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
