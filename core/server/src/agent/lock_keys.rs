//! The keys of held locks, and who wants to know when one is gone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

/// Keys of locks that this agent keeps, as the watch behind the mirror sees them. Bounded by the locks held.
#[derive(Debug, Default)]
pub(super) struct LockKeys {
    waiting: Mutex<HashMap<Bytes, oneshot::Sender<()>>>,
}

impl LockKeys {
    /// Resolves when the key is deleted. Deletions from now on count; an earlier one the caller must look for.
    pub fn deletion(&self, key: Bytes) -> impl Future<Output = ()> + use<> {
        let (sender, deleted) = oneshot::channel();
        let mut waiting = self.lock();
        // Those of locks that have ended otherwise.
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.insert(key, sender);
        async move {
            if deleted.await.is_err() {
                // Replaced by a later wait for the same key.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The watch saw this key deleted.
    pub fn deleted(&self, key: &[u8]) {
        if let Some(sender) = self.lock().remove(key) {
            // An error means that nobody waits any more.
            let _ = sender.send(());
        }
    }

    /// The watch has missed changes: whatever `exists` does not know is gone.
    pub fn keep_only(&self, exists: impl Fn(&[u8]) -> bool) {
        let gone: Vec<Bytes> = {
            let waiting = self.lock();
            waiting.keys().filter(|key| !exists(key)).cloned().collect()
        };
        gone.iter().for_each(|key| self.deleted(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn each_deletion_is_told_once() {
        let keys = LockKeys::default();
        let (a, b) = (keys.deletion("a".into()), keys.deletion("b".into()));
        keys.deleted(b"c");
        keys.deleted(b"a");
        let (mut a, mut b) = (Box::pin(a), Box::pin(b));
        assert!(a.as_mut().now_or_never().is_some());
        assert!(b.as_mut().now_or_never().is_none());
        keys.keep_only(|key| key == b"b");
        assert!(b.as_mut().now_or_never().is_none());
        keys.keep_only(|_| false);
        assert!(b.as_mut().now_or_never().is_some());
    }

    #[test]
    fn waits_that_were_dropped_leave_nothing() {
        let keys = LockKeys::default();
        for i in 0..100_u32 {
            drop(keys.deletion(i.to_string().into()));
        }
        assert_eq!(keys.lock().len(), 1);
    }
}
