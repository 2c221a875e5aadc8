//! Keys and values between Python and bytes.

use bytes::Bytes;
use cfgstore_client::{Error, ErrorKind};
use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::errors::{invalid, raised};

/// A key as Python sees it: str, with surrogate escapes for what is not UTF-8.
pub(crate) fn key<'py>(py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(key) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => {
            let decoded = PyBytes::new(py, key).call_method1("decode", ("utf-8", "surrogateescape"))?;
            Ok(decoded.cast_into()?)
        }
    }
}

/// A value as JSON.
pub(crate) fn encode(value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let py = value.py();
    let json = encoder(py)?
        .call1((value,))
        .and_then(|text| Ok(text.cast_into::<PyString>()?));
    let json = json.and_then(|text| Ok(Bytes::copy_from_slice(text.to_cow()?.as_bytes())));
    json.map_err(|cause| {
        let advice = if value.is_instance_of::<PyBytes>() {
            "; put_bytes() writes bytes"
        } else {
            ""
        };
        let what = cause.value(py).to_string();
        let error = invalid(
            py,
            format_args!("the value cannot be written as JSON: {what}{advice}"),
        );
        error.set_cause(py, Some(cause));
        error
    })
}

/// A value out of JSON; what is not JSON as str, and what is not UTF-8 as bytes.
pub(crate) fn decode<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let Ok(text) = std::str::from_utf8(value) else {
        return Ok(PyBytes::new(py, value).into_any());
    };
    let text = PyString::new(py, text);
    match decoder(py)?.call1((&text,)) {
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(text.into_any()),
        Err(error) if error.is_instance_of::<PyRecursionError>(py) => {
            let message = "the value is JSON nested too deeply for Python; get_bytes() reads it as it is";
            Err(raised(py, &Error::new(ErrorKind::TooLarge, message)))
        }
        decoded => decoded,
    }
}

fn encoder(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let encode = ENCODE.get_or_try_init(py, || {
        let settings = PyDict::new(py);
        settings.set_item("ensure_ascii", false)?;
        settings.set_item("allow_nan", false)?;
        settings.set_item("separators", (",", ":"))?;
        let encoder = py
            .import("json")?
            .getattr("JSONEncoder")?
            .call((), Some(&settings))?;
        Ok::<_, PyErr>(encoder.getattr("encode")?.unbind())
    })?;
    Ok(encode.bind(py))
}

fn decoder(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static DECODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let decode = DECODE.get_or_try_init(py, || {
        let settings = PyDict::new(py);
        // NaN and Infinity are not JSON, whatever Python's decoder thinks: int() of them is a ValueError.
        settings.set_item("parse_constant", py.get_type::<pyo3::types::PyInt>())?;
        let decoder = py
            .import("json")?
            .getattr("JSONDecoder")?
            .call((), Some(&settings))?;
        Ok::<_, PyErr>(decoder.getattr("decode")?.unbind())
    })?;
    Ok(decode.bind(py))
}
