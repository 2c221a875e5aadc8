//! What one connection sends: gathered while its task runs, and written to the socket once the task has paused.
//!
//! The HTTP/2 library below us makes a system call for each answer of some size. A busy connection has many answers ready
//! at a time; written together they cost one. The writing is done by a task of its own, which the first byte wakes: it
//! comes to its turn after the connection's task, and so after everything that this had to send.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncWrite;

/// Bytes that may wait on one connection. When that many do, the connection's task waits until there is room.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// Memory that a connection keeps while nothing waits.
const KEPT_BYTES: usize = 16 * 1024;

/// The connection's end of what it sends.
#[derive(Debug)]
pub(crate) struct Outgoing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes of `waiting` that are written.
    written: usize,
    /// Wakes the task that writes.
    writer: Option<Waker>,
    /// Wakes the connection's task, when it waits for room or for the end.
    connection: Option<Waker>,
    stage: Stage,
    /// Why the socket takes no more.
    failed: Option<io::ErrorKind>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// What waits is written, then the socket is shut down.
    Ending,
    /// The connection is gone: what the socket takes at once is written, and no more.
    Dropped,
    /// The socket is shut down.
    Ended,
}

impl Outgoing {
    /// Takes over the writing end of a socket. What the second part is runs as a task, for as long as this is there.
    fn new(socket: impl AsyncWrite + Unpin) -> (Outgoing, impl Future<Output = ()>) {
        let state = Arc::new(Mutex::new(State::default()));
        (Outgoing(state.clone()), write(state, socket))
    }

    /// The same, with the task started.
    pub fn spawn(socket: impl AsyncWrite + Send + Unpin + 'static) -> Outgoing {
        let (outgoing, writer) = Outgoing::new(socket);
        tokio::spawn(writer);
        outgoing
    }

    /// Takes what there is room for.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        state.check()?;
        if state.stage != Stage::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = MAX_WAITING_BYTES - state.waiting();
        if room == 0 {
            state.connection = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // What is written goes in large pieces, so that little is moved.
        if state.written >= MAX_WAITING_BYTES / 2 {
            let written = std::mem::take(&mut state.written);
            state.waiting.drain(..written);
        }
        let before = room;
        for buf in bufs {
            let count = buf.len().min(room);
            state.waiting.extend_from_slice(&buf[..count]);
            room -= count;
        }
        // If there were bytes before, it has been woken, or waits for the socket.
        if before == MAX_WAITING_BYTES {
            state.wake_writer();
        }
        Poll::Ready(Ok(before - room))
    }

    /// Succeeds at once: what waits is on its way.
    pub fn poll_flush(&mut self) -> Poll<io::Result<()>> {
        Poll::Ready(lock(&self.0).check())
    }

