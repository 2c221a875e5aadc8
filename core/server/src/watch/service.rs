//! etcd's Watch service.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb::{WatchRequest, watch_server};
use tonic::{Request, Response, Status, Streaming};

use super::stream::WatchStream;
use crate::caller;
use crate::context::Context;

pub(crate) struct WatchService(pub Arc<Context>);

#[tonic::async_trait]
impl watch_server::Watch for WatchService {
    type WatchStream = WatchStream;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<WatchStream>, Status> {
        let caller = caller::of(&request);
        Ok(Response::new(WatchStream::new(
            self.0.clone(),
            caller,
            request.into_inner(),
        )))
    }
}
