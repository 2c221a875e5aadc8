//! A client, and what reads hand out.

use std::sync::{Mutex, PoisonError};

use cfgstore_client::{
    DeleteOptions, Error, ErrorKind, KeyValue, LockOptions, PutOptions, Range, WatchOptions,
};
use cfgstore_server::embedded::Store;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::argument::{Fallback, Key, Seconds};
use crate::errors::{IntoPython, invalid, raised};
use crate::held::Held;
use crate::lock::Lock;
use crate::status::Status;
use crate::transaction::Transaction;
use crate::value;
use crate::watch::Watch;

/// A client of one store; cfgstore.open() makes one. Threads may share it, and a with statement closes it.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Client {
    /// Never locked while Python runs, which could let a thread in that waits for it.
    store: Mutex<Option<Held<Store>>>,
}

impl Client {
    pub fn new(store: Store) -> Client {
        Client {
            store: Mutex::new(Some(Held::new(store))),
        }
    }

    fn taken(&self) -> Option<Held<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn store(&self, py: Python<'_>) -> PyResult<Store> {
        let store = {
            let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.as_ref().map(|store| Store::clone(store))
        };
        store.ok_or_else(|| invalid(py, "the client is closed"))
    }

    /// Makes a call while other Python threads run.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&cfgstore_client::blocking::Client) -> cfgstore_client::Result<T> + Send,
    ) -> PyResult<T> {
        let store = self.store(py)?;
        // Dropped in there too: it may be the last one by now.
        py.detach(move || call(store.client())).into_python(py)
    }

    fn find(&self, py: Python<'_>, key: &Key) -> PyResult<Option<KeyValue>> {
        self.call(py, |client| client.get(&key.0))
    }

    fn found<'py>(
        &self,
        py: Python<'py>,
        key: &Key,
        fallback: Fallback,
        convert: impl FnOnce(&KeyValue) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match (self.find(py, key)?, fallback) {
            (Some(kv), _) => convert(&kv),
            (None, Fallback::Value(value)) => Ok(value.into_bound(py)),
            (None, Fallback::Raise) => Err(not_found(py, key)?),
        }
    }
}

