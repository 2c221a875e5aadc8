//! The thread on which Raft, the state machine and the traffic with other members run, so that no load of clients can
//! keep a heartbeat waiting.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::MemberConfig;
use crate::deliver::Deliver;
use crate::disk::Disk;
use crate::error::{OpenError, ShutdownError};
use crate::member::Inner;

/// How long work that blocks may go on after the end.
const LEFTOVERS: Duration = Duration::from_secs(1);

type Ended = oneshot::Sender<Result<(), ShutdownError>>;

/// A member that runs. When this is dropped, it ends.
pub(crate) struct Running {
    inner: Arc<Inner>,
    end: Mutex<Option<oneshot::Sender<Ended>>>,
}

impl Deref for Running {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Running {
    /// Opens a member on a thread of its own.
    pub(crate) async fn start(disk: Arc<dyn Disk>, config: MemberConfig) -> Result<Running, OpenError> {
        let deliver = Deliver::to_this_runtime();
        let (opened, opening) = oneshot::channel();
        let (end, ending) = oneshot::channel();
        let dir = config.data_dir.clone();
        std::thread::Builder::new()
            .name("cfgstore-raft".into())
            .spawn(move || run(disk, config, deliver, opened, ending))
            .map_err(|source| OpenError::Io {
                action: "start the Raft thread for",
                path: dir,
                source,
            })?;
        let inner = opening
            .await
            .unwrap_or_else(|_| Err(OpenError::Raft("the Raft thread panicked".to_owned())))?;
        Ok(Running {
            inner,
            end: Mutex::new(Some(end)),
        })
    }

    /// Ends the member and waits for it.
    pub(crate) async fn end(&self) -> Result<(), ShutdownError> {
        let gone = || Err(ShutdownError::Task("the Raft thread panicked".to_owned()));
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (ended, ending) = oneshot::channel();
        match end.map(|end| end.send(ended)) {
            Some(Ok(())) => ending.await.unwrap_or_else(|_| gone()),
            Some(Err(_)) | None => gone(),
        }
    }
}

fn run(
    disk: Arc<dyn Disk>,
    config: MemberConfig,
    deliver: Deliver,
    opened: oneshot::Sender<Result<Arc<Inner>, OpenError>>,
    ending: oneshot::Receiver<Ended>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever opened the member may have given up.
            let _ = opened.send(Err(OpenError::Raft(format!(
                "no runtime for its thread: {error}"
            ))));
            return;
        }
    };
    runtime.block_on(async move {
        let inner = match crate::open::open(disk, config, deliver).await {
            Ok(inner) => inner,
            Err(error) => {
                let _ = opened.send(Err(error));
                return;
            }
        };
        let _ = opened.send(Ok(inner.clone()));
        // An error says that every handle was dropped; then nobody waits for the end.
        let ended = ending.await;
        let result = inner.end().await;
        match ended {
            Ok(ended) => drop(ended.send(result)),
            Err(_) => {
                if let Err(error) = result {
                    tracing::warn!(%error, "a member that was dropped did not end cleanly");
                }
            }
        }
    });
    runtime.shutdown_timeout(LEFTOVERS);
}
