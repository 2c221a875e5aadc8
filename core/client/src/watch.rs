//! Watches: every change in order, across reconnects, without a gap or a duplicate.

mod events;
mod types;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::watch_client::WatchClient;
use cfgstore_proto::etcdserverpb::watch_request::RequestUnion;
use futures_util::Stream as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};

use crate::call::{Call, on};
use crate::client::Client;
use crate::connection::{Connection, jittered};
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::{Span, printable};
use crate::refusal::{Effect, Failure};
pub use types::{Change, ChangeBatch, ChangeKind, WatchOptions};

/// Decoded changes kept for a reader that does not take them; then the server has to wait.
const MAX_QUEUED_BATCHES: usize = 1024;

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_LAST: Duration = Duration::from_secs(1);

/// A watch. It reconnects by itself, to another member if there is one, and goes on where it was.
///
/// Between two calls it may hold up to 1,024 revisions; then the server waits.
pub struct Watch {
    client: Client,
    span: Span,
    with_previous: bool,
    what: String,
    /// Changes from this revision on are still to come; 0: not known before the server's first answer.
    next_revision: i64,
    /// Of the store whose revisions these are; 0: not known before the server's first answer.
    cluster_id: u64,
    state: State,
    backoff: Duration,
    /// Until the first connection, being unreachable is an error; from then on it is waited out.
    give_up_at: Option<Instant>,
    has_been_open: bool,
    /// How often the server has confirmed it.
    openings: u64,
    /// Why it is not open, since it was last.
    trouble: Option<String>,
    queue: VecDeque<ChangeBatch>,
    failed: Option<Error>,
    /// The failure was reported; it is reported again on demand, but announces itself no longer.
    failure_reported: bool,
}

enum State {
    Idle,
    Waiting(Pin<Box<Sleep>>),
    Connecting(Pin<Box<dyn Future<Output = Result<Connection>> + Send>>),
    Requesting(Connection, Opening),
    Open(Box<OpenStream>),
}

type Opening = Pin<Box<dyn Future<Output = std::result::Result<OpenStream, Status>> + Send>>;

struct OpenStream {
    connection: Connection,
    responses: Streaming<pb::WatchResponse>,
    /// Dropping it would end the stream.
    _requests: mpsc::Sender<pb::WatchRequest>,
}

impl Watch {
    pub(crate) fn new(client: Client, options: WatchOptions) -> Result<Watch> {
        if options.from_revision < 0 {
            let message = format!(
                "revision {} is negative; revisions begin at 1",
                options.from_revision
            );
            return Err(Error::invalid(message));
        }
        let span = if options.single {
            let key = client.keyspace().key(&options.start)?;
            Span {
                key,
                range_end: Bytes::new(),
                hides_reserved: false,
            }
        } else {
            let mut span = client.keyspace().below(&options.start)?;
            span.hides_reserved &= !options.with_reserved;
            span
        };
        Ok(Watch {
            client,
            span,
            with_previous: options.with_previous,
            what: format!("watch of {}", printable(&options.start)),
            next_revision: options.from_revision,
            cluster_id: 0,
            state: State::Idle,
            backoff: Duration::ZERO,
            give_up_at: None,
            has_been_open: false,
            openings: 0,
            trouble: None,
            queue: VecDeque::new(),
            failed: None,
            failure_reported: false,
        })
    }

