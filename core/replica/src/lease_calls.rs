//! What is asked about leases: the leader alone knows their deadlines, so questions go there, all that queued at once.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use tokio::sync::{Notify, oneshot};
use tonic::Status;

use crate::barrier::Barrier;
use crate::deliver::Deliver;
use crate::error::ReadError;
use crate::leadership::Leadership;
use crate::lease::Lessor;
use crate::peer::leader;
use crate::peer::link::Peers;
use crate::raft::state_machine::Published;
use crate::stats::Counters;

/// Questions that may wait at once.
const MAX_WAITING: usize = 65_536;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Gives leases their full time again; the answer is that time in seconds, or 0 for one that does not exist.
    Renew,
    /// Seconds that leases have left, -1 for one that does not exist.
    Times,
}

struct Asked {
    question: Question,
    ids: Vec<i64>,
    reply: oneshot::Sender<Result<Vec<i64>, ReadError>>,
}

#[derive(Default)]
struct Queue {
    asked: Vec<Asked>,
    closed: bool,
}

/// The queue of questions. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct LeaseCalls {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
}

/// Answers, where this member leads.
#[derive(Clone)]
pub(crate) struct LeaseDesk {
    pub(crate) barrier: Barrier,
    pub(crate) lessor: Lessor,
    pub(crate) published: Published,
    pub(crate) counters: Arc<Counters>,
}

impl LeaseDesk {
    /// Only a leader that still is one may answer; and one granted just now must be known.
    pub(crate) async fn answer(&self, question: Question, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let log_id = self.barrier.ask()?.await.map_err(|_| ReadError::ShuttingDown)??;
        let mut applied = self.published.applied_index();
        applied
            .wait_for(|applied| *applied >= log_id.index)
            .await
            .map_err(|_| ReadError::ShuttingDown)?;
        if !self.lessor.is_leading() {
            return Err(ReadError::NoLeader { leader_id: None });
        }
        let answer = |id: &i64| match question {
            Question::Renew => self.lessor.renew(*id).inspect(|_| {
                self.counters.leases_renewed.fetch_add(1, Relaxed);
            }),
            Question::Times => self.lessor.remaining_secs(*id).or(Some(-1)),
        };
        Ok(ids.iter().map(|id| answer(id).unwrap_or(0)).collect())
    }
}

/// What the task works with.
pub(crate) struct Asking {
    pub(crate) leadership: Leadership,
    pub(crate) peers: Peers,
    pub(crate) desk: LeaseDesk,
    pub(crate) deliver: Deliver,
    /// How long another member may take to answer.
    pub(crate) limit: Duration,
    /// How long to wait after a failure.
    pub(crate) backoff: Duration,
}

impl LeaseCalls {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics halfway through a change of it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a question. Without a leader it waits.
    pub(crate) fn ask(
        &self,
        question: Question,
        ids: Vec<i64>,
    ) -> Result<oneshot::Receiver<Result<Vec<i64>, ReadError>>, ReadError> {
        let (reply, receiver) = oneshot::channel();
        let mut queue = self.lock();
        if queue.closed {
            return Err(ReadError::ShuttingDown);
        }
        if queue.asked.len() >= MAX_WAITING {
            return Err(ReadError::TooManyRequests);
        }
        queue.asked.push(Asked { question, ids, reply });
        let first = queue.asked.len() == 1;
        drop(queue);
        if first {
            self.wake.notify_one();
        }
        Ok(receiver)
    }

    /// Takes no further questions and answers those waiting.
    pub(crate) fn close(&self) {
        let asked = {
            let mut queue = self.lock();
            queue.closed = true;
            std::mem::take(&mut queue.asked)
        };
        for Asked { reply, .. } in asked {
            // The caller may have given up waiting, here and below.
            let _ = reply.send(Err(ReadError::ShuttingDown));
        }
    }

    /// Asks until the task is dropped.
    pub(crate) async fn run(self, asking: Asking) {
        loop {
            let wake = self.wake.notified();
            let asked = std::mem::take(&mut self.lock().asked);
            if asked.is_empty() {
                wake.await;
                continue;
            }
            let (renewals, times): (Vec<_>, Vec<_>) = asked
                .into_iter()
                .partition(|asked| asked.question == Question::Renew);
            for (question, asked) in [(Question::Renew, renewals), (Question::Times, times)] {
                if asked.is_empty() {
                    continue;
                }
                let ids: Vec<i64> = asked.iter().flat_map(|asked| asked.ids.iter().copied()).collect();
                match asking.ask(question, &ids).await {
                    Ok(answers) if answers.len() == ids.len() => {
                        asking.deliver.run(move || hand_out(asked, answers))
                    }
                    outcome => {
                        tracing::debug!(?outcome, "leases are asked for again");
                        self.put_back(asked);
                        asking.leadership.changed(asking.backoff).await;
                    }
                }
            }
        }
    }

    /// They are asked again, in front: each question may be asked twice.
    fn put_back(&self, mut asked: Vec<Asked>) {
        asked.retain(|asked| !asked.reply.is_closed());
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        asked.append(&mut queue.asked);
        queue.asked = asked;
    }
}

fn hand_out(asked: Vec<Asked>, answers: Vec<i64>) {
    let mut answers = answers.into_iter();
    for Asked { ids, reply, .. } in asked {
        let _ = reply.send(Ok(answers.by_ref().take(ids.len()).collect()));
    }
}

impl Asking {
    async fn ask(&self, question: Question, ids: &[i64]) -> Result<Vec<i64>, ReadError> {
        let leader = self.leadership.newest().map(|leader| leader.id);
        let Some(leader) = leader.filter(|leader| *leader != self.leadership.own_id()) else {
            return self.desk.answer(question, ids).await;
        };
        let ids = ids.to_vec();
        let answered = match question {
            Question::Renew => {
                let ask =
                    |mut client: leader::Client, request| async move { client.renew_leases(request).await };
                let request = pb::RenewLeasesRequest { ids };
                let answered = leader::call(&self.peers, leader, self.limit, request, ask).await;
                answered.map(|response| response.ttl_secs)
            }
            Question::Times => {
                let ask =
                    |mut client: leader::Client, request| async move { client.lease_times(request).await };
                let request = pb::LeaseTimesRequest { ids };
                let answered = leader::call(&self.peers, leader, self.limit, request, ask).await;
                answered.map(|response| response.remaining_secs)
            }
        };
        answered.map_err(|status: Status| ReadError::Unavailable {
            reason: status.message().to_owned(),
        })
    }
}
