//! The statuses and what can be asked of them.

use std::ffi::{CStr, c_char};

use cfgstore_client::{Error, ErrorKind};

/// What a function came to. Values never change their meaning; later versions may add some, so treat one that
/// you do not know as a failure.
///
/// A write whose fate is unknown has a status of its own, whose value is that of the plain status plus 100: the
/// write may have happened, or may still happen. Read what is there before you send it again.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum cfgstore_status_t {
    /// It was done.
    CFGSTORE_OK = 0,
    /// The key does not exist.
    CFGSTORE_NOT_FOUND = 1,
    /// A key is not at the revision that was asked for. Read it and decide again.
    CFGSTORE_CONFLICT = 2,
    /// The call makes no sense; the message says which argument and why. Making it again will not help.
    CFGSTORE_INVALID_ARGUMENT = 3,
    /// A key, value or request is over a limit.
    CFGSTORE_TOO_LARGE = 4,
    /// No server could be reached, or it cannot serve now.
    CFGSTORE_UNAVAILABLE = 5,
    /// The time allowed for the call, or the wait that was asked for, passed first.
    CFGSTORE_TIMEOUT = 6,
    /// The caller may not do this.
    CFGSTORE_DENIED = 7,
    /// The history asked for is gone. Read the current state and go on from there.
    CFGSTORE_COMPACTED = 8,
    /// The lock is no longer held.
    CFGSTORE_LOCK_LOST = 9,
    /// A quota, memory or disk is full.
    CFGSTORE_EXHAUSTED = 10,
    /// Data is damaged; the message says where.
    CFGSTORE_CORRUPT = 11,
    /// The host has no copy of the configuration yet.
    CFGSTORE_NOT_SYNCED = 12,
    /// The other side, or this kind of address, cannot do this.
    CFGSTORE_UNSUPPORTED = 13,
    /// The call was ended from outside before it was done.
    CFGSTORE_CANCELED = 14,
    /// A fault in cfgstore. Please report it with the message.
    CFGSTORE_INTERNAL = 15,
    /// A sealed value cannot be opened, or one that is to be sealed cannot be; the message says why.
    CFGSTORE_SEALED = 16,
    /// A value violates its schema; the message says where and what. Nothing was written.
    CFGSTORE_SCHEMA_VIOLATION = 17,
    /// As CFGSTORE_UNAVAILABLE, and the write may have happened.
    CFGSTORE_UNAVAILABLE_MAYBE_COMMITTED = 105,
    /// As CFGSTORE_TIMEOUT, and the write may have happened.
    CFGSTORE_TIMEOUT_MAYBE_COMMITTED = 106,
    /// As CFGSTORE_CORRUPT, and the write may have happened.
    CFGSTORE_CORRUPT_MAYBE_COMMITTED = 111,
    /// As CFGSTORE_CANCELED, and the write may have happened.
    CFGSTORE_CANCELED_MAYBE_COMMITTED = 114,
    /// As CFGSTORE_INTERNAL, and the write may have happened.
    CFGSTORE_INTERNAL_MAYBE_COMMITTED = 115,
}

use cfgstore_status_t::*;

/// What is known of one status.
struct Known {
    status: cfgstore_status_t,
    name: &'static CStr,
    /// The kind of failure; `None` for success.
    kind: Option<ErrorKind>,
    maybe_committed: bool,
}

const fn certain(status: cfgstore_status_t, name: &'static CStr, kind: ErrorKind) -> Known {
    Known {
        status,
        name,
        kind: Some(kind),
        maybe_committed: false,
    }
}

const fn uncertain(status: cfgstore_status_t, name: &'static CStr, kind: ErrorKind) -> Known {
    Known {
        status,
        name,
        kind: Some(kind),
        maybe_committed: true,
    }
}

