//! Transactions.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cfgstore_client::Txn;
use cfgstore_server::embedded::Store;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::argument::Key;
use crate::errors::IntoPython;
use crate::held::Held;
use crate::value;

/// Conditions and writes that happen all in one revision, or not at all; Client.transaction() begins one. Each step
/// returns the transaction, so that steps can be chained. Nothing is sent before commit().
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Transaction {
    store: Held<Store>,
    txn: Mutex<Txn>,
}

impl Transaction {
    pub fn new(store: Store) -> Transaction {
        Transaction {
            store: Held::new(store),
            txn: Mutex::default(),
        }
    }

    fn add(slf: Py<Self>, step: impl FnOnce(Txn) -> Txn) -> Py<Self> {
        {
            let mut txn = slf.get().txn.lock().unwrap_or_else(PoisonError::into_inner);
            *txn = step(std::mem::take(&mut *txn));
        }
        slf
    }
}

#[pymethods]
impl Transaction {
    /// Only if the key's last change was in this revision; 0: only if it does not exist.
    fn if_revision(slf: Py<Self>, key: Key, revision: i64) -> Py<Self> {
        Transaction::add(slf, |txn| txn.if_revision(key.0, revision))
    }

    /// Only if the key exists.
    fn if_exists(slf: Py<Self>, key: Key) -> Py<Self> {
        Transaction::add(slf, |txn| txn.if_exists(key.0))
    }

    /// Only if the key does not exist.
    fn if_absent(slf: Py<Self>, key: Key) -> Py<Self> {
        Transaction::add(slf, |txn| txn.if_absent(key.0))
    }

    /// Writes a value, as JSON.
    fn put(slf: Py<Self>, key: Key, value: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let encoded = value::encode(value)?;
        Ok(Transaction::add(slf, |txn| txn.put(key.0, encoded)))
    }

    /// Writes bytes as they are.
    fn put_bytes(slf: Py<Self>, key: Key, value: PyBackedBytes) -> Py<Self> {
        Transaction::add(slf, |txn| txn.put(key.0, Bytes::copy_from_slice(&value)))
    }

    /// Deletes a key, if it exists.
    fn delete(slf: Py<Self>, key: Key) -> Py<Self> {
        Transaction::add(slf, |txn| txn.delete(key.0))
    }

    /// Commits, and returns the revision of the writes. Conflict if a condition does not hold: nothing was written then.
    fn commit(&self, py: Python<'_>) -> PyResult<i64> {
        let txn = self.txn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(py
            .detach(|| self.store.client().txn(txn))
            .into_python(py)?
            .revision)
    }
}
