//! `cfgctl history`, `log`, `diff`, `blame`, `rollback` and `retention`: who changed what, and making it undone.

mod blame;
mod compare;
mod log;
mod retention;

use std::process::ExitCode;

use cfgstore_client::{Author, Client, RESERVED_PREFIX, Range};
use serde::Serialize;

use crate::arguments::{HistoryCommand, Keys};
use crate::failure::Failure;
use crate::output::Output;

pub async fn run(client: &Client, command: HistoryCommand, output: &mut Output) -> Result<ExitCode, Failure> {
    match command {
        HistoryCommand::History(arguments) => log::history(client, &arguments, output).await?,
        HistoryCommand::Log(arguments) => log::log(client, &arguments, output).await?,
        HistoryCommand::Diff(arguments) => return compare::diff(client, &arguments, output).await,
        HistoryCommand::Blame { key } => blame::run(client, &key, output).await?,
        HistoryCommand::Rollback(arguments) => return compare::rollback(client, &arguments, output).await,
        HistoryCommand::Retention(command) => retention::run(client, command, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn range(keys: &Keys) -> Range {
    if keys.prefix {
        Range::prefix(&keys.key)
    } else {
        Range::key(&keys.key)
    }
}

/// Whoever has not logged in has only stated a name.
fn author_text(author: &Author) -> String {
    match author.name() {
        "" => "unknown".to_owned(),
        name if author.user.is_empty() => format!("{} (unverified)", name.escape_debug()),
        name => name.escape_debug().to_string(),
    }
}

/// For machines.
#[derive(Serialize)]
struct JsonAuthor<'a> {
    name: &'a str,
    verified: bool,
    address: &'a str,
}

impl<'a> From<&'a Author> for JsonAuthor<'a> {
    fn from(author: &'a Author) -> JsonAuthor<'a> {
        JsonAuthor {
            name: author.name(),
            verified: !author.user.is_empty(),
            address: &author.address,
        }
    }
}

/// `Err`: what is to be done to all keys with the prefix would be done to cfgstore's own.
pub fn check_prefix(doing: &str, prefix: &str) -> Result<(), Failure> {
    if !RESERVED_PREFIX.starts_with(prefix.as_bytes()) {
        return Ok(());
    }
    let own = String::from_utf8_lossy(RESERVED_PREFIX);
    Err(Failure::invalid(format!(
        "{doing} with the prefix {prefix:?} would take in {own}, which is cfgstore's own; name a longer prefix"
    )))
}
