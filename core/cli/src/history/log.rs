//! `cfgctl history` and `cfgctl log`: one change after the other.

use cfgstore_client::{ChangeKind, Client, HistoryChange, HistoryQuery, KeyDifference, Range};
use serde::Serialize;

use super::{JsonAuthor, author_text, range};
use crate::arguments::{History, Log};
use crate::documents::{JsonDifference, Style};
use crate::failure::Failure;
use crate::output::Output;
use crate::time::{Since, utc};
use crate::value::to_line;

/// For machines.
#[derive(Serialize)]
struct JsonChange<'a> {
    #[serde(flatten)]
    difference: JsonDifference,
    before_is_known: bool,
    revision: i64,
    previous_revision: i64,
    version: i64,
    time: String,
    time_unix_ms: i64,
    author: JsonAuthor<'a>,
    comment: &'a str,
}

pub async fn history(client: &Client, arguments: &History, output: &mut Output) -> Result<(), Failure> {
    let mut query = HistoryQuery {
        author: arguments.author.clone(),
        newest_first: true,
        limit: arguments.limit.unwrap_or(0),
        ..HistoryQuery::of(range(&arguments.keys))
    };
    match arguments.since {
        Some(Since::Revision(revision)) => query.from_revision = revision,
        Some(Since::Time(time)) => query.from_time_unix_ms = time.0,
        None => {}
    }
    print_all(&client.history(&query).await?, output)
}

pub async fn log(client: &Client, arguments: &Log, output: &mut Output) -> Result<(), Failure> {
    let mut query = HistoryQuery {
        author: arguments.author.clone(),
        from_time_unix_ms: arguments.from.map_or(0, |time| time.0),
        to_time_unix_ms: arguments.to.map_or(0, |time| time.0),
        ..HistoryQuery::of(Range::prefix(&arguments.prefix))
    };
    if !arguments.follow {
        return print_all(&client.history(&query).await?, output);
    }
    // What is kept is read first: a stream refuses to begin where some of the history is gone.
    let present = client.revision().await?;
    query.to_revision = present;
    print_all(&client.history(&query).await?, output)?;
    (query.from_revision, query.to_revision) = (present + 1, 0);
    let mut follower = client.follow(&query)?;
    loop {
        print_all(&follower.next().await?, output)?;
    }
}

fn print_all(changes: &[HistoryChange], output: &mut Output) -> Result<(), Failure> {
    let style = Style::of_stdout();
    for change in changes {
        print(change, &style, output)?;
    }
    Ok(())
}

fn print(change: &HistoryChange, style: &Style, output: &mut Output) -> Result<(), Failure> {
    let is_put = change.kind == ChangeKind::Put;
    let difference = KeyDifference {
        key: change.key.clone(),
        before: change.previous_value.clone(),
        after: is_put.then(|| change.value.clone()),
        unopened: change.unopened.clone(),
    };
    // What there was before a creation is known: nothing.
    let before_is_known = difference.before.is_some() || change.version == 1;
    let author = &change.author;
    if output.is_json() {
        output.json(&JsonChange {
            difference: JsonDifference {
                change: if is_put { "put" } else { "delete" },
                ..JsonDifference::of(&difference)
            },
            before_is_known,
            revision: change.revision,
            previous_revision: change.previous_revision,
            version: change.version,
            time: utc(change.time_unix_ms),
            time_unix_ms: change.time_unix_ms,
            author: author.into(),
            comment: &change.comment,
        })?;
        return Ok(());
    }
    let mut head = format!(
        "revision {}  {}  {}",
        change.revision,
        utc(change.time_unix_ms),
        author_text(author)
    );
    for part in [&author.address, &change.comment] {
        if !part.is_empty() {
            head += &format!("  {}", part.escape_debug());
        }
    }
    output.line(&head)?;
    match &difference.after {
        _ if before_is_known => style.change(output, &difference)?,
        Some(after) => style.replaced(output, &change.key, after)?,
        None => output.line(&format!("- {}", to_line(&change.key)))?,
    }
    Ok(())
}
