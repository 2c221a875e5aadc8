//! One stream of watches, as its client reads it.
//!
//! Nothing happens here unless the client takes what is sent: requests are read, and history is walked, only
//! when the transport asks for the next response. So a slow client costs its bounded queue and no more.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_store::Caller;
use futures_util::Stream;
use pb::watch_request::RequestUnion;
use pb::{WatchCreateRequest, WatchRequest, WatchResponse};
use rand::Rng;
use tokio::time::{Interval, MissedTickBehavior};
use tonic::{Status, Streaming};

use super::catch_up::{CatchUp, catch_up};
use super::fragment;
use super::hub::Admission;
use super::queue::{Item, Queue};
use super::spec::Spec;
use crate::context::Context;
use crate::errors;

/// In place of the id of a watch that was refused, and of one when all watches are meant.
const NO_WATCH_ID: i64 = -1;

/// One stream of watches.
pub(crate) struct WatchStream {
    ctx: Arc<Context>,
    /// On whose behalf the watches run.
    _caller: Caller,
    requests: Streaming<WatchRequest>,
    /// The client sends no more requests; its watches go on.
    requests_ended: bool,
    queue: Arc<Queue>,
    watches: HashMap<i64, Watch>,
    /// Watches that are behind, served in turn.
    behind: VecDeque<i64>,
    /// Whether the turn is with those that are behind, or with the queue.
    turn_of_behind: bool,
    /// What is left of a response that is sent in fragments.
    fragments: VecDeque<WatchResponse>,
    next_watch_id: i64,
    progress: Option<Interval>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

struct Watch {
    admission: Admission,
    spec: Arc<Spec>,
    /// Where to go on in history; meaningful while the watch is behind.
    next_revision: i64,
    /// Whether events were sent since the last progress notification was due.
    had_events: bool,
}

impl WatchStream {
    pub fn new(ctx: Arc<Context>, caller: Caller, requests: Streaming<WatchRequest>) -> WatchStream {
        WatchStream {
            stopped: Box::pin(ctx.stop.stopped()),
            ctx,
            _caller: caller,
            requests,
            requests_ended: false,
            queue: Arc::default(),
            watches: HashMap::new(),
            behind: VecDeque::new(),
            turn_of_behind: false,
            fragments: VecDeque::new(),
            next_watch_id: 0,
            progress: None,
            ended: false,
        }
    }

    // ---- requests ----

    fn handle(&mut self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(&request),
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.progress_of_all(),
            // From a newer client; etcd takes no notice either.
            None => {}
        }
    }

    fn create(&mut self, request: &WatchCreateRequest) {
        let spec = Arc::new(Spec::new(request));
        let state = self.ctx.member.state();
        let created = self.admit(request, &spec);
        let (watch_id, admission) = match created {
            Ok(created) => created,
            Err(cancel_reason) => {
                return self.respond(WatchResponse {
                    header: Some(self.ctx.header(state.revision())),
                    watch_id: NO_WATCH_ID,
                    created: true,
                    canceled: true,
                    cancel_reason,
                    ..Default::default()
                });
            }
        };
        // Into the queue before the hub can put events behind it.
        self.respond(WatchResponse {
            header: Some(self.ctx.header(state.revision())),
            watch_id,
            created: true,
            ..Default::default()
        });
        let start = match spec.start_revision {
            0 => state.revision() + 1,
            revision => revision,
        };
        if !self.ctx.hub.sync(&admission, &spec, watch_id, start, &self.queue) {
            self.queue.push(Item::Behind {
                watch_id,
                hub_id: admission.id(),
                next_revision: start,
            });
        }
        if spec.progress_notify && self.progress.is_none() {
            self.progress = Some(ticks(self.ctx.config.watch_progress_notify_interval));
        }
        self.watches.insert(
            watch_id,
            Watch {
                admission,
                spec,
                next_revision: start,
                had_events: false,
            },
        );
    }

