//! Locks and elections, as etcd's services and its client packages make them.
//!
//! Whoever wants the lock `name` puts the key `name/<lease in hexadecimal>`. The key with the lowest create
//! revision has the lock, and that revision is its fencing token. Each one waiting watches only the key next
//! before its own, so a release wakes one waiter. An election is the same queue: who has the lock leads, and the key's
//! value is what it proclaims.

use std::sync::Arc;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb::ResponseHeader;
use cfgstore_store::{
    Caller, Command, Compare, CompareResult, CompareTarget, Outcome, Put, Range, Record, State, Txn, TxnOp,
    TxnOpOutcome, prefix_range_end,
};
use tonic::Status;

use crate::context::{Context, Done};
use crate::errors;

/// A place in the queue for a lock, first or not.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The key that holds the place as long as it exists.
    pub key: Bytes,
    /// The key's create revision: order in the queue, and fencing token.
    pub create_revision: i64,
    /// Whether this call made the key; else an earlier call with the same lease did.
    pub is_new: bool,
    /// The header of the answer to the write that took, or found, the place.
    pub header: ResponseHeader,
    /// The key's value: what an earlier call put there, if it is not new.
    pub value: Bytes,
    prefix: Bytes,
}

/// What the keys of all places of a lock begin with.
fn prefix_of(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The key of a place: the name, a slash, and the lease without padding.
fn key_of(name: &[u8], lease: i64) -> Bytes {
    [name, b"/", format!("{lease:x}").as_bytes()].concat().into()
}

/// Takes a place in the queue for the lock `name`, bound to the life of `lease`. With a lease that has one
/// already, that place is answered.
pub(crate) async fn enqueue(ctx: &Context, caller: Caller, name: &[u8], lease: i64) -> Result<Place, Status> {
    enqueue_with_value(ctx, caller, name, lease, Bytes::new()).await
}

/// As [`enqueue`]; the key gets the value if it is made now.
pub(crate) async fn enqueue_with_value(
    ctx: &Context,
    caller: Caller,
    name: &[u8],
    lease: i64,
    value: Bytes,
) -> Result<Place, Status> {
    let key = key_of(name, lease);
    let txn = Txn {
        compare: vec![Compare {
            key: key.clone(),
            range_end: Bytes::new(),
            result: CompareResult::Equal,
            target: CompareTarget::Create(0),
        }],
        success: vec![TxnOp::Put(Put {
            key: key.clone(),
            value: value.clone(),
            lease,
            ..Default::default()
        })],
        failure: vec![TxnOp::Range(Range {
            key: key.clone(),
            ..Default::default()
        })],
    };
    let Done { outcome, header } = ctx.propose(caller, Command::Txn(txn)).await?;
    let Outcome::Txn(outcome) = outcome else {
        return Err(Status::internal(
            "cfgstore: a transaction was answered with another outcome",
        ));
    };
    let (create_revision, value) = match outcome.responses.first() {
        Some(TxnOpOutcome::Put(put)) => (put.revision, value),
        Some(TxnOpOutcome::Range(range)) => range.records.first().map_or((0, value), |record| {
            (record.create_revision(), record.value_bytes())
        }),
        _ => (0, value),
    };
    if create_revision == 0 {
        return Err(Status::internal(
            "cfgstore: a lock's key was neither made nor found",
        ));
    }
    Ok(Place {
        is_new: outcome.succeeded,
        header,
        value,
        prefix: prefix_of(name),
        key,
        create_revision,
    })
}

/// Waits until the place is the first one, and answers the revision at which it was seen to be.
///
/// # Errors
/// When the place itself is gone: its lease has ended, or somebody deleted the key. When the server stops.
pub(crate) async fn wait_for_turn(ctx: &Context, place: &Place) -> Result<i64, Status> {
    turn(ctx, place).await?.ok_or_else(errors::session_expired)
}

/// As [`wait_for_turn`]; `None` says that the place is gone.
pub(crate) async fn turn(ctx: &Context, place: &Place) -> Result<Option<i64>, Status> {
    loop {
        let state = ctx.member.state();
        if !exists(&state, place) {
            return Ok(None);
        }
        let Some(before) = next_before(&state, place)? else {
            return Ok(Some(state.revision()));
        };
        let before_gone = ctx.hub.deletion(&before);
        let own_gone = ctx.hub.deletion(&place.key);
        // A deletion between the look and the watch has changed the state: look again before waiting.
        if ctx.member.state().revision() != state.revision() {
            continue;
        }
        tokio::select! {
            () = before_gone => {}
            () = own_gone => {}
            () = ctx.stop.stopped() => return Err(errors::stopped()),
        }
    }
}

/// Whether the place is still in the queue.
pub(crate) fn exists(state: &State, place: &Place) -> bool {
    state
        .get(&place.key)
        .is_some_and(|record| record.create_revision() == place.create_revision)
}

/// The key next before `place` in the queue.
fn next_before(state: &State, place: &Place) -> Result<Option<Bytes>, Status> {
    let earlier = places(state, place.prefix.clone(), place.create_revision - 1)?;
    Ok(earlier
        .max_by_key(Record::create_revision)
        .map(|record| record.key_bytes()))
}

/// The first place in the queue for the lock `name`.
pub(crate) fn first(state: &State, name: &[u8]) -> Result<Option<Record>, Status> {
    Ok(places(state, prefix_of(name), 0)?.min_by_key(Record::create_revision))
}

/// The places under `prefix` that were taken up to `max_create_revision`; 0 is no bound.
fn places(
    state: &State,
    prefix: Bytes,
    max_create_revision: i64,
) -> Result<impl Iterator<Item = Record>, Status> {
    let range = Range {
        range_end: prefix_range_end(&prefix),
        key: prefix.clone(),
        max_create_revision,
        ..Default::default()
    };
    let found = state.range(&range).map_err(errors::of_command)?.records;
    Ok(found
        .into_iter()
        .filter(move |record| is_place(record.key(), &prefix)))
}

/// Whether the key is a place under `prefix`. Deeper keys are places of other locks whose name begins with this one's: a
/// lease in hexadecimal has no slash.
fn is_place(key: &[u8], prefix: &[u8]) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| !rest.contains(&b'/'))
}

