//! The message beside a status.

use std::ffi::c_char;

use cfgstore_client::Error;

use crate::status::cfgstore_status_t;

/// Room for a message and the NUL after it.
pub const CFGSTORE_MESSAGE_BYTES: usize = 992;

/// What a failed function says beside its status. It belongs to the caller, on the stack as a rule: declare one,
/// pass its address, read it when the function did not return CFGSTORE_OK. It need not be set up, is written only
/// by a function that fails, and holds nothing to free. Its size never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cfgstore_error_t {
    /// What the function returned.
    pub status: cfgstore_status_t,
    /// Length of the message in bytes, without the NUL after it.
    pub message_length: u32,
    /// For CFGSTORE_CONFLICT: the revision of the last change of the key that conflicted; 0: it does not exist.
    /// Of a transaction: of the first such key. Otherwise 0.
    pub current_revision: i64,
    /// Zero.
    pub reserved: [i64; 2],
    /// What happened, to what, and what to do next: English, UTF-8, complete, for a log or a screen, with a NUL
    /// after it. Never holds a value. A message that does not fit is cut between two characters.
    pub message: [c_char; CFGSTORE_MESSAGE_BYTES],
}

impl cfgstore_error_t {
    pub(crate) fn of(error: &Error) -> cfgstore_error_t {
        // C would take a NUL inside for the end.
        let text = error.message.replace('\0', "\u{fffd}");
        let room = text.len().min(CFGSTORE_MESSAGE_BYTES - 1);
        let length = (0..=room)
            .rev()
            .find(|&length| text.is_char_boundary(length))
            .unwrap_or(0);
        let mut message = [0; CFGSTORE_MESSAGE_BYTES];
        for (to, from) in message.iter_mut().zip(&text.as_bytes()[..length]) {
            *to = from.cast_signed() as c_char;
        }
        cfgstore_error_t {
            status: cfgstore_status_t::of(error),
            message_length: length as u32,
            current_revision: error.conflicts.first().map_or(0, |conflict| conflict.current),
            reserved: [0; 2],
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_client::ErrorKind;

    use super::*;

    fn message_of(text: String) -> String {
        let error = cfgstore_error_t::of(&Error::new(ErrorKind::Internal, text));
        let bytes: Vec<u8> = error.message.iter().map(|&c| c as u8).collect();
        assert_eq!(
            bytes.iter().position(|&b| b == 0),
            Some(error.message_length as usize)
        );
        String::from_utf8(bytes[..error.message_length as usize].to_vec()).unwrap()
    }

    #[test]
    fn the_struct_has_the_documented_size() {
        assert_eq!(size_of::<cfgstore_error_t>(), 1024);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(message_of("é".repeat(1000)), "é".repeat(495));
        assert_eq!(message_of("x".repeat(991)).len(), 991);
        assert_eq!(message_of("a\0b".into()), "a\u{fffd}b");
        assert_eq!(message_of(String::new()), "");
    }
}
