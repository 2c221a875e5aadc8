//! Passing calls on to members as they are, for the agent of a host.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{HeaderMap, Method, Request, Response, Uri, Version};
use tonic::{Code, Status};
use tower::Service as _;

use crate::connection::{Connection, Connections, TransportError};
use crate::error::Error;
use crate::options::Options;
use crate::pin::ClusterPin;
use crate::refusal::{Effect, Failure, NOTHING_SENT};

/// A call that its caller gave up after so long says that the member may hang: the next one goes to another.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// Passes gRPC calls on to members, as bytes, whatever the service.
///
/// A call is passed on again, to another member, only if it is a read or was certainly without effect; each member is
/// tried once, for the caller has more patience than this and tries again by itself. What could be sent to no member
/// is answered Unavailable, in words that the client core knows to mean "nothing has happened".
#[derive(Clone)]
pub struct Forwarder {
    shared: Arc<Shared>,
}

struct Shared {
    connect_timeout: Duration,
    calls: Connections,
    /// Beside the calls: streams that live long and are read slowly can't use up what calls need.
    streams: Connections,
}

impl Forwarder {
    /// To the members that the options name; [`Options::connect_timeout`] bounds the attempt at each of them.
    pub fn new(options: &Options, cluster: &ClusterPin) -> Forwarder {
        let connections = || {
            Connections::new(options, true)
                .for_slow_readers()
                .staying_with(cluster.clone())
                .impatient()
        };
        Forwarder {
            shared: Arc::new(Shared {
                connect_timeout: options.connect_timeout,
                calls: connections(),
                streams: connections(),
            }),
        }
    }

    /// Passes on a call with one request message and an answer that does not wait for others.
    pub async fn call(&self, path: &PathAndQuery, headers: &HeaderMap, message: Bytes) -> Response<Body> {
        let connections = &self.shared.calls;
        let reads = is_read(path.path());
        // One more than there are members: the shared connection may be one that has ended unnoticed.
        let mut attempts = connections.endpoints().len() + 1;
        loop {
            let mut connection = match self.connection(connections).await {
                Ok(connection) => connection,
                Err(answer) => return answer,
            };
            attempts -= 1;
            let request = request(&connection, path, headers, Body::new(Full::new(message.clone())));
            let mut suspicion = Suspicion::of(connections, &connection);
            let answer = connection.call(request).await;
            suspicion.dispel();
            let failure = match &answer {
                Err(error) => Some(Failure::of_transport(error)),
                Ok(answer) => Status::from_header_map(answer.headers())
                    .filter(|status| status.code() != Code::Ok)
                    .map(|status| Failure::of(&status)),
            };
            let again = failure.as_ref().is_some_and(|failure| {
                failure.effect == Effect::NotDone || (reads && failure.read_may_succeed_elsewhere())
            });
            if again || failure.is_some_and(|failure| failure.broken) {
                connections.abandon(&connection);
            }
            if !again || attempts == 0 {
                return match answer {
                    Ok(answer) => answer.map(Body::new),
                    Err(error) => broken(&connection, &error),
                };
            }
        }
    }

    /// Passes on a call that streams, or waits for others.
    pub async fn stream<B>(&self, request_head: (&PathAndQuery, &HeaderMap), messages: B) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let (path, headers) = request_head;
        let mut connection = match self.connection(&self.shared.streams).await {
            Ok(connection) => connection,
            Err(answer) => return answer,
        };
        let request = request(&connection, path, headers, Body::new(messages));
        match connection.call(request).await {
            Ok(answer) => {
                let guarded = |body| GuardedBody {
                    body,
                    forwarder: self.clone(),
                    connection: connection.clone(),
                };
                if Status::from_header_map(answer.headers())
                    .is_some_and(|status| status.code() == Code::Unavailable)
                {
                    self.shared.streams.abandon(&connection);
                }
                answer.map(|body| Body::new(guarded(body)))
            }
            Err(error) => {
                self.shared.streams.abandon(&connection);
                broken(&connection, &error)
            }
        }
    }

    async fn connection(&self, connections: &Connections) -> std::result::Result<Connection, Response<Body>> {
        let each = self.shared.connect_timeout * connections.endpoints().len() as u32;
        connections
            .shared(Instant::now() + each)
            .await
            .map_err(|error| nothing_sent(&error))
    }
}

