//! The keys, and what is done with them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::envelope::{self, NONCE_BYTES, TAG_BYTES, associated_data};
use crate::error::{KeyringError, SealError};
use crate::pattern::Pattern;
use crate::printable;

mod json;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Most keys in a keyring.
pub const MAX_KEYS: usize = 64;
/// Most patterns in a keyring.
pub const MAX_PATTERNS: usize = 1000;
/// Longest id of a key, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// Longest keyring, as JSON, in bytes.
pub const MAX_KEYRING_BYTES: usize = 1 << 20;

/// Keys by their ids, the one that seals, and which stored keys are sealed.
#[derive(Clone)]
pub struct Keyring {
    primary: String,
    keys: BTreeMap<String, Secret>,
    patterns: Vec<Pattern>,
    require_sealed: bool,
}

/// A key; wiped when dropped.
#[derive(Clone)]
struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    fn generate() -> Result<Secret, getrandom::Error> {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        getrandom::fill(&mut bytes)?;
        Ok(Secret(bytes))
    }

    /// `None` unless it is base64 of 32 bytes.
    fn decode(text: &str) -> Option<Secret> {
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        (bytes.len() == KEY_BYTES).then_some(Secret(bytes))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        // Checked where it was made; `new_from_slice` is the form that copies the key into no array of ours.
        XChaCha20Poly1305::new_from_slice(&self.0).expect("a key has 32 bytes")
    }
}

impl Keyring {
    /// Reads a keyring; `place` is what messages call it.
    ///
    /// # Errors
    /// [`KeyringError::Invalid`]: it is no JSON of the documented form, over a limit, or without its primary key.
    pub fn parse(json: &[u8], place: &str) -> Result<Keyring, KeyringError> {
        json::read(json).map_err(|problem| KeyringError::Invalid {
            place: place.to_owned(),
            problem,
        })
    }

    /// A keyring with one new key.
    ///
    /// # Errors
    /// What is wrong with the id or the patterns.
    pub fn generate(id: &str, patterns: Vec<Pattern>) -> Result<Keyring, String> {
        if patterns.len() > MAX_PATTERNS {
            return Err(format!(
                "{} patterns; the limit is {MAX_PATTERNS}",
                patterns.len()
            ));
        }
        let mut keyring = Keyring {
            primary: id.to_owned(),
            keys: BTreeMap::new(),
            patterns,
            require_sealed: false,
        };
        keyring.add(id)?;
        Ok(keyring)
    }

    /// Adds a new key, which opens values from now on and seals none before [`Keyring::set_primary`].
    ///
    /// # Errors
    /// What is wrong: the id is none, or is there already, or the keyring is full.
    pub fn add(&mut self, id: &str) -> Result<(), String> {
        if !is_id(id) {
            return Err(format!("{id:?} can be no key's id: {ID_FORM}"));
        }
        if self.keys.contains_key(id) {
            return Err(format!("it has a key {id:?} already; choose another id"));
        }
        if self.keys.len() == MAX_KEYS {
            return Err(format!(
                "it holds {MAX_KEYS} keys, which is the limit; drop one that seals no value (cfgctl keys drop)"
            ));
        }
        let secret =
            Secret::generate().map_err(|error| format!("the system gives no random bytes: {error}"))?;
        self.keys.insert(id.to_owned(), secret);
        Ok(())
    }

    /// Has a key seal from now on.
    ///
    /// # Errors
    /// What is wrong: there is no such key.
    pub fn set_primary(&mut self, id: &str) -> Result<(), String> {
        if !self.keys.contains_key(id) {
            return Err(format!("it has no key {id:?}"));
        }
        self.primary = id.to_owned();
        Ok(())
    }

    /// Removes a key: what is sealed with it can't be read any more.
    ///
    /// # Errors
    /// What is wrong: there is no such key, or it is the primary one.
    pub fn drop_key(&mut self, id: &str) -> Result<(), String> {
        if id == self.primary {
            return Err(format!("{id:?} is its primary key, which seals; rotate first"));
        }
        match self.keys.remove(id) {
            Some(_) => Ok(()),
            None => Err(format!("it has no key {id:?}")),
        }
    }

    /// The id of the key that seals.
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// The ids of all keys, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Whether it has a key of this id.
    pub fn has(&self, id: &str) -> bool {
        self.keys.contains_key(id)
    }

    /// Which stored keys are sealed.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether the values of a stored key, its prefix included, are to be sealed.
    pub fn covers(&self, key: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(key))
    }

    /// Whether a value under the patterns that is not sealed is refused by a reader.
    pub fn requires_sealed(&self) -> bool {
        self.require_sealed
    }

    /// As JSON, secrets included: for the file of its owner, and nowhere else.
    pub fn to_json(&self) -> Zeroizing<String> {
        json::write(self)
    }

    /// Seals a value for a stored key, its prefix included, with the primary key.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn seal(&self, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        // From the system each time: a generator of this process would draw the same again in a child that it forks.
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness { key: printable(key) })?;
        let mut buffer = Vec::with_capacity(plain.len() + TAG_BYTES);
        buffer.extend_from_slice(plain);
        let secret = self.keys.get(&self.primary).expect("the primary key is there");
        secret
            .cipher()
            .encrypt_in_place(&nonce.into(), &associated_data(&self.primary, key), &mut buffer)
            .expect("no value is near the cipher's limit of 256 GiB");
        Ok(envelope::write(&self.primary, &nonce, &buffer))
    }

    /// Opens a sealed value of a stored key, its prefix included.
    ///
    /// # Errors
    /// [`SealError`]; of a value that is not sealed, [`SealError::NotSealed`].
    pub fn open(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, SealError> {
        let Some(envelope) = envelope::read(key, value) else {
            return Err(SealError::NotSealed { key: printable(key) });
        };
        let envelope = envelope?;
        let id = envelope.id;
        let Some(secret) = self.keys.get(id) else {
            return Err(SealError::MissingKey {
                key: printable(key),
                id: id.chars().take(MAX_ID_BYTES).collect(),
            });
        };
        let mut buffer = envelope.ciphertext;
        secret
            .cipher()
            .decrypt_in_place(&envelope.nonce.into(), &associated_data(id, key), &mut buffer)
            .map_err(|_| SealError::WrongKeyOrDamaged {
                key: printable(key),
                id: id.to_owned(),
            })?;
        Ok(buffer)
    }
}

/// Without the secrets.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("primary", &self.primary)
            .field("ids", &self.keys.keys())
            .field("patterns", &self.patterns)
            .field("require_sealed", &self.require_sealed)
            .finish()
    }
}

const ID_FORM: &str = "expected 1 to 64 letters, digits, - and _";

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
