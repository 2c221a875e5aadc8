//! The one vocabulary of failures.

use std::fmt;

use crate::schemas::Violations;

/// What went wrong, in the words that C, PHP and Python share. The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorKind {
    /// The key does not exist.
    NotFound = 1,
    /// A key is not at the revision that was asked for.
    Conflict = 2,
    /// The request makes no sense; sending it again will not help.
    InvalidArgument = 3,
    /// A key, value or request is over a limit.
    TooLarge = 4,
    /// No server could be reached, or it cannot serve now.
    Unavailable = 5,
    /// The deadline passed first.
    Timeout = 6,
    /// The caller may not do this.
    Denied = 7,
    /// The history asked for is gone.
    Compacted = 8,
    /// The lock is no longer held.
    LockLost = 9,
    /// A quota, memory or disk is full.
    Exhausted = 10,
    /// Data is damaged.
    Corrupt = 11,
    /// The host has no copy of the configuration yet.
    NotSynced = 12,
    /// The other side, or this mode of the client, cannot do this.
    Unsupported = 13,
    /// The caller ended the call.
    Canceled = 14,
    /// A fault in cfgstore.
    Internal = 15,
    /// A sealed value can't be opened, or one that is to be sealed can't be.
    Sealed = 16,
    /// A value violates its schema.
    SchemaViolation = 17,
}

impl ErrorKind {
    /// Every kind, in the order of its number.
    pub const ALL: [ErrorKind; 17] = [
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::InvalidArgument,
        ErrorKind::TooLarge,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Denied,
        ErrorKind::Compacted,
        ErrorKind::LockLost,
        ErrorKind::Exhausted,
        ErrorKind::Corrupt,
        ErrorKind::NotSynced,
        ErrorKind::Unsupported,
        ErrorKind::Canceled,
        ErrorKind::Internal,
        ErrorKind::Sealed,
        ErrorKind::SchemaViolation,
    ];

    /// The name, as it is written in this enum.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "NotFound",
            ErrorKind::Conflict => "Conflict",
            ErrorKind::InvalidArgument => "InvalidArgument",
            ErrorKind::TooLarge => "TooLarge",
            ErrorKind::Unavailable => "Unavailable",
            ErrorKind::Timeout => "Timeout",
            ErrorKind::Denied => "Denied",
            ErrorKind::Compacted => "Compacted",
            ErrorKind::LockLost => "LockLost",
            ErrorKind::Exhausted => "Exhausted",
            ErrorKind::Corrupt => "Corrupt",
            ErrorKind::NotSynced => "NotSynced",
            ErrorKind::Unsupported => "Unsupported",
            ErrorKind::Canceled => "Canceled",
            ErrorKind::Internal => "Internal",
            ErrorKind::Sealed => "Sealed",
            ErrorKind::SchemaViolation => "SchemaViolation",
        }
    }

    /// Whether the same call may succeed later with nothing changed. For a write, look at
    /// [`Error::maybe_committed`] first.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Exhausted | ErrorKind::NotSynced
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key that was not at the revision asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionConflict {
    /// The key, below the client's prefix.
    pub key: Vec<u8>,
    /// The revision the caller asked for; 0: the key must not exist; -1: it must exist.
    pub wanted: i64,
    /// The revision of its last change; 0: it does not exist.
    pub current: i64,
}

/// What happened, to what, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// English, complete, for a log or a screen; never a secret or a value.
    pub message: String,
    /// Only for writes: the write may have happened, or may still happen. Read before sending it again.
    pub maybe_committed: bool,
    /// For [`ErrorKind::Conflict`]: the keys that were not at the wanted revision.
    pub conflicts: Vec<RevisionConflict>,
    /// For [`ErrorKind::SchemaViolation`]: what is wrong, and with which value.
    pub violations: Violations,
}

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that is certainly without effect.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            maybe_committed: false,
            conflicts: Vec::new(),
            violations: Violations::default(),
        }
    }

    /// Whether the same call may succeed later with nothing changed. A write that may have happened is never
    /// retryable: sending it again could apply it twice.
    pub fn retryable(&self) -> bool {
        self.kind.retryable() && !self.maybe_committed
    }

    pub(crate) fn with_unknown_effect(mut self) -> Error {
        self.maybe_committed = true;
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn conflict(conflicts: Vec<RevisionConflict>) -> Error {
        let described: Vec<String> = conflicts.iter().map(describe_conflict).collect();
        let message = format!(
            "not written: {}; read the current value and decide again",
            described.join("; ")
        );
        Error {
            conflicts,
            ..Error::new(ErrorKind::Conflict, message)
        }
    }
}

impl From<cfgstore_seal::SealError> for Error {
    fn from(error: cfgstore_seal::SealError) -> Error {
        Error::new(ErrorKind::Sealed, error.to_string())
    }
}

fn describe_conflict(conflict: &RevisionConflict) -> String {
    let key = crate::keyspace::printable(&conflict.key);
    match (conflict.wanted, conflict.current) {
        (0, current) => format!("key {key} already exists (revision {current})"),
        (_, 0) => format!("key {key} does not exist"),
        (wanted, current) => format!("key {key} is at revision {current}, not {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_in_order_and_named_once() {
        for (index, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index + 1);
            assert_eq!(kind.name(), format!("{kind:?}"));
        }
    }

    #[test]
    fn a_write_that_may_have_happened_is_not_retryable() {
        let error = Error::new(ErrorKind::Unavailable, "x");
        assert!(error.retryable());
        assert!(!error.with_unknown_effect().retryable());
    }
}