#[pymethods]
impl Client {
    /// The decoded value of a key, as of now; of one that does not exist, default. Without a default, that is NotFound.
    #[pyo3(signature = (key, default=Fallback::Raise), text_signature = "($self, key, default=...)")]
    fn get<'py>(&self, py: Python<'py>, key: Key, default: Fallback) -> PyResult<Bound<'py, PyAny>> {
        self.found(py, &key, default, |kv| value::decode(py, &kv.value))
    }

    /// The value of a key as bytes; otherwise like get().
    #[pyo3(signature = (key, default=Fallback::Raise), text_signature = "($self, key, default=...)")]
    fn get_bytes<'py>(&self, py: Python<'py>, key: Key, default: Fallback) -> PyResult<Bound<'py, PyAny>> {
        self.found(py, &key, default, |kv| Ok(PyBytes::new(py, &kv.value).into_any()))
    }

    /// The key with its value and revisions, as an Entry. NotFound if it does not exist.
    fn entry(&self, py: Python<'_>, key: Key) -> PyResult<Entry> {
        match self.find(py, &key)? {
            Some(kv) => Ok(Entry { kv }),
            None => Err(not_found(py, &key)?),
        }
    }

    /// Whether the key exists.
    fn has(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        Ok(self.find(py, &key)?.is_some())
    }

    fn __contains__(&self, py: Python<'_>, key: Key) -> PyResult<bool> {
        self.has(py, key)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Key) -> PyResult<Bound<'py, PyAny>> {
        self.get(py, key, Fallback::Raise)
    }

    /// Every key that begins with prefix, with its decoded value, as a dict in ascending order; all read at one
    /// revision. Sealed if one of them can't be opened.
    #[pyo3(signature = (prefix=Key::default()), text_signature = "($self, prefix='')")]
    fn all<'py>(&self, py: Python<'py>, prefix: Key) -> PyResult<Bound<'py, PyDict>> {
        let found = self.call(py, |client| client.range(&Range::prefix(&prefix.0)))?;
        let all = PyDict::new(py);
        for kv in &found.kvs {
            if let Some(error) = &kv.unopened {
                return Err(raised(py, error));
            }
            all.set_item(value::key(py, &kv.key)?, value::decode(py, &kv.value)?)?;
        }
        Ok(all)
    }

    /// Writes a value, as JSON, and returns the new revision. When it returns, the value is durable.
    ///
    /// if_revision: write only if the key's last change was in this revision; 0: only if it does not exist. Conflict
    /// otherwise.
    #[pyo3(signature = (key, value, *, if_revision=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Key,
        value: &Bound<'_, PyAny>,
        if_revision: Option<i64>,
    ) -> PyResult<i64> {
        let encoded = value::encode(value)?;
        let options = PutOptions {
            if_revision,
            ..PutOptions::default()
        };
        self.call(py, |client| client.put(&key.0, encoded, &options))
    }

    /// Writes bytes as they are; otherwise like put().
    #[pyo3(signature = (key, value, *, if_revision=None))]
    fn put_bytes(
        &self,
        py: Python<'_>,
        key: Key,
        value: PyBackedBytes,
        if_revision: Option<i64>,
    ) -> PyResult<i64> {
        let options = PutOptions {
            if_revision,
            ..PutOptions::default()
        };
        self.call(py, |client| {
            client.put(&key.0, bytes::Bytes::copy_from_slice(&value), &options)
        })
    }

    /// Deletes a key, and returns whether it existed. if_revision is as in put().
    #[pyo3(signature = (key, *, if_revision=None))]
    fn delete(&self, py: Python<'_>, key: Key, if_revision: Option<i64>) -> PyResult<bool> {
        let options = DeleteOptions {
            if_revision,
            ..DeleteOptions::default()
        };
        Ok(self.call(py, |client| client.delete(&key.0, &options))?.deleted)
    }

    /// A transaction to fill and commit: all of its writes happen in one revision, or none does.
    fn transaction(&self, py: Python<'_>) -> PyResult<Transaction> {
        Ok(Transaction::new(self.store(py)?))
    }

    /// Watches every key that begins with prefix: each change, in order, once. Iterate over it, or call next().
    ///
    /// It begins with the first change after this call; or with from_revision, even if that is past. The iteration
    /// ends when no change came for timeout seconds; None, the default, waits for ever. It reconnects by itself.
    #[pyo3(
        signature = (prefix=Key::default(), *, from_revision=None, timeout=None),
        text_signature = "($self, prefix='', *, from_revision=None, timeout=None)"
    )]
    fn watch(
        &self,
        py: Python<'_>,
        prefix: Key,
        from_revision: Option<i64>,
        timeout: Option<Seconds>,
    ) -> PyResult<Watch> {
        let from_revision = match from_revision {
            Some(given) => given,
            None => self.revision(py)? + 1,
        };
        let options = WatchOptions::prefix(&prefix.0).from_revision(from_revision);
        let watch = self.call(py, |client| client.watch(options))?;
        Ok(Watch::new(
            self.store(py)?,
            watch,
            timeout.map(|timeout| timeout.0),
        ))
    }

    /// Takes the lock name and returns it held; a with statement releases it.
    ///
    /// ttl: seconds for which it outlives a holder that dies without a word. wait: seconds to wait while another has
    /// it; then Timeout.
    #[pyo3(
        signature = (name, *, ttl=Seconds(LockOptions::default().ttl), wait=Seconds(LockOptions::default().wait)),
        text_signature = "($self, name, *, ttl=10.0, wait=0.0)"
    )]
    fn lock(&self, py: Python<'_>, name: Key, ttl: Seconds, wait: Seconds) -> PyResult<Lock> {
        Lock::acquire(
            py,
            self.store(py)?,
            name.0,
            LockOptions {
                ttl: ttl.0,
                wait: wait.0,
            },
        )
    }

    /// The revision of the store now. A later change has a greater one.
    fn revision(&self, py: Python<'_>) -> PyResult<i64> {
        // Reading any key tells it; one that is never there costs the least.
        Ok(self
            .call(py, |client| client.range(&Range::key(b"\0").keys_only()))?
            .revision)
    }

    /// What the server says of itself, as a Status.
    fn status(&self, py: Python<'_>) -> PyResult<Status> {
        Ok(Status::new(self.call(py, |client| client.status())?))
    }

    /// Closes the client; closing it twice is fine. Its watches and locks go on, and keep a member in this process
    /// alive, until they are closed.
    fn close(&self) {
        drop(self.taken());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.close();
    }
}

fn not_found(py: Python<'_>, key: &Key) -> PyResult<PyErr> {
    let shown = value::key(py, &key.0)?.repr()?;
    Ok(raised(
        py,
        &Error::new(
            ErrorKind::NotFound,
            format!("key {} does not exist", shown.to_string_lossy()),
        ),
    ))
}

/// A key with its value and revisions.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Entry {
    kv: KeyValue,
}

#[pymethods]
impl Entry {
    /// The key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        value::key(py, &self.kv.key)
    }

    /// The decoded value; each time it is asked for, a new one.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::decode(py, &self.kv.value)
    }

    /// The value as bytes.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.kv.value)
    }

    /// Revision of the last change.
    #[getter]
    fn revision(&self) -> i64 {
        self.kv.mod_revision
    }

    /// Revision in which the key was created.
    #[getter]
    fn create_revision(&self) -> i64 {
        self.kv.create_revision
    }

    /// Number of changes since it was created; 1 for a new key.
    #[getter]
    fn version(&self) -> i64 {
        self.kv.version
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let key = value::key(py, &self.kv.key)?.repr()?;
        Ok(format!(
            "<cfgstore.Entry {} at revision {}>",
            key.to_string_lossy(),
            self.kv.mod_revision
        ))
    }
}
