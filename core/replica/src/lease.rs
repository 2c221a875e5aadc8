//! Lease deadlines. They live on the leader only and are never replicated: after a restart or a change of leader, every
//! lease has its full time again. An expired lease is revoked by an ordinary command.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cfgstore_store::State;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Leases revoked in one go, so that a mass expiry leaves room for other writes.
const REVOKED_AT_ONCE: usize = 256;
/// How long after a failed revocation it is tried again.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    ttl_secs: i64,
    revoking: bool,
}

#[derive(Default)]
struct Deadlines {
    /// Set while this member is the leader.
    leading: bool,
    by_id: HashMap<i64, Deadline>,
    /// Earliest first. An element counts only if it is the lease's present deadline; others are leftovers.
    heap: BinaryHeap<Reverse<(Instant, i64)>>,
}

impl Deadlines {
    fn set(&mut self, id: i64, ttl_secs: i64, at: Instant) {
        self.by_id.insert(
            id,
            Deadline {
                at,
                ttl_secs,
                revoking: false,
            },
        );
        self.heap.push(Reverse((at, id)));
        // Renewals leave old elements behind; when they are the majority, start over.
        if self.heap.len() > 64 + 4 * self.by_id.len() {
            self.heap = self
                .by_id
                .iter()
                .map(|(id, deadline)| Reverse((deadline.at, *id)))
                .collect();
        }
    }
}

/// Keeps the deadlines. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Lessor {
    deadlines: Arc<Mutex<Deadlines>>,
    changed: Arc<Notify>,
}

fn after(ttl_secs: i64) -> Instant {
    // A century is as good as forever, and no overflow.
    let secs = u64::try_from(ttl_secs)
        .unwrap_or(0)
        .clamp(1, 100 * 365 * 24 * 3600);
    Instant::now() + Duration::from_secs(secs)
}

impl Lessor {
    fn lock(&self) -> MutexGuard<'_, Deadlines> {
        // Nothing panics halfway through a change of it.
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This member became the leader: every lease gets its full time. `state` is called under the lock, so that no grant
    /// or revocation is missed.
    pub(crate) fn start_leading(&self, state: impl FnOnce() -> Arc<State>) {
        let mut deadlines = self.lock();
        deadlines.leading = true;
        deadlines.by_id.clear();
        deadlines.heap.clear();
        for lease in state().leases() {
            deadlines.set(lease.id, lease.ttl_secs, after(lease.ttl_secs));
        }
        drop(deadlines);
        self.changed.notify_one();
    }

    /// Whether this member leads, so that it knows the deadlines.
    pub(crate) fn is_leading(&self) -> bool {
        self.lock().leading
    }

    /// This member is no longer the leader.
    pub(crate) fn stop_leading(&self) {
        *self.lock() = Deadlines::default();
    }

    /// A grant was applied.
    pub(crate) fn granted(&self, id: i64, ttl_secs: i64) {
        let mut deadlines = self.lock();
        if deadlines.leading {
            deadlines.set(id, ttl_secs, after(ttl_secs));
            drop(deadlines);
            self.changed.notify_one();
        }
    }

    /// A revocation was applied.
    pub(crate) fn revoked(&self, id: i64) {
        self.lock().by_id.remove(&id);
    }

    /// Gives a lease its full time again; its time to live, or `None` when it is unknown or already being revoked.
    pub(crate) fn renew(&self, id: i64) -> Option<i64> {
        let mut deadlines = self.lock();
        let deadline = *deadlines.by_id.get(&id).filter(|deadline| !deadline.revoking)?;
        deadlines.set(id, deadline.ttl_secs, after(deadline.ttl_secs));
        Some(deadline.ttl_secs)
    }

    /// Whole seconds left, rounded up; 0 for one that has expired and is being revoked.
    pub(crate) fn remaining_secs(&self, id: i64) -> Option<i64> {
        let deadline = *self.lock().by_id.get(&id)?;
        let left = deadline.at.saturating_duration_since(Instant::now());
        Some(left.as_millis().div_ceil(1000) as i64)
    }

