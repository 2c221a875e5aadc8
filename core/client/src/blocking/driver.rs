//! Who runs the asynchronous client, per mode and per process.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use super::{Mode, refuse_inside_a_runtime};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::Keyspace;
use crate::options::Options;
use crate::sys::{self, ForkLocal};

#[derive(Debug)]
pub(super) struct Driver {
    options: Options,
    mode: Mode,
    session: ForkLocal<Session>,
}

/// What one process has: a forked child makes its own.
struct Session {
    /// Before `runner`: connections end while their runtime is there.
    client: Client,
    runner: Runner,
}

enum Runner {
    OnCall(Runtime),
    Background(Background),
}

impl Driver {
    pub fn new(options: Options, mode: Mode) -> Result<Driver> {
        Keyspace::new(options.prefix.clone())?;
        Ok(Driver {
            options,
            mode,
            session: ForkLocal::new(),
        })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn session(&self) -> Result<&Session> {
        self.session.get_or_try_init(|| {
            let mut options = self.options.clone();
            if self.mode == Mode::BackgroundThread {
                // A process has its own: one that is inherited may be in use for ever.
                options.keyring = options.keyring.map(|keyring| Arc::new(keyring.renewed()));
            }
            let client = Client::with_driver(options, self.mode == Mode::BackgroundThread)?;
            let runner = match self.mode {
                Mode::NoThread => Runner::OnCall(new_runtime()?),
                Mode::BackgroundThread => Runner::Background(Background::start()?),
            };
            Ok(Session { client, runner })
        })
    }

    /// This process's client.
    pub fn client(&self) -> Result<Client> {
        Ok(self.session()?.client.clone())
    }

    /// Runs a call to its end.
    pub fn run<T>(&self, call: impl AsyncFnOnce(Client) -> Result<T>) -> Result<T> {
        let session = self.session()?;
        let client = session.client.clone();
        self.block_on(async { call(client).await })
    }

    /// Runs a future to its end, and with it, in mode `NoThread`, whatever else has become ready.
    pub fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        refuse_inside_a_runtime()?;
        match &self.session()?.runner {
            Runner::OnCall(runtime) => runtime.block_on(async {
                settle().await;
                future.await
            }),
            Runner::Background(background) => background.handle.block_on(future),
        }
    }

    /// Where tasks run that go on between calls.
    pub fn background(&self) -> Result<Option<Handle>> {
        match &self.session()?.runner {
            Runner::OnCall(_) => Ok(None),
            Runner::Background(background) => Ok(Some(background.handle.clone())),
        }
    }
}

/// Lets connections notice what happened to them since the runtime last ran, above all their end: a request on
/// a connection that is known to be gone is sent on a new one instead of failing half-way.
///
/// One turn polls the sockets, the next runs the tasks that this woke, the last runs what those woke.
pub(super) async fn settle() {
    for _ in 0..3 {
        run_woken().await;
    }
}

/// One turn: runs what is woken, then polls the sockets.
pub(super) async fn run_woken() {
    tokio::task::yield_now().await;
}

/// A runtime without a thread: it runs only inside `block_on`.
pub(super) fn new_runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| {
            Error::new(
                ErrorKind::Exhausted,
                format!("cannot set up the client: {error}; are descriptors used up?"),
            )
        })
}

/// One thread that runs a runtime until it is dropped.
struct Background {
    handle: Handle,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start() -> Result<Background> {
        let runtime = new_runtime()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("cfgstore".to_owned())
            .spawn(move || {
                sys::block_all_signals();
                runtime.block_on(stopped.notified());
                // A name that is being looked up must not hold up the end.
                runtime.shutdown_background();
            });
        let thread = thread.map_err(|error| {
            Error::new(
                ErrorKind::Exhausted,
                format!("cannot start the client's thread: {error}"),
            )
        })?;
        Ok(Background {
            handle,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // So that no code of this library runs any more when it is unloaded.
            let _ = thread.join();
        }
    }
}
