//! What waits when it is dropped.

use std::ops::{Deref, DerefMut};

use pyo3::Python;

/// Something whose end may wait for a thread or a server. Other Python threads run meanwhile.
pub(crate) struct Held<T: Send>(Option<T>);

impl<T: Send> Held<T> {
    pub fn new(value: T) -> Held<T> {
        Held(Some(value))
    }
}

impl<T: Send> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("only `drop` takes it"),
        }
    }
}

impl<T: Send> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!("only `drop` takes it"),
        }
    }
}

impl<T: Send> Drop for Held<T> {
    fn drop(&mut self) {
        let mut value = self.0.take();
        // Where there is no interpreter any more, nobody waits for it.
        Python::try_attach(|py| py.detach(|| drop(value.take())));
    }
}
