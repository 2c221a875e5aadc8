//! Whole-system tests of cfgstore: this library starts real processes (cfgstored, php, php-fpm behind nginx) in fresh
//! folders on loopback and free ports, and ends them with the test. The tests themselves are in `tests/`.
//!
//! They run what `scripts/build.sh` left in `build/` (another folder: `CFGSTORE_BUILD_DIR`).

mod fpm;
mod host;
mod http;
mod process;

pub use fpm::{Fpm, FpmOptions};
pub use host::Host;
pub use http::{HttpConnection, HttpResponse};
pub use process::{Process, descriptors, is_root, mappings, monotonic_ns, processes_matching, wait_until};
