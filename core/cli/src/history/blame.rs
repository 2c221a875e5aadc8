//! `cfgctl blame`: which change each value of a document comes from.

use std::collections::HashMap;

use cfgstore_client::{ChangeKind, Client, HistoryChange, HistoryQuery, Range};
use cfgstore_documents::{Value, leaves};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{JsonAuthor, author_text};
use crate::documents::shown;
use crate::failure::Failure;
use crate::output::Output;
use crate::time::utc;
use crate::value::{to_json, to_line};

/// A leaf and the change it comes from; `None`: one that is no longer kept.
type Blamed<'a> = (String, &'a Value, Option<&'a HistoryChange>);

/// For machines; `change` is null where it is no longer kept.
#[derive(Serialize)]
struct JsonLeaf<'a> {
    path: String,
    value: Box<RawValue>,
    change: Option<JsonOrigin<'a>>,
}

#[derive(Serialize)]
struct JsonOrigin<'a> {
    revision: i64,
    time: String,
    author: JsonAuthor<'a>,
    comment: &'a str,
}

pub async fn run(client: &Client, key: &str, output: &mut Output) -> Result<(), Failure> {
    let query = HistoryQuery {
        newest_first: true,
        ..HistoryQuery::of(Range::key(key))
    };
    let changes = client.history(&query).await?;
    let newest = match changes.first() {
        Some(newest) if newest.kind == ChangeKind::Put => newest,
        None if client.get(key).await?.is_some() => {
            return Err(Failure::invalid(format!(
                "no history is kept of {key:?}: see `cfgctl retention list`; keys of a lease have none"
            )));
        }
        _ => return Err(Failure::not_found(key)),
    };
    let document = Value::of_stored(&newest.value).map_err(|error| {
        let message = format!("the value of {key:?} is no document: {error}; see `cfgctl history`");
        Failure::invalid(message)
    })?;
    let blamed = blame(&document, &changes);
    if output.is_json() {
        print_json(&blamed, output)
    } else {
        print(&blamed, output)
    }
}

/// Goes back from the newest change: a leaf comes from the change before which it was not there, or was another.
fn blame<'a>(document: &'a Value, changes: &'a [HistoryChange]) -> Vec<Blamed<'a>> {
    let mut blamed: Vec<Blamed> = leaves(document)
        .into_iter()
        .map(|(path, leaf)| (path, leaf, None))
        .collect();
    let mut open: Vec<usize> = (0..blamed.len()).collect();
    for change in changes {
        let is_creation = change.version == 1;
        let Some(before) = change.previous_value.as_deref().filter(|_| !is_creation) else {
            if is_creation {
                for &at in &open {
                    blamed[at].2 = Some(change);
                }
            }
            break;
        };
        let before = Value::of_stored(before).ok();
        let before: HashMap<String, &Value> = before.iter().flat_map(leaves).collect();
        open.retain(|&at| {
            let (path, leaf, by) = &mut blamed[at];
            let stays = before.get(path) == Some(leaf);
            if !stays {
                *by = Some(change);
            }
            stays
        });
    }
    blamed
}

fn print(blamed: &[Blamed], output: &mut Output) -> Result<(), Failure> {
    let columns: Vec<[String; 3]> = blamed
        .iter()
        .map(|(_, _, change)| match change {
            Some(change) => [
                change.revision.to_string(),
                utc(change.time_unix_ms),
                author_text(&change.author),
            ],
            None => ["?".to_owned(), "no longer kept".to_owned(), String::new()],
        })
        .collect();
    let width = |i: usize| {
        columns
            .iter()
            .map(|column| column[i].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (first, second, third) = (width(0), width(1), width(2));
    for ((path, leaf, _), [revision, time, author]) in blamed.iter().zip(&columns) {
        let path = to_line(path.as_bytes());
        let separator = if path.is_empty() { "" } else { ": " };
        output.line(&format!(
            "{revision:>first$}  {time:<second$}  {author:<third$}  {path}{separator}{}",
            shown(leaf)
        ))?;
    }
    Ok(())
}

fn print_json(blamed: &[Blamed], output: &mut Output) -> Result<(), Failure> {
    let entries = blamed.iter().map(|(path, leaf, change)| JsonLeaf {
        path: path.clone(),
        value: to_json(leaf.to_json().as_bytes()).0,
        change: change.map(|change| JsonOrigin {
            revision: change.revision,
            time: utc(change.time_unix_ms),
            author: (&change.author).into(),
            comment: &change.comment,
        }),
    });
    output.json(&entries.collect::<Vec<_>>())?;
    Ok(())
}
