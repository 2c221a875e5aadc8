//! One place a server may be reached at.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::address::{Address, MemberAddress};
use crate::fork::{Listed, SocketFd};
use crate::options::Options;
use crate::trust;

/// One place a server may be reached at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Unix(PathBuf),
    Tcp(MemberAddress),
}

impl Endpoint {
    pub fn of(options: &Options) -> Vec<Endpoint> {
        match &options.address {
            Address::Embedded | Address::Agent(_) => vec![Endpoint::Unix(options.host_paths().socket())],
            Address::Unix(path) => vec![Endpoint::Unix(path.clone())],
            Address::Members(members) => members.iter().cloned().map(Endpoint::Tcp).collect(),
        }
    }

    pub fn is_unix(&self) -> bool {
        matches!(self, Endpoint::Unix(_))
    }

    /// What goes into the `:authority` of a request.
    pub fn authority(&self) -> String {
        match self {
            Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Tcp(member) => member.authority(),
        }
    }

    /// Connects. With `may_spawn`, names are resolved on a thread of the runtime's pool, else on this one. An address of several has its
    /// share of `limit`, so that one that swallows packets does not keep from the others.
    pub async fn connect(&self, may_spawn: bool, limit: Duration) -> io::Result<Socket> {
        let stream = match self {
            Endpoint::Unix(path) => Stream::Unix(trust::connect(path).await?),
            Endpoint::Tcp(member) => Stream::Tcp(connect_tcp(member, may_spawn, limit).await?),
        };
        let listed = Listed::new(stream.as_fd().as_raw_fd());
        Ok(Socket { listed, stream })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(member) => write!(f, "http://{}", member.authority()),
        }
    }
}

async fn connect_tcp(member: &MemberAddress, may_spawn: bool, limit: Duration) -> io::Result<TcpStream> {
    connect_any(&resolve(member, may_spawn).await?, limit).await
}

async fn connect_any(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer to the connect"),
        }
    }
    Err(last)
}

async fn resolve(member: &MemberAddress, may_spawn: bool) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = member.host.parse() {
        return Ok(vec![SocketAddr::new(ip, member.port)]);
    }
    if may_spawn {
        return Ok(tokio::net::lookup_host((member.host.as_str(), member.port))
            .await?
            .collect());
    }
    Ok((member.host.as_str(), member.port).to_socket_addrs()?.collect())
}

/// A connected socket, listed for forked children.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Before `stream`: it must leave the list before the descriptor is closed.
    #[allow(dead_code, reason = "kept for its drop")]
    listed: Listed,
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Socket {
    pub fn second_fd(&self) -> io::Result<SocketFd> {
        SocketFd::duplicate(self.stream.as_fd())
    }
}

macro_rules! on_stream {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().stream {
            Stream::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as Stream};
    use std::os::fd::AsRawFd;

    #[tokio::test]
    async fn an_address_that_swallows_packets_does_not_keep_from_the_next() {
        let full = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: an open socket that listens already; the call changes the length of its queue.
        unsafe { libc::listen(full.as_raw_fd(), 0) };
        let deaf = full.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(stream) = Stream::connect_timeout(&deaf, Duration::from_millis(200)) {
            filling.push(stream);
            assert!(filling.len() < 100, "its queue does not fill");
        }
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [deaf, good.local_addr().unwrap()];
        let stream = timeout(
            Duration::from_secs(2),
            connect_any(&addresses, Duration::from_secs(2)),
        );
        let stream = stream.await.expect("an answer in the time of both").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }
}
