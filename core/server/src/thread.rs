//! A server for programs without a runtime of their own.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::config::Config;
use crate::server::Server;
use crate::start_error::StartError;
use crate::sys;

/// A [`Server`] on a thread of its own, for programs that embed one. Any thread may use it.
///
/// Dropping it shuts the server down and waits for that, as [`ServerThread::shutdown`] does. It does not
/// survive `fork`: the child has no such thread, and must leave it alone.
#[derive(Debug)]
pub struct ServerThread {
    facts: Facts,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle knows of the server.
#[derive(Debug)]
struct Facts {
    data_dir: PathBuf,
    socket: PathBuf,
    mirror_dir: Option<PathBuf>,
    urls: Vec<String>,
    http_urls: Vec<String>,
    metrics_urls: Vec<String>,
}

impl ServerThread {
    /// Starts a server, and returns when it serves, as [`Server::start`] does. Blocks meanwhile.
    pub fn start(config: Config) -> Result<ServerThread, StartError> {
        let failed = |source| StartError::Thread {
            what: "the server's thread",
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (started, starting) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let body = move || {
            // The embedding program's signals are its own business; threads started from here inherit this.
            sys::block_all_signals();
            runtime.block_on(async {
                match Server::start(config).await {
                    Err(error) => drop(started.send(Err(error))),
                    Ok(server) => {
                        let facts = Facts {
                            data_dir: server.data_dir().to_path_buf(),
                            socket: server.socket().to_path_buf(),
                            mirror_dir: server.mirror_dir(),
                            urls: server.urls().to_vec(),
                            http_urls: server.http_urls().to_vec(),
                            metrics_urls: server.metrics_urls().to_vec(),
                        };
                        let _ = started.send(Ok(facts));
                        // An error means that the handle is gone: the same wish.
                        let _ = stopped.await;
                        server.shutdown().await;
                    }
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("cfgstore-server".to_owned())
            .spawn(body)
            .map_err(failed)?;
        let facts = starting
            .recv()
            .map_err(|_| failed(std::io::Error::other("it ended before the server served")))??;
        Ok(ServerThread {
            facts,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.facts.data_dir
    }

    /// The host's unix socket.
    pub fn socket(&self) -> &Path {
        &self.facts.socket
    }

    /// The mirror's folder, if it was made at the start ([`MirrorUse`](crate::MirrorUse)).
    pub fn mirror_dir(&self) -> Option<&Path> {
        self.facts.mirror_dir.as_deref()
    }

    /// The addresses served besides the host's socket, with the ports that the system chose.
    pub fn urls(&self) -> &[String] {
        &self.facts.urls
    }

    /// The addresses that serve HTTP alone, with the ports that the system chose.
    pub fn http_urls(&self) -> &[String] {
        &self.facts.http_urls
    }

    /// The addresses that serve metrics and health alone, with the ports that the system chose.
    pub fn metrics_urls(&self) -> &[String] {
        &self.facts.metrics_urls
    }

    /// Ends the server in order (see [`Server::shutdown`]) and waits for that.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread panicked");
        }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.end();
    }
}
