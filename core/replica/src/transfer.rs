//! Snapshot files on their way to members that lag so much that the log no longer reaches back to them.
//!
//! The file travels as it is, in pieces, on a connection of its own; how much of it is in memory does not depend on its
//! size. The receiver writes it beside its place and checks all of it before Raft hears of it. A transfer that fails
//! begins anew: the next attempt may well have a newer file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::install_request::Part;
use cfgstore_proto::cfgstore::peer::v1::snapshots_client::SnapshotsClient;
use cfgstore_proto::cfgstore::peer::v1::snapshots_server::Snapshots;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::disk::DiskFile;
use crate::peer::convert;
use crate::peer::handshake::From;
use crate::peer::link::{Peer, Peers};
use crate::raft::state_machine::Published;
use crate::raft::types::{LogId, Raft, SnapshotMeta, Vote, from_wal_id};
use crate::snapshot::{self, SnapshotDir, SnapshotFile};
use crate::stats::Counters;

const PIECE_BYTES: usize = 128 << 10;
/// Pieces read ahead of the network.
const PIECES_AHEAD: usize = 4;
/// A transfer in which no piece gets on for this long has failed.
const STALLED: Duration = Duration::from_secs(30);
/// How long the receiver may take to check and install what it has received; that it lives shows on the connection.
const INSTALLATION: Duration = Duration::from_secs(600);
/// Synced each time this much was written.
const SYNC_BYTES: u64 = 4 << 20;

/// Sends snapshots to other members. Clones share it.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) peers: Peers,
    pub(crate) snapshots: SnapshotDir,
    /// What a new snapshot is made of when the one there is turns out to be damaged.
    pub(crate) published: Published,
}

impl Sender {
    /// Sends a snapshot; returns the receiver's vote once it is installed there, or was not needed. When this fails
    /// because the file is damaged on this member's disk, there is another one for the next attempt.
    pub(crate) async fn send(
        &self,
        peer: &Peer,
        vote: &Vote,
        last: &LogId,
        snapshot: &SnapshotFile,
    ) -> Result<Vote, Status> {
        let transfer = peer.counters.snapshots_sent.begin();
        match send(&self.peers, peer, vote, last, snapshot).await {
            Ok(vote) => {
                transfer.succeeded();
                Ok(vote)
            }
            Err(status) => {
                if status.code() == Code::DataLoss {
                    let (snapshots, published) = (self.snapshots.clone(), self.published.clone());
                    let path = snapshot.path.clone();
                    blocking(move || snapshots.replace_if_damaged(&path, || published.position())).await?;
                }
                Err(status)
            }
        }
    }
}

async fn send(
    peers: &Peers,
    peer: &Peer,
    vote: &Vote,
    last: &LogId,
    snapshot: &SnapshotFile,
) -> Result<Vote, Status> {
    let (channel, generation) = peers.channel(peer, &peer.snapshots)?;
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let mut client = SnapshotsClient::new(channel);
    let head = pb::InstallHead {
        vote: Some(convert::from_vote(vote)),
        last: Some(convert::from_log_id(last)),
        size_bytes: snapshot.size_bytes,
    };
    let sending = feed(snapshot.clone(), head, pieces);
    let installing = client.install(peers.request(peer, ReceiverStream::new(receiver)));
    tokio::pin!(sending, installing);
    let answer = tokio::select! {
        // The receiver may answer before it has read everything: it refuses.
        answer = &mut installing => answer,
        sent = &mut sending => match sent {
            Ok(()) => match timeout(INSTALLATION, installing).await {
                Ok(answer) => answer,
                Err(_) => Err(Status::deadline_exceeded("the snapshot was sent, but not installed in time")),
            },
            Err(status) => Err(status),
        },
    };
    match answer {
        Ok(response) => convert::to_vote(response.into_inner().vote),
        Err(status) => {
            peers.failed(&peer.snapshots, generation, Some(&status));
            Err(status)
        }
    }
}

/// Hands the file over piece by piece, as fast as they are taken.
async fn feed(
    snapshot: SnapshotFile,
    head: pb::InstallHead,
    pieces: mpsc::Sender<pb::InstallRequest>,
) -> Result<(), Status> {
    let local = |error: &dyn std::fmt::Display| {
        Status::data_loss(format!("cannot read {}: {error}", snapshot.path.display()))
    };
    let file = snapshot.opened().ok_or_else(|| local(&"it was not opened"))?;
    let mut part = Some(Part::Head(head));
    let mut offset = 0;
    while let Some(next) = part.take() {
        let request = pb::InstallRequest { part: Some(next) };
        match timeout(STALLED, pieces.send(request)).await {
            Ok(Ok(())) => {}
            // The call has ended, and says why.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => {
                return Err(Status::deadline_exceeded(format!(
                    "nothing of the snapshot was taken within {STALLED:?}"
                )));
            }
        }
        let len = (snapshot.size_bytes - offset).min(PIECE_BYTES as u64) as usize;
        if len > 0 {
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; len];
                file.read_exact_at(&mut piece, offset).map(|()| piece)
            });
            let piece = read
                .await
                .map_err(|error| local(&error))?
                .map_err(|error| local(&error))?;
            offset += len as u64;
            part = Some(Part::Data(Bytes::from(piece)));
        }
    }
    Ok(())
}

/// Receives snapshots.
pub(crate) struct SnapshotService {
    snapshots: SnapshotDir,
    raft: Raft,
    counters: Arc<Counters>,
    /// Numbers the transfers: a new one ends the one before, whose sender has given it up.
    newest: AtomicU64,
}

