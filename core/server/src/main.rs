//! `cfgstored`: keeps the configuration of this host, or of a cluster, and serves it.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use cfgstore_server::{Agent, AgentConfig, Config, Flags, Hook, Hooks, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let flags = match Flags::from_process() {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cfgstored: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<(), Box<dyn Error>> {
    start_logging(flags.log_filter())?;
    if !flags.without_effect().is_empty() {
        tracing::info!(
            flags = flags.without_effect().join(" "),
            "flags of etcd that have no effect here"
        );
    }
    let (agent, hooks) = (flags.agent_config()?, flags.hooks()?);
    // One thread for everything but disk and mirror: with two, each call costs a third more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match agent {
        Some(config) => runtime.block_on(serve_host(config, hooks))?,
        None => {
            let config = flags.into_config()?;
            runtime.block_on(serve(config, hooks))?;
        }
    }
    // Waits for no thread: what had to be finished is.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(config: Config, hooks: Vec<Hook>) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        server = Server::start(config) => server?,
        name = signals.next() => return Err(format!("ended by {name} before it served").into()),
    };
    let _hooks = Hooks::start(hooks, server.socket(), server.data_dir())?;
    announce(server.data_dir(), server.socket(), ("urls", server.urls()));
    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "shutting down"),
        // As etcd does, with status 0: it was asked for, and nobody should start it again.
        () = server.removed() => tracing::warn!(
            "shutting down: this member was removed from its cluster, for good. Its data folder is of no more use: \
             remove it before a new member is started there"
        ),
    }
    tokio::select! {
        () = server.shutdown() => Ok(()),
        name = signals.next() => Err(format!("ended at once by a second signal, {name}").into()),
    }
}

/// The same for an agent.
async fn serve_host(config: AgentConfig, hooks: Vec<Hook>) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new()?;
    let agent = tokio::select! {
        agent = Agent::start(config) => agent?,
        name = signals.next() => return Err(format!("ended by {name} before it served").into()),
    };
    let members: Vec<String> = agent.members().iter().map(|member| member.url()).collect();
    let _hooks = Hooks::start(hooks, agent.socket(), agent.data_dir())?;
    announce(agent.data_dir(), agent.socket(), ("endpoints", &members));
    let name = signals.next().await;
    tracing::info!(signal = name, "shutting down");
    tokio::select! {
        () = agent.shutdown() => Ok(()),
        name = signals.next() => Err(format!("ended at once by a second signal, {name}").into()),
    }
}

fn start_logging(filter: &str) -> Result<(), Box<dyn Error>> {
    let filter: Targets = filter.parse().map_err(|error| format!("--log-level: {error}"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

/// The one line on stdout: whoever started this process may go on.
fn announce(data_dir: &Path, socket: &Path, (what, urls): (&str, &[String])) {
    let mut line = format!(
        "cfgstored {} serving: data_dir={} socket={}",
        env!("CARGO_PKG_VERSION"),
        data_dir.display(),
        socket.display()
    );
    if !urls.is_empty() {
        line.push_str(&format!(" {what}={}", urls.join(",")));
    }
    line.push('\n');
    // In one write, and without care for a reader that is gone.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

/// The signals that end the process in order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
