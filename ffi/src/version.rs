//! The version of the library.

use std::ffi::{CStr, c_char};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => unreachable!(),
};

/// Version of the library, for example "0.1.0". NUL-terminated; lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The same as one number: major * 10000 + minor * 100 + patch.
#[unsafe(no_mangle)]
pub extern "C" fn cfgstore_version_number() -> i32 {
    const PARTS: [&str; 3] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    PARTS
        .iter()
        .fold(0, |number, part| number * 100 + part.parse::<i32>().unwrap_or(0))
}
