//! `cfgctl`, the command line of cfgstore.

mod arguments;
mod documents;
mod endpoint;
mod endpoints;
mod failure;
mod history;
mod keyring;
mod lease;
mod lock;
mod migrate;
mod mirror;
mod notify;
mod operate;
mod output;
mod schema;
mod signals;
mod snapshot;
mod sys;
mod time;
mod value;

use std::process::ExitCode;
use std::time::Duration;

use cfgstore_client::{Address, Client, DeleteOptions, Error, Options, PutOptions, Range, WatchOptions};
use clap::Parser;

use arguments::{Arguments, Command, Connection, KeysCommand};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    // One thread: a command waits for one thing at a time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(&format!("cannot set up: {error}")).report(&output),
    };
    match runtime.block_on(run(arguments, &mut output)) {
        Ok(code) => code,
        Err(failure) => failure.report(&output),
    }
}

async fn run(arguments: Arguments, output: &mut Output) -> Result<ExitCode, Failure> {
    let connection = &arguments.connection;
    let done = match arguments.command {
        Command::Snapshot(command) => snapshot::run(connection, command, output).await,
        Command::Migrate(migrate) => migrate::run(connection, &migrate, output).await,
        Command::Mirror(command) => mirror::run(connection, command, output).await,
        Command::Notify(command) => notify::run(&connect(connection)?, command, output).await,
        Command::Schema(command) => schema::run(&connect_with_keyring(connection)?, command, output).await,
        Command::Operate(command) => operate::run(connection, command, output).await,
        Command::Status => {
            let status = connect_running(connection)?.status().await?;
            output.status(&status).map_err(Failure::from)
        }
        Command::History(command) => return history::run(&connect(connection)?, command, output).await,
        Command::Documents(command) => {
            return documents::run(&connect_with_keyring(connection)?, command, output).await;
        }
        Command::Keyring(command) => keyring::run(connection, command, output).await,
        Command::Keys(command) => return keys(&connect_with_keyring(connection)?, command, output).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

async fn keys(client: &Client, command: KeysCommand, output: &mut Output) -> Result<ExitCode, Failure> {
    match command {
        KeysCommand::Get {
            key,
            prefix,
            rev,
            limit,
            keys_only,
        } => {
            let mut range = if prefix {
                Range::prefix(&key)
            } else {
                Range::key(&key)
            };
            range = range.revision(rev.unwrap_or(0)).limit(limit.unwrap_or(0));
            if keys_only {
                range = range.keys_only();
            }
            let found = client.range(&range).await?;
            if prefix {
                output.range(&found, keys_only)?;
                if found.kvs.iter().any(|kv| kv.unopened.is_some()) {
                    return Ok(Failure::code_of_unopened());
                }
            } else {
                let kv = found.kvs.first().ok_or_else(|| Failure::not_found(&key))?;
                if let Some(error) = &kv.unopened {
                    return Err(Error::clone(error).into());
                }
                output.value(kv, keys_only)?;
            }
        }
        KeysCommand::Put {
            key,
            value,
            if_revision,
            if_absent,
            comment,
        } => {
            let value = value::read(&value)?;
            let if_revision = if if_absent { Some(0) } else { if_revision };
            let revision = client
                .put(
                    &key,
                    value,
                    &PutOptions {
                        if_revision,
                        comment,
                        ..PutOptions::default()
                    },
                )
                .await?;
            output.written(revision)?;
        }
        KeysCommand::Del {
            key,
            if_revision,
            comment,
        } => {
            let options = DeleteOptions { if_revision, comment };
            let deleted = client.delete(&key, &options).await?;
            if !deleted.deleted {
                return Err(Failure::not_found(&key));
            }
            output.written(deleted.revision)?;
        }
        KeysCommand::Watch {
            key,
            prefix,
            from_revision,
            max_changes,
        } => {
            let options = if prefix {
                WatchOptions::prefix(&key)
            } else {
                WatchOptions::key(&key)
            };
            let mut watch = client.watch(options.from_revision(from_revision.unwrap_or(0)))?;
            let mut left = max_changes.unwrap_or(u64::MAX);
            while left > 0 {
                for change in watch
                    .next()
                    .await?
                    .changes
                    .iter()
                    .take(left.try_into().unwrap_or(usize::MAX))
                {
                    output.change(change)?;
                    left -= 1;
                }
            }
        }
        KeysCommand::Lock {
            name,
            ttl,
            wait,
            command,
        } => {
            let options = cfgstore_client::LockOptions {
                ttl: seconds(ttl),
                wait: seconds(wait),
            };
            return lock::run(client, &name, &options, &command, output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A client of the server of --endpoints. The embedded store is started if it is not running.
fn connect(connection: &Connection) -> Result<Client, Failure> {
    with_address(connection, &connection.endpoints, !connection.no_start)
}

/// The same, for what applications do with values.
fn connect_with_keyring(connection: &Connection) -> Result<Client, Failure> {
    let options = options(connection, &connection.endpoints, !connection.no_start)?;
    Ok(Client::new(Options {
        keyring: keyring::live(connection)?,
        ..options
    })?)
}

/// The same, but nothing is started: what is asked for is about a server that runs.
fn connect_running(connection: &Connection) -> Result<Client, Failure> {
    with_address(connection, &connection.endpoints, false)
}

fn with_address(connection: &Connection, address: &str, autostart: bool) -> Result<Client, Failure> {
    Ok(Client::new(options(connection, address, autostart)?)?)
}

fn options(connection: &Connection, address: &str, autostart: bool) -> Result<Options, Failure> {
    Ok(Options {
        address: Address::parse(address)?,
        data_dir: connection.data_dir.clone(),
        autostart,
        call_timeout: seconds(connection.timeout),
        client_name: "cfgctl".to_owned(),
        ..Options::default()
    })
}

/// Arguments are checked to be finite and not negative.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
