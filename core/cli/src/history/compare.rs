//! `cfgctl diff` and `cfgctl rollback`: what differs between two revisions, and undoing it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use bytes::Bytes;
use cfgstore_client::{Client, KeyAt};
use serde::Serialize;

use super::{check_prefix, present_revision, range};
use crate::arguments::{Diff, Rollback};
use crate::documents::{JsonDifference, KeyDifference, Style, counts};
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
    let range = range(&arguments.keys);
    let to = match arguments.to {
        Some(to) => to,
        None => present_revision(client).await?,
    };
    let before = client.keys_at(&range, arguments.from).await?;
    let after = client.keys_at(&range, to).await?;
    let differences = differences(&before, &after);
    if output.is_json() {
        output.json(&Compared {
            from: arguments.from,
            to,
            changes: differences.iter().map(KeyDifference::json).collect(),
        })?;
    } else {
        let style = Style::of_stdout();
        for difference in &differences {
            difference.show(&style, output)?;
        }
    }
    Ok(code(!differences.is_empty()))
}

fn code(differs: bool) -> ExitCode {
    if differs {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The keys that differ, in their order. Another way to write the same document is no difference.
fn differences<'a>(before: &'a [KeyAt], after: &'a [KeyAt]) -> Vec<KeyDifference<'a>> {
    type Value<'a> = Option<&'a [u8]>;
    let mut keys: BTreeMap<&[u8], (Value<'_>, Value<'_>)> = BTreeMap::new();
    for key in before {
        keys.entry(&key.key).or_default().0 = Some(&key.value);
    }
    for key in after {
        keys.entry(&key.key).or_default().1 = Some(&key.value);
    }
    let each = keys
        .into_iter()
        .map(|(key, (before, after))| KeyDifference { key, before, after });
    each.filter(|difference| !difference.is_none()).collect()
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
    let differences: Vec<KeyDifference> = done
        .changes
        .iter()
        .map(|change| KeyDifference {
            key: &change.key,
            before: change.previous_value.as_ref().map(Bytes::as_ref),
            after: change.value.as_ref().map(Bytes::as_ref),
        })
        .collect();
    if output.is_json() {
        output.json(&RolledBack {
            revision: done.revision,
            dry_run: *dry_run,
            changes: differences.iter().map(KeyDifference::json).collect(),
        })?;
    } else {
        let style = Style::of_stdout();
        for difference in &differences {
            difference.show(&style, output)?;
        }
        let counts = counts(&differences);
        output.line(&match () {
            () if differences.is_empty() => format!("nothing differs from revision {to}"),
            () if *dry_run => format!("dry run, nothing is written: {counts}"),
            () => format!("revision {}: {counts}", done.revision),
        })?;
    }
    Ok(code(*dry_run && !differences.is_empty()))
}
