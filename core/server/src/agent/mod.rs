//! The agent of a host for remote members: it publishes their configuration in the host's mirror, and passes calls of this
//! host's processes on to them.
//!
//! It keeps one watch for the mirror, whatever the number of processes, and connections of its own for what it passes on.
//! Locks it holds itself, for as long as those who took them live. The members may be cfgstore's or etcd's.

mod config;
mod feed;
mod holds;
mod load;
mod lock_keys;
mod proxy;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfgstore_client::upstream::Forwarder;
use cfgstore_client::{Client, ClusterPin, MemberAddress};
use cfgstore_proto::cfgstore::v1::agent_server::AgentServer;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, stream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::service::Routes;

pub use config::AgentConfig;

use crate::config::ListenAddress;
use crate::data_dir::{self, DataDirLock};
use crate::listen::{Listener, UnixSocket};
use crate::start_error::StartError;
use crate::stop::Stop;
use feed::{Feed, Trouble};
use holds::Holds;
use lock_keys::LockKeys;
use proxy::Proxy;

/// A running agent. It runs on the tokio runtime it was started on.
///
/// Dropping it begins what [`Agent::shutdown`] does and does not wait for it.
#[derive(Debug)]
pub struct Agent {
    /// `None` once it is ending.
    running: Option<Running>,
    data_dir: PathBuf,
    socket: PathBuf,
    mirror_dir: PathBuf,
    members: Vec<MemberAddress>,
}

struct Running {
    stop: Arc<Stop>,
    feed: Feed,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    /// Its file goes when this is dropped.
    _socket: Option<UnixSocket>,
    grace: std::time::Duration,
    _lock: DataDirLock,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Agent {
    /// Starts an agent, and returns when it serves: with a copy of the store, or without one when no member has
    /// answered within [`AgentConfig::first_copy_timeout`].
    // Boxed, so that all behind it is compiled in this crate and not again in each that starts one.
    pub fn start(config: AgentConfig) -> BoxFuture<'static, Result<Agent, StartError>> {
        Agent::open(config).boxed()
    }

    async fn open(config: AgentConfig) -> Result<Agent, StartError> {
        config.validate()?;
        let lock = data_dir::open(&config.paths())?;
        config.check_folder()?;
        let mut listener = Listener::bind(&ListenAddress::Unix(config.socket_path())).await?;
        let (cluster, keys) = (ClusterPin::default(), Arc::new(LockKeys::default()));
        let feed = Feed::start(&config, cluster.clone(), keys.clone()).await?;
        let mut trouble = feed.trouble();
        let known = trouble.wait_for(|trouble| *trouble != Trouble::Starting);
        // Neither in time nor at all: it goes on trying, and says what the trouble is.
        let _ = tokio::time::timeout(config.first_copy_timeout, known).await;

        let started = Agent::services(&config, &cluster, &feed, keys)
            .and_then(|services| listener.publish().map(|()| services));
        let (stop, routes) = match started {
            Ok(started) => started,
            Err(error) => {
                feed.stop().await;
                return Err(error);
            }
        };
        let (acceptor, socket) = listener.into_acceptor();
        let places = Arc::new(Semaphore::new(config.max_connections));
        let arrivals = stream::unfold((acceptor, places), |(acceptor, places)| async {
            let arrived = acceptor.accept(&places).await;
            Some((Ok::<_, Infallible>(arrived), (acceptor, places)))
        });
        let serving = tonic::transport::Server::builder()
            .add_routes(routes)
            .serve_with_incoming_shutdown(arrivals, stop.stopped());
        Ok(Agent {
            data_dir: config.data_dir.clone(),
            socket: config.socket_path(),
            mirror_dir: feed.dir(),
            members: config.members.clone(),
            running: Some(Running {
                stop,
                feed,
                serving: tokio::spawn(serving),
                _socket: socket,
                grace: config.shutdown_grace,
                _lock: lock,
            }),
        })
    }

    fn services(
        config: &AgentConfig,
        cluster: &ClusterPin,
        feed: &Feed,
        keys: Arc<LockKeys>,
    ) -> Result<(Arc<Stop>, Routes), StartError> {
        let stop = Arc::new(Stop::default());
        let options = config.options();
        let client =
            Client::staying_with(options.clone(), cluster.clone()).map_err(|error| StartError::Config {
                setting: "--endpoints",
                reason: error.message,
            })?;
        let holds = Holds {
            client,
            keys,
            stop: stop.clone(),
            data_dir: config.data_dir.clone(),
            mirror_dir: feed.dir(),
            mirror: feed.progress(),
            trouble: feed.trouble(),
        };
        let proxy = Proxy {
            forwarder: Forwarder::new(&options, cluster),
            mirror: feed.progress(),
            stop: stop.clone(),
        };
        let mut own = Routes::builder();
        own.add_service(AgentServer::new(holds));
        let routes = own.routes().into_axum_router().fallback_service(proxy);
        Ok((stop, routes.into()))
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The host's unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The mirror's folder.
    pub fn mirror_dir(&self) -> &Path {
        &self.mirror_dir
    }

    /// The members it follows.
    pub fn members(&self) -> &[MemberAddress] {
        &self.members
    }

    /// Ends in order: accepts nothing new, frees the locks it holds, ends streams with Unavailable, waits for calls in
    /// flight (for [`AgentConfig::shutdown_grace`] at most), closes the mirror (readers keep what they have) and removes
    /// the socket.
    pub async fn shutdown(mut self) {
        if let Some(running) = self.running.take() {
            running.end().await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let (Some(running), Ok(runtime)) = (self.running.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(running.end()));
        }
    }
}

impl Running {
    async fn end(self) {
        let Running {
            stop,
            feed,
            mut serving,
            _socket,
            grace,
            _lock,
        } = self;
        stop.stop();
        match tokio::time::timeout(grace, &mut serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "serving ended with an error"),
            Ok(Err(error)) => tracing::warn!(%error, "serving ended with a panic"),
            Err(_) => {
                tracing::info!("clients still have calls open after the time of grace; they are cut off");
                serving.abort();
            }
        }
        feed.stop().await;
    }
}
