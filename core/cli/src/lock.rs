//! `cfgctl lock`: a program that runs while the lock is held, and not a moment longer.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use cfgstore_client::{Client, Lock, LockOptions};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::failure::Failure;
use crate::output::Output;
use crate::signals::Signals;
use crate::sys;
use crate::value::to_text;

/// How soon a lost lock is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a program that has lost its lock is given to end by itself.
const GRACE: Duration = Duration::from_secs(5);

pub async fn run(
    client: &Client,
    name: &str,
    options: &LockOptions,
    command: &[OsString],
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    // From here on they end the program, not the lock under it.
    let mut signals = Signals::new()?;
    let mut lock = tokio::select! {
        lock = client.lock(name, options) => lock.map_err(Failure::of_lock)?,
        number = signals.next() => return Ok(ExitCode::from(128u8.saturating_add(number as u8))),
    };
    let outcome = match command.split_first() {
        Some((program, arguments)) => hold_for_program(&mut lock, program, arguments, &mut signals).await,
        None => {
            output.lock(lock.key(), lock.token())?;
            hold_for_input(&mut lock, &mut signals).await
        }
    };
    match lock.release().await {
        Err(error) if outcome.is_ok() => Err(Failure::of_lock(error)),
        _ => outcome,
    }
}

async fn hold_for_program(
    lock: &mut Lock,
    program: &OsString,
    arguments: &[OsString],
    signals: &mut Signals,
) -> Result<ExitCode, Failure> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("CFGSTORE_LOCK_TOKEN", lock.token().to_string())
        .env("CFGSTORE_LOCK_KEY", to_text(lock.key()).0.as_ref());
    sys::end_with_parent(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::invalid(format!("cannot run {}: {error}", program.display())))?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let ended = ended.map_err(|error| Failure::new(&format!("cannot wait for the program: {error}")))?;
                return Ok(exit_code(ended));
            }
            // The terminal's own goes to the program too, as to every process in front.
            number = signals.next() => if number != libc::SIGINT { send(&child, number) },
            () = sleep(LOOK_EVERY) => if let Err(error) = lock.check() {
                end(&mut child).await;
                return Err(Failure::of_lock(error));
            },
        }
    }
}

async fn hold_for_input(lock: &mut Lock, signals: &mut Signals) -> Result<ExitCode, Failure> {
    let (ended, mut has_ended) = tokio::sync::oneshot::channel();
    // A read of standard input cannot be given up, so it gets a thread, which ends with the process.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock().take(u64::MAX), &mut std::io::sink());
        let _ = ended.send(());
    });
    loop {
        tokio::select! {
            _ = &mut has_ended => return Ok(ExitCode::SUCCESS),
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
            () = sleep(LOOK_EVERY) => lock.check().map_err(Failure::of_lock)?,
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn end(child: &mut Child) {
    send(child, libc::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        // It may have ended in this moment.
        let _ = child.kill().await;
    }
}

fn send(child: &Child, signal: libc::c_int) {
    if let Some(process) = child.id() {
        sys::send_signal(process, signal);
    }
}
