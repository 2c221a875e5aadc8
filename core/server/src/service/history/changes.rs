//! The stream of changes: those that are kept, and those to come.

use std::pin::Pin;
use std::sync::Arc;

use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_store::{ChangeFilter, KeyRange, State};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tonic::Status;

use super::to_wire;
use crate::context::Context;
use crate::errors;

pub(super) type ChangeStream = Pin<Box<dyn Stream<Item = Result<pb::ChangesResponse, Status>> + Send>>;

/// Changes looked for at once, and in one message; fewer when they are large.
const BATCH_CHANGES: usize = 256;
const BATCH_BYTES: usize = 256 << 10;

fn filter(request: &pb::ChangesRequest) -> ChangeFilter<'_> {
    ChangeFilter {
        keys: KeyRange::new(&request.key, &request.range_end),
        from_revision: request.from_revision,
        to_revision: request.to_revision,
        from_time_unix_ms: request.from_time_unix_ms,
        to_time_unix_ms: request.to_time_unix_ms,
        author: &request.author,
    }
}

/// # Errors
/// OutOfRange, if it is to follow from a revision whose changes are no longer all there.
pub(super) fn stream(ctx: Arc<Context>, request: pb::ChangesRequest) -> Result<ChangeStream, Status> {
    let state = ctx.member.state();
    if !request.follow {
        return Ok(kept(state, request).boxed());
    }
    if request.from_revision > 0 {
        let gone_upto = last_forgotten(&state, &request);
        if request.from_revision <= gone_upto.min(state.revision()) {
            return Err(errors::of_command(cfgstore_store::CommandError::NotKept {
                requested: request.from_revision,
                kept_from: gone_upto + 1,
            }));
        }
    }
    let next_revision = match request.from_revision {
        0 => state.revision() + 1,
        from => from,
    };
    let follower = Follower {
        revisions: ctx.member.applied(),
        stopped: Box::pin(ctx.stop.stopped()),
        ctx,
        request,
        next_revision,
    };
    Ok(stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        let answer = follower.next().await;
        // An error ends the stream.
        let rest = answer.is_ok().then_some(follower);
        Some((answer, rest))
    })
    .boxed())
}

/// The last revision whose changes may not all be kept, of those that are asked for: of whole keys the floor tells, of other
/// keys their oldest kept change, by naming one before it.
fn last_forgotten(state: &State, request: &pb::ChangesRequest) -> i64 {
    let keys = KeyRange::new(&request.key, &request.range_end);
    let since = ChangeFilter {
        keys,
        from_revision: request.from_revision,
        to_revision: 0,
        from_time_unix_ms: 0,
        to_time_unix_ms: 0,
        author: "",
    };
    state
        .logged_changes(since, false)
        .filter(|change| change.previous_revision() > 0 && state.change_before(change).is_none())
        .map(cfgstore_store::LoggedChange::previous_revision)
        .fold(state.kept_from(keys), i64::max)
}

/// The changes in one state. Collected on another thread: a query may look at every change there is.
fn kept(
    state: Arc<State>,
    request: pb::ChangesRequest,
) -> impl Stream<Item = Result<pb::ChangesResponse, Status>> + Send {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let limit = match request.limit {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let mut changes = state
            .logged_changes(filter(&request), request.descending)
            .take(limit)
            .map(|change| to_wire(&state, change, request.keys_only))
            .peekable();
        let mut is_first = true;
        while is_first || changes.peek().is_some() {
            is_first = false;
            let response = pb::ChangesResponse {
                revision: state.revision(),
                changes: batch(&mut changes),
            };
            // The caller is gone.
            if sender.blocking_send(Ok(response)).is_err() {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

fn batch(changes: &mut impl Iterator<Item = pb::Change>) -> Vec<pb::Change> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_CHANGES
        && bytes < BATCH_BYTES
        && let Some(change) = changes.next()
    {
        bytes += change.key.len() + change.value.len() + change.previous_value.len();
        batch.push(change);
    }
    batch
}

struct Follower {
    ctx: Arc<Context>,
    request: pb::ChangesRequest,
    revisions: watch::Receiver<i64>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Everything before it was sent.
    next_revision: i64,
}

impl Follower {
    /// The next revisions, whole.
    async fn next(&mut self) -> Result<pb::ChangesResponse, Status> {
        loop {
            self.revisions.borrow_and_update();
            let state = self.ctx.member.state();
            if state.revision() >= self.next_revision {
                let changes = self.take(&state)?;
                if !changes.is_empty() {
                    return Ok(pb::ChangesResponse {
                        revision: self.next_revision - 1,
                        changes,
                    });
                }
            }
            tokio::select! {
                changed = self.revisions.changed() => changed.map_err(|_| errors::stopped())?,
                () = &mut self.stopped => return Err(errors::stopped()),
            }
        }
    }

    /// The changes of some revisions from the next one on, and all of theirs.
    fn take(&mut self, state: &State) -> Result<Vec<pb::Change>, Status> {
        let filter = ChangeFilter {
            from_revision: self.next_revision,
            ..filter(&self.request)
        };
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let mut upto = state.revision();
        for change in state.logged_changes(filter, false) {
            let revision = change.record.mod_revision();
            if (taken.len() >= BATCH_CHANGES || bytes >= BATCH_BYTES) && revision > upto {
                break;
            }
            let change = to_wire(state, change, self.request.keys_only);
            bytes += change.key.len() + change.value.len() + change.previous_value.len();
            taken.push(change);
            if taken.len() >= BATCH_CHANGES || bytes >= BATCH_BYTES {
                upto = revision;
            }
        }
        self.next_revision = upto + 1;
        Ok(taken)
    }
}
