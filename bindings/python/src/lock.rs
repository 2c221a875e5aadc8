//! Locks.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cfgstore_client::{Error, ErrorKind, LockOptions, blocking};
use cfgstore_server::embedded::Store;
use pyo3::prelude::*;

use crate::errors::IntoPython;
use crate::held::Held;

/// How soon a Ctrl-C ends the wait for a lock.
const LOOK_FOR_SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// A lock that is held; Client.lock() takes one. A with statement releases it. Kept alive by itself until it is
/// released, forgotten, or the process ends; in a forked child it is not held.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Lock {
    token: i64,
    /// Never locked while Python runs, which could let a thread in that waits for it.
    held: Mutex<Option<Held<Taken>>>,
}

struct Taken {
    lock: blocking::Lock,
    _store: Store,
}

impl Lock {
    pub fn acquire(py: Python<'_>, store: Store, name: Vec<u8>, options: LockOptions) -> PyResult<Lock> {
        let waits = !options.wait.is_zero();
        let take = move || {
            store
                .client()
                .lock(name, &options)
                .map(|lock| Taken { lock, _store: store })
        };
        let taken = if waits {
            interruptible(py, take)?
        } else {
            py.detach(take)
        };
        let taken = taken.into_python(py)?;
        Ok(Lock {
            token: taken.lock.token(),
            held: Mutex::new(Some(Held::new(taken))),
        })
    }
}

/// Makes a call on a thread, so that a signal's handler may raise here meanwhile. What the call then brings is dropped:
/// a lock that nobody waits for any more is freed.
fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    call: impl FnOnce() -> cfgstore_client::Result<T> + Send + 'static,
) -> PyResult<cfgstore_client::Result<T>> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("cfgstore-lock".to_owned())
        .spawn(move || sender.send(call()));
    if let Err(error) = thread {
        return Ok(Err(Error::new(
            ErrorKind::Exhausted,
            format!("cannot start a thread to wait on: {error}"),
        )));
    }
    // A `Receiver` is not for two threads, which `detach` cannot know it is not.
    let receiver = Mutex::new(receiver);
    loop {
        let received = py.detach(|| {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            receiver.recv_timeout(LOOK_FOR_SIGNALS_EVERY)
        });
        match received {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err(Error::new(
                    ErrorKind::Internal,
                    "the thread that waited for the lock is gone",
                )));
            }
        }
    }
}

#[pymethods]
impl Lock {
    /// The fencing token: greater than that of every earlier holder. Pass it to what the lock protects, which refuses
    /// smaller ones.
    #[getter]
    fn token(&self) -> i64 {
        self.token
    }

    /// Whether it is still held, as far as this side can know without asking the server.
    fn is_held(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().is_some_and(|taken| taken.lock.is_held())
    }

    /// Raises LockLost, with the reason, unless it is still held.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let checked = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.as_mut().map(|taken| taken.lock.check())
        };
        checked
            .unwrap_or_else(|| Err(Error::new(ErrorKind::LockLost, "the lock was released")))
            .into_python(py)
    }

    /// Frees it, and waits until it is free; releasing it twice is fine. LockLost if it was lost before, so that
    /// another may have had it meanwhile.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let taken = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some(mut taken) => py.detach(|| taken.lock.release()).into_python(py),
            None => Ok(()),
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self.release(py) {
            // What went wrong inside says more.
            Err(_) if !kind.is_none() => Ok(()),
            released => released,
        }
    }

    fn __repr__(&self) -> String {
        format!("<cfgstore.Lock with token {}>", self.token)
    }
}
