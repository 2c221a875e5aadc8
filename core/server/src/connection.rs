//! A connection of either kind.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use crate::authority::{Filter, Protocol};
use crate::caller::PeerAddress;
use crate::local_stream::{LocalReading, LocalStream};
use crate::metrics::Traffic;
use crate::outgoing::Outgoing;

/// Bytes read at once while the filter is at work.
const FILTERED_READ_BYTES: usize = 4_096;

/// A connection of either kind.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// `None` once there is nothing to look at any more: the usual case after the first request.
    filter: Option<Box<Filtered>>,
    /// What is sent, once that is gathered.
    outgoing: Option<Outgoing>,
    /// Where bytes are counted, once the client is known to speak gRPC.
    traffic: Option<Arc<Traffic>>,
    peer: PeerAddress,
    /// Its place among the connections that may be open at once.
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(LocalStream),
    /// Their reading ends, while the others belong to [`Outgoing`].
    TcpReading(tcp::OwnedReadHalf),
    UnixReading(LocalReading),
}

/// The filter, and what has passed it and was not yet asked for.
#[derive(Debug, Default)]
struct Filtered {
    filter: Filter,
    passed: Vec<u8>,
    taken: usize,
}

impl Connection {
    pub fn tcp(stream: TcpStream, place: OwnedSemaphorePermit) -> Connection {
        let address = stream.peer_addr().ok().map(|address| address.to_string().into());
        Connection::new(Socket::Tcp(stream), PeerAddress(address), place)
    }

    pub fn unix(stream: LocalStream, place: OwnedSemaphorePermit) -> Connection {
        let user = stream.peer_user.map(|id| format!("unix:uid={id}").into());
        Connection::new(Socket::Unix(stream), PeerAddress(user), place)
    }

    fn new(socket: Socket, peer: PeerAddress, place: OwnedSemaphorePermit) -> Connection {
        Connection {
            socket,
            filter: Some(Box::default()),
            outgoing: None,
            traffic: None,
            peer,
            _place: place,
        }
    }

    /// Counts bytes from here on, and gathers what is sent: for a client that has many answers ready at a time.
    pub fn gather(mut self, traffic: Arc<Traffic>) -> Connection {
        let (socket, outgoing) = match self.socket {
            Socket::Tcp(stream) => {
                let (reading, writing) = stream.into_split();
                (Socket::TcpReading(reading), Outgoing::spawn(writing))
            }
            Socket::Unix(stream) => (
                Socket::UnixReading(stream.reading),
                Outgoing::spawn(stream.writing),
            ),
            gathered => {
                return Connection {
                    socket: gathered,
                    ..self
                };
            }
        };
        self.socket = socket;
        self.outgoing = Some(outgoing);
        self.traffic = Some(traffic);
        self
    }

    fn count_sent(&self, written: &Poll<io::Result<usize>>) {
        if let (Some(traffic), Poll::Ready(Ok(count))) = (&self.traffic, written) {
            traffic.sent.fetch_add(*count as u64, Relaxed);
        }
    }

    /// Waits until the client has shown what it speaks; `None` if it closes before. What was read stays to be read.
    pub async fn protocol(&mut self) -> io::Result<Option<Protocol>> {
        std::future::poll_fn(|cx| self.poll_protocol(cx)).await
    }

    fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Protocol>>> {
        let Some(filtered) = &mut self.filter else {
            return Poll::Ready(Ok(Some(Protocol::Http2)));
        };
        while filtered.filter.protocol().is_none() {
            if !ready!(filtered.read_more(&mut self.socket, cx))? {
                return Poll::Ready(Ok(None));
            }
        }
        Poll::Ready(Ok(filtered.filter.protocol()))
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerAddress;

    fn connect_info(&self) -> PeerAddress {
        self.peer.clone()
    }
}

impl Filtered {
    /// Reads once and passes on what may go on; `false` at the end of the stream. What is held back then is part of a
    /// frame that will never be whole.
    fn read_more(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; FILTERED_READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(socket.poll_read(cx, &mut read))?;
        self.filter.feed(read.filled(), &mut self.passed);
        Poll::Ready(Ok(!read.filled().is_empty()))
    }

    /// Moves what has passed into `buf`; `false` if there was nothing.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.passed[self.taken..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.passed.len() {
            self.passed.clear();
            self.taken = 0;
        }
        count > 0
    }

    fn is_done(&self) -> bool {
        self.filter.is_done() && self.passed.is_empty()
    }
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(&mut stream.reading).poll_read(cx, buf),
            Socket::TcpReading(half) => Pin::new(half).poll_read(cx, buf),
            Socket::UnixReading(half) => Pin::new(half).poll_read(cx, buf),
        }
    }

    /// What can be written to; `None` once that is taken away.
    fn writing(&mut self) -> Option<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Socket::Tcp(stream) => Some(stream),
            Socket::Unix(stream) => Some(&mut stream.writing),
            Socket::TcpReading(_) | Socket::UnixReading(_) => None,
        }
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(this.poll_read_filtered(cx, buf))?;
        if let Some(traffic) = &this.traffic {
            traffic
                .received
                .fetch_add((buf.filled().len() - before) as u64, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl Connection {
    fn poll_read_filtered(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(filtered) = &mut self.filter else {
            return self.socket.poll_read(cx, buf);
        };
        while !filtered.give(buf) && buf.remaining() > 0 {
            if !ready!(filtered.read_more(&mut self.socket, cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        if filtered.is_done() {
            self.filter = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match (&mut this.outgoing, this.socket.writing()) {
            (Some(outgoing), _) => outgoing.poll_write(cx, bufs),
            (None, Some(socket)) => Pin::new(socket).poll_write_vectored(cx, bufs),
            (None, None) => gone(),
        };
        this.count_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match (&mut this.outgoing, this.socket.writing()) {
            (Some(outgoing), _) => outgoing.poll_flush(),
            (None, Some(socket)) => Pin::new(socket).poll_flush(cx),
            (None, None) => gone(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match (&mut this.outgoing, this.socket.writing()) {
            (Some(outgoing), _) => outgoing.poll_shutdown(cx),
            (None, Some(socket)) => Pin::new(socket).poll_shutdown(cx),
            (None, None) => gone(),
        }
    }
}