/// Calls that change nothing, so that a second attempt does no harm.
fn is_read(path: &str) -> bool {
    matches!(
        path,
        "/etcdserverpb.KV/Range"
            | "/etcdserverpb.Cluster/MemberList"
            | "/etcdserverpb.Maintenance/Status"
            | "/etcdserverpb.Maintenance/Hash"
            | "/etcdserverpb.Maintenance/HashKV"
            | "/etcdserverpb.Lease/LeaseLeases"
            | "/etcdserverpb.Lease/LeaseTimeToLive"
            | "/v3electionpb.Election/Leader"
            | "/grpc.health.v1.Health/Check"
    )
}

/// Whether a call streams, or waits for what others do.
pub fn is_long(path: &str) -> bool {
    matches!(
        path,
        "/etcdserverpb.Watch/Watch"
            | "/etcdserverpb.Lease/LeaseKeepAlive"
            | "/etcdserverpb.Maintenance/Snapshot"
            | "/etcdserverpb.KV/RangeStream"
            | "/v3lockpb.Lock/Lock"
            | "/v3electionpb.Election/Campaign"
            | "/v3electionpb.Election/Observe"
            | "/grpc.health.v1.Health/Watch"
            | "/cfgstore.v1.History/Changes"
    )
}

fn request(connection: &Connection, path: &PathAndQuery, headers: &HeaderMap, body: Body) -> Request<Body> {
    let mut parts = connection.origin().into_parts();
    parts.path_and_query = Some(path.clone());
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    // An origin with a path is always a URI.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| connection.origin());
    *request.headers_mut() = headers.clone();
    for own in [HOST, CONNECTION, CONTENT_LENGTH] {
        request.headers_mut().remove(own);
    }
    request
}

fn nothing_sent(error: &Error) -> Response<Body> {
    Status::unavailable(format!("{NOTHING_SENT}{}", error.message)).into_http()
}

fn broken(connection: &Connection, error: &TransportError) -> Response<Body> {
    let words = format!("{}: {error}", connection.endpoint());
    if error.sent {
        Status::unavailable(format!("cfgstore agent: {words}")).into_http()
    } else {
        Status::unavailable(format!("{NOTHING_SENT}{words}")).into_http()
    }
}

/// What to think of a member whose caller went away before it answered.
struct Suspicion<'a> {
    connections: &'a Connections,
    connection: Option<Connection>,
    since: Instant,
}

impl<'a> Suspicion<'a> {
    fn of(connections: &'a Connections, connection: &Connection) -> Suspicion<'a> {
        Suspicion {
            connections,
            connection: Some(connection.clone()),
            since: Instant::now(),
        }
    }

    fn dispel(&mut self) {
        self.connection = None;
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.since.elapsed() >= SUSPICIOUS
        {
            self.connections.abandon(&connection);
        }
    }
}

/// The answers of a stream. One that ends Unavailable, for lack of a leader, say, leads the next streams to another
/// member.
struct GuardedBody {
    body: Incoming,
    forwarder: Forwarder,
    connection: Connection,
}

impl GuardedBody {
    fn look_at(&self, frame: &Option<std::result::Result<Frame<Bytes>, hyper::Error>>) {
        let unavailable = match frame {
            Some(Ok(frame)) => frame
                .trailers_ref()
                .and_then(Status::from_header_map)
                .is_some_and(|status| status.code() == Code::Unavailable),
            Some(Err(_)) => true,
            None => false,
        };
        if unavailable {
            self.forwarder.shared.streams.abandon(&self.connection);
        }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.look_at(&frame);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
