//! Leases on behalf of clients and of this server itself.

use cfgstore_store::{Caller, Command, CommandError, LeaseGrant, Outcome};
use rand::Rng;
use tonic::Status;

use crate::context::{Context, Done};
use crate::errors;
use crate::service::mismatch;

/// Life of the lease of a caller that brings none, in seconds. Nobody keeps it alive (as in etcd).
const ORPHAN_TTL_SECS: i64 = 60;

/// The lease of a lock or an election: the caller's, or one that nobody keeps alive.
pub(crate) async fn lease_or_orphan(ctx: &Context, caller: Caller, lease: i64) -> Result<i64, Status> {
    if lease != 0 {
        return Ok(lease);
    }
    match grant(ctx, caller, 0, ORPHAN_TTL_SECS).await?.outcome {
        Outcome::LeaseGrant { id, .. } => Ok(id),
        other => Err(mismatch(&other)),
    }
}

/// What a lease counts towards the quota (etcd's number).
const LEASE_COST_BYTES: usize = 64;

/// Grants a lease, if the quota has room for it. An `id` of 0 lets this server choose one; a `ttl_secs` below the minimum is raised to it.
pub(crate) async fn grant(ctx: &Context, caller: Caller, id: i64, ttl_secs: i64) -> Result<Done, Status> {
    ctx.check_quota(LEASE_COST_BYTES).await?;
    let ttl_secs = ttl_secs.max(ctx.config.min_lease_ttl_secs());
    if id != 0 {
        return ctx
            .propose(caller, Command::LeaseGrant(LeaseGrant { id, ttl_secs }))
            .await;
    }
    // Two members may draw the same id at once, if hardly ever; then the second draws again.
    for _ in 0..4 {
        let id = rand::rng().random_range(1..=i64::MAX);
        let grant = Command::LeaseGrant(LeaseGrant { id, ttl_secs });
        match ctx.propose(caller.clone(), grant).await {
            Err(status) if status.message() == lease_exists().message() => {}
            answer => return answer,
        }
    }
    Err(lease_exists())
}

fn lease_exists() -> Status {
    errors::of_command(CommandError::LeaseExists { id: 0 })
}
