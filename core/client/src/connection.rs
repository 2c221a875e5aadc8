//! Connections: one HTTP/2 connection each, whose failures say whether a request was sent.
//!
//! tonic's own channel hides that, reconnects behind the caller's back, and buffers; a write must not be sent
//! twice, so this crate drives hyper itself.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response, Uri};
use tower::Service;

use crate::address::{Address, MemberAddress};
use crate::autostart::Autostart;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::fork::SocketFd;
use crate::options::Options;
use crate::pin::ClusterPin;
use crate::trust::Planted;

/// What a server may send before this side has taken it in, in bytes.
#[derive(Clone, Copy)]
struct Windows {
    stream: u32,
    connection: u32,
}

impl Windows {
    /// A whole large answer travels without waiting.
    const OWN: Windows = Windows {
        stream: 4 << 20,
        connection: 8 << 20,
    };
    /// Thousands of streams that are not read leave room for one that is.
    const FORWARDED: Windows = Windows {
        stream: 256 << 10,
        connection: 1 << 30,
    };
}

/// Silence after which a TCP peer with a call open is asked for a sign of life; etcd forbids less than 5 s.
const PING_AFTER: Duration = Duration::from_secs(6);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_LAST: Duration = Duration::from_millis(500);

/// Name of the request header with the client's stated name.
const CLIENT_NAME_HEADER: &str = "cfgstore-client-name";
const CLIENT_NAME_MAX_BYTES: usize = 128;

/// A transport that broke under a request.
#[derive(Debug)]
pub(crate) struct TransportError {
    /// The request may have reached the server.
    pub sent: bool,
    pub cause: String,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.sent {
            "the connection broke"
        } else {
            "the connection was gone"
        };
        write!(f, "{what}: {}", self.cause)
    }
}

impl std::error::Error for TransportError {}

/// One connection to one endpoint. Cheap to clone; closed when the last clone and the last call on it are gone.
#[derive(Clone)]
pub(crate) struct Connection {
    requests: http2::SendRequest<Body>,
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    origin: Uri,
    client_name: Option<HeaderValue>,
    socket: SocketFd,
}

impl Connection {
    /// Boxed, so that the HTTP/2 connection is compiled in this crate and not again in each that makes calls.
    fn open<'a>(endpoint: &'a Endpoint, setup: &'a Setup) -> BoxFuture<'a, std::io::Result<Connection>> {
        Connection::open_here(endpoint, setup).boxed()
    }

