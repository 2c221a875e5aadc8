//! How a command fails: a message and an exit code.

use std::io;
use std::process::ExitCode;

use cfgstore_backup::SnapshotError;
use cfgstore_client::seal::KeyringError;
use cfgstore_client::{Error, ErrorKind};
use serde::Serialize;

use crate::output::Output;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    kind: &'static str,
    message: String,
    maybe_committed: bool,
    /// Whoever read the output has left: nothing to say, to nobody.
    silent: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    error: &'a str,
    message: &'a str,
    maybe_committed: bool,
}

const LOCK_NOT_HELD: u8 = 7;
const OTHER: u8 = 10;

impl Failure {
    pub fn new(message: &str) -> Failure {
        Failure {
            code: OTHER,
            kind: "Internal",
            message: message.to_owned(),
            maybe_committed: false,
            silent: false,
        }
    }

    pub fn invalid(message: String) -> Failure {
        Failure {
            code: 2,
            kind: ErrorKind::InvalidArgument.name(),
            ..Failure::new(&message)
        }
    }

    /// With more to say before the message.
    pub fn explained(self, why: &str) -> Failure {
        Failure {
            message: format!("{why}: {}", self.message),
            ..self
        }
    }

    pub fn not_found(key: &str) -> Failure {
        let message = format!("key {key:?} does not exist");
        Failure {
            code: 1,
            kind: ErrorKind::NotFound.name(),
            ..Failure::new(&message)
        }
    }

    /// For a server that does not answer as it should.
    pub fn unreachable(message: String) -> Failure {
        Failure {
            code: 3,
            kind: ErrorKind::Unavailable.name(),
            ..Failure::new(&message)
        }
    }

    /// For a value that was only looked at.
    pub fn schema_violation(message: String) -> Failure {
        Failure {
            code: 2,
            kind: ErrorKind::SchemaViolation.name(),
            ..Failure::new(&message)
        }
    }

    /// For a lease that is not there.
    pub fn no_lease(message: String) -> Failure {
        Failure {
            code: 1,
            kind: ErrorKind::NotFound.name(),
            ..Failure::new(&message)
        }
    }

    /// For a lock that could not be had.
    pub fn of_lock(error: Error) -> Failure {
        let waited_in_vain = error.kind == ErrorKind::Timeout;
        let failure = Failure::from(error);
        if waited_in_vain {
            Failure {
                code: LOCK_NOT_HELD,
                ..failure
            }
        } else {
            failure
        }
    }

    /// For a list in which something could not be opened, which has been said.
    pub fn code_of_unopened() -> ExitCode {
        ExitCode::from(OTHER)
    }

    /// Says it on stderr.
    pub fn report(&self, output: &Output) -> ExitCode {
        if self.silent {
            return ExitCode::SUCCESS;
        }
        let report = Report {
            error: self.kind,
            message: &self.message,
            maybe_committed: self.maybe_committed,
        };
        match serde_json::to_string(&report) {
            Ok(report) if output.is_json() => eprintln!("{report}"),
            _ => eprintln!("cfgctl: {}", self.message),
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match error.kind {
            _ if error.maybe_committed => 6,
            ErrorKind::NotFound => 1,
            ErrorKind::InvalidArgument | ErrorKind::TooLarge | ErrorKind::SchemaViolation => 2,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Exhausted | ErrorKind::NotSynced => 3,
            ErrorKind::Conflict => 4,
            ErrorKind::Denied => 5,
            ErrorKind::LockLost => LOCK_NOT_HELD,
            _ => OTHER,
        };
        Failure {
            code,
            kind: error.kind.name(),
            message: error.message,
            maybe_committed: error.maybe_committed,
            silent: false,
        }
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Failure {
        let kind = if error.is_denied() {
            ErrorKind::Denied
        } else {
            ErrorKind::InvalidArgument
        };
        Error::new(kind, error.to_string()).into()
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Failure {
        match error {
            SnapshotError::Io { .. } | SnapshotError::Foreign { .. } | SnapshotError::HashMissing { .. } => {
                Failure::invalid(error.to_string())
            }
            _ => Failure {
                kind: ErrorKind::Corrupt.name(),
                ..Failure::new(&error.to_string())
            },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Failure {
            silent,
            ..Failure::new(&format!("cannot write the output: {error}"))
        }
    }
}
