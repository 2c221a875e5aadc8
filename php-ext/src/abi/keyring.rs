//! Sealed values: opening those that the mirror holds, and what is known of the keyring.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use cfgstore_client::seal::{LiveKeyring, Source};
use cfgstore_client::{Error, ErrorKind};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard, quietly};

/// A source as a setting names it, with the environment that it is read from.
static CAPTURED: Mutex<Option<(OsString, Source)>> = Mutex::new(None);

/// Remembers the environment for a keyring that lies in it: php-fpm empties it in its workers. For the master, once.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_keyring_capture(place: CoreBytes) {
    // SAFETY: the caller lends the bytes.
    let place = OsStr::from_bytes(unsafe { place.get() });
    quietly(|| {
        let captured = Source::parse(place).ok().map(Source::captured);
        *CAPTURED.lock().unwrap_or_else(PoisonError::into_inner) =
            captured.map(|source| (place.to_owned(), source));
    });
}

/// The keyring that a setting names; empty: none. Reads nothing.
pub(super) fn keyring(place: &[u8]) -> Result<Option<Arc<LiveKeyring>>, Error> {
    if place.is_empty() {
        return Ok(None);
    }
    let place = OsStr::from_bytes(place);
    let captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
    let source = match &*captured {
        Some((same, source)) if same == place => source.clone(),
        _ => {
            Source::parse(place).map_err(|error| Error::new(ErrorKind::InvalidArgument, error.to_string()))?
        }
    };
    // A process may change its folder between two looks at the file.
    if matches!(&source, Source::File(path) if path.is_relative()) {
        let message = "the keyring's path is not absolute; expected an absolute path, env:NAME, or command:PROGRAM ARGUMENT…";
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(Some(Arc::new(LiveKeyring::new(source))))
}

/// Opens a value of `prefix` and `key` together, if it is sealed and the store has a keyring. `plain` is what was put; it is valid
/// until the next call that opens a value, or that closes the store.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_unseal(
    source: *mut CoreSource,
    prefix: CoreBytes,
    key: CoreBytes,
    value: CoreBytes,
    plain: *mut CoreBytes,
    error: *mut CoreError,
) -> bool {
    let unseal = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, sealed, plain) =
            unsafe { (&mut *source, prefix.get(), key.get(), value.get(), &mut *plain) };
        let opened = match source.reads().keyring() {
            Some(keyring) => keyring.open(&whole_key(prefix, key)?, sealed)?,
            None => None,
        };
        *plain = match opened {
            Some(opened) => CoreBytes::of(source.keep(opened)),
            None => value,
        };
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, unseal) }.is_some()
}

/// A line on the keyring, without a secret: how many keys and patterns, or why it can't be read. Empty: there is none. Valid
/// until the next call that opens a value, or that closes the store.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_keyring_describe(source: *mut CoreSource) -> CoreBytes {
    // SAFETY: the caller holds the handle.
    let source = unsafe { &mut *source };
    let mut line = CoreBytes::empty();
    quietly(|| {
        let Some(keyring) = source.reads().keyring() else {
            return;
        };
        let text = match keyring.current() {
            Ok(ring) => format!(
                "keys: {}, patterns: {}{}",
                ring.ids().len(),
                ring.patterns().len(),
                if ring.requires_sealed() {
                    ", sealed values required"
                } else {
                    ""
                }
            ),
            Err(error) => error.to_string(),
        };
        line = CoreBytes::of(source.keep(text.into_bytes()));
    });
    line
}
