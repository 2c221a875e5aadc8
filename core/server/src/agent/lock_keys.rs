//! The keys of held locks, and who wants to know when one is gone.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

/// Keys of locks that this agent keeps, as the watch behind the mirror sees them. Bounded by the locks held.
#[derive(Debug, Default)]
pub(super) struct LockKeys {
    waiting: Mutex<HashMap<Bytes, Wait>>,
}

#[derive(Debug)]
struct Wait {
    /// The revision that made the key. What is known of earlier ones says nothing of it.
    token: i64,
    deleted: oneshot::Sender<()>,
}

impl LockKeys {
    /// Resolves when the key, made at revision `token`, is deleted. Deletions from now on count; an earlier one the caller
    /// must look for.
    pub fn deletion(&self, key: Bytes, token: i64) -> impl Future<Output = ()> + use<> {
        let (sender, deleted) = oneshot::channel();
        let mut waiting = self.lock();
        // Those of locks that have ended otherwise.
        waiting.retain(|_, wait| !wait.deleted.is_closed());
        waiting.insert(
            key,
            Wait {
                token,
                deleted: sender,
            },
        );
        async move {
            if deleted.await.is_err() {
                // Replaced by a later wait for the same key.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The watch saw this key deleted at `revision`.
    pub fn deleted(&self, key: &[u8], revision: i64) {
        let mut waiting = self.lock();
        if waiting.get(key).is_some_and(|wait| wait.token <= revision)
            && let Some(wait) = waiting.remove(key)
        {
            // An error means that nobody waits any more.
            let _ = wait.deleted.send(());
        }
    }

    /// The keys that are waited for now.
    pub fn held(&self) -> HashSet<Bytes> {
        self.lock().keys().cloned().collect()
    }

    /// The watch has missed changes, and a copy at `revision` was read: of the keys that it must have, those that `exists`
    /// does not know are gone. It must have those made by then, and whatever was held before the reading began: a
    /// store that was restored from a backup may be at a revision before a lost lock's. A lock taken while the copy was read
    /// may be newer than it; the watch that follows tells of its end.
    pub fn keep_only(&self, revision: i64, held_before: &HashSet<Bytes>, exists: impl Fn(&[u8]) -> bool) {
        let must_exist = |key: &Bytes, wait: &Wait| wait.token <= revision || held_before.contains(key);
        let gone = |key: &Bytes, wait: &mut Wait| must_exist(key, wait) && !exists(key);
        for (_, wait) in self.lock().extract_if(gone) {
            // An error means that nobody waits any more.
            let _ = wait.deleted.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Wait>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Deletion = Pin<Box<dyn Future<Output = ()>>>;

    fn is_told(deletion: &mut Deletion) -> bool {
        deletion.as_mut().now_or_never().is_some()
    }

    #[test]
    fn each_deletion_is_told_once() {
        let keys = LockKeys::default();
        let mut a: Deletion = Box::pin(keys.deletion("a".into(), 5));
        let mut b: Deletion = Box::pin(keys.deletion("b".into(), 6));
        keys.deleted(b"c", 7);
        keys.deleted(b"a", 7);
        assert!(is_told(&mut a));
        assert!(!is_told(&mut b));
        let none = HashSet::new();
        keys.keep_only(8, &none, |key| key == b"b");
        assert!(!is_told(&mut b));
        keys.keep_only(8, &none, |_| false);
        assert!(is_told(&mut b));
    }

    #[test]
    fn what_is_older_than_a_key_says_nothing_of_it() {
        let keys = LockKeys::default();
        let mut a: Deletion = Box::pin(keys.deletion("a".into(), 5));
        keys.deleted(b"a", 4);
        keys.keep_only(4, &HashSet::new(), |_| false);
        assert!(!is_told(&mut a));
        keys.keep_only(5, &HashSet::new(), |_| false);
        assert!(is_told(&mut a));
    }

    #[test]
    fn a_copy_counts_for_what_was_held_before_it_was_read() {
        let keys = LockKeys::default();
        let mut a: Deletion = Box::pin(keys.deletion("a".into(), 5));
        let held = keys.held();
        let mut b: Deletion = Box::pin(keys.deletion("b".into(), 6));
        keys.keep_only(2, &held, |_| false);
        assert!(is_told(&mut a));
        assert!(!is_told(&mut b));
    }

    #[test]
    fn waits_that_were_dropped_leave_nothing() {
        let keys = LockKeys::default();
        for i in 0..100_u32 {
            drop(keys.deletion(i.to_string().into(), 1));
        }
        assert_eq!(keys.lock().len(), 1);
    }
}
