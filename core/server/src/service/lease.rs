//! etcd's Lease service.

use std::pin::Pin;
use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::lease_server;
use cfgstore_store::{Command, LeaseRevoke, Outcome};
use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use crate::context::{Context, Done};
use crate::service::kv::mismatch;
use crate::{caller, errors, session};

pub(super) struct Leases(pub Arc<Context>);

/// One stream of renewals.
struct Renewals {
    ctx: Arc<Context>,
    requests: Streaming<pb::LeaseKeepAliveRequest>,
}

impl Renewals {
    async fn next(&mut self) -> Option<Result<pb::LeaseKeepAliveResponse, Status>> {
        let request = tokio::select! {
            request = self.requests.next() => request?,
            () = self.ctx.stop.stopped() => return Some(Err(errors::stopped())),
        };
        match request {
            Ok(request) => Some(self.renew(request.id).await),
            Err(status) => Some(Err(status)),
        }
    }

    async fn renew(&self, id: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
        // A lease that is not (any more) there has a TTL of 0; it is no error.
        let ttl = self
            .ctx
            .member
            .lease_keep_alive(id)
            .await
            .map_err(errors::of_read)?;
        Ok(pb::LeaseKeepAliveResponse {
            header: Some(self.ctx.current_header()),
            id,
            ttl,
        })
    }
}

#[tonic::async_trait]
impl lease_server::Lease for Leases {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        let Done { outcome, header } = session::grant(&self.0, caller, request.id, request.ttl).await?;
        match outcome {
            Outcome::LeaseGrant { id, ttl_secs } => Ok(Response::new(pb::LeaseGrantResponse {
                header: Some(header),
                id,
                ttl: ttl_secs,
                error: String::new(),
            })),
            other => Err(mismatch(&other)),
        }
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let caller = caller::of(&request);
        let command = Command::LeaseRevoke(LeaseRevoke {
            id: request.into_inner().id,
        });
        let Done { header, .. } = self.0.propose(caller, command).await?;
        Ok(Response::new(pb::LeaseRevokeResponse { header: Some(header) }))
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send + 'static>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let renewals = Renewals {
            ctx: self.0.clone(),
            requests: request.into_inner(),
        };
        let answers = stream::unfold(Some(renewals), |renewals| async move {
            let mut renewals = renewals?;
            let answer = renewals.next().await?;
            // An error ends the stream.
            let rest = answer.is_ok().then_some(renewals);
            Some((answer, rest))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let request = request.into_inner();
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let header = Some(self.0.header(state.revision()));
        // The leader knows the time; it may have ended the lease since.
        let times = self.0.member.lease_times(&[request.id]).await;
        let left = times.map_err(errors::of_read)?.first().copied().flatten();
        let (Some(lease), Some(ttl)) = (state.lease(request.id), left) else {
            return Ok(Response::new(pb::LeaseTimeToLiveResponse {
                header,
                id: request.id,
                ttl: -1,
                ..Default::default()
            }));
        };
        let keys = if request.keys {
            lease
                .keys()
                .map(|key| bytes::Bytes::copy_from_slice(key.as_bytes()))
                .collect()
        } else {
            Vec::new()
        };
        Ok(Response::new(pb::LeaseTimeToLiveResponse {
            header,
            id: lease.id,
            ttl,
            granted_ttl: lease.ttl_secs,
            keys,
        }))
    }

    async fn lease_leases(
        &self,
        _: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        self.0.linearizable().await?;
        let state = self.0.member.state();
        Ok(Response::new(pb::LeaseLeasesResponse {
            header: Some(self.0.header(state.revision())),
            leases: state
                .leases()
                .map(|lease| pb::LeaseStatus { id: lease.id })
                .collect(),
        }))
    }
}
