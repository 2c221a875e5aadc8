//! The write-ahead log: segment files of frames, each one group commit. `docs/wal-format.md` describes the bytes.
//!
//! * [`mod@format`]: bytes, no I/O.
//! * [`log`]: the synchronous log: commit, rotate, purge.
//! * [`recover`]: what a start finds on disk, what it repairs and what it refuses.
//! * [`index`]: where entries lie, reading them back.
//! * [`writer`]: the one thread that writes; [`janitor`]: the one that prepares and removes files.
//!
//! This module knows neither Raft's nor the state machine's types.

pub(crate) mod format;
pub(crate) mod index;
mod janitor;
pub(crate) mod log;
pub(crate) mod recover;
pub(crate) mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod recover_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod writer_tests;
