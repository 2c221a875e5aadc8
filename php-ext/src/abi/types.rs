//! The plain data that crosses between C and Rust.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cfgstore_client::{Error, ErrorKind};

/// Longest message of a [`CoreError`], in bytes; longer ones are cut at a character.
pub const CORE_MESSAGE_BYTES: usize = 2000;

/// Room for the violations in a [`CoreError`], in bytes.
pub const CORE_VIOLATIONS_BYTES: usize = 4096;

/// An agent not heard for so many milliseconds is taken for dead; it says that it lives each second.
pub const CORE_SILENT_MS: u64 = 3_000;

/// Bytes that somebody else owns. `data` may be null when `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CoreBytes {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl CoreBytes {
    /// Of a slice that outlives the use by C.
    pub fn of(bytes: &[u8]) -> CoreBytes {
        CoreBytes {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// No bytes.
    pub fn empty() -> CoreBytes {
        CoreBytes {
            data: std::ptr::null(),
            len: 0,
        }
    }

    /// # Safety
    /// `data` must point to `len` readable bytes that stay as they are for `'a`.
    pub unsafe fn get<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Why a call failed. Lives on the C stack: nothing has to be freed, so nothing leaks when the engine unwinds.
#[repr(C)]
pub struct CoreError {
    /// The number of the client core's `ErrorKind`; 0 means no error.
    pub kind: u8,
    /// The same call may succeed later with nothing changed.
    pub retryable: bool,
    /// The write may have happened.
    pub maybe_committed: bool,
    /// Length of `message`.
    pub message_len: usize,
    /// UTF-8, not terminated.
    pub message: [u8; CORE_MESSAGE_BYTES],
    /// Length of `violations`.
    pub violations_len: usize,
    /// What is wrong with a value that a schema refuses, as far as it fits: of each violation the key, the path and the message,
    /// and of each of these two bytes of length, the machine's way round, and the bytes.
    pub violations: [u8; CORE_VIOLATIONS_BYTES],
}

impl CoreError {
    fn fill(&mut self, error: &Error) {
        let mut length = error.message.len().min(CORE_MESSAGE_BYTES);
        while !error.message.is_char_boundary(length) {
            length -= 1;
        }
        self.kind = error.kind as u8;
        self.retryable = error.retryable();
        self.maybe_committed = error.maybe_committed;
        self.message_len = length;
        self.message[..length].copy_from_slice(&error.message.as_bytes()[..length]);
        self.violations_len = 0;
        for violation in &error.violations.list {
            let parts = [
                &violation.key[..],
                violation.path.as_bytes(),
                violation.message.as_bytes(),
            ];
            if !self.add_violation(parts) {
                break;
            }
        }
    }

    fn add_violation(&mut self, parts: [&[u8]; 3]) -> bool {
        let mut packed = Vec::new();
        for part in parts {
            let Ok(length) = u16::try_from(part.len()) else {
                return false;
            };
            packed.extend_from_slice(&length.to_ne_bytes());
            packed.extend_from_slice(part);
        }
        let end = self.violations_len + packed.len();
        let Some(room) = self.violations.get_mut(self.violations_len..end) else {
            return false;
        };
        room.copy_from_slice(&packed);
        self.violations_len = end;
        true
    }
}

/// Runs `body`; an error or a panic goes into `error` and gives `None`.
///
/// # Safety
/// `error` must point to a `CoreError` that is C's to lend; its content may be uninitialised.
pub unsafe fn guard<T>(error: *mut CoreError, body: impl FnOnce() -> Result<T, Error>) -> Option<T> {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => error,
        Err(panic) => Error::new(
            ErrorKind::Internal,
            format!("a fault in cfgstore ({}); please report it", panic_text(&*panic)),
        ),
    };
    // SAFETY: all fields are plain numbers, for which any content is valid, and the caller lends the place.
    unsafe { &mut *error }.fill(&failure);
    None
}

/// For calls that free: a panic there is swallowed, since there is nobody to tell.
pub fn quietly(body: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(body));
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> CoreError {
        CoreError {
            kind: 0,
            retryable: false,
            maybe_committed: false,
            message_len: 0,
            message: [0; CORE_MESSAGE_BYTES],
            violations_len: 0,
            violations: [0; CORE_VIOLATIONS_BYTES],
        }
    }

    #[test]
    fn violations_are_packed_as_far_as_they_fit() {
        let violation = |key: &str| cfgstore_client::Violation {
            key: key.to_owned().into(),
            path: "/a".to_owned(),
            message: "is required".to_owned(),
            pattern: String::new(),
            schema_path: String::new(),
        };
        let mut refused = Error::new(ErrorKind::SchemaViolation, "x");
        refused.violations.list = vec![
            violation("k"),
            violation(&"k".repeat(4_000)),
            violation(&"k".repeat(100)),
        ];
        let mut filled = error();
        filled.fill(&refused);
        // The second one fits too, the third does not.
        assert_eq!(filled.violations_len, (6 + 1 + 2 + 11) + (6 + 4_000 + 2 + 11));
        assert_eq!(filled.violations[..2], 1_u16.to_ne_bytes());
        assert_eq!(&filled.violations[3 + 2..7], b"/a");
    }

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let mut error = error();
        // SAFETY: `error` is ours.
        let result = unsafe { guard(&mut error, || -> Result<(), Error> { panic!("boom {}", 1) }) };
        assert!(result.is_none());
        assert_eq!(error.kind, ErrorKind::Internal as u8);
        let text = std::str::from_utf8(&error.message[..error.message_len]).unwrap();
        assert!(text.contains("boom 1"), "{text}");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut filled = error();
        filled.fill(&Error::new(ErrorKind::Timeout, "é".repeat(CORE_MESSAGE_BYTES)));
        assert_eq!(filled.message_len, CORE_MESSAGE_BYTES);
        filled.fill(&Error::new(
            ErrorKind::Timeout,
            format!("x{}", "é".repeat(CORE_MESSAGE_BYTES)),
        ));
        assert_eq!(filled.message_len, CORE_MESSAGE_BYTES - 1);
        assert!(std::str::from_utf8(&filled.message[..filled.message_len]).is_ok());
    }
}
