//! What the leader appends: batches of its own clients and of other members', merged. While entries are on their way the
//! next one gathers what is offered; nothing waits for a timer.
//!
//! An entry costs every member a frame of its log, an fsync and a message, however many commands it has. So merging is what
//! makes a write cheap when the clients are spread over the members.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::errors::ClientWriteError;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::raft::ClientWriteResult;
use tokio::sync::Notify;

use crate::leadership::Leader;
use crate::raft::codec;
use crate::raft::types::{Batch, CallbackResponder, Raft, TypeConfig};

/// Entries on their way at once: one being synced while the next is handed to the log.
const IN_FLIGHT: usize = 2;

/// What became of a batch that a leader was asked to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It was not, and will not be.
    Refused,
    /// It was; or its fate is read from the log.
    Perhaps,
}

type Told = Box<dyn FnOnce(Appended) + Send>;

struct Offer {
    leader: Leader,
    batch: Batch,
    told: Told,
}

#[derive(Default)]
struct Queue {
    /// Bounded by what each member may have on its way.
    offers: VecDeque<Offer>,
    in_flight: usize,
}

/// The queue of the leader. Clones share it.
#[derive(Clone)]
pub(crate) struct Appender {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    /// An entry takes no further batch that would make it larger.
    entry_bytes: usize,
}

impl Appender {
    pub(crate) fn new(entry_bytes: usize) -> Self {
        Self {
            queue: Arc::default(),
            wake: Arc::default(),
            entry_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics halfway through a change of it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a batch appended if this member is the leader of this term by then; `told` hears what became of it, unless Raft
    /// ends. Batches are appended in the order of these calls.
    pub(crate) fn offer(&self, leader: Leader, batch: Batch, told: impl FnOnce(Appended) + Send + 'static) {
        let mut queue = self.lock();
        queue.offers.push_back(Offer {
            leader,
            batch,
            told: Box::new(told),
        });
        let wake = queue.in_flight < IN_FLIGHT;
        drop(queue);
        if wake {
            self.wake.notify_one();
        }
    }

    /// What the next entry is made of, unless enough are on their way: batches for one term, in their order.
    fn take(&self) -> Option<(Leader, Vec<Batch>, Vec<Told>, InFlight)> {
        let mut queue = self.lock();
        if queue.in_flight >= IN_FLIGHT {
            return None;
        }
        let leader = queue.offers.front()?.leader;
        let (mut batches, mut told, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = queue.offers.front() {
            bytes += next.batch.0.encoded.len();
            if next.leader != leader || (bytes > self.entry_bytes && !batches.is_empty()) {
                break;
            }
            let Some(offer) = queue.offers.pop_front() else {
                break;
            };
            batches.push(offer.batch);
            told.push(offer.told);
        }
        queue.in_flight += 1;
        Some((leader, batches, told, InFlight(self.clone())))
    }

    /// Runs until Raft ends.
    pub(crate) async fn run(self, raft: Raft) {
        loop {
            while let Some((leader, batches, told, place)) = self.take() {
                let respond = move |result: ClientWriteResult<TypeConfig>| {
                    let appended = outcome(&result);
                    told.into_iter().for_each(|told| told(appended));
                    drop(place);
                };
                let write = raft
                    .write(codec::merge(batches))
                    .with_leader(LeaderId {
                        term: leader.term,
                        node_id: leader.id,
                    })
                    .responder(CallbackResponder(Box::new(respond)));
                if write.await.is_err() {
                    return;
                }
            }
            self.wake.notified().await;
        }
    }
}

fn outcome(result: &ClientWriteResult<TypeConfig>) -> Appended {
    match result {
        // Rejected before it was appended.
        Err(
            ClientWriteError::ForwardToLeader(_)
            | ClientWriteError::PreconditionFailed(_)
            | ClientWriteError::ChangeMembershipError(_),
        ) => Appended::Refused,
        Err(ClientWriteError::LogEntryDiscarded(_)) | Ok(_) => Appended::Perhaps,
    }
}

/// One of the entries on their way; when it is applied, or dropped, there is a place for the next.
struct InFlight(Appender);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::codec::BatchBuilder;
    use crate::raft::types::BatchOrigin;

    const LEADER: Leader = Leader { term: 3, id: 1 };

    fn offer(appender: &Appender, leader: Leader, sequence: u64) -> usize {
        let origin = BatchOrigin {
            member: 1,
            session: 1,
            sequence,
        };
        let batch = BatchBuilder::new().finish(0, origin);
        let size_bytes = batch.0.encoded.len();
        appender.offer(leader, batch, |_| {});
        size_bytes
    }

    /// The next entry: its term, the sequence numbers of its batches, and its place.
    fn take(appender: &Appender) -> Option<(u64, Vec<u64>, InFlight)> {
        let (leader, batches, _, place) = appender.take()?;
        let sequence = |batch: &Batch| batch.0.origin.unwrap().sequence;
        Some((leader.term, batches.iter().map(sequence).collect(), place))
    }

    #[test]
    fn what_is_offered_while_entries_are_on_their_way_becomes_one() {
        let appender = Appender::new(1 << 20);
        assert!(take(&appender).is_none());
        offer(&appender, LEADER, 0);
        let (_, first, first_place) = take(&appender).unwrap();
        offer(&appender, LEADER, 1);
        let (_, second, _second_place) = take(&appender).unwrap();
        assert_eq!((first, second), (vec![0], vec![1]));
        for sequence in 2..7 {
            offer(&appender, LEADER, sequence);
        }
        assert!(take(&appender).is_none(), "two are on their way");
        drop(first_place);
        let (_, third, _third_place) = take(&appender).unwrap();
        assert_eq!(third, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn batches_of_another_term_go_into_another_entry() {
        let appender = Appender::new(1 << 20);
        let next = Leader { term: 4, ..LEADER };
        for (sequence, leader) in [LEADER, LEADER, next, LEADER].into_iter().enumerate() {
            offer(&appender, leader, sequence as u64);
        }
        let entries: Vec<_> = (0..3)
            .map(|_| take(&appender).unwrap())
            .map(|(term, sequences, _)| (term, sequences))
            .collect();
        assert_eq!(entries, [(3, vec![0, 1]), (4, vec![2]), (3, vec![3])]);
    }

    #[test]
    fn an_entry_stays_below_its_limit_unless_one_batch_alone_is_larger() {
        let size_bytes = offer(&Appender::new(0), LEADER, 0);
        for (limit_bytes, expected) in [(0, vec![0]), (2 * size_bytes + 1, vec![0, 1])] {
            let appender = Appender::new(limit_bytes);
            for sequence in 0..3 {
                offer(&appender, LEADER, sequence);
            }
            assert_eq!(take(&appender).unwrap().1, expected);
        }
    }
}
