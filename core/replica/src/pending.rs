//! Proposals on their way: handed to the leader, not yet applied here.
//!
//! Their fate is read from the log alone, whatever became of connections and leaders meanwhile. Entries of a term are
//! appended only by its leader, and terms never go back in the log. A proposal is made for one term (the leader appends it in
//! that term or refuses it), and a leader appends what one member sends in the order of its sequence numbers. So when
//! this member applies
//!
//! * the entry of a proposal, it is done;
//! * an entry of a later term, or a later proposal of its own, then an earlier one that it hasn't applied never will be
//!   written, and may be proposed again without being written twice.
//!
//! Only a snapshot hides which entries it holds: what was on its way when one is installed has an unknown fate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deliver::Deliver;
use crate::error::ProposeError;
use crate::propose::{InFlight, Proposal, Proposer};
use crate::raft::types::{Batch, BatchOrigin, BatchReply};

struct Sent {
    term: u64,
    proposal: Proposal,
    /// Given back when this is dropped.
    #[allow(dead_code)] // for its end only
    place: InFlight,
}

#[derive(Default)]
struct Table {
    /// The sequence number of the last proposal.
    sequence: u64,
    sent: BTreeMap<u64, Sent>,
    /// Term of the last entry applied.
    term: u64,
}

/// The table of proposals on their way. Clones share it.
#[derive(Clone)]
pub(crate) struct Pending {
    table: Arc<Mutex<Table>>,
    member: u64,
    session: u64,
    proposer: Proposer,
    deliver: Deliver,
}

