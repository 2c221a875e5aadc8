//! One host's shared-memory copy of the configuration: one writer, many readers.
//!
//! A mirror is a folder on tmpfs. Its [`Publisher`] (one process, the host agent) writes each *generation* as an immutable
//! file and then moves one counter; any number of [`Reader`]s (PHP workers, C and Python programs) map the file and read it
//! with no system call, no lock and no copy. `docs/mirror-format.md` describes the files byte by byte.
//!
//! This crate knows nothing of networks, Raft or gRPC, and starts no thread.

mod control;
mod encode;
mod error;
mod file;
mod folder;
mod format;
mod hash;
mod options;
mod publisher;
mod reader;
mod recent;
mod snapshot;
mod sweep;
mod sys;
mod trust;

pub use error::{PublishError, ReadError};
pub use options::{Change, FileKind, Origin, Place, Published, PublisherOptions, RewritePolicy};
pub use publisher::Publisher;
pub use reader::Reader;
pub use snapshot::{Entries, Entry, Snapshot};
pub use sys::boot_ms;
