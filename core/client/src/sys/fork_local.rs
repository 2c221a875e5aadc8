//! One value per process, across forks.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::fork::Identity;

/// A value that belongs to the process that made it. A forked child finds none, makes its own, and never
/// touches or drops what it inherited.
///
/// No lock: a child may be forked while another thread of its parent is inside.
pub(crate) struct ForkLocal<T> {
    /// Null, or a leaked `Box` that is freed only by `drop` in the process that made it.
    cell: AtomicPtr<Cell<T>>,
}

struct Cell<T> {
    identity: Identity,
    value: T,
}

// SAFETY: `ForkLocal` hands out `&T` to any thread, and moves `T` between threads when it is dropped.
unsafe impl<T: Send + Sync> Sync for ForkLocal<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for ForkLocal<T> {}

impl<T> ForkLocal<T> {
    pub fn new() -> ForkLocal<T> {
        ForkLocal {
            cell: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// This process's value, if it has one.
    pub fn get(&self) -> Option<&T> {
        let cell = self.load()?;
        (cell.identity == Identity::current()).then_some(&cell.value)
    }

    /// This process's value, made now if need be. Two threads may both make one; one of them is dropped.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let identity = Identity::current();
        let seen = self.cell.load(Ordering::Acquire);
        let made = Box::into_raw(Box::new(Cell {
            identity,
            value: make()?,
        }));
        match self
            .cell
            .compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire)
        {
            // What was there belongs to the parent process: leaked on purpose.
            // SAFETY: `made` is a valid cell that now lives as long as `self`.
            Ok(_) => Ok(unsafe { &(*made).value }),
            Err(winner) => {
                // SAFETY: `made` came from `Box::into_raw` and nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: as in `load`. Another thread of this process stored it a moment ago.
                Ok(unsafe { &(*winner).value })
            }
        }
    }

    fn load(&self) -> Option<&Cell<T>> {
        // SAFETY: null or a cell, which is freed only when `self` is dropped.
        unsafe { self.cell.load(Ordering::Acquire).as_ref() }
    }
}

impl<T> Drop for ForkLocal<T> {
    fn drop(&mut self) {
        if self.get().is_some() {
            // SAFETY: made by this process with `Box::into_raw`; `&mut self` proves that no borrow is left.
            drop(unsafe { Box::from_raw(*self.cell.get_mut()) });
        }
    }
}

impl<T> std::fmt::Debug for ForkLocal<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForkLocal")
            .field("made", &self.get().is_some())
            .finish()
    }
}