    /// Finds the watch an id and a place, or says why it is refused.
    fn admit(&mut self, request: &WatchCreateRequest, spec: &Spec) -> Result<(i64, Admission), String> {
        if spec.start_revision < 0 {
            return Err(errors::COMPACTED.to_owned());
        }
        if spec.keys().is_empty() {
            return Err(errors::EMPTY_WATCH_RANGE.to_owned());
        }
        let limit = self.ctx.config.max_watches_per_stream;
        if self.watches.len() >= limit {
            return Err(format!(
                "cfgstore: this stream has {limit} watches, the most allowed; open another stream"
            ));
        }
        let watch_id = match request.watch_id {
            0 => {
                while self.watches.contains_key(&self.next_watch_id) {
                    self.next_watch_id += 1;
                }
                self.next_watch_id += 1;
                self.next_watch_id - 1
            }
            chosen if self.watches.contains_key(&chosen) => return Err(errors::DUPLICATE_WATCH_ID.to_owned()),
            chosen => chosen,
        };
        let admission = self.ctx.hub.admit().map_err(|limit| {
            format!("cfgstore: this member serves {limit} watches, the most allowed; ask another member")
        })?;
        Ok((watch_id, admission))
    }

    fn cancel(&mut self, watch_id: i64) {
        if self.watches.remove(&watch_id).is_none() {
            return;
        }
        self.behind.retain(|id| *id != watch_id);
        self.respond(WatchResponse {
            header: Some(self.ctx.current_header()),
            watch_id,
            canceled: true,
            ..Default::default()
        });
    }

    fn respond(&self, response: WatchResponse) {
        self.queue.push(Item::Response(response));
    }

    // ---- progress ----

    /// Answers a request for progress, if every watch has been given everything up to one revision; else says
    /// nothing.
    fn progress_of_all(&mut self) {
        self.ctx.hub.dispatch(&self.ctx.member.state());
        let mut revision = None;
        for watch in self.watches.values() {
            match self.ctx.hub.progress(&watch.admission) {
                Some(reached) => revision = Some(revision.map_or(reached, |least: i64| least.min(reached))),
                None => return,
            }
        }
        if let Some(revision) = revision {
            self.respond(self.progress_response(NO_WATCH_ID, revision));
        }
    }

    /// Tells quiet watches that asked for it how far they have got.
    fn progress_is_due(&mut self) {
        let mut responses = Vec::new();
        for (watch_id, watch) in &mut self.watches {
            if !watch.spec.progress_notify {
                continue;
            }
            if !std::mem::replace(&mut watch.had_events, false)
                && let Some(revision) = self.ctx.hub.progress(&watch.admission)
            {
                responses.push((*watch_id, revision));
            }
        }
        for (watch_id, revision) in responses {
            self.respond(self.progress_response(watch_id, revision));
        }
    }

    fn progress_response(&self, watch_id: i64, revision: i64) -> WatchResponse {
        WatchResponse {
            header: Some(self.ctx.header(revision)),
            watch_id,
            ..Default::default()
        }
    }

    // ---- events ----

    /// The next item of the queue as a response; `None` if it was none, or there is none.
    fn take_from_queue(&mut self) -> Option<WatchResponse> {
        match self.queue.pop()? {
            Item::Response(response) => Some(response),
            Item::Events {
                watch_id,
                hub_id,
                revision,
                events,
            } => {
                let watch = self.watch_of(watch_id, hub_id)?;
                watch.had_events = true;
                let spec = watch.spec.clone();
                self.events(watch_id, &spec, revision, events)
            }
            Item::Behind {
                watch_id,
                hub_id,
                next_revision,
            } => {
                self.watch_of(watch_id, hub_id)?.next_revision = next_revision;
                self.behind.push_back(watch_id);
                None
            }
        }
    }

    /// The watch, if it is still the one that the item was made for: a client may cancel one and reuse its
    /// id.
    fn watch_of(&mut self, watch_id: i64, hub_id: u64) -> Option<&mut Watch> {
        self.watches
            .get_mut(&watch_id)
            .filter(|watch| watch.admission.id() == hub_id)
    }

