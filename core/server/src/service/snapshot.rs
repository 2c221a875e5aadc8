//! The Snapshot call: the state as etcd's database file, in pieces, and then its SHA-256.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use cfgstore_backup::{EtcdSnapshot, MemberEntry, SnapshotSource};
use cfgstore_proto::etcdserverpb::SnapshotResponse;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::maintenance::ETCD_STORAGE_VERSION;
use crate::context::Context;
use crate::errors;

/// What Snapshot answers.
pub(super) type SnapshotStream = ReceiverStream<Result<SnapshotResponse, Status>>;

/// Bytes of a piece (etcd's number).
const PIECE_BYTES: usize = 32 * 1024;
/// Pieces made before the client has taken them.
const PIECES_AHEAD: usize = 4;
/// Snapshots sent at once; each has a thread of its own. Further calls are refused.
const MAX_AT_ONCE: usize = 4;

static AT_ONCE: Semaphore = Semaphore::const_new(MAX_AT_ONCE);

/// Begins to write a snapshot of the present state.
pub(super) fn start(ctx: &Arc<Context>) -> Result<SnapshotStream, Status> {
    let permit = AT_ONCE.try_acquire().map_err(|_| errors::too_many_requests())?;
    let status = ctx.member.status();
    // After the status: the state holds what the index says at least.
    let state = ctx.member.state();
    let members = ctx.member.members().into_iter().map(|member| MemberEntry {
        id: member.id,
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        is_learner: member.is_learner,
    });
    let source = SnapshotSource {
        applied_index: status.applied_index,
        term: status.term,
        members: members.collect(),
    };
    let (pieces, stream) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let snapshot = EtcdSnapshot::new((*state).clone(), source);
        let mut pieces = Pieces {
            remaining: snapshot.database_bytes(),
            piece: Vec::with_capacity(PIECE_BYTES),
            pieces,
        };
        // The only thing that fails is the channel, when the client has gone.
        if snapshot
            .write_to(&mut pieces)
            .and_then(|()| pieces.flush())
            .is_err()
        {
            tracing::info!("a client went away before its snapshot was complete");
        }
    });
    Ok(ReceiverStream::new(stream))
}

/// Cuts what is written into pieces; the end of the database ends a piece.
struct Pieces {
    /// Bytes of the database that were not sent yet.
    remaining: u64,
    piece: Vec<u8>,
    pieces: mpsc::Sender<Result<SnapshotResponse, Status>>,
}

impl Pieces {
    /// How much more goes into the present piece.
    fn room(&self) -> usize {
        let end = match self.remaining {
            0 => PIECE_BYTES,
            remaining => usize::try_from(remaining).map_or(PIECE_BYTES, |end| end.min(PIECE_BYTES)),
        };
        end - self.piece.len()
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.room() == 0 {
            self.flush()?;
        }
        Ok(taken)
    }

    /// Sends what there is as a piece.
    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let blob = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.remaining = self.remaining.saturating_sub(blob.len() as u64);
        let response = SnapshotResponse {
            header: None,
            remaining_bytes: self.remaining,
            blob: Bytes::from(blob),
            version: ETCD_STORAGE_VERSION.to_owned(),
        };
        self.pieces
            .blocking_send(Ok(response))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
