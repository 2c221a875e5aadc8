//! Calls of this host's processes, passed on to the members as they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cfgstore_client::upstream::{Forwarder, is_long};
use cfgstore_proto::etcdserverpb::ResponseHeader;
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body as HttpBody, StdError};
use tower::Service;

use crate::errors;
use crate::mirror_outlet::{MirrorProgress, wait_until_mirrored};
use crate::stop::Stop;

/// Largest request that is passed on: what the largest `--max-request-bytes` allows, and its wrapping.
const MAX_REQUEST_BYTES: usize = (256 << 20) + (512 << 10);

/// What members serve, by the beginning of the paths.
const SERVICES: [&str; 7] = [
    "/cfgstore.v1.History/",
    "/cfgstore.v1.Notifications/",
    "/etcdserverpb.",
    "/cfgstore.v1.Schemas/",
    "/v3lockpb.Lock/",
    "/v3electionpb.Election/",
    "/grpc.health.v1.Health/",
];

/// Calls that write keys: answered when every process of this host reads what was written.
const WRITES: [&str; 5] = [
    "/cfgstore.v1.History/Apply",
    "/cfgstore.v1.History/Rollback",
    "/etcdserverpb.KV/Put",
    "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",
];

/// Whatever is not the agent's own.
#[derive(Clone)]
pub(super) struct Proxy {
    pub forwarder: Forwarder,
    pub mirror: watch::Receiver<MirrorProgress>,
    pub stop: Arc<Stop>,
}

impl<B> Service<Request<B>> for Proxy
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.pass_on(request).await) })
    }
}

impl Proxy {
    async fn pass_on<B>(self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let (head, body) = request.into_parts();
        let path = match head.uri.path_and_query() {
            Some(path) if SERVICES.iter().any(|service| path.path().starts_with(service)) => path,
            _ => {
                let text = format!(
                    "cfgstore agent: {} is not passed on, since this agent doesn't know the call; ask a member of cfgstored \
                     itself",
                    head.uri.path()
                );
                return Status::unimplemented(text).into_http();
            }
        };
        if is_long(path.path()) {
            let stopped = self.stop.stopped();
            return tokio::select! {
                answer = self.forwarder.stream((path, &head.headers), body) => until_stopped(answer, self.stop.stopped()),
                () = stopped => errors::stopped().into_http(),
            };
        }
        let message = match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
            Ok(message) => message.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let text = format!("cfgstore agent: the request is larger than {MAX_REQUEST_BYTES} bytes");
                return Status::resource_exhausted(text).into_http();
            }
            // The caller is gone.
            Err(_) => return Status::cancelled("the request ended half-way").into_http(),
        };
        let answer = self.forwarder.call(path, &head.headers, message).await;
        if WRITES.contains(&path.path()) {
            once_mirrored(answer, &self.mirror).await
        } else {
            answer
        }
    }
}

/// What the answers to all writes have in common.
#[derive(Message)]
struct Written {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
}

/// Holds the answer back until this host's mirror shows the revision in it.
async fn once_mirrored(answer: Response<Body>, mirror: &watch::Receiver<MirrorProgress>) -> Response<Body> {
    // A refusal: there is no message, and it must stay an answer of headers alone.
    if answer.headers().contains_key(Status::GRPC_STATUS) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let (message, trailers) = match body.collect().await {
        Ok(whole) => {
            let trailers = whole.trailers().cloned();
            (whole.to_bytes(), trailers)
        }
        Err(error) => {
            let text = format!("cfgstore agent: the answer broke off: {error}");
            return Status::unavailable(text).into_http();
        }
    };
    if let Some(revision) = written_revision(&message) {
        wait_until_mirrored(mirror, revision).await;
    }
    let body = Full::new(message).with_trailers(async move { trailers.map(Ok) });
    Response::from_parts(head, Body::new(body))
}

/// The revision in an answer's header: after one byte that says that it is not compressed, and four of length.
fn written_revision(answer: &[u8]) -> Option<i64> {
    let message = answer.strip_prefix(&[0])?.get(4..)?;
    Some(Written::decode(message).ok()?.header?.revision)
}

/// The stream of answers, which ends when the agent does: nobody waits for a watch to end.
fn until_stopped(
    answer: Response<Body>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let body = Interruptible {
        body,
        stopped: Box::pin(stopped),
        ended: false,
    };
    Response::from_parts(head, Body::new(body))
}

struct Interruptible {
    body: Body,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl HttpBody for Interruptible {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.stopped.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        let mut trailers = tonic::codegen::http::HeaderMap::new();
        // A text without a character that a header can't have.
        let _ = errors::stopped().add_header(&mut trailers);
        Poll::Ready(Some(Ok(http_body::Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_proto::etcdserverpb as pb;

    use super::*;

    #[test]
    fn the_revision_is_found_in_every_answer_to_a_write() {
        let header = Some(ResponseHeader {
            revision: 77,
            cluster_id: 1,
            ..Default::default()
        });
        let framed = |message: Vec<u8>| {
            let mut framed = vec![0];
            framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
            framed.extend(message);
            framed
        };
        let put = pb::PutResponse {
            header,
            prev_kv: Some(Default::default()),
        };
        let delete = pb::DeleteRangeResponse {
            header,
            deleted: 3,
            prev_kvs: vec![Default::default()],
        };
        let txn = pb::TxnResponse {
            header,
            succeeded: true,
            responses: vec![Default::default()],
        };
        for answer in [put.encode_to_vec(), delete.encode_to_vec(), txn.encode_to_vec()] {
            assert_eq!(written_revision(&framed(answer)), Some(77));
        }
        assert_eq!(written_revision(b""), None);
        assert_eq!(written_revision(&framed(vec![0xff])), None);
    }
}
