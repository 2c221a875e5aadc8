//! etcd's Watch service.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb::{WatchRequest, watch_server};
use tonic::{Request, Response, Status, Streaming};

use super::stream::WatchStream;
use crate::context::Context;
use crate::{caller, errors};

pub(crate) struct WatchService(pub Arc<Context>);

#[tonic::async_trait]
impl watch_server::Watch for WatchService {
    type WatchStream = WatchStream;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<WatchStream>, Status> {
        // A client may ask to be told when this member is cut off, rather than to wait in the dark.
        let wants_leader = request
            .metadata()
            .get("hasleader")
            .is_some_and(|value| value == "true");
        if wants_leader && !self.0.member.has_leader() {
            return Err(errors::no_leader());
        }
        let caller = caller::of(request.metadata());
        Ok(Response::new(WatchStream::new(
            self.0.clone(),
            caller,
            request.into_inner(),
        )))
    }
}
