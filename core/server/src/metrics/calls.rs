//! Counts calls, by method and outcome. On a call's way there is a look at a sorted table, two readings of the clock and
//! a few counters: no memory is taken, unless it is a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use cfgstore_replica::Histogram;
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::body::{Received, Sent};

/// Upper bounds of the buckets of how long calls take, in seconds: Prometheus' usual ones, and shorter ones.
const BOUNDS_SECS: [f64; 15] = [
    0.0001, 0.0003, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The same in milliseconds.
pub(super) const BOUNDS_MILLIS: [f64; BOUNDS_SECS.len()] = [
    0.1, 0.3, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];
/// What gRPC's codes are called, in their order.
pub(super) const CODE_NAMES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The counters of every method that the `.proto` files have.
#[derive(Debug)]
pub(crate) struct Calls {
    /// In the order of their paths.
    methods: Vec<Counts>,
}

/// The counters of one method.
#[derive(Debug)]
pub(crate) struct Counts {
    /// `/service/method`, as it is asked for.
    path: String,
    service_end: usize,
    client_streams: bool,
    server_streams: bool,
    started: AtomicU64,
    handled: [AtomicU64; CODE_NAMES.len()],
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    /// How long calls took that succeeded, and those that failed. Streams are in neither.
    succeeded: Durations,
    failed: Durations,
}

#[derive(Debug, Default)]
struct Durations {
    counts: [AtomicU64; BOUNDS_SECS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Calls {
    pub fn new() -> Calls {
        let pool = DescriptorPool::decode(cfgstore_proto::FILE_DESCRIPTOR_SET)
            .expect("the build wrote the descriptors");
        let mut methods: Vec<Counts> = pool
            .services()
            // Members' own words: no client asks for them here.
            .filter(|service| !service.full_name().starts_with("cfgstore.peer."))
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| {
                let service = method.parent_service().full_name().to_owned();
                Counts {
                    path: format!("/{service}/{}", method.name()),
                    service_end: service.len() + 1,
                    client_streams: method.is_client_streaming(),
                    server_streams: method.is_server_streaming(),
                    started: AtomicU64::default(),
                    handled: Default::default(),
                    received: AtomicU64::default(),
                    sent: AtomicU64::default(),
                    succeeded: Durations::default(),
                    failed: Durations::default(),
                }
            })
            .collect();
        methods.sort_by(|a, b| a.path.cmp(&b.path));
        Calls { methods }
    }

    pub fn methods(&self) -> &[Counts] {
        &self.methods
    }

    /// The counters of a method that the `.proto` files have.
    pub fn of(&self, path: &str) -> Option<&Counts> {
        self.find(path).map(|at| &self.methods[at])
    }

    fn find(&self, path: &str) -> Option<usize> {
        self.methods
            .binary_search_by(|counts| counts.path.as_str().cmp(path))
            .ok()
    }
}

impl Counts {
    pub fn service(&self) -> &str {
        &self.path[1..self.service_end]
    }

    pub fn method(&self) -> &str {
        &self.path[self.service_end + 1..]
    }

    /// The kind, in the words of go-grpc-prometheus.
    pub fn kind(&self) -> &'static str {
        match (self.client_streams, self.server_streams) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        }
    }

    pub fn is_unary(&self) -> bool {
        !self.client_streams && !self.server_streams
    }

    pub fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    pub fn handled(&self, code: Code) -> u64 {
        self.handled[code as usize].load(Relaxed)
    }

    /// Calls that are under way.
    pub fn open(&self) -> u64 {
        let handled: u64 = self.handled.iter().map(|count| count.load(Relaxed)).sum();
        self.started().saturating_sub(handled)
    }

    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    pub fn durations(&self, success: bool) -> Histogram {
        let durations = if success { &self.succeeded } else { &self.failed };
        Histogram {
            bounds_secs: &BOUNDS_SECS,
            counts: durations.counts.iter().map(|count| count.load(Relaxed)).collect(),
            sum_secs: Duration::from_nanos(durations.sum_nanos.load(Relaxed)).as_secs_f64(),
        }
    }
}

impl Durations {
    fn observe(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let bucket = BOUNDS_SECS.iter().take_while(|bound| secs > **bound).count();
        self.counts[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }
}

/// A call that has started. It counts as cancelled when it is dropped before its outcome is known.
#[derive(Debug)]
pub(super) struct Running {
    calls: Arc<Calls>,
    at: usize,
    since: Instant,
    outcome: Code,
}

impl Running {
    pub fn counts(&self) -> &Counts {
        &self.calls.methods[self.at]
    }

    /// Counts it as ended with `code`.
    pub fn end(mut self, code: Code) {
        self.outcome = code;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let counts = self.counts();
        counts.handled[self.outcome as usize].fetch_add(1, Relaxed);
        if counts.is_unary() {
            let durations = match self.outcome {
                Code::Ok => &counts.succeeded,
                _ => &counts.failed,
            };
            durations.observe(self.since.elapsed());
        }
    }
}

/// The code among headers or trailers; `None` if there is none yet.
pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    let code = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(code.as_bytes()))
}

/// Counts the calls that pass.
#[derive(Clone, Debug)]
pub(crate) struct CallMetricsLayer(pub Arc<Calls>);

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S> Layer<S> for CallMetricsLayer {
    type Service = CallMetrics<S>;

    fn layer(&self, inner: S) -> CallMetrics<S> {
        CallMetrics {
            inner,
            calls: self.0.clone(),
        }
    }
}

impl<S> Service<Request<Body>> for CallMetrics<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Counted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(at) = self.calls.find(request.uri().path()) else {
            return Counted {
                inner: self.inner.call(request),
                running: None,
            };
        };
        let counts = &self.calls.methods[at];
        counts.started.fetch_add(1, Relaxed);
        let request = if counts.client_streams {
            request.map(|body| Body::new(Received::new(body, self.calls.clone(), at)))
        } else {
            counts.received.fetch_add(1, Relaxed);
            request
        };
        Counted {
            inner: self.inner.call(request),
            running: Some(Running {
                calls: self.calls.clone(),
                at,
                since: Instant::now(),
                outcome: Code::Cancelled,
            }),
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Counted<F> {
    inner: F,
    running: Option<Running>,
}

impl<F, E> Future for Counted<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let result = ready!(Pin::new(&mut self.inner).poll(cx));
        let Some(running) = self.running.take() else {
            return Poll::Ready(result);
        };
        Poll::Ready(match result {
            Err(error) => {
                running.end(Code::Internal);
                Err(error)
            }
            // A refusal comes without a message, so its code is among the headers.
            Ok(response) => match code_in(response.headers()) {
                Some(code) => {
                    running.end(code);
                    Ok(response)
                }
                None if running.counts().server_streams => {
                    Ok(response.map(|body| Body::new(Sent::new(body, running))))
                }
                None => {
                    running.counts().sent.fetch_add(1, Relaxed);
                    running.end(Code::Ok);
                    Ok(response)
                }
            },
        })
    }
}

impl Calls {
    pub(super) fn count_received(&self, at: usize, messages: u64) {
        self.methods[at].received.fetch_add(messages, Relaxed);
    }
}
