//! Who leads an election, from now on: every leader, and everything it proclaims.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cfgstore_proto::v3electionpb::LeaderResponse;
use cfgstore_store::{Record, State};
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::Status;

use crate::context::Context;
use crate::{convert, errors, mutex};

/// What Observe answers.
pub(super) type Observed = Pin<Box<dyn Stream<Item = Result<LeaderResponse, Status>> + Send>>;

/// Proclamations read from history at once.
const MAX_AT_ONCE: usize = 256;

/// The stream begins with the present leader, if there is one.
pub(super) fn observe(ctx: Arc<Context>, name: Bytes) -> Observed {
    let observer = Observer {
        revisions: ctx.member.applied(),
        stopped: Box::pin(ctx.stop.stopped()),
        ctx,
        name,
        leader: None,
        next_revision: 0,
        search_from: None,
        waiting: VecDeque::new(),
    };
    Box::pin(stream::unfold(Some(observer), |observer| async move {
        let mut observer = observer?;
        let answer = observer.next().await;
        // An error ends the stream.
        let rest = answer.is_ok().then_some(observer);
        Some((answer, rest))
    }))
}

struct Observer {
    ctx: Arc<Context>,
    name: Bytes,
    revisions: watch::Receiver<i64>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The key of the leader that was seen last, and its create revision.
    leader: Option<(Bytes, i64)>,
    /// Everything before it was looked at.
    next_revision: i64,
    /// There was nobody before it. `None` while somebody leads, and when nobody has looked yet.
    search_from: Option<i64>,
    waiting: VecDeque<LeaderResponse>,
}

impl Observer {
    async fn next(&mut self) -> Result<LeaderResponse, Status> {
        loop {
            if let Some(response) = self.waiting.pop_front() {
                return Ok(response);
            }
            self.revisions.mark_unchanged();
            let state = self.ctx.member.state();
            if self.look(&state)? || !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.revisions.changed() => changed.map_err(|_| errors::stopped())?,
                () = &mut self.stopped => return Err(errors::stopped()),
            }
        }
    }

    /// Looks at what is new. `true` says that there may be more.
    fn look(&mut self, state: &State) -> Result<bool, Status> {
        let Some((key, create_revision)) = self.leader.clone() else {
            return self.find_leader(state).map(|()| false);
        };
        let Ok(changes) = state.changes(self.next_revision) else {
            // Compacted meanwhile: what was proclaimed between is gone, so go on with what is.
            self.leader = None;
            return Ok(true);
        };
        for record in changes {
            self.next_revision = record.mod_revision() + 1;
            if record.key() != &key[..] {
                continue;
            }
            if record.is_tombstone() || record.create_revision() != create_revision {
                self.leader = None;
                return Ok(true);
            }
            self.push(&record, record.mod_revision());
            if self.waiting.len() >= MAX_AT_ONCE {
                return Ok(true);
            }
        }
        self.next_revision = state.revision() + 1;
        Ok(false)
    }

    fn find_leader(&mut self, state: &State) -> Result<(), Status> {
        let came_and_went = self.first_since(state);
        let found = match came_and_went {
            Some(leader) => Some((leader.mod_revision(), leader)),
            None => mutex::first(state, &self.name)?.map(|leader| (state.revision(), leader)),
        };
        let Some((revision, leader)) = found else {
            self.search_from = Some(state.revision() + 1);
            return Ok(());
        };
        self.search_from = None;
        self.leader = Some((leader.key_bytes(), leader.create_revision()));
        self.next_revision = revision + 1;
        self.push(&leader, revision);
        Ok(())
    }

    /// The first who took a place since there was nobody. It may be gone again.
    fn first_since(&self, state: &State) -> Option<Record> {
        let mut changes = state.changes(self.search_from?).ok()?;
        changes.find(|record| !record.is_tombstone() && mutex::is_place_of(record.key(), &self.name))
    }

    fn push(&mut self, leader: &Record, revision: i64) {
        self.waiting.push_back(LeaderResponse {
            header: Some(self.ctx.header(revision)),
            kv: Some(convert::key_value(leader)),
        });
    }
}
