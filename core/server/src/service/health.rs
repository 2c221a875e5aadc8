//! gRPC's health service. The server as a whole, "", serves as long as it answers; it knows no parts.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use cfgstore_proto::grpc::health::v1 as pb;
use cfgstore_proto::grpc::health::v1::health_server;
use futures_util::{Stream, StreamExt, stream};
use pb::health_check_response::ServingStatus;
use tonic::{Request, Response, Status};

use crate::context::Context;

pub(super) struct Health(pub Arc<Context>);

fn answer(status: ServingStatus) -> pb::HealthCheckResponse {
    pb::HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<pb::HealthCheckResponse>, Status> {
        if request.get_ref().service.is_empty() {
            Ok(Response::new(answer(ServingStatus::Serving)))
        } else {
            Err(Status::not_found("unknown service"))
        }
    }

    async fn list(
        &self,
        _: Request<pb::HealthListRequest>,
    ) -> Result<Response<pb::HealthListResponse>, Status> {
        let statuses = HashMap::from([(String::new(), answer(ServingStatus::Serving))]);
        Ok(Response::new(pb::HealthListResponse { statuses }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (now, then) = if request.get_ref().service.is_empty() {
            (ServingStatus::Serving, ServingStatus::NotServing)
        } else {
            (ServingStatus::ServiceUnknown, ServingStatus::ServiceUnknown)
        };
        let stopped = self.0.stop.stopped();
        let end = stream::once(async move {
            stopped.await;
            Ok(answer(then))
        });
        let answers = stream::once(async move { Ok(answer(now)) }).chain(end);
        Ok(Response::new(Box::pin(answers)))
    }
}