    async fn open_here(endpoint: &Endpoint, setup: &Setup) -> std::io::Result<Connection> {
        let socket = endpoint.connect(setup.may_spawn, setup.connect_timeout).await?;
        let second = socket.second_fd()?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(setup.windows.stream)
            .initial_connection_window_size(setup.windows.connection);
        if !endpoint.is_unix() {
            builder
                .keep_alive_interval(PING_AFTER)
                .keep_alive_timeout(PING_TIMEOUT);
        }
        let (requests, driver) = builder
            .handshake(TokioIo::new(socket))
            .await
            .map_err(std::io::Error::other)?;
        // Its failure is seen by the calls on the connection.
        tokio::spawn(driver);
        let origin = format!("http://{}", endpoint.authority())
            .parse()
            .unwrap_or_else(|_| Uri::from_static("http://localhost"));
        let shared = Shared {
            endpoint: endpoint.clone(),
            origin,
            client_name: setup.client_name.clone(),
            socket: second,
        };
        Ok(Connection {
            requests,
            shared: Arc::new(shared),
        })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    pub fn origin(&self) -> Uri {
        self.shared.origin.clone()
    }

    pub fn socket(&self) -> &SocketFd {
        &self.shared.socket
    }

    pub fn is_same(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), TransportError>> {
        // A closed connection is reported by `call`, which can say that nothing was sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert(
            "user-agent",
            HeaderValue::from_static(concat!("cfgstore/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(name) = &self.shared.client_name {
            headers.insert(CLIENT_NAME_HEADER, name.clone());
        }
        let answer = self.requests.try_send_request(request);
        Box::pin(async move {
            answer.await.map_err(|mut error| {
                let sent = error.take_message().is_none();
                TransportError {
                    sent,
                    cause: crate::refusal::root_cause(error.error()),
                }
            })
        })
    }
}

/// What connections need to know of the client.
struct Setup {
    windows: Windows,
    may_spawn: bool,
    client_name: Option<HeaderValue>,
    connect_timeout: Duration,
}

/// The endpoints of a client and its connection to one of them.
pub(crate) struct Connections {
    endpoints: Vec<Endpoint>,
    setup: Setup,
    autostart: Option<Autostart>,
    /// What serves there, to be named to who has to start it.
    program: String,
    shared: Mutex<Option<Connection>>,
    /// Held while the shared connection is made, so that calls wait for one instead of making many.
    connecting: tokio::sync::Mutex<()>,
    /// The endpoint to try first, modulo their number.
    preferred: AtomicUsize,
    /// The cluster to stay with, if to one.
    cluster: Option<ClusterPin>,
    /// Whether unreachable endpoints are tried again until the deadline, rather than each once.
    persistent: bool,
}

impl Connections {
    pub fn new(options: &Options, may_spawn: bool) -> Connections {
        Connections {
            endpoints: Endpoint::of(options),
            setup: Setup {
                windows: Windows::OWN,
                may_spawn,
                client_name: client_name(&options.client_name),
                connect_timeout: options.connect_timeout,
            },
            autostart: Autostart::of(options),
            program: match &options.address {
                Address::Agent(members) => {
                    let urls: Vec<String> = members.iter().map(MemberAddress::url).collect();
                    let folder = options.host_paths();
                    let folder = folder.data_dir().display();
                    format!("cfgstored --endpoints {} --data-dir {folder}", urls.join(","))
                }
                Address::Embedded | Address::Unix(_) | Address::Members(_) => "cfgstored".to_owned(),
            },
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            preferred: AtomicUsize::new(0),
            cluster: None,
            persistent: true,
        }
    }

    /// Endpoints of another cluster then count as unreachable.
    pub fn staying_with(mut self, cluster: ClusterPin) -> Connections {
        self.cluster = Some(cluster);
        self
    }

    /// One stream whose answers nobody takes must not hold up the others of its connection.
    pub fn for_slow_readers(mut self) -> Connections {
        self.setup.windows = Windows::FORWARDED;
        self
    }

    /// Each endpoint is tried once, whatever the deadline.
    pub fn impatient(mut self) -> Connections {
        self.persistent = false;
        self
    }

    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The connection that calls share, made anew if it is gone.
    pub async fn shared(&self, deadline: Instant) -> Result<Connection> {
        if let Some(connection) = self.open_shared() {
            return Ok(connection);
        }
        let Ok(_connecting) = timeout_at(deadline, self.connecting.lock()).await else {
            return Err(self.unreachable("another call of this client is still connecting", None));
        };
        if let Some(connection) = self.open_shared() {
            return Ok(connection);
        }
        let connection = self.dedicated(deadline).await?;
        *lock(&self.shared) = Some(connection.clone());
        Ok(connection)
    }

    fn open_shared(&self) -> Option<Connection> {
        let mut shared = lock(&self.shared);
        if shared
            .as_ref()
            .is_some_and(|connection| connection.requests.is_closed())
        {
            *shared = None;
        }
        shared.clone()
    }

    /// Stops using a connection for new calls, and tries another endpoint first.
    pub fn abandon(&self, connection: &Connection) {
        let mut shared = lock(&self.shared);
        if shared.as_ref().is_some_and(|shared| shared.is_same(connection)) {
            *shared = None;
        }
        if self.first_endpoint() == connection.endpoint() {
            self.prefer_next();
        }
    }

    fn first_endpoint(&self) -> &Endpoint {
        &self.endpoints[self.preferred.load(Ordering::Relaxed) % self.endpoints.len()]
    }

    fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection for one user alone, to the first endpoint that answers before the deadline.
    pub async fn dedicated(&self, deadline: Instant) -> Result<Connection> {
        let began = Instant::now();
        let mut backoff = BACKOFF_FIRST;
        loop {
            let mut last = None;
            for _ in 0..self.endpoints.len() {
                let endpoint = self.first_endpoint();
                let bound = self
                    .setup
                    .connect_timeout
                    .min(deadline.saturating_duration_since(Instant::now()));
                let error = match timeout(bound, self.open(endpoint)).await {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(error)) => error,
                    Err(_) => std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer to the connect"),
                };
                if let Some(error) = refused_for_good(endpoint, &error) {
                    return Err(error);
                }
                last = Some((endpoint, error));
                self.prefer_next();
            }
            if let Some(autostart) = &self.autostart {
                autostart.ensure(deadline).await?;
                // Serving now; only a store that ends at once leads here again.
                if let Ok(Ok(connection)) =
                    timeout_at(deadline, Connection::open(&self.endpoints[0], &self.setup)).await
                {
                    return Ok(connection);
                }
            }
            let next = Instant::now() + jittered(backoff);
            if next >= deadline || !self.persistent {
                let tried = format!("tried for {:.1} s", began.elapsed().as_secs_f64());
                return Err(self.unreachable(&tried, last));
            }
            tokio::time::sleep_until(next).await;
            backoff = (backoff * 2).min(BACKOFF_LAST);
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> std::io::Result<Connection> {
        let connection = Connection::open(endpoint, &self.setup).await?;
        if let Some(cluster) = &self.cluster {
            cluster.check(&connection).await?;
        }
        Ok(connection)
    }

    fn unreachable(&self, tried: &str, last: Option<(&Endpoint, std::io::Error)>) -> Error {
        let named: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        let cause = match last {
            Some((endpoint, error)) if self.endpoints.len() > 1 => format!(" (last, {endpoint}: {error})"),
            Some((_, error)) => format!(": {error}"),
            None => String::new(),
        };
        let next = match self.endpoints[0] {
            Endpoint::Unix(_) if self.autostart.is_none() => {
                format!("; start {}, or turn autostart on", self.program)
            }
            Endpoint::Unix(_) => String::new(),
            Endpoint::Tcp(_) => "; are the members running, and is the address right?".to_owned(),
        };
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "cannot reach cfgstored at {}{cause}; {tried}{next}",
                named.join(", ")
            ),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held, and a connection is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Failures to connect that waiting does not mend.
fn refused_for_good(endpoint: &Endpoint, error: &std::io::Error) -> Option<Error> {
    use std::io::ErrorKind as Io;
    if let Some(planted) = error.get_ref().and_then(|cause| cause.downcast_ref::<Planted>()) {
        return Some(Error::new(
            ErrorKind::Denied,
            format!("{endpoint} is not trusted: {planted}"),
        ));
    }
    match error.kind() {
        Io::PermissionDenied => Some(Error::new(
            ErrorKind::Denied,
            format!(
                "no right to connect to {endpoint} as user {}: {error}; add the user to the socket's group",
                crate::sys::effective_user_id()
            ),
        )),
        Io::InvalidInput if endpoint.is_unix() => Some(Error::invalid(format!(
            "{endpoint} cannot be a socket: {error}; its path may have at most 107 bytes"
        ))),
        _ => None,
    }
}

fn client_name(stated: &str) -> Option<HeaderValue> {
    let clean: String = stated
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(CLIENT_NAME_MAX_BYTES)
        .collect();
    let clean = clean.trim();
    if clean.is_empty() {
        None
    } else {
        HeaderValue::from_str(clean).ok()
    }
}

/// Half to all of `backoff`, so that many clients do not come back in step.
pub(crate) fn jittered(backoff: Duration) -> Duration {
    let noise = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| {
            now.subsec_nanos() ^ std::process::id().wrapping_mul(0x9e37_79b9)
        });
    let half = backoff / 2;
    half + half.mul_f64(f64::from(noise % 1000) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_name_fits_into_a_header() {
        assert_eq!(client_name(" "), None);
        assert_eq!(client_name("shop\r\nx: y é").unwrap(), "shop??x: y ?");
        assert_eq!(
            client_name(&"n".repeat(300)).unwrap().len(),
            CLIENT_NAME_MAX_BYTES
        );
    }

    #[test]
    fn jitter_keeps_half() {
        for _ in 0..100 {
            let waited = jittered(Duration::from_millis(100));
            assert!((50..=100).contains(&waited.as_millis()), "{waited:?}");
        }
    }
}