    /// Waits until everything is written and the socket shut down.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        if state.stage == Stage::Ended {
            return Poll::Ready(state.check());
        }
        state.stage = Stage::Ending;
        state.connection = Some(cx.waker().clone());
        state.wake_writer();
        Poll::Pending
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if state.stage != Stage::Ended {
            state.stage = Stage::Dropped;
            state.wake_writer();
        }
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.waiting.len() - self.written
    }

    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wake_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
    }

    /// Writes everything, or as much as the socket takes.
    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while self.waiting() > 0 {
            match ready!(Pin::new(&mut *socket).poll_write(cx, &self.waiting[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            // Who waits for room gets much of it at once.
            if self.waiting() <= MAX_WAITING_BYTES / 2 {
                self.wake_connection();
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(KEPT_BYTES);
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

async fn write(state: Arc<Mutex<State>>, mut socket: impl AsyncWrite + Unpin) {
    let result = poll_fn(|cx| {
        let mut state = lock(&state);
        let written = state.poll_write_all(cx, &mut socket)?;
        // While it waits for the socket too: the connection may be dropped meanwhile.
        state.writer = Some(cx.waker().clone());
        match state.stage {
            Stage::Dropped => Poll::Ready(Ok(())),
            Stage::Ending if written.is_ready() => Pin::new(&mut socket).poll_shutdown(cx),
            Stage::Ending | Stage::Open | Stage::Ended => Poll::Pending,
        }
    })
    .await;
    let mut state = lock(&state);
    state.failed = result.err().map(|error: io::Error| error.kind());
    state.stage = Stage::Ended;
    state.wake_connection();
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    async fn write_all(outgoing: &mut Outgoing, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| outgoing.poll_write(cx, &[IoSlice::new(bytes)])).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn fits(outgoing: &mut Outgoing, bytes: &[u8]) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let result = outgoing.poll_write(&mut cx, &[IoSlice::new(bytes)]);
        matches!(result, Poll::Ready(Ok(count)) if count == bytes.len())
    }

    #[tokio::test]
    async fn what_is_written_in_one_turn_arrives_at_once_and_in_order() {
        let (ours, mut theirs) = duplex(1 << 20);
        let (mut outgoing, writer) = Outgoing::new(ours);
        tokio::spawn(writer);
        for n in 0..100_u8 {
            assert!(fits(&mut outgoing, &[n; 100]));
        }
        assert!(outgoing.poll_flush().is_ready());
        let mut read = vec![0; 20_000];
        // A duplex gives what was written so far; all of it was, in one go.
        assert_eq!(theirs.read(&mut read).await.unwrap(), 10_000);
        assert!((0..100).all(|n| read[n * 100..][..100] == [n as u8; 100]));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_holds_up_the_connection_not_the_memory() {
        let (ours, mut theirs) = duplex(1_000);
        let (mut outgoing, writer) = Outgoing::new(ours);
        tokio::spawn(writer);
        assert!(fits(&mut outgoing, &vec![7; MAX_WAITING_BYTES]));
        assert!(!fits(&mut outgoing, b"x"));
        assert!(lock(&outgoing.0).waiting.capacity() <= 2 * MAX_WAITING_BYTES);
        // It goes on when the peer reads, and nothing is lost or doubled.
        let more = vec![8; 10 * MAX_WAITING_BYTES];
        let (written, read) = tokio::join!(write_all(&mut outgoing, &more), async {
            let mut read = vec![0; 11 * MAX_WAITING_BYTES];
            theirs.read_exact(&mut read).await.unwrap();
            read
        });
        written.unwrap();
        assert!(read[..MAX_WAITING_BYTES].iter().all(|byte| *byte == 7));
        assert!(read[MAX_WAITING_BYTES..].iter().all(|byte| *byte == 8));
        assert!(lock(&outgoing.0).waiting.capacity() <= 3 * MAX_WAITING_BYTES);
    }

    #[tokio::test]
    async fn shutting_down_waits_for_the_last_byte() {
        let (ours, mut theirs) = duplex(10);
        let (mut outgoing, writer) = Outgoing::new(ours);
        tokio::spawn(writer);
        assert!(fits(&mut outgoing, &[1; 1_000]));
        let (ended, read) = tokio::join!(poll_fn(|cx| outgoing.poll_shutdown(cx)), async {
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).await.unwrap();
            read
        });
        ended.unwrap();
        assert_eq!(read, [1; 1_000]);
        assert!(!fits(&mut outgoing, b"x"));
    }

    #[tokio::test]
    async fn what_was_taken_before_the_connection_is_dropped_is_still_sent() {
        let (ours, mut theirs) = duplex(1 << 20);
        let (mut outgoing, writer) = Outgoing::new(ours);
        let writer = tokio::spawn(writer);
        assert!(fits(&mut outgoing, &[1; 1_000]));
        drop(outgoing);
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [1; 1_000]);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_connection_does_not_wait_for_its_peer() {
        let (ours, _theirs) = duplex(10);
        let (mut outgoing, writer) = Outgoing::new(ours);
        let writer = tokio::spawn(writer);
        assert!(fits(&mut outgoing, &[1; 1_000]));
        tokio::task::yield_now().await;
        drop(outgoing);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_broken_socket_is_the_connections_error() {
        let (ours, theirs) = duplex(10);
        let (mut outgoing, writer) = Outgoing::new(ours);
        drop(theirs);
        let writer = tokio::spawn(writer);
        assert!(fits(&mut outgoing, &[1; 1_000]));
        writer.await.unwrap();
        assert!(matches!(outgoing.poll_flush(), Poll::Ready(Err(_))));
        assert!(!fits(&mut outgoing, b"x"));
    }
}
