//! What the mirror can answer, in the words of the client core.

use cfgstore_client::{Error, ErrorKind};
use cfgstore_mirror::ReadError;

/// The same failure in the vocabulary that PHP's exceptions are made from.
pub fn from_mirror(error: &ReadError) -> Error {
    let kind = match error {
        ReadError::NotFound { .. } | ReadError::NotPublished { .. } | ReadError::Missing { .. } => {
            ErrorKind::NotSynced
        }
        ReadError::Foreign { .. } | ReadError::Truncated { .. } | ReadError::Damaged { .. } => {
            ErrorKind::Corrupt
        }
        ReadError::OtherVersion { .. } => ErrorKind::Unsupported,
        ReadError::Denied { .. } | ReadError::Untrusted { .. } => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, error.to_string())
}
