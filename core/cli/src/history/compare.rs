//! `cfgctl diff` and `cfgctl rollback`: what differs between two revisions, and undoing it.

use std::process::ExitCode;

use cfgstore_client::{Client, KeyDifference};
use serde::Serialize;

use super::{check_prefix, range};
use crate::arguments::{Diff, Rollback};
use crate::documents::{JsonDifference, Style, counts};
use crate::failure::Failure;
use crate::output::Output;

/// For machines.
#[derive(Serialize)]
struct Compared {
    from: i64,
    to: i64,
    changes: Vec<JsonDifference>,
}

/// For machines.
#[derive(Serialize)]
struct RolledBack {
    revision: i64,
    dry_run: bool,
    changes: Vec<JsonDifference>,
}

pub async fn diff(client: &Client, arguments: &Diff, output: &mut Output) -> Result<ExitCode, Failure> {
    let Diff { keys, from, to } = arguments;
    let found = client.diff(&range(keys), *from, *to).await?;
    if output.is_json() {
        output.json(&Compared {
            from: *from,
            to: found.to,
            changes: found.keys.iter().map(JsonDifference::of).collect(),
        })?;
    } else {
        show(&found.keys, output)?;
    }
    Ok(code(!found.keys.is_empty()))
}

fn show(differences: &[KeyDifference], output: &mut Output) -> Result<(), Failure> {
    let style = Style::of_stdout();
    for difference in differences {
        style.change(output, difference)?;
    }
    Ok(())
}

fn code(differs: bool) -> ExitCode {
    if differs {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

pub async fn rollback(
    client: &Client,
    arguments: &Rollback,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let Rollback {
        keys,
        to,
        dry_run,
        comment,
    } = arguments;
    if keys.prefix {
        check_prefix("a rollback", &keys.key)?;
    }
    let done = client.rollback(&range(keys), *to, *dry_run, comment).await?;
    let differences = &done.changes;
    if output.is_json() {
        output.json(&RolledBack {
            revision: done.revision,
            dry_run: *dry_run,
            changes: differences.iter().map(JsonDifference::of).collect(),
        })?;
    } else {
        show(differences, output)?;
        let counts = counts(differences);
        output.line(&match () {
            () if differences.is_empty() => format!("nothing differs from revision {to}"),
            () if *dry_run => format!("dry run, nothing is written: {counts}"),
            () => format!("revision {}: {counts}", done.revision),
        })?;
    }
    Ok(code(*dry_run && !differences.is_empty()))
}