const KNOWN: [Known; 23] = [
    Known {
        status: CFGSTORE_OK,
        name: c"CFGSTORE_OK",
        kind: None,
        maybe_committed: false,
    },
    certain(CFGSTORE_NOT_FOUND, c"CFGSTORE_NOT_FOUND", ErrorKind::NotFound),
    certain(CFGSTORE_CONFLICT, c"CFGSTORE_CONFLICT", ErrorKind::Conflict),
    certain(
        CFGSTORE_INVALID_ARGUMENT,
        c"CFGSTORE_INVALID_ARGUMENT",
        ErrorKind::InvalidArgument,
    ),
    certain(CFGSTORE_TOO_LARGE, c"CFGSTORE_TOO_LARGE", ErrorKind::TooLarge),
    certain(
        CFGSTORE_UNAVAILABLE,
        c"CFGSTORE_UNAVAILABLE",
        ErrorKind::Unavailable,
    ),
    certain(CFGSTORE_TIMEOUT, c"CFGSTORE_TIMEOUT", ErrorKind::Timeout),
    certain(CFGSTORE_DENIED, c"CFGSTORE_DENIED", ErrorKind::Denied),
    certain(CFGSTORE_COMPACTED, c"CFGSTORE_COMPACTED", ErrorKind::Compacted),
    certain(CFGSTORE_LOCK_LOST, c"CFGSTORE_LOCK_LOST", ErrorKind::LockLost),
    certain(CFGSTORE_EXHAUSTED, c"CFGSTORE_EXHAUSTED", ErrorKind::Exhausted),
    certain(CFGSTORE_CORRUPT, c"CFGSTORE_CORRUPT", ErrorKind::Corrupt),
    certain(CFGSTORE_NOT_SYNCED, c"CFGSTORE_NOT_SYNCED", ErrorKind::NotSynced),
    certain(
        CFGSTORE_UNSUPPORTED,
        c"CFGSTORE_UNSUPPORTED",
        ErrorKind::Unsupported,
    ),
    certain(CFGSTORE_CANCELED, c"CFGSTORE_CANCELED", ErrorKind::Canceled),
    certain(CFGSTORE_INTERNAL, c"CFGSTORE_INTERNAL", ErrorKind::Internal),
    certain(CFGSTORE_SEALED, c"CFGSTORE_SEALED", ErrorKind::Sealed),
    certain(
        CFGSTORE_SCHEMA_VIOLATION,
        c"CFGSTORE_SCHEMA_VIOLATION",
        ErrorKind::SchemaViolation,
    ),
    uncertain(
        CFGSTORE_UNAVAILABLE_MAYBE_COMMITTED,
        c"CFGSTORE_UNAVAILABLE_MAYBE_COMMITTED",
        ErrorKind::Unavailable,
    ),
    uncertain(
        CFGSTORE_TIMEOUT_MAYBE_COMMITTED,
        c"CFGSTORE_TIMEOUT_MAYBE_COMMITTED",
        ErrorKind::Timeout,
    ),
    uncertain(
        CFGSTORE_CORRUPT_MAYBE_COMMITTED,
        c"CFGSTORE_CORRUPT_MAYBE_COMMITTED",
        ErrorKind::Corrupt,
    ),
    uncertain(
        CFGSTORE_CANCELED_MAYBE_COMMITTED,
        c"CFGSTORE_CANCELED_MAYBE_COMMITTED",
        ErrorKind::Canceled,
    ),
    uncertain(
        CFGSTORE_INTERNAL_MAYBE_COMMITTED,
        c"CFGSTORE_INTERNAL_MAYBE_COMMITTED",
        ErrorKind::Internal,
    ),
];

fn known(status: i32) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.status as i32 == status)
}

impl cfgstore_status_t {
    pub(crate) fn of(error: &Error) -> cfgstore_status_t {
        let found = KNOWN
            .iter()
            .find(|known| known.kind == Some(error.kind) && known.maybe_committed == error.maybe_committed);
        match found {
            Some(known) => known.status,
            // A refusal that may have been applied contradicts itself; the unknown fate is what matters.
            None => CFGSTORE_INTERNAL_MAYBE_COMMITTED,
        }
    }
}

/// The status as it is written in this file, for example "CFGSTORE_TIMEOUT"; "CFGSTORE_UNKNOWN" for a value that
/// is none. The text is NUL-terminated and lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_status_name(status: i32) -> *const c_char {
    known(status)
        .map_or(c"CFGSTORE_UNKNOWN", |known| known.name)
        .as_ptr()
}

/// The status without its _MAYBE_COMMITTED: what went wrong, to be used in a switch. CFGSTORE_INTERNAL for a
/// value that is no status.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_status_kind(status: i32) -> cfgstore_status_t {
    let plain = if known(status).is_some_and(|known| known.maybe_committed) {
        status - 100
    } else {
        status
    };
    known(plain).map_or(CFGSTORE_INTERNAL, |known| known.status)
}

/// Whether the same call may succeed later with nothing changed. False for every status for which
/// cfgstore_status_maybe_committed() is true, since sending such a write again could apply it twice.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_status_retryable(status: i32) -> bool {
    known(status).is_some_and(|known| !known.maybe_committed && known.kind.is_some_and(ErrorKind::retryable))
}

/// Whether the call was a write that may have happened, or may still happen, though it failed.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_status_maybe_committed(status: i32) -> bool {
    known(status).is_some_and(|known| known.maybe_committed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_status_of_its_number() {
        for kind in ErrorKind::ALL {
            let status = cfgstore_status_t::of(&Error::new(kind, ""));
            assert_eq!(status as i32, kind as i32);
            assert_eq!(cfgstore_status_retryable(status as i32), kind.retryable());
            assert_eq!(cfgstore_status_kind(status as i32), status);
            assert!(!cfgstore_status_maybe_committed(status as i32));
        }
    }

    #[test]
    fn a_write_of_unknown_fate_never_loses_that() {
        for kind in ErrorKind::ALL {
            let error = Error {
                maybe_committed: true,
                ..Error::new(kind, "")
            };
            let status = cfgstore_status_t::of(&error) as i32;
            assert!(cfgstore_status_maybe_committed(status), "{kind}");
            assert!(!cfgstore_status_retryable(status), "{kind}");
            assert_eq!(cfgstore_status_kind(status) as i32 + 100, status);
        }
        assert_eq!(
            CFGSTORE_TIMEOUT_MAYBE_COMMITTED as i32,
            CFGSTORE_TIMEOUT as i32 + 100
        );
    }

    #[test]
    fn names_are_those_of_the_enum_and_values_that_are_none_are_survived() {
        for known in &KNOWN {
            assert_eq!(known.name.to_str().unwrap(), format!("{:?}", known.status));
        }
        for none in [-1, 18, 101, 116, i32::MAX, i32::MIN] {
            assert!(!cfgstore_status_retryable(none) && !cfgstore_status_maybe_committed(none));
            assert_eq!(cfgstore_status_kind(none), CFGSTORE_INTERNAL);
        }
    }
}