    /// Waits until at least one lease has expired; returns those to be revoked now, which stay marked until
    /// [`Lessor::revoked`] or [`Lessor::retry`].
    pub(crate) async fn expired(&self) -> Vec<i64> {
        loop {
            let changed = self.changed.notified();
            let (due, next) = self.take_due(Instant::now());
            if !due.is_empty() {
                return due;
            }
            match next {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// The revocation could not be proposed; it is tried again soon.
    pub(crate) fn retry(&self, id: i64) {
        let mut deadlines = self.lock();
        if let Some(deadline) = deadlines.by_id.get(&id).copied() {
            let at = Instant::now() + RETRY;
            deadlines.by_id.insert(id, Deadline { at, ..deadline });
            deadlines.heap.push(Reverse((at, id)));
            drop(deadlines);
            self.changed.notify_one();
        }
    }

    fn take_due(&self, now: Instant) -> (Vec<i64>, Option<Instant>) {
        let mut deadlines = self.lock();
        let mut due = Vec::new();
        while let Some(Reverse((at, id))) = deadlines.heap.peek().copied() {
            let present = deadlines.by_id.get_mut(&id).filter(|deadline| deadline.at == at);
            let Some(deadline) = present else {
                deadlines.heap.pop();
                continue;
            };
            if at > now || due.len() == REVOKED_AT_ONCE {
                return (due, Some(at));
            }
            deadline.revoking = true;
            due.push(id);
            deadlines.heap.pop();
        }
        (due, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading() -> Lessor {
        let lessor = Lessor::default();
        lessor.start_leading(|| Arc::new(cfgstore_store::Store::new().state()));
        lessor
    }

    #[tokio::test(start_paused = true)]
    async fn leases_expire_in_order_and_renewal_moves_them() {
        let lessor = leading();
        lessor.granted(1, 10);
        lessor.granted(2, 5);
        assert_eq!(lessor.remaining_secs(1), Some(10));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(lessor.renew(2), Some(5));
        assert_eq!(lessor.renew(3), None);
        let started = Instant::now();
        assert_eq!(lessor.expired().await, [2]);
        assert!(started.elapsed() >= Duration::from_secs(5));
        assert_eq!(lessor.renew(2), None, "it is being revoked");
        assert_eq!(lessor.remaining_secs(2), Some(0));
        lessor.revoked(2);
        assert_eq!(lessor.remaining_secs(2), None);
        assert_eq!(lessor.expired().await, [1]);
        lessor.retry(1);
        assert_eq!(lessor.expired().await, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_expiry_notices_an_earlier_lease() {
        let lessor = leading();
        lessor.granted(1, 1000);
        let waiting = tokio::spawn({
            let lessor = lessor.clone();
            async move { lessor.expired().await }
        });
        tokio::task::yield_now().await;
        lessor.granted(2, 1);
        assert_eq!(waiting.await.unwrap(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_leader_keeps_deadlines() {
        let lessor = leading();
        lessor.granted(1, 10);
        lessor.stop_leading();
        assert_eq!(lessor.renew(1), None);
        lessor.granted(2, 10);
        assert_eq!(lessor.remaining_secs(2), None);
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_do_not_pile_up() {
        let lessor = leading();
        lessor.granted(1, 10);
        for _ in 0..10_000 {
            lessor.renew(1);
        }
        assert!(lessor.lock().heap.len() < 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mass_expiry_comes_in_parts() {
        let lessor = leading();
        for id in 1..=1000 {
            lessor.granted(id, 1);
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        let first = lessor.expired().await;
        assert_eq!(first.len(), REVOKED_AT_ONCE);
        assert_eq!(lessor.expired().await.len(), REVOKED_AT_ONCE);
    }
}
