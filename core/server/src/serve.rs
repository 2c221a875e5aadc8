//! Serves the connections of one listening socket: whoever speaks HTTP/2 is given to gRPC's server, whoever speaks
//! HTTP/1 to a server of its own.
//!
//! The first bytes of a connection tell them apart. So gRPC's path is what it would be on a port of its own.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::authority::Protocol;
use crate::connection::Connection;
use crate::context::Context;
use crate::http::HttpService;
use crate::listen::Acceptor;

/// How long a client may take to show what it speaks, and then for the head of each request. A connection that is kept
/// open between requests ends after that time too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head, beyond which it is refused.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// HTTP/2 connections between their first bytes and gRPC's server: it takes them at once.
pub(crate) const ARRIVALS: usize = 64;

/// What is done with the connections of one listening socket.
#[derive(Clone)]
pub(crate) struct Door {
    /// Who takes HTTP/2; such connections are closed when `None`.
    pub http2: Option<mpsc::Sender<Result<Connection, Infallible>>>,
    /// Who answers HTTP/1; such connections are closed when `None`.
    pub http1: Option<HttpService>,
    /// Bounds how many connections are open at once, on all sockets that share it.
    pub places: Arc<Semaphore>,
    pub ctx: Arc<Context>,
}

/// Serves until the server stops, and then until the last request over HTTP/1 is answered.
pub(crate) async fn serve(acceptor: Acceptor, door: Door) {
    let mut open = JoinSet::new();
    let mut stopped = pin!(door.ctx.stop.stopped());
    loop {
        tokio::select! {
            () = &mut stopped => break,
            connection = acceptor.accept(&door.places) => {
                open.spawn(welcome(connection, door.clone()));
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    drop((acceptor, door));
    while open.join_next().await.is_some() {}
}

async fn welcome(mut connection: Connection, door: Door) {
    let protocol = tokio::select! {
        protocol = tokio::time::timeout(HEAD_TIMEOUT, connection.protocol()) => protocol,
        () = door.ctx.stop.stopped() => return,
    };
    // Too late, broken or closed: there is nobody to tell.
    let Ok(Ok(Some(protocol))) = protocol else {
        return;
    };
    match (protocol, door.http2, door.http1) {
        // Nobody takes it when the server stops.
        (Protocol::Http2, Some(grpc), _) => {
            let connection = connection.gather(door.ctx.metrics.traffic.clone());
            drop(grpc.send(Ok(connection)).await);
        }
        (Protocol::Http1, _, Some(service)) => serve_http1(connection, service, &door.ctx).await,
        (Protocol::Http2, None, _) | (Protocol::Http1, _, None) => {
            tracing::debug!(?protocol, "a client speaks what this socket does not serve");
        }
    }
}

async fn serve_http1(connection: Connection, service: HttpService, ctx: &Context) {
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = ctx.stop.stopped() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection over HTTP/1 ended");
    }
}
