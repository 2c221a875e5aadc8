//! Leases by their ids, as an operator sees them.

use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::lease_client::LeaseClient;

use crate::call::{Call, attempt, on};
use crate::client::Client;
use crate::error::Result;

/// A lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaseTime {
    /// What is left of its time to live.
    pub remaining: Duration,
    /// What it was granted.
    pub granted: Duration,
    /// The keys attached to it, as the server has them, whatever the client's prefix.
    pub keys: Vec<Bytes>,
}

/// Negative numbers stand for a lease that does not exist.
fn seconds(ttl: i64) -> Option<Duration> {
    u64::try_from(ttl).ok().map(Duration::from_secs)
}

impl Client {
    /// Makes a lease with an id of the caller's choice (0: the server's); returns its id and the time to live it got.
    /// Fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the id is taken.
    pub async fn lease_grant_as(&self, id: i64, ttl: Duration) -> Result<(i64, Duration)> {
        let ttl_secs = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let request = pb::LeaseGrantRequest {
            ttl: ttl_secs.clamp(1, i64::MAX as u64) as i64,
            id,
        };
        let call = Call::write("lease grant", b"");
        let answer = self
            .call(call, attempt!(LeaseClient, lease_grant, request))
            .await?;
        Ok((answer.id, seconds(answer.ttl).unwrap_or_default()))
    }

    /// What is left of a lease, with the keys attached to it if `keys`; `None`: there is no such lease.
    pub async fn lease_time(&self, id: i64, keys: bool) -> Result<Option<LeaseTime>> {
        let request = pb::LeaseTimeToLiveRequest { id, keys };
        let call = Call::read("lease timetolive", b"");
        let answer = self
            .call(call, attempt!(LeaseClient, lease_time_to_live, request))
            .await?;
        Ok(seconds(answer.ttl).map(|remaining| LeaseTime {
            remaining,
            granted: seconds(answer.granted_ttl).unwrap_or_default(),
            keys: answer.keys,
        }))
    }

    /// The ids of all leases.
    pub async fn leases(&self) -> Result<Vec<i64>> {
        let call = Call::read("lease list", b"");
        let answer = self
            .call(
                call,
                attempt!(LeaseClient, lease_leases, pb::LeaseLeasesRequest {}),
            )
            .await?;
        Ok(answer.leases.into_iter().map(|lease| lease.id).collect())
    }

    /// Gives a lease its whole time to live again, and returns that; `None`: there is no such lease.
    pub async fn lease_renew(&self, id: i64) -> Result<Option<Duration>> {
        let call = Call::read("lease keep-alive", b"");
        let answer = self
            .call(call, |connection| async move {
                let request = pb::LeaseKeepAliveRequest { id };
                let mut service = on!(LeaseClient, connection);
                let mut answers = service.lease_keep_alive(tokio_stream::once(request)).await?;
                match answers.get_mut().message().await? {
                    Some(answer) => Ok(tonic::Response::new(answer)),
                    None => Err(tonic::Status::unavailable("the stream ended")),
                }
            })
            .await?;
        Ok(seconds(answer.ttl).filter(|ttl| !ttl.is_zero()))
    }
}
