//! Start and end of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cfgstore_replica::Member;
use tokio::task::JoinHandle;

use crate::config::{Config, ListenAddress};
use crate::context::Context;
use crate::data_dir::{self, DataDirLock};
use crate::listen::{self, Arrivals, Listener, UnixSocket};
use crate::mirror_feed::MirrorFeed;
use crate::oversize::OversizeLayer;
use crate::service::{self, AgentInfo};
use crate::start_error::StartError;
use crate::{compactor, watch};

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
    mirror_dir: PathBuf,
    urls: Vec<String>,
}

struct Running {
    ctx: Arc<Context>,
    mirror: MirrorFeed,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    tasks: Vec<JoinHandle<()>>,
    sockets: Vec<UnixSocket>,
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
    pub async fn start(config: Config) -> Result<Server, StartError> {
        config.validate()?;
        let lock = data_dir::open(&config.paths())?;
        // Bound before the member opens, so that an address in use is told at once.
        let mut listeners = Vec::new();
        for address in config
            .listen
            .iter()
            .chain([&ListenAddress::Unix(config.socket_path())])
        {
            listeners.push(Listener::bind(address).await?);
        }
        let mut addresses = Vec::new();
        for listener in &listeners {
            let address = listener.address().map_err(|source| StartError::Listen {
                address: "a bound socket".to_owned(),
                source,
            })?;
            addresses.push(address);
        }
        let mut config = config;
        // With the ports that the system chose. The last one is the host's socket, which is no address for
        // others.
        addresses.pop();
        config.listen = addresses;

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
        mut listeners: Vec<Listener>,
        lock: DataDirLock,
    ) -> Result<Server, StartError> {
        let ctx = Arc::new(Context::new(member.clone(), config));
        let mirror = MirrorFeed::start(member, ctx.cluster_id, &ctx.config).await?;
        let mut published = Ok(());
        for listener in &mut listeners {
            published = published.and_then(|()| listener.publish());
        }
        if let Err(error) = published {
            mirror.stop().await;
            return Err(error);
        }
        let info = AgentInfo {
            mirror_dir: mirror.dir().to_path_buf(),
            mirror: mirror.progress(),
        };
        let Arrivals { tcp, unix, sockets } = listen::accept_all(listeners);
        let serve = |incoming, local: bool, ping_interval: Option<Duration>| {
            tonic::transport::Server::builder()
                .max_concurrent_streams(ctx.config.max_concurrent_streams)
                .http2_keepalive_interval(ping_interval)
                .http2_keepalive_timeout(ping_interval.map(|_| ctx.config.grpc_keepalive_timeout))
                .layer(OversizeLayer)
                .add_routes(service::routes(&ctx, info.clone(), local))
                .serve_with_incoming_shutdown(incoming, ctx.stop.stopped())
        };
        // The kernel tells when the other end of a unix socket is gone. To ping there would only lose clients that have
        // no thread to answer between calls: PHP workers, with the locks they hold.
        let (tcp, unix) = (
            serve(tcp, false, Some(ctx.config.grpc_keepalive_interval)),
            serve(unix, true, None),
        );
        let serving = async { tokio::try_join!(tcp, unix).map(drop) };
        let tasks = vec![
            tokio::spawn(watch::run(ctx.clone())),
            tokio::spawn(compactor::run(ctx.clone(), ctx.config.auto_compaction)),
        ];
        let config = &ctx.config;
        Ok(Server {
            data_dir: config.data_dir.clone(),
            socket: config.socket_path(),
            mirror_dir: mirror.dir().to_path_buf(),
            urls: config.listen.iter().map(ToString::to_string).collect(),
            running: Some(Running {
                mirror,
                serving: tokio::spawn(serving),
                tasks,
                sockets,
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

    /// The mirror's folder.
    pub fn mirror_dir(&self) -> &Path {
        &self.mirror_dir
    }

    /// The addresses served besides the host's socket, with the ports that the system chose.
    pub fn urls(&self) -> &[String] {
        &self.urls
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

impl Running {
    async fn end(self) {
        let Running {
            ctx,
            mirror,
            mut serving,
            tasks,
            sockets,
            _lock,
        } = self;
        ctx.stop.stop();
        match tokio::time::timeout(ctx.config.shutdown_grace, &mut serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "serving ended with an error"),
            Ok(Err(error)) => tracing::warn!(%error, "serving ended with a panic"),
            Err(_) => {
                tracing::info!("clients still have calls open after the time of grace; they are cut off");
                serving.abort();
            }
        }
        tasks.iter().for_each(JoinHandle::abort);
        mirror.stop().await;
        if let Err(error) = ctx.member.shutdown().await {
            tracing::warn!(%error, "the member did not end in order");
        }
        drop(sockets);
    }
}
