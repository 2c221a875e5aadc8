//! Arguments as Python passes them.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::invalid;

/// A key, prefix or name: str, as UTF-8 with surrogate escapes undone, or bytes.
#[derive(Default)]
pub(crate) struct Key(pub Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Key {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Key> {
        if let Ok(text) = object.cast::<PyString>() {
            if let Ok(plain) = text.to_cow() {
                return Ok(Key(plain.into_owned().into_bytes()));
            }
            let encoded = text.call_method1("encode", ("utf-8", "surrogateescape"));
            let encoded =
                encoded.map_err(|error| invalid(object.py(), format_args!("the key is no text: {error}")))?;
            return Ok(Key(encoded.cast::<PyBytes>()?.as_bytes().to_vec()));
        }
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Key(bytes.as_bytes().to_vec())),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a key is str or bytes, not {}",
                object.get_type().name()?
            ))),
        }
    }
}

/// As good as for ever, and far from any overflow.
const LONGEST_SECS: f64 = 100.0 * 365.0 * 24.0 * 3600.0;

/// A time in seconds, not below 0. Infinity is one.
pub(crate) struct Seconds(pub Duration);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Seconds> {
        let seconds: f64 = object.extract()?;
        if seconds.is_nan() || seconds < 0.0 {
            let message = format_args!("{seconds} is no time in seconds; it must be 0 or more");
            return Err(invalid(object.py(), message));
        }
        Ok(Seconds(Duration::from_secs_f64(seconds.min(LONGEST_SECS))))
    }
}

/// What to return instead of raising; not given: raise.
pub(crate) enum Fallback {
    Raise,
    Value(Py<PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Fallback {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Fallback> {
        Ok(Fallback::Value(object.to_owned().unbind()))
    }
}
