//! A connection of either kind.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

use crate::authority::{Filter, Protocol};
use crate::metrics::Traffic;

/// Bytes read at once while the filter is at work.
const FILTERED_READ_BYTES: usize = 4_096;

/// A connection of either kind.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// `None` once there is nothing to look at any more: the usual case after the first request.
    filter: Option<Box<Filtered>>,
    /// Where bytes are counted, once the client is known to speak gRPC.
    traffic: Option<Arc<Traffic>>,
    /// Its place among the connections that may be open at once.
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
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
        Connection::new(Socket::Tcp(stream), place)
    }

    pub fn unix(stream: UnixStream, place: OwnedSemaphorePermit) -> Connection {
        Connection::new(Socket::Unix(stream), place)
    }

    fn new(socket: Socket, place: OwnedSemaphorePermit) -> Connection {
        Connection {
            socket,
            filter: Some(Box::default()),
            traffic: None,
            _place: place,
        }
    }

    /// Counts bytes from here on.
    pub fn count(&mut self, traffic: Arc<Traffic>) {
        self.traffic = Some(traffic);
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
    type ConnectInfo = ();

    fn connect_info(&self) {}
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
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
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
        let this = self.get_mut();
        let written = match &mut this.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        this.count_sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        this.count_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            Socket::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
