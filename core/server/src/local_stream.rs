//! A unix socket that its peer's reading does not wake.
//!
//! At each read of the peer the kernel reports a unix socket as writable, to whoever asked to be told (`unix_write_space`;
//! of TCP it does so only once room was lacking). tokio's own type always asks, so that each message sent to a process of this host
//! would wake us a second time, for nothing. This one asks only while a write waits for room.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::sys;

/// See the module.
#[derive(Debug)]
pub(crate) struct LocalStream {
    pub reading: LocalReading,
    pub writing: LocalWriting,
    /// Who is at the other end, if the kernel says so.
    pub peer_user: Option<u32>,
}

/// The reading half of a [`LocalStream`].
#[derive(Debug)]
pub(crate) struct LocalReading(AsyncFd<Arc<OwnedFd>>);

/// The writing half of a [`LocalStream`].
#[derive(Debug)]
pub(crate) struct LocalWriting {
    socket: Arc<OwnedFd>,
    /// Another descriptor of the socket, while a write waits for room.
    room: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl LocalStream {
    /// Of a connected socket. Within a tokio runtime.
    pub fn new(stream: tokio::net::UnixStream) -> io::Result<LocalStream> {
        let peer_user = stream.peer_cred().ok().map(|peer| peer.uid());
        let socket = Arc::new(OwnedFd::from(stream.into_std()?));
        Ok(LocalStream {
            reading: LocalReading(sys::registered(socket.clone(), Interest::READABLE)?),
            writing: LocalWriting { socket, room: None },
            peer_user,
        })
    }
}

impl AsyncRead for LocalReading {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            let wanted = room.len();
            match ready.try_io(|socket| Ok(rustix::io::read(socket.get_ref(), &mut *room)?)) {
                Ok(read) => {
                    let count = read?;
                    // There is no more than that (epoll(7), question 9); what comes later is reported anew.
                    if count > 0 && count < wanted {
                        ready.clear_ready();
                    }
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for LocalWriting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match sendmsg(
                &this.socket,
                bufs,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            ) {
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                sent => {
                    this.room = None;
                    return Poll::Ready(Ok(sent?));
                }
            }
            let room = match &mut this.room {
                Some(room) => {
                    // Reported since it was last looked for, or else this waits.
                    ready!(room.poll_write_ready(cx))?.clear_ready();
                    continue;
                }
                none => none,
            };
            let second = Arc::new(this.socket.try_clone()?);
            *room = Some(sys::registered(second, Interest::WRITABLE)?);
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match shutdown(&self.socket, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// To be called within a runtime; the second end blocks.
    fn pair() -> (LocalStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::UnixStream::from_std(ours).unwrap();
        (LocalStream::new(ours).unwrap(), theirs)
    }

    #[tokio::test]
    async fn the_peers_reading_wakes_nobody() {
        const ROUNDS: u64 = 500;
        let (mut ours, mut theirs) = pair();
        let peer = thread::spawn(move || {
            let mut message = [0; 100];
            for _ in 0..ROUNDS {
                theirs.read_exact(&mut message).unwrap();
                // A wake-up for nothing would come before the one for this.
                thread::yield_now();
                theirs.write_all(&[1]).unwrap();
            }
        });
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = metrics.worker_park_count(0);
        for _ in 0..ROUNDS {
            ours.writing.write_all(&[7; 100]).await.unwrap();
            assert_eq!(ours.reading.read_u8().await.unwrap(), 1);
        }
        let parked = metrics.worker_park_count(0) - before;
        assert!(parked <= ROUNDS, "waited {parked} times for {ROUNDS} answers");
        peer.join().unwrap();
    }

    #[tokio::test]
    async fn more_than_fits_goes_both_ways_at_once() {
        const BYTES: usize = 8 << 20;
        let (ours, theirs) = pair();
        let sent: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
        let (mut reading, mut writing) = (theirs.try_clone().unwrap(), theirs);
        let (expected, echoed) = (sent.clone(), sent.clone());
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            reading.read_to_end(&mut read).unwrap();
            assert!(read == expected);
        });
        let writer = thread::spawn(move || writing.write_all(&echoed).unwrap());
        let LocalStream {
            mut reading,
            mut writing,
            ..
        } = ours;
        let expected = sent.clone();
        let writes = tokio::spawn(async move {
            writing.write_all(&sent).await.unwrap();
            assert!(writing.room.is_none(), "nothing waits for room any more");
            writing.shutdown().await.unwrap();
        });
        let mut read = vec![0; BYTES];
        reading.read_exact(&mut read).await.unwrap();
        assert!(read == expected);
        writes.await.unwrap();
        reader.join().unwrap();
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn the_end_comes_after_what_was_sent_before_it() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"last words").unwrap();
        drop(theirs);
        let mut read = String::new();
        ours.reading.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "last words");
        let error = ours.writing.write_all(b"too late").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
