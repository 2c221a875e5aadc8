//! What every call has to pass: a learner answers hardly any, and a caller may ask not to be served without a leader.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use crate::context::Context;
use crate::errors;

/// Calls that a learner answers. It reads for itself those ranges that are content with that, which the service tells
/// apart; health is no call of etcd's.
const OF_LEARNERS: [&str; 3] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
];
const HEALTH: &str = "/grpc.health.v1.Health/";
/// This host's own: the agent looks after clients, whatever the member is.
const AGENT: &str = "/cfgstore.v1.Agent/";

/// By this a caller asks to be told when this member is cut off, rather than to wait in the dark.
const HAS_LEADER: &str = "hasleader";

#[derive(Clone)]
pub(super) struct GateLayer(pub Arc<Context>);

#[derive(Clone)]
pub(super) struct Gate<S> {
    ctx: Arc<Context>,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            ctx: self.0.clone(),
            inner,
        }
    }
}

impl<S> Gate<S> {
    /// Why a call is not served.
    fn refusal(&self, path: &str, wants_leader: bool) -> Option<Status> {
        let for_learners = OF_LEARNERS.contains(&path) || path.starts_with(HEALTH) || path.starts_with(AGENT);
        if !for_learners && self.ctx.member.is_learner() {
            return Some(errors::not_for_learners());
        }
        if wants_leader && !self.ctx.member.has_leader() {
            return Some(errors::no_leader());
        }
        None
    }
}

impl<S, R, B> Service<Request<R>> for Gate<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Guarded<B>>;
    type Error = S::Error;
    type Future = Either<
        std::future::Ready<Result<Self::Response, S::Error>>,
        Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>,
    >;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let wants_leader = request
            .headers()
            .get(HAS_LEADER)
            .is_some_and(|value| value == "true");
        if let Some(status) = self.refusal(request.uri().path(), wants_leader) {
            return Either::Left(std::future::ready(Ok(status.into_http())));
        }
        let lost = wants_leader.then(|| Box::pin(self.ctx.leader_loss.lost()) as Lost);
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = response.await?;
            Ok(response.map(|body| Guarded {
                body: Some(body),
                lost,
            }))
        }))
    }
}

type Lost = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A response that ends with etcd's error when this member is cut off, if the caller asked for that.
pub(super) struct Guarded<B> {
    /// `None` once it has ended so, or if there never was one.
    body: Option<B>,
    lost: Option<Lost>,
}

impl<B> Default for Guarded<B> {
    fn default() -> Guarded<B> {
        Guarded {
            body: None,
            lost: None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Guarded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        // What is ready goes out first: events that this member has are no worse for the lack of a leader.
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some(lost) = &mut this.lost else {
            return Poll::Pending;
        };
        std::task::ready!(lost.as_mut().poll(cx));
        this.body = None;
        let mut trailers = HeaderMap::new();
        match errors::no_leader().add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) if self.lost.is_none() => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;
    use tonic::codegen::http::HeaderMap;

    use super::*;

    /// A body that sends as many frames as asked for, and then waits for ever.
    struct Endless(usize);

    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut TaskContext<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.0 == 0 {
                return Poll::Pending;
            }
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    fn poll(body: &mut Guarded<Endless>) -> Poll<Option<Frame<Bytes>>> {
        let waker = noop_waker();
        let frame = Pin::new(body).poll_frame(&mut TaskContext::from_waker(&waker));
        frame.map(|frame| frame.map(|frame| frame.unwrap()))
    }

    fn status(trailers: HeaderMap) -> (String, String) {
        let text = |name: &str| trailers[name].to_str().unwrap().to_owned();
        (text("grpc-status"), text("grpc-message"))
    }

    #[test]
    fn a_stream_ends_with_etcds_error_when_the_member_is_cut_off() {
        let (cut_off, lost) = tokio::sync::oneshot::channel::<()>();
        let mut body = Guarded {
            body: Some(Endless(2)),
            lost: Some(Box::pin(async move { drop(lost.await) })),
        };
        assert!(matches!(poll(&mut body), Poll::Ready(Some(frame)) if frame.is_data()));
        drop(cut_off);
        // What is there already goes out before the end.
        assert!(matches!(poll(&mut body), Poll::Ready(Some(frame)) if frame.is_data()));
        let Poll::Ready(Some(end)) = poll(&mut body) else {
            panic!("the stream goes on")
        };
        let (code, text) = status(end.into_trailers().unwrap());
        assert_eq!((&code[..], &text[..]), ("14", "etcdserver:%20no%20leader"));
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn who_did_not_ask_for_a_leader_waits() {
        let mut body = Guarded {
            body: Some(Endless(0)),
            lost: None,
        };
        assert!(poll(&mut body).is_pending());
    }
}
