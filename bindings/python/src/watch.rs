//! Watches.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cfgstore_client::{Change as ClientChange, ChangeKind, blocking};
use cfgstore_server::embedded::Store;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::argument::Seconds;
use crate::errors::{IntoPython, invalid, raised};
use crate::held::Held;
use crate::value;

/// Longest wait between two looks, so that a timeout fits into poll(2).
const LONGEST_POLL: Duration = Duration::from_secs(24 * 3600);

/// A watch: every change of the watched keys, in order, each once. Iterate over it; a with statement closes it.
/// Threads that share one each get part of the changes.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Watch {
    /// How long an iteration waits for a change.
    timeout: Option<Duration>,
    open: Mutex<Option<Held<Open>>>,
}

struct Open {
    watch: blocking::Watch,
    /// Changes of a revision of which some have been handed out.
    rest: VecDeque<ClientChange>,
    _store: Store,
}

impl Open {
    /// A change that is there already.
    fn take(&mut self) -> cfgstore_client::Result<Option<ClientChange>> {
        if self.rest.is_empty()
            && let Some(batch) = self.watch.next(Some(Duration::ZERO))?
        {
            self.rest.extend(batch.changes);
        }
        Ok(self.rest.pop_front())
    }

    fn fd(&mut self) -> cfgstore_client::Result<i32> {
        Ok(self.watch.fd()?.as_raw_fd())
    }
}

impl Watch {
    pub fn new(store: Store, watch: blocking::Watch, timeout: Option<Duration>) -> Watch {
        let open = Open {
            watch,
            rest: VecDeque::new(),
            _store: store,
        };
        Watch {
            timeout,
            open: Mutex::new(Some(Held::new(open))),
        }
    }

    /// Runs a step that neither waits nor calls Python, which could let a thread in that waits for the same watch.
    fn step<T>(
        &self,
        py: Python<'_>,
        step: impl FnOnce(&mut Open) -> cfgstore_client::Result<T>,
    ) -> PyResult<T> {
        let done = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.as_mut().map(|open| step(open))
        };
        done.ok_or_else(|| invalid(py, "the watch is closed"))?
            .into_python(py)
    }

    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Change>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(change) = self.step(py, Open::take)? {
                return Ok(Some(Change { change }));
            }
            let left = deadline.map_or(LONGEST_POLL, |deadline| {
                deadline
                    .saturating_duration_since(Instant::now())
                    .min(LONGEST_POLL)
            });
            if left.is_zero() && deadline.is_some() {
                return Ok(None);
            }
            wait_readable(py, self.step(py, Open::fd)?, left)?;
        }
    }
}

/// Waits as Python does: other threads run, and a signal's handler may raise, so that Ctrl-C ends it.
fn wait_readable(py: Python<'_>, fd: i32, at_most: Duration) -> PyResult<()> {
    let poll = py.import("select")?.call_method0("poll")?;
    // 1 is POLLIN. Rounded up, or the last millisecond would be spent spinning.
    poll.call_method1("register", (fd, 1))?;
    poll.call_method1("poll", (at_most.as_nanos().div_ceil(1_000_000) as u64,))?;
    Ok(())
}

#[pymethods]
impl Watch {
    /// The next change; None if there is none within timeout seconds. None as the timeout waits for ever, 0 not at all.
    ///
    /// Compacted: changes were missed, since their history is gone; read the current state and watch anew.
    /// Unavailable: no server was ever reached; the next call tries again.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<Option<Change>> {
        self.wait(py, timeout.map(|timeout| timeout.0))
    }

    /// A descriptor for select() or an event loop: when it is readable, call next(0) until it returns None. It belongs
    /// to the watch. In a forked child, ask again.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.step(py, Open::fd)
    }

    /// Ends the watch; closing it twice is fine. Not while another thread waits in it.
    fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(open);
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Change>> {
        self.wait(py, self.timeout)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.close();
    }
}

/// One change of one key.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Change {
    change: ClientChange,
}

#[pymethods]
impl Change {
    /// "put" or "delete".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.change.kind {
            ChangeKind::Put => "put",
            ChangeKind::Delete => "delete",
        }
    }

    /// The key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        value::key(py, &self.change.key)
    }

    /// The new value, decoded; None for a delete. Sealed if it can't be opened.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(error) = &self.change.unopened {
            return Err(raised(py, error));
        }
        match self.change.kind {
            ChangeKind::Put => value::decode(py, &self.change.value).map(Some),
            ChangeKind::Delete => Ok(None),
        }
    }

    /// The new value as bytes; empty for a delete, and as it is stored if it is sealed and can't be opened.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.change.value)
    }

    /// Revision of the change. Changes of one transaction share theirs.
    #[getter]
    fn revision(&self) -> i64 {
        self.change.revision
    }

    /// Number of changes since the key was created; 0 for a delete.
    #[getter]
    fn version(&self) -> i64 {
        self.change.version
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let key = value::key(py, &self.change.key)?.repr()?;
        let (kind, revision) = (self.kind(), self.change.revision);
        Ok(format!(
            "<cfgstore.Change: {kind} of {} in revision {revision}>",
            key.to_string_lossy()
        ))
    }
}
