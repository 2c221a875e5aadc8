//! Listening sockets, and the connections that arrive at them.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::config::ListenAddress;
use crate::connection::Connection;
use crate::local_stream::LocalStream;
use crate::start_error::{MAX_SOCKET_PATH_BYTES, StartError};

/// Whoever may use the socket may change the configuration: the owner and the group.
const SOCKET_MODE: u32 = 0o660;
/// After a failed accept (no descriptors left, say): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that does not yet answer.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// A unix socket, removed when dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
    /// Bound under this name, out of sight, until it is published under `path`.
    hidden: Option<PathBuf>,
}

impl Listener {
    /// Binds `address`. A unix socket stays out of sight until [`Listener::publish`].
    pub async fn bind(address: &ListenAddress) -> Result<Listener, StartError> {
        match address {
            ListenAddress::Tcp(at) => match TcpListener::bind(at).await {
                Ok(listener) => Ok(Listener::Tcp(listener)),
                Err(error) => Err(listen_error(address, error)),
            },
            ListenAddress::Unix(path) => {
                check_unused(path)
                    .await
                    .map_err(|error| listen_error(address, error))?;
                UnixSocket::bind(path)
                    .map(Listener::Unix)
                    .map_err(|error| listen_error(address, error))
            }
        }
    }

    /// The address, with the port that the system chose.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            Listener::Unix(socket) => Ok(ListenAddress::Unix(socket.path.clone())),
        }
    }

    /// Starts to answer. A unix socket has to be published before; its file goes when the second part is dropped.
    pub fn into_acceptor(self) -> (Acceptor, Option<UnixSocket>) {
        match self {
            Listener::Tcp(listener) => (Acceptor::Tcp(listener), None),
            Listener::Unix(mut socket) => {
                let listener = socket.listener.take().expect("a listener is taken once");
                (Acceptor::Unix(listener), Some(socket))
            }
        }
    }

    /// Lets clients find the socket.
    pub fn publish(&mut self) -> Result<(), StartError> {
        match self {
            Listener::Tcp(_) => Ok(()),
            Listener::Unix(socket) => {
                let address = ListenAddress::Unix(socket.path.clone());
                socket.publish().map_err(|error| listen_error(&address, error))
            }
        }
    }
}

fn listen_error(address: &ListenAddress, source: io::Error) -> StartError {
    let address = address.to_string();
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address },
        _ => StartError::Listen { address, source },
    }
}

/// A socket file stays behind when its process is killed, so its presence says nothing; an answer does.
async fn check_unused(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("there is a file that is not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

impl UnixSocket {
    fn bind(path: &Path) -> io::Result<UnixSocket> {
        let hidden = hidden_name(path);
        match std::fs::remove_file(&hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&hidden)?;
        let socket = UnixSocket {
            listener: Some(listener),
            path: path.to_path_buf(),
            hidden: Some(hidden),
        };
        std::fs::set_permissions(socket.file(), std::fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(socket)
    }

    /// Takes the place of a stale socket in one step: at no time is there none, or one that does not answer.
    fn publish(&mut self) -> io::Result<()> {
        if let Some(hidden) = &self.hidden {
            std::fs::rename(hidden, &self.path)?;
            self.hidden = None;
        }
        Ok(())
    }

    fn file(&self) -> &Path {
        self.hidden.as_deref().unwrap_or(&self.path)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // What cannot be removed does not answer, and the next process replaces it.
        let _ = std::fs::remove_file(self.file());
    }
}

/// A name in the same folder that fits wherever `path` fits.
fn hidden_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    if name.len() <= MAX_SOCKET_PATH_BYTES {
        name.into()
    } else {
        path.with_file_name("~")
    }
}

/// A bound socket that answers.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// Waits for the next connection, and before that for a place for it. A failed accept is logged and tried again.
    pub async fn accept(&self, places: &Arc<Semaphore>) -> Connection {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        match self {
            Acceptor::Tcp(listener) => loop {
                let stream = retry(|| listener.accept()).await;
                // A failure says that the client is gone already.
                if stream.set_nodelay(true).is_ok() {
                    break Connection::tcp(stream, place);
                }
            },
            Acceptor::Unix(listener) => {
                let stream = retry(|| async {
                    let (stream, address) = listener.accept().await?;
                    LocalStream::new(stream).map(|stream| (stream, address))
                })
                .await;
                Connection::unix(stream, place)
            }
        }
    }
}

/// Accepts one connection, however many tries it takes.
async fn retry<S, A, F>(mut accept: impl FnMut() -> F) -> S
where
    F: Future<Output = io::Result<(S, A)>>,
{
    loop {
        let error = match accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
        ) {
            continue;
        }
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_seen_once_published_and_replaces_a_stale_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        // A stale socket: its listener is gone, its file is not.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let address = ListenAddress::Unix(path.clone());
        let mut listener = Listener::bind(&address).await.unwrap();
        UnixStream::connect(&path).await.unwrap_err();
        listener.publish().unwrap();
        UnixStream::connect(&path).await.unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            SOCKET_MODE
        );

        let error = Listener::bind(&address).await.unwrap_err();
        assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
        drop(listener);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        std::fs::write(&path, b"mine").unwrap();
        Listener::bind(&ListenAddress::Unix(path.clone()))
            .await
            .unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_to_be() {
        let address: ListenAddress = ListenAddress::parse("http://127.0.0.1:0").unwrap();
        let first = Listener::bind(&address).await.unwrap();
        let error = Listener::bind(&first.address().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("in use by another process"), "{error}");
    }

    #[test]
    fn the_hidden_name_always_fits() {
        let long = PathBuf::from(format!("/{}", "d/".repeat(53)));
        assert_eq!(hidden_name(Path::new("/d/s")), Path::new("/d/s~"));
        assert!(hidden_name(&long).as_os_str().len() <= MAX_SOCKET_PATH_BYTES);
    }
}
