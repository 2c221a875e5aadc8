//! Takes proposals from the queue to the leader: this member, or another.

use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::refusal::Reason;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use crate::append::{Appended, Appender};
use crate::deliver::Deliver;
use crate::error::ProposeError;
use crate::leadership::{Leader, Leadership};
use crate::peer::leader::{ProposeStream, StreamEvent};
use crate::peer::link::Peers;
use crate::pending::Pending;
use crate::propose::Proposer;
use crate::raft::codec::BatchBuilder;

/// The task.
pub(crate) struct Forward {
    pub(crate) leadership: Leadership,
    pub(crate) peers: Peers,
    pub(crate) proposer: Proposer,
    pub(crate) appender: Appender,
    pub(crate) pending: Pending,
    pub(crate) deliver: Deliver,
    /// How long a proposal waits for a leader that takes it.
    pub(crate) patience: Duration,
    /// How long establishing a stream may take.
    pub(crate) connect: Duration,
    /// How long to wait after a refusal.
    pub(crate) backoff: Duration,
}

/// What the task knows from one turn to the next.
struct Progress {
    stream: Option<ProposeStream>,
    /// A leader that refused, or could not be reached, is left alone until then.
    hold: Option<(Leader, Instant)>,
}

impl Forward {
    /// Runs until Raft ends.
    pub(crate) async fn run(self) {
        let mut changes = self.leadership.raft().server_metrics();
        let (refused, mut refusals) = tokio::sync::mpsc::unbounded_channel::<(Leader, u64)>();
        let mut progress = Progress {
            stream: None,
            hold: None,
        };
        loop {
            let leader = self.leadership.newest();
            let routed = match leader {
                Some(leader) if progress.is_held(leader) => false,
                Some(leader) if leader.id == self.leadership.own_id() => {
                    progress.stream = None;
                    self.append_all(leader, &refused);
                    true
                }
                Some(leader) => self.send_all(leader, &mut progress),
                None => {
                    progress.stream = None;
                    false
                }
            };
            let again = if routed { None } else { self.give_up() };
            let held = progress.hold.map(|(_, until)| until);
            tokio::select! {
                () = self.proposer.woken() => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                Some((leader, sequence)) = refusals.recv() => {
                    self.pending.refused(sequence);
                    progress.hold = Some((leader, Instant::now() + self.backoff));
                }
                event = next_event(&mut progress.stream) => self.obey(event, &mut progress),
                () = sleep_until(again) => {}
                () = sleep_until(held) => progress.hold = None,
            }
        }
    }

    /// This member leads.
    fn append_all(&self, leader: Leader, refused: &tokio::sync::mpsc::UnboundedSender<(Leader, u64)>) {
        while let Some((proposal, place)) = self.proposer.take() {
            let (sequence, batch) = self.pending.send(leader.term, proposal, place);
            let refused = refused.clone();
            self.appender.offer(leader, batch, move |appended| {
                if appended == Appended::Refused {
                    // The task may have ended.
                    let _ = refused.send((leader, sequence));
                }
            });
        }
    }

    /// Another member leads. False while it can't be reached.
    fn send_all(&self, leader: Leader, progress: &mut Progress) -> bool {
        if progress
            .stream
            .as_ref()
            .is_some_and(|stream| stream.leader != leader)
        {
            progress.stream = None;
        }
        let Some(stream) = &progress.stream else {
            if self.proposer.oldest().is_some() || self.pending.is_open(leader.term) {
                progress.stream = Some(ProposeStream::start(&self.peers, leader, self.connect));
            }
            return false;
        };
        if !stream.is_open {
            return false;
        }
        while let Some((proposal, place)) = self.proposer.take() {
            let (sequence, batch) = self.pending.send(leader.term, proposal, place);
            stream.send(pb::ProposeRequest {
                sequence,
                term: leader.term,
                batch: batch.0.encoded.clone(),
            });
        }
        true
    }

    fn obey(&self, event: StreamEvent, progress: &mut Progress) {
        let Some(stream) = &mut progress.stream else {
            return;
        };
        let leader = stream.leader;
        match event {
            StreamEvent::Open => {
                stream.is_open = true;
                if self.pending.is_open(leader.term) {
                    // Something was sent on a stream that broke. Nothing of that is appended any more once this is: so
                    // when it is applied, what has not been applied before is lost.
                    let origin = self.pending.next_origin();
                    let batch = BatchBuilder::new().finish(self.proposer.stamp(), origin);
                    stream.send(pb::ProposeRequest {
                        sequence: origin.sequence,
                        term: leader.term,
                        batch: batch.0.encoded.clone(),
                    });
                }
            }
            StreamEvent::Refused(sequence, refusal) => {
                match refusal.reason() {
                    Reason::NoSpace => self.pending.failed(sequence, ProposeError::NoSpace),
                    Reason::Unreadable => self.pending.failed(
                        sequence,
                        ProposeError::Unavailable {
                            reason:
                                "the leader cannot read what this member sends: run the same version on all"
                                    .to_owned(),
                        },
                    ),
                    Reason::NotLeader | Reason::TooManyRequests | Reason::ShuttingDown => {
                        self.pending.refused(sequence);
                    }
                }
                progress.hold = Some((leader, Instant::now() + self.backoff));
            }
            StreamEvent::Closed => {
                progress.stream = None;
                progress.hold = Some((leader, Instant::now() + self.backoff));
            }
        }
    }

    /// There is nobody to write. Answers those who have waited for too long; says when to look again.
    fn give_up(&self) -> Option<Instant> {
        if self.proposer.is_closed() {
            self.proposer.fail_queued();
            return None;
        }
        let now = std::time::Instant::now();
        let expired = now
            .checked_sub(self.patience)
            .map(|limit| self.proposer.expired(limit));
        let leader_id = self.leadership.present();
        for proposal in expired.into_iter().flatten() {
            self.deliver
                .run(move || proposal.answer(Err(ProposeError::NoLeader { leader_id })));
        }
        self.proposer
            .oldest()
            .map(|oldest| Instant::from_std(oldest + self.patience))
    }
}

impl Progress {
    fn is_held(&self, leader: Leader) -> bool {
        self.hold.is_some_and(|(held, _)| held == leader)
    }
}

async fn next_event(stream: &mut Option<ProposeStream>) -> StreamEvent {
    match stream {
        Some(stream) => stream.event().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
