//! A watcher that stays with one member, whatever becomes of it, and resumes after the last event it saw.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use pb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::shared::{END, PREFIX, Shared};
use crate::cluster::{Calls, prefix_end};

/// How long after the last event was written a watcher may take to see it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause before a stream is opened again.
const RETRY: Duration = Duration::from_millis(20);

/// What a watcher saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub endpoint: String,
    /// Revision and key of each event, as they came.
    pub events: Vec<(i64, Bytes)>,
    /// Revisions that a compaction notice said are gone: first, and first that is there.
    pub gaps: Vec<(i64, i64)>,
    pub reconnects: u64,
    /// It saw the last event of the load.
    pub complete: bool,
}

pub(super) struct Watcher {
    shared: Arc<Shared>,
    seen: Seen,
    next: i64,
}

impl Watcher {
    pub fn new(shared: Arc<Shared>, endpoint: String) -> Watcher {
        let next = shared.start_revision.load(Ordering::Relaxed) + 1;
        Watcher {
            shared,
            seen: Seen {
                endpoint,
                events: Vec::new(),
                gaps: Vec::new(),
                reconnects: 0,
                complete: false,
            },
            next,
        }
    }

    pub async fn run(mut self) -> Seen {
        let calls = Calls::new(&self.seen.endpoint, PATIENCE);
        let mut patience = Patience {
            shared: self.shared.clone(),
            endpoint: self.seen.endpoint.clone(),
            deadline: None,
        };
        loop {
            let ended = tokio::select! {
                ended = self.stream(&calls) => ended,
                () = patience.over() => return self.seen,
            };
            if self.seen.complete || patience.is_over() {
                return self.seen;
            }
            if let Err(error) = ended {
                self.shared.failed("watch", &self.seen.endpoint, &error);
            }
            self.seen.reconnects += 1;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// One stream, until it ends or breaks.
    async fn stream(&mut self, calls: &Calls) -> Result<(), Status> {
        let create = pb::WatchCreateRequest {
            key: Bytes::from(PREFIX),
            range_end: prefix_end(PREFIX),
            start_revision: self.next,
            ..Default::default()
        };
        let (requests, outgoing) = mpsc::channel(1);
        let create = pb::WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        requests.try_send(create).expect("room for one");
        let mut client =
            pb::watch_client::WatchClient::new(calls.channel()).max_decoding_message_size(64 << 20);
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let mut incoming = client.watch(outgoing).await?.into_inner();
        while let Some(message) = incoming.message().await? {
            for event in &message.events {
                let kv = event.kv.as_ref().expect("an event has its key");
                if kv.mod_revision < self.next {
                    self.fault(format!(
                        "saw revision {} again, when {} was due",
                        kv.mod_revision, self.next
                    ));
                }
                self.next = kv.mod_revision + 1;
                if kv.key == END.as_bytes() {
                    self.seen.complete = true;
                    return Ok(());
                }
                self.seen
                    .events
                    .push((kv.mod_revision, Bytes::copy_from_slice(&kv.key)));
            }
            if message.compact_revision > 0 {
                self.seen.gaps.push((self.next, message.compact_revision));
                self.next = self.next.max(message.compact_revision);
                return Ok(());
            }
            if message.canceled {
                return Err(Status::cancelled(message.cancel_reason));
            }
        }
        Ok(())
    }

    fn fault(&self, fault: String) {
        self.shared
            .fault(format!("watcher at {}: {fault}", self.seen.endpoint));
    }
}

/// When a watcher need not go on: a while after the last event was written, at once at a member that is gone.
struct Patience {
    shared: Arc<Shared>,
    endpoint: String,
    deadline: Option<Instant>,
}

impl Patience {
    fn is_over(&mut self) -> bool {
        if !self.shared.ended.load(Ordering::Relaxed) {
            return false;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        Instant::now() >= deadline || self.shared.lock_gone().contains(&self.endpoint)
    }

    async fn over(&mut self) {
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