    fn events(
        &mut self,
        watch_id: i64,
        spec: &Spec,
        revision: i64,
        events: Vec<cfgstore_proto::mvccpb::Event>,
    ) -> Option<WatchResponse> {
        let response = WatchResponse {
            header: Some(self.ctx.header(revision)),
            watch_id,
            events,
            ..Default::default()
        };
        if !spec.fragment {
            return Some(response);
        }
        self.fragments = fragment::split(response, self.ctx.config.max_wire_bytes());
        self.fragments.pop_front()
    }

    /// Serves the watch whose turn it is from history.
    fn take_from_history(&mut self) -> Option<WatchResponse> {
        let watch_id = self.behind.pop_front()?;
        let watch = self.watches.get_mut(&watch_id)?;
        let state = self.ctx.member.state();
        match catch_up(&state, &watch.spec, watch.next_revision) {
            CatchUp::Compacted { compact_revision } => {
                self.watches.remove(&watch_id);
                // The header shows no revision: nothing is said about what was not sent.
                Some(WatchResponse {
                    header: Some(self.ctx.header(0)),
                    watch_id,
                    canceled: true,
                    compact_revision,
                    ..Default::default()
                })
            }
            CatchUp::Read {
                events,
                next_revision,
            } => {
                watch.next_revision = next_revision;
                let spec = watch.spec.clone();
                let caught_up = next_revision > state.revision()
                    && self
                        .ctx
                        .hub
                        .sync(&watch.admission, &spec, watch_id, next_revision, &self.queue);
                if !caught_up {
                    self.behind.push_back(watch_id);
                }
                if events.is_empty() {
                    return None;
                }
                watch.had_events = true;
                self.events(watch_id, &spec, next_revision - 1, events)
            }
        }
    }

    // ---- the stream ----

    /// Handles at most one request. `true`, if there was one.
    fn poll_requests(&mut self, cx: &mut TaskContext<'_>) -> Result<bool, Status> {
        if self.requests_ended {
            return Ok(false);
        }
        match Pin::new(&mut self.requests).poll_next(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(None) => {
                self.requests_ended = true;
                Ok(false)
            }
            Poll::Ready(Some(request)) => {
                self.handle(request?);
                Ok(true)
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut TaskContext<'_>) {
        while let Some(progress) = &mut self.progress {
            match progress.poll_tick(cx) {
                Poll::Ready(_) => self.progress_is_due(),
                Poll::Pending => return,
            }
        }
    }

    fn poll_response(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<WatchResponse, Status>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(errors::stopped()));
        }
        if let Some(fragment) = self.fragments.pop_front() {
            return Poll::Ready(Ok(fragment));
        }
        self.poll_progress(cx);
        loop {
            // One request for each turn, so that neither requests nor events wait for the other to end.
            let had_request = self.poll_requests(cx)?;
            self.turn_of_behind = !self.behind.is_empty() && (!self.turn_of_behind || self.queue.is_empty());
            let response = if self.turn_of_behind {
                self.take_from_history()
            } else {
                self.take_from_queue()
            };
            if let Some(response) = response {
                return Poll::Ready(Ok(response));
            }
            if self.turn_of_behind {
                // A stretch of history without a response: let others run before the next one.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !had_request && self.behind.is_empty() && self.queue.wait(cx.waker()) {
                return Poll::Pending;
            }
        }
    }
}

/// As long as asked for, and up to a tenth more, so that streams opened together do not all speak at once.
fn ticks(interval: Duration) -> Interval {
    let period = interval.mul_f64(1.0 + rand::rng().random_range(0.0..0.1));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Stream for WatchStream {
    type Item = Result<WatchResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let response = std::task::ready!(this.poll_response(cx));
        this.ended = response.is_err();
        Poll::Ready(Some(response))
    }
}
