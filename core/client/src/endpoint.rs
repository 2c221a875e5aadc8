//! One place a server may be reached at.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

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

    /// Connects. With `may_spawn`, names are resolved on a thread of the runtime's pool, else on this one.
    pub async fn connect(&self, may_spawn: bool) -> io::Result<Socket> {
        let stream = match self {
            Endpoint::Unix(path) => Stream::Unix(trust::connect(path).await?),
            Endpoint::Tcp(member) => Stream::Tcp(connect_tcp(member, may_spawn).await?),
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

async fn connect_tcp(member: &MemberAddress, may_spawn: bool) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in resolve(member, may_spawn).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
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
