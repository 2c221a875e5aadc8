//! `cfgctl blame`: which change each value of a document comes from.

use cfgstore_client::{Blame, Client};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{JsonAuthor, author_text};
use crate::documents::shown;
use crate::failure::Failure;
use crate::output::Output;
use crate::time::utc;
use crate::value::{to_json, to_line};

/// For machines; `change` is null where it is no longer kept.
#[derive(Serialize)]
struct JsonLeaf<'a> {
    path: &'a str,
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
    let blame = client.blame(key).await?;
    if output.is_json() {
        print_json(&blame, output)
    } else {
        print(&blame, output)
    }
}

fn print(blame: &Blame, output: &mut Output) -> Result<(), Failure> {
    let columns: Vec<[String; 3]> = blame
        .leaves
        .iter()
        .map(|leaf| match blame.change_of(leaf) {
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
    for (leaf, [revision, time, author]) in blame.leaves.iter().zip(&columns) {
        let path = to_line(leaf.path.as_bytes());
        let separator = if path.is_empty() { "" } else { ": " };
        output.line(&format!(
            "{revision:>first$}  {time:<second$}  {author:<third$}  {path}{separator}{}",
            shown(&leaf.value)
        ))?;
    }
    Ok(())
}

fn print_json(blame: &Blame, output: &mut Output) -> Result<(), Failure> {
    let entries = blame.leaves.iter().map(|leaf| JsonLeaf {
        path: &leaf.path,
        value: to_json(leaf.value.to_json().as_bytes()).0,
        change: blame.change_of(leaf).map(|change| JsonOrigin {
            revision: change.revision,
            time: utc(change.time_unix_ms),
            author: (&change.author).into(),
            comment: &change.comment,
        }),
    });
    output.json(&entries.collect::<Vec<_>>())?;
    Ok(())
}
