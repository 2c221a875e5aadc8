//! Sealed values: what a client puts under chosen patterns is encrypted before it leaves the process, and opened again where it is
//! read. Servers, copies, history and logs see the sealed form only.
//!
//! - [`Keyring`] holds the keys and the patterns; it seals and opens.
//! - [`Source`] says where a keyring comes from: a file, an environment variable, a command.
//! - [`LiveKeyring`] is a keyring that is read when it is first needed, and again when it has changed, so that keys can be rotated
//!   under running programs. It is what a client holds.
//!
//! The cipher is XChaCha20-Poly1305: its nonces are long enough to be drawn at random, however many values one key seals. The name
//! of the stored key is authenticated with each value, so one that was moved to another key does not open. `docs/sealed-values.md`
//! has the format byte by byte, and says what it protects against and what not.
//!
//! Nothing here does network I/O. No secret is in a message or in what `Debug` prints, and secrets are wiped when they are dropped.

#![forbid(unsafe_code)]

mod command;
mod envelope;
mod error;
mod keyring;
mod live;
mod pattern;
mod source;

pub use envelope::{is_envelope, key_id_of};
pub use error::{KeyringError, SealError};
pub use keyring::{KEY_BYTES, Keyring, MAX_ID_BYTES, MAX_KEYRING_BYTES, MAX_KEYS, MAX_PATTERNS};
pub use live::LiveKeyring;
pub use pattern::{MAX_PATTERN_BYTES, Pattern};
pub use source::Source;

/// A name of a key as a message shows it: text as it is, quoted, anything else escaped; long ones cut.
fn printable(key: &[u8]) -> String {
    const SHOWN: usize = 120;
    let shown = &key[..key.len().min(SHOWN)];
    let cut = if key.len() > SHOWN { "…" } else { "" };
    match std::str::from_utf8(shown) {
        Ok(text) => format!("{text:?}{cut}"),
        Err(_) => format!("\"{}\"{cut}", shown.escape_ascii()),
    }
}
