//! Why an attempt failed, and what that means for the next one.

use std::fmt;
use std::time::Duration;

/// An attempt that failed. Its text holds no secret, and of an address no more than the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, on one line.
    pub reason: String,
    /// The target has refused the message itself, so that another attempt is hardly of use.
    pub permanent: bool,
    /// How long the target asked not to be tried again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One after which another attempt may succeed.
    pub fn transient(reason: impl Into<String>) -> Failure {
        Failure {
            reason: reason.into(),
            permanent: false,
            retry_after: None,
        }
    }

    pub(crate) fn permanent(reason: impl Into<String>) -> Failure {
        Failure {
            permanent: true,
            ..Failure::transient(reason)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}
