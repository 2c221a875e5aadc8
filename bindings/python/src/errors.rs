//! The exceptions: one class for each kind of failure that the client core knows.

use std::fmt;

use cfgstore_client::{Error, ErrorKind};
use pyo3::exceptions::{PyException, PyKeyError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::value;

const BASE_DOC: &str = "What every failure of cfgstore is.\n\n\
    retryable: the same call may succeed later with nothing changed.\n\
    maybe_committed: the call was a write that may have happened, or may still happen; read before you write again. \
    Such a failure is never retryable.";

/// What the class of a kind says of itself.
fn doc(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "The key does not exist. Also a KeyError.",
        ErrorKind::Conflict => {
            "A key is not at the revision that was asked for. conflicts: a tuple of (key, wanted, current), where 0 \
             is a key that does not exist, and a wanted -1 one that does."
        }
        ErrorKind::InvalidArgument => {
            "The call makes no sense; making it again will not help. Also a ValueError."
        }
        ErrorKind::TooLarge => "A key, value or request is over a limit.",
        ErrorKind::Unavailable => "No server could be reached, or it cannot serve now.",
        ErrorKind::Timeout => "The time allowed passed first. Also a TimeoutError.",
        ErrorKind::Denied => "The caller may not do this.",
        ErrorKind::Compacted => "The history asked for is gone: read the current state and go on from there.",
        ErrorKind::LockLost => "The lock is no longer held: stop what it protects.",
        ErrorKind::Exhausted => "A quota, memory or disk is full.",
        ErrorKind::Corrupt => "Data is damaged.",
        ErrorKind::NotSynced => "The host has no copy of the configuration yet.",
        ErrorKind::Unsupported => "The other side, or this kind of address, cannot do this.",
        ErrorKind::Canceled => "The call was ended from outside before it was done.",
        ErrorKind::Internal => "A fault in cfgstore. Please report it.",
        ErrorKind::Sealed => "A sealed value can't be opened, or one that is to be sealed can't be.",
        ErrorKind::SchemaViolation => {
            "A value violates its schema. violations: a tuple of (key, path, message), the first ones; the path is a JSON \
             Pointer into the value."
        }
    }
}

/// A class of Python that code expects for the same failure elsewhere.
fn also(py: Python<'_>, kind: ErrorKind) -> Option<Bound<'_, PyType>> {
    match kind {
        ErrorKind::NotFound => Some(py.get_type::<PyKeyError>()),
        ErrorKind::InvalidArgument => Some(py.get_type::<PyValueError>()),
        ErrorKind::Timeout => Some(py.get_type::<PyTimeoutError>()),
        _ => None,
    }
}

struct Classes {
    base: Py<PyType>,
    /// In the order of [`ErrorKind::ALL`].
    of_kind: Vec<Py<PyType>>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let members = PyDict::new(py);
        members.set_item("retryable", false)?;
        members.set_item("maybe_committed", false)?;
        let exception = py.get_type::<PyException>();
        // KeyError shows its argument quoted; a message is for people.
        members.set_item("__str__", exception.getattr("__str__")?)?;
        let base = make(py, "Error", BASE_DOC, PyTuple::new(py, [exception])?, members)?;
        let mut of_kind = Vec::new();
        for kind in ErrorKind::ALL {
            let bases: Vec<_> = [Some(base.clone()), also(py, kind)]
                .into_iter()
                .flatten()
                .collect();
            let bases = PyTuple::new(py, bases)?;
            let members = PyDict::new(py);
            if kind == ErrorKind::Conflict {
                members.set_item("conflicts", PyTuple::empty(py))?;
            }
            if kind == ErrorKind::SchemaViolation {
                members.set_item("violations", PyTuple::empty(py))?;
            }
            of_kind.push(make(py, kind.name(), doc(kind), bases, members)?.unbind());
        }
        Ok(Classes {
            base: base.unbind(),
            of_kind,
        })
    })
}

fn make<'py>(
    py: Python<'py>,
    name: &str,
    doc: &str,
    bases: Bound<'py, PyTuple>,
    members: Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyType>> {
    members.set_item("__doc__", doc)?;
    members.set_item("__module__", "cfgstore")?;
    Ok(py
        .get_type::<PyType>()
        .call1((name, bases, members))?
        .cast_into()?)
}

fn class_of(py: Python<'_>, kind: ErrorKind) -> PyResult<&Bound<'_, PyType>> {
    // Kinds are numbered from 1, in the order of `ALL`.
    Ok(classes(py)?.of_kind[kind as usize - 1].bind(py))
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("Error", classes(py)?.base.bind(py))?;
    ErrorKind::ALL
        .iter()
        .try_for_each(|kind| module.add(kind.name(), class_of(py, *kind)?))
}

/// The exception for a failure.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failed| failed)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let exception = class_of(py, error.kind)?.call1((&error.message,))?;
    exception.setattr("retryable", error.retryable())?;
    exception.setattr("maybe_committed", error.maybe_committed)?;
    if error.kind == ErrorKind::Conflict {
        let conflicts = error.conflicts.iter();
        let conflicts: Vec<_> = conflicts
            .map(|conflict| Ok((value::key(py, &conflict.key)?, conflict.wanted, conflict.current)))
            .collect::<PyResult<_>>()?;
        exception.setattr("conflicts", PyTuple::new(py, conflicts)?)?;
    }
    if error.kind == ErrorKind::SchemaViolation {
        let violations = error.violations.list.iter();
        let violations: Vec<_> = violations
            .map(|violation| {
                Ok((
                    value::key(py, &violation.key)?,
                    &violation.path,
                    &violation.message,
                ))
            })
            .collect::<PyResult<_>>()?;
        exception.setattr("violations", PyTuple::new(py, violations)?)?;
    }
    Ok(PyErr::from_value(exception))
}

/// The exception for a call that makes no sense.
pub(crate) fn invalid(py: Python<'_>, message: impl fmt::Display) -> PyErr {
    raised(py, &Error::new(ErrorKind::InvalidArgument, message.to_string()))
}

/// Failures of the client core, raised.
pub(crate) trait IntoPython<T> {
    fn into_python(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPython<T> for cfgstore_client::Result<T> {
    fn into_python(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
