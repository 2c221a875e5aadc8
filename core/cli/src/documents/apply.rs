//! `cfgctl apply`.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

use bytes::Bytes;
use cfgstore_client::{Applied, Client, ErrorKind, KeyDifference, KeyValue, Range, Txn};
use cfgstore_documents::Value;
use serde::Serialize;

use super::folder::{self, Folder};
use super::show::Style;
use super::{JsonDifference, counts};
use crate::arguments::Apply;
use crate::failure::Failure;
use crate::history::check_prefix;
use crate::output::Output;

/// A key that differs from what the folder says.
struct Change<'a> {
    key: &'a [u8],
    before: Option<&'a KeyValue>,
    after: Option<Bytes>,
}

/// What the keys are to be, beside what they are.
struct Plan<'a> {
    wanted: BTreeMap<&'a [u8], Bytes>,
    changes: Vec<Change<'a>>,
}

/// For machines.
#[derive(Serialize)]
struct Report {
    revision: i64,
    dry_run: bool,
    changes: Vec<JsonDifference>,
    skipped: Vec<String>,
}

pub async fn run(client: &Client, arguments: &Apply, output: &mut Output) -> Result<ExitCode, Failure> {
    if arguments.prune {
        check_prefix("--prune", &arguments.prefix)?;
    }
    let folder = folder::read(&arguments.folder)?;
    let stored = client.range(&Range::prefix(&arguments.prefix)).await?;
    let keys: Vec<String> = folder
        .documents
        .keys()
        .map(|key| format!("{}{key}", arguments.prefix))
        .collect();
    let plan = plan(&keys, &folder, &stored.kvs, arguments.prune);
    let revision = if plan.changes.is_empty() {
        stored.revision
    } else {
        commit(client, arguments, &plan, stored.revision).await?
    };
    report(arguments, &folder, &plan, revision, output)?;
    let differs = arguments.dry_run && !plan.changes.is_empty();
    Ok(if differs {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn plan<'a>(keys: &'a [String], folder: &Folder, stored: &'a [KeyValue], prune: bool) -> Plan<'a> {
    let mut left: HashMap<&[u8], &KeyValue> = stored.iter().map(|kv| (&kv.key[..], kv)).collect();
    let mut plan = Plan {
        wanted: BTreeMap::new(),
        changes: Vec::new(),
    };
    for (key, document) in keys.iter().zip(folder.documents.values()) {
        let key = key.as_bytes();
        let before = left.remove(key);
        // Another way to write the same document is no change.
        let same = before.filter(|kv| Value::of_stored(&kv.value).as_ref() == Ok(&document.value));
        let value = same.map_or_else(|| document.value.to_json().into(), |kv| kv.value.clone());
        if same.is_none() {
            plan.changes.push(Change {
                key,
                before,
                after: Some(value.clone()),
            });
        }
        plan.wanted.insert(key, value);
    }
    if prune {
        let deleted = left.into_iter().map(|(key, kv)| Change {
            key,
            before: Some(kv),
            after: None,
        });
        plan.changes.extend(deleted);
        plan.changes.sort_by_key(|change| change.key);
    }
    plan
}

/// Writes the plan, if nothing that it changes has been changed since it was made; a dry run asks the server whether it would.
async fn commit(client: &Client, arguments: &Apply, plan: &Plan<'_>, read_at: i64) -> Result<i64, Failure> {
    let changed = || {
        plan.changes
            .iter()
            .filter_map(|change| Some((change.key.to_vec(), change.after.clone()?)))
    };
    let request = cfgstore_client::Apply {
        entries: if arguments.prune {
            plan.wanted
                .iter()
                .map(|(key, value)| (key.to_vec(), value.clone()))
                .collect()
        } else {
            changed().collect()
        },
        prune: arguments.prune.then(|| arguments.prefix.clone().into_bytes()),
        dry_run: arguments.dry_run,
        if_unchanged_since: read_at,
        comment: arguments.comment.clone(),
    };
    match client.apply(&request).await {
        Ok(Applied { revision, .. }) => Ok(revision),
        Err(error) if error.kind == ErrorKind::Unsupported && arguments.dry_run => Ok(read_at),
        Err(error) if error.kind == ErrorKind::Unsupported => commit_as_transaction(client, plan).await,
        Err(error) => Err(error.into()),
    }
}

/// The same at an etcd, as far as one of its transactions reaches.
async fn commit_as_transaction(client: &Client, plan: &Plan<'_>) -> Result<i64, Failure> {
    let mut txn = Txn::new();
    for change in &plan.changes {
        txn = txn.if_revision(change.key, change.before.map_or(0, |kv| kv.mod_revision));
        txn = match &change.after {
            Some(value) => txn.put(change.key, value.clone()),
            None => txn.delete(change.key),
        };
    }
    match client.txn(txn).await {
        Ok(outcome) => Ok(outcome.revision),
        Err(error) if error.kind == ErrorKind::TooLarge => {
            let why = format!(
                "nothing is written: {} keys differ, more than this etcd takes in one revision (--max-txn-ops, --max-request-bytes)",
                plan.changes.len()
            );
            Err(Failure::from(error).explained(&why))
        }
        Err(error) => Err(error.into()),
    }
}

fn report(
    arguments: &Apply,
    folder: &Folder,
    plan: &Plan<'_>,
    revision: i64,
    output: &mut Output,
) -> Result<(), Failure> {
    let differences: Vec<KeyDifference> = plan
        .changes
        .iter()
        .map(|change| KeyDifference {
            key: Bytes::copy_from_slice(change.key),
            before: change.before.map(|kv| kv.value.clone()),
            after: change.after.clone(),
            unopened: None,
        })
        .collect();
    if output.is_json() {
        let skipped = folder.skipped.iter();
        output.json(&Report {
            revision,
            dry_run: arguments.dry_run,
            changes: differences.iter().map(JsonDifference::of).collect(),
            skipped: skipped.map(|file| file.display().to_string()).collect(),
        })?;
        return Ok(());
    }
    for file in &folder.skipped {
        eprintln!(
            "cfgctl: skipped {}: not .json, .yaml, .yml, .ini, .env or .php",
            file.display()
        );
    }
    let style = Style::of_stdout();
    for difference in &differences {
        style.change(output, difference)?;
    }
    let counts = counts(&differences);
    output.line(&match () {
        () if plan.changes.is_empty() => format!(
            "nothing differs: {} keys at revision {revision}",
            folder.documents.len()
        ),
        () if arguments.dry_run => format!("dry run, nothing is written: {counts}"),
        () => format!("revision {revision}: {counts}"),
    })?;
    Ok(())
}
