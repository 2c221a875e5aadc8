//! `cfgctl migrate`: keys and leases from an etcd, or from a snapshot file, to the server.
//!
//! Source and target are read page by page, each at one revision, and walked side by side; only what differs is written.

mod leases;
mod source;
mod target;

use cfgstore_client::{Client, KeyValue};
use serde_json::json;

use crate::arguments::{Connection, Migrate};
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::signals::Signals;
use crate::{connect, with_address};
use leases::Leases;
use source::{Pages, Source};
use target::Writer;

/// What was done, or with --dry-run would be.
#[derive(Default)]
struct Counts {
    copied: u64,
    unchanged: u64,
    /// Their lease ended while they were copied.
    expired: u64,
    /// Only at the target, where they stay.
    kept: u64,
}

pub async fn run(connection: &Connection, migrate: &Migrate, output: &mut Output) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let target = connect(connection)?;
    let source = Source::open(connection, migrate).await?;
    if migrate.follow && source.client().is_none() {
        return Err(Failure::invalid(
            "--follow needs a server to follow, not a file".to_owned(),
        ));
    }
    if !migrate.force && !migrate.dry_run {
        refuse_if_taken(&target, &migrate.prefix).await?;
    }
    let mut writer = Writer::new(target.clone(), migrate.dry_run);
    let mut leases = Leases::new(&source, &target, migrate);
    let counts = tokio::select! {
        copied = copy(&source, &target, migrate, &mut leases, &mut writer) => copied?,
        _ = signals.next() => return Err(Failure::new("ended before everything was copied; run it again with --force to go on")),
    };
    report(&source, &counts, &leases, migrate, output)?;
    if !migrate.follow || migrate.dry_run {
        return Ok(());
    }
    let followed = follow(&source, migrate, &mut leases, &mut writer, &mut signals).await?;
    let (changes, revision) = followed;
    say(
        output,
        format!("followed {changes} changes, up to revision {revision} there"),
        json!({ "followed": changes, "source_revision": revision }),
    )
}

async fn refuse_if_taken(target: &Client, prefix: &str) -> Result<(), Failure> {
    let found = target
        .range(&cfgstore_client::Range::prefix(prefix).keys_only().limit(1))
        .await?;
    if found.count == 0 {
        return Ok(());
    }
    let keys = found.count;
    Err(Failure::invalid(format!(
        "there are {keys} keys that begin with {prefix:?} already; --force copies over them, and keeps those that are \
         only there"
    )))
}

async fn copy(
    source: &Source,
    target: &Client,
    migrate: &Migrate,
    leases: &mut Leases<'_>,
    writer: &mut Writer,
) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut theirs = source.pages(&migrate.prefix);
    let mut ours = Pages::of(target.clone(), &migrate.prefix, 0);
    let mut there = ours.next().await?;
    while let Some(kv) = theirs.next().await? {
        while let Some(other) = there.take_if(|other| other.key < kv.key) {
            counts.kept += 1;
            drop(other);
            there = ours.next().await?;
        }
        let same_key = there.take_if(|other| other.key == kv.key);
        if same_key.is_some() {
            there = ours.next().await?;
        }
        let Some(lease) = leases.for_key(kv.lease).await? else {
            counts.expired += 1;
            continue;
        };
        if same_key.is_some_and(|same: KeyValue| same.value == kv.value && same.lease == lease) {
            counts.unchanged += 1;
            continue;
        }
        writer.put(kv.key, kv.value, lease).await?;
        counts.copied += 1;
    }
    writer.flush().await?;
    while there.is_some() {
        counts.kept += 1;
        there = ours.next().await?;
    }
    Ok(counts)
}

fn report(
    source: &Source,
    counts: &Counts,
    leases: &Leases<'_>,
    migrate: &Migrate,
    output: &mut Output,
) -> Result<(), Failure> {
    let Counts {
        copied,
        unchanged,
        expired,
        kept,
    } = *counts;
    let (lease_count, renamed) = (leases.count(), leases.renamed());
    let verb = if migrate.dry_run { "would copy" } else { "copied" };
    let mut text = format!(
        "{verb} {copied} keys and {lease_count} leases as of revision {} there; {unchanged} were the same already",
        source.revision()
    );
    for (count, what) in [
        (expired, "had leases that ended meanwhile and were left out"),
        (kept, "are only here and were kept"),
        (renamed, "leases got another id, as theirs was taken"),
    ] {
        if count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    text += "; revisions, versions and history are not kept";
    let json = json!({
        "dry_run": migrate.dry_run,
        "copied": copied,
        "leases": lease_count,
        "leases_with_another_id": renamed,
        "unchanged": unchanged,
        "expired": expired,
        "only_at_target": kept,
        "source_revision": source.revision(),
    });
    say(output, text, json)
}

/// Copies changes until asked to end; returns how many, and the last revision copied.
async fn follow(
    source: &Source,
    migrate: &Migrate,
    leases: &mut Leases<'_>,
    writer: &mut Writer,
    signals: &mut Signals,
) -> Result<(u64, i64), Failure> {
    let mut position = source.revision();
    let mut changes = 0;
    let Some(client) = source.client() else {
        return Ok((0, position));
    };
    let options = cfgstore_client::WatchOptions::prefix(&migrate.prefix).from_revision(position + 1);
    let mut watch = client.watch(options)?;
    loop {
        tokio::select! {
            batch = watch.next() => {
                let batch = batch?;
                for change in batch.changes {
                    changes += 1;
                    match change.kind {
                        cfgstore_client::ChangeKind::Delete => writer.delete(change.key).await?,
                        cfgstore_client::ChangeKind::Put => {
                            // A lease that is gone deletes its keys: that is one of the next changes.
                            if let Some(lease) = leases.for_key(change.lease).await? {
                                writer.put(change.key, change.value, lease).await?;
                            }
                        }
                    }
                }
                writer.flush().await?;
                position = position.max(batch.revision);
            }
            () = leases.wait() => leases.keep_alive().await?,
            _ = signals.next() => return Ok((changes, position)),
        }
    }
}

/// A client of the source, which is never started.
fn source_client(connection: &Connection, address: &str) -> Result<Client, Failure> {
    with_address(connection, address, false)
}