/// Whether the key is a place in the queue for the lock `name`.
pub(crate) fn is_place_of(key: &[u8], name: &[u8]) -> bool {
    is_place(key, &prefix_of(name))
}

/// Gives the place up, if it is still there.
pub(crate) async fn withdraw(ctx: &Context, caller: Caller, place: &Place) -> Result<(), Status> {
    let txn = Txn {
        compare: vec![Compare {
            key: place.key.clone(),
            range_end: Bytes::new(),
            result: CompareResult::Equal,
            target: CompareTarget::Create(place.create_revision),
        }],
        success: vec![TxnOp::DeleteRange(cfgstore_store::DeleteRange {
            key: place.key.clone(),
            ..Default::default()
        })],
        failure: Vec::new(),
    };
    ctx.propose(caller, Command::Txn(txn)).await.map(|_| ())
}

/// As [`withdraw`], for when nobody waits for the answer any more.
pub(crate) fn withdraw_later(ctx: Arc<Context>, caller: Caller, place: Place) {
    tokio::spawn(async move {
        if let Err(error) = withdraw(&ctx, caller, &place).await {
            // The lease ends the place if this does not.
            tracing::warn!(key = %place.key.escape_ascii(), %error, "a place in a lock's queue was not given up");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_spelled_as_etcd_spells_it() {
        assert_eq!(key_of(b"deploy", 0x1a2b), "deploy/1a2b");
        assert_eq!(key_of(b"deploy", -1), "deploy/ffffffffffffffff");
    }
}
