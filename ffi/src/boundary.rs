//! Where C's pointers become Rust's values and back: the only unsafe code of this crate.
//!
//! The rule behind every block here: these functions are called only with arguments of an extern function,
//! unchanged, and the header obliges its caller to pass pointers that are NULL or valid for what the header says,
//! for as long as the call lasts. The extern functions are `unsafe` for that reason.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use cfgstore_client::{Error, ErrorKind, Result};

use crate::error::cfgstore_error_t;
use crate::status::cfgstore_status_t;

/// Runs the body of a function that changes nothing in the store: no panic gets out, and a failure gets its status
/// and message.
pub(crate) fn reading(error: *mut cfgstore_error_t, body: impl FnOnce() -> Result<()>) -> cfgstore_status_t {
    finish(error, caught(body, false))
}

/// The same for a write: if it panics, nobody knows how far it came.
pub(crate) fn writing(error: *mut cfgstore_error_t, body: impl FnOnce() -> Result<()>) -> cfgstore_status_t {
    finish(error, caught(body, true))
}

/// Runs the body of a function that cannot fail; after a panic, its value is `otherwise`.
pub(crate) fn unfailing<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    // What a panic leaves behind is never looked at: the handle's own state is guarded by the client.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

fn caught(body: impl FnOnce() -> Result<()>, is_write: bool) -> Result<()> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = format!("a fault in cfgstore, please report it: {}", words_of(&*panic));
        Err(Error {
            maybe_committed: is_write,
            ..Error::new(ErrorKind::Internal, message)
        })
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

fn finish(error: *mut cfgstore_error_t, result: Result<()>) -> cfgstore_status_t {
    match result {
        Ok(()) => cfgstore_status_t::CFGSTORE_OK,
        Err(failure) => {
            set(error, cfgstore_error_t::of(&failure));
            cfgstore_status_t::of(&failure)
        }
    }
}

/// Writes an optional out-parameter.
pub(crate) fn set<T: Copy>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not NULL, so by the rule above valid and aligned for a write; `T: Copy`, so nothing is leaked.
        unsafe { to.write(value) };
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// The `length` bytes at `pointer`; NULL is fine for none. `limit` is checked before anything is touched.
pub(crate) fn bytes<'a>(pointer: *const c_void, length: usize, limit: usize, name: &str) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(invalid(format!("{name} is NULL, but its length is {length}")));
    }
    if length > limit {
        let message = format!("{name} has {length} bytes; at most {limit} are possible");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    // SAFETY: not NULL, so by the rule above readable for `length` bytes, which is below isize::MAX, while the
    // call lasts; callers copy what they keep.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// As [`bytes`], for what must be text.
pub(crate) fn text<'a>(pointer: *const c_char, length: usize, limit: usize, name: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes(pointer.cast(), length, limit, name)?)
        .map_err(|error| invalid(format!("{name} is not UTF-8: {error}")))
}

/// What a handle points to.
pub(crate) fn handle<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: by the rule above NULL or a handle made by `Out::give` that is not freed while the call lasts.
    unsafe { pointer.as_ref() }.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// What a pointer that may be NULL points to.
pub(crate) fn optional<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: as in `handle`.
    unsafe { pointer.as_ref() }
}

/// Takes a handle back from the caller, to be dropped.
pub(crate) fn take<T>(pointer: *mut T) -> Option<Box<T>> {
    // SAFETY: by the rule above NULL or made by `Out::give`, and given up by the caller with this call.
    (!pointer.is_null()).then(|| unsafe { Box::from_raw(pointer) })
}

/// Where a function hands out a new object.
pub(crate) struct Out<T>(NonNull<*mut T>);

/// The out-parameter at `to`. It is NULL from now on until something is given, so make it before anything fails.
pub(crate) fn out<T>(to: *mut *mut T, name: &str) -> Result<Out<T>> {
    set(to, std::ptr::null_mut());
    NonNull::new(to)
        .map(Out)
        .ok_or_else(|| invalid(format!("{name} is NULL; it is where the result goes")))
}

impl<T> Out<T> {
    /// Gives the object to the caller, who owns it until it comes back through [`take`].
    pub fn give(self, object: T) {
        set(self.0.as_ptr(), Box::into_raw(Box::new(object)));
    }
}

/// A copy of a struct of options whose first field is its size in bytes, as the caller was compiled with it.
///
/// Fields that a caller of an older version does not have are zero. Fields that this version does not know must be
/// zero. `T` must be made of integers and pointers only, so that zeros are a value of it.
pub(crate) fn sized_struct<T: PlainOptions>(pointer: *const T, name: &str) -> Result<Option<T>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so by the rule above it points to such a struct, which begins with its size.
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < T::FIRST_SIZE || size > LARGEST_OPTIONS || size % align_of::<T>() != 0 {
        return Err(invalid(format!(
            "{name}->size is {size}, which no version of the struct has; set it to sizeof, best with the _INIT macro"
        )));
    }
    // SAFETY: the caller's struct is `size` bytes long by its own word, and at most LARGEST_OPTIONS.
    let given = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    let known = size.min(size_of::<T>());
    if given[known..].iter().any(|&byte| byte != 0) {
        let message =
            format!("{name} sets an option that this version of the library ({size} bytes) does not know");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let mut copy = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: both are valid for `known` bytes and apart; zeros and then the caller's integers and pointers are a
    // value of a `PlainOptions`.
    Ok(Some(unsafe {
        std::ptr::copy_nonoverlapping(given.as_ptr(), copy.as_mut_ptr().cast(), known);
        copy.assume_init()
    }))
}

/// Structs of options in the header that begin with their size.
///
/// # Safety
/// `repr(C)`, a `usize` first, and only integers and raw pointers after it.
pub(crate) unsafe trait PlainOptions: Copy {
    /// Size in the first version that had it.
    const FIRST_SIZE: usize;
}

// SAFETY: `repr(C)`, `size: usize` first, integers and raw pointers after it.
unsafe impl PlainOptions for crate::options::cfgstore_options_t {
    const FIRST_SIZE: usize = crate::options::FIRST_SIZE;
}

/// More than any version will have; a size above it was never set.
const LARGEST_OPTIONS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        let mut error = std::mem::MaybeUninit::<cfgstore_error_t>::zeroed();
        let status = reading(error.as_mut_ptr(), || panic!("words {}", 7));
        assert_eq!(status, cfgstore_status_t::CFGSTORE_INTERNAL);
        // SAFETY: written by `reading`; zeros are a value of it anyway.
        let error = unsafe { error.assume_init() };
        let message: Vec<u8> = error
            .message
            .iter()
            .map(|&c| c as u8)
            .take_while(|&b| b != 0)
            .collect();
        assert!(String::from_utf8(message).unwrap().ends_with("words 7"));
        let status = writing(std::ptr::null_mut(), || panic!("x"));
        assert_eq!(status, cfgstore_status_t::CFGSTORE_INTERNAL_MAYBE_COMMITTED);
        assert_eq!(unfailing(5, || panic!("x")), 5);
    }
}
