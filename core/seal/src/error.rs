//! What can go wrong, and what to do about it. No message holds a secret or a value.

/// Why a value could not be sealed or opened. Keys are shown as messages show them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The keyring has no key with the id that the value was sealed with.
    #[error(
        "the value of {key} is sealed with key {id:?}, which this keyring does not have: add that key to the keyring, or have \
         the value sealed anew with one that it has (cfgctl keys reseal)"
    )]
    MissingKey {
        /// The stored key.
        key: String,
        /// The id.
        id: String,
    },
    /// It does not authenticate.
    #[error(
        "the value of {key} does not open with key {id:?}: it was altered, or moved here from another key, or the keyring's {id:?} \
         is another key than the one that sealed it; put the value again, or restore it from the history"
    )]
    WrongKeyOrDamaged {
        /// The stored key.
        key: String,
        /// The id that it names.
        id: String,
    },
    /// It ends too early.
    #[error("the sealed value of {key} is cut short; put it again, or restore it from the history")]
    Truncated {
        /// The stored key.
        key: String,
    },
    /// It says of itself that it is sealed, but not in a form that exists.
    #[error("the sealed value of {key} is damaged: {problem}; put it again, or restore it from the history")]
    Malformed {
        /// The stored key.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A version of the format that this program does not know.
    #[error(
        "the value of {key} is sealed in format {version:?}, which this version of cfgstore does not know; use a newer one"
    )]
    UnknownFormat {
        /// The stored key.
        key: String,
        /// The version it names.
        version: String,
    },
    /// It is not sealed, where only sealed values are believed.
    #[error(
        "the value of {key} is not sealed, and the keyring requires that it is (require_sealed): seal it (cfgctl keys reseal) if \
         you know who wrote it"
    )]
    NotSealed {
        /// The stored key.
        key: String,
    },
    /// The keyring could not be had when it was needed.
    #[error("the value of {key} can be neither sealed nor opened: {problem}")]
    NoKeyring {
        /// The stored key.
        key: String,
        /// Why.
        problem: KeyringError,
    },
    /// The system gave no random bytes.
    #[error("the value of {key} was not sealed: the system gives no random bytes")]
    NoRandomness {
        /// The stored key.
        key: String,
    },
}

/// Why there is no keyring. `place` says where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The setting that names it makes no sense; not shown, since it may hold a secret in the wrong place.
    #[error(
        "the keyring's place makes no sense: {problem}; expected a file's path, env:NAME, or command:PROGRAM ARGUMENT…"
    )]
    BadSource {
        /// What is wrong.
        problem: &'static str,
    },
    /// The file, the variable or the command can't be read.
    #[error("the keyring {place} cannot be read: {problem}")]
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        problem: String,
    },
    /// Others may read or write the file.
    #[error(
        "the keyring {place} has mode {mode:04o}, so that every user of this host may use it, and is refused: chmod 0600 it, or 0640 \
         if its group is to read it; and if others had it, rotate its keys"
    )]
    Exposed {
        /// Where.
        place: String,
        /// Permission bits.
        mode: u32,
    },
    /// The command did not end in time.
    #[error("the keyring {place} did not end within {seconds} s, and was ended")]
    CommandTimeout {
        /// Where.
        place: String,
        /// Its limit.
        seconds: u64,
    },
    /// What was read is no keyring.
    #[error("the keyring {place} is not usable: {problem}")]
    Invalid {
        /// Where.
        place: String,
        /// What is wrong with it; never its content.
        problem: String,
    },
}

impl KeyringError {
    /// Whether it is a matter of rights.
    pub fn is_denied(&self) -> bool {
        matches!(self, KeyringError::Exposed { .. })
    }
}
