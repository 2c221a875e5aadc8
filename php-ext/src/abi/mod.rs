//! The functions by which the C part calls. All the crate's `unsafe` that faces C is below this module.
//!
//! Rules that hold for each: pointers are valid for the call; handles come from the matching `open` or `new` and are used by
//! one thread at a time; a function that answers `false`, or a negative number, has filled `error`; no panic gets out.

pub mod blame;
pub mod difference;
pub mod history;
pub mod keyring;
mod lent;
pub mod lock;
pub mod notifications;
pub mod retention;
mod schema;
pub mod source;
pub mod transaction;
pub mod types;
pub mod watch;
pub mod write;