impl Pending {
    /// `session` is drawn at each start of the member.
    pub(crate) fn new(member: u64, session: u64, proposer: Proposer, deliver: Deliver) -> Self {
        Self {
            table: Arc::default(),
            member,
            session,
            proposer,
            deliver,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change of it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the next batch.
    pub(crate) fn next_origin(&self) -> BatchOrigin {
        let mut table = self.lock();
        table.sequence += 1;
        BatchOrigin {
            member: self.member,
            session: self.session,
            sequence: table.sequence,
        }
    }

    /// Names a proposal and keeps it until its fate is known; the batch is to be sent to the leader of `term` at once.
    pub(crate) fn send(&self, term: u64, proposal: Proposal, in_flight: InFlight) -> (u64, Batch) {
        let origin = self.next_origin();
        let (proposal, batch) = proposal.close(self.proposer.stamp(), origin);
        let sent = Sent {
            term,
            proposal,
            place: in_flight,
        };
        self.lock().sent.insert(origin.sequence, sent);
        (origin.sequence, batch)
    }

    /// Whether the fate of something sent in this term is open.
    pub(crate) fn is_open(&self, term: u64) -> bool {
        self.lock().sent.values().any(|sent| sent.term == term)
    }

    /// It was refused, so it will never be written: it is proposed again.
    pub(crate) fn refused(&self, sequence: u64) {
        let sent = self.lock().sent.remove(&sequence);
        self.put_back(sent.into_iter().collect());
    }

    /// It was refused for good; nothing was written.
    pub(crate) fn failed(&self, sequence: u64, error: ProposeError) {
        if let Some(sent) = self.lock().sent.remove(&sequence) {
            self.deliver.run(move || sent.proposal.answer(Err(error)));
        }
    }

    /// A batch, or an entry without one, was applied, and the state with it is published.
    pub(crate) fn applied(
        &self,
        term: u64,
        origin: Option<BatchOrigin>,
        time_unix_ms: i64,
        reply: BatchReply,
    ) {
        let own = origin.filter(|origin| origin.member == self.member && origin.session == self.session);
        let mut table = self.lock();
        let new_term = std::mem::replace(&mut table.term, term) != term;
        self.proposer.stamp_at_least(time_unix_ms);
        if own.is_none() && !new_term {
            return;
        }
        let done = own.and_then(|own| table.sent.remove(&own.sequence));
        let overtaken =
            |sequence: u64, sent: &Sent| sent.term < term || own.is_some_and(|own| sequence < own.sequence);
        let lost: Vec<u64> = table
            .sent
            .iter()
            .filter(|(sequence, sent)| overtaken(**sequence, sent))
            .map(|(sequence, _)| *sequence)
            .collect();
        let lost: Vec<Sent> = lost
            .iter()
            .filter_map(|sequence| table.sent.remove(sequence))
            .collect();
        drop(table);
        if let Some(sent) = done {
            self.deliver.run(move || sent.proposal.answer(Ok((reply, term))));
        }
        self.put_back(lost);
    }

    /// A snapshot took the place of entries that may have been among those on their way.
    pub(crate) fn snapshot_installed(&self, term: u64) {
        let sent = {
            let mut table = self.lock();
            table.term = term;
            std::mem::take(&mut table.sent)
        };
        let error = ProposeError::Unavailable {
            reason:
                "the member lagged behind and was sent a snapshot, which does not say which writes it holds"
                    .to_owned(),
        };
        for sent in sent.into_values() {
            let error = error.clone();
            self.deliver.run(move || sent.proposal.answer(Err(error)));
        }
    }

    fn put_back(&self, lost: Vec<Sent>) {
        if lost.is_empty() {
            return;
        }
        // Their places are given back last, or for a moment nothing would seem to be under way.
        let (proposals, places): (Vec<_>, Vec<_>) =
            lost.into_iter().map(|sent| (sent.proposal, sent.place)).unzip();
        self.proposer.put_back(proposals);
        drop(places);
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_store::{Caller, Command, CommandError, Put};
    use tokio::sync::oneshot;

    use super::*;
    use crate::member::Applied;
    use crate::propose::{Origin, QueueLimits};

    const MEMBER: u64 = 7;
    const SESSION: u64 = 70;

    type Answer = oneshot::Receiver<Result<Applied, ProposeError>>;

    fn table() -> (Proposer, Pending) {
        let proposer = Proposer::new(QueueLimits {
            request_bytes: 1000,
            batch_commands: 1,
            batch_bytes: 1000,
            queued_commands: 10,
            queued_bytes: 10_000,
        });
        let pending = Pending::new(MEMBER, SESSION, proposer.clone(), Deliver::to_this_runtime());
        (proposer, pending)
    }

    /// Proposes a key and sends it in this term: its sequence number, its batch, and what will be answered.
    fn send(proposer: &Proposer, pending: &Pending, term: u64, key: &str) -> (u64, Batch, Answer) {
        let command = Command::Put(Put {
            key: key.to_owned().into(),
            ..Put::default()
        });
        let answer = proposer
            .enqueue(Caller::default(), command, Origin::Client)
            .unwrap();
        let (proposal, place) = proposer.take().unwrap();
        let (sequence, batch) = pending.send(term, proposal, place);
        (sequence, batch, answer)
    }

    fn reply() -> BatchReply {
        BatchReply {
            outcomes: vec![(Err(CommandError::EmptyKey), 5)],
        }
    }

    fn own(sequence: u64) -> Option<BatchOrigin> {
        Some(BatchOrigin {
            member: MEMBER,
            session: SESSION,
            sequence,
        })
    }

    #[tokio::test]
    async fn who_is_overtaken_in_its_term_is_proposed_again_under_another_name() {
        let (proposer, pending) = table();
        let (_, lost, lost_answer) = send(&proposer, &pending, 3, "lost");
        let (second, _, second_answer) = send(&proposer, &pending, 3, "second");
        assert!(proposer.take().is_none(), "two are on their way");
        pending.applied(3, own(second), 0, reply());
        let applied = second_answer.await.unwrap().unwrap();
        assert_eq!((applied.revision, applied.term), (5, 3));
        let (proposal, place) = proposer.take().unwrap();
        let (third, again) = pending.send(3, proposal, place);
        assert!(third > second);
        assert_eq!(again.0.origin, own(third));
        assert_eq!(again.0.commands, lost.0.commands);
        pending.applied(3, own(third), 0, reply());
        assert_eq!(lost_answer.await.unwrap().unwrap().revision, 5);
    }

    #[tokio::test]
    async fn an_entry_of_a_later_term_overtakes_all_before() {
        let (proposer, pending) = table();
        let (_, first, _first_answer) = send(&proposer, &pending, 3, "first");
        let (_, second, _second_answer) = send(&proposer, &pending, 3, "second");
        pending.applied(3, None, 0, BatchReply::default());
        assert!(pending.is_open(3), "an entry of the same term says nothing");
        pending.applied(4, None, 0, BatchReply::default());
        assert!(!pending.is_open(3));
        // In their order.
        for lost in [first, second] {
            let (proposal, place) = proposer.take().unwrap();
            let (_, again) = pending.send(4, proposal, place);
            assert_eq!(again.0.commands, lost.0.commands);
        }
    }

    #[tokio::test]
    async fn what_others_and_earlier_runs_proposed_is_not_taken_for_ones_own() {
        let (proposer, pending) = table();
        let (sequence, _, mut answer) = send(&proposer, &pending, 3, "k");
        for (member, session) in [(MEMBER, SESSION + 1), (MEMBER + 1, SESSION)] {
            for sequence in [sequence, sequence + 1] {
                let origin = BatchOrigin {
                    member,
                    session,
                    sequence,
                };
                pending.applied(3, Some(origin), 0, reply());
            }
        }
        assert!(pending.is_open(3));
        assert!(answer.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_snapshot_leaves_the_fate_unknown() {
        let (proposer, pending) = table();
        let (_, _, answer) = send(&proposer, &pending, 3, "k");
        pending.snapshot_installed(4);
        assert!(answer.await.unwrap().unwrap_err().maybe_committed());
        assert!(proposer.take().is_none(), "it is not proposed again");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_proposed_again() {
        let (proposer, pending) = table();
        let (sequence, _, answer) = send(&proposer, &pending, 3, "k");
        drop(answer);
        pending.refused(sequence);
        assert!(proposer.take().is_none());
        proposer.drained().await;
    }

    #[tokio::test]
    async fn time_does_not_go_back_when_this_member_leads_next() {
        let (proposer, pending) = table();
        let ahead = proposer.stamp() + 1_000_000;
        pending.applied(3, None, ahead, BatchReply::default());
        let (_, batch, _answer) = send(&proposer, &pending, 4, "k");
        assert!(batch.0.time_unix_ms >= ahead);
    }
}
