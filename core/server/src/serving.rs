//! Every socket of a server, and who answers there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tower::Layer;

use crate::connection::Connection;
use crate::context::Context;
use crate::http::HttpService;
use crate::listen::{Acceptor, Listener, UnixSocket};
use crate::metrics::CallMetricsLayer;
use crate::mirror_feed::Mirror;
use crate::oversize::OversizeLayer;
use crate::serve::{ARRIVALS, Door, serve};
use crate::service;

/// Bound sockets, by what is served there.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// gRPC, and HTTP if `http` is empty. The host's own socket is among them.
    pub clients: Vec<Listener>,
    /// HTTP.
    pub http: Vec<Listener>,
    /// Metrics and health.
    pub metrics: Vec<Listener>,
}

impl Listeners {
    pub fn all(&mut self) -> impl Iterator<Item = &mut Listener> {
        self.clients
            .iter_mut()
            .chain(&mut self.http)
            .chain(&mut self.metrics)
    }
}

/// The tasks that serve. Dropping it ends them, and removes the files of unix sockets.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    tasks: JoinSet<()>,
    sockets: Vec<UnixSocket>,
}

impl Serving {
    /// Starts to answer on all sockets, until the server stops.
    pub fn start(ctx: &Arc<Context>, listeners: Listeners, mirror: &Mirror) -> Serving {
        let mut serving = Serving::default();
        let places = || Arc::new(Semaphore::new(ctx.config.max_connections));
        let (tcp_places, unix_places) = (places(), places());
        // The kernel tells when the other end of a unix socket is gone. To ping there would only lose clients that have
        // no thread to answer between calls: PHP workers, with the locks they hold.
        let tcp = serving.answering(ctx, mirror, false, Some(ctx.config.grpc_keepalive_interval));
        let unix = serving.answering(ctx, mirror, true, None);
        let split = !listeners.http.is_empty();
        let mut open = |listeners: Vec<Listener>, http2: bool, http1: bool, monitoring: bool| {
            for listener in listeners {
                let (acceptor, socket) = listener.into_acceptor();
                serving.sockets.extend(socket);
                let (answering, places) = match acceptor {
                    Acceptor::Tcp(_) => (&tcp, &tcp_places),
                    Acceptor::Unix(_) => (&unix, &unix_places),
                };
                let http = match monitoring {
                    true => HttpService::for_monitoring(ctx.clone()),
                    false => answering.http.clone(),
                };
                let door = Door {
                    http2: http2.then(|| answering.grpc.clone()),
                    http1: http1.then_some(http),
                    places: places.clone(),
                    ctx: ctx.clone(),
                };
                serving.tasks.spawn(serve(acceptor, door));
            }
        };
        open(listeners.clients, true, !split, false);
        open(listeners.http, false, true, false);
        open(listeners.metrics, false, true, true);
        serving
    }

    /// Starts a server of gRPC for this host's clients (`local`) or for others.
    fn answering(
        &mut self,
        ctx: &Arc<Context>,
        mirror: &Mirror,
        local: bool,
        ping_interval: Option<Duration>,
    ) -> Answering {
        let routes = service::routes(ctx, mirror, local);
        let count = CallMetricsLayer(ctx.metrics.calls.clone());
        let http = HttpService::new(ctx.clone(), count.layer(OversizeLayer.layer(routes.clone())));
        let with_http = Routes::from(routes.into_axum_router().fallback_service(http.clone())).prepare();
        let (grpc, arrivals) = mpsc::channel(ARRIVALS);
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(ctx.config.max_concurrent_streams)
            .http2_keepalive_interval(ping_interval)
            .http2_keepalive_timeout(ping_interval.map(|_| ctx.config.grpc_keepalive_timeout))
            .layer(count)
            .layer(OversizeLayer)
            .add_routes(with_http)
            .serve_with_incoming_shutdown(incoming(arrivals), ctx.stop.stopped());
        self.tasks.spawn(async {
            if let Err(error) = server.await {
                tracing::warn!(%error, "serving ended with an error");
            }
        });
        Answering { grpc, http }
    }

    /// Waits until every call has ended.
    pub async fn ended(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "serving ended with a panic");
            }
        }
    }

    /// Cuts off what is still open.
    pub async fn abort(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Who answers the clients of one kind.
struct Answering {
    grpc: mpsc::Sender<Result<Connection, Infallible>>,
    http: HttpService,
}

fn incoming(
    arrivals: mpsc::Receiver<Result<Connection, Infallible>>,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    ReceiverStream::new(arrivals)
}
