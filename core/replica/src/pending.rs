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

    /// An entry was applied, and the state with it is published.
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
