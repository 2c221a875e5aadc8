//! The agent's own service, `cfgstore.v1`, in front of remote members: its status, and locks bound to a stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_client::{Client, Error, ErrorKind, Lock, LockOptions, Range};
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::agent_server;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use super::feed::Trouble;
use super::lock_keys::LockKeys;
use crate::errors;
use crate::hold::{self, Answers, End, HoldStream, Holder};
use crate::mirror_outlet::MirrorProgress;
use crate::stop::Stop;

/// What the service works with.
#[derive(Clone)]
pub(super) struct Holds {
    pub client: Client,
    pub keys: Arc<LockKeys>,
    pub stop: Arc<Stop>,
    pub data_dir: PathBuf,
    pub mirror_dir: PathBuf,
    pub mirror: watch::Receiver<MirrorProgress>,
    pub trouble: watch::Receiver<Trouble>,
}

#[tonic::async_trait]
impl agent_server::Agent for Holds {
    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let mirror = *self.mirror.borrow();
        let trouble = match &*self.trouble.borrow() {
            Trouble::None => mirror.trouble().unwrap_or_default(),
            Trouble::Starting => "the first copy of the members' store is being made".to_owned(),
            Trouble::Because(reason) => reason.clone(),
        };
        Ok(Response::new(pb::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir.display().to_string(),
            mirror_dir: self.mirror_dir.display().to_string(),
            revision: mirror.revision,
            mirror_generation: mirror.generation,
            // It is none.
            member_id: 0,
            pid: std::process::id(),
            mirror_revision: mirror.revision,
            trouble,
        }))
    }

    type HoldStream = Answers;

    async fn hold(
        &self,
        request: Request<Streaming<pb::HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        Ok(hold::serve(request.into_inner(), self.clone()))
    }
}

impl Holder for Holds {
    async fn hold(self, acquire: pb::Acquire, stream: &mut HoldStream) -> End {
        let options = LockOptions {
            ttl: Duration::from_millis(acquire.ttl_ms.max(1)),
            wait: Duration::from_millis(acquire.wait_ms),
        };
        // Dropped half-way, it gives up its place in the queue.
        let taken = tokio::select! {
            taken = self.client.lock_as_is(acquire.name, &options) => taken,
            end = stream.asked_to_end() => return end,
            () = self.stop.stopped() => return End::Failed(errors::stopped()),
        };
        let mut lock = match taken {
            Ok(Some(lock)) => lock,
            Ok(None) => return End::TimedOut,
            Err(error) => return refused(&error),
        };
        let end = self.keep(&lock, stream).await;
        // Already lost, or left to end by itself: nothing more can be done.
        let _ = lock.release().await;
        end
    }
}

impl Holds {
    async fn keep(&self, lock: &Lock, stream: &mut HoldStream) -> End {
        let key = bytes::Bytes::copy_from_slice(lock.key());
        let deleted = self.keys.deletion(key.clone(), lock.token());
        // It may have been deleted before the deletion was waited for.
        match self.client.range(&Range::key(&key).keys_only()).await {
            Ok(found) if found.kvs.is_empty() => return End::deleted(),
            Ok(_) => {}
            Err(error) => return refused(&error),
        }
        let acquired = pb::Acquired {
            key,
            token: lock.token(),
            lease: lock.lease(),
        };
        stream.acquired(acquired).await;
        tokio::select! {
            () = deleted => End::deleted(),
            reason = lock.lease_lost() => End::Lost(reason),
            end = stream.asked_to_end() => end,
            () = self.stop.stopped() => End::Failed(errors::stopped()),
        }
    }
}

/// What a failed call to the members means to the client. It says nothing of who has the lock: a member that does not
/// answer is unavailable.
fn refused(error: &Error) -> End {
    let text = error.message.clone();
    match error.kind {
        ErrorKind::LockLost => End::Lost(text),
        ErrorKind::InvalidArgument => End::Failed(Status::invalid_argument(text)),
        ErrorKind::TooLarge => End::Failed(Status::invalid_argument("etcdserver: request is too large")),
        ErrorKind::Denied => End::Failed(Status::permission_denied(text)),
        ErrorKind::Exhausted => End::Failed(Status::resource_exhausted(text)),
        _ => End::Failed(Status::unavailable(text)),
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_client::{Address, Options};
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_member_that_hangs_is_not_another_holder() {
        // Connections are made, by the kernel, and nobody ever answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options {
            address: Address::parse(&format!("http://{}", silent.local_addr().unwrap())).unwrap(),
            call_timeout: Duration::from_millis(100),
            ..Options::default()
        };
        let client = Client::new(options).unwrap();
        let taken = client.lock_as_is("l".into(), &LockOptions::default()).await;
        let error = taken.unwrap_err();
        assert_eq!((error.kind, error.maybe_committed), (ErrorKind::Timeout, false));
        let End::Failed(status) = refused(&error) else {
            panic!("the client is told that the call failed");
        };
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("got no answer"), "{status}");
    }
}
