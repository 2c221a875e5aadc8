//! What is served over plain HTTP, on the port that also serves gRPC: health, version, metrics, and etcd's JSON gateway.
//! Paths, answers and status codes are those of etcd.

mod access;
mod gateway;
mod health;
mod response;
mod vars;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use tonic::body::Body;
use tonic::codegen::http::{Method, Request, Response, StatusCode, request};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tower::Service;

use crate::context::Context;
use gateway::Gateway;
pub(crate) use gateway::GrpcStack;
pub(crate) use health::{Check, Kind};
use response::{json, not_get, text};

/// Answers requests over HTTP, as a tower service too: HTTP/2 brings them to gRPC's router first.
#[derive(Clone)]
pub(crate) struct HttpService(Arc<Inner>);

struct Inner {
    ctx: Arc<Context>,
    /// `None` where only the state of the process is served.
    gateway: Option<Gateway>,
}

impl HttpService {
    /// All of it; calls of the gateway go to `grpc`.
    pub fn new(ctx: Arc<Context>, grpc: GrpcStack) -> HttpService {
        let gateway = Some(Gateway::new(grpc, &ctx.config));
        HttpService(Arc::new(Inner { ctx, gateway }))
    }

    /// Health and metrics only, as `--listen-metrics-urls` serves them.
    pub fn for_monitoring(ctx: Arc<Context>) -> HttpService {
        HttpService(Arc::new(Inner { ctx, gateway: None }))
    }

    /// Answers one request. Never fails: what goes wrong is in the answer.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let (mut head, body) = request.into_parts();
        let config = &self.0.ctx.config;
        if let Some(refusal) = access::refuse_host(&head, &config.host_whitelist) {
            return refusal;
        }
        let mut answer = if head.method == Method::OPTIONS {
            response::empty(StatusCode::OK)
        } else {
            access::rename_old_path(&mut head);
            self.0.route(&head, Body::new(body)).await
        };
        access::allow_origin(&head, &config.cors, answer.headers_mut());
        answer
    }
}

impl Inner {
    async fn route(&self, head: &request::Parts, body: Body) -> Response<Body> {
        let path = head.uri.path();
        if let Some(gateway) = self.gateway.as_ref().filter(|_| path.starts_with("/v3/")) {
            return gateway.answer(head, body).await;
        }
        let is_get = head.method == Method::GET;
        match path {
            "/metrics" => vars::metrics(&self.ctx),
            "/version" if self.gateway.is_some() => match is_get {
                true => json(StatusCode::OK, vars::version()),
                false => not_get(),
            },
            "/debug/vars" if self.gateway.is_some() => json(StatusCode::OK, vars::debug(&self.ctx)),
            _ => match health::Probe::of(path) {
                Some(_) if !is_get => not_get(),
                Some(probe) => {
                    probe
                        .answer(&self.ctx, head.uri.query().unwrap_or_default())
                        .await
                }
                None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            },
        }
    }
}

impl<B> Service<Request<B>> for HttpService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A call of a service that is not there; it goes no further than gRPC's own words.
        if is_grpc(&request) {
            let unimplemented = tonic::Status::unimplemented("").into_http();
            return std::future::ready(Ok(unimplemented)).boxed();
        }
        let service = self.clone();
        async move { Ok(service.answer(request).await) }.boxed()
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get("content-type");
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
