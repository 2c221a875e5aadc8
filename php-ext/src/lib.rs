//! The PHP extension of cfgstore.
//!
//! Two parts with one rule between them:
//!
//! - `c/` is all that touches the PHP engine: classes, arguments, values, settings, the cycle of a request. It follows the
//!   engine's own conventions, and it holds no Rust object across a call that can enter the engine except in a PHP
//!   object's or the module's own memory.
//! - `src/` is all that touches the world outside: the mirror and the network. It never calls the engine.
//!
//! So the engine's `longjmp` (a fatal error, `memory_limit`, `exit`) never crosses a Rust frame, and a Rust panic never
//! crosses a C frame: every function of [`abi`] catches it. `c/cfgstore_core.h` is generated from [`abi`], and a test
//! fails when it is stale, so the two sides can't disagree about it.

pub mod abi;
mod changes;
mod error;
mod readiness;
mod source;

/// What PHP looks up when it loads the module.
///
/// A Rust `cdylib` exports only what Rust defines, so this hands on the C part's module entry.
#[cfg(not(test))]
#[unsafe(no_mangle)]
pub extern "C" fn get_module() -> *mut std::ffi::c_void {
    unsafe extern "C" {
        fn cfgstore_php_module() -> *mut std::ffi::c_void;
    }
    // SAFETY: the C part returns the address of its static module entry and does nothing else.
    unsafe { cfgstore_php_module() }
}