impl SnapshotService {
    pub(crate) fn new(snapshots: SnapshotDir, raft: Raft, counters: Arc<Counters>) -> Self {
        Self {
            snapshots,
            raft,
            counters,
            newest: AtomicU64::new(0),
        }
    }

    async fn receive(
        &self,
        messages: &mut Streaming<pb::InstallRequest>,
        size_bytes: u64,
        number: u64,
    ) -> Result<Incoming, Status> {
        let mut incoming = Incoming::create(self.snapshots.clone(), number, size_bytes).await?;
        while let Some(message) = messages.message().await? {
            if self.newest.load(Relaxed) != number {
                return Err(Status::aborted("a newer transfer has begun"));
            }
            let Some(Part::Data(bytes)) = message.part else {
                return Err(Status::invalid_argument("a piece of the snapshot was expected"));
            };
            incoming.write(bytes).await?;
        }
        Ok(incoming)
    }
}

#[tonic::async_trait]
impl Snapshots for SnapshotService {
    async fn install(
        &self,
        request: Request<Streaming<pb::InstallRequest>>,
    ) -> Result<Response<pb::InstallResponse>, Status> {
        let From(sender) = *request
            .extensions()
            .get()
            .ok_or_else(|| Status::internal("the call was not checked"))?;
        let mut messages = request.into_inner();
        let Some(Part::Head(head)) = messages.message().await?.and_then(|message| message.part) else {
            return Err(Status::invalid_argument("the head of a snapshot was expected"));
        };
        let vote = convert::to_vote(head.vote)?;
        let last = head
            .last
            .map(convert::to_log_id)
            .ok_or_else(|| Status::invalid_argument("the snapshot has no last log entry"))?;
        let counters = self.counters.peer(sender);
        let transfer = counters.snapshots_received.begin();
        let number = self.newest.fetch_add(1, Relaxed) + 1;
        tracing::info!(
            index = last.index,
            bytes = head.size_bytes,
            "receiving a snapshot"
        );
        let incoming = self.receive(&mut messages, head.size_bytes, number).await?;
        let raft = self.raft.clone();
        // Raft goes on with it even if the sender does not wait for that.
        let installing = tokio::spawn(async move {
            let (file, meta) = incoming.check(last).await?;
            let snapshot = openraft::Snapshot { meta, snapshot: file };
            let installed = raft.install_full_snapshot(vote, snapshot).await;
            drop(incoming);
            installed.map_err(|error| Status::unavailable(format!("Raft has ended: {error}")))
        });
        let installed = installing
            .await
            .map_err(|error| Status::internal(error.to_string()))??;
        transfer.succeeded();
        Ok(Response::new(pb::InstallResponse {
            vote: Some(convert::from_vote(&installed.vote)),
        }))
    }
}

/// A file that is being received. It is removed when it is dropped, unless it has been given its name by then.
struct Incoming {
    snapshots: SnapshotDir,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    size_bytes: u64,
    offset: u64,
    synced: u64,
}

fn disk_error(path: &std::path::Path, error: &io::Error) -> Status {
    Status::aborted(format!("cannot write {}: {error}", path.display()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))
}

impl Incoming {
    async fn create(snapshots: SnapshotDir, number: u64, size_bytes: u64) -> Result<Incoming, Status> {
        let path = snapshots.incoming_path(number);
        let (disk, at) = (snapshots.clone(), path.clone());
        let file = blocking(move || disk.disk().create(&at)).await?;
        let file = file.map_err(|error| disk_error(&path, &error))?;
        Ok(Incoming {
            snapshots,
            path,
            file,
            size_bytes,
            offset: 0,
            synced: 0,
        })
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Status> {
        let (offset, len) = (self.offset, bytes.len() as u64);
        if len > self.size_bytes - offset {
            return Err(Status::invalid_argument(
                "more of the snapshot came than was announced",
            ));
        }
        let sync = offset + len - self.synced >= SYNC_BYTES;
        let file = self.file.clone();
        let written = blocking(move || {
            file.write_all_at(&bytes, offset)?;
            if sync { file.sync() } else { Ok(()) }
        })
        .await?;
        written.map_err(|error| disk_error(&self.path, &error))?;
        self.offset += len;
        if sync {
            self.synced = self.offset;
        }
        Ok(())
    }

    /// Makes the file durable and reads all of it back; Raft gets it together with what it holds.
    async fn check(&self, last: LogId) -> Result<(SnapshotFile, SnapshotMeta), Status> {
        if self.offset != self.size_bytes {
            return Err(Status::aborted("the snapshot ended early"));
        }
        let (file, snapshots, path) = (self.file.clone(), self.snapshots.clone(), self.path.clone());
        let synced = blocking(move || file.sync()).await?;
        synced.map_err(|error| disk_error(&self.path, &error))?;
        let loaded =
            blocking(move || snapshot::load(snapshots.disk(), &path, snapshots.cluster_id())).await?;
        let loaded =
            loaded.map_err(|error| Status::data_loss(format!("the snapshot arrived damaged: {error}")))?;
        if from_wal_id(loaded.1) != last {
            return Err(Status::data_loss(
                "the snapshot is not the one that was announced",
            ));
        }
        let meta = SnapshotMeta {
            last_log_id: Some(last),
            last_membership: loaded.2.clone(),
        };
        let file = SnapshotFile::received(self.path.clone(), self.size_bytes, loaded);
        Ok((file, meta))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already when it was installed; and the next start removes what is left.
        let _ = self.snapshots.disk().remove(&self.path);
    }
}