    /// The next changes. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Compacted`] if changes were missed because history is gone, or the store was replaced by another, and what the server refuses;
    /// the watch is then over and every further call says the same. [`ErrorKind::Unavailable`] if no server was
    /// ever reached; the next call tries again.
    pub async fn next(&mut self) -> Result<ChangeBatch> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Watch::next`], for hand-written futures.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<ChangeBatch>> {
        loop {
            if let Some(taken) = self.take() {
                return Poll::Ready(taken);
            }
            ready!(self.poll_progress(cx));
        }
    }

    /// The revision from which a new watch would go on without a gap once everything delivered so far is
    /// handled; 0: no server was reached yet.
    pub fn position(&self) -> i64 {
        self.queue
            .front()
            .map_or(self.next_revision, |batch| batch.revision)
    }

    /// Whether it is connected and the server has confirmed it.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_)) && self.has_been_open
    }

    /// How often a server has confirmed it: once more after each time it was broken.
    pub fn openings(&self) -> u64 {
        self.openings
    }

    /// What last kept it from being open, while it is not.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A change or a failure that is there already.
    pub(crate) fn take(&mut self) -> Option<Result<ChangeBatch>> {
        if let Some(batch) = self.queue.pop_front() {
            return Some(Ok(batch));
        }
        let error = self.failed.clone()?;
        self.failure_reported = self.is_over();
        if !self.failure_reported {
            self.failed = None;
        }
        Some(Err(error))
    }

    fn is_over(&self) -> bool {
        self.failed
            .as_ref()
            .is_some_and(|error| error.kind != ErrorKind::Unavailable)
    }

    pub(crate) fn has_something_to_take(&self) -> bool {
        !self.queue.is_empty() || self.failed.is_some()
    }

    /// Whether an event loop should be told that there is something to take.
    pub(crate) fn announces_something(&self) -> bool {
        !self.queue.is_empty() || (self.failed.is_some() && !self.failure_reported)
    }

    /// It takes in no more before something is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.failed.is_some() || self.queue.len() >= MAX_QUEUED_BATCHES
    }

    /// Takes in whatever has arrived, up to a bound, without waiting. Returns whether anything moved.
    pub(crate) fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while !self.is_full() && self.poll_progress(cx).is_ready() {
            moved = true;
        }
        moved
    }

    /// The connection to wait on, if there is one.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Requesting(connection, _) => Some(connection),
            State::Open(stream) => Some(&stream.connection),
            State::Idle | State::Waiting(_) | State::Connecting(_) => None,
        }
    }

    /// When it wants to be driven again although its connection is silent.
    pub(crate) fn wants_driving_after(&self) -> Option<Duration> {
        match &self.state {
            _ if self.failed.is_some() => None,
            State::Idle => Some(Duration::ZERO),
            State::Waiting(sleep) => Some(sleep.deadline().saturating_duration_since(Instant::now())),
            State::Connecting(_) => Some(Duration::from_millis(10)),
            State::Requesting(..) => Some(Duration::from_millis(100)),
            // So that pings go out and a dead peer is noticed.
            State::Open(stream) => {
                (!stream.connection.endpoint().is_unix()).then_some(Duration::from_secs(5))
            }
        }
    }

    /// Goes one step on. Ready: something moved, perhaps only inside.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.failed.is_some() {
            return Poll::Ready(());
        }
        match &mut self.state {
            State::Idle => self.start_connecting(),
            State::Waiting(sleep) => {
                ready!(sleep.as_mut().poll(cx));
                self.state = State::Idle;
            }
            State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                Ok(connection) => {
                    self.state = State::Requesting(connection.clone(), self.request(connection));
                }
                Err(error) => self.connect_failed(error),
            },
            State::Requesting(connection, opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok(stream) => self.state = State::Open(Box::new(stream)),
                Err(status) => {
                    let connection = connection.clone();
                    self.broke(&connection, &Failure::of(&status));
                }
            },
            State::Open(stream) => {
                let event = ready!(Pin::new(&mut stream.responses).poll_next(cx));
                let connection = stream.connection.clone();
                match event {
                    Some(Ok(response)) => self.take_in(&connection, response),
                    Some(Err(status)) => self.broke(&connection, &Failure::of(&status)),
                    None => self.broke(
                        &connection,
                        &Failure::of(&Status::unavailable("the stream ended")),
                    ),
                }
            }
        }
        Poll::Ready(())
    }

    fn start_connecting(&mut self) {
        let bound = if self.has_been_open {
            self.client.deadline()
        } else {
            *self.give_up_at.get_or_insert_with(|| self.client.deadline())
        };
        let client = self.client.clone();
        self.state = State::Connecting(Box::pin(
            async move { client.connections().dedicated(bound).await },
        ));
    }

    fn connect_failed(&mut self, mut error: Error) {
        self.trouble = Some(error.message.clone());
        // A store that starts slowly, for one. It may be there at the next call, and a timeout would be the caller's.
        if error.kind == ErrorKind::Timeout {
            error.kind = ErrorKind::Unavailable;
        }
        if self.has_been_open && error.retryable() {
            self.wait();
        } else {
            self.state = State::Idle;
            self.give_up_at = None;
            self.failed = Some(error);
        }
    }

    fn request(&self, connection: Connection) -> Opening {
        let create = pb::WatchCreateRequest {
            key: self.span.key.clone(),
            range_end: self.span.range_end.clone(),
            start_revision: self.next_revision,
            progress_notify: true,
            prev_kv: self.with_previous,
            ..Default::default()
        };
        let deadline = self.client.deadline();
        Box::pin(async move {
            let (requests, outgoing) = mpsc::channel(1);
            // There is room for one.
            let _ = requests.try_send(pb::WatchRequest {
                request_union: Some(RequestUnion::CreateRequest(create)),
            });
            let mut request = Request::new(ReceiverStream::new(outgoing));
            // A member without a leader ends the watch instead of falling silent.
            request
                .metadata_mut()
                .insert("hasleader", MetadataValue::from_static("true"));
            let mut service = on!(WatchClient, connection.clone());
            match timeout_at(deadline, service.watch(request)).await {
                Ok(answer) => Ok(OpenStream {
                    connection,
                    responses: answer?.into_inner(),
                    _requests: requests,
                }),
                Err(_) => Err(Status::unavailable("no answer to the request for a watch")),
            }
        })
    }

    fn take_in(&mut self, connection: &Connection, response: pb::WatchResponse) {
        if response.canceled {
            return self.canceled(connection, &response);
        }
        let header = response.header.unwrap_or_default();
        let current = header.revision;
        if response.created {
            let before = std::mem::replace(&mut self.cluster_id, header.cluster_id);
            if before != 0 && before != header.cluster_id {
                return self.fail(self.replaced(connection, before, header.cluster_id));
            }
            self.has_been_open = true;
            self.openings += 1;
            self.trouble = None;
            self.backoff = Duration::ZERO;
            if self.next_revision == 0 {
                self.next_revision = current + 1;
            }
        } else if response.events.is_empty() {
            // A progress report: everything up to its revision has been delivered.
            self.next_revision = self.next_revision.max(current + 1);
        } else {
            self.take_events(response.events);
        }
    }

    fn take_events(&mut self, events: Vec<cfgstore_proto::mvccpb::Event>) {
        // Servers never split a revision over two responses, so what is older than the last one is a repetition.
        let expected = self.next_revision;
        for (revision, change) in events::changes(events, self.client.keyspace(), &self.span) {
            if revision < expected {
                continue;
            }
            self.next_revision = self.next_revision.max(revision + 1);
            let Some(change) = change else { continue };
            match self.queue.back_mut() {
                Some(last) if last.revision == revision => last.changes.push(change),
                _ => self.queue.push_back(ChangeBatch {
                    revision,
                    changes: vec![change],
                }),
            }
        }
    }

    /// Its revisions begin anew: what is beyond the next one here may be long past there.
    fn replaced(&self, connection: &Connection, before: u64, now: u64) -> Error {
        let message = format!(
            "{} cannot go on from revision {}: at {} another store has taken the place of the one that was watched (cluster {now:x}, \
             before {before:x}); read the current state and watch from there",
            self.what,
            self.next_revision,
            connection.endpoint(),
        );
        Error::new(ErrorKind::Compacted, message)
    }

    fn canceled(&mut self, connection: &Connection, response: &pb::WatchResponse) {
        if response.compact_revision != 0 {
            let message = format!(
                "{} cannot go on from revision {}: history before {} is gone (compacted); read the current \
                 state and watch from there",
                self.what, self.next_revision, response.compact_revision
            );
            return self.fail(Error::new(ErrorKind::Compacted, message));
        }
        let reason = &response.cancel_reason;
        if reason.is_empty() {
            return self.fail(Error::invalid(format!(
                "{} was refused by {}",
                self.what,
                connection.endpoint()
            )));
        }
        self.broke(connection, &Failure::of_watch_reason(reason));
    }

    fn broke(&mut self, connection: &Connection, failure: &Failure) {
        self.client.connections().abandon(connection);
        self.trouble = Some(format!("{}: {}", connection.endpoint(), failure.text));
        if failure.effect == Effect::Refused {
            let call = Call {
                name: &self.what,
                about: b"",
                writes: false,
            };
            let error = call.error(connection, failure);
            return self.fail(error);
        }
        if !self.has_been_open && self.give_up_at.is_some_and(|at| Instant::now() >= at) {
            let call = Call {
                name: &self.what,
                about: b"",
                writes: false,
            };
            let mut error = call.error(connection, failure);
            error.kind = ErrorKind::Unavailable;
            return self.connect_failed(error);
        }
        self.wait();
    }

    fn fail(&mut self, error: Error) {
        self.state = State::Idle;
        self.failed = Some(error);
    }

    fn wait(&mut self) {
        if self.backoff.is_zero() {
            // The first attempt after a good connection is made at once.
            self.backoff = BACKOFF_FIRST;
            self.state = State::Idle;
            return;
        }
        self.state = State::Waiting(Box::pin(tokio::time::sleep(jittered(self.backoff))));
        self.backoff = (self.backoff * 2).min(BACKOFF_LAST);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("what", &self.what)
            .field("next_revision", &self.next_revision)
            .finish()
    }
}
