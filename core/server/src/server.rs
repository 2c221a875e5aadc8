//! Start and end of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfgstore_replica::Member;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::config::{Config, ListenAddress};
use crate::context::Context;
use crate::data_dir::{self, DataDirLock};
use crate::listen::Listener;
use crate::mirror_feed::MirrorFeed;
use crate::serving::{Listeners, Serving};
use crate::start_error::StartError;
use crate::{compactor, disk_alarm, leader, notify, watch};

/// A running server: one member, its services and the mirror of its host.
///
/// It runs on the tokio runtime it was started on; a current-thread one is the fastest. Dropping it begins what
/// [`Server::shutdown`] does and does not wait for it. Nothing acknowledged is lost either way.
#[derive(Debug)]
pub struct Server {
    /// `None` once it is ending.
    running: Option<Running>,
    data_dir: PathBuf,
    socket: PathBuf,
    urls: Vec<String>,
    http_urls: Vec<String>,
    metrics_urls: Vec<String>,
}

struct Running {
    ctx: Arc<Context>,
    mirror: MirrorFeed,
    serving: Serving,
    tasks: Vec<JoinHandle<()>>,
    _lock: DataDirLock,
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(running.end())),
            // The member has lost its runtime, but not its threads: nobody else may have the folder.
            Err(_) => std::mem::forget(running),
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server, and returns when it serves: the member is open, the mirror published, every address
    /// listened on.
    // Boxed, so that all behind it is compiled in this crate and not again in each that starts one.
    pub fn start(config: Config) -> BoxFuture<'static, Result<Server, StartError>> {
        Server::open(config).boxed()
    }

    async fn open(config: Config) -> Result<Server, StartError> {
        config.validate()?;
        let lock = data_dir::open(&config.paths())?;
        // Bound before the member opens, so that an address in use is told at once.
        let mut listeners = Listeners {
            clients: bind(&config.listen).await?,
            http: bind(&config.listen_http).await?,
            metrics: bind(&config.listen_metrics).await?,
        };
        let mut config = config;
        // With the ports that the system chose.
        config.listen = addresses(&listeners.clients)?;
        config.listen_http = addresses(&listeners.http)?;
        config.listen_metrics = addresses(&listeners.metrics)?;
        // The host's socket is no address for others.
        listeners
            .clients
            .push(Listener::bind(&ListenAddress::Unix(config.socket_path())).await?);

        let member = Member::open(config.member_config()).await?;
        match Server::serve(member.clone(), config, listeners, lock).await {
            Ok(server) => Ok(server),
            Err(error) => {
                if let Err(error) = member.shutdown().await {
                    tracing::warn!(%error, "the member did not end in order");
                }
                Err(error)
            }
        }
    }

    async fn serve(
        member: Member,
        config: Config,
        mut listeners: Listeners,
        lock: DataDirLock,
    ) -> Result<Server, StartError> {
        let ctx = Arc::new(Context::new(member.clone(), config));
        let mirror = MirrorFeed::start(member, ctx.cluster_id, &ctx.config).await?;
        // The first and only one.
        let _ = ctx.metrics.mirror.set(mirror.mirror().progress().clone());
        let mut published = Ok(());
        for listener in listeners.all() {
            published = published.and_then(|()| listener.publish());
        }
        if let Err(error) = published {
            mirror.stop().await;
            return Err(error);
        }
        let serving = Serving::start(&ctx, listeners, mirror.mirror());
        let tasks = vec![
            tokio::spawn(watch::run(ctx.clone())),
            tokio::spawn(leader::watch(ctx.clone())),
            tokio::spawn(notify::run(ctx.clone())),
            tokio::spawn(disk_alarm::watch(ctx.clone())),
            tokio::spawn(compactor::run(ctx.clone(), ctx.config.auto_compaction)),
        ];
        let config = &ctx.config;
        Ok(Server {
            data_dir: config.data_dir.clone(),
            socket: config.socket_path(),
            urls: urls(&config.listen),
            http_urls: urls(&config.listen_http),
            metrics_urls: urls(&config.listen_metrics),
            running: Some(Running {
                mirror,
                serving,
                tasks,
                _lock: lock,
                ctx,
            }),
        })
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The host's unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The mirror's folder; `None` while nobody has asked for it ([`MirrorUse::OnDemand`](crate::MirrorUse::OnDemand)), or after the end.
    pub fn mirror_dir(&self) -> Option<PathBuf> {
        self.running.as_ref()?.mirror.mirror().folder()
    }

    /// The addresses served besides the host's socket, with the ports that the system chose.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The addresses that serve HTTP alone, with the ports that the system chose.
    pub fn http_urls(&self) -> &[String] {
        &self.http_urls
    }

    /// The addresses that serve metrics and health alone, with the ports that the system chose.
    pub fn metrics_urls(&self) -> &[String] {
        &self.metrics_urls
    }

    /// Waits until the member learns that it was removed from its cluster. Nothing is left to serve then: shut down.
    pub async fn removed(&self) {
        match &self.running {
            Some(running) => running.ctx.member.removed().await,
            None => std::future::pending().await,
        }
    }

    /// Ends in order: accepts nothing new, ends watches and waiting calls with Unavailable, waits for calls
    /// in flight (for [`Config::shutdown_grace`] at most), closes the mirror (readers keep what they have)
    /// and the member, and removes the sockets.
    pub async fn shutdown(mut self) {
        if let Some(running) = self.running.take() {
            running.end().await;
        }
    }
}

fn urls(addresses: &[ListenAddress]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

async fn bind(addresses: &[ListenAddress]) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(Listener::bind(address).await?);
    }
    Ok(listeners)
}

fn addresses(listeners: &[Listener]) -> Result<Vec<ListenAddress>, StartError> {
    let address = |listener: &Listener| {
        listener.address().map_err(|source| StartError::Listen {
            address: "a bound socket".to_owned(),
            source,
        })
    };
    listeners.iter().map(address).collect()
}

impl Running {
    async fn end(self) {
        let Running {
            ctx,
            mirror,
            mut serving,
            tasks,
            _lock,
        } = self;
        ctx.stop.stop();
        if tokio::time::timeout(ctx.config.shutdown_grace, serving.ended())
            .await
            .is_err()
        {
            tracing::info!("clients still have calls open after the time of grace; they are cut off");
            serving.abort().await;
        }
        tasks.iter().for_each(JoinHandle::abort);
        mirror.stop().await;
        if let Err(error) = ctx.member.shutdown().await {
            tracing::warn!(%error, "the member did not end in order");
        }
        // The files of the sockets go last, when the folder is free.
        drop(serving);
    }
}
