//! The C ABI of cfgstore. `include/cfgstore.h`, generated from this crate, is its specification; what the functions
//! here are documented to do is written for its readers.
//!
//! - `boundary` is where pointers become values, panics become statuses, and the only place with unsafe code;
//! - the other modules hold one handle each, with the functions on it.
//!
//! Names are those of C. Values that come in as enums are integers here, since C may pass any.

// The header's rules are the safety contract of every function.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

mod boundary;
mod error;
mod info;
mod lock;
mod options;
mod result;
mod status;
mod store;
mod txn;
mod version;
mod watch;

pub use error::*;
pub use info::*;
pub use lock::*;
pub use options::*;
pub use result::*;
pub use status::*;
pub use store::*;
pub use txn::*;
pub use version::*;
pub use watch::*;
